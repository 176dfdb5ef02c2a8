//! BDAT (RFC 3030). What follows a BDAT whose size cannot be read cannot be told from commands: the connection ends.

use black_box::{Instance, Vigil};

use crate::Stage::{Greeted, InTransaction, WithRecipient};
use crate::{GROWTH_MAX_BYTES, Stage, at, says};

const TEXT: &str = "Subject: a\r\n\r\nx\r\n"; // 17 octets

const CASES: &[(&str, Stage, &str, &[&str])] = &[
    ("BDAT ok", WithRecipient, "BDAT 17 LAST\r\nSubject: a\r\n\r\nx\r\n", &["250 2.0.0"]),
    ("BDAT 0 LAST", WithRecipient, "BDAT 0 LAST\r\n", &["250 2.0.0"]),
    (
        "BDAT two chunks",
        WithRecipient,
        "BDAT 12\r\nSubject: a\r\nBDAT 5 LAST\r\n\r\nx\r\n",
        &["250 2.0.0 12", "250 2.0.0"],
    ),
    // Exactly N octets are swallowed: the NOOP inside is none, the one behind is.
    ("BDAT no RCPT", InTransaction, "BDAT 6 LAST\r\nNOOP\r\n", &["503 5.5.1"]),
    ("BDAT no MAIL", Greeted, "BDAT 6 LAST\r\nNOOP\r\n", &["503 5.5.1"]),
    ("BDAT -1", WithRecipient, "BDAT -1\r\n", &["501 5.5.4", "close"]),
    ("BDAT abc", WithRecipient, "BDAT abc\r\n", &["501 5.5.4", "close"]),
    ("BDAT ", WithRecipient, "BDAT \r\n", &["501 5.5.4", "close"]),
    ("BDAT 99999999999999999999", WithRecipient, "BDAT 99999999999999999999\r\n", &["552 5.3.4", "close"]),
    ("BDAT 5 FOO", WithRecipient, "BDAT 5 FOO\r\n", &["501 5.5.4", "close"]),
    ("BDAT 0x10", WithRecipient, "BDAT 0x10\r\n", &["501 5.5.4", "close"]),
    ("BDAT 10 LAST X", WithRecipient, "BDAT 10 LAST X\r\n", &["501 5.5.4", "close"]),
    ("DATA after BDAT", WithRecipient, "BDAT 12\r\nSubject: a\r\nDATA\r\n", &["250 2.0.0", "503 5.5.1"]),
    (
        "MAIL mid BDAT",
        WithRecipient,
        "BDAT 12\r\nSubject: a\r\nMAIL FROM:<a@discard.test>\r\n",
        &["250 2.0.0", "503 5.5.1"],
    ),
    (
        "RSET mid BDAT",
        WithRecipient,
        "BDAT 12\r\nSubject: a\r\nRSET\r\nRCPT TO:<alice@example.test>\r\n",
        &["250 2.0.0", "250 2.0.0", "503 5.5.1"],
    ),
    ("BDAT bare LF", WithRecipient, "BDAT 15 LAST\r\nSubject: a\n\nx\r\n", &["550 5.6.11"]),
    ("BDAT no final CRLF", WithRecipient, "BDAT 15 LAST\r\nSubject: a\r\n\r\nx", &["250 2.0.0"]),
];

#[test]
fn chunks_get_the_answer_of_the_catalogue() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    for (case, stage, text, answers) in CASES {
        says(&mut at(&instance, *stage), case, text.as_bytes(), answers);
    }
    instance.wait_for_empty_queue();
    instance.wait_for_messages("alice", 4);

    // "DATA after BDAT": the transaction is reset; "BDAT error, then DATA without MAIL or RCPT".
    for refused in ["DATA\r\n", "BDAT 9999999\r\n"] {
        let mut smtp = at(&instance, WithRecipient);
        smtp.wire.send(b"BDAT 12\r\nSubject: a\r\n");
        assert!(smtp.reply().starts_with("250"));
        smtp.wire.send(refused.as_bytes());
        if refused.starts_with("BDAT") {
            smtp.wire.send(&vec![b'x'; 9_999_999]);
            assert!(smtp.reply().starts_with("552 5.3.4"));
        } else {
            assert!(smtp.reply().starts_with("503 5.5.1"));
        }
        assert!(smtp.ask("RCPT TO:<alice@example.test>").starts_with("503 5.5.1"), "{refused}");
        assert!(smtp.ask("DATA").starts_with("503 5.5.1"), "{refused}");
        says(&mut smtp, refused, format!("BDAT {} LAST\r\n{TEXT}", TEXT.len()).as_bytes(), &["503 5.5.1"]);
    }
    assert_eq!(std::fs::read_dir(instance.path("queue/messages")).unwrap().count(), 0);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "1,000,000 one-octet BDAT chunks": flat memory, cut by a budget.
#[test]
fn a_million_chunks_of_one_octet_are_cut_off() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let mut smtp = at(&instance, WithRecipient);
    let chunks = "BDAT 1\r\nx".repeat(1000);
    let mut replies = 0;
    for _ in 0..1000 {
        if !smtp.wire.try_send(chunks.as_bytes()) {
            break;
        }
        let mut reply = String::new();
        for _ in 0..1000 {
            let Some(line) = smtp.wire.try_line() else { break };
            reply = line;
            if !reply.starts_with("250") {
                break;
            }
            replies += 1;
        }
        if reply.starts_with("421 4.7.0") {
            assert!(smtp.wire.is_closed());
            break;
        }
    }
    assert_eq!(replies, 1000);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}
