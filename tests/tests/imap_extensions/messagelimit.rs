//! MESSAGELIMIT, SAVELIMIT (RFC 9738).

use black_box::Setup;

use super::*;

/// Alice has so many messages in her INBOX, selected, and a mailbox Old; one parameter is set.
fn limited(parameter: &str, value: &str, count: u32) -> (Instance, Imap) {
    let instance = Setup::default().set(parameter, value).start();
    let mut imap = instance.imap("alice");
    fill(&mut imap, "INBOX", count);
    imap.ok("CREATE Old");
    imap.ok("SELECT INBOX");
    (instance, imap)
}

/// What the tagged response says, after its tag; the untagged ones before it.
fn told(imap: &mut Imap, command: &str) -> (Vec<String>, String) {
    imap.wire.send(format!("m {command}\r\n").as_bytes());
    imap.until_tagged("m")
}

fn is_cut(imap: &mut Imap, command: &str, code: &str) -> Vec<String> {
    let (responses, tagged) = told(imap, command);
    assert!(tagged.starts_with(&format!("OK [{code}] ")), "{command}: {responses:?} {tagged}");
    responses
}

fn is_whole(imap: &mut Imap, command: &str) -> Vec<String> {
    let (responses, tagged) = told(imap, command);
    assert!(tagged.starts_with("OK ") && !tagged.contains("MESSAGELIMIT"), "{command}: {tagged}");
    responses
}

#[test]
fn without_the_parameters_nothing_is_announced_or_bounded() {
    let (_instance, mut imap) = mailbox_of(5);
    let offered = imap.ok("CAPABILITY").concat();
    assert!(!offered.contains("MESSAGELIMIT") && !offered.contains("SAVELIMIT"), "{offered}");
    imap.ok("CREATE Old");
    assert_eq!(is_whole(&mut imap, "FETCH 1:* UID").len(), 5);
    assert_eq!(is_whole(&mut imap, "SEARCH ALL"), ["* SEARCH 1 2 3 4 5"]);
    imap.ok("COPY 1:* Old");
}

#[test]
fn fetch_and_store_take_the_last_and_say_how_far_they_came() {
    let (_instance, mut imap) = limited("service.imap.messagelimit", "3", 7);
    assert!(is_offered(&mut imap, "MESSAGELIMIT=3"));
    assert_eq!(
        is_cut(&mut imap, "FETCH 1:* UID", "MESSAGELIMIT 3 5"),
        ["* 5 FETCH (UID 5)", "* 6 FETCH (UID 6)", "* 7 FETCH (UID 7)"]
    );
    // A client that goes on below that UID gets everything once.
    assert_eq!(is_cut(&mut imap, "UID FETCH 1:4 UID", "MESSAGELIMIT 3 2").len(), 3);
    assert_eq!(is_whole(&mut imap, "UID FETCH 1:1 UID"), ["* 1 FETCH (UID 1)"]);
    assert_eq!(is_whole(&mut imap, "FETCH 2:4 UID").len(), 3);
    // Numbers with holes.
    assert_eq!(
        is_cut(&mut imap, "FETCH 1,3,5,7 UID", "MESSAGELIMIT 3 3"),
        ["* 3 FETCH (UID 3)", "* 5 FETCH (UID 5)", "* 7 FETCH (UID 7)"]
    );
    assert_eq!(is_cut(&mut imap, "STORE 1:6 +FLAGS (\\Flagged)", "MESSAGELIMIT 3 4").len(), 3);
    assert_eq!(is_whole(&mut imap, "UID SEARCH UID 2:4 FLAGGED"), ["* SEARCH 4"]);
    assert!(imap.refused("UID FETCH 1:* UID (PARTIAL 1:4)").starts_with("NO [MESSAGELIMIT 3 2] "));
    assert_eq!(is_whole(&mut imap, "UID FETCH 1:* UID (PARTIAL 1:3)").len(), 3);
}

#[test]
fn a_code_that_is_there_already_keeps_its_place() {
    let (instance, mut imap) = limited("service.imap.messagelimit", "2", 4);
    imap.ok("ENABLE CONDSTORE");
    let before = number_behind(&imap.ok("STATUS INBOX (HIGHESTMODSEQ)"), "HIGHESTMODSEQ ");
    another(&instance).ok("STORE 4 +FLAGS (\\Answered)");
    let command = format!("STORE 1:* (UNCHANGEDSINCE {before}) +FLAGS (\\Flagged)");
    let (responses, tagged) = told(&mut imap, &command);
    assert!(tagged.starts_with("OK [MODIFIED 4] "), "{tagged}");
    let is_limit = |line: &String| line.starts_with("* NO [MESSAGELIMIT 2 3] ");
    assert!(responses.iter().any(is_limit), "{responses:?}");
}

#[test]
fn search_counts_what_its_sets_leave_to_look_at() {
    let (_instance, mut imap) = limited("service.imap.messagelimit", "3", 7);
    imap.ok("STORE 5 +FLAGS.SILENT (\\Flagged)");
    imap.ok("STORE 2 +FLAGS.SILENT (\\Flagged)");
    assert_eq!(is_cut(&mut imap, "SEARCH ALL", "MESSAGELIMIT 3 5"), ["* SEARCH 5 6 7"]);
    assert_eq!(is_cut(&mut imap, "UID SEARCH FLAGGED", "MESSAGELIMIT 3 5"), ["* SEARCH 5"]);
    assert_eq!(is_cut(&mut imap, "UID SEARCH UIDBEFORE 5 FLAGGED", "MESSAGELIMIT 3 2"), ["* SEARCH 2"]);
    assert_eq!(is_whole(&mut imap, "UID SEARCH UIDBEFORE 2 FLAGGED"), ["* SEARCH"]);
    assert_eq!(is_whole(&mut imap, "UID SEARCH UIDAFTER 4"), ["* SEARCH 5 6 7"]);
    assert_eq!(is_whole(&mut imap, "UID SEARCH UIDAFTER 1 UIDBEFORE 4"), ["* SEARCH 2 3"]);
    assert_eq!(is_whole(&mut imap, "SEARCH 1:2,5 FLAGGED"), ["* SEARCH 2 5"]);
    // Under OR and NOT a set leaves nothing out.
    assert_eq!(is_cut(&mut imap, "SEARCH NOT 1:5", "MESSAGELIMIT 3 5"), ["* SEARCH 6 7"]);
    // What is kept as $ is what was found.
    is_cut(&mut imap, "UID SEARCH RETURN (SAVE) ALL", "MESSAGELIMIT 3 5");
    assert_eq!(is_whole(&mut imap, "FETCH $ UID").len(), 3);
    let (responses, _) = told(&mut imap, "UID SEARCH RETURN (UPDATE COUNT) ALL");
    assert!(responses[0].starts_with("* NO [NOUPDATE \"m\"]"), "{responses:?}");
    for command in ["SORT (ARRIVAL) UTF-8 ALL", "UID THREAD REFERENCES UTF-8 ALL"] {
        assert!(imap.refused(command).starts_with("NO [MESSAGELIMIT 3 5] "), "{command}");
    }
    assert_eq!(is_whole(&mut imap, "SORT (ARRIVAL) UTF-8 UID 1:3"), ["* SORT 1 2 3"]);
    let several = "ESEARCH IN (mailboxes (INBOX Old)) RETURN (COUNT)";
    assert!(imap.refused(&format!("{several} ALL")).starts_with("NO [MESSAGELIMIT 3] "));
    assert_eq!(is_whole(&mut imap, &format!("{several} UIDAFTER 5")).len(), 1);
    all_bad(
        &mut imap,
        &["SEARCH UIDAFTER", "SEARCH UIDBEFORE 0", "SEARCH UIDAFTER 1:2", "SEARCH UIDBEFORE *"],
    );
}

#[test]
fn what_moves_goes_in_parts_and_what_is_copied_does_not() {
    let (_instance, mut imap) = limited("service.imap.messagelimit", "2", 5);
    assert!(imap.refused("COPY 1:3 Old").starts_with("NO [MESSAGELIMIT 2 2] "));
    assert_eq!(imap.exists("Old"), 0);
    imap.ok("SELECT INBOX");
    imap.ok("COPY 1:2 Old");
    let moved = is_cut(&mut imap, "UID MOVE 1:* Old", "MESSAGELIMIT 2 4");
    assert!(moved[0].contains("COPYUID") && moved[0].contains(" 4:5 3:4]"), "{moved:?}");
    assert_eq!(moved[1..], ["* 4 EXPUNGE", "* 4 EXPUNGE"]);
    let piece = format!(" {{{}+}}\r\n{MESSAGE}", MESSAGE.len());
    assert!(imap.refused(&format!("APPEND Old{}", piece.repeat(3))).starts_with("NO [MESSAGELIMIT 2] "));
    assert_eq!(imap.exists("Old"), 4);
    imap.ok(&format!("APPEND Old{}", piece.repeat(2)));
    assert_eq!(imap.exists("Old"), 6);
}

#[test]
fn uid_expunge_counts_what_is_deleted_and_expunge_takes_all() {
    let (_instance, mut imap) = limited("service.imap.messagelimit", "2", 7);
    for pair in ["1:2", "3:4", "6:7"] {
        is_whole(&mut imap, &format!("STORE {pair} +FLAGS.SILENT (\\Deleted)"));
    }
    assert_eq!(is_cut(&mut imap, "UID EXPUNGE 1:5", "MESSAGELIMIT 2 3"), ["* 3 EXPUNGE", "* 3 EXPUNGE"]);
    assert_eq!(is_whole(&mut imap, "UID EXPUNGE 1:5").len(), 2);
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(is_whole(&mut imap, "EXPUNGE").len(), 3);
}

#[test]
fn savelimit_is_for_copy_and_append_alone() {
    let (_instance, mut imap) = limited("service.imap.savelimit", "2", 4);
    assert!(is_offered(&mut imap, "SAVELIMIT=2"));
    assert_eq!(is_whole(&mut imap, "FETCH 1:* UID").len(), 4);
    assert!(imap.refused("COPY 1:* Old").starts_with("NO [MESSAGELIMIT 2 3] "));
    imap.ok("COPY 3:4 Old");
    let piece = format!(" {{{}+}}\r\n{MESSAGE}", MESSAGE.len());
    assert!(imap.refused(&format!("APPEND Old{}", piece.repeat(3))).starts_with("NO [MESSAGELIMIT 2] "));
    assert_eq!(is_whole(&mut imap, "SEARCH ALL"), ["* SEARCH 1 2 3 4"]);
    is_whole(&mut imap, "MOVE 1:* Old");
    assert_eq!(imap.exists("Old"), 6);
}
