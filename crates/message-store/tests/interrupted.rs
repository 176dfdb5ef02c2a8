//! What interruptions and damage leave: nothing that was acknowledged is missing, nothing that was removed is back.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use commit_journal::{SyncLevel, SyncLevels};
use message_store::{
    Delivered, DeliveryId, FlagChange, Flags, How, InMemory, LinkedMessage, Mailbox, MailboxName, NewMessage,
    Prepared, Source, Store, StoreLog, StoreSettings, UidSet,
};

/// Where the parts of an index are: `docs/formats/store.md`.
const HEADER_AT: usize = 8;
const HEADER_BOOT: usize = HEADER_AT + 104;
const HEADER_CRC: usize = HEADER_AT + 168;
const BLOCKS_AT: usize = 8192;
const HOT_BYTES: usize = 32;

const TEXT: &[u8] = b"Subject: q\r\n\r\nx\r\n";

fn store(folder: &Path) -> Store {
    let settings = StoreSettings {
        sync: SyncLevels::all(SyncLevel::None),
        list_sync: false,
        ..StoreSettings::in_folder(folder)
    };
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn inbox(store: &Store) -> Arc<Mailbox> {
    store.ensure_user("joe").unwrap();
    store.open_mailbox(&MailboxName::inbox("joe").unwrap()).unwrap()
}

fn append(mailbox: &Arc<Mailbox>) -> u32 {
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write_all(TEXT).unwrap();
    incoming.finish(NewMessage { internal_date_ns: 5, ..NewMessage::default() }).unwrap().uid
}

fn uids(mailbox: &Mailbox) -> Vec<u32> {
    let reader = mailbox.reader().unwrap();
    let records = (0..reader.slots()).map(|slot| reader.record(slot));
    records.filter(|record| !record.is_expunged()).map(|record| record.uid).collect()
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if entry.file_name() == name {
            return Some(path);
        }
        if let Some(found) = path.is_dir().then(|| find(&path, name)).flatten() {
            return Some(found);
        }
    }
    None
}

/// An index as another start of the system finds it.
fn of_another_boot(mut index: Vec<u8>) -> Vec<u8> {
    index[HEADER_BOOT] ^= 0xff;
    let crc = crc32fast::hash(&index[HEADER_AT..HEADER_CRC]);
    index[HEADER_CRC..HEADER_CRC + 4].copy_from_slice(&crc.to_le_bytes());
    index
}

/// Its writer may wait for the processor or for a page of the index, for long: nobody sees no keywords because of that, nor
/// makes copies without them.
#[test]
fn keywords_and_uid_validity_are_told_while_a_change_is_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mailbox = inbox(&store);
    append(&mailbox);
    let keywords = ["$Junk".to_owned()];
    let junk = FlagChange { how: How::Add, flags: Flags::default(), keywords: &keywords };
    mailbox.change_flags(&UidSet::single(1), junk, None).unwrap();
    let validity = mailbox.uid_validity();
    let path = find(folder.path(), "store.idx").unwrap();
    let index = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut sequence = [0; 8];
    index.read_exact_at(&mut sequence, 0).unwrap();
    let odd = u64::from_le_bytes(sequence) + 1;
    index.write_all_at(&odd.to_le_bytes(), 0).unwrap();
    assert_eq!(mailbox.keywords(), keywords);
    assert_eq!(mailbox.uid_validity(), validity);
    assert!(validity > 0 && odd % 2 == 1);
}

#[test]
fn behind_a_damaged_last_record_messages_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mailbox = inbox(&store);
    (0..5).for_each(|_| assert!(append(&mailbox) > 0));
    let path = find(folder.path(), "store.idx").unwrap();
    let at = (BLOCKS_AT + 4 * HOT_BYTES) as u64;
    let index = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut byte = [0];
    index.read_exact_at(&mut byte, at).unwrap();
    index.write_all_at(&[byte[0] ^ 1], at).unwrap();
    let said: Vec<u32> = (0..3).map(|_| append(&mailbox)).collect();
    assert_eq!(said, [6, 7, 8]);
    assert_eq!(uids(&mailbox), [1, 2, 3, 4, 6, 7, 8]);
    mailbox.reconstruct().unwrap();
    assert_eq!(uids(&mailbox), [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// Pages of a map go to disk in any order. Whichever of them a power cut left old, the log has the rest.
#[test]
fn after_a_power_cut_any_mixture_of_pages_comes_to_the_same() {
    const PAGE: usize = 4096;
    // 300 messages: hot records of two blocks, on several pages.
    let folder = tempfile::tempdir().unwrap();
    let (path, old, new);
    {
        let store = store(folder.path());
        let mailbox = inbox(&store);
        (0..140).for_each(|_| assert!(append(&mailbox) > 0));
        path = find(folder.path(), "store.idx").unwrap();
        old = fs::read(&path).unwrap();
        (0..160).for_each(|_| assert!(append(&mailbox) > 0));
        new = fs::read(&path).unwrap();
    }
    let pages = new.len().div_ceil(PAGE);
    let differing: Vec<usize> = (0..pages)
        .filter(|page| {
            let at = page * PAGE;
            old.get(at..at + PAGE) != new.get(at..at + PAGE)
        })
        .collect();
    assert!(differing.len() >= 4, "{differing:?}");
    let mixtures = (0..1u32 << differing.len().min(7)).chain([u32::MAX]);
    for mixture in mixtures {
        let mut mixed = new.clone();
        for (bit, page) in differing.iter().enumerate() {
            let (from, to) = (page * PAGE, (page + 1) * PAGE);
            if mixture >> bit.min(31) & 1 == 1 {
                let zeros = vec![0; PAGE];
                mixed[from..to].copy_from_slice(old.get(from..to).unwrap_or(&zeros));
            }
        }
        fs::write(&path, of_another_boot(mixed)).unwrap();
        let store = store(folder.path());
        let mailbox = inbox(&store);
        assert!(mailbox.change_flags(&UidSet::single(1), seen(), None).is_ok());
        assert_eq!(uids(&mailbox), (1..=300).collect::<Vec<u32>>(), "mixture {mixture:b}");
        assert_eq!(mailbox.status().unwrap().exists, 300, "mixture {mixture:b}");
    }
}

fn seen() -> FlagChange<'static> {
    FlagChange { how: How::Add, flags: Flags::SEEN, keywords: &[] }
}

/// A rebuild that is interrupted when the new index is in place and the new log is not.
#[test]
fn an_interrupted_rebuild_keeps_flags_and_brings_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = store(folder.path());
        let mailbox = inbox(&store);
        (0..3).for_each(|_| assert!(append(&mailbox) > 0));
        let flagged = FlagChange { how: How::Add, flags: Flags::FLAGGED, keywords: &[] };
        mailbox.change_flags(&UidSet::single(1), flagged, None).unwrap();
        mailbox.remove(&UidSet::single(2)).unwrap();
    }
    let index = find(folder.path(), "store.idx").unwrap();
    let log = index.with_file_name("store.log");
    let old_log = fs::read(&log).unwrap();
    fs::remove_file(&index).unwrap();
    assert_eq!(uids(&inbox(&store(folder.path()))), [1, 3]);
    fs::write(&log, old_log).unwrap();
    let store = store(folder.path());
    let mailbox = inbox(&store);
    assert_eq!(append(&mailbox), 4);
    assert_eq!(uids(&mailbox), [1, 3, 4]);
    let reader = mailbox.reader().unwrap();
    assert!(reader.record(0).flags.contains(Flags::FLAGGED));
}

/// The record of a delivery is there and its file is not (a power cut on a file system that commits names late): the queue
/// has the only copy, and must not be told that it is here.
#[test]
fn a_delivery_whose_file_is_gone_is_done_again_and_one_that_was_removed_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mailbox = inbox(&store);
    let source = folder.path().join("queue-file");
    fs::write(&source, TEXT).unwrap();
    let prepared = Prepared::of_bytes(TEXT);
    let arrived = base::clock::unix_nanos(); // once, however often it is given, and whenever
    let give = || {
        let message = LinkedMessage {
            lent: None,
            source: Source::File(&source),
            flags: Flags::NONE,
            internal_date_ns: arrived,
            delivery: DeliveryId { queue_id: "Q 1", recipient: "joe" },
            prepared: &prepared,
            limits: message_store::Limits::default(),
        };
        mailbox.deliver(message).unwrap()
    };
    assert_eq!(give(), Delivered::New(1));
    assert_eq!(give(), Delivered::AlreadyThere(1));
    let file = find(folder.path(), "1.msg").unwrap();
    fs::remove_file(&file).unwrap();
    assert_eq!(give(), Delivered::New(2));
    mailbox.remove(&UidSet::single(2)).unwrap();
    fs::remove_file(file.with_file_name("2.msg")).unwrap();
    assert_eq!(give(), Delivered::AlreadyThere(2), "its owner removed it");
}

/// The disk was mounted anew, or a snapshot put back, while the system ran: the pages are old, and it is the same boot. Each
/// start of stored counts.
#[test]
fn old_pages_in_the_same_boot_get_what_the_log_has() {
    let folder = tempfile::tempdir().unwrap();
    let path;
    {
        let store = store(folder.path());
        let mailbox = inbox(&store);
        (0..10).for_each(|_| assert!(append(&mailbox) > 0));
        path = find(folder.path(), "store.idx").unwrap();
        let old = fs::read(&path).unwrap();
        mailbox.change_flags(&UidSet::all(), seen(), None).unwrap();
        mailbox.remove(&UidSet::single(3)).unwrap();
        let new = fs::read(&path).unwrap();
        let mixed = [&new[..BLOCKS_AT], &old[BLOCKS_AT..]].concat();
        fs::write(&path, mixed).unwrap();
    }
    let store = store(folder.path());
    let mailbox = inbox(&store);
    assert_eq!(uids(&mailbox), [1, 2, 4, 5, 6, 7, 8, 9, 10]);
    let status = mailbox.status().unwrap();
    assert_eq!((status.exists, status.unseen), (9, 0));
}

/// stored starts again while sessions are there: the logs are applied once more, and nobody sees a message as it was.
#[test]
fn sessions_never_see_an_older_state_while_the_log_is_applied_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let mailbox = inbox(&store);
    (0..200).for_each(|_| assert!(append(&mailbox) > 0));
    mailbox.change_flags(&UidSet::all(), seen(), None).unwrap();
    mailbox.remove(&UidSet::single(7)).unwrap();
    let (stop, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let reader = mailbox.reader().unwrap();
                for record in (0..reader.slots()).map(|slot| reader.record(slot)) {
                    assert!(record.flags.contains(Flags::SEEN), "{record:?}");
                    assert!(record.uid != 7 || record.is_expunged());
                }
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        let flagged = FlagChange { how: How::Add, flags: Flags::FLAGGED, keywords: &[] };
        let mut changes = 0;
        // Until there were some looks in between: a thread begins when there is a processor for it.
        while changes < 100 || (looks.load(Ordering::Relaxed) < 3 && !looking.is_finished()) {
            store.begin_recovery().unwrap();
            mailbox.change_flags(&UidSet::single(changes % 100 + 1), flagged, None).unwrap();
            changes += 1;
        }
        stop.store(true, Ordering::Relaxed);
        looking.join().unwrap();
    });
    assert_eq!(mailbox.status().unwrap().exists, 199);
}

/// A message without a file of the queue: the first mailbox makes the file, the second links it; what an interruption left of
/// the same message is taken, and half of it is not.
#[test]
fn bytes_in_memory_become_one_file_for_all_mailboxes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let prepared = Prepared::of_bytes(TEXT);
    let bytes = InMemory::new(TEXT);
    let give = |mailbox: &Mailbox, id: &str| {
        let message = LinkedMessage {
            lent: None,
            source: Source::Memory(&bytes),
            flags: Flags::NONE,
            internal_date_ns: base::clock::unix_nanos(),
            delivery: DeliveryId { queue_id: id, recipient: "x" },
            prepared: &prepared,
            limits: message_store::Limits::default(),
        };
        mailbox.deliver(message).unwrap()
    };
    let joe = inbox(&store);
    assert_eq!(give(&joe, "Q 1"), Delivered::New(1));
    let first = find(folder.path(), "1.msg").unwrap();
    fs::write(first.with_file_name("2.msg"), &TEXT[1..]).unwrap();
    fs::write(first.with_file_name("3.msg"), TEXT).unwrap();
    assert_eq!(give(&joe, "Q 2"), Delivered::New(3));
    assert_eq!(fs::read(first.with_file_name("3.msg")).unwrap(), TEXT);
    store.ensure_user("ann").unwrap();
    let ann = store.open_mailbox(&MailboxName::inbox("ann").unwrap()).unwrap();
    assert_eq!(give(&ann, "Q 1"), Delivered::New(1));
    let inode = |uid: u32| fs::metadata(first.with_file_name(format!("{uid}.msg"))).unwrap().ino();
    assert_eq!(ann.open_message(1).unwrap().file.metadata().unwrap().ino(), inode(3), "linked");
    // The file is gone, or is another's: a new one is made.
    fs::remove_file(first.with_file_name("3.msg")).unwrap();
    fs::write(first.with_file_name("3.msg"), b"another").unwrap();
    assert_eq!(give(&ann, "Q 2"), Delivered::New(2));
    let made = ann.open_message(2).unwrap().file;
    assert_eq!(std::io::read_to_string(&*made).unwrap().as_bytes(), TEXT);
}
