//! The journals of the store: what a power cut takes of mailboxes is back after the next start; who waits for it shares a
//! sync. A power cut is made of kill -9 of everything, of losing, cutting or emptying every message file that came since,
//! and of putting indexes and logs back to what they were.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use black_box::instance::wait_for;
use black_box::{Imap, Instance, Setup, Trace};

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => files_below(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

/// Every file of the mailboxes.
fn mailboxes(instance: &Instance) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = Vec::new();
    files_below(&instance.path("store/partition"), &mut found);
    found.into_iter().filter_map(|path| fs::read(&path).ok().map(|bytes| (path, bytes))).collect()
}

/// What stands in all journals.
fn journals(instance: &Instance) -> Vec<u8> {
    let mut found = Vec::new();
    for folder in ["queue/journal", "store/journal"] {
        files_below(&instance.path(folder), &mut found);
    }
    found.iter().flat_map(|path| fs::read(path).unwrap_or_default()).collect()
}

fn holds(journals: &[u8], text: &str) -> bool {
    journals.windows(text.len()).any(|window| window == text.as_bytes())
}

fn message(subject: &str) -> String {
    format!("Subject: {subject}\r\n\r\n{}\r\n", "body ".repeat(80))
}

const DAEMONS: [&str; 4] = ["smtp", "imap", "pop", "store"];

/// Ends everything, and takes what was not synced since `before`; how many message files.
fn cut_the_power(instance: &mut Instance, before: &BTreeMap<PathBuf, Vec<u8>>, turn: usize) -> usize {
    DAEMONS.iter().for_each(|service| instance.kill(service));
    let mut lost = 0;
    for (path, bytes) in mailboxes(instance) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match (before.get(&path), name.ends_with(".msg")) {
            (None, true) => {
                lost += 1;
                match (lost + turn) % 4 {
                    0 => fs::remove_file(&path).unwrap(),
                    1 => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
                    2 => fs::write(&path, vec![0; bytes.len()]).unwrap(),
                    _ => fs::write(&path, b"").unwrap(),
                }
            }
            (Some(was), _) => fs::write(&path, was).unwrap(),
            (None, _) => {}
        }
    }
    for folder in ["queue/control", "queue/messages"] {
        for entry in fs::read_dir(instance.path(folder)).unwrap().flatten() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    lost
}

/// Everything of some mailboxes: UIDs, flags and texts.
fn seen(imap: &mut Imap) -> Vec<String> {
    let mut all = Vec::new();
    for mailbox in ["INBOX", "Work"] {
        let selected = imap.ok(&format!("EXAMINE {mailbox}"));
        all.extend(
            selected.into_iter().filter(|line| line.contains("UIDVALIDITY") || line.contains("UIDNEXT")),
        );
        all.extend(imap.ok("FETCH 1:* (UID FLAGS MODSEQ BODY.PEEK[])"));
    }
    all.retain(|line| !line.contains("OK [HIGHESTMODSEQ")); // told once, by the first FETCH that asks for MODSEQ
    all.iter().map(|line| line.replace(" \\Recent", "").replace("\\Recent", "")).collect()
}

/// Mail that came, and what a client did with it.
fn changes(instance: &Instance, imap: &mut Imap, turn: usize) {
    let before = imap.exists("INBOX");
    for number in 0..3 {
        instance.send("alice", &format!("delivered {turn} {number}."));
    }
    wait_for("the mail", || (imap.exists("INBOX") >= before + 3).then_some(()));
    instance.wait_for_empty_queue();
    imap.ok("SELECT INBOX");
    for number in 0..2 {
        let text = message(&format!("appended {turn} {number}."));
        assert!(imap.append("INBOX", "(\\Draft) ", &text).starts_with("OK"));
    }
    let last = imap.exists("INBOX");
    imap.ok(&format!("STORE {last} +FLAGS (\\Flagged one-{turn})"));
    imap.ok(&format!("COPY {}:{last} Work", last - 3));
    imap.ok(&format!("MOVE {} Work", last - 4));
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
}

fn started() -> (Instance, Imap) {
    let instance = Setup::default().start();
    let mut imap = instance.imap("alice");
    imap.ok("CREATE Work");
    (instance, imap)
}

/// What was answered with OK, and mail that was answered with 250, is there as it was.
#[test]
fn what_a_power_cut_took_of_mailboxes_is_back() {
    let (mut instance, mut imap) = started();
    for turn in 0..4 {
        instance.wait_for_journal(&mut imap);
        let before = mailboxes(&instance);
        changes(&instance, &mut imap, turn);
        let expected = seen(&mut imap);
        let written = journals(&instance);
        for subject in [format!("delivered {turn} 0."), format!("appended {turn} 0.")] {
            assert!(holds(&written, &subject), "{subject} was made durable by a file");
        }
        let lost = cut_the_power(&mut instance, &before, turn);
        assert!(lost >= 9, "five new messages and four copies, and {lost} were lost");
        instance.start_all();
        assert!(instance.log("store").contains("message files were put back"), "{}", instance.log("store"));
        imap = instance.imap("alice");
        assert_eq!(seen(&mut imap), expected);
        let queue = fs::read_dir(instance.path("queue/lost+found")).unwrap().count();
        assert_eq!(queue, 0);
    }
}

/// stored is killed at each step of the replay, and does it again.
#[test]
fn a_replay_of_the_store_that_is_killed_is_done_again() {
    let (mut instance, mut imap) = started();
    let steps = [
        "store replay: file written",
        "store replay: log written",
        "store replay: written",
        "store replay: synced",
    ];
    for (turn, step) in steps.into_iter().enumerate() {
        instance.wait_for_journal(&mut imap);
        let before = mailboxes(&instance);
        changes(&instance, &mut imap, turn);
        let expected = seen(&mut imap);
        cut_the_power(&mut instance, &before, turn);
        instance.set_environment("MAILBOAT_CRASH_AT", step);
        instance.begin_one("store");
        assert_eq!(instance.wait_for_end("store").signal(), Some(9), "{step}");
        instance.set_environment("MAILBOAT_CRASH_AT", "");
        instance.start_all();
        imap = instance.imap("alice");
        assert_eq!(seen(&mut imap), expected, "{step}");
    }
}

/// A tool that runs with the suite stopped puts mailboxes right before it looks at them.
#[test]
fn a_tool_sees_what_the_journals_hold_after_a_power_cut() {
    let (mut instance, mut imap) = started();
    instance.wait_for_journal(&mut imap);
    let before = mailboxes(&instance);
    changes(&instance, &mut imap, 0);
    let expected = seen(&mut imap);
    cut_the_power(&mut instance, &before, 1);
    let told = black_box::run(instance.tool("reconstruct").args(["-n", "-r", "user/alice"]));
    assert!(!told.contains("missing") && !told.contains("damaged"), "{told}");
    black_box::run(instance.tool("msg-queue").args(["delete", "--all"]));
    instance.start_all();
    assert_eq!(seen(&mut instance.imap("alice")), expected);
}

/// imapd is killed in the middle of a change: what was answered is there once, what was not is there once or not at all.
#[test]
fn an_imapd_that_is_killed_at_a_step_of_the_journal_loses_nothing() {
    for step in ["store: log written", "store: record written", "store: record synced"] {
        let mut instance = Setup::default().environment("MAILBOAT_CRASH_AT", step).start();
        let mut answered = Vec::new();
        let mut imap = instance.imap("alice");
        for number in 0.. {
            let text = message(&format!("number {number}."));
            let command = format!("a{number} APPEND INBOX {{{}+}}\r\n{text}\r\n", text.len());
            let told = imap.wire.try_send(command.as_bytes()) && imap.wire.try_line().is_some();
            if !told {
                break;
            }
            answered.push(number);
            if number > 0 {
                std::thread::sleep(Duration::from_millis(5)); // paced: the journal is being made
            }
        }
        assert_eq!(instance.wait_for_end("imap").signal(), Some(9), "{step}");
        instance.set_environment("MAILBOAT_CRASH_AT", "");
        instance.start_one("imap");
        let mut imap = instance.imap("alice");
        imap.ok("SELECT INBOX");
        let lines = imap.ok("FETCH 1:* BODY.PEEK[]").join("\n");
        let count = |number: usize| lines.matches(&format!("Subject: number {number}.")).count();
        assert!(answered.iter().all(|number| count(*number) == 1), "{step}: {lines}");
        assert!(count(answered.len()) <= 1, "{step}: {lines}");
        assert!(imap.append("INBOX", "", &message("behind it")).starts_with("OK"));
    }
}

/// S151, S156: many clients at once, each message into a mailbox here: fewer than one sync for ten messages, for all of
/// accepting, delivering and forgetting them.
#[test]
fn local_mail_of_many_clients_costs_less_than_a_tenth_of_a_sync_each() {
    let users: Vec<String> = (0..64).map(|number| format!("u{number}")).collect();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    // So large that it is not emptied meanwhile.
    let journal = ("local.service.smtp.journalsize", "33554432");
    let instance = Setup::default().users(&names).set(journal.0, journal.1).start();
    for user in &users {
        instance.send(user, "the mailbox exists now");
    }
    instance.wait_for_empty_queue();
    let each = 10;
    let mut sessions: Vec<_> = users.iter().map(|user| (user, instance.smtp())).collect();
    for (_, smtp) in &mut sessions {
        smtp.ok("EHLO client.example.org");
    }
    let mut rounds = 0;
    Trace::prove_shared_syncs(&instance, "smtp", (users.len() * each, 10), || {
        rounds += 1;
        std::thread::scope(|scope| {
            for (user, smtp) in &mut sessions {
                scope.spawn(move || {
                    let to = format!("{user}@example.test");
                    for _ in 0..each {
                        smtp.send_message("a@example.org", &[&to], "Subject: s\r\n\r\nx\r\n");
                    }
                });
            }
        });
        instance.wait_for_empty_queue();
    });
    for user in &users {
        instance.wait_for_messages(user, 1 + rounds * each as u32);
    }
}

/// Sessions of one imapd that change mailboxes at the same time share syncs.
#[test]
fn sessions_of_one_imapd_share_syncs() {
    let users: Vec<String> = (0..32).map(|number| format!("u{number}")).collect();
    let names: Vec<&str> = users.iter().map(String::as_str).collect();
    let instance = Setup::default().users(&names).start();
    let mut sessions: Vec<Imap> = users.iter().map(|user| instance.imap(user)).collect();
    for imap in &mut sessions {
        assert!(imap.append("INBOX", "", &message("first")).starts_with("OK"));
        imap.ok("SELECT INBOX");
    }
    instance.wait_for_journal(&mut sessions[0]);
    let each = 6;
    Trace::prove_shared_syncs(&instance, "imap", (users.len() * each * 3, 2), || {
        std::thread::scope(|scope| {
            for imap in &mut sessions {
                scope.spawn(move || {
                    for _ in 0..each {
                        assert!(imap.append("INBOX", "", &message("shared")).starts_with("OK"));
                        imap.ok("STORE 1 +FLAGS (\\Seen)");
                        imap.ok("STORE 1 -FLAGS (\\Seen)");
                    }
                });
            }
        });
    });
}
