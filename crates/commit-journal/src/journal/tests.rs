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
    refuse: AtomicBool,
    /// Checkpoints wait as long as it is locked.
    gate: Mutex<()>,
    done: Condvar,
}

struct Told(Arc<Asked>);

impl Owner for Told {
    fn checkpoint(&self, held: bool) -> io::Result<()> {
        drop(self.0.gate.lock().unwrap());
        self.0.checkpoints.lock().unwrap().push(held);
        self.0.done.notify_all();
        if self.0.refuse.load(Ordering::SeqCst) { Err(io::Error::other("refused")) } else { Ok(()) }
    }

    fn forgotten(&self, epoch: u64) {
        self.0.forgotten.lock().unwrap().push(epoch);
        self.0.done.notify_all();
    }
}

impl Asked {
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
    slow: Duration,
}

impl Medium for Faulty {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(self.slow); // paced: a disk takes its time, in which others come
        if self.fails.load(Ordering::SeqCst) { Err(io::Error::other("bad disk")) } else { Ok(()) }
    }
}

struct Bench {
    journal: Journal,
    asked: Arc<Asked>,
    syncs: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

fn bench(folder: &Path, slow: Duration) -> Bench {
    let asked = Arc::new(Asked::default());
    let (syncs, fails) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let settings = JournalSettings { folder: folder.to_owned(), segment_bytes: SEGMENT };
    let (counted, failing) = (syncs.clone(), fails.clone());
    let make = move |file| -> Arc<dyn Medium> {
        Arc::new(Faulty { file, syncs: counted.clone(), fails: failing.clone(), slow })
    };
    let journal = Journal::open_on(settings, Box::new(Told(asked.clone())), Box::new(make)).unwrap();
    syncs.store(0, Ordering::SeqCst);
    Bench { journal, asked, syncs, fails }
}

fn payloads(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    crate::read(folder, |payload| found.push(String::from_utf8_lossy(payload).into_owned())).unwrap();
    found
}

#[test]
fn what_was_appended_is_read_back_in_order_whether_it_was_committed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path(), Duration::ZERO);
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
    let bench = bench(folder.path(), Duration::from_millis(20));
    std::thread::scope(|scope| {
        for thread in 0..32 {
            let journal = &bench.journal;
            scope.spawn(move || {
                for number in 0..4 {
                    let text = format!("{thread} {number}");
                    let ticket = journal.append(&[text.as_bytes()], Hold::UntilReleased).unwrap();
                    journal.commit(ticket).unwrap();
                    journal.release(ticket.epoch);
                }
            });
        }
    });
    let syncs = bench.syncs.load(Ordering::SeqCst);
    assert!(syncs < 64, "{syncs} syncs for 128 records");
    assert_eq!(payloads(folder.path()).len(), 128);
}

#[test]
fn what_nobody_waits_for_is_synced_soon() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path(), Duration::ZERO);
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
    let bench = bench(folder.path(), Duration::ZERO);
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
    let bench = bench(folder.path(), Duration::ZERO);
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
    let bench = bench(folder.path(), Duration::ZERO);
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

/// A failed sync: everybody in the batch hears of it, the segment is made anew, and the next batch is on another one.
#[test]
fn a_failed_sync_is_told_and_never_repeated_on_the_same_segment() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path(), Duration::ZERO);
    let durable = bench.journal.append(&[b"durable"], Hold::UntilReleased).unwrap();
    bench.journal.commit(durable).unwrap();
    bench.fails.store(true, Ordering::SeqCst);
    let lost = bench.journal.append(&[b"lost"], Hold::UntilReleased).unwrap();
    let also = bench.journal.append(&[b"also"], Hold::UntilReleased).unwrap();
    bench.journal.commit(lost).unwrap_err();
    bench.fails.store(false, Ordering::SeqCst);
    bench.journal.commit(also).unwrap_err();
    bench.journal.commit(durable).unwrap();
    let next = bench.journal.append(&[b"next"], Hold::UntilReleased).unwrap();
    assert_ne!(next.epoch, lost.epoch);
    bench.journal.commit(next).unwrap();
    bench.asked.wait_forgotten(1);
    assert_eq!(*bench.asked.checkpoints.lock().unwrap(), [true], "what it held was made durable elsewhere");
    assert_eq!(payloads(folder.path()), ["next"]);
}

/// When what a segment holds cannot be made durable elsewhere, it is kept for the next start.
#[test]
fn a_checkpoint_that_fails_leaves_the_records_and_stops_the_segment() {
    let folder = tempfile::tempdir().unwrap();
    let bench = bench(folder.path(), Duration::ZERO);
    bench.asked.refuse.store(true, Ordering::SeqCst);
    let large = [b'x'; 5000];
    while bench.journal.append(&[b"kept ", &large], Hold::Always).is_ok() {}
    let count = payloads(folder.path()).len();
    bench.journal.close();
    assert_eq!(payloads(folder.path()).len(), count);
    assert!(bench.asked.forgotten.lock().unwrap().is_empty());
    assert!(matches!(bench.journal.append(&[b"x"], Hold::Nothing), Err(Refused::Full)));
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
