//! Reverse-paths and forward-paths. The case is the line; its host and user are those of the instance.

use black_box::{Instance, Setup, Vigil, run};

use crate::Stage::{Greeted, InTransaction, WithRecipient};
use crate::{GROWTH_MAX_BYTES, at, here, line};

const RCPT: &[(&str, &str)] = &[
    ("RCPT TO:<@a.test,@b.test:u1@mta.test>", "250 2.1.5"),
    ("RCPT TO:<u1%other.test@mta.test>", "550 5.1.1"),
    ("RCPT TO:<other.test!u1@mta.test>", "550 5.1.1"),
    ("RCPT TO:<u1@relay.test@mta.test>", "501 5.1.3"),
    ("RCPT TO:<\"u1\"@mta.test>", "250 2.1.5"),
    ("RCPT TO:<\"u 1\"@mta.test>", "550 5.1.1"),
    ("RCPT TO:<\"u1@other\"@mta.test>", "550 5.1.1"),
    ("RCPT TO:<\"u1\\\"\"@mta.test>", "550 5.1.1"),
    ("RCPT TO:<\"\"@mta.test>", "501 5.1.3"),
    ("RCPT TO:<u1@[127.0.0.1]>", "550 5.7.1"),
    ("RCPT TO:<u1@[IPv6:::1]>", "550 5.7.1"),
    ("RCPT TO:<u1@[300.1.1.1]>", "501 5.1.3"),
    ("RCPT TO:<u1@[127.0.0.1>", "501 5.1.3"),
    ("RCPT TO:<u1@relay.test>", "550 5.7.1"),
    ("RCPT TO:<>", "501 5.1.3"),
    ("RCPT TO:<postmaster>", "250 2.1.5"),
    ("RCPT TO:<Postmaster@mta.test>", "250 2.1.5"),
    ("RCPT TO:<u1>", "250 2.1.5"), // not 501: S111, `RCPT TO:<joe>` is joe@defaultdomain
    ("RCPT TO:<U1@MTA.TEST>", "250 2.1.5"),
    ("RCPT TO:<u1@mta.test.>", "501 5.1.3"),
    ("RCPT TO:<u1+ext@mta.test>", "250 2.1.5"),
    ("RCPT TO:<nobody99@mta.test>", "550 5.1.1"),
    ("RCPT TO:<.u1@mta.test>", "501 5.1.3"),
    ("RCPT TO:<u1..x@mta.test>", "501 5.1.3"),
    ("RCPT TO:<u1@>", "501 5.1.3"),
    ("RCPT TO:<@mta.test>", "501 5.1.3"),
    ("RCPT TO:<u1@mta_x.test>", "550 5.7.1"), // not 5.1.2: the underscore is tolerated, and the domain is not ours
    ("RCPT TO:<u1@-mta.test>", "501 5.1.3"),
    ("RCPT TO:<|/bin/sh@mta.test>", "550 5.1.1"),
    ("RCPT TO:</etc/passwd@mta.test>", "550 5.1.1"),
    ("RCPT TO:<u1@mta.test", "501 5.1.3"),
    ("RCPT TO:u1@mta.test", "501 5.5.2"),
    ("RCPT TO:<u1@mta.test>>", "501 5.1.3"),
    ("RCPT TO:<u1 x@mta.test>", "501 5.1.3"),
    ("RCPT TO:<u1@mta.test> ", "250 2.1.5"),
    ("RCPT TO:<u1@mta.test>NOTIFY=NEVER", "501 5.5.4"),
    ("RCPT TO:<;id;@mta.test>", "501 5.1.3"),
    ("RCPT TO:<${run{id}}@mta.test>", "550 5.1.1"),
    ("RCPT TO:<-oX@mta.test>", "550 5.1.1"),
    ("RCPT TO:<u1(comment)@mta.test>", "501 5.1.3"),
    ("RCPT TO:<-froot@mta.test>", "550 5.1.1"),
    ("RCPT TO:<\"$(id)\"@mta.test>", "550 5.1.1"),
    ("RCPT TO:<\"a\\\tb\"@mta.test>", "501 5.1.3"), // a control byte by a quoted pair
];

const MAIL: &[(&str, &str)] = &[
    ("MAIL FROM:<>", "250 2.1.0"),
    ("MAIL FROM: <a@discard.test>", "250 2.1.0"),
    ("MAIL FROM:a@discard.test", "501 5.5.2"),
    ("MAIL FROM:<a@discard.test", "501 5.1.7"),
    ("MAIL FROM:<@>", "501 5.1.7"),
    ("MAIL FROM:<a@b@discard.test>", "501 5.1.7"),
    ("MAIL FROM:<;id;@discard.test>", "501 5.1.7"),
    ("MAIL FROM:<a@discard.test> X", "555 5.5.4"),
];

#[test]
fn every_path_gets_the_answer_of_the_catalogue() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    for (case, answer) in RCPT {
        line(
            &instance,
            InTransaction,
            case,
            &here(case).replace("U1", "ALICE").replace("MTA.", "EXAMPLE."),
            &[answer],
        );
    }
    for (case, answer) in MAIL {
        line(&instance, Greeted, case, case, &[answer]);
    }
    let long = |local: usize, domain: &str| format!("RCPT TO:<{}@{domain}>", "x".repeat(local));
    let domain = format!("{}test", "a.".repeat(128));
    let label = format!("{}.test", "a".repeat(64));
    for (case, text, answer) in [
        ("local part 65", long(65, "example.test"), "501 5.1.3"),
        ("local part 300", long(300, "example.test"), "501 5.1.3"),
        ("domain 260", long(1, &domain), "501 5.1.2"),
        ("label 64", long(1, &label), "501 5.1.2"),
    ] {
        line(&instance, InTransaction, case, &text, &[answer]);
    }
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn recipients_are_counted_and_each_gets_one_copy() {
    let instance = Setup::default().set("local.service.smtp.smtp-accept.maxrecipients", "1000").start();
    let vigil = Vigil::begin(&instance);
    let mut smtp = at(&instance, InTransaction);
    for n in 0..1100 {
        let reply = smtp.ask(&format!("RCPT TO:<alice+{n}@example.test>"));
        let answer = if n < 1000 { "250 2.1.5" } else { "452 4.5.3" };
        assert!(reply.starts_with(answer), "1100 rcpts: {n}: {reply}");
    }
    assert!(smtp.ask("DATA").starts_with("354"), "1100 rcpts: DATA still works");
    drop(smtp);

    let mut smtp = at(&instance, WithRecipient);
    smtp.ok("RCPT TO:<alice@example.test>");
    smtp.ok("RCPT TO:<Alice@EXAMPLE.test>");
    smtp.ok("DATA");
    smtp.wire.send(b"Subject: thrice\r\n\r\n.\r\n");
    assert!(smtp.reply().starts_with("250"), "same rcpt x3");
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("alice").exists("INBOX"), 1, "same rcpt x3");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// S111: users without a domain are in `service.smtp.defaultdomain`.
#[test]
fn an_address_without_a_domain_is_in_the_default_domain() {
    let mut instance = Setup::default().set("service.smtp.defaultdomain", "example.test").start();
    let mut smtp = at(&instance, Greeted);
    smtp.send_message("joe", &["alice"], "Subject: short\r\n\r\n");
    instance.wait_for_messages("alice", 1);
    let mut imap = instance.imap("alice");
    imap.ok("SELECT INBOX");
    let header = imap.ok("FETCH 1 BODY.PEEK[HEADER]").join("");
    assert!(header.contains("Return-Path: <joe@example.test>"), "{header}");
    assert!(header.contains("for <alice@example.test>;"), "{header}");
    instance.set("service.smtp.defaultdomain", "elsewhere.test");
    for (user, address) in [("postmaster", "postmaster@elsewhere.test"), ("bob", "joe@elsewhere.test")] {
        run(instance.tool("dirutil").args([
            "change",
            user,
            "--add",
            &format!("mailAlternateAddress={address}"),
        ]));
    }
    instance.stop("smtp");
    instance.start_one("smtp");
    for (path, answer) in
        [("<alice>", "550 5.1.1"), ("<joe>", "250 2.1.5"), ("<alice@example.test>", "250 2.1.5")]
    {
        line(&instance, InTransaction, "another default domain", &format!("RCPT TO:{path}"), &[answer]);
    }
}
