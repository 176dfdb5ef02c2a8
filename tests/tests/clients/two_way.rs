//! What keeps a copy in step both ways: offlineimap, and mbsync with the same end at Mailboat and at Dovecot.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use black_box::instance::IMAP;
use black_box::{Dovecot, Imap, Instance, Value, run};

use crate::mbsync_from;
use crate::same_state::both_servers;

/// By mailbox and subject: the flags.
type State = BTreeMap<(String, String), Vec<String>>;

/// Flags that a Maildir can say, by their letters (RFC 9051 §2.3.2 for the flags).
const LETTERS: [(char, &str); 5] =
    [('D', "\\Draft"), ('F', "\\Flagged"), ('R', "\\Answered"), ('S', "\\Seen"), ('T', "\\Deleted")];

fn message(subject: &str) -> String {
    format!(
        "Message-ID: <{subject}@example.test>\r\nSubject: {subject}\r\n\r\n.dot\r\nFrom here {subject}\r\n"
    )
}

fn subject_of(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().find_map(|line| line.strip_prefix("Subject: "));
    line.unwrap_or_else(|| panic!("no subject: {text}")).to_owned()
}

/// What the server has in these mailboxes.
fn far(imap: &mut Imap, mailboxes: &[&str]) -> State {
    let mut state = State::new();
    for mailbox in mailboxes {
        imap.ok(&format!("EXAMINE {mailbox}"));
        let (rows, end) = imap.raw("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
        assert!(end.starts_with("OK"), "{end}");
        for row in rows.iter().filter(|row| row.windows(7).any(|part| part == b" FETCH ")) {
            let items: BTreeMap<String, Value> = Value::fetched(row).into_iter().collect();
            let Value::Text(header) = &items["BODY[HEADER.FIELDS (SUBJECT)]"] else { panic!("{items:?}") };
            let Value::List(flags) = &items["FLAGS"] else { panic!("{items:?}") };
            let mut flags: Vec<String> = flags.iter().map(|flag| format!("{flag:?}")).collect();
            flags.retain(|flag| flag != "\\Recent");
            flags.sort();
            let before = state.insert((mailbox.to_string(), subject_of(header)), flags);
            assert!(before.is_none(), "twice in {mailbox}: {items:?}");
        }
    }
    state
}

/// What the copy has.
fn near(mail: &Path, mailboxes: &[&str]) -> State {
    let mut state = State::new();
    for mailbox in mailboxes {
        for part in ["cur", "new"] {
            for entry in fs::read_dir(mail.join(mailbox).join(part)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let letters = name.rsplit_once(":2,").map_or("", |(_, letters)| letters);
                let mut flags: Vec<String> = LETTERS
                    .iter()
                    .filter(|(letter, _)| letters.contains(*letter))
                    .map(|(_, flag)| flag.to_string())
                    .collect();
                flags.sort();
                let subject = subject_of(&fs::read(&path).unwrap());
                let before = state.insert((mailbox.to_string(), subject), flags);
                assert!(before.is_none(), "twice: {}", path.display());
            }
        }
    }
    state
}

fn file_of(mail: &Path, mailbox: &str, subject: &str) -> std::path::PathBuf {
    let parts = ["cur", "new"].map(|part| fs::read_dir(mail.join(mailbox).join(part)).unwrap());
    parts
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .find(|path| subject_of(&fs::read(path).unwrap()) == subject)
        .unwrap_or_else(|| panic!("{subject} is not in {mailbox}"))
}

/// Flags in the copy, in place of those it had.
fn set_near(mail: &Path, mailbox: &str, subject: &str, letters: &str) {
    let path = file_of(mail, mailbox, subject);
    let name = path.file_name().unwrap().to_str().unwrap();
    let base = name.split(":2,").next().unwrap();
    fs::rename(&path, mail.join(mailbox).join("cur").join(format!("{base}:2,{letters}"))).unwrap();
}

/// The UID of who has this Message-ID, in the mailbox that is selected.
fn uid_of(imap: &mut Imap, subject: &str) -> String {
    let said = imap.ok(&format!("UID SEARCH HEADER Message-ID \"<{subject}@example.test>\""));
    said.iter().find_map(|line| line.strip_prefix("* SEARCH ")).unwrap().trim().to_owned()
}

/// The same changes on both sides, with `sync` between; what is on both sides in the end.
fn run_two_way(imap: &mut Imap, mail: &Path, mut sync: impl FnMut()) -> (State, State) {
    let mailboxes = ["INBOX", "Archive"];
    imap.ok("CREATE Archive");
    for mailbox in mailboxes {
        for number in 0..12 {
            let flags = if number % 3 == 0 { "(\\Seen) " } else { "" };
            let said = imap.append(mailbox, flags, &message(&format!("far-{mailbox}-{number}")));
            assert!(said.starts_with("OK"), "{said}");
        }
    }
    sync();
    assert_eq!(near(mail, &mailboxes).len(), 24);
    // New ones, flags and deletions, on both sides before the next run.
    for number in 0..6 {
        let text = message(&format!("near-{number}")).replace("\r\n", "\n");
        fs::write(mail.join(format!("Archive/new/1700000000.{number}.near")), text).unwrap();
        assert!(imap.append("INBOX", "(\\Flagged) ", &message(&format!("later-{number}"))).starts_with("OK"));
    }
    set_near(mail, "INBOX", "far-INBOX-1", "FS");
    set_near(mail, "INBOX", "far-INBOX-3", "");
    set_near(mail, "INBOX", "far-INBOX-4", "ST");
    fs::remove_file(file_of(mail, "Archive", "far-Archive-5")).unwrap();
    imap.ok("SELECT INBOX");
    for (subject, change) in [
        ("far-INBOX-6", "-FLAGS (\\Seen)"),
        ("far-INBOX-7", "+FLAGS (\\Answered)"),
        ("far-INBOX-1", "+FLAGS (\\Answered)"),
        ("far-INBOX-8", "+FLAGS (\\Deleted)"),
    ] {
        let uid = uid_of(imap, subject);
        imap.ok(&format!("UID STORE {uid} {change}"));
    }
    imap.ok("EXPUNGE");
    let uid = uid_of(imap, "far-INBOX-9");
    imap.ok(&format!("UID COPY {uid} Archive"));
    imap.ok("CLOSE");
    sync();
    sync();
    (far(imap, &mailboxes), near(mail, &mailboxes))
}

#[test]
fn mbsync_both_ways_ends_as_with_dovecot() {
    let instance = Instance::start();
    let home = tempfile::tempdir().unwrap();
    let mut imap = instance.imap("alice");
    let ours = run_two_way(&mut imap, &home.path().join("mail"), || {
        let account = ("alice@example.test", "alice-secret");
        mbsync_from(&instance.address.to_string(), IMAP, account, home.path());
    });
    let mut dovecot = Dovecot::start("sdbox:{mail}/%n", "");
    let other = tempfile::tempdir().unwrap();
    let mut imap = dovecot.imap("alice");
    let theirs = run_two_way(&mut imap, &other.path().join("mail"), || {
        mbsync_from("127.0.0.1", dovecot.port, ("alice", "secret"), other.path());
    });
    assert_eq!(ours, theirs);
    assert_eq!(ours.0, ours.1, "the two sides differ");
    assert_eq!(ours.0.len(), 24 + 12 - 3 + 1);
}

#[test]
fn offlineimap_both_ways_ends_as_with_dovecot() {
    let states = both_servers(|server, imap| {
        let home = tempfile::tempdir().unwrap();
        let (rc, mail) = (home.path().join("offlineimaprc"), home.path().join("mail"));
        let text = format!(
            "[general]\naccounts = a\nui = basic\nmetadata = {home}/meta\n[Account a]\nlocalrepository = near\n\
             remoterepository = far\n[Repository near]\ntype = Maildir\nlocalfolders = {mail}\n[Repository far]\n\
             type = IMAP\nremotehost = {}\nremoteport = {}\nremoteuser = {}\nremotepass = {}\n\
             ssl = no\nstarttls = no\n",
            server.host,
            server.imap,
            server.user,
            server.password,
            home = home.path().display(),
            mail = mail.display()
        );
        fs::write(&rc, text).unwrap();
        let (there, here) = run_two_way(imap, &mail, || {
            run(Command::new("offlineimap").arg("-o").arg("-c").arg(&rc).env("HOME", home.path()));
        });
        assert_eq!(there, here);
        // It expunges nothing because of \\Deleted alone.
        assert_eq!(there.len(), 24 + 12 - 2 + 1);
    });
    assert_eq!(states[0], states[1]);
}
