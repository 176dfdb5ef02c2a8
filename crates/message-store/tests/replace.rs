//! REPLACE: the new message or the old one, whatever goes wrong in the middle.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use message_store::*;

fn store(folder: &Path) -> Store {
    let sync = commit_journal::SyncLevels::all(commit_journal::SyncLevel::None);
    let settings = StoreSettings { sync, list_sync: false, ..StoreSettings::in_folder(folder) };
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn open(store: &Store, mailbox: &str) -> Arc<Mailbox> {
    let name = MailboxName::parse(mailbox).unwrap();
    match store.create(&name, None) {
        Ok(()) | Err(StoreError::AlreadyExists) => store.open_mailbox(&name).unwrap(),
        Err(error) => panic!("{error}"),
    }
}

fn incoming(mailbox: &Arc<Mailbox>, text: &str) -> Incoming {
    let mut incoming = mailbox.begin_append().unwrap();
    write!(incoming, "Subject: x\r\n\r\n{text}").unwrap();
    incoming
}

fn complete(mailbox: &Arc<Mailbox>, text: &str) -> (Complete, NewMessage) {
    let keywords = vec!["$new".to_owned()];
    (
        incoming(mailbox, text).complete().unwrap(),
        NewMessage { flags: Flags::DRAFT, keywords, internal_date_ns: 7 },
    )
}

fn append(mailbox: &Arc<Mailbox>, text: &str) -> u32 {
    incoming(mailbox, text).finish(NewMessage::default()).unwrap().uid
}

/// UID and text of each message.
fn texts(mailbox: &Mailbox) -> Vec<(u32, String)> {
    let reader = mailbox.reader().unwrap();
    let records = (0..reader.slots()).map(|slot| reader.record(slot)).filter(|record| !record.is_expunged());
    let text = |uid| {
        let file = mailbox.open_message(uid).unwrap();
        std::io::read_to_string(file.file.as_ref()).unwrap().split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    records.map(|record| (record.uid, text(record.uid))).collect()
}

fn left_over(folder: &Path) -> usize {
    let find = std::process::Command::new("find").arg(folder).args(["-name", "tmp-*"]).output().unwrap();
    String::from_utf8(find.stdout).unwrap().lines().count()
}

#[test]
fn in_one_mailbox_it_is_one_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let drafts = open(&store, "user/joe");
    append(&drafts, "one");
    append(&drafts, "two");
    let before = drafts.status().unwrap().highest_modseq;
    let appended = drafts.replace(complete(&drafts, "new"), &drafts, 1).unwrap();
    assert_eq!(appended.uid, 3);
    assert_eq!(drafts.status().unwrap().highest_modseq, before + 1); // one transaction: a crash leaves all or nothing of it
    assert_eq!(texts(&drafts), [(2, "two".into()), (3, "new".into())]);
    let reader = drafts.reader().unwrap();
    let record = reader.record(reader.slot_of(3).unwrap());
    assert_eq!((record.flags, record.keywords), (Flags::DRAFT, 1));
    // The same again: the old one is gone, and nothing comes.
    assert!(matches!(drafts.replace(complete(&drafts, "again"), &drafts, 1), Err(StoreError::NotFound)));
    assert!(matches!(drafts.replace(complete(&drafts, "again"), &drafts, 9), Err(StoreError::NotFound)));
    assert_eq!(texts(&drafts).len(), 2);
    assert_eq!(left_over(folder.path()), 0);
}

#[test]
fn between_mailboxes_the_old_one_goes_when_the_new_one_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (drafts, sent) = (open(&store, "user/joe"), open(&store, "user/joe/Sent"));
    for (from, to) in [(&drafts, &sent), (&sent, &drafts)] {
        let uid = append(from, "old");
        let appended = to.replace(complete(to, "new"), from, uid).unwrap();
        assert!(texts(to).contains(&(appended.uid, "new".into())));
        assert!(!texts(from).iter().any(|(one, _)| *one == uid));
        let messages = texts(to).len();
        assert!(matches!(to.replace(complete(to, "again"), from, uid), Err(StoreError::NotFound)));
        assert_eq!(texts(to).len(), messages);
    }
    assert_eq!(left_over(folder.path()), 0);
}

#[test]
fn of_two_who_replace_the_same_message_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (drafts, sent) = (open(&store, "user/joe"), open(&store, "user/joe/Sent"));
    for _ in 0..20 {
        let uid = append(&drafts, "old");
        let done: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = [&drafts, &sent, &drafts, &sent]
                .into_iter()
                .map(|to| scope.spawn(|| to.replace(complete(to, "new"), &drafts, uid).is_ok()))
                .collect();
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
        });
        assert_eq!(done, 1);
    }
    assert_eq!(texts(&drafts).len() + texts(&sent).len(), 20);
}

#[test]
fn only_what_is_longer_needs_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (drafts, sent) = (open(&store, "user/joe"), open(&store, "user/joe/Sent"));
    let uid = append(&drafts, "0123456789");
    let limits = Limits { bytes: Some(store.quota("joe").unwrap().usage.bytes), messages: Some(1) };
    store.set_limits("joe", limits, limits).unwrap();
    for to in [&drafts, &sent] {
        assert!(matches!(to.replace(complete(to, "0123456789+"), &drafts, uid), Err(StoreError::OverQuota)));
    }
    assert_eq!(texts(&drafts), [(uid, "0123456789".into())]);
    let uid = drafts.replace(complete(&drafts, "9876543210"), &drafts, uid).unwrap().uid;
    sent.replace(complete(&sent, "543210"), &drafts, uid).unwrap();
    assert_eq!((texts(&drafts).len(), texts(&sent).len()), (0, 1));
    assert_eq!(left_over(folder.path()), 0);
}
