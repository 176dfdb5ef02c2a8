//! What a stranger says is in logs and lists, and nowhere does it end a line, steer a terminal or pass for a line of ours.
#![allow(clippy::unwrap_used)]

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use black_box::instance::{IMAP, POP, SMTP, SUBMISSION, WEB, wait_for};
use black_box::{Imap, Setup, Smtp, Wire, run};

/// A line that the log could have, behind the end of another; an escape sequence; others that terminals take as controls.
const HOSTILE: &str = "x\r\n[01/Jan/2026:00:00:00 +0000] localhost imapd[1]: Account Notice: login: FORGED\x1b[2J\x07\u{9b}31m\u{202e}";

/// Everything that the daemons have written as logs.
fn logs(folder: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(logs(&path));
        } else {
            all.extend(fs::read(path).unwrap_or_default());
        }
    }
    all
}

fn assert_clean(what: &str, text: &[u8]) {
    let shown = text.escape_ascii().to_string();
    let is_control = |byte: &u8| (*byte < 0x20 && *byte != b'\n') || *byte == 0x7f;
    let at = text.iter().position(is_control);
    assert!(at.is_none(), "{what} has a control at {at:?}: {shown}");
    let text = String::from_utf8_lossy(text);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{what}: {shown}");
    assert!(!text.contains('\u{202e}'), "{what} turns the writing round: {shown}");
    for line in text.lines() {
        assert!(
            !line.starts_with("[01/Jan/2026") && !line.trim_start().starts_with("x\r"),
            "{what}: {shown}"
        );
    }
}

#[test]
fn what_strangers_say_neither_forges_a_line_of_the_log_nor_steers_a_terminal() {
    let mut instance = Setup::default().start();
    instance.start_one(WEB.0);
    // IMAP: a literal may have everything but NUL. POP and HTTP: within a line.
    let mut imap = Wire::plain(instance.connect(IMAP));
    imap.line();
    imap.send(format!("a LOGIN {{{}+}}\r\n{HOSTILE} {{3+}}\r\nabc\r\n", HOSTILE.len()).as_bytes());
    wait_for("an answer", || imap.line().starts_with("a ").then_some(()));
    let sasl = STANDARD.encode(format!("{HOSTILE}\0{HOSTILE}\0secret"));
    let mut imap = Imap::open(instance.connect(IMAP));
    imap.command(&format!("AUTHENTICATE PLAIN {sasl}"));
    let line = HOSTILE.replace("\r\n", "\r");
    let mut pop = Wire::plain(instance.connect(POP));
    pop.line();
    for command in [format!("USER {line}\r\n"), "PASS x\r\n".into(), format!("{line}\r\n")] {
        pop.send(command.as_bytes());
        pop.try_line();
    }
    instance.http().try_sign_in(HOSTILE, "secret", "");
    instance.http().get(&format!("/x%0d%0a%1b[2J{}", "%0a"), "User-Agent: \u{1b}[2J\r\n");
    // SMTP: the name of the client, an address, a credential, a header field.
    for port in [SMTP, SUBMISSION] {
        let mut smtp = Wire::plain(instance.connect(port));
        smtp.line();
        for command in
            [format!("EHLO {line}\r\n"), format!("MAIL FROM:<{line}@x.test>\r\n"), format!("{line}\r\n")]
        {
            smtp.send(command.as_bytes());
            if smtp.try_line().is_none() {
                break;
            }
        }
    }
    let mut smtp = Smtp::open(instance.connect(SUBMISSION));
    smtp.ask("EHLO client.test");
    smtp.ask(&format!("AUTH PLAIN {sasl}"));
    let mut smtp = instance.submission("alice");
    smtp.send_message(
        "alice@example.test",
        &["bob@example.test"],
        "Message-ID: <\x1b[2J\x07@x>\r\nSubject: \x1b[2J\r\n\r\nx\r\n",
    );
    instance.wait_for_messages("bob", 1);
    let log = instance.path("log");
    wait_for("the log-ins that failed", || {
        let all = logs(&log);
        (String::from_utf8_lossy(&all).matches("FORGED").count() >= 2).then_some(())
    });
    assert_clean("log", &logs(&log));
    assert_clean("mailq", run(&mut instance.tool("mailq")).as_bytes());
}
