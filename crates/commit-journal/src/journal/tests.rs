//! The journal on files, and on files that fail.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

const SEGMENT: u64 = 64 * 1024;

/// What an owner was asked.
#[derive(Default)]
struct Asked {
    checkpoints: Mutex<Vec<bool>>,
    forgotten: Mutex<Vec<u64>>,
    stopped: AtomicUsize,
    refuse: AtomicBool,
    /// Checkpoints wait as long as it is locked.
    gate: Mutex<()>,
    done: Condvar,
}

struct Told(Arc<Asked>);

impl Owner for Told {
    fn checkpoint(&self, _epoch: u64, held: bool) -> io::Result<()> {
        drop(self.0.gate.lock().unwrap());
        self.0.checkpoints.lock().unwrap().push(held);
        self.0.done.notify_all();
        if self.0.refuse.load(Ordering::SeqCst) { Err(io::Error::other("refused")) } else { Ok(()) }
    }

    fn stopped(&self, _: &io::Error) {
        self.0.stopped.fetch_add(1, Ordering::SeqCst);
        drop(self.0.checkpoints.lock().unwrap()); // who waits looks before or after
        self.0.done.notify_all();
    }

    fn forgotten(&self, epoch: u64) {
        self.0.forgotten.lock().unwrap().push(epoch);
        self.0.done.notify_all();
    }
}

impl Asked {
    fn wait_stopped(&self) {
        let mut checkpoints = self.checkpoints.lock().unwrap();
        while self.stopped.load(Ordering::SeqCst) == 0 {
            checkpoints = self.done.wait(checkpoints).unwrap();
        }
    }

    fn wait_forgotten(&self, count: usize) {
        let mut forgotten = self.forgotten.lock().unwrap();
        while forgotten.len() < count {
            forgotten = self.done.wait(forgotten).unwrap();
        }
    }
}

/// A file that counts its syncs, and fails some.
struct Faulty {
    file: fs::File,
    syncs: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    full: Arc<AtomicBool>,
    /// Syncs wait as long as it is locked.
    gate: Arc<Mutex<()>>,
}

impl Medium for Faulty {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::Error::other("bad disk"));
        }
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.gate.lock().unwrap());
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) { Err(io::Error::other("bad disk")) } else { Ok(()) }
    }
}

struct Bench {
    journal: Journal,
    asked: Arc<Asked>,
    syncs: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
    /// Writes fail.
    full: Arc<AtomicBool>,
    /// As long as it is locked no sync is made: not even that of the keeper, which comes of itself when the thread of a test stands
    /// still for a second.
    syncing: Arc<Mutex<()>>,
}

fn bench(folder: &Path) -> Bench {
    let asked = Arc::new(Asked::default());
    let (syncs, fails) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let settings = JournalSettings { folder: folder.to_owned(), segment_bytes: SEGMENT };
    let (full, syncing) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(())));
    let gate = syncing.clone();
    let (counted, failing, filled) = (syncs.clone(), fails.clone(), full.clone());
    let make = move |file| -> Arc<dyn Medium> {
        let (syncs, fails, full) = (counted.clone(), failing.clone(), filled.clone());
        Arc::new(Faulty { file, syncs, fails, full, gate: gate.clone() })
    };
    let journal = Journal::open_on(settings, Box::new(Told(asked.clone())), Box::new(make)).unwrap();
    syncs.store(0, Ordering::SeqCst);
    Bench { journal, asked, syncs, fails, full, syncing }
}

fn payloads(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    crate::read(folder, |payload| found.push(String::from_utf8_lossy(payload).into_owned())).unwrap();
    found
}

#[test]
fn what_was_appended_is_read_back_in_order_whether_it_was_committed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    for number in 0..20 {
        let ticket = bench.journal.append(&[b"record ", format!("{number}").as_bytes()], Hold::UntilReleased);
        if number % 3 == 0 {
            bench.journal.commit(ticket.unwrap()).unwrap();
        }
    }
    let expected: Vec<String> = (0..20).map(|number| format!("record {number}")).collect();
    assert_eq!(payloads(folder.path()), expected);
    bench.journal.close();
    assert_eq!(payloads(folder.path()), Vec::<String>::new(), "closed, it holds nothing");
    assert_eq!(*bench.asked.checkpoints.lock().unwrap(), [true]);
    assert!(matches!(bench.journal.append(&[b"late"], Hold::Nothing), Err(Refused::Full)));
}

#[test]
fn those_who_wait_share_a_sync() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    for round in 1..=4 {
        let appended = AtomicUsize::new(0);
        let sync = bench.syncing.lock().unwrap(); // a disk takes its time, in which others come
        std::thread::scope(|scope| {
            for thread in 0..32 {
                let (journal, appended) = (&bench.journal, &appended);
                scope.spawn(move || {
                    let text = format!("{thread} {round}");
                    let ticket = journal.append(&[text.as_bytes()], Hold::UntilReleased).unwrap();
                    appended.fetch_add(1, Ordering::SeqCst);
                    journal.commit(ticket).unwrap();
                    journal.release(ticket.epoch);
                });
            }
            while appended.load(Ordering::SeqCst) < 32 {
                std::thread::yield_now();
            }
            drop(sync);
        });
        // The first took whoever had come before it, and the second all others.
        let syncs = bench.syncs.load(Ordering::SeqCst);
        assert!(syncs <= 2 * round, "{syncs} syncs for {round} times 32 records");
    }
    assert_eq!(payloads(folder.path()).len(), 128);
}

#[test]
fn what_nobody_waits_for_is_synced_soon() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    let ticket = bench.journal.append(&[b"lazy"], Hold::Nothing).unwrap();
    let begin = Instant::now();
    let mut state = bench.journal.shared.lock();
    while state.settled < ticket.sequence {
        assert!(begin.elapsed() < Duration::from_secs(30));
        state = bench.journal.shared.settled.wait_timeout(state, Duration::from_secs(1)).unwrap().0;
    }
    assert_eq!(bench.syncs.load(Ordering::SeqCst), 1);
}

/// A full segment is emptied and used again; what it held is never taken for new.
#[test]
fn a_full_segment_is_checkpointed_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    let large = [b'x'; 5000];
    let mut written = 0;
    while bench.asked.forgotten.lock().unwrap().len() < 5 {
        match bench.journal.append(&[format!("{written} ").as_bytes(), &large], Hold::Always) {
            Ok(ticket) => {
                bench.journal.commit(ticket).unwrap();
                written += 1;
            }
            Err(Refused::Full) => bench.asked.wait_forgotten(1), // the keeper is behind
            Err(other) => panic!("{other:?}"),
        }
    }
    let kept = payloads(folder.path());
    let last = written - kept.len();
    for (at, text) in kept.iter().enumerate() {
        assert!(text.starts_with(&format!("{} ", last + at)), "{at} of {}: {}", kept.len(), &text[..10]);
    }
    assert!(bench.asked.checkpoints.lock().unwrap().iter().all(|held| *held));
    let epochs = bench.asked.forgotten.lock().unwrap().clone();
    assert!(epochs.windows(2).all(|pair| pair[0] < pair[1]), "{epochs:?}");
}

#[test]
fn a_segment_of_which_all_was_released_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    let large = [b'x'; 5000];
    while bench.asked.forgotten.lock().unwrap().is_empty() {
        match bench.journal.append(&[&large], Hold::UntilReleased) {
            Ok(ticket) => bench.journal.release(ticket.epoch),
            Err(_) => bench.asked.wait_forgotten(1),
        }
    }
    assert!(!bench.asked.checkpoints.lock().unwrap()[0], "nothing was held");
}

/// Both segments full: ordinary records are refused at once, what says something about others waits for room.
#[test]
fn without_room_ordinary_records_are_refused_and_the_others_wait() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    let gate = bench.asked.gate.lock().unwrap();
    let large = [b'x'; 5000];
    while bench.journal.append(&[&large], Hold::Always).is_ok() {}
    assert!(matches!(bench.journal.append(&[&large], Hold::UntilReleased), Err(Refused::Full)));
    bench.journal.append(&[b"of another"], Hold::Nothing).unwrap(); // room was left for it
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            while bench.asked.forgotten.lock().unwrap().is_empty() {
                bench.journal.append(&[&[b'y'; 500]], Hold::Nothing).unwrap();
            }
        });
        drop(gate);
        waits.join().unwrap();
    });
    assert!(matches!(bench.journal.append(&[&vec![0; SEGMENT as usize]], Hold::Always), Err(Refused::Full)));
}

impl Bench {
    fn durable(&self, text: &str, hold: Hold) -> Ticket {
        let ticket = self.journal.append(&[text.as_bytes()], hold).unwrap();
        self.journal.commit(ticket).unwrap();
        ticket
    }

    /// Until the journal has no room for more.
    fn fill(&self, text: &str) {
        let large = [b'.'; 5000];
        while let Ok(ticket) = self.journal.append(&[text.as_bytes(), &large], Hold::Always) {
            self.journal.commit(ticket).unwrap();
        }
    }

    /// Until the second segment is written.
    fn fill_one(&self) {
        let large = [b'.'; 5000];
        let mut first = None;
        loop {
            let ticket = self.journal.append(&[b"much", &large], Hold::Always).unwrap();
            self.journal.commit(ticket).unwrap();
            if *first.get_or_insert(ticket.epoch) != ticket.epoch {
                return;
            }
        }
    }

    /// The journal has stopped: it takes nothing to keep, and says so once.
    fn is_stopped(&self) {
        self.asked.wait_stopped();
        for _ in 0..2 {
            for hold in [Hold::UntilReleased, Hold::Always] {
                assert!(matches!(self.journal.append(&[b"x"], hold), Err(Refused::Full)));
            }
        }
        assert_eq!(self.asked.stopped.load(Ordering::SeqCst), 1);
    }

    /// What the next start finds, after a kill and after a clean end; no segment was emptied.
    fn ends_with(self, folder: &Path, expected: &[&str]) {
        let found = |when: &str| {
            let found: Vec<String> =
                payloads(folder).iter().map(|text| text.trim_end_matches('.').to_owned()).collect();
            let kept: Vec<&str> = found.iter().map(String::as_str).filter(|text| *text != "much").collect();
            assert_eq!(kept, expected, "{when}");
            found.len()
        };
        let before = found("killed");
        self.journal.close();
        assert_eq!(found("closed"), before);
    }
}

/// A failed sync: everybody in the batch hears of it, nothing new is taken, and what ends a record that is durable goes
/// to the other segment. Nothing is emptied by a clean end, whether the owner could still checkpoint or not.
#[test]
fn a_failed_sync_is_told_never_repeated_and_stops_the_journal() {
    for refuse in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let bench = bench(folder.path());
        let durable = bench.durable("accepted X", Hold::UntilReleased);
        bench.fails.store(true, Ordering::SeqCst);
        let sync = bench.syncing.lock().unwrap();
        let lost = bench.journal.append(&[b"accepted Y"], Hold::UntilReleased).unwrap();
        let also = bench.journal.append(&[b"accepted Z"], Hold::UntilReleased).unwrap();
        drop(sync);
        bench.journal.commit(lost).unwrap_err();
        bench.fails.store(false, Ordering::SeqCst);
        bench.asked.refuse.store(refuse, Ordering::SeqCst);
        bench.journal.commit(also).unwrap_err();
        bench.journal.commit(durable).unwrap();
        bench.is_stopped();
        let syncs = bench.syncs.load(Ordering::SeqCst);
        assert_ne!(bench.durable("finished X", Hold::Nothing).epoch, durable.epoch);
        assert_eq!(bench.syncs.load(Ordering::SeqCst), syncs + 1, "of the other segment");
        bench.journal.release(durable.epoch);
        assert!(bench.asked.checkpoints.lock().unwrap().is_empty());
        bench.ends_with(folder.path(), &["accepted X", "accepted Y", "accepted Z", "finished X"]);
    }
}

/// What nobody waits for, and whose sync failed, is written once more to the other segment.
#[test]
fn an_end_whose_sync_failed_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    let durable = bench.durable("accepted X", Hold::UntilReleased);
    bench.fails.store(true, Ordering::SeqCst);
    let sync = bench.syncing.lock().unwrap();
    bench.journal.append(&[b"finished X"], Hold::Nothing).unwrap();
    let lost = bench.journal.append(&[b"accepted Y"], Hold::UntilReleased).unwrap();
    drop(sync);
    assert_eq!(lost.epoch, durable.epoch);
    bench.journal.commit(lost).unwrap_err();
    bench.fails.store(false, Ordering::SeqCst);
    bench.is_stopped();
    // The failed segment lost what was not synced.
    let first = folder.path().join("1");
    let bytes = fs::read(&first).unwrap();
    let tail = 2 * PAGE_BYTES as usize;
    fs::write(&first, [&bytes[..tail], &vec![0; bytes.len() - tail][..]].concat()).unwrap();
    bench.ends_with(folder.path(), &["accepted X", "finished X"]);
}

/// The checkpoint of a full segment fails while the other one is written: the ends in that one are kept with it.
#[test]
fn a_checkpoint_that_fails_stops_the_journal_and_keeps_the_ends() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    bench.asked.refuse.store(true, Ordering::SeqCst);
    bench.durable("accepted X", Hold::UntilReleased);
    bench.fill_one();
    bench.is_stopped();
    bench.asked.refuse.store(false, Ordering::SeqCst); // the kernel tells once
    bench.durable("finished X", Hold::Nothing);
    bench.ends_with(folder.path(), &["accepted X", "finished X"]);
}

/// The first checkpoint is that of the clean end: the younger segment is not emptied either.
#[test]
fn a_checkpoint_that_fails_at_the_end_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    bench.asked.refuse.store(true, Ordering::SeqCst);
    bench.durable("accepted X", Hold::UntilReleased);
    let sync = bench.syncing.lock().unwrap();
    bench.journal.append(&[b"finished X"], Hold::Nothing).unwrap();
    let syncs = bench.syncs.load(Ordering::SeqCst);
    drop(sync);
    bench.journal.close();
    assert!(bench.syncs.load(Ordering::SeqCst) > syncs, "what nobody waited for is durable");
    assert_eq!(bench.asked.checkpoints.lock().unwrap().len(), 1);
    assert!(bench.asked.forgotten.lock().unwrap().is_empty());
    bench.ends_with(folder.path(), &["accepted X", "finished X"]);
}

/// Stuck, and then a sync of the other segment fails: nothing can be said any more, and nothing that was said is lost.
#[test]
fn when_both_segments_failed_ends_are_refused_and_nothing_is_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    bench.asked.refuse.store(true, Ordering::SeqCst);
    for end in ["accepted X", "accepted Y"] {
        bench.durable(end, Hold::UntilReleased);
    }
    bench.fill_one();
    bench.is_stopped();
    bench.durable("finished X", Hold::Nothing);
    bench.fails.store(true, Ordering::SeqCst);
    let lost = bench.journal.append(&[b"finished Y"], Hold::Nothing).unwrap();
    bench.journal.commit(lost).unwrap_err();
    bench.fails.store(false, Ordering::SeqCst);
    assert!(matches!(bench.journal.append(&[b"finished Y"], Hold::Nothing), Err(Refused::Full)));
    bench.is_stopped();
    bench.ends_with(folder.path(), &["accepted X", "accepted Y", "finished X", "finished Y"]);
}

/// Stuck, and then the other segment is full of ends: they are refused, not waited for.
#[test]
fn when_the_other_segment_is_full_ends_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    bench.asked.refuse.store(true, Ordering::SeqCst);
    bench.durable("accepted X", Hold::UntilReleased);
    bench.fill_one();
    bench.is_stopped();
    let mut ends = 0;
    while bench.journal.append(&[b"much"], Hold::Nothing).is_ok() {
        ends += 1;
        assert!(ends < 10_000);
    }
    assert!(ends > 0);
    bench.ends_with(folder.path(), &["accepted X"]);
}

/// A sync fails while the other segment is checkpointed. When that is successful, it takes the ends.
#[test]
fn an_end_waits_for_the_segment_that_is_checkpointed() {
    for refuse in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let bench = bench(folder.path());
        let gate = bench.asked.gate.lock().unwrap();
        bench.fill("much"); // both
        while !bench.journal.shared.lock().segments.iter().any(|one| one.usage == Use::Emptying) {
            std::thread::yield_now();
        }
        bench.asked.refuse.store(refuse, Ordering::SeqCst);
        bench.fails.store(true, Ordering::SeqCst);
        let lost = bench.journal.append(&[b"finished W"], Hold::Nothing).unwrap();
        bench.journal.commit(lost).unwrap_err();
        bench.fails.store(false, Ordering::SeqCst);
        std::thread::scope(|scope| {
            let end = scope.spawn(|| bench.journal.append(&[b"finished X"], Hold::Nothing));
            drop(gate);
            let end = end.join().unwrap();
            assert_eq!(end.is_err(), refuse, "{end:?}");
        });
        bench.is_stopped();
        let expected: &[&str] = match refuse {
            false => &["finished W", "finished W", "finished X"], // in the failed one, and once more
            true => &["finished W"],
        };
        bench.ends_with(folder.path(), expected);
    }
}

/// A write that fails is as a sync that does.
#[test]
fn a_failed_write_stops_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path());
    bench.durable("accepted X", Hold::UntilReleased);
    bench.full.store(true, Ordering::SeqCst);
    let refused = bench.journal.append(&[b"accepted Y"], Hold::UntilReleased);
    assert!(matches!(refused, Err(Refused::Io(_))), "{refused:?}");
    bench.full.store(false, Ordering::SeqCst);
    bench.is_stopped();
    bench.durable("finished X", Hold::Nothing);
    bench.ends_with(folder.path(), &["accepted X", "finished X"]);
}

/// The next start makes a segment anew that the disk does not take any more, and has a whole journal again.
#[test]
fn a_segment_that_cannot_be_used_again_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    drop(bench(folder.path()));
    let first = fs::metadata(folder.path().join("1")).unwrap();
    let settings = JournalSettings { folder: folder.path().to_owned(), segment_bytes: SEGMENT };
    let (syncs, fails) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let make = move |file| -> Arc<dyn Medium> {
        let (syncs, fails) = (syncs.clone(), fails.clone());
        Arc::new(Faulty { file, syncs, fails, full: Arc::default(), gate: Arc::default() })
    };
    let journal = Journal::open_on(settings, Box::new(Told(Arc::default())), Box::new(make)).unwrap();
    let made = fs::metadata(folder.path().join("1")).unwrap();
    assert_ne!(std::os::unix::fs::MetadataExt::ino(&first), std::os::unix::fs::MetadataExt::ino(&made));
    drop(journal);
}

/// A new writer goes on with the files that are there, and with others when the size was changed.
#[test]
fn it_is_opened_again_with_the_same_size_and_with_another() {
    let folder = tempfile::tempdir().unwrap();
    for segment_bytes in [SEGMENT, SEGMENT, 2 * SEGMENT] {
        let settings = JournalSettings { folder: folder.path().to_owned(), segment_bytes };
        let journal = Journal::open(settings, Box::new(Told(Arc::default()))).unwrap();
        let ticket = journal.append(&[b"x"], Hold::UntilReleased).unwrap();
        journal.commit(ticket).unwrap();
        assert_eq!(payloads(folder.path()), ["x"]);
        assert_eq!(fs::metadata(folder.path().join("2")).unwrap().len(), segment_bytes);
        std::mem::forget(journal); // killed: nothing is put in its place
        crate::clear(folder.path()).unwrap();
        assert!(payloads(folder.path()).is_empty());
    }
    crate::remove(folder.path()).unwrap();
    assert!(!folder.path().exists());
    fs::create_dir(folder.path()).unwrap();
}
