//! ESEARCH (RFC 4731) and SEARCHRES (RFC 5182).

use super::*;

/// The responses to a search, and the tag it had in them.
fn search(imap: &mut Imap, command: &str) -> Vec<String> {
    imap.wire.send(format!("tag {command}\r\n").as_bytes());
    let (untagged, end) = imap.until_tagged("tag");
    assert!(end.starts_with("OK"), "{command}: {end}");
    untagged
}

#[test]
fn each_option_is_answered_in_one_response() {
    let (_instance, mut imap) = mailbox_of(6);
    assert!(is_offered(&mut imap, "ESEARCH") && is_offered(&mut imap, "SEARCHRES"));
    imap.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    imap.ok("STORE 1,2,4 +FLAGS.SILENT (\\Flagged)"); // UIDs 2, 4 and 6
    for (command, response) in [
        ("SEARCH RETURN () FLAGGED", "* ESEARCH (TAG \"tag\") ALL 1:2,4"),
        ("SEARCH RETURN (ALL) FLAGGED", "* ESEARCH (TAG \"tag\") ALL 1:2,4"),
        ("UID SEARCH RETURN (ALL) FLAGGED", "* ESEARCH (TAG \"tag\") UID ALL 2,4,6"),
        ("SEARCH RETURN (MIN) FLAGGED", "* ESEARCH (TAG \"tag\") MIN 1"),
        ("SEARCH RETURN (MAX) FLAGGED", "* ESEARCH (TAG \"tag\") MAX 4"),
        ("SEARCH RETURN (COUNT) FLAGGED", "* ESEARCH (TAG \"tag\") COUNT 3"),
        ("UID SEARCH RETURN (count max min) FLAGGED", "* ESEARCH (TAG \"tag\") UID MIN 2 MAX 6 COUNT 3"),
        ("SEARCH RETURN (ALL COUNT) CHARSET UTF-8 NOT FLAGGED", "* ESEARCH (TAG \"tag\") COUNT 1 ALL 3"),
        ("SEARCH RETURN (MIN MAX ALL) ANSWERED", "* ESEARCH (TAG \"tag\")"),
        ("UID SEARCH RETURN (MIN COUNT) ANSWERED", "* ESEARCH (TAG \"tag\") UID COUNT 0"),
        ("SEARCH FLAGGED", "* SEARCH 1 2 4"),
    ] {
        assert_eq!(search(&mut imap, command), [response], "{command}");
    }
}

#[test]
fn nonsense_is_refused() {
    let (_instance, mut imap) = mailbox_of(1);
    all_bad(
        &mut imap,
        &[
            "SEARCH RETURN",
            "SEARCH RETURN ALL",
            "SEARCH RETURN ()",
            "SEARCH RETURN (MEDIAN) ALL",
            "SEARCH RETURN (MIN MAX ALL",
            "SEARCH RETURN (MIN)ALL",
            "SEARCH RETURN (MIN) 5",
            "SEARCH RETURN ((MIN)) ALL",
            "FETCH $,1 FLAGS",
            "FETCH $:1 FLAGS",
        ],
    );
    assert!(imap.refused("SEARCH RETURN (MIN) CHARSET X-FOO ALL").starts_with("NO [BADCHARSET"));
}

#[test]
fn a_saved_result_stands_for_its_messages() {
    let (instance, mut imap) = mailbox_of(5);
    assert_eq!(imap.ok("FETCH $ (UID)"), [""; 0], "nothing was saved yet");
    assert_eq!(search(&mut imap, "SEARCH RETURN (SAVE) 2:4"), [""; 0], "SAVE alone is silent");
    assert_eq!(imap.ok("FETCH $ (UID)"), ["* 2 FETCH (UID 2)", "* 3 FETCH (UID 3)", "* 4 FETCH (UID 4)"]);
    assert_eq!(imap.ok("UID FETCH $ (UID)").len(), 3);
    assert_eq!(
        search(&mut imap, "SEARCH RETURN (SAVE MIN MAX) $ NOT 3"),
        ["* ESEARCH (TAG \"tag\") MIN 2 MAX 4"]
    );
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH 2 4"]);
    assert_eq!(imap.ok("UID SEARCH NOT UID $"), ["* SEARCH 1 3 5"]);
    search(&mut imap, "SEARCH RETURN (SAVE COUNT MIN) ALL");
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH 1 2 3 4 5"], "with COUNT all of them are saved");
    search(&mut imap, "SEARCH RETURN (SAVE MIN) 3:5");
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH 3"]);
    // A message that is expunged is in it no more; the others keep their places.
    search(&mut imap, "SEARCH RETURN (SAVE) 2,4");
    let mut other = another(&instance);
    other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)");
    other.ok("EXPUNGE");
    imap.ok("NOOP");
    assert_eq!(imap.ok("FETCH $ (UID)"), ["* 3 FETCH (UID 4)"]);
    assert_eq!(imap.ok("STORE $ +FLAGS (\\Seen)").len(), 1);
    imap.ok("CREATE Copies");
    assert!(imap.command("COPY $ Copies").1.contains(" 4 1]"));
    imap.ok("STORE $ +FLAGS.SILENT (\\Deleted)");
    assert_eq!(imap.ok("UID EXPUNGE $"), ["* 3 EXPUNGE"]);
    assert_eq!(imap.ok("FETCH $ (UID)"), [""; 0]);
}

#[test]
fn a_result_lasts_until_it_is_replaced_or_the_mailbox_is_left() {
    let (_instance, mut imap) = mailbox_of(3);
    search(&mut imap, "SEARCH RETURN (SAVE) 1:2");
    search(&mut imap, "SEARCH RETURN (ALL) 3");
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH 1 2"], "a search without SAVE leaves it");
    assert!(imap.refused("SEARCH RETURN (SAVE) FOO").starts_with("BAD"));
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH 1 2"], "so does BAD");
    assert!(imap.refused("SEARCH RETURN (SAVE) CHARSET X-FOO ALL").starts_with("NO"));
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH"], "NO empties it");
    search(&mut imap, "SEARCH RETURN (SAVE) 1:2");
    imap.ok("SELECT INBOX");
    assert_eq!(imap.ok("SEARCH $"), ["* SEARCH"]);
}
