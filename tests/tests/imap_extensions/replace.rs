//! REPLACE (RFC 8508).

use super::*;

/// Sends a REPLACE with a literal that does not wait; the untagged responses and the tagged one.
fn replace(imap: &mut Imap, arguments: &str, message: &str) -> (Vec<String>, String) {
    imap.wire.send(format!("put {arguments} {{{}+}}\r\n{message}\r\n", message.len()).as_bytes());
    imap.until_tagged("put")
}

#[test]
fn a_draft_takes_the_place_of_another() {
    let (instance, mut imap) = mailbox_of(3);
    assert!(is_offered(&mut imap, "REPLACE"));
    let mut other = another(&instance);
    imap.wire.send(format!("wait REPLACE 2 INBOX (\\Draft $a) {{{}}}\r\n", MESSAGE.len()).as_bytes());
    assert!(imap.response().starts_with('+'));
    imap.wire.send(format!("{}\r\n", MESSAGE.replace("lunch", "tea!!")).as_bytes());
    let (told, end) = imap.until_tagged("wait");
    assert_eq!(end, "OK REPLACE completed");
    // RFC 8508 §3.1: the new UID before the old message goes.
    assert!(told[0].starts_with("* OK [APPENDUID ") && told[0].contains(" 4] "), "{told:?}");
    assert!(told.contains(&"* 2 EXPUNGE".to_owned()) && told.contains(&"* 3 EXISTS".to_owned()), "{told:?}");
    assert_eq!(imap.ok("UID SEARCH ALL"), ["* SEARCH 1 3 4"]);
    assert!(imap.ok("FETCH 3 (FLAGS ENVELOPE)").last().unwrap().contains("(\\Draft"));
    assert!(imap.ok("FETCH 3 ENVELOPE")[0].contains("tea!!"));
    let told = other.ok("NOOP");
    assert!(told.contains(&"* 2 EXPUNGE".to_owned()), "{told:?}");
    // By UID, and the last one; into another mailbox.
    imap.ok("CREATE Drafts");
    let (told, end) = replace(&mut imap, "UID REPLACE 3 Drafts", MESSAGE);
    assert!(end.starts_with("OK ") && told[0].contains("[APPENDUID "), "{told:?} {end}");
    assert!(replace(&mut imap, "REPLACE * INBOX", MESSAGE).1.starts_with("OK "));
    assert_eq!(imap.ok("UID SEARCH ALL"), ["* SEARCH 1 5"]);
    assert_eq!((imap.exists("INBOX"), imap.exists("Drafts")), (2, 1));
    // Messages that are \Deleted stay.
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    assert!(replace(&mut imap, "REPLACE 2 INBOX", MESSAGE).1.starts_with("OK "));
    assert_eq!(imap.ok("UID SEARCH ALL"), ["* SEARCH 1 6"]);
}

#[test]
fn qresync_is_told_the_uid_that_vanished() {
    let (_instance, mut imap) = mailbox_of(2);
    imap.ok("ENABLE QRESYNC");
    let (told, end) = replace(&mut imap, "REPLACE 1 INBOX", MESSAGE);
    assert!(told.contains(&"* VANISHED 1".to_owned()), "{told:?}");
    assert!(end.starts_with("OK [HIGHESTMODSEQ "), "{end}");
}

#[test]
fn what_is_refused_leaves_the_old_message() {
    let (instance, mut imap) = mailbox_of(2);
    for (arguments, answer) in [
        ("REPLACE 3 INBOX", "BAD "),
        ("REPLACE 0 INBOX", "BAD "),
        ("REPLACE 1:2 INBOX", "BAD "),
        ("REPLACE x INBOX", "BAD "),
        ("REPLACE INBOX", "BAD "),
        ("UID REPLACE * INBOX", "BAD "),
        ("UID REPLACE 9 INBOX", "NO [CANNOT]"),
        ("REPLACE 1 Nowhere", "NO [TRYCREATE]"),
        ("REPLACE 1 INBOX (\\Recent)", "BAD "),
    ] {
        let (_, end) = replace(&mut imap, arguments, MESSAGE);
        assert!(end.starts_with(answer), "{arguments}: {end}");
        imap.ok("NOOP");
    }
    assert!(imap.refused("REPLACE 1 INBOX").starts_with("BAD "));
    assert!(imap.refused("REPLACE 1 INBOX {4294967295}").starts_with("NO [TOOBIG]"));
    assert!(replace(&mut imap, "REPLACE 1 INBOX", "a\0b").1.starts_with("BAD "));
    // One message takes the place of one.
    imap.wire.send(
        format!("two REPLACE 1 INBOX {{{0}+}}\r\n{MESSAGE} {{{0}+}}\r\n{MESSAGE}\r\n", MESSAGE.len())
            .as_bytes(),
    );
    assert!(imap.until_tagged("two").1.starts_with("BAD "));
    // A client that goes away in the middle.
    let mut gone = another(&instance);
    gone.wire.send(b"gone REPLACE 1 INBOX {50+}\r\nhalf");
    drop(gone);
    imap.ok("NOOP");
    assert_eq!(imap.ok("UID SEARCH ALL"), ["* SEARCH 1 2"]);
    // Read-only, or nothing selected.
    imap.ok("EXAMINE INBOX");
    assert!(replace(&mut imap, "REPLACE 1 INBOX", MESSAGE).1.starts_with("NO [READ-ONLY]"));
    imap.ok("UNSELECT");
    assert!(replace(&mut imap, "REPLACE 1 INBOX", MESSAGE).1.starts_with("BAD "));
    assert_eq!(imap.exists("INBOX"), 2);
}

#[test]
fn of_two_sessions_that_replace_the_same_draft_one_does() {
    let (instance, mut imap) = mailbox_of(1);
    let mut other = another(&instance);
    other.wire.send(format!("late REPLACE 1 INBOX {{{}}}\r\n", MESSAGE.len()).as_bytes());
    assert!(other.response().starts_with('+'));
    assert!(replace(&mut imap, "REPLACE 1 INBOX", MESSAGE).1.starts_with("OK "));
    other.wire.send(format!("{MESSAGE}\r\n").as_bytes());
    assert!(other.until_tagged("late").1.starts_with("NO [EXPUNGEISSUED]"));
    assert_eq!(imap.ok("UID SEARCH ALL"), ["* SEARCH 2"]);
    // One that is gone already is refused before the message is sent.
    let mut third = another(&instance);
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    third.wire.send(b"gone REPLACE 1 INBOX {10}\r\n");
    let (_, end) = third.until_tagged("gone");
    assert!(end.starts_with("NO [EXPUNGEISSUED]"), "{end}");
}
