//! SORT, THREAD and their relatives from outside (RFC 5256, RFC 5957, RFC 5267, RFC 9394): expected answers by hand from the
//! rules of the RFCs.
#![allow(clippy::unwrap_used)]

#[path = "imap_sort/dovecot.rs"]
mod dovecot;

use std::fs;
use std::path::Path;

use black_box::{Imap, Instance};

/// Header of each message, and its INTERNALDATE: the number of a minute.
const MAILBOX: [(&str, u32); 8] = [
    (
        "From: =?utf-8?q?=C3=84nne?= <zoe@a.test>\r\nTo: Bob <bob@b.test>\r\nSubject: beta\r\nDate: Wed, 05 Mar 2025 10:00:00 +0000\r\nMessage-ID: <1@t>\r\n",
        8,
    ),
    (
        "From: amy@a.test\r\nTo: carl@b.test\r\nCc: x@y\r\nSubject: Re: Alpha\r\nDate: Tue, 04 Mar 2025 10:00:00 +0000\r\nMessage-ID: <2@t>\r\nReferences: <4@t>\r\n",
        7,
    ),
    (
        "From: Boris <AMY@c.test>\r\nTo: Friends: joe@x;\r\nSubject: [list] BETA (fwd)\r\nDate: Thu, 06 Mar 2025 10:00:00 +0000\r\nMessage-ID: <3@t>\r\nX-Long: 0123456789\r\n",
        6,
    ),
    (
        "From: bill@a.test\r\nSubject: alpha\r\nDate: Mon, 03 Mar 2025 23:30:00 -0800\r\nMessage-ID: <4@t>\r\n",
        5,
    ),
    ("Subject: =?utf-8?q?=C3=A4lpha?=\r\nMessage-ID: <5@t>\r\nIn-Reply-To: <2@t>\r\n", 4),
    (
        "From: bill@a.test\r\nTo: adam@b.test\r\nCc: b@y\r\nDate: Fri, 07 Mar 2025 10:00:00 +0000\r\nMessage-ID: <6@t>\r\nReferences: <0@t>\r\n",
        3,
    ),
    (
        "From: <>\r\nTo: bob@b.test\r\nSubject: zeta\r\nDate: nonsense\r\nMessage-ID: <7@t>\r\nReferences: <0@t>\r\n",
        2,
    ),
    (
        "From: Carl <carl@a.test>\r\nTo: Zed <a@b.test>\r\nSubject: beta\r\nDate: Sat, 08 Mar 2025 10:00:00 +0000\r\nMessage-ID: <8@t>\r\n",
        1,
    ),
];

/// An instance whose alice has the mailbox, and a session of hers that has it selected. A message that is expunged stood before them:
/// UIDs are one more than sequence numbers.
fn mailbox() -> (Instance, Imap) {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    assert!(imap.append("INBOX", "(\\Deleted) ", "Subject: gone\r\n\r\n").starts_with("OK"));
    for (header, minute) in MAILBOX {
        let arguments = format!("\"01-Mar-2025 10:{minute:02}:00 +0000\" ");
        assert!(imap.append("INBOX", &arguments, &format!("{header}\r\nbody\r\n")).starts_with("OK"));
    }
    imap.ok("SELECT INBOX");
    imap.ok("EXPUNGE");
    (instance, imap)
}

/// The responses to a command, and the tag it had in them.
fn tagged(imap: &mut Imap, command: &str) -> Vec<String> {
    imap.wire.send(format!("tag {command}\r\n").as_bytes());
    let (untagged, end) = imap.until_tagged("tag");
    assert!(end.starts_with("OK"), "{command}: {end}");
    untagged
}

fn check(imap: &mut Imap, cases: &[(&str, &str)]) {
    for (command, response) in cases {
        assert_eq!(tagged(imap, command), [*response], "{command}");
    }
}

#[test]
fn what_is_answered_is_offered() {
    let (_instance, mut imap) = mailbox();
    let capability = imap.ok("CAPABILITY").concat();
    for name in [
        "SORT",
        "SORT=DISPLAY",
        "ESORT",
        "PARTIAL",
        "THREAD=ORDEREDSUBJECT",
        "THREAD=REFERENCES",
        "THREAD=REFS",
    ] {
        assert!(capability.split(' ').any(|word| word == name), "{name}");
    }
}

/// Dates: 4 is 4 March 07:30 in UTC; 5 and 7 have no sent date, so their INTERNALDATE of 1 March counts (RFC 5256 §2.2).
#[test]
fn sort_orders_by_each_key_and_by_sequence_number_among_equals() {
    let (_instance, mut imap) = mailbox();
    check(
        &mut imap,
        &[
            ("SORT (ARRIVAL) UTF-8 ALL", "* SORT 8 7 6 5 4 3 2 1"),
            ("SORT (DATE) UTF-8 ALL", "* SORT 7 5 4 2 1 3 6 8"),
            ("SORT (REVERSE DATE) us-ascii ALL", "* SORT 8 6 3 1 2 4 5 7"),
            // "" 6; alpha 2 4; alpha with its marks behind 5; beta 1 3 8; zeta 7
            ("SORT (SUBJECT) UTF-8 ALL", "* SORT 6 2 4 5 1 3 8 7"),
            ("SORT (REVERSE SUBJECT) UTF-8 ALL", "* SORT 7 1 3 8 5 2 4 6"),
            ("SORT (SUBJECT REVERSE DATE) UTF-8 ALL", "* SORT 6 2 4 5 8 3 1 7"),
            // "" 5 7; amy 2 3; bill 4 6; carl 8; zoe 1
            ("SORT (FROM) UTF-8 ALL", "* SORT 5 7 2 3 4 6 8 1"),
            // "" 5 7; amy@a.test 2; \u{c4}nne 1, whose mark is behind all letters; bill@a.test 4 6; Boris 3; Carl 8
            ("SORT (DISPLAYFROM) UTF-8 ALL", "* SORT 5 7 2 1 4 6 3 8"),
            // "" 4 5; a 8; adam 6; bob 1 7; carl 2; Friends 3
            ("SORT (TO) UTF-8 ALL", "* SORT 4 5 8 6 1 7 2 3"),
            // "" 4 5; adam@b.test 6; Bob 1; bob@b.test 7; carl@b.test 2; Friends 3; Zed 8
            ("SORT (DISPLAYTO) UTF-8 ALL", "* SORT 4 5 6 1 7 2 3 8"),
            ("SORT (CC) UTF-8 ALL", "* SORT 1 3 4 5 7 8 6 2"),
            ("SORT (REVERSE CC FROM) UTF-8 1:3", "* SORT 2 3 1"),
            ("UID SORT (DATE) UTF-8 SUBJECT beta", "* SORT 2 4 9"),
            ("SORT (DATE) UTF-8 SUBJECT nothing", "* SORT"),
            ("SORT (DATE) UTF-8 NOT UID 2:4,6 FROM amy", "* SORT"),
        ],
    );
    let mut sizes: Vec<(u32, u32)> =
        (1u32..).zip(MAILBOX).map(|(n, (header, _))| (header.len() as u32, n)).collect();
    sizes.sort_unstable();
    let expected: Vec<String> = sizes.iter().map(|(_, number)| number.to_string()).collect();
    check(&mut imap, &[("SORT (SIZE) UTF-8 ALL", &format!("* SORT {}", expected.join(" ")))]);
}

#[test]
fn esort_answers_in_the_order_of_the_result() {
    let (_instance, mut imap) = mailbox();
    check(
        &mut imap,
        &[
            ("SORT RETURN () (DATE) UTF-8 ALL", "* ESEARCH (TAG \"tag\") ALL 7,5,4,2,1,3,6,8"),
            ("UID SORT RETURN (ALL) (ARRIVAL) UTF-8 1:3", "* ESEARCH (TAG \"tag\") UID ALL 4,3,2"),
            ("SORT RETURN (ALL COUNT) (SUBJECT) UTF-8 4:6", "* ESEARCH (TAG \"tag\") COUNT 3 ALL 6,4:5"),
            ("SORT RETURN (MIN MAX COUNT) (DATE) UTF-8 ALL", "* ESEARCH (TAG \"tag\") MIN 7 MAX 8 COUNT 8"),
            ("SORT RETURN (PARTIAL 2:4) (DATE) UTF-8 ALL", "* ESEARCH (TAG \"tag\") PARTIAL (2:4 5,4,2)"),
            (
                "UID SORT RETURN (PARTIAL -1:-2) (DATE) UTF-8 ALL",
                "* ESEARCH (TAG \"tag\") UID PARTIAL (-1:-2 7,9)",
            ),
            ("SORT RETURN (PARTIAL 9:20) (DATE) UTF-8 ALL", "* ESEARCH (TAG \"tag\") PARTIAL (9:20 NIL)"),
            ("SORT RETURN (MIN COUNT) (DATE) UTF-8 SUBJECT nothing", "* ESEARCH (TAG \"tag\") COUNT 0"),
        ],
    );
    // SAVE (RFC 5267 §3.1, RFC 5182): the result is a set, whatever its order.
    assert_eq!(tagged(&mut imap, "SORT RETURN (SAVE) (REVERSE DATE) UTF-8 2:4"), [""; 0]);
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH 2 3 4"]);
    tagged(&mut imap, "SORT RETURN (SAVE MIN) (REVERSE DATE) UTF-8 $");
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH 3"]);
    tagged(&mut imap, "UID SORT RETURN (SAVE PARTIAL 1:2) (DATE) UTF-8 ALL");
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH 5 7"]);
    assert!(imap.refused("SORT RETURN (SAVE) (DATE) X-FOO ALL").starts_with("NO [BADCHARSET"));
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH"], "after NO the result is empty");
    let sorted = imap.ok("UID SORT (DATE) UTF-8 MODSEQ 1").pop().unwrap();
    assert!(sorted.starts_with("* SORT 8 6 5 3 2 4 7 9 (MODSEQ "), "{sorted}");
}

#[test]
fn pages_of_a_search_and_of_a_fetch() {
    let (_instance, mut imap) = mailbox();
    check(
        &mut imap,
        &[
            ("SEARCH RETURN (PARTIAL 1:3) ALL", "* ESEARCH (TAG \"tag\") PARTIAL (1:3 1:3)"),
            (
                "UID SEARCH RETURN (PARTIAL 3:2 COUNT) ALL",
                "* ESEARCH (TAG \"tag\") UID COUNT 8 PARTIAL (3:2 3:4)",
            ),
            ("UID SEARCH RETURN (PARTIAL -1:-3) NOT 7", "* ESEARCH (TAG \"tag\") UID PARTIAL (-1:-3 6:7,9)"),
            ("SEARCH RETURN (MIN PARTIAL -2:-1) ALL", "* ESEARCH (TAG \"tag\") MIN 1 PARTIAL (-2:-1 7:8)"),
            ("SEARCH RETURN (PARTIAL 4:5) 1:3", "* ESEARCH (TAG \"tag\") PARTIAL (4:5 NIL)"),
        ],
    );
    tagged(&mut imap, "SEARCH RETURN (SAVE MAX PARTIAL 1:2) ALL");
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH 1 2 8"]);
    assert_eq!(imap.ok("UID FETCH 1:* (UID) (PARTIAL -1:-2)"), ["* 7 FETCH (UID 8)", "* 8 FETCH (UID 9)"]);
    assert_eq!(imap.ok("UID FETCH 3:7 UID (PARTIAL 2:2)"), ["* 3 FETCH (UID 4)"]);
    assert_eq!(imap.ok("UID FETCH 1:* UID (PARTIAL 100:200)"), [""; 0]);
    imap.ok("STORE 2,5,6 +FLAGS.SILENT (\\Flagged)");
    imap.ok("ENABLE CONDSTORE");
    let changed = imap.ok("UID FETCH 1:* (UID) (CHANGEDSINCE 10 PARTIAL -1:-2)");
    assert_eq!(changed.len(), 2, "{changed:?}");
    assert!(changed[0].starts_with("* 5 ") && changed[1].starts_with("* 6 "), "{changed:?}");
}

/// 4 has 2, which has 5; 6 and 7 are replies to what is not there; 1, 3 and 8 are of one subject, 3 a forward.
#[test]
fn threads_are_those_of_the_standard() {
    let (_instance, mut imap) = mailbox();
    check(
        &mut imap,
        &[
            ("THREAD REFERENCES UTF-8 ALL", "* THREAD ((7)(6))(4 2 5)((1 3)(8))"),
            ("THREAD ORDEREDSUBJECT UTF-8 ALL", "* THREAD (7)(5)(4 2)(1 (3)(8))(6)"),
            ("THREAD REFS UTF-8 ALL", "* THREAD (4 2 5)(1)(3)((7)(6))(8)"),
            ("UID THREAD REFERENCES UTF-8 4:6", "* THREAD (6)(5)(7)"),
            ("THREAD references us-ascii SUBJECT nothing", "* THREAD"),
        ],
    );
    // A message that others refer to and that is not searched for is no part of the answer, but holds them together.
    check(&mut imap, &[("THREAD REFERENCES UTF-8 4,5", "* THREAD (5)(4)")]);
}

#[test]
fn nonsense_is_refused() {
    let (instance, mut imap) = mailbox();
    for command in [
        "SORT",
        "SORT () UTF-8 ALL",
        "SORT (DATE) UTF-8",
        "SORT (DATE) ALL",
        "SORT (NAME) UTF-8 ALL",
        "SORT (REVERSE) UTF-8 ALL",
        "SORT (DATE) UTF-8 99",
        "UID SORT (DATE UTF-8 ALL",
        "THREAD",
        "THREAD JWZ UTF-8 ALL",
        "THREAD REFERENCES ALL",
        "UID THREAD REFERENCES UTF-8",
        "SEARCH RETURN (PARTIAL 1:2 ALL) ALL",
        "SEARCH RETURN (PARTIAL 0:2) ALL",
        "UID FETCH 1:* UID (PARTIAL -1:2)",
    ] {
        let answer = imap.refused(command);
        assert!(answer.starts_with("BAD "), "{command}: {answer}");
        imap.ok("NOOP");
    }
    for command in ["SORT (DATE) X-FOO ALL", "THREAD REFS X-FOO ALL"] {
        assert!(imap.refused(command).starts_with("NO [BADCHARSET (US-ASCII UTF-8)]"), "{command}");
    }
    let mut other = instance.imap("alice");
    assert!(other.refused("SORT (DATE) UTF-8 ALL").starts_with("BAD "), "no mailbox is selected");
}

/// Index and cache are enough: the answers are the same when there is no message file to be read.
#[test]
fn no_message_file_is_read() {
    let (instance, mut imap) = mailbox();
    assert_eq!(remove_messages(&instance.path("store")), MAILBOX.len() + 1); // the expunged one too
    check(
        &mut imap,
        &[
            ("SORT (DATE) UTF-8 ALL", "* SORT 7 5 4 2 1 3 6 8"),
            ("SORT (SUBJECT DISPLAYFROM CC SIZE) UTF-8 4:6", "* SORT 6 4 5"),
            ("THREAD REFERENCES UTF-8 ALL", "* THREAD ((7)(6))(4 2 5)((1 3)(8))"),
        ],
    );
    assert!(imap.refused("FETCH 1 BODY[]").starts_with("NO "), "the files are gone indeed");
}

/// How many message files there were.
fn remove_messages(folder: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            count += remove_messages(&path);
        } else if path.extension().is_some_and(|extension| extension == "msg") {
            fs::remove_file(path).unwrap();
            count += 1;
        }
    }
    count
}
