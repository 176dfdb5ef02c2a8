//! Delivery status notifications (RFC 3461, RFC 3464): who is told what, once.
#![allow(clippy::unwrap_used)]

use std::fs;

use black_box::instance::wait_for;
use black_box::{Act, Instance, Setup, Smtp, Step, StubMta, World, run};

const WITH_DSN: [&str; 5] = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE", "DSN"];

fn dirutil(instance: &Instance, arguments: &[&str]) {
    run(instance.tool("dirutil").args(arguments));
}

fn greeted(instance: &Instance) -> Smtp {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp
}

/// One message of alice, with what stands behind MAIL and RCPT.
fn send(instance: &Instance, mail: &str, recipients: &[&str], subject: &str) {
    transaction(
        &mut greeted(instance),
        &format!("MAIL FROM:<alice@example.test>{mail}"),
        recipients,
        subject,
    );
}

fn transaction(smtp: &mut Smtp, mail: &str, recipients: &[&str], subject: &str) -> String {
    smtp.ok(mail);
    for recipient in recipients {
        let (address, parameters) = recipient.split_once(' ').unwrap_or((recipient, ""));
        smtp.ok(format!("RCPT TO:<{address}> {parameters}").trim_end());
    }
    smtp.ok("DATA");
    smtp.ok(&format!("From: alice@example.test\r\nSubject: {subject}\r\n\r\nthe body\r\n."))
}

/// The whole text of a message of a user's INBOX.
fn text(instance: &Instance, user: &str, number: u32) -> String {
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    imap.ok(&format!("FETCH {number} BODY.PEEK[]")).join("\n").replace('\r', "")
}

/// The fields of a report that are about one recipient.
fn about<'a>(report: &'a str, address: &str) -> &'a str {
    let field = format!("Final-Recipient: rfc822; {address}\n");
    let found: Vec<&str> = report.split("\n\n").filter(|block| block.contains(&field)).collect();
    assert_eq!(found.len(), 1, "{address} in {report}");
    found[0]
}

#[test]
fn dsn_and_the_limits_are_offered_as_the_parameters_say() {
    let instance = Setup::default().start();
    let hello = instance.smtp().ok("EHLO client.example.org");
    assert!(
        hello.contains("250-DSN\n") && hello.contains("250-LIMITS MAILMAX=1000 RCPTMAX=100000"),
        "{hello}"
    );
    let name = "local.service.smtp.smtp-accept.maxrecipients";
    instance.set(name, "2");
    instance.set("local.service.smtp.smtp-accept.maxmessages", "10000000");
    instance.set("service.smtp.dodsn", "no");
    instance.signal("smtp", nix::sys::signal::Signal::SIGHUP);
    let hello = wait_for("the new values", || {
        let hello = instance.smtp().ok("EHLO client.example.org");
        (!hello.contains("DSN")).then_some(hello)
    });
    assert!(hello.contains("LIMITS RCPTMAX=2"), "seven digits cannot be told: {hello}");
    let mut smtp = greeted(&instance);
    assert!(smtp.ask("MAIL FROM:<a@a.example> RET=HDRS").starts_with("555 5.5.4"));
    assert!(smtp.ask("MAIL FROM:<a@a.example> ENVID=x").starts_with("555 5.5.4"));
    smtp.ok("MAIL FROM:<a@a.example>");
    assert!(smtp.ask("RCPT TO:<bob@example.test> NOTIFY=NEVER").starts_with("555 5.5.4"));
    assert!(smtp.ask("RCPT TO:<bob@example.test> ORCPT=rfc822;b@b").starts_with("555 5.5.4"));
    smtp.ok("RCPT TO:<bob@example.test>");
    smtp.ok("RCPT TO:<alice@example.test>");
    assert!(smtp.ask("RCPT TO:<postmaster@example.test>").starts_with("452 4.5.3"), "as RCPTMAX said");
}

/// RFC 3461 §5.2.2, §5.2.3, §5.2.7.3: delivered here, relayed to a host without DSN, expanded: one report.
#[test]
fn success_is_reported_to_who_asked_in_one_report() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new());
    let mut instance = world.setup().users(&["alice", "bob", "carol", "dave"]).create();
    dirutil(&instance, &["add", "group", "team", "--member", "bob@example.test", "carol@example.test"]);
    dirutil(&instance, &["change", "dave", "--set", "mailForwardingAddress=carol@example.test"]);
    instance.start_all();
    let recipients = [
        "bob@example.test NOTIFY=SUCCESS ORCPT=rfc822;B+2BB@elsewhere.test",
        "team@example.test NOTIFY=SUCCESS,FAILURE",
        "dave@example.test NOTIFY=SUCCESS",
        "x@remote.test NOTIFY=SUCCESS",
        "quiet@remote.test NOTIFY=FAILURE",
        "plain@remote.test",
    ];
    send(&instance, " RET=FULL ENVID=QQ+2B1", &recipients, "hello");
    instance.wait_for_messages("alice", 1);
    instance.wait_for_empty_queue();
    let taken = mx.wait_for(1);
    assert!(taken[0].rcpts.iter().all(|line| !line.contains("NOTIFY")), "{taken:?}");
    let report = text(&instance, "alice", 1);
    for field in [
        "\nSubject: Your message was delivered\n",
        "\nReturn-Path: <>\n",
        "report-type=delivery-status",
        "\nOriginal-Envelope-Id: QQ+1\n",
        "\nContent-Type: text/rfc822-headers\n",
        "\nSubject: hello\n",
    ] {
        assert!(report.replacen("Return-Path", "\nReturn-Path", 1).contains(field), "{field} in {report}");
    }
    assert!(!report.contains("the body"), "RET is for failures: {report}");
    let bob = about(&report, "bob@example.test");
    assert!(bob.contains("Action: delivered\nStatus: 2."), "{bob}");
    assert!(bob.contains("Original-Recipient: rfc822;B+B@elsewhere.test\n"), "{bob}");
    assert!(about(&report, "team@example.test").contains("Action: expanded\n"));
    assert!(about(&report, "dave@example.test").contains("Action: delivered\n"), "he keeps a copy: one line");
    assert!(about(&report, "x@remote.test").contains("Action: relayed\n"));
    assert_eq!(report.matches("Final-Recipient:").count(), 4, "{report}");
    for (user, count) in [("bob", 1), ("carol", 1), ("dave", 1), ("alice", 1)] {
        instance.wait_for_messages(user, count);
    }
}

/// RFC 3461 §5.2.1: a host with DSN is told what the sender asked for, and reports itself.
#[test]
fn what_was_asked_for_goes_on_to_a_host_with_dsn() {
    let world = World::new();
    let mx = world.served("remote.test", StubMta::new().offers(&WITH_DSN));
    let mut instance = world.setup().users(&["alice", "bob", "carol"]).create();
    dirutil(&instance, &["change", "bob", "--set", "mailForwardingAddress=away@remote.test"]);
    dirutil(&instance, &["change", "bob", "--remove", "mailDeliveryOption"]);
    instance.start_all();
    let recipients = [
        "x@remote.test NOTIFY=SUCCESS,DELAY ORCPT=rfc822;y+2Bz@remote.test",
        "n@remote.test NOTIFY=NEVER",
        "p@remote.test",
        "bob@example.test NOTIFY=SUCCESS",
    ];
    send(&instance, " RET=FULL ENVID=QQ+2B1", &recipients, "on");
    let message = &mx.wait_for(1)[0];
    instance.wait_for_empty_queue();
    assert!(message.mail.contains(" RET=FULL") && message.mail.contains(" ENVID=QQ+2B1"), "{}", message.mail);
    let of = |address: &str| {
        let line = message.rcpts.iter().find(|line| line.contains(&format!("<{address}>"))).unwrap();
        line.split_once('>').unwrap().1.trim().to_owned()
    };
    assert_eq!(of("x@remote.test"), "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;y+2Bz@remote.test");
    assert_eq!(of("n@remote.test"), "NOTIFY=NEVER");
    assert_eq!(of("p@remote.test"), "");
    // Forwarded to one address: it answers for the one that the sender knows.
    assert_eq!(of("away@remote.test"), "NOTIFY=SUCCESS ORCPT=rfc822;bob@example.test");
    // What has the null sender goes on without any wish for a report (RFC 3461 §6.1).
    transaction(&mut greeted(&instance), "MAIL FROM:<>", &["x@remote.test"], "null");
    assert!(mx.wait_for(2)[1].rcpts[0].contains("NOTIFY=NEVER"));
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("alice").exists("INBOX"), 0, "its reports are the other host's");
}

/// RFC 3461 §4.1, §4.3: NEVER is never; without FAILURE no failure; RET=HDRS gives the header, RET=FULL all of it.
#[test]
fn failures_are_reported_as_notify_and_ret_say() {
    let world = World::new();
    let instance = world.setup().set("service.smtp.error-handler.unknownacctsactions", "1").start();
    let unwanted = ["a@nowhere.test NOTIFY=NEVER", "b@nowhere.test NOTIFY=SUCCESS,DELAY"];
    send(&instance, "", &unwanted, "nobody is told");
    transaction(
        &mut greeted(&instance),
        "MAIL FROM:<>",
        &["bob@example.test NOTIFY=SUCCESS"],
        "null senders are told nothing",
    );
    instance.wait_for_messages("bob", 1);
    instance.wait_for_empty_queue();
    for (count, ret) in [(1, "HDRS"), (2, "FULL")] {
        let recipients = ["c@nowhere.test NOTIFY=FAILURE", "d@nowhere.test NOTIFY=NEVER"];
        send(&instance, &format!(" RET={ret}"), &recipients, ret);
        instance.wait_for_messages("alice", count);
        let report = text(&instance, "alice", count);
        assert!(about(&report, "c@nowhere.test").contains("Action: failed\nStatus: 5.1.2\n"), "{report}");
        assert!(!report.contains("d@nowhere.test"), "{report}");
        assert_eq!(report.contains("the body"), ret == "FULL", "{report}");
    }
    instance.wait_for_empty_queue();
}

/// RFC 3461 §5.2.5: a warning, once for each message and recipient, also of those that are not tried because another
/// message found the domain dead; and across a crash.
#[test]
fn a_delay_is_reported_once_to_who_wants_to_know() {
    let world = World::new();
    world.domain("down.test");
    let mut instance = world
        .setup()
        .set("local.service.smtp.error-handler.delaywarning", "3")
        .set("service.smtp.deferredperiod", "1")
        .start();
    let recipients = [
        "plain@down.test",
        "asked@down.test NOTIFY=DELAY",
        "failure@down.test NOTIFY=FAILURE",
        "never@down.test NOTIFY=NEVER",
    ];
    for subject in ["one", "two", "three"] {
        send(&instance, "", &recipients, subject);
    }
    transaction(&mut greeted(&instance), "MAIL FROM:<>", &["plain@down.test"], "null");
    instance.wait_for_messages("alice", 3);
    for number in 1..=3 {
        let report = text(&instance, "alice", number);
        assert!(report.contains("\nSubject: Your message is delayed\n"), "{report}");
        assert!(about(&report, "plain@down.test").contains("Action: delayed\nStatus: 4.4.1\n"), "{report}");
        assert!(about(&report, "asked@down.test").contains("\nWill-Retry-Until: "), "{report}");
        assert_eq!(report.matches("Final-Recipient:").count(), 2, "{report}");
    }
    instance.kill("smtp");
    instance.start_one("smtp");
    let attempts = || {
        let list = run(instance.tool("mailq").arg("--json"));
        list.lines()
            .filter_map(|line| line.split("\"attempts\":").nth(1)?.split(',').next()?.parse::<u32>().ok())
            .max()
    };
    let before = attempts().unwrap();
    wait_for("more attempts", || (attempts()? > before + 2).then_some(()));
    instance.wait_for_messages("alice", 3);
}

/// X1: all that is too old is given up in one go, though its domain is dead and only one message found that out.
#[test]
fn a_dead_domain_gives_up_all_that_is_too_old_at_once() {
    let world = World::new();
    let mx = world.served("down.test", StubMta::new().on(Step::Greeting, &[Act::Close]));
    let mut instance = world.setup().start();
    for number in 0..10 {
        send(&instance, "", &[&format!("x{number}@down.test")], "old");
    }
    instance.wait_for_queue("all to be deferred", || {
        let control = fs::read_dir(instance.path("queue/control")).unwrap().count();
        (control == 0).then_some(())
    });
    instance.stop("smtp");
    let before = mx.seen().connections;
    instance.set("service.smtp.deferredperiod", "2");
    instance.set("service.smtp.maxqueuetime", "0");
    instance.start_one("smtp");
    instance.wait_for_messages("alice", 10);
    assert_eq!(mx.seen().connections - before, 1, "one message asked");
    assert!(text(&instance, "alice", 10).contains("Status: 4.4.7"));
    wait_for("an empty queue", || {
        run(&mut instance.tool("mailq")).contains("down.test").eq(&false).then_some(())
    });
}

/// However often smtpd is killed, a success is told once. The report cannot leave the queue meanwhile.
#[test]
fn a_crash_does_not_double_a_report() {
    let mut instance = Setup::default().users(&["alice", "bob"]).start();
    let hash = run(instance.tool("hashdir").arg("alice"));
    let folder = instance.path("store/partition/primary/=user").join(hash.trim());
    fs::create_dir_all(&folder).unwrap();
    let way = folder.join("=alice");
    fs::write(&way, "in the way").unwrap();
    let rounds = if black_box::quick() { 4 } else { 15 };
    for round in 0..rounds {
        for number in 0..3 {
            send(&instance, "", &["bob@example.test NOTIFY=SUCCESS"], &format!("{round}-{number}"));
        }
        instance.kill("smtp");
        instance.start_one("smtp");
    }
    let total = rounds * 3;
    instance.wait_for_messages("bob", total);
    let reports = || {
        let names = fs::read_dir(instance.path("queue/control")).unwrap().flatten();
        let about = names.filter_map(|entry| fs::read_to_string(entry.path()).ok());
        let (reports, others): (Vec<_>, Vec<_>) = about.partition(|text| text.contains("\nSender: <>\n"));
        (reports.len(), others.len())
    };
    instance.wait_for_queue("all to be told", || (reports().1 == 0).then_some(()));
    assert_eq!(reports().0, total as usize);
    fs::remove_file(way).unwrap();
    instance.kill("smtp");
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", "7200");
    instance.start_one("smtp");
    instance.wait_for_messages("alice", total);
    instance.wait_for_empty_queue();
}

/// S43: each sum of actions, for unknown accounts and for hop counts: a reply to the sender, a word to the postmaster, a
/// line in the log.
#[test]
fn every_sum_of_actions_does_what_its_bits_say() {
    let mut instance = Setup::default()
        .users(&["alice", "bob"])
        .set("service.smtp.error-handler.log", "no")
        .set("service.smtp.smtp-router.maxmtahops", "5")
        .create();
    dirutil(&instance, &["change", "bob", "--set", "mailForwardingAddress=nobody@example.test"]);
    dirutil(&instance, &["change", "bob", "--remove", "mailDeliveryOption"]);
    instance.start_all();
    let log = |instance: &Instance| instance.log("smtp");
    let count = |instance: &Instance, user: &str| instance.imap(user).exists("INBOX");
    for (sum, replies, tells, logs) in [
        (1, true, false, false),
        (4, false, true, false),
        (8, false, false, true),
        (5, true, true, false),
        (12, false, true, true),
        (13, true, true, true),
        (15, true, true, true),
    ] {
        instance.stop("smtp");
        for name in ["unknownacctsactions", "hopcountexceedactions"] {
            instance.set(&format!("service.smtp.error-handler.{name}"), &sum.to_string());
        }
        instance.start_one("smtp");
        let hops = "Received: from a by b; Fri, 28 Feb 2026 10:00:00 +0000\r\n".repeat(9);
        for (to, header, status) in [("bob", "", "5.1.1"), ("alice", hops.as_str(), "5.4.6")] {
            let before = (count(&instance, "alice"), count(&instance, "postmaster"));
            let line = format!("status={status} ");
            let lines = log(&instance).matches(&line).count();
            let mut smtp = greeted(&instance);
            let text = format!("{header}Subject: sum {sum}\r\n\r\nx\r\n");
            smtp.send_message("alice@example.test", &[&format!("{to}@example.test")], &text);
            instance.wait_for_empty_queue();
            let after = (count(&instance, "alice"), count(&instance, "postmaster"));
            let said = log(&instance).matches(&line).count() > lines;
            let found = (after.0 - before.0, after.1 - before.1, said);
            let expected = (u32::from(replies), u32::from(tells), logs);
            assert_eq!(found, expected, "sum {sum} for {status}: replies, to the postmaster, logged");
        }
    }
}
