//! The tree of mailboxes when processes die or meet in the middle of a change.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use message_store::*;

fn settings(folder: &Path) -> StoreSettings {
    let sync = commit_journal::SyncLevels::all(commit_journal::SyncLevel::None);
    let mut settings = StoreSettings { sync, list_sync: false, ..StoreSettings::in_folder(folder) };
    settings.partitions.insert("second".into(), folder.join("second"));
    settings
}

fn store(folder: &Path) -> Store {
    Store::open(settings(folder), StoreLog::discard()).unwrap()
}

/// A store, and the lines that it logs.
fn told(folder: &Path) -> (Store, Arc<Mutex<Vec<String>>>) {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let to = Arc::clone(&lines);
    let log = StoreLog::new(move |_, text| to.lock().unwrap().push(text.to_owned()));
    (Store::open(settings(folder), log).unwrap(), lines)
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn append(mailbox: &Arc<Mailbox>, text: &str) -> Appended {
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write_all(text.as_bytes()).unwrap();
    incoming.finish(NewMessage::default()).unwrap()
}

fn fill(store: &Store, mailbox: &str) -> Appended {
    append(&store.open_mailbox(&name(mailbox)).unwrap(), "Subject: secret\r\n\r\nx\r\n")
}

fn exists(store: &Store, mailbox: &str) -> u32 {
    store.open_mailbox(&name(mailbox)).unwrap().status().unwrap().exists
}

/// As a process leaves an index that was killed just behind the mark of a deletion.
fn mark(folder: &Path) {
    let path = folder.join("store.idx");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8 + 8] |= 2;
    let crc = crc32fast::hash(&bytes[8..8 + 168]);
    bytes[8 + 168..8 + 172].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn a_deletion_that_was_interrupted_before_the_list_changed_did_not_happen() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    first.create(&name("user/joe/Work"), None).unwrap();
    fill(&first, "user/joe/Work");
    let held = first.open_mailbox(&name("user/joe/Work")).unwrap();
    mark(&first.folder_of(&name("user/joe/Work")).unwrap());
    drop((held, first));
    let (second, lines) = told(folder.path());
    assert_eq!(exists(&second, "user/joe/Work"), 1);
    assert!(lines.lock().unwrap()[0].contains("the deletion of user/joe/Work was interrupted; it is undone"));
    // The same while a session of this process has it open.
    let held = second.open_mailbox(&name("user/joe/Work")).unwrap();
    drop(held);
    second.delete(&name("user/joe/Work")).unwrap();
    assert!(!second.exists(&name("user/joe/Work")).unwrap());
}

#[test]
fn what_a_deletion_left_is_nobodys_mail() {
    for whole_user in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let first = store(folder.path());
        first.create(&name("user/joe/Work"), None).unwrap();
        for mailbox in ["user/joe", "user/joe/Work"] {
            fill(&first, mailbox);
        }
        let doomed = name(if whole_user { "user/joe" } else { "user/joe/Work" });
        let place = first.folder_of(&doomed).unwrap();
        let kept = folder.path().join("kept");
        copy(&place, &kept);
        first.delete(&doomed).unwrap();
        // The list has changed, the files have not.
        let _ = fs::remove_dir_all(&place);
        copy(&kept, &place);
        mark(&place);
        if whole_user {
            mark(&place.join("=+Work"));
        }
        drop(first);
        let (second, lines) = told(folder.path());
        let work = place.join(if whole_user { "=+Work" } else { "." });
        assert!(work.join("00/1.msg").exists());
        second.create(&name("user/joe/Work"), None).unwrap();
        assert!(!work.join("00/1.msg").exists(), "the files of the deleted mailbox");
        assert_eq!(fill(&second, "user/joe/Work").uid, 1);
        assert_eq!(second.open_mailbox(&name("user/joe/Work")).unwrap().reconstruct().unwrap().messages, 1);
        assert_eq!(exists(&second, "user/joe"), u32::from(!whole_user));
        assert!(lines.lock().unwrap()[0].contains("the rest of an interrupted deletion of"));
    }
}

#[test]
fn reconstruct_m_does_not_bring_deleted_mailboxes_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.create(&name("user/joe/Work"), None).unwrap();
    fill(&store, "user/joe/Work");
    let place = store.folder_of(&name("user/joe/Work")).unwrap();
    let kept = folder.path().join("kept");
    copy(&place, &kept);
    store.delete(&name("user/joe/Work")).unwrap();
    copy(&kept, &place);
    mark(&place);
    let done = store.rebuild_list(|_| {}).unwrap();
    assert_eq!((done.added, done.without_folder), (0, 0));
    assert!(!place.exists());
}

/// Two processes delete and make the same mailbox over and over: no UID is used twice under one UIDVALIDITY
/// (RFC 3501 §2.3.1.1), and what was acknowledged into a mailbox that is there is in it.
#[test]
fn delete_and_create_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (store(folder.path()), store(folder.path()));
    one.ensure_user("joe").unwrap();
    let mailbox = name("user/joe/Work");
    let stop = AtomicBool::new(false);
    let mut seen = HashSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = other.delete(&mailbox);
            }
        });
        for _ in 0..400 {
            match one.create(&mailbox, None) {
                Ok(()) | Err(StoreError::AlreadyExists) => {}
                Err(error) => panic!("{error}"),
            }
            let Ok(open) = one.open_mailbox(&mailbox) else { continue };
            let Ok(mut incoming) = open.begin_append() else { continue };
            if incoming.write_all(b"Subject: x\r\n\r\n").is_err() {
                continue;
            }
            if let Ok(done) = incoming.finish(NewMessage::default()) {
                assert!(seen.insert((done.uid_validity, done.uid)), "twice: {done:?}");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let _ = one.delete(&mailbox);
    one.create(&mailbox, None).unwrap();
    assert_eq!(exists(&other, "user/joe/Work"), 0);
}

/// A user's mailboxes go from every partition.
#[test]
fn a_deleted_user_is_gone_from_all_partitions() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.ensure_user("joe").unwrap();
    store.create_in(&name("user/joe/Big"), None, "second").unwrap();
    fill(&store, "user/joe/Big");
    let big = store.folder_of(&name("user/joe/Big")).unwrap();
    assert!(big.starts_with(folder.path().join("second")));
    let held = store.open_mailbox(&name("user/joe/Big")).unwrap();
    store.delete(&name("user/joe")).unwrap();
    assert!(matches!(held.status(), Err(StoreError::NotFound)));
    assert!(!big.parent().unwrap().exists());
    assert_eq!(store.rebuild_list(|_| {}).unwrap().found, 0, "nothing for the next user of this name");
    for partition in ["second", "store/partition/primary"] {
        assert_eq!(fs::read_dir(folder.path().join(partition).join("trash")).map_or(0, Iterator::count), 0);
    }
}

/// A rename that cannot be done in one partition is undone in the others, and what stood in the way stays where it is.
#[test]
fn a_rename_that_fails_halfway_moves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.create(&name("user/joe/A"), None).unwrap();
    store.create_in(&name("user/joe/A/Sub"), None, "second").unwrap();
    for mailbox in ["user/joe/A", "user/joe/A/Sub"] {
        fill(&store, mailbox);
    }
    let sub: PathBuf = store.folder_of(&name("user/joe/A/Sub")).unwrap();
    let way = sub.parent().unwrap().with_file_name("=+B").join("00");
    fs::create_dir_all(&way).unwrap();
    fs::write(way.join("7.msg"), "Subject: somebody else's\r\n\r\n").unwrap();
    let refused = store.rename(&name("user/joe/A"), &name("user/joe/B"));
    assert!(matches!(refused, Err(StoreError::CannotCreate(_))));
    assert!(way.join("7.msg").exists());
    assert_eq!((exists(&store, "user/joe/A"), exists(&store, "user/joe/A/Sub")), (1, 1));
    fs::remove_dir_all(way.parent().unwrap()).unwrap();
    store.rename(&name("user/joe/A"), &name("user/joe/B")).unwrap();
    assert_eq!((exists(&store, "user/joe/B"), exists(&store, "user/joe/B/Sub")), (1, 1));
}

/// Whoever opens, makes or deletes something there mends an interrupted rename; nobody has to restart stored.
#[test]
fn an_interrupted_rename_is_mended_by_whoever_comes_next() {
    for next in ["open", "create", "delete", "another user's rename"] {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.create(&name("user/joe/A"), None).unwrap();
        store.create(&name("user/jane/C"), None).unwrap();
        fill(&store, "user/joe/A");
        let place = store.folder_of(&name("user/joe/A")).unwrap();
        let note = folder.path().join("store/mboxlist/rename-0");
        let (to, moved) = match next {
            "another user's rename" => ("user/jane/B", store.folder_of(&name("user/jane/C")).unwrap()),
            _ => ("user/joe/B", place.clone()),
        };
        let moved = moved.with_file_name("=+B");
        fs::rename(&place, &moved).unwrap();
        // The process of this number may be anybody's by now.
        fs::write(&note, format!("{}\nuser/joe/A\n{to}\n", std::process::id())).unwrap();
        match next {
            "open" => drop(store.open_mailbox(&name("user/joe/A")).unwrap()),
            "create" => store.create(&name("user/joe/B"), None).unwrap(),
            "delete" => assert!(matches!(store.delete(&name("user/joe/B")), Err(StoreError::NotFound))),
            _ => store.rename(&name("user/jane/C"), &name("user/jane/D")).unwrap(),
        }
        assert!(!note.exists(), "{next}");
        assert_eq!(exists(&store, "user/joe/A"), 1, "{next}");
        if next == "create" {
            assert_eq!(exists(&store, "user/joe/B"), 0);
        }
    }
}
