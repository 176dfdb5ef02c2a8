//! upgrade: a file of a 3.x store is converted, then removed, then comes the next (S194); the tests make the store.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use black_box::instance::is_root;
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
    if !is_root("the old server's files are another user's") {
        return;
    }
    let instance = Setup::default().server_user("games").create();
    let place = tempfile::tempdir().unwrap(); // root's own, of mode 0700
    write(place.path(), "alice/1.", "Subject: one\n\nx\n");
    let (done, said) = upgrade(&instance, &["-r", place.path().to_str().unwrap()]);
    assert!(done && said.contains("1 files converted, 0 were here already, 1 removed"), "{said}");
}

/// Every file below a folder, with its bytes.
fn everything(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(everything(&entry.path()));
        } else if entry.file_type().unwrap().is_file() {
            found.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    found
}

/// T27: what a later version has written is not damage. No daemon begins, no tool works on it, nothing is changed.
#[test]
fn an_instance_of_a_later_version_is_refused_and_left_as_it_is() {
    let mut instance = Instance::start();
    instance.send("alice", "kept");
    instance.wait_for_messages("alice", 1);
    for service in ["smtp", "pop", "imap", "store"] {
        instance.stop(service);
    }
    let mark = instance.path(".mailboat-instance");
    let ours = fs::read_to_string(&mark).unwrap();
    assert!(ours.lines().any(|line| line == "format 1"), "{ours}");
    fs::write(&mark, "This folder is an instance of Mailboat.\nformat 2\n").unwrap();
    let before = everything(&instance.path(""));
    for service in ["store", "smtp", "imap", "pop", "http"] {
        let refused = instance.refused_start(service);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(
            !refused.status.success() && said.contains("was written by a later version"),
            "{service}: {said}"
        );
    }
    for arguments in [
        &["configutil"][..],
        &["configutil", "check"],
        &["setconf", "service.imap.banner", "x"],
        &["dirutil", "list"],
        &["mailq"],
        &["msg-queue", "flush", "--all"],
        &["mboxutil", "-l"],
        &["reconstruct", "-r", "user/alice"],
        &["storecheck"],
        &["quotacheck"],
        &["imsbackup", "-f", "-", "/user/alice"],
        &["guessutil", "clear", "--all"],
    ] {
        let output = instance.tool(arguments[0]).args(&arguments[1..]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("nothing is touched"), "{arguments:?}: {said}");
    }
    assert!(everything(&instance.path("")) == before, "something was changed");
    fs::write(&mark, ours).unwrap();
    instance.start_all();
    assert_eq!(subjects(&instance, "INBOX"), ["1 kept"]);
}
