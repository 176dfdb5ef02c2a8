//! The queue's journal: what a power cut takes of the files beside it is back after the next start; who waits for it shares
//! a sync. A power cut is made of kill -9 and of losing, cutting or emptying every file that was not synced.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use black_box::instance::wait_for;
use black_box::{Act, Instance, Setup, Smtp, Step, StubMta, Trace, World, quick, run};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// Removes, cuts or zeroes the files of the queue, each another way; how many. A message that a mailbox has too was synced
/// before.
fn cut_the_power(instance: &Instance, turn: usize) -> usize {
    let mut lost = 0;
    for folder in ["queue/control", "queue/messages"] {
        for path in files(&instance.path(folder)) {
            if fs::metadata(&path).unwrap().nlink() > 1 {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            match (lost + turn) % 4 {
                0 => fs::remove_file(&path).unwrap(),
                1 => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
                2 => fs::write(&path, vec![0; bytes.len()]).unwrap(),
                _ => fs::write(&path, b"").unwrap(),
            }
            lost += 1;
        }
    }
    lost
}

fn send(instance: &Instance, to: &str, subject: &str) {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    let text = format!("Subject: {subject}\r\n\r\n{}\r\n", "body ".repeat(50));
    smtp.send_message("alice@example.test", &[to], &text);
}

/// How often each subject was seen; every message is whole.
fn subjects(mx: &StubMta) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for message in mx.seen().received {
        let text = message.text();
        assert!(text.ends_with(&format!("{}\r\n", "body ".repeat(50))), "{text}");
        let subject = text.split("Subject: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
        *found.entry(subject.to_owned()).or_insert(0) += 1;
    }
    found
}

const TAKEN: &str = "250 2.1.0 taken";

/// Messages that were answered with 250 wait for a host that does not answer. All their files are lost in one way or
/// another; they go out whole, once.
#[test]
fn relayed_messages_whose_files_a_power_cut_took_go_out_once() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new());
    let mut instance = world.setup().start();
    let mut sent = BTreeMap::new();
    for turn in 0..4 {
        mx.from_now_on(Step::Mail, &[Act::Silence]);
        for number in 0..5 {
            let subject = format!("message {turn} {number}");
            send(&instance, "x@remote.test", &subject);
            sent.insert(subject, 1);
        }
        instance.wait_for_queue("five messages as files", || {
            (files(&instance.path("queue/control")).len() == 5).then_some(())
        });
        instance.kill("smtp");
        let there =
            [files(&instance.path("queue/control")), files(&instance.path("queue/messages"))].concat();
        assert_eq!(
            cut_the_power(&instance, turn),
            10,
            "two files of each message: {there:#?} {:#?}",
            subjects(&mx)
        );
        mx.from_now_on(Step::Mail, &[Act::say(TAKEN)]);
        instance.start_one("smtp");
        assert!(instance.log("smtp").contains("5 messages were in it; 5 were written again"));
        instance.wait_for_empty_queue();
        let messages = instance.path("queue/messages"); // they go behind their envelopes
        wait_for("the messages to go", || files(&messages).is_empty().then_some(()));
        assert_eq!(subjects(&mx), sent);
    }
    assert!(files(&instance.path("queue/lost+found")).is_empty());
    instance.prove();
}

/// What a tool that holds the queue does in smtpd's stead: it sees what the journal holds, and what it removes stays away.
#[test]
fn a_tool_that_changes_the_queue_of_a_killed_smtpd_sees_what_the_journal_holds() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new().on(Step::Mail, &[Act::Silence]));
    let mut instance = world.setup().start();
    for number in 0..3 {
        send(&instance, "x@remote.test", &format!("kept {number}"));
    }
    send(&instance, "y@remote.test", "removed");
    instance.kill("smtp");
    cut_the_power(&instance, 0);
    let answer = run(instance.tool("msg-queue").args(["delete", "--recipient", "y@remote.test"]));
    assert_eq!(answer, "delete: 1 message\n");
    assert_eq!(run(instance.tool("mailq").arg("--json")).lines().count(), 3);
    mx.from_now_on(Step::Mail, &[Act::say(TAKEN)]);
    instance.start_one("smtp");
    instance.wait_for_empty_queue();
    let seen = subjects(&mx);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["kept 0", "kept 1", "kept 2"]);
}

/// Sends to both users until it is cut off; notes what was answered with 250.
fn send_until_cut_off(smtp: &mut Smtp, thread: usize, round: usize, sent: &Mutex<Vec<String>>) {
    for number in 0.. {
        let token = format!("{round}-{thread}-{number}");
        let text = "MAIL FROM:<a@example.org>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n";
        let told = smtp.wire.try_send(text.as_bytes())
            && (0..4).all(|_| smtp.wire.try_line().is_some_and(|line| line.starts_with(['2', '3'])))
            && smtp.wire.try_send(format!("Subject: {token}\r\n\r\n{}\r\n.\r\n", "x".repeat(900)).as_bytes())
            && smtp.wire.try_line().is_some_and(|line| line.starts_with("250"));
        if !told {
            return;
        }
        sent.lock().unwrap().push(token);
    }
}

/// Local mail under load: the power is cut in the middle, again and again; what was acknowledged is in each mailbox once.
#[test]
fn local_mail_is_delivered_once_although_the_power_is_cut_under_load() {
    let mut instance = Setup::default().start();
    let sent = Mutex::new(Vec::new());
    let mut lost = 0;
    for round in 0..if quick() { 6 } else { 40 } {
        let mut sessions: Vec<Smtp> = (0..6).map(|_| instance.smtp()).collect();
        for smtp in &mut sessions {
            smtp.ok("EHLO client.example.org");
        }
        let before = sent.lock().unwrap().len();
        std::thread::scope(|scope| {
            for (thread, smtp) in sessions.iter_mut().enumerate() {
                let sent = &sent;
                scope.spawn(move || send_until_cut_off(smtp, thread, round, sent));
            }
            wait_for("some messages", || (sent.lock().unwrap().len() >= before + 10).then_some(()));
            instance.signal("smtp", nix::sys::signal::Signal::SIGKILL);
        });
        instance.kill("smtp");
        lost += cut_the_power(&instance, round);
        instance.start_one("smtp");
        instance.wait_for_empty_queue();
    }
    // Most have no files yet; the journal has them.
    let replays = instance.log("smtp").matches("queue journal: ").count();
    eprintln!("{} messages acknowledged, {lost} files lost, {replays} replays", sent.lock().unwrap().len());
    assert!(replays > 0, "there was always nothing to lose");
    for user in ["alice", "bob"] {
        let mut imap = instance.imap(user);
        imap.ok("SELECT INBOX");
        let mut found: BTreeMap<String, u32> = BTreeMap::new();
        for line in imap.ok("FETCH 1:* BODY.PEEK[]") {
            let Some(subject) = line.split("Subject: ").nth(1) else { continue };
            assert!(subject.contains(&"x".repeat(900)), "{line}");
            *found.entry(subject.split("\r\n").next().unwrap().to_owned()).or_insert(0) += 1;
        }
        for token in sent.lock().unwrap().iter() {
            assert_eq!(found.get(token), Some(&1), "{token} in {user}'s INBOX");
        }
        assert!(found.values().all(|count| *count == 1));
    }
    instance.prove();
}

/// Many clients at once: fewer syncs than messages, for all of accepting, relaying and forgetting them.
#[test]
fn those_who_wait_for_the_journal_share_its_syncs() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new().discard_content());
    let instance = world.setup().start();
    let (clients, each) = (32, 6);
    let mut sessions: Vec<Smtp> = (0..clients).map(|_| instance.smtp()).collect();
    for smtp in &mut sessions {
        smtp.ok("EHLO client.example.org");
    }
    let mut rounds = 0;
    let calls = Trace::prove_shared_syncs(&instance, "smtp", (clients * each, 1), || {
        rounds += 1;
        std::thread::scope(|scope| {
            for smtp in &mut sessions {
                scope.spawn(move || {
                    for _ in 0..each {
                        smtp.send_message("a@example.test", &["x@remote.test"], "Subject: s\r\n\r\nx\r\n");
                    }
                });
            }
        });
        mx.wait_until("all messages", |seen| seen.received.len() == rounds * clients * each);
        instance.wait_for_empty_queue();
    });
    assert!(!calls.iter().any(|call| call.is("fdatasync", &["/queue/messages/"])));
}

/// strace that lets every call of one kind fail that is made on one file.
struct BadDisk(Child);

impl BadDisk {
    fn at(instance: &Instance, service: &str, call: &str, file: &str) -> BadDisk {
        let mut child = Command::new("strace")
            .args(["-f", "-e", &format!("trace={call}"), "-e", &format!("inject={call}:error=EIO"), "-P"])
            .arg(instance.path(file))
            .args(["-o", "/dev/null", "-p", &instance.pid(service).unwrap().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        // It tells of new threads, too, but those few lines fit into the pipe.
        let mut errors = BufReader::new(child.stderr.as_mut().unwrap());
        while !said.contains("attached") {
            assert!(errors.read_line(&mut said).unwrap() > 0, "{said}");
        }
        BadDisk(child)
    }
}

impl Drop for BadDisk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A sync of the journal that fails is answered with 451 and not tried again: the next messages are files that are synced.
/// What was answered with 250 before is there after a kill and a power cut, and what was refused does not come although its
/// record may.
#[test]
fn a_failed_sync_of_the_journal_is_answered_with_451_and_the_next_message_is_taken() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new().on(Step::Mail, &[Act::Silence]));
    let mut instance = world.setup().start();
    send(&instance, "x@remote.test", "before");
    let bad = BadDisk::at(&instance, "smtp", "fdatasync", "queue/journal/1");
    let refused = offer(&instance, "refused");
    assert!(refused.starts_with("451 4.3.0 "), "{refused}");
    let taken = |number| {
        let said = offer(&instance, &format!("behind {number}"));
        assert!(said.starts_with("250 2.0.0 "), "{said}");
        said.split(' ').nth(2).unwrap().to_owned()
    };
    let synced: Vec<String> = (0..3).map(taken).collect();
    drop(bad);
    instance.kill("smtp");
    assert_eq!(stops(&instance), 1);
    for folder in ["queue/control", "queue/messages"] {
        for path in files(&instance.path(folder)) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !synced.iter().any(|id| name.trim_start_matches("env-") == id) {
                fs::remove_file(path).unwrap();
            }
        }
    }
    mx.from_now_on(Step::Mail, &[Act::say(TAKEN)]);
    instance.start_one("smtp");
    instance.wait_for_empty_queue();
    let expected = ["before", "behind 0", "behind 1", "behind 2"].map(|subject| (subject.to_owned(), 1));
    assert_eq!(subjects(&mx), BTreeMap::from(expected));
    assert!(files(&instance.path("queue/lost+found")).is_empty());
}

/// How often the log says that the journal has stopped.
fn stops(instance: &Instance) -> usize {
    instance.log("smtp").matches("nothing new is written to it before smtpd is started again").count()
}

/// A segment is full, and the file system cannot be synced; or a sync of the journal fails. Then what is in the journal is
/// relayed, and smtpd ends, well or not: nothing is sent again, and what was not sent is there.
#[test]
fn what_was_relayed_after_the_journal_had_stopped_is_not_sent_again() {
    for (call, file) in [("syncfs", "queue"), ("fdatasync", "queue/journal/1")] {
        for killed in [true, false] {
            let world = World::new();
            let mx = world.served("remote.test", StubMta::new());
            let setup = world.setup().set("local.service.smtp.journalsize", "1048576");
            let mut instance = setup.start();
            let bad = BadDisk::at(&instance, "smtp", call, file);
            // All are in the queue at once.
            mx.from_now_on(Step::Mail, &[Act::Held, Act::say(TAKEN)]);
            let mut sent = BTreeMap::new();
            for number in 0..12 {
                let subject = format!("message {number}");
                // Ten of them fill a segment.
                if offer_with(&instance, &subject, &"filler\r\n".repeat(6_000)).starts_with("250 ") {
                    sent.insert(subject, 1);
                }
            }
            wait_for("the journal to stop", || (stops(&instance) == 1).then_some(()));
            mx.release();
            mx.wait_until("all messages", |seen| seen.received.len() >= sent.len());
            instance.wait_for_empty_queue(); // what the stub took is known to smtpd, too
            wait_for("the messages to go behind their envelopes", || {
                files(&instance.path("queue/messages")).is_empty().then_some(())
            });
            drop(bad);
            match killed {
                true => instance.kill("smtp"),
                false => instance.stop("smtp"),
            }
            instance.start_one("smtp");
            instance.wait_for_empty_queue();
            assert_eq!(subjects(&mx), sent, "{call}, killed: {killed}");
            assert!(sent.len() >= 11 && stops(&instance) == 1);
            // It has a journal again.
            send(&instance, "x@remote.test", "another");
            instance.wait_for_empty_queue();
            assert_eq!(subjects(&mx).get("another"), Some(&1));
            assert!(files(&instance.path("queue/lost+found")).is_empty());
        }
    }
}

/// Offers a message; what was answered to its last dot.
fn offer(instance: &Instance, subject: &str) -> String {
    offer_with(instance, subject, "")
}

/// With this before its body.
fn offer_with(instance: &Instance, subject: &str, filler: &str) -> String {
    let mut smtp = instance.smtp();
    for command in ["EHLO c.example.org", "MAIL FROM:<a@example.test>", "RCPT TO:<x@remote.test>", "DATA"] {
        smtp.ok(command);
    }
    smtp.wire.send(format!("Subject: {subject}\r\n\r\n{filler}{}\r\n.\r\n", "body ".repeat(50)).as_bytes());
    smtp.reply()
}

/// A stop is no crash: what is under way comes to its end, is not sent again at the next start, and the journal is empty.
#[test]
fn a_stop_waits_for_what_is_under_way_and_empties_the_journal() {
    let world = World::new();
    let slow = [Act::Wait(std::time::Duration::from_millis(1500)), Act::say("250 taken")]; // paced: the stop comes meanwhile
    let mx = world.served("remote.test", StubMta::new().on(Step::Content, &slow));
    let mut instance = world.setup().start();
    for round in 0..3 {
        for each in 0..3 {
            send(&instance, "x@remote.test", &format!("{round}-{each}"));
        }
        send(&instance, "bob@example.test", "local");
        let said =
            |seen: &black_box::stub_mta::Seen| seen.commands.iter().filter(|line| *line == "DATA").count();
        mx.wait_until("a content to be on its way", |seen| said(seen) > seen.received.len());
        instance.signal("smtp", nix::sys::signal::Signal::SIGTERM);
        assert!(instance.wait_for_end("smtp").success());
        let told = instance.log("smtp").len();
        instance.start_one("smtp");
        let log = instance.log("smtp").split_off(told);
        assert!(!log.contains("queue journal:"), "round {round}: {log}");
    }
    instance.wait_for_empty_queue();
    instance.wait_for_messages("bob", 3);
    let subjects = subjects(&mx);
    assert_eq!(subjects.len(), 9, "{subjects:?}");
    assert!(subjects.values().all(|count| *count == 1), "sent twice: {subjects:?}");
}
