//! UIDONLY (RFC 9586).

use super::*;

/// Messages with UIDs 2 to `count`, in a session that knows no numbers.
fn uid_only(count: u32) -> (Instance, Imap) {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    fill(&mut imap, "INBOX", count);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.ok("CLOSE");
    assert!(is_offered(&mut imap, "UIDONLY"));
    assert_eq!(imap.ok("ENABLE UIDONLY"), ["* ENABLED UIDONLY"]);
    let told = imap.ok("SELECT INBOX").concat();
    assert!(told.contains(&format!("* {} EXISTS", count - 1)) && !told.contains("[UNSEEN"), "{told}");
    (instance, imap)
}

#[test]
fn rows_begin_with_the_uid_and_have_it_inside_when_asked() {
    let (_instance, mut imap) = uid_only(3);
    assert_eq!(imap.ok("UID FETCH 1:* FLAGS"), ["* 2 UIDFETCH (FLAGS ())", "* 3 UIDFETCH (FLAGS ())"]);
    assert_eq!(
        imap.ok("UID FETCH 3 (UID RFC822.SIZE)"),
        [format!("* 3 UIDFETCH (UID 3 RFC822.SIZE {})", MESSAGE.len())]
    );
    assert_eq!(imap.ok("UID STORE 2 +FLAGS (\\Flagged)"), ["* 2 UIDFETCH (FLAGS (\\Flagged))"]);
    let told = imap.ok("UID FETCH 3 BODY[TEXT]").concat();
    assert_eq!(told, "* 3 UIDFETCH (BODY[TEXT] {10}\r\nat noon?\r\n FLAGS (\\Seen))");
    assert_eq!(imap.ok("UID SEARCH ALL"), ["* SEARCH 2 3"]);
    assert!(imap.ok("UID SEARCH RETURN (MAX) ALL").concat().ends_with(" UID MAX 3"));
    assert_eq!(imap.ok("UID SORT (ARRIVAL) UTF-8 ALL"), ["* SORT 2 3"]);
}

#[test]
fn expunges_are_told_as_vanished() {
    let (instance, mut imap) = uid_only(4);
    let mut other = another(&instance);
    other.ok("STORE 1 +FLAGS (\\Deleted)");
    assert_eq!(imap.ok("NOOP"), ["* 2 UIDFETCH (FLAGS (\\Deleted))"]);
    other.ok("EXPUNGE");
    assert_eq!(imap.ok("NOOP"), ["* VANISHED 2"]);
    imap.ok("UID STORE 3:4 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(imap.ok("UID EXPUNGE 3"), ["* VANISHED 3"]);
    assert_eq!(imap.ok("EXPUNGE"), ["* VANISHED 4"]);
    imap.ok("CREATE To");
    fill(&mut other, "INBOX", 1);
    assert_eq!(imap.ok("NOOP")[0], "* 1 EXISTS");
    assert_eq!(imap.ok("UID MOVE 5 To")[1], "* VANISHED 5");
}

#[test]
fn modification_sequences_go_with_it() {
    let (_instance, mut imap) = uid_only(2);
    imap.ok("ENABLE CONDSTORE");
    let told = imap.ok("UID STORE 2 +FLAGS.SILENT (\\Seen)").concat();
    assert!(told.starts_with("* 2 UIDFETCH (MODSEQ ("), "{told}");
    let told = imap.ok("UID FETCH 1:* FLAGS (CHANGEDSINCE 1)").concat();
    assert!(told.starts_with("* 2 UIDFETCH (FLAGS (\\Seen) MODSEQ ("), "{told}");
}

#[test]
fn a_number_is_refused_and_changes_nothing() {
    let (_instance, mut imap) = uid_only(3);
    imap.ok("CREATE To");
    for command in [
        "FETCH 1 FLAGS",
        "STORE 1 +FLAGS (\\Deleted)",
        "COPY 1 To",
        "MOVE 1 To",
        "SEARCH ALL",
        "UID SEARCH 1:2",
        "UID SEARCH NOT (OR SEEN 1)",
        "SORT (DATE) UTF-8 ALL",
        "UID SORT (DATE) UTF-8 1",
        "THREAD REFERENCES UTF-8 ALL",
        "UID THREAD REFERENCES UTF-8 1:*",
        "REPLACE 1 INBOX {3+}\r\na\r\n",
    ] {
        assert!(imap.refused(command).starts_with("BAD [UIDREQUIRED]"), "{command}");
    }
    assert_eq!(imap.ok("UID SEARCH UNDELETED"), ["* SEARCH 2 3"]);
    assert_eq!(imap.exists("To"), 0);
    // UIDs and `$` are no numbers.
    imap.ok("UID SEARCH RETURN (SAVE) UID 2");
    assert_eq!(imap.ok("UID SEARCH $"), ["* SEARCH 2"]);
    imap.ok("UID THREAD REFERENCES UTF-8 UID 2:*");
    assert!(imap.command("UID REPLACE 3 INBOX {3+}\r\na\r\n").1.starts_with("OK"));
    // Who did not ask for it goes on as ever.
    imap.ok("UNAUTHENTICATE");
    imap.ok("LOGIN alice alice-secret");
    imap.ok("SELECT INBOX");
    assert!(imap.ok("FETCH 1 UID")[0].starts_with("* 1 FETCH (UID 2"));
}
