//! One message through the whole suite: in by SMTP, out by IMAP and POP.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::MetadataExt;

use black_box::instance::{IMAPS, POPS, SUBMISSIONS, wait_for};
use black_box::{Imap, Instance, Pop, Setup, Smtp, Wire, run};

#[test]
fn a_submitted_message_is_read_back_over_imap_and_pop() {
    let instance = Instance::start();
    let mut smtp = instance.submission("alice");
    smtp.send_message(
        "alice@example.test",
        &["bob@example.test"],
        "From: alice@example.test\r\nSubject: hello\r\n\r\nfirst line\r\n.dotted\r\n..twice\r\n",
    );
    instance.wait_for_messages("bob", 1);
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let fetched = imap.ok("FETCH 1 (BODY.PEEK[])").join("\n");
    assert!(fetched.contains("\r\nfirst line\r\n.dotted\r\n..twice\r\n"), "{fetched}");
    assert!(fetched.contains("Return-Path: <alice@example.test>"), "{fetched}");
    let mut pop = instance.pop("bob");
    let lines = pop.lines("RETR 1");
    assert!(lines.ends_with(&["first line".into(), ".dotted".into(), "..twice".into()]), "{lines:?}");
    instance.wait_for_empty_queue();
}

#[test]
fn the_encrypted_ports_do_the_same() {
    let instance = Instance::start();
    let ca = instance.path("config/certs/ca.pem");
    let mut smtp = Smtp::over(Wire::tls(instance.connect(SUBMISSIONS), &ca));
    smtp.log_in("alice", "alice-secret");
    smtp.send_message("alice@example.test", &["bob@example.test"], "Subject: tls\r\n\r\nx\r\n");
    instance.wait_for_messages("bob", 1);
    let mut imap = Imap::over(Wire::tls(instance.connect(IMAPS), &ca));
    imap.ok("LOGIN bob bob-secret");
    assert_eq!(imap.exists("INBOX"), 1);
    let mut pop = Pop::over(Wire::tls(instance.connect(POPS), &ca));
    pop.ok("USER bob");
    pop.ok("PASS bob-secret");
    assert!(pop.ok("STAT").starts_with("+OK 1 "));
}

#[test]
fn starttls_works_on_every_plain_port_and_forgets_what_was_said_before() {
    let instance = Instance::start();
    let ca = instance.path("config/certs/ca.pem");
    let mut smtp = instance.smtp();
    assert!(smtp.ok("EHLO a.example").contains("STARTTLS"));
    smtp.ok("STARTTLS");
    let mut smtp_wire = smtp.wire.start_tls(&ca);
    smtp_wire.send(b"MAIL FROM:<a@example.org>\r\n");
    assert!(smtp_wire.line().starts_with("503"), "EHLO must be said again after STARTTLS");
    let mut imap = Imap::open(instance.connect(black_box::instance::IMAP));
    imap.ok("STARTTLS");
    let mut wire = imap.wire.start_tls(&ca);
    wire.send(b"a LOGIN bob bob-secret\r\n");
    assert!(wire.line().starts_with("a OK"));
    let mut pop = Pop::open(instance.connect(black_box::instance::POP));
    pop.ok("STLS");
    let mut wire = pop.wire.start_tls(&ca);
    wire.send(b"CAPA\r\n");
    assert!(wire.line().starts_with("+OK"));
}

/// S157, S158: one message to several local users is one inode; each mailbox has a link.
#[test]
fn a_message_to_three_users_is_stored_once() {
    let instance = Setup::default().users(&["u1", "u2", "u3"]).start();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.send_message(
        "s@example.org",
        &["u1@example.test", "u2@example.test", "u3@example.test"],
        "Subject: once\r\n\r\nx\r\n",
    );
    for user in ["u1", "u2", "u3"] {
        instance.wait_for_messages(user, 1);
    }
    instance.wait_for_empty_queue();
    let found = run(std::process::Command::new("find")
        .arg(instance.path("store/partition"))
        .args(["-name", "1.msg"]));
    let files: Vec<_> = found.lines().collect();
    assert_eq!(files.len(), 3, "{found}");
    wait_for("the queue's own link to go", || (fs::metadata(files[0]).unwrap().nlink() == 3).then_some(()));
    let inodes: std::collections::BTreeSet<_> =
        files.iter().map(|file| fs::metadata(file).unwrap().ino()).collect();
    assert_eq!(inodes.len(), 1);
}

/// S86, S87.
#[test]
fn received_names_the_recipient_only_when_there_is_one() {
    let instance = Instance::start();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.send_message("s@example.org", &["alice@example.test"], "Subject: one\r\n\r\nx\r\n");
    smtp.send_message(
        "s@example.org",
        &["alice@example.test", "bob@example.test"],
        "Subject: two\r\n\r\nx\r\n",
    );
    instance.wait_for_messages("alice", 2);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let one = imap.ok("FETCH 1:* (BODY.PEEK[HEADER])").into_iter().collect::<Vec<_>>();
    let of = |subject: &str| {
        let text = one.iter().find(|text| text.contains(&format!("Subject: {subject}"))).unwrap();
        let from = text.find("Received: ").unwrap();
        text[from..].split("\r\nSubject").next().unwrap().replace("\r\n", "")
    };
    let single = of("one");
    assert!(single.contains("from client.example.org") && single.contains("by localhost"), "{single}");
    assert!(single.contains(" for <alice@example.test>;"), "{single}");
    assert!(!of("two").contains(" for <"), "{}", of("two"));
}

#[test]
fn an_unknown_user_is_refused_at_rcpt_and_relaying_is_denied() {
    let instance = Instance::start();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.ok("MAIL FROM:<s@example.org>");
    assert!(smtp.ask("RCPT TO:<nobody@example.test>").starts_with("550 5.1.1"));
    assert!(smtp.ask("RCPT TO:<x@elsewhere.example>").starts_with("550 5.7.1"));
    smtp.ok("RCPT TO:<postmaster>");
}

/// What cannot be delivered bounces with a report (RFC 3464); nothing disappears.
#[test]
fn mail_that_cannot_be_delivered_comes_back_with_a_report() {
    let instance = Instance::start();
    let mut smtp = instance.submission("alice");
    smtp.send_message(
        "alice@example.test",
        &["someone@elsewhere.example"],
        "From: alice@example.test\r\nSubject: away\r\nMessage-ID: <away@example.test>\r\n\r\nx\r\n",
    );
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let report = imap.ok("FETCH 1 BODY.PEEK[]").join("\n");
    for part in [
        "Return-Path: <>",
        "multipart/report",
        "message/delivery-status",
        "Final-Recipient: rfc822;someone@elsewhere.example",
        "Action: failed",
        "Status: 5.",
        "Auto-Submitted: auto-replied",
        "<away@example.test>",
    ] {
        assert!(report.replace("rfc822; ", "rfc822;").contains(part), "no {part} in {report}");
    }
    instance.wait_for_empty_queue();
}

/// S54.
#[test]
fn smtpd_refuses_to_start_without_exactly_one_postmaster() {
    let instance = Setup::default().create();
    let ldif = instance.path("config/directory.ldif");
    let text = fs::read_to_string(&ldif).unwrap();
    let mut instance = instance;
    instance.start_one("store");
    let entries: Vec<&str> = text.split("\n\n").collect();
    let without: Vec<&str> = entries.iter().filter(|entry| !entry.contains("postmaster")).copied().collect();
    assert!(without.len() < entries.len());
    fs::write(&ldif, without.join("\n\n")).unwrap();
    let refused = instance.refused_start("smtp");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("postmaster"), "{refused:?}");
    let log = instance.log("smtp");
    assert!(log.lines().any(|line| line.contains("Critical") && line.contains("postmaster")), "{log}");
    let double = entries.iter().find(|entry| entry.contains("uid: alice")).unwrap();
    let double = format!("{}\nmailAlternateAddress: postmaster@example.test\n", double.trim_end());
    let several = text.replace(entries.iter().find(|entry| entry.contains("uid: alice")).unwrap(), &double);
    fs::write(&ldif, several).unwrap();
    assert_eq!(instance.refused_start("smtp").status.code(), Some(1));
    fs::write(&ldif, &text).unwrap();
    instance.start_one("smtp");
}
