//! Verbs, arguments and lines.

use black_box::{Instance, Setup, Vigil};

use crate::Stage::{Connected, Greeted, InTransaction};
use crate::{GROWTH_MAX_BYTES, at, line, says};

/// `EHLO ...` and `HELO ...`: the case is the line. "noarg" is the bare verb.
const GREETINGS: &[(&str, &str)] = &[
    ("EHLO ", "501 5.5.4"),
    ("EHLO a b", "501 5.5.4"),
    ("EHLO [127.0.0.1]", "250"),
    ("EHLO <script>", "501 5.5.4"),
    ("EHLO .", "501 5.5.4"),
    ("EHLO a..b", "501 5.5.4"),
    ("EHLO noarg", "501 5.5.4"),
    ("HELO noarg", "501 5.5.4"),
];

/// `cmd '...'`: the case is the line.
const VERBS: &[(&str, &[&str])] = &[
    ("VRFY u1", &["502 5.5.1"]), // not 252: allowvrfy is off by default; where it is on it is 252, see below
    ("VRFY nobody99", &["502 5.5.1"]),
    ("EXPN u1", &["502 5.5.1"]),
    ("HELP", &["214-2.0.0"]),
    ("TURN", &["502 5.5.1"]),
    ("SEND FROM:<a@b>", &["502 5.5.1"]),
    ("ETRN mta.test", &["502 5.5.1"]), // not 458 or 459: these are of a server that offers ETRN (RFC 1985 §5.3)
    ("XYZZY", &["500 5.5.2"]),
    ("NOOP x y", &["250 2.0.0"]),
    ("RSET x", &["501 5.5.4"]),
    ("DATA x", &["501 5.5.4"]),
    ("QUIT x", &["501 5.5.4"]),
    ("", &["500 5.5.2"]),
    ("   ", &["500 5.5.2"]),
    ("XCLIENT ADDR=1.2.3.4", &["550 5.7.0"]),
    ("GET / HTTP/1.1", &["421 4.7.0", "close"]),
    ("DEBUG", &["500 5.5.2"]),
    ("WIZ", &["500 5.5.2"]),
];

/// `MAIL ...`: what stands behind the path.
const MAIL: &[(&str, &str)] = &[
    ("BODY=8BITMIME", "250"),
    ("BODY=BINARYMIME", "250"),
    ("BODY=FOO", "501 5.5.4"),
    ("FOO=BAR", "555 5.5.4"),
    ("SIZE=100", "250"),
    ("SIZE=99999999999", "552 5.3.4"),
    ("SIZE=abc", "501 5.5.4"),
    ("SIZE=99999999999999999999999", "552 5.3.4"),
    ("SIZE=-1", "501 5.5.4"),
    ("SIZE=", "501 5.5.4"),
    ("RET=FOO", "501 5.5.4"),
    ("RET=HDRS ENVID=a+b", "501 5.5.4"),
    ("ENVID=x ENVID=y", "501 5.5.4"),
    ("ENVID=a+00b", "501 5.5.4"),
    ("AUTH=<>", "250"),
    ("REQUIRETLS", "555 5.5.4"),
    ("SMTPUTF8", "250"),
    ("SMTPUTF8=yes", "501 5.5.4"),
];

/// `RCPT ...`: what stands behind the path.
const RCPT: &[(&str, &str)] = &[
    ("NOTIFY=NEVER", "250 2.1.5"),
    ("NOTIFY=NEVER,FAILURE", "501 5.5.4"),
    ("NOTIFY=FOO", "501 5.5.4"),
    ("ORCPT=rfc822;a@b", "250 2.1.5"),
    ("ORCPT=bad", "501 5.5.4"),
    ("ORCPT=rfc822;a+ZZ", "501 5.5.4"),
    ("ORCPT=rfc822;a+0D+0AX", "501 5.5.4"),
    ("FOO=BAR", "555 5.5.4"),
];

#[test]
fn every_line_gets_the_answer_of_the_catalogue() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    for (case, answer) in GREETINGS {
        line(&instance, Connected, case, case.trim_end_matches(" noarg"), &[answer]);
    }
    line(
        &instance,
        Connected,
        "EHLO aaaaaaaaaaaaaaaaaaaa",
        &format!("EHLO {}", "a".repeat(256)),
        &["501 5.5.4"],
    );
    for (case, answers) in VERBS {
        line(&instance, Greeted, case, case, answers);
    }
    for (case, answer) in MAIL {
        line(&instance, Greeted, case, &format!("MAIL FROM:<a@discard.test> {case}"), &[answer]);
    }
    for (case, answer) in RCPT {
        line(&instance, InTransaction, case, &format!("RCPT TO:<alice@example.test> {case}"), &[answer]);
    }
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// Line ends, control bytes and bytes above 127.
#[test]
fn what_is_no_text_is_refused_and_the_next_line_is_a_command_again() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let cases: &[(&str, &[u8], &str)] = &[
        ("cmd bare LF", b"NOOP\n", "500 5.5.2"),
        ("cmd bare CR inside", b"NOOP \rRSET\r\n", "500 5.5.2"),
        ("cmd NUL", b"NOOP \0\r\n", "500 5.5.2"),
        ("NUL in MAIL addr", b"MAIL FROM:<a\0@discard.test>\r\n", "501 5.1.7"),
        ("MAIL 8bit addr no SMTPUTF8", b"MAIL FROM:<\xc3\xa4@discard.test>\r\n", "553 5.6.7"),
        ("MAIL 8bit addr SMTPUTF8", b"MAIL FROM:<\xc3\xa4@discard.test> SMTPUTF8\r\n", "250"),
        ("MAIL invalid utf8 SMTPUTF8", b"MAIL FROM:<\xe4@discard.test> SMTPUTF8\r\n", "501 5.1.7"),
        ("EHLO 8bit", b"EHLO b\xc3\xa4d.test\r\n", "501 5.5.4"),
        ("Received header with EHLO a CRLF Bcc: x", b"EHLO a\rBcc: x\r\n", "500 5.5.2"),
    ];
    for (case, bytes, answer) in cases {
        says(&mut at(&instance, Greeted), case, bytes, &[answer]);
    }
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn long_lines_are_taken_up_to_the_limit_and_thrown_away_beyond() {
    let instance = Instance::start();
    let vigil = Vigil::begin(&instance);
    let of_length = |length: usize| format!("NOOP {}\r\n", "x".repeat(length - 5)).into_bytes();
    for (length, answer) in [
        (512, "250"),
        (513, "250"),
        (1000, "250"),
        (2000, "250"), // not 500: it is below the limit of 2048 that the catalogue names itself
        (2048, "250"),
        (2049, "500 5.5.2"),
        (5000, "500 5.5.2"),
        (20_000, "500 5.5.2"),
        (300_000, "500 5.5.2"), // "300k": once, at its end; nobody listens earlier
    ] {
        says(&mut at(&instance, Greeted), &format!("cmd line {length}"), &of_length(length), &[answer]);
    }
    // "cmd 300k no newline", without an end: given up after 16 MiB. Not 421: who sends so much reads nothing.
    let mut endless = at(&instance, Greeted);
    let piece = vec![b'x'; 1 << 20];
    let sent = (0..64).take_while(|_| endless.wire.try_send(&piece)).count();
    assert!((16..64).contains(&sent), "{sent} MiB were taken");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

/// "25 bad commands", "300 NOOP", and VRFY where it is allowed.
#[test]
fn who_only_talks_is_sent_away() {
    let instance = Setup::default().set("service.smtp.smtp-accept.allowvrfy", "yes").start();
    let vigil = Vigil::begin(&instance);
    let mut smtp = at(&instance, Greeted);
    for _ in 0..24 {
        assert!(smtp.ask("XYZZY").starts_with("500 5.5.2"));
    }
    says(&mut smtp, "25 bad commands", b"XYZZY\r\n", &["500 5.5.2", "421 4.7.0", "close"]);

    let mut smtp = at(&instance, Greeted); // EHLO is the first of the hundred
    smtp.wire.send("NOOP\r\n".repeat(300).as_bytes());
    for _ in 0..99 {
        assert!(smtp.reply().starts_with("250 2.0.0"));
    }
    says(&mut smtp, "300 NOOP", b"", &["421 4.7.0", "close"]);

    // A message in between, and the count begins anew.
    let mut smtp = at(&instance, Greeted);
    for _ in 0..2 {
        (0..99).for_each(|_| assert!(smtp.ask("NOOP").starts_with("250")));
        smtp.send_message("a@discard.test", &["alice@example.test"], "Subject: busy\r\n\r\n");
    }

    let mut smtp = at(&instance, InTransaction);
    for case in ["VRFY alice", "VRFY nobody99", "VRFY \u{fc}@x SMTPUTF8"] {
        says(&mut smtp, case, format!("{case}\r\n").as_bytes(), &["252 2.0.0"]);
    }
    says(&mut smtp, "VRFY \u{fc}@x", "VRFY \u{fc}@x\r\n".as_bytes(), &["553 5.6.7"]); // RFC 6531: it is to be said
    smtp.ok("RCPT TO:<alice@example.test>"); // VRFY changed nothing
    assert!(smtp.ask("DATA").starts_with("354"), "MAIL, RCPT, VRFY, DATA");
    vigil.end(&instance, GROWTH_MAX_BYTES);
}
