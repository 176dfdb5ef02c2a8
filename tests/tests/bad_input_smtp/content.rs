//! What comes behind DATA: where it ends, and what is in it.

use std::fs;
use std::time::{Duration, Instant};

use black_box::instance::{PATIENCE, in_one_of_ten};
use black_box::{Instance, Setup, Smtp, Vigil};

use crate::Stage::{Greeted, WithRecipient};
use crate::{GROWTH_MAX_BYTES, at, says};

/// How many INBOX holds, and the text of its last message.
fn last_text(instance: &Instance, user: &str, item: &str) -> String {
    let mut imap = instance.imap(user);
    imap.ok("SELECT INBOX");
    let fetched = imap.ok(&format!("FETCH * (BODY.PEEK[{item}])"));
    let text = fetched.iter().find_map(|response| response.split_once("}\r\n")).unwrap().1;
    text.strip_suffix(')').unwrap().to_owned()
}

/// Rule E1: nothing but CR LF . CR LF ends a message. What merely looks like it refuses the message as a whole behind its
/// true end when it breaks lines on the way, and is text when it does not.
const ENDS: &[(&str, &str, &str)] = &[
    ("eod LF.LF", "\n.\n", "550 5.6.11"),
    ("eod LF.CRLF", "\n.\r\n", "550 5.6.11"),
    ("eod CRLF.LF", "\r\n.\n", "550 5.6.11"),
    ("eod CR.CR", "\r.\r", "550 5.6.11"),
    ("eod CR.CRLF", "\r.\r\n", "550 5.6.11"),
    ("eod CRLF.CR", "\r\n.\r", "550 5.6.11"),
    ("eod CR.LF", "\r.\n", "550 5.6.11"),
    ("eod LF.CR", "\n.\r", "550 5.6.11"),
    ("eod CRLF NUL.CRLF", "\r\n\0.\r\n", "250 2.0.0"),
    ("eod CRLF.NUL CRLF", "\r\n.\0\r\n", "250 2.0.0"),
    ("eod CRLF.CRCRLF", "\r\n.\r\r\n", "550 5.6.11"),
    ("eod CRLF..CRLF", "\r\n..\r\n", "250 2.0.0"),
    ("eod CRLF. CRLF", "\r\n. \r\n", "250 2.0.0"),
];

#[test]
fn only_the_true_end_of_data_ends_a_message() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let mut accepted = 0;
    for (case, end, answer) in ENDS {
        let mut smtp = at(&instance, WithRecipient);
        smtp.ok("DATA");
        let smuggled =
            "MAIL FROM:<evil@discard.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nsmuggled\r\n.\r\n";
        says(&mut smtp, case, format!("Subject: a\r\n\r\nfirst{end}{smuggled}").as_bytes(), &[answer]);
        accepted += u32::from(answer.starts_with("250"));
        // Rule E2: a refused message leaves nothing of its transaction.
        assert!(smtp.ask("RCPT TO:<bob@example.test>").starts_with("503 5.5.1"), "{case}");
    }
    instance.wait_for_empty_queue();
    instance.wait_for_messages("alice", accepted);
    assert_eq!(instance.imap("bob").exists("INBOX"), 0, "something was smuggled");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// What a stranger sends, what it is answered with, and what arrives in front of and behind the blank line.
type Text = (&'static str, &'static [u8], &'static str, &'static str, &'static str);

const TEXTS: &[Text] = &[
    ("eod CRLF..CRLF", b"Subject: a\r\n\r\n..\r\nx\r\n", "250 2.0.0", "Subject: a\r\n", ".\r\nx\r\n"),
    ("eod CRLF. CRLF", b"Subject: a\r\n\r\n. \r\n", "250 2.0.0", "Subject: a\r\n", " \r\n"),
    ("dot stuffing", b"Subject: a\r\n\r\n..a\r\n...\r\n", "250 2.0.0", "Subject: a\r\n", ".a\r\n..\r\n"),
    ("NUL in body", b"Subject: a\r\n\r\nx\0y\r\nz\r\n", "250 2.0.0", "Subject: a\r\n", "xy\r\nz\r\n"),
    (
        "8bit body no 8BITMIME",
        "Subject: a\r\n\r\nGr\u{fc}\u{df}e\r\n".as_bytes(),
        "250 2.0.0",
        "Subject: a\r\n",
        "Gr\u{fc}\u{df}e\r\n",
    ),
    ("8bit header raw", "Subject: \u{fc}\r\n\r\n".as_bytes(), "250 2.0.0", "Subject: \u{fc}\r\n", ""),
    ("empty message", b"", "250 2.0.0", "", ""),
    ("headers only", b"Subject: a\r\nX-B: c\r\n", "250 2.0.0", "Subject: a\r\nX-B: c\r\n", ""),
    (
        "first line not header",
        b"hello world\r\nTo: x\r\n\r\ny\r\n",
        "250 2.0.0",
        "",
        "hello world\r\nTo: x\r\n\r\ny\r\n",
    ),
    ("leading space first header", b" folded: x\r\nTo: y\r\n", "250 2.0.0", "", " folded: x\r\nTo: y\r\n"),
    ("header space before colon", b"Subject : a\r\n\r\nx\r\n", "250 2.0.0", "Subject : a\r\n", "x\r\n"),
];

#[test]
fn text_arrives_as_it_was_sent_and_apart_from_the_trace_lines() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let mut count = 0;
    for (case, text, answer, header, body) in TEXTS {
        let mut smtp = at(&instance, WithRecipient);
        smtp.ok("DATA");
        says(&mut smtp, case, &[text, &b".\r\n"[..]].concat(), &[answer]);
        count += 1;
        instance.wait_for_messages("alice", count);
        let whole = last_text(&instance, "alice", "");
        let (lines, rest) = whole.split_once("\r\n\r\n").unwrap_or((whole.trim_end(), ""));
        let lines = format!("{lines}\r\n");
        assert!(
            lines.starts_with("Return-Path: <a@discard.test>\r\nReceived: from client"),
            "{case}: {lines}"
        );
        assert!(lines.ends_with(header) && rest == *body, "{case}: {whole}");
        if header.is_empty() {
            assert_eq!(lines.lines().filter(|line| !line.starts_with(' ')).count(), 2, "{case}: {lines}");
        }
    }
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// Bare line ends: a stranger's message is refused, a user's is mended.
#[test]
fn bare_line_ends_are_refused_from_strangers_and_mended_for_users() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    for (case, text) in [
        ("body bareLF then proper EOD", "Subject: a\r\n\r\none\ntwo\r\n.\r\n"),
        ("body bareCR", "Subject: a\r\n\r\none\rtwo\r\n.\r\n"),
    ] {
        let mut smtp = at(&instance, WithRecipient);
        smtp.ok("DATA");
        says(&mut smtp, case, text.as_bytes(), &["550 5.6.11"]);
        let mut smtp = instance.submission("alice");
        smtp.ok("MAIL FROM:<alice@example.test>");
        smtp.ok("RCPT TO:<bob@example.test>");
        smtp.ok("DATA");
        says(&mut smtp, case, text.as_bytes(), &["250 2.0.0"]);
    }
    instance.wait_for_messages("bob", 2);
    assert_eq!(last_text(&instance, "bob", "TEXT"), "one\r\ntwo\r\n");
    assert_eq!(instance.imap("alice").exists("INBOX"), 0);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn headers_and_lines_have_a_budget() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let received = |count: usize| "Received: from a.test by b.test; x\r\n".repeat(count) + "\r\n";
    let line = |length: usize| format!("Subject: a\r\n\r\n{}\r\n", "x".repeat(length));
    for (case, text, answer) in [
        ("20000 headers", "X-A: b\r\n".repeat(20_000) + "\r\n", "552 5.3.4"),
        ("200k header one line", format!("X-A: {}\r\n\r\n", "b".repeat(200_000)), "552 5.3.4"),
        ("200k header folded", format!("X-A: b\r\n{}\r\n", " cccccccc\r\n".repeat(18_000)), "552 5.3.4"),
        ("2 MiB of headers", format!("X-A: {}\r\n", "b".repeat(100_000)).repeat(21) + "\r\n", "552 5.3.4"),
        ("body line 998", line(998), "250 2.0.0"),
        ("body line 999", line(999), "250 2.0.0"),
        ("body line 1000", line(1000), "250 2.0.0"),
        ("body line 2048", line(2048), "250 2.0.0"),
        ("body line 10000", line(10_000), "250 2.0.0"),
        ("body line 1000000", line(1_000_000), "554 5.6.0"),
        // S44: what went through more than maxmtahops is the error-handler's; a bounce would loop too.
        ("60 Received", received(60), "250 2.0.0"),
        ("110 Received", received(110), "250 2.0.0"),
        ("210 Received", received(210), "554 5.4.6"),
    ] {
        let mut smtp = at(&instance, WithRecipient);
        smtp.ok("DATA");
        says(&mut smtp, case, format!("{text}.\r\n").as_bytes(), &[answer]);
    }
    instance.wait_for_empty_queue();
    instance.wait_for_messages("alice", 5);
    instance.wait_for_messages("postmaster", 2);
    assert_eq!(fs::read_dir(instance.path("queue/messages")).unwrap().count(), 0);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "DATA rejected after EOD, then RCPT or DATA without MAIL".
#[test]
fn a_message_that_is_too_large_is_read_to_its_end_and_forgotten() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let mut smtp = at(&instance, WithRecipient);
    smtp.ok("DATA");
    let text = format!("Subject: a\r\n\r\n{}.\r\n", format!("{}\r\n", "x".repeat(70)).repeat(100_000));
    says(&mut smtp, "DATA rejected after EOD", text.as_bytes(), &["552 5.3.4"]);
    assert!(smtp.ask("RCPT TO:<alice@example.test>").starts_with("503"));
    assert!(smtp.ask("DATA").starts_with("503"));
    drop(smtp);
    assert!(at(&instance, Greeted).ask("DATA").starts_with("503"));
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "1 octet every 29 s in DATA", and the same in a chunk; here one every 100 ms where a second is allowed.
#[test]
fn who_only_trickles_is_sent_away() {
    let instance = Setup::default().set("service.smtp.smtp-accept.timeoutdata", "1").start();
    let vigil = Vigil::begin(&instance);
    for begin in ["DATA", "BDAT 1000000 LAST"] {
        let mut smtp = at(&instance, WithRecipient);
        smtp.wire.send(format!("{begin}\r\n").as_bytes());
        if begin == "DATA" {
            assert!(smtp.reply().starts_with("354"));
        }
        let begun = Instant::now();
        assert!((0..100).any(|_| speaks_after(&mut smtp, b"x")), "{begin}");
        let reply = smtp.reply();
        assert!(reply.starts_with("421 4.4.2"), "{begin}: {reply}");
        assert!(begun.elapsed() >= Duration::from_millis(900), "{begin}: after {:?}", begun.elapsed());
    }
    assert_eq!(fs::read_dir(instance.path("queue/messages")).unwrap().count(), 0);
    // Who is slow but not that slow goes on. A loaded machine makes a pause of a second of it now and then.
    in_one_of_ten("slow but steady", || {
        let mut smtp = at(&instance, WithRecipient);
        smtp.ok("DATA");
        let line = format!("{}\r\n", "x".repeat(510));
        (0..25).all(|_| !speaks_after(&mut smtp, line.as_bytes()))
            && smtp.wire.try_send(b".\r\n")
            && smtp.wire.try_line().is_some_and(|reply| reply.starts_with("250 2.0.0"))
    });
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// Sends bytes; whether the server says something within 100 ms.
fn speaks_after(smtp: &mut Smtp, bytes: &[u8]) -> bool {
    smtp.wire.socket().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    smtp.wire.try_send(bytes);
    let speaks = smtp.wire.socket().peek(&mut [0]).is_ok();
    smtp.wire.socket().set_read_timeout(Some(PATIENCE)).unwrap();
    speaks
}
