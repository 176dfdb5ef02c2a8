//! From files: a Maildir and mbox files that a Dovecot wrote, and such as nobody should.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use black_box::instance::is_root;
use black_box::{Dovecot, Setup};

use super::*;

#[test]
fn a_maildir_that_a_dovecot_wrote_comes_over_as_dovecot_shows_it() {
    let folders = [("INBOX", "INBOX"), ("Entw&APw-rfe", "Entw&APw-rfe"), ("Work.2002", "Work/2002")];
    let mut dovecot = Dovecot::start("maildir:{mail}/%n/Maildir", "");
    let mut theirs = dovecot.imap("alice");
    for (name, _) in &folders[1..] {
        theirs.ok(&format!("CREATE \"{name}\""));
        theirs.ok(&format!("SUBSCRIBE \"{name}\""));
    }
    for (name, _) in folders {
        fill(&mut theirs, name, 9);
    }
    let instance = Instance::start();
    let place = format!("maildir:{}/%u/Maildir", dovecot.mail().display());
    let said = clean(&instance, &["alice", &place]);
    assert!(said.contains("3 folders, 24 messages: 24 taken (24 with their UIDs)"), "{said}");
    let mut ours = instance.imap("alice");
    for (there, here) in folders {
        assert_eq!(listing(&mut ours, here), listing(&mut theirs, there), "{here}");
        assert_eq!(numbers(&mut ours, here), numbers(&mut theirs, there), "{here}");
    }
    assert_eq!(ours.ok("LSUB \"\" *").len(), 2);
    // A later run: flags are in the name, a file without a UID is the newest.
    theirs.ok("SELECT INBOX");
    theirs.ok("UID STORE 1 +FLAGS (\\Flagged)");
    let new = dovecot.mail().join("alice/Maildir/new/2000000000.M1P1.host");
    fs::write(new, "Subject: new\n\nx\n").unwrap();
    let said = clean(&instance, &["alice", &place]);
    assert!(said.contains("1 taken") && said.contains("1 got other flags"), "{said}");
    assert!(listing(&mut ours, "INBOX")[0].contains("Flagged"));
    clean(&instance, &["-n", "alice", &place]);
}

#[test]
fn mbox_files_that_a_dovecot_wrote_come_over_as_dovecot_shows_them() {
    let mut dovecot = Dovecot::start("mbox:{mail}/%n:INBOX={mail}/%n/inbox", "mbox_lazy_writes = no\n");
    let mut theirs = dovecot.imap("alice");
    for (name, count) in [("INBOX", 8), ("Work", 6)] {
        if name != "INBOX" {
            theirs.ok(&format!("CREATE {name}"));
        }
        for number in 1..=count {
            let flags = ["\\Flagged Junk", "\\Seen", "", "\\Answered \\Draft"][number % 4];
            let arguments = format!("({flags}) \"{number:02}-Feb-2001 10:20:30 +0000\" ");
            let message =
                format!("Subject: {name} {number}\r\nFrom: a@b\r\n\r\n{}", "text\r\n".repeat(number));
            assert!(theirs.append(name, &arguments, &message).starts_with("OK"));
        }
    }
    let instance = Instance::start();
    let place = format!("mbox:{}/%u", dovecot.mail().display());
    let expected = [listing(&mut theirs, "INBOX"), listing(&mut theirs, "Work")];
    let counts = [numbers(&mut theirs, "INBOX"), numbers(&mut theirs, "Work")];
    theirs.ok("LOGOUT");
    let said = clean(&instance, &["alice", &place]);
    assert!(said.contains("14 messages: 14 taken (14 with their UIDs)"), "{said}");
    let mut ours = instance.imap("alice");
    for (place, name) in ["INBOX", "Work"].iter().enumerate() {
        assert_eq!(listing(&mut ours, name), expected[place], "{name}");
        assert_eq!(numbers(&mut ours, name), counts[place], "{name}");
    }
    clean(&instance, &["-n", "alice", &place]);
}

#[test]
fn mbox_kinds_are_told_apart_and_what_is_no_message_is_said() {
    let instance = Instance::start();
    let folder = tempfile::tempdir().unwrap();
    let from = "From a@b Thu Feb  1 10:20:30 2001\n";
    let body = ">From x\nFrom y Thu Feb  1 10:20:30 2001\n";
    for (name, text) in [
        ("rd", format!("{from}Subject: rd\n\n>From x\n>>From y\n\n{from}Subject: rd2\n\nend\n")),
        (
            "cl2",
            format!("{from}Subject: cl2\nContent-Length: {}\n\n{body}\n{from}Subject: b\n\n", body.len()),
        ),
        ("bad", format!("what is this\n{from}Subject: z\n\n")),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let place = |name: &str| format!("mbox:{}", folder.path().join(name).display());
    clean(&instance, &["alice", &place("rd"), "--rename", "INBOX=rd"]);
    clean(&instance, &["alice", &place("cl2"), "--rename", "INBOX=cl2"]);
    let mut imap = instance.imap("alice");
    let text = listing(&mut imap, "rd").concat();
    assert!(text.contains("Subject: rd\r\n\r\nFrom x\r\n>From y\r\n)"), "{text}");
    assert!(text.contains("\"01-Feb-2001 10:20:30 +0000"), "{text}");
    let text = listing(&mut imap, "cl2").concat();
    assert!(text.contains("\r\n\r\n>From x\r\nFrom y Thu Feb  1 10:20:30 2001\r\n)"), "{text}");
    assert!(!text.contains("Content-Length"), "{text}");
    assert_eq!(imap.exists("cl2"), 2);
    let said = differs(&instance, &["alice", &place("bad"), "--rename", "INBOX=bad"]);
    assert!(said.contains("/bad: bytes 0 to") && said.contains("there is no From line"), "{said}");
}

#[test]
fn bad_files_are_told_by_place_and_the_others_come() {
    let instance = Instance::start();
    let folder = tempfile::tempdir().unwrap();
    for part in ["cur", "new", "tmp"] {
        fs::create_dir(folder.path().join(part)).unwrap();
    }
    let cur = folder.path().join("cur");
    fs::write(cur.join("1.good:2,SF"), "Subject: good\n\nx\n").unwrap();
    fs::write(cur.join("2.empty:2,"), "").unwrap();
    fs::create_dir(cur.join("3.folder")).unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "root's own\n").unwrap();
    symlink(&secret, cur.join("4.link:2,")).unwrap();
    symlink(folder.path(), folder.path().join(".Link")).unwrap();
    let place = format!("maildir:{}", folder.path().display());
    let said = differs(&instance, &["alice", &place]);
    assert!(said.contains("/cur/3.folder: it is no plain file"), "{said}");
    assert!(said.contains("/cur/4.link:2,: "), "{said}");
    assert!(said.contains("1 folders, 2 messages: 2 taken"), "links are not followed: {said}");
    assert!(said.contains("2 errors"), "{said}");
    let mut imap = instance.imap("alice");
    assert!(!listing(&mut imap, "INBOX").concat().contains("root's own"));
    let said = differs(&instance, &["alice", "maildir:/proc"]);
    assert!(said.contains("/proc: no Maildir"), "{said}");
    let said = differs(&instance, &["alice", "what:ever"]);
    assert!(said.contains("not maildir:PATH"), "{said}");
}

/// Root's own Maildir, and a suite that runs as somebody else: it can be read, and what is made is the suite's.
#[test]
fn the_tool_reads_what_is_others_and_writes_as_the_server() {
    if !is_root("root's own Maildir") {
        return;
    }
    let instance = Setup::default().server_user("games").create();
    let folder = tempfile::tempdir().unwrap();
    for part in ["cur", "new", "tmp"] {
        fs::create_dir(folder.path().join(part)).unwrap();
    }
    let mut file = fs::File::create(folder.path().join("cur/1.x:2,S")).unwrap();
    file.write_all(b"Subject: mine\n\nx\n").unwrap();
    fs::set_permissions(folder.path().join("cur/1.x:2,S"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let said = clean(&instance, &["alice", &format!("maildir:{}", folder.path().display())]);
    assert!(said.contains("1 taken"), "{said}");
    let number = nix::unistd::User::from_name("games").unwrap().unwrap().uid.as_raw();
    let mut seen = 0;
    owned_by(&instance.path("store"), number, &mut seen);
    assert!(seen > 5);
}

fn owned_by(folder: &Path, uid: u32, seen: &mut u32) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        assert_eq!(meta.uid(), uid, "{}", path.display());
        *seen += 1;
        if meta.is_dir() {
            owned_by(&path, uid, seen);
        }
    }
}
