//! Addresses and headers in UTF-8, from end to end (RFC 6531, RFC 6532, RFC 6533).
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Stdio};

use black_box::instance::{SMTP, wait_for};
use black_box::{Act, Instance, Setup, Smtp, Step, StubMta, World, run};
use nix::sys::signal::Signal;

const ABLE: [&str; 5] = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN"];
const DOMAINS: &str = "service.smtp.smtp-router.localmaildomains";

fn dirutil(instance: &Instance, arguments: &[&str]) {
    run(instance.tool("dirutil").args(arguments));
}

fn greeted(instance: &Instance) -> Smtp {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp
}

fn send(instance: &Instance, mail: &str, rcpts: &[&str], header: &str) {
    let mut smtp = greeted(instance);
    smtp.ok(&format!("MAIL FROM:{mail}"));
    for rcpt in rcpts {
        smtp.ok(&format!("RCPT TO:{rcpt}"));
    }
    smtp.ok("DATA");
    smtp.ok(&format!("{header}\r\n\r\nbody\r\n."));
}

/// The messages of a mailbox, all in one text.
fn text(instance: &Instance, user: &str, mailbox: &str) -> String {
    let mut imap = instance.imap(user);
    imap.ok(&format!("SELECT {mailbox}"));
    imap.ok("FETCH 1:* BODY.PEEK[]").join("\n").replace('\r', "")
}

/// alice and jurgen, who is `jürgen` here and everybody in `bücher.test`.
fn with_jurgen(setup: Setup) -> Instance {
    let mut instance =
        setup.users(&["alice", "jurgen"]).set(DOMAINS, "münchen.test xn--bcher-kva.test").create();
    for address in ["jürgen@example.test", "JÜRGEN@xn--mnchen-3ya.test", "@bücher.test"] {
        dirutil(&instance, &["change", "jurgen", "--add", &format!("mailAlternateAddress={address}")]);
    }
    instance.start_all();
    instance
}

#[test]
fn the_extension_is_offered_as_its_parameter_says() {
    let instance = Setup::default().set("service.smtp.smtp-accept.allowvrfy", "yes").start();
    assert!(instance.smtp().ok("EHLO c.example").contains("250-SMTPUTF8\n"));
    let mut smtp = greeted(&instance);
    assert!(smtp.ask("VRFY jürgen").starts_with("553 5.6.7"), "not said");
    assert!(smtp.ask("VRFY jürgen SMTPUTF8").starts_with("252 2."));
    assert!(smtp.ask("MAIL FROM:<jürgen@a.example>").starts_with("553 5.6.7"));
    assert!(smtp.ask("MAIL FROM:<a@a.example> SMTPUTF8=yes").starts_with("501 5.5.4"));
    smtp.ok("MAIL FROM:<a@a.example>");
    assert!(smtp.ask("RCPT TO:<älice@example.test>").starts_with("553 5.6.7"), "MAIL did not say it");
    assert!(smtp.ask("RCPT TO:<alice@example.test> ORCPT=utf-8;ä@b").starts_with("501 5.5.4"));
    smtp.ok(r"RCPT TO:<alice@example.test> ORCPT=utf-8;\x{E4}@b");
    instance.set("local.service.smtp.smtp-accept.allowsmtputf8", "no");
    instance.signal("smtp", Signal::SIGHUP);
    let hello = wait_for("the new value", || {
        let hello = instance.smtp().ok("EHLO c.example");
        (!hello.contains("SMTPUTF8")).then_some(hello)
    });
    assert!(hello.contains("8BITMIME"));
    let mut smtp = greeted(&instance);
    assert!(smtp.ask("MAIL FROM:<a@a.example> SMTPUTF8").starts_with("555 5.5.4"));
    assert!(smtp.ask("VRFY alice SMTPUTF8").starts_with("555 5.5.4"));
    // A header in UTF-8 goes as any 8-bit text, with the keyword or without.
    send(&instance, "<a@a.example> BODY=8BITMIME", &["<alice@example.test>"], "Subject: Grüße");
    instance.wait_for_messages("alice", 1);
    assert!(text(&instance, "alice", "INBOX").contains("Subject: Grüße"));
}

/// U-labels and A-labels, NFC and not, any case: one mailbox; and its folder.
#[test]
fn an_address_is_found_however_it_is_written() {
    let instance = with_jurgen(Setup::default());
    instance.imap("jurgen").ok("CREATE Entw&APw-rfe");
    let written = [
        "<jürgen@example.test>",
        "<JU\u{308}RGEN@Example.Test>",
        "<jürgen@münchen.test>",
        "<Jürgen@XN--mnchen-3ya.test>",
        "<wer.auch.immer@BÜCHER.test>",
        "<jürgen+Entwürfe@example.test>",
        "<jürgen+Entwu\u{308}rfe@münchen.test>",
    ];
    for rcpt in written {
        send(
            &instance,
            "<böse@külß.example> SMTPUTF8 BODY=8BITMIME",
            &[rcpt],
            "From: böse@külß.example\r\nSubject: Grüße",
        );
    }
    instance.wait_for_messages("jurgen", 5);
    instance.wait_for_empty_queue();
    let inbox = text(&instance, "jurgen", "INBOX");
    assert!(inbox.contains("Return-Path: <böse@külß.example>\n"), "{inbox}");
    assert!(inbox.contains("with UTF8SMTP id ") && inbox.contains("Subject: Grüße\n"), "{inbox}");
    assert!(
        inbox.contains("for <wer.auch.immer@xn--bcher-kva.test>") && !inbox.contains("for <j"),
        "{inbox}"
    );
    assert_eq!(text(&instance, "jurgen", "Entw&APw-rfe").matches("Subject: Grüße").count(), 2);
    let mut smtp = greeted(&instance);
    smtp.ok("MAIL FROM:<> SMTPUTF8");
    assert!(smtp.ask("RCPT TO:<jurgen2@münchen.test>").starts_with("550 5.1.1"), "ours, and unknown");
    assert!(smtp.ask("RCPT TO:<x@muenchen.test>").starts_with("550 5.7.1"), "not ours");
    // In A-labels nothing need be said.
    send(&instance, "<a@a.example>", &["<any@xn--bcher-kva.test>"], "Subject: plain");
    instance.wait_for_messages("jurgen", 6);
    // Who logged in owns the address in every form.
    let mut smtp = instance.submission("jurgen");
    smtp.ok("MAIL FROM:<ju\u{308}rgen@xn--mnchen-3ya.test> SMTPUTF8");
    smtp.ok("RCPT TO:<alice@example.test>");
    smtp.ok("DATA");
    smtp.ok("From: jürgen@münchen.test\r\n\r\nbody\r\n.");
    instance.wait_for_messages("alice", 1);
    assert!(text(&instance, "alice", "INBOX").contains("with UTF8SMTPA id "));
}

#[test]
fn expn_tells_in_utf8_only_who_asked_for_it() {
    let mut instance =
        Setup::default().users(&["alice"]).set("service.smtp.smtp-accept.allowexpn", "yes").create();
    dirutil(&instance, &["add", "group", "team", "--member", "jürgen@elsewhere.test", "a@münchen.test"]);
    dirutil(&instance, &["add", "group", "dom", "--member", "a@münchen.test"]);
    instance.start_all();
    let mut smtp = greeted(&instance);
    assert!(smtp.ask("EXPN team").starts_with("252 2.6.8"));
    let told = smtp.ask("EXPN team SMTPUTF8");
    assert!(told.starts_with("250-2.1.5 <jürgen@elsewhere.test>\n250 2.1.5 <a@münchen.test>"), "{told}");
    assert_eq!(smtp.ask("EXPN dom"), "250 2.1.5 <a@xn--mnchen-3ya.test>");
}

#[test]
fn a_host_that_has_it_gets_everything_as_it_came() {
    let world = World::new();
    let able = world.served("xn--mnchen-3ya.test", StubMta::new().offers(&ABLE));
    let instance = world.setup().users(&["alice"]).start();
    let rcpts =
        ["<jürgen@münchen.test> NOTIFY=FAILURE ORCPT=utf-8;jürgen@alt.test", "<hans@xn--mnchen-3ya.test>"];
    send(&instance, "<älice@example.test> SMTPUTF8", &rcpts, "Subject: Grüße\r\nFrom: ä@ü.example");
    let taken = able.wait_for(1);
    assert!(taken[0].mail.starts_with("MAIL FROM:<älice@example.test>"), "{taken:?}");
    assert!(taken[0].mail.contains(" SMTPUTF8") && taken[0].mail.contains(" BODY=8BITMIME"), "{taken:?}");
    assert_eq!(taken[0].recipients(), ["jürgen@münchen.test", "hans@xn--mnchen-3ya.test"], "one transaction");
    assert!(taken[0].rcpts[0].contains("ORCPT=utf-8;jürgen@alt.test"), "{taken:?}");
    assert!(
        taken[0].text().contains("with UTF8SMTP id ") && taken[0].text().contains("From: ä@ü.example\r\n")
    );
}

#[test]
fn a_host_without_it_gets_a_labels_and_what_cannot_be_put_so_bounces() {
    let world = World::new();
    let plain =
        world.served("xn--mnchen-3ya.test", StubMta::new().offers(&["8BITMIME", "DSN", "PIPELINING"]));
    let instance = world.setup().users(&["alice"]).start();
    let rcpts = ["<hans@münchen.test> ORCPT=utf-8;hans@münchen.test", "<jürgen@münchen.test>"];
    send(&instance, "<alice@example.test> SMTPUTF8", &rcpts, "Subject: plain");
    let taken = plain.wait_for(1);
    assert!(
        taken[0].mail.starts_with("MAIL FROM:<alice@example.test>") && !taken[0].mail.contains("SMTPUTF8")
    );
    assert_eq!(taken[0].recipients(), ["hans@xn--mnchen-3ya.test"]);
    assert!(taken[0].rcpts[0].contains(r"ORCPT=utf-8;hans@m\x{FC}nchen.test"), "{taken:?}");
    assert!(taken[0].content.is_ascii(), "the Received line, too: {}", taken[0].text());
    instance.wait_for_messages("alice", 1);
    let report = text(&instance, "alice", "INBOX");
    for part in [
        "report-type=global-delivery-status",
        "Content-Type: message/global-delivery-status",
        "Final-Recipient: utf-8; jürgen@münchen.test\nAction: failed\nStatus: 5.6.7\n",
        "Content-Type: message/global\n",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
    // The header needs it.
    send(
        &instance,
        "<alice@example.test> SMTPUTF8",
        &["<hans@münchen.test>"],
        "From: ä@ü.example\r\nSubject: Grüße",
    );
    instance.wait_for_messages("alice", 2);
    assert!(text(&instance, "alice", "INBOX").contains("Status: 5.6.9"));
    // Without the keyword the same header is 8-bit text, as it ever was.
    send(&instance, "<alice@example.test> BODY=8BITMIME", &["<hans@xn--mnchen-3ya.test>"], "Subject: Grüße");
    assert!(plain.wait_for(2)[1].text().contains("Subject: Grüße"));
}

/// The sender did not say SMTPUTF8, so the report about an address he never saw is in ASCII.
#[test]
fn a_report_to_who_did_not_say_it_is_in_ascii() {
    let world = World::new();
    let _plain = world.served("remote.test", StubMta::new().offers(&["8BITMIME"]));
    let mut instance = world.setup().users(&["alice", "bob"]).create();
    dirutil(&instance, &["change", "bob", "--set", "mailForwardingAddress=jürgen@remote.test"]);
    instance.start_all();
    send(&instance, "<alice@example.test>", &["<bob@example.test>"], "Subject: s");
    instance.wait_for_messages("alice", 1);
    let report = text(&instance, "alice", "INBOX");
    assert!(report.contains("Final-Recipient: utf-8; j\\x{FC}rgen@remote.test\n"), "{report}");
    assert!(
        report.contains("Content-Type: message/delivery-status\n")
            && report.contains("report-type=delivery-status")
    );
}

/// A report to a sender beyond ASCII finds its mailbox here.
#[test]
fn a_report_reaches_a_sender_beyond_ascii() {
    let world = World::new();
    let _rude = world
        .served("remote.test", StubMta::new().offers(&ABLE).on(Step::Rcpt, &[Act::say("550 5.1.1 no\r\n")]));
    let instance = with_jurgen(world.setup());
    send(&instance, "<jürgen@münchen.test> SMTPUTF8", &["<ö@remote.test>"], "Subject: ä");
    instance.wait_for_messages("jurgen", 1);
    let report = text(&instance, "jurgen", "INBOX");
    assert!(
        report.contains("To: <jürgen@münchen.test>\n")
            && report.contains("Final-Recipient: utf-8; ö@remote.test\n")
    );
    assert!(report.contains("Original-Recipient") || report.contains("Status: 5.1.1"), "{report}");
}

#[test]
fn the_tools_know_such_addresses() {
    let instance = with_jurgen(Setup::default());
    let feed = |tool: &str, arguments: &[&str], text: &str| {
        let mut child = instance.tool(tool).args(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    };
    feed("sendmail", &["-f", "jürgen@münchen.test", "jürgen@example.test"], "Subject: Grüße\n\nx\n");
    feed("sendmail", &["-t"], "To: Jürgen <jürgen@münchen.test>\nSubject: to\n\nx\n");
    instance.wait_for_messages("jurgen", 2);
    assert!(text(&instance, "jurgen", "INBOX").contains("Return-Path: <jürgen@münchen.test>"));
    feed("deliver", &["-r", "jürgen@münchen.test", "jurgen"], "Subject: by hand\n\nx\n");
    instance.wait_for_messages("jurgen", 3);
}

/// Mail that waits is found by either form of its domain, and lies in one folder.
#[test]
fn the_queue_is_asked_by_either_form_of_a_domain() {
    let world = World::new();
    let address = world.domain("xn--mnchen-3ya.test"); // nobody listens
    let instance = world.setup().users(&["alice"]).start();
    send(&instance, "<ä@example.test> SMTPUTF8", &["<jürgen@münchen.test>"], "Subject: u");
    send(&instance, "<a@example.test>", &["<hans@xn--mnchen-3ya.test>"], "Subject: a");
    let folder = instance.path("queue/deferred/SMTP-Deliver");
    wait_for("both in one folder", || {
        let found = Command::new("find").arg(&folder).args(["-name", "env-*"]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        (found.lines().count() == 2 && found.lines().all(|l| l.contains("/xn--mnchen-3ya.test/")))
            .then_some(())
    });
    for domain in ["münchen.test", "XN--MNCHEN-3ya.test"] {
        let listed = run(instance.tool("mailq").args(["--json", "--domain", domain]));
        assert_eq!(listed.lines().count(), 2, "{listed}");
        assert!(listed.contains("jürgen@münchen.test"), "{listed}");
    }
    let listed =
        run(instance.tool("mailq").args(["--json", "--recipient", "JU\u{308}RGEN@xn--mnchen-3ya.test"]));
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let able = StubMta::new().offers(&ABLE).at(address).start();
    run(instance.tool("msg-queue").args(["flush", "--domain", "münchen.test"]));
    let taken = able.wait_for(2);
    assert!(taken.iter().any(|one| one.recipients() == ["jürgen@münchen.test"]), "{taken:?}");
}

#[test]
fn a_client_of_python_sends_such_mail() {
    let instance = with_jurgen(Setup::default());
    let script = "import smtplib, sys, email.message, email.policy\n\
        m = email.message.EmailMessage(policy=email.policy.SMTPUTF8)\n\
        m['From'] = 'bücher@münchen.test'; m['To'] = 'jürgen@example.test'; m['Subject'] = 'Grüße'\n\
        m.set_content('ä')\n\
        with smtplib.SMTP(sys.argv[1], int(sys.argv[2])) as s: s.send_message(m)\n";
    run(Command::new("python3").args(["-c", script, &instance.address.to_string(), &SMTP.to_string()]));
    instance.wait_for_messages("jurgen", 1);
    let got = text(&instance, "jurgen", "INBOX");
    assert!(
        got.contains("Subject: Grüße") && got.contains("To: jürgen@example.test") && got.contains("UTF8SMTP"),
        "{got}"
    );
}
