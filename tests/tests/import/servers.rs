//! From running servers: a Dovecot, and our own imapd.

use std::process::Stdio;

use black_box::instance::{IMAPS, wait_for};
use black_box::{Dovecot, Setup, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;

/// A Dovecot with Maildir++, everything below `INBOX.`.
const NAMESPACE: &str = "namespace inbox {\n inbox = yes\n prefix = INBOX.\n separator = .\n mailbox Sent {\n  special_use = \\Sent\n  auto = subscribe\n }\n}";
const FOLDERS: [(&str, &str); 4] = [
    ("INBOX", "INBOX"),
    ("INBOX.Sent", "Sent"),
    ("INBOX.Entw&APw-rfe", "Entw&APw-rfe"),
    ("INBOX.Work.2002", "Work/2002"),
];

fn filled(namespace: &str, location: &str, folders: &[(&str, &str)]) -> Dovecot {
    let mut dovecot = Dovecot::start(location, namespace);
    let mut imap = dovecot.imap("alice");
    for (name, _) in folders {
        if !["INBOX", "INBOX.Sent"].contains(name) {
            imap.ok(&format!("CREATE \"{name}\""));
        }
    }
    imap.ok("SUBSCRIBE INBOX.Work.2002");
    for (place, (name, _)) in folders.iter().enumerate() {
        fill(&mut imap, name, 7 + 5 * place as u32);
    }
    dovecot
}

#[test]
fn a_dovecot_comes_over_by_imap_and_later_runs_take_what_changed() {
    let mut dovecot = filled(NAMESPACE, "maildir:{mail}/%n/Maildir", &FOLDERS);
    let instance = Instance::start();
    let passwords = password_file(&instance, "master:master-secret\n");
    let (passwords, ca) = (passwords.to_str().unwrap(), dovecot.authority());
    let place = format!("imap://%u@localhost:{}", dovecot.port);
    let arguments =
        ["--password-file", passwords, "--admin", "master", "--ca", ca.to_str().unwrap(), "alice", &place];
    let looked = differs(&instance, &[&["-n"], &arguments[..]].concat());
    assert!(looked.contains("54 would come"), "{looked}");
    let said = clean(&instance, &arguments);
    assert!(
        said.contains("4 folders, 54 messages: 54 taken (54 with their UIDs), 0 were here already"),
        "{said}"
    );
    let (mut theirs, mut ours) = (dovecot.imap("alice"), instance.imap("alice"));
    for (there, here) in FOLDERS {
        assert_eq!(listing(&mut ours, here), listing(&mut theirs, there), "{here}");
        assert_eq!(numbers(&mut ours, here), numbers(&mut theirs, there), "{here}");
    }
    assert_eq!(listing(&mut ours, "INBOX").len(), 6);
    let mut subscribed = ours.ok("LSUB \"\" *");
    subscribed.sort();
    assert!(
        subscribed.len() == 2 && subscribed[0].contains("Sent") && subscribed[1].contains("Work/2002"),
        "{subscribed:?}"
    );
    assert!(ours.ok("LIST \"\" Sent").concat().contains("\\Sent"));
    // Nothing changed: nothing happens.
    clean(&instance, &[&["-n"], &arguments[..]].concat());
    let again = clean(&instance, &arguments);
    assert!(again.contains(" 0 taken"), "{again}");
    // Both sides change; what one did not touch it takes from the other.
    theirs.ok("SELECT INBOX");
    theirs.ok("UID STORE 1 -FLAGS (\\Seen)");
    theirs.ok("UID STORE 2 +FLAGS (\\Seen $Label1)");
    theirs.ok("UID STORE 5:6 +FLAGS (\\Deleted)");
    theirs.ok("UID EXPUNGE 5:6");
    theirs.append("INBOX", "", "Subject: new\r\n\r\nx\r\n");
    ours.ok("SELECT INBOX");
    ours.ok("UID STORE 2 +FLAGS (\\Answered)");
    ours.ok("UID STORE 6 +FLAGS (Mine)");
    ours.ok("UID STORE 7 +FLAGS (\\Deleted)");
    ours.ok("UID EXPUNGE 7");
    let looked = differs(&instance, &[&["-n"], &arguments[..]].concat());
    assert!(looked.contains("1 would come") && looked.contains("2 gone at the source"), "{looked}");
    assert!(looked.contains("INBOX: message 1: its flags are others"), "{looked}");
    let said = clean(&instance, &arguments);
    assert!(said.contains("1 taken (1 with their UIDs)") && said.contains("2 got other flags"), "{said}");
    assert!(
        said.contains("2 gone at the source, kept here, 1 removed here since, 1 changed here since"),
        "{said}"
    );
    let said = clean(&instance, &[&["--expunge"], &arguments[..]].concat());
    assert!(said.contains("1 expunged as at the source, 1 gone at the source, kept here"), "{said}");
    let now = listing(&mut ours, "INBOX");
    let flags = |uid: u32| now.iter().find(|line| line.contains(&format!("UID {uid} "))).cloned();
    assert!(!flags(1).unwrap().contains("Seen"));
    let both = flags(2).unwrap();
    assert!(["\\Seen", "$Label1", "\\Answered"].iter().all(|flag| both.contains(flag)), "{both}");
    assert!(flags(5).is_none(), "gone at the source");
    assert!(flags(6).unwrap().contains("Mine"), "touched here, so it stays");
    assert!(flags(7).is_none(), "removed here, so it does not come back");
    assert_eq!(now.len(), 5);
}

#[test]
fn a_certificate_that_is_nobodys_a_wrong_password_and_an_unknown_user_are_said() {
    let mut dovecot = Dovecot::start("maildir:{mail}/%n/Maildir", "");
    drop(dovecot.imap("alice"));
    let instance = Setup::default().create();
    let passwords = password_file(&instance, "alice:wrong\n");
    let place = format!("imap://localhost:{}", dovecot.port);
    let base = ["--password-file", passwords.to_str().unwrap()];
    let said = differs(&instance, &[&base[..], &["alice", &place]].concat());
    assert!(said.contains("alice: localhost: TLS: its certificate is refused"), "{said}");
    let said = differs(&instance, &[&base[..], &["--any-certificate", "alice", &place]].concat());
    assert!(said.contains("the log-in was refused"), "{said}");
    let said = differs(&instance, &[&base[..], &["bob", &place]].concat());
    assert!(said.contains("bob: bob: its password is not in --password-file"), "{said}");
    let said = differs(&instance, &["niemand", &place]);
    assert!(said.contains("niemand: there is no such user"), "{said}");
    let said = differs(&instance, &["alice", "imaps://localhost:1", "--password-file", base[1]]);
    assert!(said.contains("refused"), "{said}");
}

/// Messages in all mailboxes of a user, whom nobody logs in.
fn here(instance: &Instance, user: &str) -> u32 {
    let pattern = format!("user/{user}/*");
    let listed = run(instance.tool("mboxutil").args(["-l", "-p", &pattern]));
    listed.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u32>().ok()).sum()
}

/// Many users from our own imapd, killed again and again.
#[test]
fn an_import_that_is_killed_goes_on_where_it_was_and_doubles_nothing() {
    let users = ["u1", "u2", "u3", "u4"];
    let old = Setup::default().users(&users).start();
    let count = 260;
    for user in users {
        let mut imap = old.imap(user);
        imap.ok("CREATE Work");
        for mailbox in ["INBOX", "Work"] {
            for number in 0..count {
                let message = format!("Subject: {mailbox} {number}\r\n\r\n{}", "x".repeat(number));
                imap.append(mailbox, "(\\Seen) ", &message);
            }
        }
    }
    let new = Setup::default().users(&users).start();
    let passwords = password_file(&new, "admin:admin-secret\n");
    let list = new.path("users");
    let place = format!("imaps://{}:{IMAPS}", old.address);
    let lines: Vec<String> = users.iter().map(|user| format!("{user} {place}\n")).collect();
    fs::write(&list, lines.concat()).unwrap();
    let arguments =
        ["--password-file", passwords.to_str().unwrap(), "--admin", "admin", "--any-certificate", "-j", "2"];
    let arguments = [&arguments[..], &["--list", list.to_str().unwrap()]].concat();
    for step in 1..=3 {
        let mut command = new.tool("imsimport");
        let mut child = command.args(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for("some messages to come", || {
            (here(&new, "u1") >= step * 100 || child.try_wait().unwrap().is_some()).then_some(())
        });
        kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
    }
    let said = clean(&new, &arguments);
    assert!(said.contains("8 folders, 2080 messages"), "{said}");
    for user in users {
        let (mut theirs, mut ours) = (old.imap(user), new.imap(user));
        for mailbox in ["INBOX", "Work"] {
            assert_eq!(listing(&mut ours, mailbox), listing(&mut theirs, mailbox), "{user} {mailbox}");
            assert_eq!(numbers(&mut ours, mailbox), numbers(&mut theirs, mailbox), "{user} {mailbox}");
            assert!(subjects(&mut ours, mailbox).values().all(|times| *times == 1), "{user} {mailbox}");
        }
    }
    // Even when the notes of what came are lost, the bytes tell.
    fs::remove_dir_all(new.path("store/import")).unwrap();
    let said = clean(&new, &arguments);
    assert!(said.contains(" 0 taken") && said.contains("2080 were here already"), "{said}");
    assert_eq!(new.imap("u3").exists("Work"), count as u32);
}

#[test]
fn mail_that_came_here_first_keeps_its_uids_and_a_gap_keeps_them_apart() {
    let mut dovecot = Dovecot::start("maildir:{mail}/%n/Maildir", "");
    let mut theirs = dovecot.imap("alice");
    fill(&mut theirs, "INBOX", 4);
    let instance = Instance::start();
    let passwords = password_file(&instance, "alice:secret\n");
    let place = format!("imap://localhost:{}", dovecot.port);
    let arguments = ["--password-file", passwords.to_str().unwrap(), "--any-certificate", "alice", &place];
    clean(&instance, &arguments);
    // Mail is delivered here before the last of the old server's came: a UID means two messages.
    instance.send("alice", "here");
    instance.wait_for_messages("alice", 4);
    theirs.append("INBOX", "", "Subject: there\r\n\r\nx\r\n");
    let said = differs(&instance, &arguments);
    assert!(
        said.contains("message 5: its UID was given to mail that came here; it has the UID 6 now"),
        "{said}"
    );
    clean(&instance, &arguments);
    // With a gap it does not happen.
    let other = Instance::start();
    let passwords = password_file(&other, "alice:secret\n");
    let arguments = ["--password-file", passwords.to_str().unwrap(), "--any-certificate", "alice", &place];
    clean(&other, &[&["--uid-gap", "1000"], &arguments[..]].concat());
    other.send("alice", "here");
    other.wait_for_messages("alice", 5);
    theirs.append("INBOX", "", "Subject: later\r\n\r\nx\r\n");
    let said = clean(&other, &arguments);
    assert!(said.contains("1 taken (0 with their UIDs)"), "{said}");
}

/// A message that is longer than the tool may have memory, from each kind of source.
#[test]
fn a_huge_message_takes_no_memory() {
    const MESSAGE_BYTES: usize = 40 << 20;
    const MEMORY_BYTES: usize = 24 << 20;
    let mut dovecot = Dovecot::start("maildir:{mail}/%n/Maildir", "");
    dovecot.imap("alice").ok("SELECT INBOX"); // it makes the Maildir
    let message =
        format!("Subject: huge\n\n{}", "a line of it, and nothing else\n".repeat(MESSAGE_BYTES / 31));
    let maildir = dovecot.mail().join("alice/Maildir");
    fs::write(maildir.join("new/1000000000.M1P1.host"), &message).unwrap();
    let instance = Instance::start();
    let mbox = instance.path("mbox");
    fs::write(&mbox, format!("From a@b Thu Feb  1 10:20:30 2001\n{message}\n")).unwrap();
    let passwords = password_file(&instance, "alice:secret\n");
    let sources = [
        format!("maildir:{}", maildir.display()),
        format!("mbox:{}", mbox.display()),
        format!("imap://localhost:{}", dovecot.port),
    ];
    for (place, source) in sources.iter().enumerate() {
        let mut command = std::process::Command::new("prlimit");
        command.arg(format!("--data={MEMORY_BYTES}")).arg(black_box::program("imsimport"));
        command.env("CONFIGROOT", instance.root.join("config")).arg("--password-file").arg(&passwords);
        command.args([
            "--any-certificate",
            "-j",
            "1",
            "--rename",
            &format!("INBOX=from{place}"),
            "alice",
            source,
        ]);
        let said = run(&mut command);
        assert!(said.contains("1 taken"), "{said}");
    }
    let mut imap = instance.imap("alice");
    for place in 0..3 {
        imap.ok(&format!("EXAMINE from{place}"));
        let size = imap.ok("FETCH 1 RFC822.SIZE").concat();
        let lines = message.matches('\n').count();
        assert!(size.contains(&format!("RFC822.SIZE {}", message.len() + lines)), "{size}");
    }
}

/// A unique id is UIDVALIDITY and UID, and both come over: from a Dovecot that has `pop3_uidl_format = %v.%u`, or another
/// Mailboat, a POP client loads nothing a second time.
#[test]
fn unique_ids_of_pop_come_over() {
    let mut dovecot = Dovecot::start("maildir:{mail}/%n/Maildir", "pop3_uidl_format = %v.%u");
    fill(&mut dovecot.imap("alice"), "INBOX", 7);
    let uidl = |stream: std::net::TcpStream, password: &str| {
        let mut pop = black_box::Pop::open(stream);
        pop.ok("USER alice");
        pop.ok(&format!("PASS {password}"));
        pop.lines("UIDL")
    };
    let before = uidl(std::net::TcpStream::connect(("127.0.0.1", dovecot.pop_port)).unwrap(), "secret");
    let instance = Instance::start();
    let passwords = password_file(&instance, "master:master-secret\n");
    let ca = dovecot.authority();
    let place = format!("imap://%u@localhost:{}", dovecot.port);
    clean(
        &instance,
        &[
            "--password-file",
            passwords.to_str().unwrap(),
            "--admin",
            "master",
            "--ca",
            ca.to_str().unwrap(),
            "alice",
            &place,
        ],
    );
    assert!(before.len() >= 6, "{before:?}");
    assert_eq!(uidl(instance.connect(black_box::instance::POP), "alice-secret"), before);
}
