//! Mail that is to be sent later: FUTURERELEASE (RFC 4865), which undo and scheduled sending stand on.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use black_box::instance::SUBMISSION;
use black_box::{Act, Instance, Setup, Smtp, Step, StubMta, World, run};

/// The id of a message of alice's with these parameters of MAIL.
fn submit(instance: &Instance, mail: &str, to: &str) -> String {
    let mut smtp = instance.submission("alice");
    smtp.ok(&format!("MAIL FROM:<alice@example.test> {mail}"));
    smtp.ok(&format!("RCPT TO:<{to}>"));
    smtp.ok("DATA");
    let said = smtp.ok("Subject: later\r\n\r\nbody\r\n.");
    assert!(said.contains(" accepted, held until 2"), "{said}");
    said.split(' ').nth(2).unwrap().to_owned()
}

fn msg_queue(instance: &Instance, arguments: &[&str]) -> String {
    run(instance.tool("msg-queue").args(arguments))
}

fn count(instance: &Instance, user: &str) -> String {
    instance.imap(user).ok("STATUS INBOX (MESSAGES)").join("")
}

#[test]
fn it_is_offered_to_who_submits_and_within_limits() {
    let instance = Setup::default().set("local.service.smtp.smtp-accept.maxfuturerelease", "7200").start();
    let mut smtp = instance.submission("alice");
    let hello = smtp.ok("EHLO c.example");
    let line = hello.lines().find(|line| line.starts_with("250-FUTURERELEASE 7200 2")).unwrap();
    assert!(
        line.ends_with('Z') && line.len() == "250-FUTURERELEASE 7200 2026-11-29T12:00:00Z".len(),
        "{line}"
    );
    let says = |smtp: &mut Smtp, parameters: &str, code: &str| {
        let said = smtp.ask(&format!("MAIL FROM:<alice@example.test> {parameters}"));
        assert!(said.starts_with(code), "{parameters}: {said}");
        smtp.ok("RSET");
    };
    for (parameters, code) in [
        ("HOLDFOR=7200", "250 2.1.0"),
        ("HOLDFOR=0", "250 2.1.0"),
        ("HOLDFOR=7201", "501 5.5.4"),
        ("HOLDFOR=x", "501 5.5.4"),
        ("HOLDFOR=1 HOLDUNTIL=2040-01-01T00:00:00Z", "501 5.5.4"),
        ("HOLDUNTIL=2040-01-01T00:00:00Z", "501 5.5.4"),
        ("HOLDUNTIL=2020-01-01T00:00:00Z", "501 5.5.4"),
    ] {
        says(&mut smtp, parameters, code);
    }
    // Another server has no business with it, and nobody who did not log in.
    let mut smtp = instance.smtp();
    assert!(!smtp.ok("EHLO c.example").contains("FUTURERELEASE"));
    says(&mut smtp, "HOLDFOR=10", "555 5.5.4");
    let mut smtp = Smtp::open(instance.connect(SUBMISSION));
    smtp.ok("EHLO c.example");
    says(&mut smtp, "HOLDFOR=10", "530 5.7.0");
}

#[test]
fn it_comes_at_its_time_even_after_a_crash() {
    let mut instance = Instance::start();
    let begun = Instant::now();
    submit(&instance, "HOLDFOR=4", "bob@example.test");
    let second = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let second = second + 12; // it has to be ahead when it is said
    let date = run(std::process::Command::new("date").args(["-u", "-d", &format!("@{second}"), "+%FT%TZ"]));
    submit(&instance, &format!("HOLDUNTIL={}", date.trim()), "bob@example.test");
    instance.kill("smtp");
    instance.start_one("smtp");
    assert!(count(&instance, "bob").contains("MESSAGES 0") || begun.elapsed() > Duration::from_secs(3));
    instance.wait_for_messages("bob", 2);
    assert!(begun.elapsed() > Duration::from_secs(3), "{:?}", begun.elapsed());
    instance.wait_for_empty_queue();
}

#[test]
fn until_then_it_can_be_seen_let_go_and_taken_back() {
    let mut instance = Instance::start();
    let (undone, sent, held) = (
        submit(&instance, "HOLDFOR=3600", "bob@example.test"),
        submit(&instance, "HOLDFOR=3600", "bob@example.test"),
        submit(&instance, "HOLDFOR=3600", "bob@example.test"),
    );
    assert_eq!(run(instance.tool("mailq").arg("-l")).matches("  held until ").count(), 3);
    assert!(msg_queue(&instance, &["show", &sent]).contains("  held until "));
    let json = run(instance.tool("mailq").args(["--json", "--id", &sent]));
    assert!(json.contains("\"queue_name\":\"hold\"") && !json.contains("\"hold_until\":null"), "{json}");
    // What tries everything does not try this.
    msg_queue(&instance, &["flush", "--all"]);
    run(&mut instance.tool("processq"));
    instance.stop("smtp");
    msg_queue(&instance, &["flush", "--all"]);
    msg_queue(&instance, &["delete", &undone]);
    instance.start_one("smtp");
    msg_queue(&instance, &["release", &sent]);
    instance.wait_for_messages("bob", 1);
    // Held by an administrator, too: the first release gives it back to its time.
    msg_queue(&instance, &["hold", &held]);
    msg_queue(&instance, &["release", &held]);
    let listed = run(instance.tool("mailq").arg("-l"));
    assert!(listed.contains("  held until ") && listed.contains("1 in the queue"), "{listed}");
    assert!(count(&instance, "bob").contains("MESSAGES 1"));
    msg_queue(&instance, &["release", &held]);
    instance.wait_for_messages("bob", 2);
    instance.wait_for_empty_queue();
}

/// Reports tell what was asked for (RFC 4865 §8), and its age counts from its time on.
#[test]
fn a_report_tells_that_it_was_held() {
    let world = World::new();
    let _rude = world.served("rude.test", StubMta::new().on(Step::Rcpt, &[Act::say("550 5.1.1 no\r\n")]));
    let instance = world.setup().start();
    submit(&instance, "HOLDFOR=1", "x@rude.test");
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let report = imap.ok("FETCH 1 BODY.PEEK[]").join("\n").replace('\r', "");
    assert!(
        report.contains("\nFuture-Release-Request: for;1\n\nFinal-Recipient: rfc822; x@rude.test\n"),
        "{report}"
    );
}
