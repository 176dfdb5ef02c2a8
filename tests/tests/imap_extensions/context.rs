//! CONTEXT=SEARCH: results that are kept up to date (RFC 5267 §4).

use super::*;

/// Sends a command with a tag of its own; the responses before the tagged OK.
fn tagged(imap: &mut Imap, tag: &str, command: &str) -> Vec<String> {
    imap.wire.send(format!("{tag} {command}\r\n").as_bytes());
    let (told, end) = imap.until_tagged(tag);
    assert!(end.starts_with("OK"), "{command}: {end}");
    told
}

#[test]
fn flags_that_change_are_told_as_changes_of_the_result() {
    let (instance, mut imap) = mailbox_of(5);
    assert!(is_offered(&mut imap, "CONTEXT=SEARCH"));
    imap.ok("SELECT INBOX"); // nothing is recent a second time
    imap.ok("STORE 2:3 +FLAGS.SILENT (\\Flagged)");
    let told = tagged(&mut imap, "B01", "UID SEARCH RETURN (CONTEXT UPDATE COUNT) FLAGGED");
    assert_eq!(told, ["* ESEARCH (TAG \"B01\") UID COUNT 2"]);
    // By another session, with the FETCH it comes from.
    let mut other = another(&instance);
    other.ok("STORE 4:5 +FLAGS.SILENT (\\Flagged)");
    let told = imap.ok("NOOP");
    assert_eq!(told[0..2], ["* 4 FETCH (FLAGS (\\Flagged))", "* 5 FETCH (FLAGS (\\Flagged))"]);
    assert_eq!(told[2..], ["* ESEARCH (TAG \"B01\") UID ADDTO (0 4:5)"]);
    other.ok("STORE 2 -FLAGS.SILENT (\\Flagged)");
    assert_eq!(imap.ok("NOOP")[1..], ["* ESEARCH (TAG \"B01\") UID REMOVEFROM (0 2)"]);
    // By this one.
    let told = imap.ok("STORE 1:3 FLAGS (\\Flagged)");
    assert_eq!(told[3..], ["* ESEARCH (TAG \"B01\") UID ADDTO (0 1:2)"]);
    assert_eq!(imap.ok("UID STORE 1 FLAGS.SILENT ()"), ["* ESEARCH (TAG \"B01\") UID REMOVEFROM (0 1)"]);
    // What changes nothing of the result is not told.
    other.ok("STORE 5 +FLAGS.SILENT (\\Seen)");
    assert_eq!(imap.ok("NOOP"), ["* 5 FETCH (FLAGS (\\Flagged \\Seen))"]);
    assert!(imap.ok("NOOP").is_empty());
}

#[test]
fn messages_that_come_and_go_are_told() {
    let (instance, mut imap) = mailbox_of(3);
    tagged(&mut imap, "C01", "UID SEARCH RETURN (UPDATE ALL) SUBJECT lunch UNDELETED");
    tagged(&mut imap, "C02", "UID SEARCH RETURN (UPDATE) SUBJECT dinner");
    let mut other = another(&instance);
    fill(&mut other, "INBOX", 1);
    other.append("INBOX", "", "Subject: dinner\r\n\r\nlate\r\n");
    let told = imap.ok("NOOP");
    assert_eq!(told[0], "* 5 EXISTS");
    let updates: Vec<&String> = told.iter().filter(|one| one.contains("ESEARCH")).collect();
    assert_eq!(
        updates,
        ["* ESEARCH (TAG \"C01\") UID ADDTO (0 4)", "* ESEARCH (TAG \"C02\") UID ADDTO (0 5)"]
    );
    other.ok("UID STORE 2,5 +FLAGS.SILENT (\\Deleted)");
    let told = imap.ok("NOOP");
    assert_eq!(told[2..], ["* ESEARCH (TAG \"C01\") UID REMOVEFROM (0 2)"]);
    // An expunged message leaves the result before its EXPUNGE; never while numbers are in use.
    other.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)");
    other.ok("EXPUNGE");
    assert!(imap.ok("SEARCH RETURN (COUNT) ALL").iter().all(|one| !one.contains("REMOVEFROM")));
    let told = imap.ok("NOOP");
    assert_eq!(
        told,
        [
            "* ESEARCH (TAG \"C01\") UID REMOVEFROM (0 1)",
            "* ESEARCH (TAG \"C02\") UID REMOVEFROM (0 5)",
            "* 1 EXPUNGE",
            "* 1 EXPUNGE",
            "* 3 EXPUNGE"
        ]
    );
    // In IDLE it is told as it happens.
    imap.wire.send(b"D1 IDLE\r\n");
    assert!(imap.wire.line().starts_with('+'));
    fill(&mut other, "INBOX", 1);
    while imap.wire.line() != "* ESEARCH (TAG \"C01\") UID ADDTO (0 6)" {}
    imap.wire.send(b"DONE\r\n");
    imap.until_tagged("D1");
}

#[test]
fn keywords_that_come_later_are_known() {
    let (_instance, mut imap) = mailbox_of(2);
    tagged(&mut imap, "K1", "UID SEARCH RETURN (UPDATE) KEYWORD $Later");
    let told = imap.ok("UID STORE 2 +FLAGS ($Later)");
    assert_eq!(told.last().unwrap(), "* ESEARCH (TAG \"K1\") UID ADDTO (0 2)");
}

#[test]
fn updates_end_when_they_are_cancelled_or_the_mailbox_is_left() {
    let (_instance, mut imap) = mailbox_of(2);
    for tag in ["E1", "E2"] {
        tagged(&mut imap, tag, "UID SEARCH RETURN (UPDATE) FLAGGED");
    }
    assert!(imap.refused("CANCELUPDATE \"E1\" \"E9\"").starts_with("NO"));
    imap.ok("CANCELUPDATE \"E1\"");
    let told = imap.ok("UID STORE 1 +FLAGS.SILENT (\\Flagged)");
    assert_eq!(told, ["* ESEARCH (TAG \"E2\") UID ADDTO (0 1)"]);
    imap.ok("SELECT INBOX");
    assert!(imap.ok("UID STORE 2 +FLAGS.SILENT (\\Flagged)").is_empty());
    all_bad(&mut imap, &["CANCELUPDATE", "CANCELUPDATE E2"]);
    imap.ok("UNSELECT");
    all_bad(&mut imap, &["CANCELUPDATE \"E2\""]);
}

#[test]
fn what_is_not_kept_up_to_date_is_said_and_the_rest_is_done() {
    let (_instance, mut imap) = mailbox_of(3);
    imap.ok("UID SEARCH RETURN (SAVE) UID 1");
    for command in [
        "SEARCH RETURN (UPDATE COUNT) ALL",
        "UID SEARCH RETURN (UPDATE COUNT) 1:3",
        "UID SEARCH RETURN (UPDATE COUNT) NOT $",
        "UID SEARCH RETURN (UPDATE COUNT) UID $",
        "UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL",
    ] {
        let told = tagged(&mut imap, "F1", command);
        assert!(told[0].starts_with("* NO [NOUPDATE \"F1\"] "), "{command}: {told:?}");
        assert!(told[1].contains("COUNT "), "{command}: {told:?}");
    }
    assert!(imap.ok("STORE 1 +FLAGS.SILENT (\\Seen)").is_empty());
    for number in 1..=4 {
        assert!(tagged(&mut imap, &format!("G{number}"), "UID SEARCH RETURN (UPDATE) SEEN").is_empty());
    }
    let told = tagged(&mut imap, "G5", "UID SEARCH RETURN (UPDATE) SEEN");
    assert!(told[0].starts_with("* NO [NOUPDATE \"G5\"] "), "{told:?}");
    // A tag is that of one context.
    imap.wire.send(b"G1 UID SEARCH RETURN (UPDATE) ALL\r\n");
    assert!(imap.wire.line().starts_with("G1 BAD"));
    assert_eq!(imap.ok("UID STORE 2 +FLAGS.SILENT (\\Seen)").len(), 4);
}

#[test]
fn many_changes_are_told_in_whole() {
    let (instance, mut imap) = mailbox_of(0);
    let piece = format!(" {{{}+}}\r\n{MESSAGE}", MESSAGE.len());
    let mut other = another(&instance);
    tagged(&mut imap, "H1", "UID SEARCH RETURN (UPDATE) BODY noon UNSEEN");
    for _ in 0..10 {
        other.ok(&format!("APPEND INBOX{}", piece.repeat(100)));
    }
    assert!(imap.ok("NOOP").contains(&"* ESEARCH (TAG \"H1\") UID ADDTO (0 1:1000)".to_owned()));
    other.ok("NOOP");
    let odd: Vec<String> = (1..=1000).step_by(2).map(|uid| uid.to_string()).collect();
    other.ok(&format!("UID STORE {} +FLAGS.SILENT (\\Seen)", odd.join(",")));
    let told = imap.ok("NOOP");
    let removed: Vec<String> = told
        .iter()
        .filter_map(|one| one.strip_prefix("* ESEARCH (TAG \"H1\") UID REMOVEFROM (0 "))
        .flat_map(|one| one.trim_end_matches(')').split(',').map(str::to_owned))
        .collect();
    assert_eq!(removed, odd);
}
