//! A power cut of the store, simulated: of all that was written since it was last synced each file, and each page of those
//! that are written in place, is as it was or as it is, lost or torn; the journals are there, since their records were
//! waited for. Two processes change the same mailboxes meanwhile, each with a journal of its own.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use commit_journal::kinds::ACCEPTED;
use commit_journal::{Hold, Journal, JournalSettings, Owner};
use message_store::*;
use proptest::prelude::*;

const PAGE: usize = 4096;

fn store(folder: &Path) -> Store {
    let settings = StoreSettings { list_sync: false, ..StoreSettings::in_folder(folder) };
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn mailbox(store: &Store, name: &str) -> Arc<Mailbox> {
    store.open_mailbox(&MailboxName::parse(name).unwrap()).unwrap()
}

/// The queue's side of smtpd's journal.
struct Queue;

impl Owner for Queue {
    fn checkpoint(&self, _epoch: u64, _held: bool) -> io::Result<()> {
        Ok(())
    }

    fn stopped(&self, _why: &io::Error) {}

    fn forgotten(&self, _epoch: u64) {}
}

/// smtpd and imapd.
struct Processes {
    smtpd: Store,
    journal: Arc<Journal>,
    imapd: Store,
    delivered: u32,
}

const NAMES: [&str; 2] = ["user/joe", "user/joe/Work"];

impl Processes {
    fn start(folder: &Path) -> Processes {
        let (smtpd, imapd) = (store(folder), store(folder));
        let settings = JournalSettings { folder: folder.join("queue/journal"), segment_bytes: 1 << 20 };
        let journal = Arc::new(Journal::open(settings, Box::new(Queue)).unwrap());
        smtpd.use_journal(journal.clone());
        imapd.ensure_user("joe").unwrap();
        imapd.create(&MailboxName::parse(NAMES[1]).unwrap(), None).unwrap();
        imapd.begin_own_journal();
        let start = Instant::now();
        for name in NAMES {
            append(&mailbox(&imapd, name), "first"); // with it the journal is begun
        }
        while !imapd.has_journal() {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
        Processes { smtpd, journal, imapd, delivered: 0 }
    }

    /// As the queue and mailbox-deliver do it.
    fn deliver(&mut self, folder: &Path, place: usize) {
        self.delivered += 1;
        let id = format!("GPM7U00A.{:03}", self.delivered);
        let text = text(&format!("delivered {}", self.delivered));
        let path = folder.join("queue").join(&id);
        fs::write(&path, &text).unwrap();
        let head = [&[ACCEPTED][..], id.as_bytes(), &3u32.to_le_bytes(), &[1], b"env"].concat();
        self.journal.append(&[&head, text.as_bytes()], Hold::UntilReleased).unwrap();
        let prepared = Prepared::of_bytes(text.as_bytes());
        let sync = || -> io::Result<()> { panic!("the journal takes it") };
        // The queue has a file of some, and others in memory only.
        let in_memory = InMemory::new(text.as_bytes());
        let is_filed = self.delivered % 2 == 0;
        let message = LinkedMessage {
            source: if is_filed { Source::File(&path) } else { Source::Memory(&in_memory) },
            lent: Some(Lent { queue_id: &id, sync: &sync }),
            flags: Flags::NONE,
            internal_date_ns: base::clock::unix_nanos(),
            delivery: DeliveryId { queue_id: &id, recipient: "joe" },
            prepared: &prepared,
            limits: Limits::default(),
        };
        let delivered = mailbox(&self.smtpd, NAMES[place]).deliver(message).unwrap();
        assert!(matches!(delivered, Delivered::New(_)));
        fs::remove_file(&path).unwrap();
    }
}

fn text(subject: &str) -> String {
    format!("Subject: {subject}\r\n\r\n{}\r\n", subject.repeat(200))
}

fn append(mailbox: &Arc<Mailbox>, subject: &str) -> u32 {
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write_all(text(subject).as_bytes()).unwrap();
    incoming.finish(NewMessage { internal_date_ns: 5, ..NewMessage::default() }).unwrap().uid
}

/// UID to modification sequence, flags and text of all that is there.
type Content = BTreeMap<u32, (u64, u32, String)>;

fn content(mailbox: &Mailbox) -> Content {
    let reader = mailbox.reader().unwrap();
    let records = (0..reader.slots()).map(|slot| reader.record(slot)).filter(|record| !record.is_expunged());
    records
        .map(|record| {
            let file = mailbox.open_message(record.uid).unwrap();
            let text = io::read_to_string(file.file.as_ref()).unwrap();
            assert_eq!(text.len(), record.size as usize);
            (record.uid, (record.modseq, record.flags.0, text))
        })
        .collect()
}

type Tree = BTreeMap<PathBuf, Vec<u8>>;

fn tree(folder: &Path, below: &Path, found: &mut Tree) {
    for entry in fs::read_dir(folder.join(below)).unwrap().flatten() {
        let path = below.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => tree(folder, &path, found),
            false => drop(found.insert(path.clone(), fs::read(folder.join(&path)).unwrap())),
        }
    }
}

fn snapshot(folder: &Path) -> Tree {
    let mut found = Tree::new();
    tree(folder, Path::new(""), &mut found);
    found
}

fn put(folder: &Path, tree: &Tree) {
    for (path, bytes) in tree {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// What comes of a seed, again and again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What a disk may have when `old` was synced and `new` was not, but for the journals and the mailbox list.
fn after_a_cut(old: &Tree, new: &Tree, chance: &mut Chance) -> Tree {
    let mut left = Tree::new();
    for path in old.keys().chain(new.keys()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (was, is) = (old.get(path), new.get(path));
        let bytes = match (was, is) {
            _ if path.to_string_lossy().contains("journal/") || path.starts_with("store/mboxlist") => {
                is.cloned()
            }
            (was, is) if was == is => is.cloned(),
            // Pages reach the disk in any order.
            (Some(was), Some(is)) if name == "store.idx" || name == "store.log" => {
                let length = [was.len(), is.len()][chance.below(2) as usize];
                let mut mixed = vec![0; length];
                for at in (0..length).step_by(PAGE) {
                    let from = if chance.below(2) == 0 { was } else { is };
                    let end = length.min(at + PAGE).min(from.len());
                    if at < end {
                        mixed[at..end].copy_from_slice(&from[at..end]);
                    }
                }
                Some(mixed)
            }
            (was, None) => was.filter(|_| chance.below(2) == 0).cloned(), // its removal, perhaps
            (was, Some(is)) => match chance.below(5) {
                0 => was.cloned(),
                1 => Some(Vec::new()),
                2 => Some(is[..is.len() / 2].to_vec()),
                3 => Some(vec![0; is.len()]),
                _ => Some(is.clone()),
            },
        };
        left.extend(bytes.map(|bytes| (path.clone(), bytes)));
    }
    left
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Deliver(usize),
    Append(usize),
    Flag(usize, u32),
    Expunge(usize, u32),
    Copy(usize, u32),
    Move(usize, u32),
    /// The files of what was expunged go.
    CleanUp(usize),
    /// Index and log are synced; message files are not.
    Checkpoint(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let (place, uid) = (0usize..2, 1u32..8);
    prop_oneof![
        4 => place.clone().prop_map(Act::Deliver),
        3 => place.clone().prop_map(Act::Append),
        2 => (place.clone(), uid.clone()).prop_map(|(place, uid)| Act::Flag(place, uid)),
        1 => (place.clone(), uid.clone()).prop_map(|(place, uid)| Act::Expunge(place, uid)),
        2 => (place.clone(), uid.clone()).prop_map(|(place, uid)| Act::Copy(place, uid)),
        1 => (place.clone(), uid).prop_map(|(place, uid)| Act::Move(place, uid)),
        1 => place.clone().prop_map(Act::CleanUp),
        1 => place.prop_map(Act::Checkpoint),
    ]
}

/// Does it; what became durable besides.
fn run(act: Act, processes: &mut Processes, folder: &Path, durable: &mut Tree) {
    let imapd = processes.imapd.clone();
    let at = |place: usize| mailbox(&imapd, NAMES[place]);
    let one = |uid: u32| UidSet::from_ranges([uid..=uid]);
    match act {
        Act::Deliver(place) => processes.deliver(folder, place),
        Act::Append(place) => drop(append(&at(place), &format!("appended {place}"))),
        Act::Flag(place, uid) => {
            let change = FlagChange { how: How::Add, flags: Flags::SEEN, keywords: &[] };
            at(place).change_flags(&one(uid), change, None).unwrap();
        }
        Act::Expunge(place, uid) => drop(at(place).remove(&one(uid)).unwrap()),
        Act::Copy(place, uid) => drop(at(place).copy_to(&one(uid), &at(1 - place)).unwrap()),
        Act::Move(place, uid) => drop(at(place).move_to(&one(uid), &at(1 - place)).unwrap()),
        Act::CleanUp(place) => drop(at(place).clean_up(Duration::ZERO).unwrap()),
        Act::Checkpoint(place) => {
            at(place).checkpoint().unwrap();
            let now = snapshot(folder);
            let own = processes.imapd.folder_of(&MailboxName::parse(NAMES[place]).unwrap()).unwrap();
            let own = own.strip_prefix(folder).unwrap().to_owned();
            for name in ["store.idx", "store.log"] {
                durable.insert(own.join(name), now[&own.join(name)].clone());
            }
        }
    }
}

/// Everything that was acknowledged is there after the next start, nothing that went is back, and doing it again changes
/// nothing.
fn check(left: &Tree, expected: &[Content]) {
    let journals = |path: &PathBuf| path.to_string_lossy().contains("journal/");
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), left);
    for round in 0..3 {
        let store = store(folder.path());
        for (name, expected) in NAMES.iter().zip(expected) {
            let mailbox = mailbox(&store, name);
            assert_eq!(content(&mailbox), *expected, "{name}, round {round}");
            let inspected = mailbox.inspect().unwrap();
            assert!(inspected.is_sound(), "{name}, round {round}: {inspected:?}");
            if round == 1 {
                append(&mailbox, "behind it"); // no UID is given away twice
                let uids: Vec<u32> = content(&mailbox).into_keys().collect();
                assert_eq!(uids.len(), expected.len() + 1);
                mailbox.remove(&UidSet::from_ranges([uids[uids.len() - 1]..=uids[uids.len() - 1]])).unwrap();
            }
        }
        // The replay was interrupted before it emptied the journals.
        for (path, bytes) in left.iter().filter(|(path, _)| journals(path)) {
            fs::write(folder.path().join(path), bytes).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_was_acknowledged_is_there_after_a_power_cut(
        acts in proptest::collection::vec(act(), 1..14),
        seeds in proptest::collection::vec(any::<u64>(), 3),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Processes::start(folder.path());
        let mut durable = snapshot(folder.path());
        for act in acts {
            run(act, &mut processes, folder.path(), &mut durable);
        }
        let now = snapshot(folder.path());
        let expected: Vec<Content> =
            NAMES.iter().map(|name| content(&mailbox(&processes.imapd, name))).collect();
        check(&now, &expected); // kill -9
        for seed in seeds {
            check(&after_a_cut(&durable, &now, &mut Chance(seed)), &expected);
        }
        std::mem::forget(processes.journal); // nothing is put in its place
    }

    /// Nobody was told of the last change, since its record was not synced: it happened whole, or not at all.
    #[test]
    fn what_was_not_acknowledged_is_there_whole_or_not_at_all(
        acts in proptest::collection::vec(act(), 0..4),
        last in act(),
        seeds in proptest::collection::vec(any::<u64>(), 6),
    ) {
        prop_assume!(!matches!(last, Act::Move(..) | Act::Checkpoint(_) | Act::CleanUp(_)));
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Processes::start(folder.path());
        let mut durable = snapshot(folder.path());
        for act in acts {
            run(act, &mut processes, folder.path(), &mut durable);
        }
        let contents = |store: &Store| NAMES.map(|name| content(&mailbox(store, name)));
        let before = snapshot(folder.path());
        let without = contents(&processes.imapd);
        run(last, &mut processes, folder.path(), &mut durable);
        let with = contents(&processes.imapd);
        let mut now = snapshot(folder.path());
        // The index shows a change when its record is durable.
        for (path, bytes) in &before {
            if path.ends_with("store.idx") || path.to_string_lossy().contains("journal/") {
                now.insert(path.clone(), bytes.clone());
            }
        }
        for seed in seeds {
            let left = tempfile::tempdir().unwrap();
            put(left.path(), &after_a_cut(&durable, &now, &mut Chance(seed)));
            let store = store(left.path());
            for (place, found) in NAMES.iter().enumerate() {
                let mailbox = mailbox(&store, found);
                let names = |content: &Content| -> Vec<(u32, u32)> {
                    content.iter().map(|(uid, (_, flags, _))| (*uid, *flags)).collect()
                };
                let found = records(&mailbox);
                prop_assert!(found == names(&without[place]) || found == names(&with[place]), "{:?}", found);
                let inspected = mailbox.inspect().unwrap();
                prop_assert!(inspected.without_file + inspected.damaged == 0, "{:?}", inspected);
            }
        }
        std::mem::forget(processes.journal);
    }
}

/// UIDs and flags of all that is there.
fn records(mailbox: &Mailbox) -> Vec<(u32, u32)> {
    let reader = mailbox.reader().unwrap();
    let records = (0..reader.slots()).map(|slot| reader.record(slot)).filter(|record| !record.is_expunged());
    records.map(|record| (record.uid, record.flags.0)).collect()
}

/// A mailbox on another file system gets a file of its own. Where the journal does not take the delivery, that is synced:
/// what makes the queue's file durable says nothing of it.
#[test]
fn a_copy_on_another_file_system_is_not_held_for_the_file_of_the_queue() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev());
    let here = device(folder.path()).unwrap();
    let others = ["/dev/shm", "/run", "/tmp"].map(Path::new).into_iter();
    let mut others = others.filter(|path| device(path).is_ok_and(|there| there != here));
    let Some(elsewhere) = others.find_map(|path| tempfile::tempdir_in(path).ok()) else { return };
    let processes = Processes::start(folder.path());
    processes.journal.close(); // it takes nothing
    let (path, text) = (elsewhere.path().join("GPM7U00A.001"), text("delivered"));
    fs::write(&path, &text).unwrap();
    let sync = || -> io::Result<()> { panic!("the file of the queue is not the mailbox's") };
    let message = LinkedMessage {
        source: Source::File(&path),
        lent: Some(Lent { queue_id: "GPM7U00A.001", sync: &sync }),
        flags: Flags::NONE,
        internal_date_ns: base::clock::unix_nanos(),
        delivery: DeliveryId { queue_id: "GPM7U00A.001", recipient: "joe" },
        prepared: &Prepared::of_bytes(text.as_bytes()),
        limits: Limits::default(),
    };
    let delivered = mailbox(&processes.smtpd, NAMES[0]).deliver(message).unwrap();
    assert!(matches!(delivered, Delivered::New(_)));
}
