//! Commands out of order, and clients that do not wait.

use std::net::Shutdown;

use black_box::instance::SMTP;
use black_box::{Instance, Vigil, Wire};

use crate::Stage::{Connected, Greeted, InTransaction, WithRecipient};
use crate::{GROWTH_MAX_BYTES, Stage, at, says};

/// Lines and their answers, one after the other.
type Steps = &'static [(&'static str, &'static str)];

const ORDER: &[(&str, Stage, Steps)] = &[
    ("MAIL before EHLO", Connected, &[("MAIL FROM:<a@discard.test>", "503 5.5.1")]),
    ("RCPT before MAIL", Greeted, &[("RCPT TO:<alice@example.test>", "503 5.5.1")]),
    ("DATA before RCPT", InTransaction, &[("DATA", "503 5.5.1")]),
    ("MAIL twice", InTransaction, &[("MAIL FROM:<a@discard.test>", "503 5.5.1")]),
    (
        "EHLO mid-transaction resets",
        InTransaction,
        &[("EHLO a.test", "250"), ("RCPT TO:<alice@example.test>", "503 5.5.1")],
    ),
    ("DATA no MAIL", Greeted, &[("DATA", "503 5.5.1")]),
    (
        "RSET then RCPT",
        WithRecipient,
        &[("RSET", "250 2.0.0"), ("RCPT TO:<alice@example.test>", "503 5.5.1"), ("DATA", "503 5.5.1")],
    ),
    (
        "lower case verbs",
        Connected,
        &[
            ("ehlo a.test", "250"),
            ("mail from:<a@discard.test>", "250 2.1.0"),
            ("rcpt to:<alice@example.test>", "250 2.1.5"),
        ],
    ),
    (
        "a refused recipient leaves the others",
        WithRecipient,
        &[("RCPT TO:<nobody99@example.test>", "550 5.1.1"), ("DATA", "354"), (".", "250 2.0.0")],
    ),
];

#[test]
fn commands_out_of_order_are_refused() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    for (case, stage, steps) in ORDER {
        let mut smtp = at(&instance, *stage);
        for (line, answer) in *steps {
            let reply = smtp.ask(line);
            assert!(reply.starts_with(answer), "{case}: {line}: {reply}, not {answer}");
        }
        assert!(smtp.ask("NOOP").starts_with("250 2.0.0"), "{case}");
    }
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn who_does_not_wait_where_one_must_is_sent_away() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let envelope = "MAIL FROM:<a@discard.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n";
    let content = "Subject: hasty\r\n\r\nx\r\n.\r\n";

    // "early talker full": the banner is not delayed, so the 554 comes at EHLO, which must end a group.
    let all = format!("EHLO a.test\r\n{envelope}{content}QUIT\r\n");
    let mut wire = Wire::plain(instance.connect(SMTP));
    wire.send(all.as_bytes());
    assert!(wire.line().starts_with("220 "), "early talker full");
    assert!(wire.line().starts_with("554 5.5.0"), "early talker full");
    assert!(wire.is_closed(), "early talker full");

    let hasty = b"EHLO a.test\r\nMAIL FROM:<a@discard.test>\r\nRCPT TO:<alice@example.test>\r\n";
    says(&mut at(&instance, Connected), "pipeline before EHLO reply", hasty, &["554 5.5.0", "close"]);

    let hasty = format!("{envelope}{content}");
    let answers = ["250 2.1.0", "250 2.1.5", "554 5.5.0", "close"];
    says(&mut at(&instance, Greeted), "DATA pipelined with content", hasty.as_bytes(), &answers);
    // The same when DATA would be refused: what was meant as content must not be run.
    let hasty = format!("DATA\r\n{content}");
    says(
        &mut at(&instance, Greeted),
        "content behind a refused DATA",
        hasty.as_bytes(),
        &["554 5.5.0", "close"],
    );
    instance.wait_for_empty_queue();
    assert_eq!(instance.imap("alice").exists("INBOX"), 0);

    let mut smtp = at(&instance, Greeted);
    smtp.wire.send(envelope.as_bytes());
    for answer in ["250 2.1.0", "250 2.1.5", "354"] {
        assert!(smtp.reply().starts_with(answer), "full pipeline one write");
    }
    let rest = format!("{content}QUIT\r\n");
    says(&mut smtp, "full pipeline one write", rest.as_bytes(), &["250 2.0.0", "221", "close"]);
    instance.wait_for_messages("alice", 1);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "Half-close after final dot", "Client vanishes between final dot and 250".
#[test]
fn a_message_that_was_sent_whole_is_kept_whoever_still_listens() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let mut smtp = at(&instance, WithRecipient);
    smtp.ok("DATA");
    smtp.wire.send(b"Subject: half closed\r\n\r\n.\r\n");
    smtp.wire.socket().shutdown(Shutdown::Write).unwrap();
    assert!(smtp.reply().starts_with("250 2.0.0"), "Half-close after final dot");
    assert!(smtp.wire.is_closed());
    instance.wait_for_messages("alice", 1);

    let mut smtp = at(&instance, WithRecipient);
    smtp.ok("DATA");
    smtp.wire.send(b"Subject: vanished\r\n\r\n.\r\n");
    drop(smtp);
    instance.wait_for_messages("alice", 2);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}
