//! Disks that fail. At the n-th write, sync, or making of a name, for every n that a short piece of work has: the client gets
//! a clean refusal, what was acknowledged is there once, nothing is there twice, work goes on when the fault has ended, and
//! storecheck finds no difference.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use black_box::faults::{Fault, Faults};
use black_box::instance::wait_for;
use black_box::{Imap, Instance, Setup, quick, run};
use nix::errno::Errno;

/// A piece of work has fewer calls than this.
const CALLS_MAX: u32 = 400;
/// So long nothing was called: the work has ended.
const REST: Duration = Duration::from_millis(60);

fn faults() -> Vec<Fault> {
    let of = |error, lasting| Fault { error, lasting };
    let mut all = vec![of(Errno::EIO, false), of(Errno::ENOSPC, true)];
    if !quick() {
        all.extend([of(Errno::EDQUOT, true), of(Errno::EIO, true)]);
    }
    all
}

/// An instance with faults, and what it must hold: of each user's mailbox the subjects that were acknowledged.
struct Stage {
    instance: Instance,
    faults: Faults,
    number: u32,
    must: BTreeMap<(&'static str, &'static str), Vec<String>>,
}

impl Stage {
    fn new() -> Stage {
        let (instance, faults) = Faults::start(Setup::default());
        for user in ["alice", "bob"] {
            instance.imap(user).ok("CREATE Work");
        }
        Stage { instance, faults, number: 0, must: BTreeMap::new() }
    }

    fn subject(&mut self) -> String {
        self.number += 1;
        format!("message-{}", self.number)
    }

    fn must_have(&mut self, user: &'static str, mailbox: &'static str, subject: &str) {
        self.must.entry((user, mailbox)).or_default().push(subject.to_owned());
    }

    fn must_not_need(&mut self, user: &'static str, mailbox: &'static str, subject: &str) {
        self.must.entry((user, mailbox)).or_default().retain(|one| one != subject);
    }

    /// With the disk as it should be: a message in the mailbox.
    fn put(&mut self, user: &'static str, mailbox: &'static str) -> String {
        let subject = self.subject();
        let message = message(&subject);
        // A process that saw a sync fail lets go of the mailbox when its last session has gone.
        wait_for("an APPEND behind the fault", || {
            let answer = self.instance.imap(user).append(mailbox, "", &message);
            answer.starts_with("OK").then_some(())
        });
        self.must_have(user, mailbox, &subject);
        subject
    }

    /// Every call of `work` fails once, in each way.
    fn each_call_fails(&mut self, only: &str, work: impl FnMut(&mut Stage)) -> u32 {
        self.each_call_fails_by(&faults(), only, work)
    }

    fn each_call_fails_by(&mut self, faults: &[Fault], only: &str, mut work: impl FnMut(&mut Stage)) -> u32 {
        let mut fired = 0;
        for fault in faults.iter().copied() {
            for nth in 1.. {
                assert!(nth < CALLS_MAX, "{fault:?} still fires");
                let stops = self.journal_stops();
                self.faults.arm(nth, fault, only);
                work(self);
                self.wait_for_rest();
                let what = self.faults.disarm();
                let is_sync_of_queue =
                    what.as_ref().is_some_and(|what| what.contains("/queue/") && what.contains("sync"));
                if is_sync_of_queue || self.journal_stops() > stops {
                    // The journal, and a message whose sync failed, wait for the next start, which writes all anew.
                    self.instance.kill("smtp");
                    self.instance.start_one("smtp");
                }
                eprintln!("{fault:?} {nth}: {what:?}");
                self.look();
                match what {
                    Some(_) => fired += 1,
                    None => break,
                }
            }
        }
        self.instance.kill_all();
        self.instance.start_all();
        self.look();
        self.instance.prove();
        fired
    }

    /// Until what the work began behind its answer has been tried: nothing is called any more.
    fn wait_for_rest(&self) {
        let mut last = (self.faults.calls(), Instant::now());
        wait_for("the work to come to rest", || {
            let now = self.faults.calls();
            if now != last.0 {
                last = (now, Instant::now());
            }
            (last.1.elapsed() > REST).then_some(())
        });
    }

    /// How often smtpd has said that its journal stops.
    fn journal_stops(&self) -> usize {
        self.instance
            .log("smtp")
            .matches("nothing new is written to it before smtpd is started again")
            .count()
    }

    /// All that was acknowledged is there once, and the store is proven.
    fn look(&self) {
        // What is not filed yet is not seen by a flush: again, until all is there.
        let last = |subjects: &Vec<String>| subjects.last().cloned().unwrap_or_default();
        let missing = || {
            self.must.iter().find(|((user, mailbox), subjects)| {
                let found = subjects_in(&mut self.instance.imap(user), mailbox);
                !subjects.is_empty() && !found.contains_key(&last(subjects))
            })
        };
        let control = self.instance.path("queue/control");
        wait_for(&format!("what was acknowledged; {}", self.instance.log("smtp")), || {
            run(self.instance.tool("msg-queue").args(["flush", "--all"]));
            (std::fs::read_dir(&control).unwrap().next().is_none() && missing().is_none()).then_some(())
        });
        for ((user, mailbox), subjects) in &self.must {
            let found = subjects_in(&mut self.instance.imap(user), mailbox);
            for subject in subjects {
                assert_eq!(
                    found.get(subject),
                    Some(&1),
                    "{subject} in {user}'s {mailbox}: {}",
                    self.instance.logs()
                );
            }
            let twice: Vec<_> = found
                .iter()
                .filter(|(subject, count)| subject.starts_with("message-") && **count > 1)
                .collect();
            assert!(twice.is_empty(), "{twice:?} in {user}'s {mailbox}: {}", self.instance.logs());
        }
        run(&mut self.instance.tool("storecheck"));
    }
}

fn message(subject: &str) -> String {
    format!("Subject: {subject}\r\n\r\n{}\r\n", "x".repeat(300))
}

fn subjects_in(imap: &mut Imap, mailbox: &str) -> BTreeMap<String, u32> {
    imap.ok(&format!("SELECT {mailbox}"));
    let mut found = BTreeMap::new();
    for line in imap.ok("UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])") {
        let Some(subject) = line.split("Subject: ").nth(1) else { continue };
        *found.entry(subject.split("\r\n").next().unwrap().to_owned()).or_insert(0) += 1;
    }
    found
}

/// OK, or NO; nothing else.
fn is_ok(answer: &str) -> bool {
    // Before the message was sent, with its tag.
    let answer = if answer.starts_with('t') { answer.split_once(' ').unwrap().1 } else { answer };
    assert!(answer.starts_with("OK") || answer.starts_with("NO"), "{answer}");
    answer.starts_with("OK")
}

#[test]
fn mail_that_comes_in_is_refused_for_now_or_delivered_once() {
    let mut stage = Stage::new();
    let fired = stage.each_call_fails("", |stage| {
        let subject = stage.subject();
        let mut smtp = stage.instance.smtp();
        smtp.ok("EHLO client.example.org");
        let mut answer = smtp.ask("MAIL FROM:<a@example.org>");
        for (command, expected) in
            [("RCPT TO:<alice@example.test>", '2'), ("RCPT TO:<bob@example.test>", '2'), ("DATA", '3')]
        {
            if answer.starts_with(['2', '3']) {
                answer = smtp.ask(command);
                assert!(answer.starts_with([expected, '4']), "{answer}");
            }
        }
        if answer.starts_with('3') {
            smtp.wire.send(format!("{}.\r\n", message(&subject)).as_bytes());
            answer = smtp.reply();
        }
        assert!(answer.starts_with(['2', '4']), "{answer}");
        if answer.starts_with('2') {
            stage.must_have("alice", "INBOX", &subject);
            stage.must_have("bob", "INBOX", &subject);
        }
    });
    assert!(fired > 10, "{fired}");
}

#[test]
fn what_a_client_appends_is_there_once_or_refused() {
    let mut stage = Stage::new();
    let fired = stage.each_call_fails("/store/", |stage| {
        let subject = stage.subject();
        let answer = stage.instance.imap("alice").append("INBOX", "", &message(&subject));
        if is_ok(&answer) {
            stage.must_have("alice", "INBOX", &subject);
        }
    });
    assert!(fired > 5, "{fired}");
}

#[test]
fn flags_that_were_acknowledged_stay() {
    let mut stage = Stage::new();
    (0..3).for_each(|_| drop(stage.put("alice", "INBOX")));
    let mut set = Vec::new();
    let fired = stage.each_call_fails("/store/", |stage| {
        stage.number += 1;
        let flag = format!("k{}", stage.number % 40);
        let faulty = stage.faults.pause();
        let mut imap = stage.instance.imap("alice");
        imap.ok("SELECT INBOX");
        stage.faults.resume(faulty);
        let sign = if stage.number % 80 < 40 { '+' } else { '-' };
        if is_ok(&imap.command(&format!("UID STORE 1:3 {sign}FLAGS ({flag} \\Flagged)")).1) {
            set.retain(|(one, _)| *one != flag);
            set.push((flag, sign == '+'));
        } else {
            set.retain(|(one, _)| *one != flag);
        }
    });
    assert!(fired > 2, "{fired}");
    let mut imap = stage.instance.imap("alice");
    imap.ok("SELECT INBOX");
    let lines = imap.ok("UID FETCH 1:3 (FLAGS)");
    for line in lines.iter().filter(|line| line.contains("FETCH")) {
        let flags: Vec<&str> = line.split(['(', ')', ' ']).collect();
        for (flag, is_set) in &set {
            assert_eq!(flags.contains(&flag.as_str()), *is_set, "{flag}: {line}");
        }
    }
}

#[test]
fn messages_that_are_copied_or_moved_are_never_in_neither() {
    let mut stage = Stage::new();
    for verb in ["COPY", "MOVE"] {
        let fired = stage.each_call_fails("/store/", |stage| {
            // Of the step before: it is there, or there.
            let faulty = stage.faults.pause();
            let subject = stage.put("bob", "INBOX");
            stage.faults.resume(faulty);
            let mut imap = stage.instance.imap("bob");
            imap.ok("SELECT INBOX");
            let uid =
                imap.ok(&format!("UID SEARCH SUBJECT {subject}"))[0].rsplit(' ').next().unwrap().to_owned();
            let is_done = is_ok(&imap.command(&format!("UID {verb} {uid} Work")).1);
            match (verb, is_done) {
                ("MOVE", true) => {
                    stage.must_not_need("bob", "INBOX", &subject);
                    stage.must_have("bob", "Work", &subject);
                }
                ("COPY", true) => stage.must_have("bob", "Work", &subject),
                _ => {} // it is in the INBOX still
            }
        });
        assert!(fired > 5, "{verb}: {fired}");
    }
}

#[test]
fn what_is_expunged_is_gone_and_the_rest_stays() {
    let mut stage = Stage::new();
    stage.put("alice", "INBOX");
    let fired = stage.each_call_fails("/store/", |stage| {
        let faulty = stage.faults.pause();
        let subject = stage.put("alice", "INBOX");
        let mut imap = stage.instance.imap("alice");
        imap.ok("SELECT INBOX");
        let uid = imap.ok(&format!("UID SEARCH SUBJECT {subject}"))[0].rsplit(' ').next().unwrap().to_owned();
        imap.ok(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
        stage.faults.resume(faulty);
        if is_ok(&imap.command(&format!("UID EXPUNGE {uid}")).1) {
            stage.must_not_need("alice", "INBOX", &subject);
            let there = subjects_in(&mut imap, "INBOX");
            assert!(!there.contains_key(&subject), "{subject}");
        } else {
            stage.must_not_need("alice", "INBOX", &subject); // either
        }
    });
    assert!(fired >= 2, "{fired}");
}

#[test]
fn a_maildrop_is_emptied_or_not() {
    let mut stage = Stage::new();
    stage.put("alice", "INBOX");
    let fired = stage.each_call_fails("/store/", |stage| {
        let faulty = stage.faults.pause();
        let subject = stage.put("alice", "INBOX");
        let mut pop = stage.instance.pop("alice");
        let last = pop.lines("UIDL").len();
        pop.ok(&format!("DELE {last}"));
        stage.faults.resume(faulty);
        let answer = pop.ask("QUIT");
        assert!(answer.starts_with("+OK") || answer.starts_with("-ERR"), "{answer}");
        stage.must_not_need("alice", "INBOX", &subject);
        if answer.starts_with("+OK") {
            let faulty = stage.faults.pause();
            let there = subjects_in(&mut stage.instance.imap("alice"), "INBOX");
            stage.faults.resume(faulty);
            assert!(!there.contains_key(&subject), "{subject}");
        }
    });
    assert!(fired >= 2, "{fired}");
}

/// The log passes 1 MiB while the disk fails at the files of a checkpoint.
#[test]
fn a_checkpoint_that_fails_loses_nothing_and_is_made_up_for() {
    let mut stage = Stage::new();
    let mut imap = stage.instance.imap("alice");
    let messages: String = (0..100).map(|_| " {17+}\r\nSubject: m\r\n\r\nx\r\n").collect();
    (0..5).for_each(|_| drop(imap.ok(&format!("APPEND INBOX{messages}"))));
    drop(imap);
    stage.put("alice", "INBOX");
    let log = find(&stage.instance.path("store/partition"), "store.log", "alice");
    // The second copy made anew, added to, and the new log.
    for (only, is_made, least) in [("store.fl", true, 4), ("store.fl", false, 2), ("store.log.new", false, 3)]
    {
        // It takes many changes until one is due.
        let faults = if quick() { faults()[..1].to_vec() } else { faults() };
        let fired = stage.each_call_fails_by(&faults, only, |stage| {
            if is_made {
                let _ = std::fs::remove_file(log.with_file_name("store.fl"));
            }
            let mut imap = stage.instance.imap("alice");
            imap.ok("SELECT INBOX");
            let mut before = 0;
            for turn in 0..100 {
                let sign = if turn % 2 == 0 { '+' } else { '-' };
                is_ok(&imap.command(&format!("STORE 1:500 {sign}FLAGS.SILENT (\\Flagged)")).1);
                let now = std::fs::metadata(&log).unwrap().len();
                if now < before || stage.faults.fired() > 3 {
                    break; // a checkpoint was made, or failed more than once
                }
                before = now;
            }
        });
        assert!(fired >= least, "{only}: {fired}");
    }
    drop(stage.put("alice", "INBOX"));
}

/// A file of a mailbox of this user.
fn find(below: &std::path::Path, name: &str, user: &str) -> std::path::PathBuf {
    let mut stack = vec![below.to_owned()];
    while let Some(folder) = stack.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                stack.push(path);
            } else if entry.file_name() == name && path.parent().unwrap().ends_with(format!("={user}")) {
                return path;
            }
        }
    }
    panic!("no {name} of {user}");
}

#[test]
fn a_reconstruct_that_fails_is_done_again() {
    let mut stage = Stage::new();
    (0..5).for_each(|_| drop(stage.put("alice", "INBOX")));
    let fired = stage.each_call_fails("/store/", |stage| {
        for options in ["-f", "-i"] {
            let output =
                stage.instance.tool("reconstruct").args([options, "user/alice/INBOX"]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code().is_some_and(|code| code < 2), "{said}");
        }
    });
    assert!(fired > 5, "{fired}");
}
