//! COPY and MOVE: all or nothing, whatever goes wrong in the middle.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use message_store::*;

fn store_with(folder: &Path, second: &Path) -> Store {
    let sync = commit_journal::SyncLevels::all(commit_journal::SyncLevel::None);
    let mut settings = StoreSettings { sync, list_sync: false, ..StoreSettings::in_folder(folder) };
    settings.partitions.insert("second".into(), second.to_owned());
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn store(folder: &Path) -> Store {
    store_with(folder, &folder.join("second"))
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn open(store: &Store, mailbox: &str) -> Arc<Mailbox> {
    match store.create(&name(mailbox), None) {
        Ok(()) | Err(StoreError::AlreadyExists) => store.open_mailbox(&name(mailbox)).unwrap(),
        Err(error) => panic!("{error}"),
    }
}

fn append(mailbox: &Arc<Mailbox>, count: usize) {
    for n in 0..count {
        let mut incoming = mailbox.begin_append().unwrap();
        write!(incoming, "Subject: {n}\r\n\r\nx\r\n").unwrap();
        let keywords = vec![format!("k{}", n % 3)];
        incoming.finish(NewMessage { flags: Flags::FLAGGED, keywords, internal_date_ns: 5 }).unwrap();
    }
}

/// How often each message is there, by its text.
fn texts(mailbox: &Mailbox) -> BTreeMap<String, usize> {
    let reader = mailbox.reader().unwrap();
    let mut found = BTreeMap::new();
    for record in (0..reader.slots()).map(|slot| reader.record(slot)).filter(|record| !record.is_expunged()) {
        let file = mailbox.open_message(record.uid).unwrap();
        *found.entry(std::io::read_to_string(file.file.as_ref()).unwrap()).or_insert(0) += 1;
    }
    found
}

fn files(folder: &Path) -> usize {
    let folders = (0..100).filter_map(|n| fs::read_dir(folder.join(format!("{n:02}"))).ok());
    folders.map(Iterator::count).sum()
}

/// RFC 3501 §6.4.7: the destination is as it was before the attempt. Also with more messages than are handled at once.
#[test]
fn when_one_of_many_files_is_gone_nothing_is_copied_or_moved() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (from, to) = (open(&store, "user/joe"), open(&store, "user/joe/To"));
    append(&from, 2500);
    let gone = store.folder_of(&from.name()).unwrap().join("24/2400.msg");
    let kept = fs::read(&gone).unwrap();
    fs::remove_file(&gone).unwrap();
    let target = store.folder_of(&to.name()).unwrap();
    for _ in 0..2 {
        assert!(matches!(from.copy_to(&UidSet::all(), &to), Err(StoreError::NotFound)));
        assert!(matches!(from.move_to(&UidSet::all(), &to), Err(StoreError::NotFound)));
        assert_eq!((to.status().unwrap().exists, from.status().unwrap().exists), (0, 2500));
        assert_eq!((files(&target), to.status().unwrap().uid_next), (0, 1));
    }
    fs::write(&gone, kept).unwrap();
    let begin = Instant::now();
    assert_eq!(from.copy_to(&UidSet::all(), &to).unwrap().len(), 2500);
    eprintln!("2,500 messages copied in {:?}", begin.elapsed());
    let pairs = from.move_to(&UidSet::all(), &to).unwrap();
    assert_eq!((pairs[0], pairs[2499]), ((1, 2501), (2500, 5000)));
    assert_eq!((to.status().unwrap().exists, from.status().unwrap().exists), (5000, 0));
    let reader = to.reader().unwrap();
    assert_eq!(to.keywords(), ["k0", "k1", "k2"]);
    for slot in [0, 2499, 2500, 4999] {
        let record = reader.record(slot);
        assert_eq!((record.flags, record.keywords), (Flags::FLAGGED, 1 << (slot % 2500 % 3)));
        let subject = format!("\"{}\"", slot % 2500);
        assert!(String::from_utf8_lossy(to.cached(slot).unwrap().envelope()).contains(&subject));
    }
}

#[test]
fn moving_to_the_same_mailbox_gives_new_uids_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let inbox = open(&store, "user/joe");
    append(&inbox, 3);
    let before = texts(&inbox);
    assert_eq!(inbox.move_to(&UidSet::from_ranges([2..=9]), &inbox).unwrap(), [(2, 4), (3, 5)]);
    assert_eq!((texts(&inbox), inbox.status().unwrap().exists), (before, 3));
}

/// A disk that is full where the messages are: MOVE is refused before the other mailbox has them.
#[test]
fn a_move_that_could_not_be_finished_is_not_begun() {
    let (folder, small) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mount = ["-t", "tmpfs", "-o", "size=8m", "tmpfs"];
    if !Command::new("mount").args(mount).arg(small.path()).status().is_ok_and(|status| status.success()) {
        eprintln!("left out: no small file system can be mounted here");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let mut noted =
            fs::OpenOptions::new().append(true).create(true).open(target.join("left-out")).unwrap();
        writeln!(noted, "a_move_that_could_not_be_finished_is_not_begun: no file system can be mounted")
            .unwrap();
        return;
    }
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(small.path());
    let store = store_with(folder.path(), small.path());
    store.ensure_user("joe").unwrap();
    store.create_in(&name("user/joe/Full"), None, "second").unwrap();
    let (from, to) = (open(&store, "user/joe/Full"), open(&store, "user/joe/To"));
    append(&from, 400);
    let mut filler = fs::File::create(small.path().join("filler")).unwrap();
    while filler.write_all(&[b'x'; 4096]).is_ok() {}
    for _ in 0..2 {
        assert!(matches!(from.move_to(&UidSet::all(), &to), Err(StoreError::NoSpace)));
        assert_eq!((to.status().unwrap().exists, from.status().unwrap().exists), (0, 400));
    }
    drop(filler);
    fs::remove_file(small.path().join("filler")).unwrap();
    let before = texts(&from);
    assert_eq!(from.move_to(&UidSet::all(), &to).unwrap().len(), 400);
    assert_eq!((texts(&to), from.status().unwrap().exists), (before, 0));
}

/// Two processes move everything to and fro, both ways at once: nobody waits for ever, and no message becomes two.
#[test]
fn messages_moved_by_two_at_once_stay_one_each() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (store(folder.path()), store(folder.path()));
    append(&open(&one, "user/joe/A"), 40);
    let before = texts(&open(&one, "user/joe/A"));
    drop(open(&one, "user/joe/B"));
    std::thread::scope(|scope| {
        for (store, first, second) in
            [(&one, "A", "B"), (&other, "B", "A"), (&one, "B", "A"), (&other, "A", "B")]
        {
            scope.spawn(move || {
                let first = open(store, &format!("user/joe/{first}"));
                let second = open(store, &format!("user/joe/{second}"));
                for _ in 0..100 {
                    first.move_to(&UidSet::all(), &second).unwrap();
                }
            });
        }
    });
    let mut all = texts(&open(&one, "user/joe/A"));
    for (text, count) in texts(&open(&other, "user/joe/B")) {
        *all.entry(text).or_insert(0) += count;
    }
    assert_eq!(all, before);
}

/// RFC 3501 §6.3.5: an INBOX of any size is renamed.
#[test]
fn renaming_an_inbox_moves_more_than_one_transaction_holds() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let inbox = open(&store, "user/joe");
    append(&inbox, 1);
    while inbox.status().unwrap().exists < 12_000 {
        let half = inbox.status().unwrap().exists.min(5_000);
        inbox.copy_to(&UidSet::from_ranges([1..=half]), &inbox).unwrap();
    }
    let count = inbox.status().unwrap().exists;
    let begin = Instant::now();
    store.rename(&inbox.name(), &name("user/joe/Old")).unwrap();
    eprintln!("{count} messages moved in {:?}", begin.elapsed());
    let old = open(&store, "user/joe/Old");
    assert_eq!((old.status().unwrap().exists, inbox.status().unwrap().exists), (count, 0));
}
