//! What smtpd takes at most: mail in a minute by network and user, and nothing when the disk is nearly full.
#![allow(clippy::unwrap_used)]

use black_box::instance::wait_for;
use black_box::{Instance, Setup, Smtp};
use nix::sys::signal::Signal;

fn accept(name: &str) -> String {
    format!("local.service.smtp.smtp-accept.{name}")
}

fn greeted(instance: &Instance) -> Smtp {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp
}

#[test]
fn a_network_of_strangers_brings_so_many_messages_in_a_minute() {
    let instance = Setup::default()
        .set(&accept("networkmessages"), "2")
        .set("local.service.networkexempt", "192.0.2.0/24")
        .start();
    let mut first = greeted(&instance);
    first.send_message("a@a.example", &["alice@example.test"], "Subject: 1");
    first.ok("MAIL FROM:<a@a.example>");
    let mut second = greeted(&instance); // another connection of the same network
    assert!(second.ask("MAIL FROM:<a@a.example>").starts_with("450 4.7.1"));
    assert!(second.ask("NOOP").starts_with("250"), "put off, not sent away");
    first.ok("RCPT TO:<alice@example.test>"); // what was begun goes on
    // A user is counted by name, wherever from.
    let mut user = instance.submission("alice");
    for _ in 0..5 {
        user.send_message("alice@example.test", &["alice@example.test"], "Subject: u");
    }
    assert_eq!(instance.log("smtp").matches("too much mail in a minute: [127.").count(), 1);
}

#[test]
fn a_user_has_so_many_recipients_in_a_minute_over_all_connections() {
    let instance =
        Setup::default().set(&accept("userrecipients"), "3").set(&accept("usermessages"), "4").start();
    let mut one = instance.submission("alice");
    one.ok("MAIL FROM:<alice@example.test>");
    for to in ["a@far.example", "b@far.example", "alice@example.test"] {
        one.ok(&format!("RCPT TO:<{to}>"));
    }
    assert!(
        one.ask("RCPT TO:<c@far.example>").starts_with("450 4.7.1"),
        "not 452: that would be tried again at once"
    );
    let mut other = instance.submission("alice");
    other.ok("MAIL FROM:<alice@example.test>");
    assert!(other.ask("RCPT TO:<alice@example.test>").starts_with("450 4.7.1"));
    let mut bob = instance.submission("bob");
    bob.send_message("bob@example.test", &["alice@example.test"], "Subject: b");
    for _ in 0..2 {
        other.ok("RSET");
        other.ok("MAIL FROM:<alice@example.test>");
    }
    other.ok("RSET");
    assert!(other.ask("MAIL FROM:<alice@example.test>").starts_with("450 4.7.1"), "the fifth message");
    let log = instance.log("smtp");
    let told = log.lines().filter(|line| line.contains("too much mail in a minute: [127."));
    assert!(told.filter(|line| line.ends_with(" user=alice")).count() == 1, "one line a minute: {log}");
}

/// `minfreespace`: what is free for the queue.
#[test]
fn nothing_new_is_begun_when_the_disk_is_nearly_full() {
    let mut instance = Setup::default().set("service.smtp.minfreespace", "4611686018427387904").start();
    let mut smtp = greeted(&instance);
    assert!(smtp.ask("MAIL FROM:<a@a.example>").starts_with("452 4.3.1"));
    let mut user = instance.submission("alice");
    assert!(user.ask("MAIL FROM:<alice@example.test>").starts_with("452 4.3.1"));
    instance.set("service.smtp.minfreespace", "0");
    instance.stop("smtp");
    instance.start_one("smtp");
    instance.send("alice", "room again");
    instance.wait_for_messages("alice", 1);
}

/// RFC 6409 §4.2, §8: what a submission server mends, and what it refuses.
#[test]
fn a_submission_names_its_domains_in_full() {
    let instance = Setup::default().set(&accept("ownaddressonly"), "no").start();
    let mut user = instance.submission("alice");
    assert!(user.ask("MAIL FROM:<alice@desktop>").starts_with("554 5.1.8"));
    user.ok("MAIL FROM:<alice>"); // the default domain
    assert!(user.ask("RCPT TO:<bob@sales>").starts_with("554 5.1.2"));
    user.ok("RCPT TO:<bob@[192.0.2.1]>");
    user.ok("RCPT TO:<bob>");
    user.ok("DATA");
    user.ok("Subject: no more fields\r\n\r\nx\r\n.");
    instance.wait_for_messages("bob", 1);
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let text = imap.ok("FETCH 1 BODY.PEEK[HEADER]").join("\n");
    for field in ["Return-Path: <alice@example.test>", "Date: ", "Message-ID: <", "From: "] {
        assert!(text.contains(field), "{field} in {text}");
    }
    // On port 25 it is another host's mail: what is in its header is not looked at.
    let mut smtp = greeted(&instance);
    smtp.ok("MAIL FROM:<alice@desktop>");
}

/// A changed limit holds from the next connection on.
#[test]
fn a_limit_can_be_changed_while_it_runs() {
    let instance = Setup::default().set("local.service.networkexempt", "192.0.2.0/24").start();
    greeted(&instance).send_message("a@a.example", &["alice@example.test"], "Subject: 1");
    instance.set(&accept("networkrecipients"), "1");
    instance.signal("smtp", Signal::SIGHUP);
    wait_for("the limit", || {
        let mut smtp = greeted(&instance);
        smtp.ok("MAIL FROM:<a@a.example>");
        let first = smtp.ask("RCPT TO:<alice@example.test>");
        (first.starts_with("450") || smtp.ask("RCPT TO:<bob@example.test>").starts_with("450 4.7.1"))
            .then_some(())
    });
}

/// "Why did partner X get a bounce from you?" is answered by the log, whatever was refused; a flood fills no disk.
#[test]
fn what_is_refused_has_a_line_in_the_log_and_a_flood_of_it_one_for_all() {
    let instance = Setup::default().set("service.smtp.smtp-accept.maxmessagesize", "20000").start();
    let mut smtp = greeted(&instance);
    assert!(smtp.ask("MAIL FROM:<big@a.example> SIZE=30000").starts_with("552"));
    smtp.ok("MAIL FROM:<a@a.example>");
    assert!(smtp.ask("RCPT TO:<nobody@example.test>").starts_with("550 5.1.1"));
    assert!(smtp.ask("RCPT TO:<x@far.example>").starts_with("550 5.7.1"));
    smtp.ok("RCPT TO:<alice@example.test>");
    assert!(smtp.ask("DATA").starts_with("354"));
    assert!(smtp.ask(&format!("Subject: s\r\n\r\n{}.", "0123456789\r\n".repeat(2000))).starts_with("552"));
    assert!(smtp.ask("RCPT TO:<too@soon.example>").starts_with("503"), "no policy, no line");
    let log = instance.log("smtp");
    for told in [
        "refused with 552 5.3.4 Message is larger than this server takes: from=<big@a.example> client=",
        "refused with 550 5.1.1 No such user here: from=<a@a.example> to=<nobody@example.test> client=client.example.org [127.",
        "refused with 550 5.7.1 Relaying denied: from=<a@a.example> to=<x@far.example>",
        "refused with 552 5.3.4 Message is larger than this server takes: from=<a@a.example> to=<alice@example.test>",
    ] {
        let told = format!("Protocol Notice: smtp-accept: {told}");
        assert_eq!(log.matches(&told).count(), 1, "{told}\n{log}");
    }
    assert!(!log.contains("soon.example"), "{log}");
    smtp.ok("MAIL FROM:<a@a.example>");
    for number in 0..50 {
        assert!(smtp.ask(&format!("RCPT TO:<u{number}@example.test>")).starts_with("550"));
    }
    smtp.ask("QUIT");
    wait_for("the line for all", || {
        instance.log("smtp").contains("34 refusals more of client [127.").then_some(())
    });
    assert_eq!(instance.log("smtp").matches("smtp-accept: refused with ").count(), 20);
}
