//! ETRN (RFC 1985), and the commands of smtp-accept that are off unless they are asked for: EXPN, ONEX, VERB.
#![allow(clippy::unwrap_used)]

use std::fs;

use black_box::{Instance, Setup, Smtp, StubMta, World, run};

fn greeted(instance: &Instance) -> Smtp {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO client.example.org");
    smtp
}

fn send(instance: &Instance, to: &str) {
    greeted(instance).send_message("alice@example.test", &[to], "Subject: s\r\n\r\nx\r\n");
}

fn wait_until_deferred(instance: &Instance, domain: &str) {
    instance.wait_for_queue("the message to be deferred", || {
        let list = run(&mut instance.tool("mailq"));
        let control = fs::read_dir(instance.path("queue/control")).unwrap().count();
        (list.contains(domain) && control == 0).then_some(())
    });
}

#[test]
fn mail_that_waits_for_a_domain_is_sent_when_it_is_asked_for() {
    let world = World::new();
    let one = world.served("one.test", StubMta::new());
    let two = world.served("sub.two.test", StubMta::new());
    let instance = world
        .setup()
        .set("service.smtp.smtp-accept.allowetrn", "yes")
        .set("service.smtp.smtp-deliver.alwaysqueue", "yes")
        .start();
    send(&instance, "x@one.test");
    send(&instance, "x@sub.two.test");
    wait_until_deferred(&instance, "one.test");
    wait_until_deferred(&instance, "sub.two.test");
    let mut smtp = instance.smtp();
    assert!(smtp.ask("ETRN one.test").starts_with("503 5.5.1"), "EHLO comes first");
    assert!(smtp.ok("EHLO client.example.org").contains("250-ETRN\n"));
    for (line, expected) in [
        ("ETRN", "501 5.5.4"),
        ("ETRN ../one.test", "501 5.5.4"),
        ("ETRN #one", "459 4.7.0"),
        ("ETRN example.test", "251 2.0.0"),
        ("ETRN nothing.test", "251 2.0.0"),
    ] {
        let reply = smtp.ask(line);
        assert!(reply.starts_with(expected), "{line}: {reply}");
    }
    smtp.ok("MAIL FROM:<a@a.example>");
    assert!(smtp.ask("ETRN one.test").starts_with("503 5.5.1"), "not within a transaction");
    smtp.ok("RSET");
    assert_eq!(one.seen().connections, 0);
    assert!(smtp.ask("ETRN One.Test").starts_with("250 2.0.0"));
    assert_eq!(one.wait_for(1)[0].recipients(), ["x@one.test"]);
    assert_eq!(two.seen().connections, 0, "nobody asked for that");
    assert!(smtp.ask("ETRN @two.test").starts_with("250 2.0.0"));
    assert_eq!(two.wait_for(1)[0].recipients(), ["x@sub.two.test"]);
}

/// A stranger costs no more than an attempt a minute, and gets no lists.
#[test]
fn a_stranger_may_ask_only_now_and_then() {
    let world = World::new();
    world.domain("down.test");
    let instance = world
        .setup()
        .set("service.smtp.smtp-accept.allowetrn", "yes")
        .set("local.service.smtp.smtp-accept.relaynetworks", "192.0.2.0/24")
        .start();
    let mut user = instance.submission("alice");
    user.send_message("alice@example.test", &["x@down.test"], "Subject: s\r\n\r\nx\r\n");
    wait_until_deferred(&instance, "down.test");
    let mut stranger = greeted(&instance);
    assert!(stranger.ask("ETRN @test").starts_with("459 4.7.0"));
    assert!(stranger.ask("ETRN down.test").starts_with("250 2.0.0"));
    assert!(stranger.ask("ETRN down.test").starts_with("458 4.7.0"));
    assert!(greeted(&instance).ask("ETRN down.test").starts_with("458 4.7.0"));
    assert!(user.ask("ETRN down.test").starts_with("250 2.0.0"), "who logged in is no stranger");
}

#[test]
fn expn_onex_and_verb_are_there_when_they_are_switched_on() {
    let mut setup = Setup::default();
    for name in ["allowexpn", "allowonex", "allowverb"] {
        setup = setup.set(&format!("service.smtp.smtp-accept.{name}"), "yes");
    }
    let mut instance = setup.create();
    run(instance
        .tool("dirutil")
        .args(["add", "group", "team", "--member"])
        .args(["alice@example.test", "out@elsewhere.test"]));
    instance.start_all();
    let mut smtp = greeted(&instance);
    for (line, expected) in [
        ("EXPN team", "250-2.1.5 <alice@example.test>\n250 2.1.5 <out@elsewhere.test>"),
        ("EXPN <bob@example.test>", "250 2.1.5 <bob@example.test>"),
        ("EXPN nobody", "550 5.1.1 No such user here"),
        ("EXPN x@elsewhere.test", "550 5.1.2 Not a domain of this host"),
        ("VERB", "250 2.0.0 Verbose mode"),
        ("ONEX", "250 2.0.0 One message, then no more"),
    ] {
        assert_eq!(smtp.ask(line), expected, "{line}");
    }
    let reply = smtp.send_message("a@a.example", &["bob@example.test"], "Subject: s\r\n\r\nx\r\n");
    assert!(reply.ends_with("bytes for 1 recipients are in the queue"), "{reply}");
    assert!(smtp.ask("MAIL FROM:<a@a.example>").starts_with("421 4.7.0"), "ONEX: one and no more");
    let usual = Instance::start();
    let mut smtp = greeted(&usual);
    for line in ["EXPN team", "ONEX", "VERB", "ETRN example.test"] {
        assert!(smtp.ask(line).starts_with("502 5.5.1"), "{line}");
    }
}
