//! BINARY (RFC 3516).

use super::*;

/// A picture with NUL in base64, text in quoted-printable, and one whose encoding nobody knows.
const MIXED: &str = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\n\
    gr=C3=BCn =\r\nund blau\r\n\
    --b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nYQBi\r\nY2Q=\r\n\
    --b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-mystery\r\n\r\n???\r\n--b--\r\n";

fn with_mixed() -> (Instance, Imap) {
    let (instance, mut imap) = mailbox_of(0);
    assert!(imap.append("INBOX", "", MIXED).starts_with("OK"));
    imap.ok("NOOP");
    (instance, imap)
}

#[test]
fn parts_come_without_their_encoding() {
    let (_instance, mut imap) = with_mixed();
    assert!(is_offered(&mut imap, "BINARY"));
    assert_eq!(
        imap.ok("FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])"),
        ["* 1 FETCH (BINARY[1] {14}\r\ngrün und blau BINARY.SIZE[1] 14)"]
    );
    assert_eq!(imap.ok("FETCH 1 BINARY.PEEK[1]<2.4>"), ["* 1 FETCH (BINARY[1]<2> {4}\r\nün )"]);
    assert_eq!(imap.ok("FETCH 1 BINARY.PEEK[1]<14.4>"), ["* 1 FETCH (BINARY[1]<14> {0}\r\n)"]);
    assert_eq!(imap.ok("FETCH 1 (BINARY.SIZE[2] UID)"), ["* 1 FETCH (BINARY.SIZE[2] 5 UID 1)"]);
    assert_eq!(
        imap.ok("FETCH 1 (BINARY.PEEK[9] BINARY.SIZE[9])"),
        ["* 1 FETCH (BINARY[9] NIL BINARY.SIZE[9] 0)"]
    );
    let whole = imap.ok("FETCH 1 (BINARY.PEEK[] BINARY.SIZE[])").remove(0);
    assert_eq!(whole, format!("* 1 FETCH (BINARY[] {{{0}}}\r\n{MIXED} BINARY.SIZE[] {0})", MIXED.len()));
    // What was only looked at is not \Seen, what was read is.
    assert!(!imap.ok("FETCH 1 FLAGS")[0].contains("\\Seen"));
    assert!(imap.ok("FETCH 1 BINARY[1]<0.1>")[0].contains(" FLAGS (\\Seen"));
}

#[test]
fn nul_comes_in_a_literal8_only() {
    let (_instance, mut imap) = with_mixed();
    assert_eq!(imap.ok("FETCH 1 BINARY.PEEK[2]"), ["* 1 FETCH (BINARY[2] ~{5}\r\na\0bcd)"]);
    assert_eq!(imap.ok("FETCH 1 BINARY.PEEK[2]<2.9>"), ["* 1 FETCH (BINARY[2]<2> {3}\r\nbcd)"]);
}

#[test]
fn an_unknown_encoding_is_refused_and_the_rest_is_served() {
    let (_instance, mut imap) = with_mixed();
    fill(&mut imap, "INBOX", 1);
    imap.ok("NOOP");
    for item in ["BINARY.PEEK[3]", "BINARY.SIZE[3]", "(UID BINARY.PEEK[1] BINARY.PEEK[3])"] {
        assert!(imap.refused(&format!("FETCH 1 {item}")).starts_with("NO [UNKNOWN-CTE]"), "{item}");
    }
    assert!(imap.ok("FETCH 1 BODY.PEEK[3]")[0].ends_with("{3}\r\n???)"));
    imap.wire.send(b"two FETCH 1:2 (BINARY.PEEK[3] BINARY.PEEK[1])\r\n");
    let (rows, end) = imap.until_tagged("two");
    assert_eq!(rows, ["* 2 FETCH (BINARY[3] NIL BINARY[1] {10}\r\nat noon?\r\n)"]);
    assert!(end.starts_with("NO [UNKNOWN-CTE]"), "{end}");
    all_bad(
        &mut imap,
        &[
            "FETCH 1 BINARY",
            "FETCH 1 BINARY[HEADER]",
            "FETCH 1 BINARY.SIZE[1]<0.1>",
            "FETCH 1 BINARY[0]",
            "FETCH 1 BINARY[1",
        ],
    );
}

#[test]
fn large_parts_come_whole() {
    let (_instance, mut imap) = mailbox_of(0);
    let line = "QUJD".repeat(19) + "\r\n";
    let message = format!("Content-Transfer-Encoding: base64\r\n\r\n{}", line.repeat(20_000));
    assert!(imap.append("INBOX", "", &message).starts_with("OK"));
    imap.ok("NOOP");
    let row = imap.ok("FETCH 1 (BINARY.PEEK[1] UID)").remove(0);
    assert_eq!(row.len(), "* 1 FETCH (BINARY[1] {1140000}\r\n UID 1)".len() + 1_140_000);
    assert!(row.ends_with("ABCABC UID 1)"));
    assert_eq!(imap.ok("FETCH 1 BINARY.PEEK[1]<1139998.9>"), ["* 1 FETCH (BINARY[1]<1139998> {2}\r\nBC)"]);
}

#[test]
fn a_literal8_is_stored_unless_it_holds_nul() {
    let (_instance, mut imap) = mailbox_of(0);
    imap.wire.send(format!("eight APPEND INBOX ~{{{}+}}\r\n{MESSAGE}\r\n", MESSAGE.len()).as_bytes());
    assert!(imap.until_tagged("eight").1.starts_with("OK [APPENDUID"));
    imap.wire.send(b"nul APPEND INBOX ~{3+}\r\na\0b\r\n");
    assert!(imap.until_tagged("nul").1.starts_with("NO [UNKNOWN-CTE]"));
    imap.wire.send(b"wait APPEND INBOX ~{3}\r\n");
    assert!(imap.response().starts_with('+'));
    imap.wire.send(b"a\0b\r\n");
    assert!(imap.until_tagged("wait").1.starts_with("NO [UNKNOWN-CTE]"));
    assert_eq!(imap.exists("INBOX"), 1);
}
