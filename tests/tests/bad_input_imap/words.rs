//! Tags, verbs, lines, strings and parentheses.

use black_box::Vigil;

use crate::{GROWTH_MAX_BYTES, instance, line, says, selected, stranger};

/// Whole lines, to a stranger and to a user alike.
const LINES: &[(&str, &[u8], &str)] = &[
    ("empty line", b"", "* BAD"),
    ("only spaces", b"   ", "* BAD"),
    ("tag with +", b"+a NOOP", "* BAD"),
    ("tag with *", b"a*b NOOP", "* BAD"),
    ("tag with %", b"a%b NOOP", "* BAD"),
    ("tag with (", b"( NOOP", "* BAD"),
    ("tag with )", b"a) NOOP", "* BAD"),
    ("tag with {", b"a{ NOOP", "* BAD"),
    ("tag with a quote", b"\"a\" NOOP", "* BAD"),
    ("tag with a control byte", b"a\x01 NOOP", "* BAD"),
    ("tag with NUL", b"a\0 NOOP", "* BAD"),
    ("tag of 8-bit bytes", b"\xc3\xa4 NOOP", "* BAD"),
    ("tag only", b"x", "x BAD"),
    ("tag and a space", b"x ", "x BAD"),
    ("tag + unknown verb", b"x FROB", "x BAD"),
    ("two spaces", b"x  NOOP", "x BAD"),
    ("verb with NUL", b"x NO\0OP", "x BAD"),
    ("verb with a bare CR", b"x NO\rOP", "x BAD"),
    ("UID of a verb that has none", b"x UID NOOP", "x BAD"),
];

#[test]
fn what_is_no_command_is_bad_and_changes_nothing() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let long_tag = format!("{} NOOP", "a".repeat(256));
    let mut user = selected(&instance);
    for (case, bytes, answer) in LINES.iter().chain(&[("tag > 255", long_tag.as_bytes(), "* BAD")]) {
        let bytes = [bytes, &b"\r\n"[..]].concat();
        says(&mut stranger(&instance), case, &bytes, &[answer]);
        says(&mut user, case, &bytes, &[answer]);
    }
    user.ok("FETCH 1 FLAGS"); // still selected
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn the_21st_bad_command_before_log_in_is_the_last() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let mut imap = stranger(&instance);
    for _ in 0..20 {
        imap.wire.send(b"x FROB\r\n");
        assert!(imap.response().starts_with("x BAD"));
    }
    says(&mut imap, "21st bad command before login", b"x FROB\r\n", &["x BAD", "* BYE", "close"]);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn a_line_that_is_too_long_ends_a_strangers_connection_and_not_a_users() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let of_length = |length: usize| format!("x {}\r\n", "y".repeat(length - 2)).into_bytes();
    says(&mut stranger(&instance), "line of 8 KB before login", &of_length(8192), &["x BAD"]);
    let answers = ["x BAD [TOOBIG]", "* BYE", "close"];
    says(&mut stranger(&instance), "line > 8 KB before login", &of_length(8193), &answers);
    let mut user = selected(&instance);
    says(&mut user, "line of 64 KB", &of_length(65_536), &["x BAD"]);
    says(&mut user, "line > 64 KB", &of_length(65_537), &["x BAD [TOOBIG]"]);
    says(&mut user, "line of 8 MB", &of_length(8 << 20), &["x BAD [TOOBIG]"]);
    let mut set = (1..40_000_u32).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    set.truncate(200_000);
    says(&mut user, "200 KB set", format!("x FETCH {set} FLAGS\r\n").as_bytes(), &["x BAD [TOOBIG]"]);
    let nots = format!("x SEARCH {}ALL\r\n", "NOT ".repeat(100_000));
    says(&mut user, "100k NOT NOT", nots.as_bytes(), &["x BAD [TOOBIG]"]);
    // Where the line itself holds no tag the response has none.
    says(
        &mut user,
        "tag > 64 KB",
        format!("{} NOOP\r\n", "y".repeat(70_000)).as_bytes(),
        &["* BAD [TOOBIG]"],
    );
    vigil.end(&instance, GROWTH_MAX_BYTES);
}

#[test]
fn strings_that_are_none_and_nests_without_end_are_bad() {
    let instance = instance();
    let vigil = Vigil::begin(&instance);
    let deep = "(".repeat(5000);
    for command in [
        "LOGIN \"alice alice-secret",
        "LOGIN \"ali\rce\" x",
        "LOGIN \"ali\0ce\" x",
        "LOGIN \"ali\\xce\" x",
        "LOGIN alice",
        "LOGIN alice x y",
        "LOGIN () x",
        "LOGIN alice(x) y",
    ] {
        line(&mut stranger(&instance), command, "x BAD");
    }
    let mut user = selected(&instance);
    for command in [
        "SELECT \"INBOX",
        "SELECT \"IN\0BOX\"",
        "SELECT \"IN\\BOX\"",
        "SELECT (INBOX)",
        "STATUS INBOX (MESSAGES",
        "STATUS INBOX ()",
        &format!("NOOP {deep}"),
        &format!("FETCH 1 {deep}FLAGS"),
        &format!("SEARCH {deep}ALL"),
        &format!("SEARCH {}ALL", "NOT ".repeat(10_000)),
        &format!("SEARCH {}ALL ALL", "OR ".repeat(10_000)),
        &format!("SEARCH {}ALL", "TEXT a ".repeat(1000)),
        &format!("STATUS INBOX {deep}"),
        &format!("STORE 1 FLAGS {deep}"),
        &format!("ID {deep}"),
    ] {
        line(&mut user, command, "x BAD");
    }
    // LF inside a quoted string ends the line, and what is behind it is a line of its own.
    says(&mut user, "LF in a quoted string", b"x SELECT \"IN\nBOX\"\r\n", &["x BAD", "* BAD"]);
    vigil.end(&instance, GROWTH_MAX_BYTES);
}
