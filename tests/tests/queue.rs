//! The queue from outside: its files, the comparison at start, forwarding, groups, reports, mailq.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use black_box::instance::{SMTP, SUBMISSION, SUBMISSIONS, wait_for};
use black_box::{Halted, Instance, Setup, run};

/// An instance whose alice cannot be delivered to: a file is in the way of her mailbox.
fn with_alice_stuck() -> (Instance, PathBuf) {
    let instance = Setup::default().start();
    let way = block(&instance, "alice");
    (instance, way)
}

fn block(instance: &Instance, user: &str) -> PathBuf {
    let hash = run(instance.tool("hashdir").arg(user));
    let folder = instance.path("store/partition/primary/=user").join(hash.trim());
    fs::create_dir_all(&folder).unwrap();
    let way = folder.join(format!("={user}"));
    fs::write(&way, "in the way").unwrap();
    way
}

fn ids(instance: &Instance) -> Vec<String> {
    fs::read_dir(instance.path("queue/control"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replacen("env-", "", 1))
        .collect()
}

fn stuck(instance: &Instance) -> String {
    wait_for("an attempt to be recorded", || {
        let id = ids(instance).pop()?;
        let text = fs::read_to_string(instance.path(&format!("queue/control/env-{id}"))).ok()?;
        text.contains("\nattempt 0 ").then_some(id)
    })
}

/// S73, S74, S76, S81.
#[test]
fn the_queue_can_be_read_with_ls_cat_and_mailq() {
    let (mut instance, _way) = with_alice_stuck();
    instance.send("alice", "stuck");
    let id = stuck(&instance);
    let (head, tail) = id.split_once('.').unwrap();
    let legal = |part: &str| part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    assert!(head.len() == 8 && tail.len() == 3 && legal(head) && legal(tail), "{id}");
    let envelope = fs::read_to_string(instance.path(&format!("queue/control/env-{id}"))).unwrap();
    assert!(
        envelope.contains("\nSender: <sender@example.org>\nRecipient: <alice@example.test>\n"),
        "{envelope}"
    );
    let message = fs::read_to_string(instance.path(&format!("queue/messages/{id}"))).unwrap();
    assert!(
        message.starts_with("Return-Path: <sender@example.org>\r\nReceived: from client.example.org"),
        "{message}"
    );
    instance.stop("smtp");
    let summary = run(&mut instance.tool("mailq"));
    assert!(summary.lines().any(|line| line.split_whitespace().eq(["1", "example.test"])), "{summary}");
    let list = run(instance.tool("mailq").arg("-l"));
    assert!(list.contains(&id) && list.contains("<alice@example.test>  waiting"), "{list}");
    let detail = run(instance.tool("mailq").args(["-d", &id]));
    for one in ["sender <sender@example.org>", "1 attempt,", "client.example.org"] {
        assert!(detail.contains(one), "{one} in {detail}");
    }
}

/// S75: the attempt is repeated after a restart, and once the way is free the message is there, once.
#[test]
fn a_delayed_message_is_delivered_after_a_restart() {
    let (mut instance, way) = with_alice_stuck();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.send_message(
        "s@example.org",
        &["bob@example.test", "alice@example.test"],
        "Subject: two\r\n\r\nx\r\n",
    );
    stuck(&instance);
    instance.wait_for_messages("bob", 1);
    instance.kill("smtp");
    fs::remove_file(way).unwrap();
    // The next attempt is due in a minute: the clock of the next smtpd is ahead.
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", "7200");
    instance.start_all();
    instance.wait_for_messages("alice", 1);
    instance.wait_for_empty_queue();
    instance.wait_for_messages("bob", 1);
}

/// S75: the envelope is the tracker. Who has the message, whom a group stands for and who was told of a failure is in it,
/// so a restart repeats none of this, though the mailboxes that could tell are gone.
#[test]
fn the_envelope_knows_after_a_restart_what_was_done() {
    let mut instance = Setup::default().users(&["alice", "bob", "carol"]).create();
    let members = ["alice@example.test", "bob@example.test", "gone@example.test"];
    dirutil(&instance, &[&["add", "group", "team", "--member"][..], &members[..]].concat());
    instance.start_all();
    let way = block(&instance, "alice");
    let mut smtp = instance.submission("carol");
    smtp.send_message("carol@example.test", &["team@example.test"], "Subject: tracked\r\n\r\nx\r\n");
    instance.wait_for_messages("bob", 1);
    instance.wait_for_messages("carol", 1); // the report on gone@
    let envelope = wait_for("the report to have left the queue", || {
        let [id] = ids(&instance).try_into().ok()?;
        let text = fs::read_to_string(instance.path(&format!("queue/control/env-{id}"))).ok()?;
        text.contains("\nattempt 0 ").then_some(text)
    });
    // The members have a copy of their own, of which this is the envelope.
    for step in ["\nThrough: <team@example.test>\n", "\ndone 2 ", "\nfailed 3 ", "\nreported 3 "] {
        assert!(envelope.contains(step), "{step:?} in {envelope}");
    }
    instance.kill("smtp");
    fs::remove_file(way).unwrap();
    for user in ["bob", "carol"] {
        run(instance.tool("mboxutil").args(["-d", &format!("user/{user}")]));
    }
    dirutil(&instance, &["delete", "team@example.test"]);
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", "7200");
    instance.start_all();
    instance.wait_for_messages("alice", 1);
    instance.wait_for_empty_queue();
    instance.wait_for_messages("bob", 0);
    instance.wait_for_messages("carol", 0);
}

/// X1: given up after maxqueuetime, with a report.
#[test]
fn mail_that_cannot_be_delivered_for_days_is_reported() {
    let (mut instance, _way) = with_alice_stuck();
    let mut smtp = instance.submission("bob");
    smtp.send_message("bob@example.test", &["alice@example.test"], "Subject: too long\r\n\r\nx\r\n");
    stuck(&instance);
    instance.kill("smtp");
    instance.set_environment("MAILBOAT_CLOCK_OFFSET", &(5 * 86_400).to_string());
    instance.start_all();
    instance.wait_for_messages("bob", 1);
    instance.wait_for_empty_queue();
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let report = imap.ok("FETCH 1 BODY.PEEK[]").join("");
    assert!(report.contains("Status: 4.4.7") && report.contains("given up after"), "{report}");
}

/// S82, S83: what does not make sense is put aside at start, with a line in the log; nothing is deleted.
#[test]
fn orphans_of_both_kinds_are_set_aside_at_start() {
    let mut instance = Setup::default().create();
    for folder in ["queue/control", "queue/messages"] {
        fs::create_dir_all(instance.path(folder)).unwrap();
    }
    fs::write(instance.path("queue/messages/GPM7U000.001"), "Subject: orphan\r\n\r\n").unwrap();
    fs::write(instance.path("queue/control/env-GPM7U000.002"), "Mailboat-Envelope: 1\nId: GPM7U").unwrap();
    fs::write(instance.path("queue/control/strange"), "?").unwrap();
    instance.start_all();
    let mut lost: Vec<String> = fs::read_dir(instance.path("queue/lost+found"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    lost.sort();
    assert_eq!(lost, ["GPM7U000.001", "env-GPM7U000.002", "strange"]);
    let log = instance.log("smtp");
    for name in lost {
        let id = name.replacen("env-", "", 1);
        assert!(log.lines().any(|line| line.contains(&id) && line.contains("lost+found")), "{name}: {log}");
    }
    instance.send("alice", "as ever");
    instance.wait_for_messages("alice", 1);
}

/// S83: nobody is let in while the check runs; then everybody is. smtpd is stopped in the middle of its check, so that
/// there is all the time in the world to knock: a socket that listened would take the connection all the same.
#[test]
fn the_port_stays_closed_until_the_queue_was_checked() {
    let mut instance = Setup::default().create();
    instance.start_one("store");
    let (control, lost) = (instance.path("queue/control"), instance.path("queue/lost+found"));
    fs::create_dir_all(&control).unwrap();
    let count = if black_box::quick() { 3000 } else { 20_000 };
    for n in 0..count {
        fs::write(control.join(format!("env-GPM7U0{}.{}", base36(n, 2), base36(n / 1296, 3))), "torn")
            .unwrap();
    }
    instance.begin_one("smtp");
    wait_for("the check to have begun", || fs::read_dir(&lost).ok()?.next().map(drop));
    let halted = Halted::new(instance.pid("smtp").unwrap());
    let done = fs::read_dir(&lost).unwrap().count();
    assert!(done < count, "the check was over before it could be looked at: more entries are needed");
    for port in [SMTP, SUBMISSION, SUBMISSIONS] {
        let refused = TcpStream::connect(instance.at(port));
        assert_eq!(refused.err().map(|why| why.kind()), Some(ErrorKind::ConnectionRefused), "port {port}");
    }
    drop(halted);
    instance.wait_until_serving("smtp");
    assert_eq!(fs::read_dir(&lost).unwrap().count(), count);
    instance.send("alice", "as ever");
}

/// S80, S85: with 5,000 messages waiting, smtpd is there within two seconds, each of them having been looked at. Of three
/// starts the best counts, since the machine has other work; where it is so slow or so loaded that reading the 5,000 envelopes
/// takes a tenth of that, the start may take ten times as long as reading them.
#[test]
fn smtpd_starts_within_two_seconds_with_5000_messages_waiting() {
    let (mut instance, _way) = with_alice_stuck();
    instance.send("alice", "one of many");
    let id = stuck(&instance);
    instance.stop("smtp");
    let envelope = fs::read_to_string(instance.path(&format!("queue/control/env-{id}"))).unwrap();
    let (head, _) = envelope.split_once("End: ").unwrap();
    let message = fs::read(instance.path(&format!("queue/messages/{id}"))).unwrap();
    // Not due before tomorrow: what is measured is the start, not the deliveries.
    let tomorrow = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 86_400;
    for n in 1..5000 {
        let other = format!("GPM7U0{}.{}", base36(n % 1296, 2), base36(n / 1296, 3));
        let head = head.replace(&id, &other);
        let step = format!("attempt 0 {tomorrow} 4.3.0 not yet");
        let crc = |text: &str| crc32fast::hash(text.as_bytes());
        let text = format!("{head}End: {:08x}\n{step} #{:08x}\n", crc(&head), crc(&step));
        fs::write(instance.path(&format!("queue/control/env-{other}")), text).unwrap();
        fs::write(instance.path(&format!("queue/messages/{other}")), &message).unwrap();
    }
    let mut times = Vec::new();
    for _ in 0..3 {
        let begin = Instant::now();
        instance.start_one("smtp");
        let took = begin.elapsed();
        drop(instance.smtp());
        instance.stop("smtp");
        let begin = Instant::now();
        for entry in fs::read_dir(instance.path("queue/control")).unwrap() {
            crc32fast::hash(&fs::read(entry.unwrap().path()).unwrap());
        }
        times.push((took, begin.elapsed()));
    }
    eprintln!("starts with 5,000 waiting: {times:?}");
    let log = instance.log("smtp");
    assert_eq!(log.matches("queue check: 5000 waiting").count(), 3, "{log}");
    assert_eq!(ids(&instance).len(), 5000);
    let is_quick = |(took, reading): &(Duration, Duration)| *took < Duration::from_secs(2).max(*reading * 10);
    assert!(times.iter().any(is_quick), "{times:?}");
}

fn base36(mut value: usize, width: usize) -> String {
    let mut text = String::new();
    for _ in 0..width {
        text.insert(0, char::from_digit((value % 36) as u32, 36).unwrap().to_ascii_uppercase());
        value /= 36;
    }
    text
}

fn dirutil(instance: &Instance, arguments: &[&str]) {
    run(instance.tool("dirutil").args(arguments));
}

#[test]
fn forwarding_groups_aliases_and_sub_addresses_reach_whom_they_should() {
    let mut instance = Setup::default().users(&["alice", "bob", "carol"]).create();
    dirutil(
        &instance,
        &[
            "change",
            "alice",
            "--add",
            "mailForwardingAddress=bob@example.test",
            "--add",
            "mailAlternateAddress=a.smith@example.test",
        ],
    );
    dirutil(&instance, &["change", "bob", "--set", "mailForwardingAddress=alice@example.test"]);
    dirutil(
        &instance,
        &["add", "group", "all", "--member", "alice@example.test", "carol@example.test", "all@example.test"],
    );
    instance.start_all();
    let mut imap = instance.imap("carol");
    imap.ok("CREATE Lists");
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    // alice keeps a copy and forwards to bob, bob keeps a copy and forwards to alice: one each.
    smtp.send_message("s@example.org", &["A.Smith@example.test"], "Subject: circle\r\n\r\nx\r\n");
    instance.wait_for_messages("alice", 1);
    instance.wait_for_messages("bob", 1);
    smtp.send_message(
        "s@example.org",
        &["all@example.test", "carol@example.test"],
        "Subject: group\r\n\r\nx\r\n",
    );
    instance.wait_for_messages("carol", 1);
    instance.wait_for_messages("alice", 2);
    instance.wait_for_messages("bob", 2);
    smtp.send_message("s@example.org", &["carol+Lists@example.test"], "Subject: to a folder\r\n\r\nx\r\n");
    smtp.send_message("s@example.org", &["carol+None@example.test"], "Subject: no such folder\r\n\r\nx\r\n");
    instance.wait_for_messages("carol", 2);
    wait_for("the folder", || (imap.exists("Lists") == 1).then_some(()));
    instance.wait_for_empty_queue();
}

/// S46: unknown accounts by 13: report to the sender, copy to the postmaster, a line in the log.
#[test]
fn a_forward_to_nobody_is_reported_to_the_sender_and_the_postmaster() {
    let mut instance = Setup::default().users(&["alice", "bob"]).create();
    dirutil(
        &instance,
        &[
            "change",
            "alice",
            "--set",
            "mailForwardingAddress=gone@example.test",
            "--remove",
            "mailDeliveryOption",
        ],
    );
    instance.start_all();
    let mut smtp = instance.submission("bob");
    smtp.send_message(
        "bob@example.test",
        &["alice@example.test"],
        "Subject: to nobody\r\nMessage-ID: <lost@x>\r\n\r\nx\r\n",
    );
    instance.wait_for_messages("bob", 1);
    instance.wait_for_messages("postmaster", 1);
    instance.wait_for_empty_queue();
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let report = imap.ok("FETCH 1 BODY.PEEK[]").join("");
    for one in [
        "Final-Recipient: rfc822; gone@example.test",
        "Original-Recipient: rfc822;alice@example.test",
        "Status: 5.1.1",
        "<lost@x>",
    ] {
        assert!(report.contains(one), "{one} in {report}");
    }
    let log = instance.log("smtp");
    assert!(log.contains("error-handler: ") && log.contains("status=5.1.1"), "{log}");
    // A report that cannot be delivered is not reported to its (null) sender.
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.ok("MAIL FROM:<>");
    smtp.ok("RCPT TO:<alice@example.test>");
    smtp.ok("DATA");
    smtp.wire.send(b"Subject: a bounce\r\n\r\nx\r\n.\r\n");
    assert!(smtp.reply().starts_with("250"));
    instance.wait_for_messages("postmaster", 2);
    instance.wait_for_empty_queue();
}

/// RFC 3461: NOTIFY=NEVER.
#[test]
fn who_wants_no_report_gets_none() {
    let mut instance = Setup::default().create();
    dirutil(&instance, &["change", "alice", "--set", "mailForwardingAddress=gone@example.test"]);
    instance.start_all();
    let mut smtp = instance.submission("bob");
    smtp.ok("MAIL FROM:<bob@example.test>");
    smtp.ok("RCPT TO:<alice@example.test> NOTIFY=NEVER");
    smtp.ok("DATA");
    smtp.wire.send(b"Subject: quietly\r\nFrom: bob@example.test\r\n\r\nx\r\n.\r\n");
    assert!(smtp.reply().starts_with("250"));
    instance.wait_for_messages("postmaster", 1);
    instance.wait_for_messages("alice", 1);
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("bob").exists("INBOX"), 0);
}

/// S25: each module's own switch says whether it logs a line for each message.
#[test]
fn each_module_logs_its_messages_when_it_is_told_to() {
    let line_of = |module: &str, log: &str| log.lines().any(|line| line.contains(&format!("{module}: ")));
    for (accept, deliver) in [("no", "yes"), ("yes", "no")] {
        let instance = Setup::default()
            .set("service.smtp.smtp-accept.log", accept)
            .set("service.smtp.mailbox-deliver.log", deliver)
            .start();
        instance.send("alice", "logged");
        instance.wait_for_messages("alice", 1);
        instance.wait_for_empty_queue();
        let log = instance.log("smtp");
        assert_eq!(line_of("smtp-accept", &log), accept == "yes", "{log}");
        assert_eq!(line_of("mailbox-deliver", &log), deliver == "yes", "{log}");
    }
}
