//! Messages that are built to be expensive: nests, many parts, many addresses, parameters, comments, references.

use std::time::{Duration, Instant};

use black_box::{Imap, Vigil};

use crate::{instance, selected};

/// For each command about each message, on a machine that others use, too. What takes time by the square of these sizes takes
/// minutes.
const TIME_MAX: Duration = Duration::from_secs(50);

fn messages() -> Vec<(&'static str, String)> {
    let many = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<String>();
    let nested = many(3000, &|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"));
    let inside = "Content-Type: message/rfc822\r\n\r\nSubject: in\r\n".repeat(3000);
    let parts = many(30_000, &|n| format!("--b\r\n\r\n{n}\r\n"));
    let addresses = many(100_000, &|n| format!("a{n}@b.test,\r\n "));
    let parameters = many(20_000, &|n| format!(";\r\n x*{n}*=utf-8''%41"));
    let references = many(50_000, &|n| format!("\r\n <{n}@b.test>"));
    vec![
        ("multiparts inside each other", format!("Subject: bomb\r\n{nested}x\r\n")),
        ("messages inside each other", format!("Subject: bomb\r\n{inside}\r\nx\r\n")),
        (
            "parts",
            format!("Subject: bomb\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n"),
        ),
        ("addresses", format!("Subject: bomb\r\nTo: {addresses}z@b.test\r\n\r\nx\r\n")),
        (
            "groups inside each other",
            format!("Subject: bomb\r\nTo: {}\r\n\r\nx\r\n", "g:\r\n ".repeat(50_000)),
        ),
        (
            "parameters of RFC 2231",
            format!("Subject: bomb\r\nContent-Type: text/plain{parameters}\r\n\r\nx\r\n"),
        ),
        (
            "comments inside each other",
            format!("Subject: bomb\r\nFrom: {}\r\n\r\nx\r\n", "(\r\n ".repeat(100_000)),
        ),
        ("references", format!("Subject: bomb\r\nMessage-ID: <x@y>\r\nReferences:{references}\r\n\r\nx\r\n")),
        ("encoded words", format!("Subject: bomb {}\r\n\r\nx\r\n", "=?utf-8?q?=C3=A4?=\r\n ".repeat(50_000))),
    ]
}

fn timed(imap: &mut Imap, case: &str, command: &str) {
    let begun = Instant::now();
    let (_, end) = imap.raw(command);
    assert!(end.starts_with("OK") || end.starts_with("NO ["), "{case}: {command}: {end}");
    assert!(begun.elapsed() < TIME_MAX, "{case}: {command} took {:?}", begun.elapsed());
}

/// MIME and header bombs of research/store.md 4.2: each is stored, shown in bounds or refused, in time that does not explode, and
/// the session and the daemons go on.
#[test]
fn messages_built_to_be_expensive_cost_little() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    for (case, message) in messages() {
        let mut user = selected(&instance);
        let begun = Instant::now();
        let said = user.append("INBOX", "", &message);
        assert!(said.starts_with("OK") || said.starts_with("NO ["), "{case}: {said}");
        assert!(begun.elapsed() < TIME_MAX, "{case}: APPEND took {:?}", begun.elapsed());
        for command in [
            "FETCH * (ENVELOPE BODY BODYSTRUCTURE PREVIEW)",
            "FETCH * (BODY.PEEK[1.1.1.1] BODY.PEEK[1.MIME] BODY.PEEK[HEADER.FIELDS (To From)] BODY.PEEK[999999])",
            "SEARCH TEXT nowhere TO nobody",
            "SEARCH HEADER References nowhere SUBJECT nothing",
            "SORT (TO SUBJECT DATE) UTF-8 ALL",
            "THREAD REFERENCES UTF-8 ALL",
            "NOOP",
        ] {
            timed(&mut user, case, command);
        }
        let (rows, _) = user.raw("FETCH * (ENVELOPE BODYSTRUCTURE)");
        let bytes: usize = rows.iter().map(Vec::len).sum();
        assert!(bytes < 4 * message.len() + 100_000, "{case}: {bytes} bytes are said of it");
    }
    // What was read of the largest may stay in a worker's buffers.
    vigil.end(&instance, 128 << 20);
}
