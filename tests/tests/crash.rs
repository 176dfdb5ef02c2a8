//! kill -9 of each daemon at random points under load. The oracle is what was acknowledged: a message answered with
//! 250 is in its mailbox exactly once after restart, an APPEND or flag change answered with OK is there, and nothing
//! is repaired by hand.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use black_box::instance::{IMAP, SMTP, wait_for};
use black_box::{Instance, Setup, Wire, quick, run};

/// Rounds of kill and restart, each with a fresh moment.
fn rounds() -> u32 {
    std::env::var("MAILBOAT_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(if quick() {
        10
    } else {
        200
    })
}

/// A small reproducible generator: which daemon, when.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[derive(Default)]
struct Acknowledged {
    sent: Mutex<Vec<String>>,
    appended: Mutex<Vec<String>>,
    flagged: Mutex<Vec<String>>,
}

/// Sends messages until told to stop or cut off; notes each token that was answered with 250.
fn send_mail(instance: &Instance, acknowledged: &Acknowledged, number: &AtomicU32, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(stream) = TcpStream::connect(instance.at(SMTP)) else {
            std::thread::yield_now();
            continue;
        };
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut wire = Wire::plain(stream);
        if wire.try_line().is_none() || !wire.try_send(b"HELO crash.example\r\n") || wire.try_line().is_none()
        {
            continue;
        }
        while !stop.load(Ordering::Relaxed) {
            let token = format!("sent-{}", number.fetch_add(1, Ordering::Relaxed));
            let text = "MAIL FROM:<crash@example.org>\r\nRCPT TO:<alice@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n";
            if !wire.try_send(text.as_bytes()) {
                break;
            }
            if (0..4).any(|_| wire.try_line().is_none_or(|line| !line.starts_with(['2', '3']))) {
                break;
            }
            if !wire.try_send(format!("Subject: {token}\r\n\r\n{}\r\n.\r\n", "x".repeat(700)).as_bytes()) {
                break;
            }
            match wire.try_line() {
                Some(line) if line.starts_with("250") => acknowledged.sent.lock().unwrap().push(token),
                _ => break,
            }
        }
    }
}

/// APPENDs and flags messages until told to stop; notes each token that was answered with OK.
fn append_mail(instance: &Instance, acknowledged: &Acknowledged, number: &AtomicU32, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(stream) = TcpStream::connect(instance.at(IMAP)) else {
            std::thread::yield_now();
            continue;
        };
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut wire = Wire::plain(stream);
        if wire.try_line().is_none() {
            continue;
        }
        let ask = |wire: &mut Wire, command: String| -> Option<String> {
            if !wire.try_send(command.as_bytes()) {
                return None;
            }
            loop {
                let line = wire.try_line()?;
                if let Some(rest) = line.strip_prefix("t ") {
                    return rest.starts_with("OK").then(|| rest.to_owned());
                }
            }
        };
        if ask(&mut wire, "t LOGIN carol carol-secret\r\n".into()).is_none()
            || ask(&mut wire, "t SELECT INBOX\r\n".into()).is_none()
        {
            continue;
        }
        while !stop.load(Ordering::Relaxed) {
            let token = format!("appended-{}", number.fetch_add(1, Ordering::Relaxed));
            let message = format!("Subject: {token}\r\n\r\nx\r\n");
            let Some(done) =
                ask(&mut wire, format!("t APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()))
            else {
                break;
            };
            acknowledged.appended.lock().unwrap().push(token.clone());
            let uid = done
                .split("APPENDUID ")
                .nth(1)
                .and_then(|rest| rest.split([' ', ']']).nth(1))
                .unwrap()
                .to_owned();
            if ask(&mut wire, format!("t UID STORE {uid} +FLAGS.SILENT (\\Flagged mark)\r\n")).is_none() {
                break;
            }
            acknowledged.flagged.lock().unwrap().push(token);
        }
    }
}

/// Ends the load, also when the test fails in between.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Acknowledged {
    /// How many messages and how many APPENDs.
    fn counts(&self) -> (usize, usize) {
        (self.sent.lock().unwrap().len(), self.appended.lock().unwrap().len())
    }
}

/// Subject to (how often, flags) of every message of the user.
fn subjects(instance: &Instance, user: &str) -> BTreeMap<String, (u32, String)> {
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    let mut found = BTreeMap::new();
    for line in imap.ok("FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])") {
        let Some(subject) = line.split("Subject: ").nth(1) else { continue };
        let subject = subject.split("\r\n").next().unwrap().to_owned();
        let entry = found.entry(subject).or_insert((0, line.clone()));
        entry.0 += 1;
    }
    found
}

fn check(instance: &Instance, acknowledged: &Acknowledged) {
    instance.wait_for_empty_queue();
    for user in ["alice", "bob"] {
        let found = subjects(instance, user);
        for token in acknowledged.sent.lock().unwrap().iter() {
            assert_eq!(found.get(token).map(|(count, _)| *count), Some(1), "{token} in {user}'s INBOX");
        }
        assert!(found.iter().all(|(_, (count, _))| *count == 1), "something stands twice in {user}'s INBOX");
    }
    let found = subjects(instance, "carol");
    for token in acknowledged.appended.lock().unwrap().iter() {
        assert_eq!(found.get(token).map(|(count, _)| *count), Some(1), "{token} in carol's INBOX");
    }
    let counted = run(instance.tool("quotacheck").arg("-s"));
    assert!(counted.contains(" 0 differences"), "{counted}");
    instance.prove();
    for token in acknowledged.flagged.lock().unwrap().iter() {
        let flags = &found[token].1;
        assert!(flags.contains("\\Flagged") && flags.contains("mark"), "{token}: {flags}");
    }
}

/// S75, S82, S163 and the promise of the suite.
#[test]
fn nothing_acknowledged_is_lost_or_doubled_when_daemons_are_killed_under_load() {
    let mut instance = Setup::default().users(&["alice", "bob", "carol"]).start();
    let acknowledged = Acknowledged::default();
    let number = AtomicU32::new(0);
    let seed = std::env::var("MAILBOAT_CRASH_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    eprintln!("MAILBOAT_CRASH_SEED={seed}");
    let mut dice = Dice(seed);
    for round in 0..rounds() {
        let stop = AtomicBool::new(false);
        let victims: &[&'static str] = match dice.roll(6) {
            0 | 1 => &["smtp"],
            2 | 3 => &["imap"],
            4 => &["store"],
            _ => &["smtp", "imap", "store", "pop"],
        };
        let moment = Duration::from_millis(dice.roll(120));
        let before = acknowledged.counts();
        std::thread::scope(|scope| {
            let shared = &instance;
            let (acknowledged, number, stop) = (&acknowledged, &number, &stop);
            let end = End(stop);
            for _ in 0..2 {
                scope.spawn(move || send_mail(shared, acknowledged, number, stop));
            }
            scope.spawn(move || append_mail(shared, acknowledged, number, stop));
            wait_for("messages and APPENDs of this round", || {
                let now = acknowledged.counts();
                (now.0 > before.0 && now.1 > before.1).then_some(())
            });
            // The moment of the crash is the test's input, not a wait for something.
            std::thread::sleep(moment); // paced: the kill comes at a random moment under load
            for service in victims {
                let pid = shared.pid(service).unwrap();
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid as i32),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
            drop(end);
        });
        for service in victims {
            instance.kill(service);
        }
        instance.start_all();
        if round % 20 == 19 || round + 1 == rounds() {
            check(&instance, &acknowledged);
        }
    }
    let (sent, appended) = acknowledged.counts();
    eprintln!("{} rounds: {sent} messages and {appended} APPENDs acknowledged, all there once", rounds());
}

#[test]
fn accepted_message_survives_a_kill_right_after_the_reply() {
    let mut instance = Instance::start();
    instance.send("alice", "first");
    instance.kill_all();
    instance.start_all();
    instance.wait_for_messages("alice", 1);
    instance.prove();
}

/// S170: a full disk gives 452 or NO and corrupts nothing.
#[test]
fn a_full_disk_refuses_politely_and_corrupts_nothing() {
    let place = tempfile::tempdir().unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(place.path()));
    struct Unmount<'a>(&'a std::path::Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(place.path());
    let instance = Setup::default().inside(place.path()).start();
    instance.send("alice", "before");
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    let big = format!("Subject: big\r\n\r\n{}\r\n", "x".repeat(1_000_000));
    let mut stored = 1;
    let refused = (0..200).find_map(|_| {
        let answer = imap.append("INBOX", "", &big);
        if answer.starts_with("OK") {
            stored += 1;
            None
        } else {
            Some(answer)
        }
    });
    let refused = refused.expect("200 MB fitted into a disk of 48 MB");
    assert!(refused.starts_with("NO"), "{refused}");
    let mut smtp = instance.smtp();
    smtp.ok("EHLO a.example");
    let mail = smtp.ask("MAIL FROM:<a@example.org>");
    let answer = if mail.starts_with('2') {
        smtp.ok("RCPT TO:<bob@example.test>");
        smtp.ok("DATA");
        smtp.wire.send(format!("{big}.\r\n").as_bytes());
        smtp.reply()
    } else {
        mail
    };
    assert!(answer.starts_with("452"), "{answer}");
    assert_eq!(imap.exists("INBOX"), stored);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 2:* +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    assert_eq!(imap.exists("INBOX"), 1);
    let kept = imap.ok("FETCH 1 BODY.PEEK[]").join("");
    assert!(kept.contains("body of before"), "{kept}");
    instance.prove();
}
