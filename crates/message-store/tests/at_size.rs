//! Large stores: by default small ones, so that the suite stays quick. By hand, in a release build, with figures:
//! `MAILBOAT_AT_SIZE=1000000 cargo test --release -p message-store --test at_size -- --nocapture --test-threads 1`
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::Instant;

use commit_journal::{SyncLevel, SyncLevels};
use message_store::{Depth, MailboxName, Method, Store, StoreLog, StoreSettings};

fn at_size(small: usize) -> usize {
    std::env::var("MAILBOAT_AT_SIZE").ok().and_then(|text| text.parse().ok()).unwrap_or(small)
}

fn store(folder: &Path) -> Store {
    let settings = StoreSettings {
        sync: SyncLevels::all(SyncLevel::None),
        list_sync: false,
        ..StoreSettings::in_folder(folder)
    };
    Store::open(settings, StoreLog::discard()).unwrap()
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

/// Seconds that this thread had a processor.
fn processor_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// Runs and tells how long it took: by the clock, and of a processor.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (begin, processor) = (Instant::now(), processor_seconds());
    let value = work();
    let processor = processor_seconds() - processor;
    let peak = fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("").to_owned();
    let seconds = begin.elapsed().as_secs_f64();
    eprintln!("{what}: {seconds:.3} s, of a processor {processor:.3} s, {}", peak.replace('\t', " "));
    value
}

/// A mailbox whose index is lost, with and without the second copy of its records.
#[test]
fn a_large_mailbox_is_reconstructed() {
    let count = at_size(2000);
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.ensure_user("joe").unwrap();
    let inbox = name("user/joe");
    let place = store.folder_of(&inbox).unwrap();
    timed("make the files", || {
        for uid in 1..=count {
            let hash = place.join(format!("{:02}", uid / 100 % 100));
            if uid % 100 == 0 || uid == 1 {
                fs::create_dir_all(&hash).unwrap();
            }
            let text = format!(
                "From: a@example.org\r\nTo: joe@example.test\r\nSubject: message {uid}\r\nDate: Sun, 29 Nov 2026 10:00:00 +0000\r\nMessage-Id: <{uid}@example.org>\r\n\r\nbody {uid}\r\n"
            );
            fs::write(hash.join(format!("{uid}.msg")), text).unwrap();
        }
    });
    let of = |done: message_store::Reconstructed| (done.messages, done.added);
    let mut tell = |_: usize, _: usize| {};
    let done = timed("no record: every message is read", || store.reconstruct(&inbox).unwrap());
    assert_eq!(of(done), (count, count));
    let listed = store.listed(&inbox).unwrap().unwrap();
    let found = timed("storecheck", || store.verify(&listed, Depth::Records, &mut |_| {}).unwrap().unwrap());
    assert!(found.is_sound() && found.messages == count as u64, "{:?}", found.differences.first());
    let found =
        timed("storecheck -c", || store.verify(&listed, Depth::Contents, &mut |_| {}).unwrap().unwrap());
    assert!(found.is_sound(), "{:?}", found.differences.first());
    fs::remove_file(place.join("store.idx")).unwrap();
    let done = timed("the index is lost", || {
        let again = self::store(folder.path());
        again.open_mailbox(&inbox).unwrap();
        again.reconstruct(&inbox).unwrap()
    });
    assert_eq!(of(done), (count, 0));
    let every = Method { every_message: true, ..Method::default() };
    let done = timed("reconstruct -f", || store.reconstruct_as(&inbox, every, &mut tell).unwrap());
    assert_eq!((done.messages, done.changed), (count, 0));
}

/// One page after another; a tree of many folders is renamed by one record and one rename of a folder.
#[test]
fn a_large_list_is_read_in_pages_and_a_tree_is_renamed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let count = at_size(20_000);
    let list = mailbox_list::MailboxList::open(folder.path(), false).unwrap();
    let make = |text: &str| {
        let new = mailbox_list::NewEntry {
            special_use: None,
            id: 1,
            uid_validity: Some(7),
            partition: "primary",
            acl: &mailbox_list::Acl::default(),
        };
        list.create(&name(text), &new).unwrap();
    };
    timed(&format!("make {count} mailboxes"), || {
        for user in 0..count / 10 {
            make(&format!("user/u{user}"));
            (1..10).for_each(|folder| make(&format!("user/u{user}/Folder {folder}")));
        }
    });
    for page in [100, 1000] {
        let seen = timed(&format!("read them in pages of {page}"), || {
            let (mut seen, mut after) = (0, None);
            loop {
                let found = list.page("user/", after.as_ref(), page).unwrap();
                assert!(found.len() <= page);
                let Some(last) = found.last() else { return seen };
                seen += found.len();
                after = Some(last.name.clone());
            }
        });
        assert_eq!(seen, count / 10 * 10);
    }
    timed("look up every hundredth", || {
        for user in (0..count / 10).step_by(10) {
            assert!(list.find(&name(&format!("user/u{user}/Folder 5"))).unwrap().is_some());
        }
    });
}

#[test]
fn a_tree_of_many_folders_is_renamed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let count = if std::env::var_os("MAILBOAT_AT_SIZE").is_some() { 10_000 } else { 300 };
    let store = store(folder.path());
    store.create(&name("user/joe/Tree"), None).unwrap();
    timed(&format!("make {count} folders"), || {
        for number in 0..count {
            store.create(&name(&format!("user/joe/Tree/F{}/S{number}", number % 100)), None).unwrap();
        }
    });
    let open = store.open_mailbox(&name("user/joe/Tree/F7/S7")).unwrap();
    timed("rename the tree", || store.rename(&name("user/joe/Tree"), &name("user/joe/Other")).unwrap());
    assert_eq!(open.name(), name("user/joe/Other/F7/S7"), "a session that has one open follows");
    assert!(store.exists(&name("user/joe/Other/F99/S99")).unwrap());
    assert!(!store.exists(&name("user/joe/Tree/F1/S1")).unwrap());
    timed("and back", || store.rename(&name("user/joe/Other"), &name("user/joe/Tree")).unwrap());
    assert_eq!(store.quota("joe").unwrap().usage.messages, 0);
}
