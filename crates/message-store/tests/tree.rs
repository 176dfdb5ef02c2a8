//! The tree of mailboxes: making, renaming, deleting, listing, watching, and the list made anew.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use message_store::*;

fn store(folder: &Path) -> Store {
    let sync = commit_journal::SyncLevels::all(commit_journal::SyncLevel::None);
    let settings = StoreSettings { sync, list_sync: false, ..StoreSettings::in_folder(folder) };
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn append(store: &Store, mailbox: &str, text: &str) -> u32 {
    let mailbox = store.open_mailbox(&name(mailbox)).unwrap();
    let mut incoming = mailbox.begin_append().unwrap();
    incoming.write_all(text.as_bytes()).unwrap();
    incoming.finish(NewMessage::default()).unwrap().uid
}

fn names(store: &Store, prefix: &str) -> Vec<String> {
    store.list(prefix, None, 1000).unwrap().iter().map(|listed| listed.name.to_string()).collect()
}

fn exists(store: &Store, mailbox: &str) -> u32 {
    store.open_mailbox(&name(mailbox)).unwrap().status().unwrap().exists
}

#[test]
fn mailboxes_are_made_with_those_above_and_deleted_without_those_below() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.create(&name("user/joe/Work/2002"), None).unwrap();
    assert_eq!(names(&store, "user/joe/"), ["user/joe/INBOX", "user/joe/Work", "user/joe/Work/2002"]);
    assert!(!store.exists(&name("user/joe/Work")).unwrap());
    store.create(&name("user/joe/Work"), None).unwrap();
    assert!(matches!(store.create(&name("user/joe/Work"), None), Err(StoreError::AlreadyExists)));
    append(&store, "user/joe/Work", "Subject: a\r\n\r\n");
    append(&store, "user/joe/Work/2002", "Subject: b\r\n\r\n");
    let held = store.open_mailbox(&name("user/joe/Work")).unwrap();
    let other = self::store(folder.path()).open_mailbox(&name("user/joe/Work")).unwrap();
    store.delete(&name("user/joe/Work")).unwrap();
    assert!(matches!(held.status(), Err(StoreError::NotFound)));
    assert!(matches!(other.status(), Err(StoreError::NotFound)), "another process's session hears of it");
    assert_eq!(exists(&store, "user/joe/Work/2002"), 1);
    let before = held.uid_validity();
    store.create(&name("user/joe/Work"), None).unwrap();
    assert_eq!(exists(&store, "user/joe/Work"), 0);
    assert!(store.open_mailbox(&name("user/joe/Work")).unwrap().uid_validity() > before);
    store.delete(&name("user/joe")).unwrap();
    assert!(names(&store, "user/").is_empty());
    assert!(!store.exists(&name("user/joe/Work/2002")).unwrap());
    assert!(matches!(store.delete(&name("user/joe")), Err(StoreError::NotFound)));
}

#[test]
fn a_renamed_tree_keeps_its_messages_and_its_open_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.create(&name("user/joe/A/B"), None).unwrap();
    append(&store, "user/joe/A/B", "Subject: deep\r\n\r\n");
    let held = store.open_mailbox(&name("user/joe/A/B")).unwrap();
    let other = self::store(folder.path()).open_mailbox(&name("user/joe/A/B")).unwrap();
    store.rename(&name("user/joe/A"), &name("user/joe/X/Y")).unwrap();
    assert_eq!(exists(&store, "user/joe/X/Y/B"), 1);
    assert_eq!(held.name(), name("user/joe/X/Y/B"));
    for mailbox in [&held, &other] {
        assert!(
            std::io::read_to_string(mailbox.open_message(1).unwrap().file.as_ref()).unwrap().contains("deep")
        );
    }
    let mut incoming = other.begin_append().unwrap();
    incoming.write_all(b"Subject: after\r\n\r\n").unwrap();
    incoming.finish(NewMessage::default()).unwrap();
    assert_eq!(exists(&store, "user/joe/X/Y/B"), 2, "a session that had it open writes to the right place");
    assert!(matches!(
        store.rename(&name("user/joe/X"), &name("user/joe/X/Z")),
        Err(StoreError::CannotCreate(_))
    ));
    assert!(matches!(store.rename(&name("user/joe/none"), &name("user/joe/Z")), Err(StoreError::NotFound)));
    assert!(matches!(
        store.rename(&name("user/joe/X"), &name("user/joe/INBOX")),
        Err(StoreError::AlreadyExists)
    ));
    let list = folder.path().join("store/mboxlist");
    let left: Vec<_> = fs::read_dir(list)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("rename-"))
        .collect();
    assert!(left.is_empty());
}

/// RFC 3501 §6.3.5.
/// Who looks at a mailbox while it is deleted makes a lock file, in the place in which the folder was.
#[test]
fn a_lock_file_where_a_mailbox_was_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for (file, in_the_way) in [("store.lck", false), ("notes", true)] {
        store.create(&name("user/joe/A"), None).unwrap();
        store.create(&name("user/joe/B"), None).unwrap();
        let place = store.folder_of(&name("user/joe/B")).unwrap();
        store.delete(&name("user/joe/B")).unwrap();
        assert!(!place.exists());
        fs::create_dir(&place).unwrap();
        fs::write(place.join(file), "").unwrap();
        let renamed = store.rename(&name("user/joe/A"), &name("user/joe/B"));
        assert_eq!(matches!(renamed, Err(StoreError::CannotCreate(_))), in_the_way, "{file}: {renamed:?}");
        store.delete(&name(if in_the_way { "user/joe/A" } else { "user/joe/B" })).unwrap();
    }
}

/// A mailbox that is looked at all the time by others leaves nothing in its place.
#[test]
fn a_deleted_mailbox_leaves_no_folder_though_others_lock_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let place = {
        store.create(&name("user/joe/B"), None).unwrap();
        store.folder_of(&name("user/joe/B")).unwrap()
    };
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(place.join("store.lck"));
            }
        });
        for _ in 0..200 {
            store.delete(&name("user/joe/B")).unwrap();
            store.create(&name("user/joe/A"), None).unwrap();
            store.rename(&name("user/joe/A"), &name("user/joe/B")).unwrap();
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn renaming_an_inbox_moves_its_messages_and_leaves_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.ensure_user("joe").unwrap();
    append(&store, "user/joe", "Subject: a\r\n\r\n");
    store.rename(&name("user/joe/INBOX"), &name("user/joe/Old")).unwrap();
    assert_eq!((exists(&store, "user/joe"), exists(&store, "user/joe/Old")), (0, 1));
    store.rename(&name("user/joe"), &name("user/jane")).unwrap();
    assert_eq!(names(&store, "user/"), ["user/jane/INBOX", "user/jane/Old"]);
    assert_eq!(exists(&store, "user/jane/Old"), 1);
}

/// A crash at each step of a rename: stored makes list and folders agree.
#[test]
fn an_interrupted_rename_is_finished_or_undone() {
    for step in ["before", "folder moved", "list renamed"] {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.create(&name("user/joe/A"), None).unwrap();
        append(&store, "user/joe/A", "Subject: x\r\n\r\n");
        let (from, to) = (name("user/joe/A"), name("user/joe/B"));
        let old = store.folder_of(&from).unwrap();
        // A process that is gone wrote this.
        let intention = folder.path().join("store/mboxlist/rename-0");
        if step == "list renamed" {
            store.rename(&from, &to).unwrap();
        } else if step == "folder moved" {
            fs::rename(&old, old.with_file_name("=+B")).unwrap();
        }
        fs::write(&intention, "4194305\nuser/joe/A\nuser/joe/B\n").unwrap();
        assert_eq!(store.finish_renames().unwrap(), 1);
        assert!(!intention.exists());
        let there = if step == "list renamed" { "user/joe/B" } else { "user/joe/A" };
        assert_eq!(exists(&store, there), 1, "{step}");
    }
}

/// S162, S165, S166, S167.
#[test]
fn the_list_is_made_anew_from_the_folders() {
    let folder = tempfile::tempdir().unwrap();
    let validity;
    {
        let store = store(folder.path());
        assert_eq!(store.partition_of_a_lost_list().unwrap(), None, "a new one");
        store.create(&name("user/joe/Main 1996/ÄÖ.x"), None).unwrap();
        store.create(&name("Public/News"), None).unwrap();
        assert_eq!(store.partition_of_a_lost_list().unwrap(), None);
        append(&store, "user/joe/Main 1996/ÄÖ.x", "Subject: kept\r\n\r\n");
        validity = store.open_mailbox(&name("user/joe/Main 1996/ÄÖ.x")).unwrap().uid_validity();
    }
    fs::remove_dir_all(folder.path().join("store/mboxlist")).unwrap();
    let store = store(folder.path());
    assert!(
        matches!(store.open_mailbox(&name("user/joe")), Err(StoreError::NotFound)),
        "the list is authoritative"
    );
    assert!(store.partition_of_a_lost_list().unwrap().is_some());
    let mut told = Vec::new();
    let done = store.rebuild_list(|difference| told.push(difference.clone())).unwrap();
    assert_eq!((done.found, done.added, done.without_folder), (3, 3, 0));
    assert_eq!(told.len(), 3);
    let kept = store.open_mailbox(&name("user/joe/Main 1996/ÄÖ.x")).unwrap();
    assert_eq!((kept.status().unwrap().exists, kept.uid_validity()), (1, validity));
    fs::remove_dir_all(store.folder_of(&name("Public/News")).unwrap()).unwrap();
    let again = store.rebuild_list(|_| {}).unwrap();
    assert_eq!((again.added, again.without_folder), (0, 1));
    // The guide's spelling of a folder (S185).
    let inbox = store.folder_of(&name("user/joe")).unwrap();
    fs::create_dir_all(inbox.join("+=Old 1995/00")).unwrap();
    fs::write(inbox.join("+=Old 1995/00/7.msg"), "Subject: old\r\n\r\n").unwrap();
    assert_eq!(store.adopt_below(&name("user/joe"), |_| {}).unwrap(), 1);
    assert_eq!(exists(&store, "user/joe/Old 1995"), 1);
}

#[test]
fn a_change_by_another_process_is_told_within_a_tenth_of_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (store(folder.path()), store(folder.path()));
    here.ensure_user("joe").unwrap();
    here.ensure_user("jane").unwrap();
    let mailbox = here.open_mailbox(&name("user/joe")).unwrap();
    let (tell, told) = mpsc::channel();
    let watch = here.watch(&mailbox, Box::new(move || tell.send(Instant::now()).unwrap_or(())));
    // Five of fifty: a loaded machine is late now and then, who looks from time to time is each time.
    let mut times: Vec<Duration> = Vec::new();
    while times.iter().filter(|time| **time < Duration::from_millis(100)).count() < 5 {
        assert!(times.len() < 50, "{times:?}");
        append(&there, "user/jane", "Subject: not watched\r\n\r\n");
        let begin = Instant::now();
        append(&there, "user/joe", "Subject: x\r\n\r\n");
        let heard = told.recv_timeout(Duration::from_secs(60)).unwrap();
        times.push(heard.duration_since(begin));
        while told.try_recv().is_ok() {}
    }
    drop(watch);
    // What was being told at that moment may come still; then nobody has the callback, with its end of the channel, any more.
    let unheard = loop {
        match told.recv_timeout(Duration::from_secs(60)) {
            Ok(_) => {}
            Err(why) => break why,
        }
    };
    assert_eq!(unheard, RecvTimeoutError::Disconnected);
    append(&there, "user/joe", "Subject: unheard\r\n\r\n");
}

#[test]
fn twenty_thousand_watchers_cost_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.ensure_user("joe").unwrap();
    let mailbox = store.open_mailbox(&name("user/joe")).unwrap();
    let (tell, told) = mpsc::channel();
    let watches: Vec<Watch> = (0..20_000)
        .map(|_| {
            let tell = tell.clone();
            store.watch(&mailbox, Box::new(move || tell.send(()).unwrap_or(())))
        })
        .collect();
    append(&store, "user/joe", "Subject: x\r\n\r\n");
    for _ in 0..20_000 {
        told.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    drop(watches);
}

#[test]
fn subscriptions_are_the_users() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for one in ["Work", "INBOX", "Work"] {
        store.subscribe("joe", one).unwrap();
    }
    store.unsubscribe("joe", "INBOX").unwrap();
    assert_eq!(store.subscriptions("joe").unwrap(), ["Work"]);
    assert!(store.subscriptions("jane").unwrap().is_empty());
}

/// S163.
#[test]
fn daemons_wait_for_stored() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    let patient = |patience| StoreSettings {
        wait: Wait::ForStored(patience),
        ..StoreSettings::in_folder(folder.path())
    };
    let early = Store::open(patient(Duration::from_millis(30)), StoreLog::discard());
    assert!(early.err().unwrap().to_string().contains("log/stored"));
    std::thread::scope(|scope| {
        let late = scope.spawn(|| Store::open(patient(Duration::from_secs(20)), StoreLog::discard()));
        first.set_ready().unwrap();
        assert!(late.join().unwrap().is_ok());
    });
    first.clear_ready().unwrap();
}

#[test]
fn one_watch_tells_of_every_mailbox_of_a_tree_and_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.ensure_user("joe").unwrap();
    store.create(&name("user/joe/Work"), None).unwrap();
    let other = self::store(folder.path());
    let (sender, news) = mpsc::channel();
    let heard = move |what| sender.send(what).unwrap();
    let _watch = store.watch_tree(&name("user/joe/nothing"), Box::new(heard));
    let next = || news.recv_timeout(Duration::from_secs(60)).unwrap();
    let work = store.open_mailbox(&name("user/joe/Work")).unwrap().id();
    append(&other, "user/joe/Work", "x\r\n");
    assert_eq!(next(), Event::Mailbox(work));
    other.create(&name("user/joe/Play"), None).unwrap();
    assert_eq!(next(), Event::Names);
    other.rename(&name("user/joe/Work"), &name("user/joe/Toil")).unwrap();
    assert_eq!(next(), Event::Names);
    append(&other, "user/joe/Toil", "x\r\n");
    // A rename is told for both of its names, at once or one after the other; what came later is told later.
    while next() != Event::Mailbox(work) {}
    other.subscribe("joe", "Toil").unwrap();
    assert_eq!(next(), Event::Names);
    append(&other, "user/joe/Toil", "y\r\n");
    assert_eq!(next(), Event::Mailbox(work));
    let note = |owner: &str| NewAnnotation {
        entry: "/private/a".into(),
        owner: owner.into(),
        value: Some(b"x".to_vec()),
    };
    other.annotate_server("joe", &[note("joe")], 10).unwrap();
    assert_eq!(next(), Event::Names);
    // Another tree, and the server, are somebody else's affair.
    other.ensure_user("amy").unwrap();
    append(&other, "user/amy/INBOX", "z\r\n");
    other.annotate_server("joe", &[note("")], 10).unwrap();
    other.open_mailbox(&name("user/joe/Play")).unwrap().annotate(&[note("joe")], 10).unwrap();
    let play = other.open_mailbox(&name("user/joe/Play")).unwrap().id();
    assert_eq!(next(), Event::Mailbox(play));
}

/// A partition that is not mounted is an empty folder: its mailboxes are not forgotten.
#[test]
fn the_mailboxes_of_an_empty_partition_stay_in_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    for uid in ["ann", "joe"] {
        store.ensure_user(uid).unwrap();
    }
    let settings = StoreSettings::in_folder(folder.path());
    let root = settings.partitions.values().next().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(root, &elsewhere).unwrap();
    fs::create_dir(root).unwrap();
    let done = store.rebuild_list(|_| {}).unwrap();
    assert_eq!((done.without_folder, done.away), (0, 2));
    fs::remove_dir(root).unwrap();
    fs::rename(&elsewhere, root).unwrap();
    let done = store.rebuild_list(|_| {}).unwrap();
    assert_eq!((done.found, done.added, done.without_folder, done.away), (2, 0, 0, 0));
}
