//! A power cut, simulated: files that were not synced are lost, torn, or come back after they were removed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commit_journal::{Medium, SyncLevel};
use proptest::prelude::*;
use server_log::Log;

use super::*;
use crate::{QueueError, QueueSettings, Recipient, Step};

/// Nothing becomes a file by itself, however long a test takes: not in a queue whose process was killed, either.
fn settings(folder: &Path) -> QueueSettings {
    QueueSettings {
        envelope_sync: SyncLevel::Data,
        message_sync: SyncLevel::Data,
        journal_bytes: 1 << 20,
        filed_after: Duration::MAX,
        ..QueueSettings::in_folder(folder)
    }
}

fn open(folder: &Path) -> Queue {
    open_with(settings(folder))
}

fn open_with(settings: QueueSettings) -> Queue {
    let queue = Queue::open(settings, Log::discard()).unwrap();
    queue.recover(|| Ok(())).unwrap();
    queue.begin_journal(Vec::new());
    assert!(queue.journal().is_some());
    queue
}

/// As after kill -9: nobody puts anything in its place.
fn killed(queue: Queue) {
    std::mem::forget(queue);
}

fn commit(queue: &Queue, body: &[u8]) -> QueueId {
    let mut incoming = queue.begin();
    incoming.write_all(body).unwrap();
    incoming.commit(envelope(&["a@here.test", "b@down.test"])).unwrap()
}

/// As when they had been in the queue for a while.
fn file_all(queue: &Queue) {
    queue.journal().unwrap().young.file_all().unwrap();
}

/// Both files, as a power cut may bring them back.
fn files_of(queue: &Queue, id: &QueueId) -> [(PathBuf, Vec<u8>); 2] {
    [queue.message_path(id), queue.envelope_path(id)].map(|path| (path.clone(), fs::read(path).unwrap()))
}

fn envelope(recipients: &[&str]) -> Envelope {
    let mut envelope = Envelope::new(QueueId::next());
    envelope.sender = Some("s@here.test".into());
    let recipient = |address: &&str| Recipient { address: (*address).into(), ..Recipient::default() };
    envelope.recipients = recipients.iter().map(recipient).collect();
    envelope
}

fn waiting(queue: &Queue) -> Vec<QueueId> {
    let checked = queue.check(|_, _| {}).unwrap();
    checked.waiting.into_iter().map(|one| one.id).collect()
}

#[test]
fn messages_whose_files_were_lost_are_back_and_again_after_an_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let ids: Vec<QueueId> =
        (0..3).map(|number| commit(&queue, format!("body {number}").as_bytes())).collect();
    file_all(&queue);
    let paths = |id: &QueueId| [queue.message_path(id), queue.envelope_path(id)];
    let [first, second, third] = ids.as_slice() else { panic!() };
    paths(first).iter().for_each(|path| fs::remove_file(path).unwrap());
    paths(second).iter().for_each(|path| fs::write(path, b"").unwrap());
    fs::write(queue.message_path(third), b"\0\0\0\0\0\0").unwrap();
    let journal = fs::read(folder.path().join("journal/1")).unwrap();
    for again in 0..3 {
        let queue = Queue::open(settings(folder.path()), Log::discard()).unwrap();
        let recovered = queue.recover(|| Ok(())).unwrap();
        assert_eq!(recovered, Recovered { held: 3, restored: if again == 0 { 3 } else { 0 }, removed: 0 });
        assert_eq!(queue.recover(|| Ok(())).unwrap(), Recovered::default(), "it holds nothing any more");
        assert_eq!(waiting(&queue), ids);
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(fs::read(queue.message_path(id)).unwrap(), format!("body {number}").as_bytes());
        }
        // As if it had been interrupted before the last step.
        fs::write(folder.path().join("journal/1"), &journal).unwrap();
    }
    killed(queue);
}

#[test]
fn what_is_finished_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let id = commit(&queue, b"done");
    queue.load(&id).unwrap().unwrap().finish().unwrap();
    assert!(!queue.journal().unwrap().holds(&id));
    killed(queue);
    let queue = Queue::open(settings(folder.path()), Log::discard()).unwrap();
    assert_eq!(queue.recover(|| Ok(())).unwrap(), Recovered::default());
    assert!(waiting(&queue).is_empty());
    // Names that the file system brought back.
    let queue = open(folder.path());
    let other = commit(&queue, b"done");
    file_all(&queue);
    let files = files_of(&queue, &other);
    queue.load(&other).unwrap().unwrap().finish().unwrap();
    files.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    killed(queue);
    let queue = Queue::open(settings(folder.path()), Log::discard()).unwrap();
    assert_eq!(queue.recover(|| Ok(())).unwrap(), Recovered { removed: 1, ..Recovered::default() });
    assert!(waiting(&queue).is_empty());
}

/// A checkpoint between the record of the end and the removal makes the files durable and gives up the record of the acceptance.
#[test]
fn what_was_finished_while_its_acceptance_was_given_up_does_not_come_back() {
    for derived in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path());
        let id = match derived {
            true => QueueId::derived(7, "a report"),
            false => QueueId::next(),
        };
        let mut incoming = queue.begin_as(id).unwrap();
        incoming.write_all(b"done").unwrap();
        let id = incoming.commit(envelope(&["a@here.test"])).unwrap();
        file_all(&queue);
        let files = files_of(&queue, &id);
        queue.load(&id).unwrap().unwrap().finish().unwrap();
        files.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
        killed(queue);
        // What was synced before the end was recorded stands on pages before it.
        let path = folder.path().join("journal/1");
        let mut journal = fs::read(&path).unwrap();
        let end = journal.windows(4).rposition(|bytes| bytes == b"MBJR").unwrap();
        journal[4096..end].fill(0);
        fs::write(&path, &journal).unwrap();
        let queue = Queue::open(settings(folder.path()), Log::discard()).unwrap();
        let recovered = queue.recover(|| Ok(())).unwrap();
        // The name of a report may be that of a later one.
        assert_eq!(recovered.removed, usize::from(!derived));
        assert_eq!(waiting(&queue).len(), usize::from(derived));
    }
}

/// So are copies and reports, whose names follow from their cause.
#[test]
fn a_copy_that_was_finished_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let mut incoming = queue.begin_as(QueueId::derived(7, "a copy for a member of a group")).unwrap();
    incoming.write_all(b"copy").unwrap();
    let id = incoming.commit(envelope(&["member@far.test"])).unwrap();
    file_all(&queue);
    let files = files_of(&queue, &id);
    queue.load(&id).unwrap().unwrap().finish().unwrap();
    files.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    killed(queue);
    let queue = open(folder.path());
    assert!(waiting(&queue).is_empty());
}

/// What cannot be read is kept for whoever looks into it, and the other segment counts.
#[test]
fn a_damaged_segment_is_put_aside_and_not_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let id = commit(&queue, b"kept");
    file_all(&queue);
    killed(queue);
    let path = folder.path().join("journal/1");
    let mut bytes = fs::read(&path).unwrap();
    bytes[3] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let queue = open(folder.path());
    assert_eq!(waiting(&queue), [id], "its files are there");
    let aside: Vec<PathBuf> =
        fs::read_dir(folder.path().join("lost+found")).unwrap().map(|one| one.unwrap().path()).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(fs::read(&aside[0]).unwrap(), bytes);
    commit(&queue, b"and on it goes");
}

/// The queue with a journal that cannot be synced as long as the other says so.
fn open_faulty(folder: &Path) -> (Queue, Arc<AtomicBool>) {
    struct Faulty(File, Arc<AtomicBool>);
    impl Medium for Faulty {
        fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
            self.0.write_all_at(bytes, at)
        }
        fn sync(&self) -> io::Result<()> {
            if self.1.load(Ordering::SeqCst) { Err(io::Error::other("bad disk")) } else { Ok(()) }
        }
    }
    let queue = Queue::open(settings(folder), Log::discard()).unwrap();
    queue.recover(|| Ok(())).unwrap();
    let fails = Arc::new(AtomicBool::new(false));
    let told = fails.clone();
    let make = move |file| -> Arc<dyn Medium> { Arc::new(Faulty(file, told.clone())) };
    let journal = queue.open_journal_on(folder.join("journal"), Vec::new(), Box::new(make)).unwrap();
    assert!(queue.shared.journal.set(journal).is_ok());
    (queue, fails)
}

fn take_files(queue: &Queue, id: &QueueId) {
    file_all(queue);
    fs::remove_file(queue.message_path(id)).unwrap();
    fs::remove_file(queue.envelope_path(id)).unwrap();
}

/// The journal has stopped. What is in it is finished, or deferred, or stays; what comes is files. After a clean end and
/// after a kill with a power cut all is as it was, and nothing is there twice.
#[test]
fn after_the_journal_had_stopped_nothing_is_lost_and_nothing_comes_back() {
    for close in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (queue, fails) = open_faulty(folder.path());
        let [done, later, stays] = ["done", "later", "stays"].map(|body| commit(&queue, body.as_bytes()));
        fails.store(true, Ordering::SeqCst);
        let mut incoming = queue.begin();
        incoming.write_all(b"refused").unwrap();
        assert!(matches!(incoming.commit(envelope(&["a@here.test"])), Err(QueueError::Io(_))));
        fails.store(false, Ordering::SeqCst);
        let by_files = commit(&queue, b"by files");
        assert!(!queue.journal().unwrap().holds(&by_files));
        queue.load(&done).unwrap().unwrap().finish().unwrap();
        queue.load(&later).unwrap().unwrap().defer("down.test").unwrap();
        if close {
            queue.close();
            queue.close();
        }
        assert!(queue.journal().unwrap().holds(&stays));
        take_files(&queue, &stays);
        killed(queue);
        let queue = open(folder.path());
        assert_eq!(waiting(&queue), [stays.clone(), by_files]);
        assert!(queue.has_deferred("down.test"));
        assert_eq!(fs::read(queue.message_path(&stays)).unwrap(), b"stays");
        assert!(queue.journal().unwrap().holds(&commit(&queue, b"it has a journal again")));
    }
}

/// Both segments failed: what cannot be said any more is told by the files, which stay until the next start.
#[test]
fn what_the_journal_cannot_take_the_end_of_stays_and_is_found_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (queue, fails) = open_faulty(folder.path());
    let [done, later, first, second] =
        ["done", "later", "1", "2"].map(|body| commit(&queue, body.as_bytes()));
    fails.store(true, Ordering::SeqCst);
    let durably = |id: &QueueId| {
        let entry = queue.load(id).unwrap().unwrap();
        entry.sync().unwrap();
        entry.finish()
    };
    durably(&first).unwrap(); // of which the journal learns that the first segment is bad, and then the second
    let _ = durably(&second);
    let mut entry = queue.load(&done).unwrap().unwrap();
    entry.record_all(vec![(0, Step::Done), (1, Step::Done)]).unwrap();
    entry.finish().unwrap_err();
    queue.load(&later).unwrap().unwrap().defer("down.test").unwrap_err();
    queue.close();
    killed(queue);
    let queue = open(folder.path());
    assert_eq!(waiting(&queue), [later]);
    assert!(!queue.has_deferred("down.test") && !queue.message_path(&done).exists());
}

/// What the disk refused once counts as clean: a second sync says nothing.
#[test]
fn a_message_whose_sync_failed_does_not_leave_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let id = commit(&queue, b"doubtful");
    let journal = queue.journal().unwrap();
    journal.sync_files(&id, || Err(io::Error::other("bad disk"))).unwrap_err();
    let mut entry = queue.load(&id).unwrap().unwrap();
    entry.make_message_durable().unwrap_err();
    entry.defer("down.test").unwrap_err();
    assert!(journal.holds(&id));
    take_files(&queue, &id);
    killed(queue);
    let queue = open(folder.path());
    assert_eq!(waiting(&queue), [id]);
}

/// A report may be made again under its name when the first was sent: the second is not taken for the first.
#[test]
fn a_report_of_the_same_name_is_the_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let id = QueueId::derived(7, "cause");
    let make = |body: &[u8]| {
        let mut incoming = queue.begin_as(id.clone())?;
        incoming.write_all(body).unwrap();
        incoming.commit(envelope(&["s@here.test"]))
    };
    make(b"first").unwrap();
    assert!(matches!(make(b"too early"), Err(QueueError::AlreadyThere)));
    queue.load(&id).unwrap().unwrap().finish().unwrap();
    make(b"second").unwrap();
    file_all(&queue);
    fs::remove_file(queue.message_path(&id)).unwrap();
    killed(queue);
    let queue = open(folder.path());
    assert_eq!(waiting(&queue), std::slice::from_ref(&id));
    assert_eq!(fs::read(queue.message_path(&id)).unwrap(), b"second");
}

/// An entry that moved is not looked for in its old place, and one that came back is not taken away.
#[test]
fn what_was_deferred_left_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let id = commit(&queue, b"later");
    let mut entry = queue.load(&id).unwrap().unwrap();
    entry.record(0, Step::Attempt { next: 5, text: "4.4.1 refused".into() }).unwrap();
    entry.defer("down.test").unwrap();
    assert!(!queue.journal().unwrap().holds(&id));
    killed(queue);
    let queue = Queue::open(settings(folder.path()), Log::discard()).unwrap();
    let journal = fs::read(folder.path().join("journal/1")).unwrap();
    assert_eq!(queue.recover(|| Ok(())).unwrap(), Recovered::default());
    assert!(waiting(&queue).is_empty() && queue.has_deferred("down.test"));
    queue.load_deferred("down.test", &id).unwrap().unwrap().obey(crate::Verb::Requeue).unwrap();
    fs::write(folder.path().join("journal/1"), journal).unwrap();
    queue.recover(|| Ok(())).unwrap();
    assert_eq!(waiting(&queue), std::slice::from_ref(&id));
}

/// Larger than the journal takes: the file is durable, and its envelope is in the journal.
#[test]
fn a_large_message_is_a_file_and_its_envelope_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let body = vec![b'x'; 200_000];
    let id = commit(&queue, &body);
    assert!(queue.journal().unwrap().holds(&id));
    fs::remove_file(queue.envelope_path(&id)).unwrap();
    killed(queue);
    let queue = open(folder.path());
    assert_eq!(waiting(&queue), std::slice::from_ref(&id));
    assert_eq!(fs::read(queue.message_path(&id)).unwrap(), body);
}

/// Many more messages than a segment holds: what is held is never lost, what is finished makes room.
#[test]
fn a_queue_larger_than_the_journal_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let body = vec![b'y'; 9000];
    let mut kept = Vec::new();
    for number in 0..400 {
        let id = commit(&queue, &body);
        match number % 3 {
            0 => kept.push(id),
            _ => queue.load(&id).unwrap().unwrap().finish().unwrap(),
        }
    }
    let held: Vec<QueueId> = kept.iter().filter(|id| queue.journal().unwrap().holds(id)).cloned().collect();
    assert!(held.len() < kept.len(), "some were put in their place");
    file_all(&queue);
    for id in &held {
        fs::remove_file(queue.message_path(id)).unwrap();
    }
    killed(queue);
    let queue = open(folder.path());
    assert_eq!(waiting(&queue), kept);
}

#[test]
fn after_a_close_the_files_are_all_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let (id, gone) = (commit(&queue, b"stays"), commit(&queue, b"is removed by hand"));
    queue.close();
    assert!(!queue.journal().unwrap().holds(&id));
    fs::remove_file(queue.message_path(&gone)).unwrap();
    fs::remove_file(queue.envelope_path(&gone)).unwrap();
    let late = commit(&queue, b"late: by syncs of its own");
    drop(queue);
    let queue = open(folder.path());
    assert_eq!(waiting(&queue), [id, late]);
}

#[test]
fn without_a_journal_none_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    killed(open(folder.path()));
    for other in [
        QueueSettings { journal_bytes: 0, ..settings(folder.path()) },
        QueueSettings { envelope_sync: SyncLevel::Full, ..settings(folder.path()) },
        QueueSettings { message_sync: SyncLevel::None, ..settings(folder.path()) },
        QueueSettings { journal_bytes: u64::MAX, ..settings(folder.path()) },
    ] {
        let queue = Queue::open(other, Log::discard()).unwrap();
        queue.recover(|| Ok(())).unwrap();
        queue.begin_journal(Vec::new());
        assert!(queue.journal().is_none() && !folder.path().join("journal").exists());
        commit(&queue, b"by files");
    }
}

/// What one operation of the queue may be.
#[derive(Clone, Debug)]
enum Act {
    Accept(usize),
    Finish(usize),
    Attempt(usize),
    Synced(usize),
    Split(usize),
    Defer(usize),
    /// All have been there for a while.
    File,
    /// The power is cut; what becomes of each unsynced file is taken from the number.
    Cut(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => prop_oneof![0usize..300, 60_000usize..70_000].prop_map(Act::Accept),
        2 => any::<usize>().prop_map(Act::Finish),
        1 => any::<usize>().prop_map(Act::Attempt),
        1 => any::<usize>().prop_map(Act::Synced),
        1 => any::<usize>().prop_map(Act::Split),
        1 => any::<usize>().prop_map(Act::Defer),
        1 => Just(Act::File),
        1 => any::<u64>().prop_map(Act::Cut),
    ]
}

/// The queue, and what must be in it.
struct Model {
    queue: Queue,
    /// Body of each message in the control folder.
    active: BTreeMap<QueueId, Vec<u8>>,
    /// Those that were deferred, whole or in part, by domain `down.test`.
    deferred: BTreeMap<QueueId, Vec<u8>>,
    /// Attempts that were recorded in the journal: of those that had no files.
    attempts: BTreeMap<QueueId, u32>,
    /// Files of those that were finished: a power cut may bring them back.
    removed: Vec<(QueueId, PathBuf, Vec<u8>)>,
    folder: PathBuf,
    cuts: usize,
}

impl Model {
    fn pick(&self, number: usize) -> Option<QueueId> {
        let at = number.checked_rem(self.active.len())?;
        self.active.keys().nth(at).cloned()
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Accept(length) => {
                let body = vec![b'a' + (length % 26) as u8; length];
                let id = commit(&self.queue, &body);
                self.active.insert(id, body);
            }
            Act::Finish(number) => {
                let Some(id) = self.pick(number) else { return };
                let held = self.queue.journal().unwrap().holds(&id);
                for path in [self.queue.message_path(&id), self.queue.envelope_path(&id)] {
                    let bytes = fs::read(&path).ok().filter(|_| held);
                    let path = path.strip_prefix(&self.folder).unwrap().to_owned();
                    self.removed.extend(bytes.map(|bytes| (id.clone(), path, bytes)));
                }
                self.queue.load(&id).unwrap().unwrap().finish().unwrap();
                self.active.remove(&id);
            }
            Act::Attempt(number) => {
                let Some(id) = self.pick(number) else { return };
                let mut entry = self.queue.load(&id).unwrap().unwrap();
                entry.record(0, Step::Attempt { next: 1, text: "4.0.0 no".into() }).unwrap();
                if self.queue.young(&id).is_some() {
                    *self.attempts.entry(id).or_default() += 1;
                }
            }
            Act::Synced(number) => {
                let Some(id) = self.pick(number) else { return };
                self.queue.load(&id).unwrap().unwrap().sync().unwrap();
            }
            Act::Split(number) => {
                let Some(id) = self.pick(number) else { return };
                let mut entry = self.queue.load(&id).unwrap().unwrap();
                if entry.envelope.pending().count() < 2 {
                    return;
                }
                let child = entry.split(&[1], "down.test", 9, "4.4.1 refused").unwrap();
                self.deferred.insert(child, self.active[&id].clone());
            }
            Act::Defer(number) => {
                let Some(id) = self.pick(number) else { return };
                self.queue.load(&id).unwrap().unwrap().defer("down.test").unwrap();
                let body = self.active.remove(&id).unwrap();
                self.deferred.insert(id, body);
            }
            Act::File => file_all(&self.queue),
            Act::Cut(seed) => self.cut(seed),
        }
    }

    /// Loses, tears or keeps each file that only the journal makes durable. It goes on in a copy of the folder, since threads
    /// of the queue that was killed are at work in the old one: the journal first, so what it had is in it, or is synced.
    fn cut(&mut self, mut seed: u64) {
        let mut roll = |sides: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % sides
        };
        let new = self.folder.with_extension(self.cuts.to_string());
        self.cuts += 1;
        fs::create_dir(&new).unwrap();
        copy(&super::folder(&self.folder), &super::folder(&new));
        for entry in fs::read_dir(&self.folder).unwrap().map(Result::unwrap) {
            if entry.path() != super::folder(&self.folder) {
                copy(&entry.path(), &new.join(entry.file_name()));
            }
        }
        self.folder = new;
        let mut known = HashMap::new();
        commit_journal::read(&super::folder(&self.folder), |payload| note(&mut known, payload)).unwrap();
        let queue = Queue::open(settings(&self.folder), Log::discard()).unwrap();
        for id in self.active.keys() {
            let Some(last) = known.get(id).filter(|last| last.end.is_none() && !last.envelope.is_empty())
            else {
                continue;
            };
            let message = last.body.as_ref().map(|_| queue.message_path(id));
            for path in std::iter::once(queue.envelope_path(id)).chain(message) {
                lose(&path, roll(4), roll(1 << 20) as usize);
            }
        }
        // One of whose acceptance the journal says nothing any more was removed before the sync that its segment waited for.
        for (id, path, bytes) in self.removed.drain(..) {
            let path = self.folder.join(path);
            match roll(3) {
                _ if known.get(&id).is_none_or(|last| last.envelope.is_empty()) => {}
                0 => fs::write(path, bytes).unwrap(),
                1 => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
                _ => {}
            }
        }
        killed(std::mem::replace(&mut self.queue, queue));
        self.queue.recover(|| Ok(())).unwrap();
        assert_eq!(waiting(&self.queue), self.active.keys().cloned().collect::<Vec<_>>());
        self.queue.begin_journal(Vec::new());
        for (id, body) in &self.active {
            assert!(fs::read(self.queue.message_path(id)).unwrap() == *body, "{id}");
            let attempts = self.queue.load(id).unwrap().unwrap().envelope.attempts;
            assert!(attempts >= self.attempts.get(id).copied().unwrap_or(0), "{id}");
        }
        for (id, body) in &self.deferred {
            let entry = self.queue.load_deferred("down.test", id).unwrap().unwrap();
            assert!(fs::read(entry.message_file()).unwrap() == *body, "{id}");
        }
    }
}

/// With the names that are one file. What gets another name meanwhile may be missing, as after a power cut.
fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").args([from, to]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.lines().all(|line| line.contains("new-")), "{said}");
}

/// Whose inode has other names is one that was synced.
fn lose(path: &Path, how: u64, at: usize) {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata(path).is_ok_and(|meta| meta.nlink() > 1) {
        return;
    }
    let Ok(bytes) = fs::read(path) else { return }; // in memory only
    match how {
        0 => fs::remove_file(path).unwrap(),
        1 => fs::write(path, &bytes[..at % (bytes.len() + 1)]).unwrap(),
        2 => fs::write(path, vec![0; bytes.len()]).unwrap(),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever was done before: after a power cut everything that was accepted and is not finished is there, whole, in one
    /// place; nothing else is.
    #[test]
    fn a_power_cut_at_any_point_loses_nothing(acts in prop::collection::vec(act(), 1..40)) {
        let folder = tempfile::tempdir().unwrap();
        let queue_folder = folder.path().join("queue");
        fs::create_dir(&queue_folder).unwrap();
        let mut model = Model {
            queue: open(&queue_folder),
            active: BTreeMap::new(),
            deferred: BTreeMap::new(),
            attempts: BTreeMap::new(),
            removed: Vec::new(),
            folder: queue_folder,
            cuts: 0,
        };
        for act in acts.iter().chain([&Act::Cut(7)]) {
            model.act(act);
        }
        let lost = fs::read_dir(model.folder.join("lost+found")).unwrap().map(|one| one.unwrap().file_name());
        let lost: Vec<_> = lost.collect();
        prop_assert!(lost.is_empty(), "{lost:?}");
    }
}

/// Most messages are finished before they become files. What is recorded of one that is not survives kill -9, and so does what
/// is recorded behind its first look as a file.
#[test]
fn an_entry_without_files_is_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let in_folder = |name: &str| fs::read_dir(folder.path().join(name)).unwrap().count();
    let files = || in_folder("control") + in_folder("messages");
    let body = vec![b'z'; 3000];
    let (kept, done) = (commit(&queue, &body), commit(&queue, &body));
    assert_eq!((files(), queue.depth()), (0, 2));
    let mut entry = queue.load(&kept).unwrap().unwrap();
    assert_eq!(entry.body().open().unwrap().size().unwrap(), 3000);
    entry.record(0, Step::Done).unwrap();
    entry.sync().unwrap();
    assert!(entry.is_current());
    assert_eq!(queue.load(&kept).unwrap().unwrap().envelope.pending().count(), 1);
    queue.load(&done).unwrap().unwrap().finish().unwrap();
    assert!(queue.load(&done).unwrap().is_none());
    assert_eq!((files(), queue.depth()), (0, 1));
    let (notebook, later) = (entry.notebook(), entry.body());
    file_all(&queue);
    assert_eq!(files(), 2);
    assert!(entry.is_current());
    assert_eq!(later.open().unwrap().size().unwrap(), 3000);
    notebook.write(&[(1, Step::Attempt { next: 5, text: "4.4.1 x".into() })]).unwrap();
    assert!(!entry.is_current(), "somebody else wrote to it");
    killed(queue);
    let queue = open(folder.path());
    assert_eq!(waiting(&queue), std::slice::from_ref(&kept));
    let entry = queue.load(&kept).unwrap().unwrap();
    assert_eq!((entry.envelope.pending().count(), entry.envelope.attempts), (1, 1));
    assert!(fs::read(entry.message_file()).unwrap() == body);
}

/// Whoever looks into the folders finds what has to wait; nobody has to ask for it.
#[test]
fn what_stays_becomes_files_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let usual = QueueSettings::in_folder(folder.path()).filed_after;
    let queue = open_with(QueueSettings { filed_after: usual, ..settings(folder.path()) });
    let id = commit(&queue, b"stays");
    let until = std::time::Instant::now() + Duration::from_secs(240);
    while queue.young(&id).is_some() {
        assert!(std::time::Instant::now() < until);
        std::thread::yield_now();
    }
    assert_eq!(fs::read(queue.message_path(&id)).unwrap(), b"stays");
    assert!(Envelope::decode(&fs::read(queue.envelope_path(&id)).unwrap()).is_ok());
}

/// A delivery writes down what it did while a checkpoint waits for what is lent to it, and the journal is full: it does not
/// wait for that checkpoint in turn.
#[test]
fn steps_are_taken_while_a_checkpoint_waits_for_the_delivery_and_the_journal_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(folder.path());
    let (told, done) = std::sync::mpsc::channel();
    let own = queue.clone();
    std::thread::spawn(move || {
        let id = commit(&own, b"lent");
        let mut entry = own.load(&id).unwrap().unwrap();
        let lent = entry.lend().unwrap();
        let journal = own.journal().unwrap();
        let large = vec![b'x'; 60_000];
        let accepted = |id: &QueueId| journal.accept(id, "text", Some(&large)).unwrap();
        while accepted(&QueueId::next()) {}
        let note = "x".repeat(1000);
        while journal.steps(&QueueId::next(), &note).is_ok() {}
        entry.record(0, Step::Done).unwrap();
        entry.sync().unwrap();
        drop(lent);
        told.send(id).unwrap();
    });
    let id = done.recv_timeout(Duration::from_secs(240)).expect("it waits for the checkpoint");
    killed(queue);
    let queue = Queue::open(settings(folder.path()), Log::discard()).unwrap();
    queue.recover(|| Ok(())).unwrap();
    let pending = queue.load(&id).unwrap().unwrap().envelope.pending().count();
    assert_eq!(pending, 1, "what was written down is there");
}
