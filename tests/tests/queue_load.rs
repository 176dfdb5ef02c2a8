//! Long queues: what they cost at start, in memory and in open files, and that nobody waits for them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::{Duration, Instant};

use black_box::instance::in_one_of_ten;
use black_box::{Instance, Setup, StubMta, World, quick, spool};

/// What the process has open.
fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count())
}

/// Private memory of the process in KiB, now (`RssAnon`).
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

fn control(instance: &Instance) -> usize {
    fs::read_dir(instance.path("queue/control")).unwrap().count()
}

/// A message that waits for its turn is a name in a line, and no open file: of 3,000 that are due at once only the
/// line in front of the mailboxes is in memory.
#[test]
fn a_long_queue_is_worked_off_with_few_files_open_and_little_memory() {
    let mut instance = Setup::default().create();
    let count = 3000;
    for number in 0..count {
        let id = spool::id(number);
        spool::activate(&instance, &id, &spool::envelope(&id, "alice@example.test", ""));
    }
    instance.start_one("store");
    instance.start_one("imap");
    instance.begin_one("smtp");
    let pid = instance.pid("smtp").unwrap();
    let (mut files, mut kibibytes) = (0, 0);
    let give_up = Instant::now() + Duration::from_secs(300);
    while control(&instance) > 0 || !instance.is_serving("smtp") {
        files = files.max(open_files(pid));
        kibibytes = kibibytes.max(memory(pid));
        assert!(Instant::now() < give_up, "{} are left; {}", control(&instance), instance.logs());
        std::thread::sleep(Duration::from_millis(5)); // paced: looked at from time to time
    }
    eprintln!("{count} messages: at most {files} files and {kibibytes} KiB");
    assert!(files < 250, "{files} files open at once");
    assert!(kibibytes < 48 * 1024, "{kibibytes} KiB");
    instance.wait_for_messages("alice", count as u32);
}

/// S80, S83, S85: a hundred thousand that wait in the active queue are looked at in seconds, with progress in the log, in
/// memory that hardly grows; mail flows meanwhile.
#[test]
fn a_hundred_thousand_queued_messages_are_checked_in_seconds() {
    let mut instance = Setup::default().create();
    let count = if quick() { 10_000 } else { 100_000 };
    let tomorrow = spool::now() + 86_400;
    for number in 0..count {
        let id = spool::id(number);
        let step = format!("attempt 0 {tomorrow} 4.3.0 not yet");
        spool::activate(&instance, &id, &spool::envelope(&id, "bob@example.test", &step));
    }
    instance.start_one("store");
    instance.start_one("imap");
    let begin = Instant::now();
    instance.start_one("smtp");
    let took = begin.elapsed();
    let kibibytes = memory(instance.pid("smtp").unwrap());
    eprintln!("{count} messages checked in {took:?}, {kibibytes} KiB");
    let log = instance.log("smtp");
    assert!(log.contains(&format!("queue check: {count} waiting")), "{log}");
    for done in [5000, 10_000] {
        assert!(log.contains(&format!("queue check: {done} of {count}")), "{log}");
    }
    assert!(took.as_secs() < 60, "{took:?}");
    assert!(kibibytes < 64 * 1024, "{kibibytes} KiB");
    instance.send("alice", "flows");
    instance.wait_for_messages("alice", 1);
    assert_eq!(control(&instance), count);
}

/// S84: the deferred queue, however long, is no hindrance to the start; the scan one period later finds all of it.
#[test]
fn a_long_deferred_queue_does_not_delay_the_start() {
    let world = World::new();
    let mx = world.served("many.test", StubMta::new().discard_content());
    let mut instance = world.setup().set("service.smtp.deferredperiod", "5").create();
    let count = if quick() { 20_000 } else { 200_000 };
    let folder = spool::deferred_folder(&instance, "waits.test");
    let hash = spool::hashed(&instance, &spool::id(0));
    let tomorrow = spool::now() + 86_400;
    for number in 1..=count {
        let id = spool::id(number);
        let step = format!("attempt 0 {tomorrow} 4.5.0 not yet");
        spool::defer(&folder, &hash, &id, &spool::envelope(&id, "x@waits.test", &step));
    }
    // One that can be sent, behind all of those.
    let id = spool::id(0);
    let few = spool::deferred_folder(&instance, "many.test");
    spool::defer(&few, &hash, &id, &spool::envelope(&id, "x@many.test", "attempt 0 1 4.4.1 refused"));
    instance.start_one("store");
    instance.start_one("imap");
    in_one_of_ten("smtpd to start within five seconds", || {
        let begin = Instant::now();
        instance.start_one("smtp");
        let took = begin.elapsed();
        eprintln!("{count} deferred: started in {took:?}");
        let is_quick = took.as_secs() < 5;
        if !is_quick {
            instance.stop("smtp");
        }
        is_quick
    });
    instance.send("alice", "at once");
    instance.wait_for_messages("alice", 1);
    assert_eq!(mx.wait_for(1)[0].recipients(), ["x@many.test"]);
    let kibibytes = memory(instance.pid("smtp").unwrap());
    assert!(kibibytes < 64 * 1024, "{kibibytes} KiB");
}
