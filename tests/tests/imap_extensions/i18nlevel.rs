//! I18NLEVEL=1: texts are compared by i;unicode-casemap (RFC 5255 section 4.2, RFC 5051).

use super::*;

/// Subjects of messages 1 to 9.
const SUBJECTS: [&str; 9] = [
    "Cafe",
    "CAF\u{c9}",
    "cafe\u{301}",
    "Stra\u{df}e",
    "\u{39f}\u{394}\u{39f}\u{3a3}",
    "\u{3bf}\u{3b4}\u{3cc}\u{3c2}",
    "\u{1c4}ep",
    "\u{1c6}ep",
    "\u{ff43}\u{ff21}fe",
];

fn inbox(imap: &mut Imap) {
    for subject in SUBJECTS {
        let encoded: String = subject.bytes().map(|byte| format!("={byte:02X}")).collect();
        let message = format!(
            "From: =?utf-8?q?{encoded}?= <a@b.example>\r\nSubject: =?utf-8?q?{encoded}?=\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{encoded}\r\n"
        );
        assert!(imap.append("INBOX", "", &message).starts_with("OK"));
    }
    imap.ok("SELECT INBOX");
}

fn search(imap: &mut Imap, key: &str, text: &str) -> String {
    imap.wire.send(format!("s SEARCH CHARSET UTF-8 {key} {{{}}}\r\n", text.len()).as_bytes());
    assert!(imap.wire.line().starts_with('+'));
    imap.wire.send(format!("{text}\r\n").as_bytes());
    let (told, end) = imap.until_tagged("s");
    assert!(end.starts_with("OK"), "{end}");
    told.into_iter().find(|line| line.starts_with("* SEARCH")).unwrap_or_default().replacen("* SEARCH", "", 1)
}

/// A text, and the messages that have it.
const FOUND: [(&str, &str); 10] = [
    ("caf\u{e9}", " 2 3"),
    ("CAFE\u{301}", " 2 3"),
    ("cafe", " 1 2 3 9"), // a letter is there when it is there with a mark
    ("STRA\u{df}E", " 4"),
    ("strasse", ""),
    ("\u{3bf}\u{3b4}\u{3bf}\u{3c3}", " 5"),
    ("\u{39f}\u{394}\u{38c}\u{3a3}", " 6"),
    ("\u{1c5}EP", " 7 8"),
    ("\u{ff23}\u{ff41}F", " 1 2 3 9"),
    ("afe\u{301}", " 2 3"),
];

#[test]
fn search_compares_by_the_comparator() {
    let (_instance, mut imap) = mailbox_of(0);
    assert!(is_offered(&mut imap, "I18NLEVEL=1") && is_offered(&mut imap, "LANGUAGE"));
    inbox(&mut imap);
    for key in ["SUBJECT", "BODY", "FROM", "HEADER Subject"] {
        for (text, found) in FOUND {
            assert_eq!(search(&mut imap, key, text), found, "{key} {text}");
        }
    }
    assert_eq!(search(&mut imap, "TEXT", "subject: CAF\u{c9}"), " 2 3");
}

#[test]
fn sort_and_thread_compare_by_the_same() {
    let (_instance, mut imap) = mailbox_of(0);
    inbox(&mut imap);
    assert_eq!(imap.ok("SORT (SUBJECT) UTF-8 1:4,9"), ["* SORT 1 9 2 3 4"]);
    assert_eq!(imap.ok("THREAD ORDEREDSUBJECT UTF-8 1:9"), ["* THREAD (1 9)(2 3)(4)(5)(6)(7 8)"]);
}
