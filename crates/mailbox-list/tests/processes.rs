//! Several processes with the list open at once: one makes it grow, one is killed in the middle of reading.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use mailbox_list::{MailboxList, MailboxName, NewEntry};

const FOLDER: &str = "MAILBOX_LIST_FOLDER";
const MAILBOXES: usize = 5000;

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn create(list: &MailboxList, text: &str) {
    let new = NewEntry {
        special_use: None,
        id: 1,
        uid_validity: None,
        partition: "primary",
        acl: &mailbox_list::Acl::default(),
    };
    list.create(&name(text), &new).unwrap();
}

fn count(list: &MailboxList) -> usize {
    let (mut count, mut after) = (0, None);
    loop {
        let page = list.page("user/", after.as_ref(), 1000).unwrap();
        let Some(last) = page.last() else { return count };
        count += page.len();
        after = Some(last.name.clone());
    }
}

/// Another process, which does what the test of this name does when a folder is named to it.
fn other(test: &str, folder: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("begun") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "{test} did not begin");
    }
    std::thread::spawn(move || out.lines().count()); // what it says at its end goes somewhere
    child
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

#[test]
fn child_grows() {
    let Some(folder) = folder() else { return };
    let list = MailboxList::open(&folder, false).unwrap();
    println!("begun");
    (0..MAILBOXES).for_each(|number| create(&list, &format!("user/u{number}")));
}

#[test]
fn child_reads_for_ever() {
    let Some(folder) = folder() else { return };
    let list = MailboxList::open(&folder, false).unwrap();
    let read = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                count(&list);
                read.store(true, Ordering::Relaxed);
            }
        });
        // From another thread than the one that reads, so that it may be anywhere when it is killed for it.
        while !read.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        println!("begun");
    });
}

#[test]
fn who_has_the_list_open_sees_it_grow_and_goes_on_writing() {
    let folder = tempfile::tempdir().unwrap();
    let list = MailboxList::open(folder.path(), false).unwrap();
    create(&list, "user/first");
    let size = || std::fs::metadata(folder.path().join("data.mdb")).unwrap().len();
    let before = size();
    let mut child = other("child_grows", folder.path());
    let mut seen = 0;
    while child.try_wait().unwrap().is_none() {
        let now = count(&list); // while it grows
        assert!(now >= seen, "{now} behind {seen}");
        seen = now;
        create(&list, &format!("user/mine{seen}"));
        list.remove(&name(&format!("user/mine{seen}"))).unwrap();
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(count(&list), MAILBOXES + 1);
    assert!(size() > 8 * before, "{before} {}", size());
    create(&list, "user/last");
    assert!(list.find(&name("user/u4999")).unwrap().is_some());
}

#[test]
fn what_a_killed_reader_held_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let list = MailboxList::open(folder.path(), false).unwrap();
    (0..1000).for_each(|number| create(&list, &format!("user/u{number}")));
    // It reads nearly all the time; a kill between two transactions leaves nothing.
    let cleared = (0..50).any(|_| {
        let mut child = other("child_reads_for_ever", folder.path());
        child.kill().unwrap();
        child.wait().unwrap();
        list.clear_stale_readers().unwrap() > 0
    });
    assert!(cleared);
    assert_eq!(list.clear_stale_readers().unwrap(), 0);
}
