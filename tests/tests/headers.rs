//! Header fields of our own clients' messages: names for addresses (S31, S32), From and Sender of who logged in (S38, S39),
//! what is added, and which domain is ours (S110).
#![allow(clippy::unwrap_used)]

use std::fs;

use black_box::{Instance, Setup};

const STYLE: &str = "service.smtp.smtp-router.smtprewritestyle";

fn start(setup: Setup) -> Instance {
    let mut instance = setup.set("local.service.smtp.smtp-accept.relaynetworks", "127.0.0.0/8").create();
    let path = instance.path("config/directory.ldif");
    let text = fs::read_to_string(&path).unwrap();
    let named: Vec<String> = text
        .lines()
        .filter(|line| !line.starts_with("cn:") || !text.contains("uid: alice"))
        .map(|line| match line.strip_prefix("uid: ") {
            Some(uid) => format!("{line}\ncn: {uid} User"),
            None => line.to_owned(),
        })
        .collect();
    fs::write(&path, format!("{}\n", named.join("\n"))).unwrap();
    instance.start_all();
    instance
}

fn relay(instance: &Instance, content: &str) {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.send_message("alice@example.test", &["bob@example.test"], content);
}

/// S31
#[test]
fn a_bare_address_gets_domain_and_name_by_the_style() {
    for (style, from, cc) in [
        ("never", "alice", "bob, x@else.test"),
        ("none", "alice@example.test", "bob@example.test, x@else.test"),
        ("", "\"alice User\" <alice@example.test>", "\"bob User\" <bob@example.test>, x@else.test"),
        ("comment", "alice@example.test (alice User)", "bob@example.test (bob User), x@else.test"),
    ] {
        let setup = Setup::default().set("service.smtp.smtp-router.rewritetocc", "no, yes");
        let instance = start(if style.is_empty() { setup } else { setup.set(STYLE, style) });
        let content =
            "From: alice\r\nTo: bob\r\nCc: bob, x@else.test\r\nSubject: alice\r\n\r\nFrom: alice\r\n";
        relay(&instance, content);
        let text = instance.received("bob", 1);
        let expected =
            format!("From: {from}\r\nTo: bob\r\nCc: {cc}\r\nSubject: alice\r\n\r\nFrom: alice\r\n");
        assert!(text.contains(&expected), "{style}: {text}");
    }
}

#[test]
fn what_a_stranger_sends_is_not_touched() {
    let mut instance = Setup::default().create();
    instance.start_all();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.send_message("x@else.test", &["bob@example.test"], "From: alice\r\nTo: bob\r\n\r\nx\r\n");
    assert!(instance.received("bob", 1).contains("From: alice\r\nTo: bob\r\n\r\n"));
}

/// S38, S39
#[test]
fn from_and_sender_are_who_logged_in_when_the_site_says_so() {
    let forged = "From: Boss <boss@example.test>\r\nSender: x@else.test\r\nSubject: s\r\n\r\nx\r\n";
    for (from_yes, sender_yes) in [(false, false), (true, false), (false, true)] {
        let word = |yes: bool| if yes { "yes" } else { "no" };
        let setup = Setup::default()
            .set("service.smtp.smtp-router.dorewritefromusingauth", word(from_yes))
            .set("service.smtp.smtp-router.dorewritesenderusingauth", word(sender_yes));
        let instance = start(setup);
        let mut smtp = instance.submission("alice");
        smtp.send_message("alice@example.test", &["bob@example.test"], forged);
        let text = instance.received("bob", 1);
        let alice = "\"alice User\" <alice@example.test>";
        let from = if from_yes { alice } else { "Boss <boss@example.test>" };
        let sender = if sender_yes { alice } else { "x@else.test" };
        assert!(
            text.contains(&format!("From: {from}\r\nSender: {sender}\r\nSubject: s\r\n\r\nx\r\n")),
            "{text}"
        );
    }
}

#[test]
fn an_added_message_id_hides_the_host_when_it_is_to() {
    for (value, expected) in [("no", "@localhost>"), ("yes", "@example.test>")] {
        let instance = start(Setup::default().set("service.smtp.smtp-accept.hidehostname", value));
        let mut smtp = instance.submission("alice");
        smtp.send_message("alice@example.test", &["bob@example.test"], "Subject: s\r\n\r\nx\r\n");
        let text = instance.received("bob", 1);
        let id = text.lines().find(|line| line.starts_with("Message-ID: ")).unwrap();
        assert!(id.trim_end().ends_with(expected), "{id}");
    }
}

#[test]
fn an_unknown_recipient_is_refused_at_once_or_reported() {
    let instance = start(Setup::default().set("service.smtp.verifyrcpts", "no"));
    let mut smtp = instance.submission("alice");
    smtp.send_message("alice@example.test", &["nobody@example.test"], "Subject: s\r\n\r\nx\r\n");
    assert!(instance.received("alice", 1).contains("Status: 5.1.1"));
    let instance = start(Setup::default());
    let mut smtp = instance.submission("alice");
    smtp.ok("MAIL FROM:<alice@example.test>");
    assert!(smtp.ask("RCPT TO:<nobody@example.test>").starts_with("550 5.1.1"));
}

/// S110: the server's own domain beside the default one.
#[test]
fn the_domain_of_the_server_is_ours() {
    let setup = Setup::default().set("service.smtp.domain", "cust.example.test");
    let mut instance = setup.create();
    let path = instance.path("config/directory.ldif");
    let text_of = fs::read_to_string(&path).unwrap();
    let also = "\nuid: bob\nmailAlternateAddress: bob@cust.example.test\n";
    fs::write(&path, text_of.replace("\nuid: bob\n", also)).unwrap();
    instance.start_all();
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp.ok("MAIL FROM:<x@else.test>");
    assert!(smtp.ask("RCPT TO:<bob@other.example.test>").starts_with("550 5.7.1"), "relaying");
    assert!(smtp.ask("RCPT TO:<nobody@cust.example.test>").starts_with("550 5.1.1"), "ours, and nobody");
    smtp.ok("RSET");
    smtp.send_message("x@else.test", &["bob@cust.example.test"], "Subject: s\r\n\r\nx\r\n");
    assert!(instance.received("bob", 1).contains("Subject: s"));
}
