//! XCLIENT: who may say it, and that the session is then another client's.
#![allow(clippy::unwrap_used)]

use black_box::instance::{SUBMISSION, wait_for};
use black_box::{Instance, Setup, Smtp, StubMilter};

fn setup() -> Setup {
    Setup::default().set("local.service.smtp.smtp-accept.xclienthosts", "127.0.0.0/8")
}

fn greeted(instance: &Instance) -> Smtp {
    let mut smtp = instance.smtp();
    smtp.ok("EHLO relay.example.org");
    smtp
}

fn send(smtp: &mut Smtp, to: &str) -> String {
    smtp.send_message("a@x.example", &[to], "Subject: x\r\n\r\ny\r\n")
}

#[test]
fn the_session_begins_anew_as_the_other_client_s() {
    let filter = StubMilter::new().start();
    let instance = setup()
        .set("local.service.smtp.milter.stub.address", filter.address())
        .set("local.service.smtp.milters", "stub")
        .start();
    let mut smtp = instance.smtp();
    let offered = smtp.ok("EHLO relay.example.org");
    let keyword = "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";
    assert!(offered.contains(keyword), "{offered}");
    let said = smtp
        .ask("XCLIENT NAME=client.example ADDR=192.0.2.7 PORT=4321 DESTADDR=IPV6:2001:db8::25 DESTPORT=2525");
    assert!(said.starts_with("220 localhost ESMTP"), "{said}");
    assert!(smtp.ask("MAIL FROM:<a@x.example>").starts_with("503"), "nobody has said EHLO");
    assert!(smtp.ok("EHLO client.example").contains("XCLIENT"), "it may say so again");
    send(&mut smtp, "alice@example.test");
    assert!(
        filter.commands().contains(&"C|client.example|4|4321|192.0.2.7".to_owned()),
        "{:?}",
        filter.commands()
    );
    assert_eq!(filter.macro_value('C', "{daemon_port}").as_deref(), Some("2525"));
    assert!(instance.log("smtp").contains("client=client.example [192.0.2.7]"), "{}", instance.log("smtp"));
    // HELO and PROTO are enough; no EHLO is needed.
    assert!(
        smtp.ask("XCLIENT ADDR=IPV6:2001:db8::8 HELO=old.example PROTO=SMTP NAME=[UNAVAILABLE]")
            .starts_with("220")
    );
    send(&mut smtp, "bob@example.test");
    instance.wait_for_messages("bob", 1);
    let mut imap = instance.imap("bob");
    imap.ok("SELECT INBOX");
    let text = imap.ok("FETCH 1 (BODY.PEEK[])").concat();
    assert!(
        text.contains("Received: from old.example ([2001:db8::8])") && text.contains("with SMTP id"),
        "{text}"
    );
    wait_for("the second client", || {
        filter.commands().contains(&"C|[2001:db8::8]|6|0|2001:db8::8".to_owned()).then_some(())
    });
}

#[test]
fn rules_are_about_the_client_that_was_named() {
    let instance = setup()
        .set("local.service.smtp.smtp-accept.relaynetworks", "192.0.2.0/24")
        .set("service.smtp.domainnotallowed", ".bad.example 198.51.100.66")
        .start();
    let mut smtp = greeted(&instance);
    assert!(smtp.ask("XCLIENT ADDR=192.0.2.7 NAME=good.example HELO=good.example").starts_with("220"));
    smtp.ok("MAIL FROM:<a@x.example>");
    smtp.ok("RCPT TO:<somebody@far.example>");
    smtp.ok("RSET");
    assert!(smtp.ask("XCLIENT ADDR=198.51.100.7 NAME=good.example HELO=good.example").starts_with("220"));
    smtp.ok("MAIL FROM:<a@x.example>");
    assert!(smtp.ask("RCPT TO:<somebody@far.example>").starts_with("550 5.7.1"), "a stranger");
    assert!(smtp.ask("XCLIENT ADDR=192.0.2.7").starts_with("503"), "not within a transaction");
    smtp.ok("RSET");
    assert!(smtp.ask("XCLIENT ADDR=198.51.100.66").starts_with("554"));
    assert!(smtp.ask("EHLO x").starts_with("503"));
    let mut smtp = greeted(&instance);
    assert!(smtp.ask("XCLIENT ADDR=198.51.100.7 NAME=host.bad.example").starts_with("554"), "by its name");
}

#[test]
fn a_log_in_is_that_of_the_named_user_and_ends_with_the_next_client() {
    let instance = setup().start();
    let mut smtp = Smtp::open(instance.connect(SUBMISSION));
    smtp.ok("EHLO relay.example.org");
    assert!(smtp.ask("XCLIENT LOGIN=nobody ADDR=192.0.2.7").starts_with("501"));
    assert!(
        smtp.ask("XCLIENT LOGIN=alice ADDR=192.0.2.7 HELO=client.example PROTO=ESMTP").starts_with("220")
    );
    let said = smtp.send_message("alice@example.test", &["bob@example.test"], "Subject: x\r\n\r\ny\r\n");
    assert!(said.starts_with("250"), "{said}");
    assert!(instance.log("smtp").contains("user=alice"), "{}", instance.log("smtp"));
    assert!(smtp.ask("MAIL FROM:<bob@example.test>").starts_with("553"), "own addresses only");
    assert!(smtp.ask("XCLIENT ADDR=192.0.2.8 HELO=client.example").starts_with("220"));
    assert!(smtp.ask("MAIL FROM:<alice@example.test>").starts_with("530"), "who was logged in is gone");
}

#[test]
fn others_are_not_offered_it_and_may_not_say_it() {
    let instance =
        Setup::default().set("local.service.smtp.smtp-accept.xclienthosts", "192.0.2.0/24").start();
    let mut smtp = instance.smtp();
    assert!(!smtp.ok("EHLO client.example.org").contains("XCLIENT"));
    assert!(smtp.ask("XCLIENT ADDR=192.0.2.7").starts_with("550 5.7.0"));
    assert!(smtp.ask("XCLIENT nonsense").starts_with("550 5.7.0"));
    send(&mut smtp, "alice@example.test");
    assert!(instance.log("smtp").contains("[127.0.0.1]"));
    let instance = setup().start();
    let mut smtp = greeted(&instance);
    for wrong in
        ["XCLIENT", "XCLIENT ADDR=client.example", "XCLIENT ADDR=192.0.2.7 ADDR=192.0.2.8", "XCLIENT X=y"]
    {
        assert!(smtp.ask(wrong).starts_with("501 5.5.4"), "{wrong}");
    }
    assert!(smtp.ask("XFORWARD ADDR=192.0.2.7").starts_with("550"), "there is no such trust");
}
