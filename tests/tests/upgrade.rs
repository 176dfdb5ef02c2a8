//! upgrade: a file of a 3.x store is converted, then removed, then comes the next (S194); the tests make the store.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use black_box::{Instance, Setup};

fn upgrade(instance: &Instance, arguments: &[&str]) -> (bool, String) {
    let output = instance.tool("upgrade").args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn write(store: &Path, name: &str, text: &str) {
    let path = store.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn subjects(instance: &Instance, mailbox: &str) -> Vec<String> {
    let mut imap = instance.imap("alice");
    imap.ok(&format!("EXAMINE {mailbox}"));
    let fetched = imap.ok("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
    let lines = fetched.iter().filter_map(|line| {
        let uid = line.split_once("UID ")?.1.split(' ').next()?;
        Some(format!("{uid} {}", line.split_once("Subject: ")?.1.lines().next()?))
    });
    lines.collect()
}

#[test]
fn each_file_is_converted_then_removed_and_a_broken_one_stays() {
    let instance = Instance::start();
    let place = tempfile::tempdir().unwrap();
    let store = place.path();
    write(store, "alice/1.", "Subject: one\n\nx\n");
    write(store, "alice/2.", "\0\0 this is no message");
    write(store, "alice/10.", "Subject: ten\n\nx\n");
    write(store, "alice/store.idx", "an index, which is not touched");
    write(store, "alice/Work/3.msg", "Subject: three\r\n\r\nx\r\n");
    write(store, "niemand/1.", "Subject: nobody's\n\nx\n");
    let (done, said) = upgrade(&instance, &["-r", store.to_str().unwrap()]);
    assert!(!done);
    assert!(said.contains("alice/2.: it does not begin as a message does"), "{said}");
    assert!(said.contains("niemand: there is no such user"), "{said}");
    assert!(said.contains("3 files converted, 0 were here already, 3 removed, 2 errors"), "{said}");
    assert_eq!(subjects(&instance, "INBOX"), ["1 one", "10 ten"], "numbers are UIDs");
    assert_eq!(subjects(&instance, "Work"), ["3 three"]);
    for (name, is_there) in [
        ("alice/1.", false),
        ("alice/2.", true),
        ("alice/10.", false),
        ("alice/store.idx", true),
        ("niemand/1.", true),
    ] {
        assert_eq!(store.join(name).exists(), is_there, "{name}");
    }
    // Mended, it goes the same way.
    write(store, "alice/2.", "Subject: two\n\nx\n");
    fs::remove_dir_all(store.join("niemand")).unwrap();
    let (done, said) = upgrade(&instance, &["-r", store.to_str().unwrap()]);
    assert!(done && said.contains("1 files converted, 0 were here already, 1 removed, 0 errors"), "{said}");
    assert_eq!(subjects(&instance, "INBOX").len(), 3);
}

/// Killed behind the conversion and before the removal is the same as having been run without -r.
#[test]
fn an_upgrade_that_ends_anywhere_is_run_again_and_doubles_nothing() {
    let instance = Instance::start();
    let place = tempfile::tempdir().unwrap();
    let store = place.path();
    for number in 1..=5 {
        write(store, &format!("alice/{number}."), "Subject: the same\n\nx\n");
    }
    let (done, said) = upgrade(&instance, &[store.to_str().unwrap()]);
    assert!(done && said.contains("5 files converted, 0 were here already, 0 removed"), "{said}");
    write(store, "alice/6.", "Subject: the same\n\nx\n");
    let (done, said) = upgrade(&instance, &["-r", store.to_str().unwrap()]);
    assert!(done && said.contains("1 files converted, 5 were here already, 6 removed"), "{said}");
    assert_eq!(subjects(&instance, "INBOX").len(), 6);
    assert_eq!(fs::read_dir(store.join("alice")).unwrap().count(), 0);
}

/// The old server's files are another user's, and the suite runs as somebody else.
#[test]
fn files_of_others_are_read_and_removed() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can do this");
        return;
    }
    let instance = Setup::default().server_user("games").create();
    let place = tempfile::tempdir().unwrap(); // root's own, of mode 0700
    write(place.path(), "alice/1.", "Subject: one\n\nx\n");
    let (done, said) = upgrade(&instance, &["-r", place.path().to_str().unwrap()]);
    assert!(done && said.contains("1 files converted, 0 were here already, 1 removed"), "{said}");
}
