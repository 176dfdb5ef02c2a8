//! What is synced before it is said, by level (S151 to S156), watched with strace.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use black_box::instance::wait_for;
use black_box::{Instance, Setup};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// strace on one process and all its threads, writing to a file.
struct Trace {
    child: Child,
    output: std::path::PathBuf,
}

impl Trace {
    fn of(instance: &Instance, service: &str) -> Trace {
        let output = instance.root.with_extension(format!("{service}.strace"));
        let mut child = Command::new("strace")
            .args(["-f", "-y", "-e", "trace=fdatasync,fsync,sync_file_range,write,sendto,writev"])
            .arg("-o")
            .arg(&output)
            .args(["-p", &instance.pid(service).unwrap().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // "strace: Process N attached": only then does it see everything.
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("attached"), "{said}");
        Trace { child, output }
    }

    /// Ends it; the lines.
    fn lines(mut self) -> Vec<String> {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT);
        self.child.wait().unwrap();
        fs::read_to_string(&self.output).unwrap().lines().map(str::to_owned).collect()
    }
}

fn count(lines: &[String], call: &str, path: &str) -> usize {
    lines.iter().filter(|line| line.contains(&format!(" {call}(")) && line.contains(path)).count()
}

/// One message in by SMTP under strace; what smtpd did.
fn delivery(levels: &[(&str, &str)]) -> Vec<String> {
    let mut setup = Setup::default();
    for (name, value) in levels {
        setup = setup.set(name, value);
    }
    let instance = setup.start();
    instance.send("alice", "the mailbox exists now");
    instance.wait_for_messages("alice", 1);
    instance.wait_for_empty_queue();
    let trace = Trace::of(&instance, "smtp");
    instance.send("alice", "traced");
    instance.wait_for_messages("alice", 2);
    instance.wait_for_empty_queue();
    trace.lines()
}

/// One APPEND under strace; what imapd did.
fn append(levels: &[(&str, &str)]) -> Vec<String> {
    let mut setup = Setup::default();
    for (name, value) in levels {
        setup = setup.set(name, value);
    }
    let instance = setup.start();
    let mut imap = instance.imap("alice");
    assert!(imap.append("INBOX", "", "Subject: first\r\n\r\nx\r\n").starts_with("OK"));
    let trace = Trace::of(&instance, "imap");
    assert!(imap.append("INBOX", "", "Subject: traced\r\n\r\nx\r\n").starts_with("OK"));
    let lines = trace.lines();
    wait_for("nothing", || Some(()));
    lines
}

/// S151, S155: message and envelope are durable before 250, the mailbox before the queue entry goes.
#[test]
fn at_level_1_message_and_envelope_are_synced_before_250() {
    let lines = delivery(&[]);
    let at = |what: &dyn Fn(&str) -> bool| lines.iter().position(|line| what(line));
    let message = at(&|line| line.contains("fdatasync(") && line.contains("/queue/messages/"));
    let envelope = at(&|line| line.contains("fdatasync(") && line.contains("/queue/control/"));
    let answer = at(&|line| {
        line.contains("\"250 ") && (line.contains("write") || line.contains("sendto")) && {
            // The answer to the end of data is the one behind the sync of the envelope.
            lines.iter().position(|other| other == line) > envelope
        }
    });
    assert!(message.is_some() && envelope.is_some(), "{lines:#?}");
    assert!(
        answer.is_some_and(|answer| message.unwrap() < answer && envelope.unwrap() < answer),
        "{lines:#?}"
    );
    assert!(count(&lines, "fdatasync", "/store.log") >= 1, "{lines:#?}");
    assert_eq!(count(&lines, "fsync", "/queue/"), 0, "{lines:#?}");
}

/// S153: level 0 leaves it to the system.
#[test]
fn at_level_0_nothing_is_synced() {
    let lines = delivery(&[
        ("local.store.synclevel", "0"),
        ("local.service.smtp.envelopesynclevel", "0"),
        ("local.service.smtp.messagesynclevel", "0"),
    ]);
    assert_eq!(
        count(&lines, "fdatasync", "/queue/") + count(&lines, "fdatasync", "/store/partition"),
        0,
        "{lines:#?}"
    );
    assert_eq!(count(&lines, "fsync", ""), 0, "{lines:#?}");
}

/// S153, S155: level 2 is fsync.
#[test]
fn at_level_2_files_are_fsynced() {
    let lines = delivery(&[
        ("local.store.synclevel", "2"),
        ("local.service.smtp.envelopesynclevel", "2"),
        ("local.service.smtp.messagesynclevel", "2"),
    ]);
    assert!(count(&lines, "fsync", "/queue/messages/") >= 1, "{lines:#?}");
    assert!(count(&lines, "fsync", "/queue/control") >= 1, "{lines:#?}");
    assert!(count(&lines, "fsync", "/store.log") >= 1, "{lines:#?}");
}

/// S154: the general level is inherited, one that is set overrides it.
#[test]
fn a_level_of_its_own_overrides_the_general_one() {
    let inherited = append(&[("local.store.synclevel", "2")]);
    assert!(count(&inherited, "fsync", "/store.log") >= 1, "{inherited:#?}");
    assert!(count(&inherited, "fsync", ".msg") + count(&inherited, "fsync", "/tmp") >= 1, "{inherited:#?}");
    let overridden = append(&[("local.store.synclevel", "2"), ("local.store.indexsynclevel", "0")]);
    assert_eq!(count(&overridden, "fsync", "/store.log"), 0, "{overridden:#?}");
    assert!(count(&overridden, "fsync", "/=alice") >= 1, "the message itself still is: {overridden:#?}");
}

/// S151: an APPEND is on the disk before its OK.
#[test]
fn an_append_is_synced_before_its_ok() {
    let lines = append(&[]);
    let log = lines.iter().position(|line| line.contains("fdatasync(") && line.contains("/store.log"));
    let ok = lines.iter().position(|line| line.contains("APPENDUID"));
    assert!(log.is_some() && ok.is_some() && log < ok, "{lines:#?}");
}
