//! CONTEXT=SEARCH, CONTEXT=SORT: results that are kept up to date (RFC 5267 §4).

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
        "SORT RETURN (UPDATE COUNT) (DATE) UTF-8 ALL",
        "UID SORT RETURN (UPDATE COUNT) (DATE) UTF-8 1:3",
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

/// What a client makes of the updates of a sorted result (RFC 5267 §4.3.2 to §4.3.4).
fn apply(order: &mut Vec<u32>, tag: &str, told: &[String]) {
    for line in told {
        let Some(rest) = line.strip_prefix(&format!("* ESEARCH (TAG \"{tag}\") UID ")) else { continue };
        let (word, pairs) = rest.strip_suffix(')').unwrap().split_once(" (").unwrap();
        let mut words = pairs.split(' ');
        while let (Some(place), Some(set)) = (words.next(), words.next()) {
            let place: usize = place.parse().unwrap();
            let uids: Vec<u32> = set.split(',').map(|uid| uid.parse().unwrap()).collect();
            assert!(place > 0 && uids.is_sorted(), "{line}");
            for (count, uid) in uids.iter().enumerate() {
                match word {
                    "ADDTO" => order.insert(place - 1 + count, *uid),
                    "REMOVEFROM" => assert_eq!(order.remove(place - 1), *uid, "{line}"),
                    _ => panic!("{line}"),
                }
            }
        }
    }
}

/// The result of a SORT, as it is now.
fn sorted(imap: &mut Imap, command: &str) -> Vec<u32> {
    let line = imap.ok(command).into_iter().find(|line| line.starts_with("* SORT")).unwrap();
    line["* SORT".len()..].split_ascii_whitespace().map(|uid| uid.parse().unwrap()).collect()
}

fn titled(subject: &str) -> String {
    format!("From: a@b\r\nSubject: {subject}\r\n\r\nx\r\n")
}

#[test]
fn a_sorted_result_is_told_with_its_places() {
    let (instance, mut imap) = mailbox_of(0);
    assert!(is_offered(&mut imap, "CONTEXT=SORT"));
    let mut other = another(&instance);
    for subject in ["m", "c", "x"] {
        assert!(other.append("INBOX", "", &titled(subject)).starts_with("OK"));
    }
    imap.ok("NOOP");
    let told = tagged(&mut imap, "S01", "UID SORT RETURN (UPDATE ALL) (SUBJECT) UTF-8 UNDELETED");
    assert_eq!(told, ["* ESEARCH (TAG \"S01\") UID ALL 2,1,3"]);
    let told = tagged(&mut imap, "S02", "UID SORT RETURN (UPDATE COUNT) (REVERSE SUBJECT) UTF-8 FLAGGED");
    assert_eq!(told, ["* ESEARCH (TAG \"S02\") UID COUNT 0"]);
    for subject in ["d", "z", "d", "a"] {
        assert!(other.append("INBOX", "", &titled(subject)).starts_with("OK"));
    }
    let told = imap.ok("NOOP");
    assert_eq!(told.last().unwrap(), "* ESEARCH (TAG \"S01\") UID ADDTO (1 7 3 4,6 7 5)");
    imap.ok("UID STORE 1:4 +FLAGS.SILENT (\\Flagged)");
    // What leaves one may come to another.
    let told = imap.ok("UID STORE 4:6 +FLAGS.SILENT (\\Deleted)");
    let updates: Vec<&String> = told.iter().filter(|one| one.contains("S01")).collect();
    assert_eq!(updates, ["* ESEARCH (TAG \"S01\") UID REMOVEFROM (3 4,6 5 5)"]);
    // An expunged one is told before its EXPUNGE.
    other.ok("NOOP");
    other.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)");
    other.ok("UID EXPUNGE 1,4:6");
    let told = imap.ok("NOOP");
    assert_eq!(
        told[..2],
        ["* ESEARCH (TAG \"S01\") UID REMOVEFROM (3 1)", "* ESEARCH (TAG \"S02\") UID REMOVEFROM (2 1,4)",]
    );
    assert!(told[2].ends_with(" EXPUNGE"), "{told:?}");
    imap.ok("CANCELUPDATE \"S01\" \"S02\"");
    assert!(imap.ok("UID STORE 7 +FLAGS.SILENT (\\Deleted \\Flagged)").is_empty());
}

/// Whatever happens: who applies the updates has what the same SORT answers.
#[test]
fn the_updates_of_a_sorted_result_add_up() {
    let (instance, mut imap) = mailbox_of(0);
    let mut other = another(&instance);
    let mut seed = 7u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let criteria = "(REVERSE SUBJECT SIZE) UTF-8 UNSEEN";
    tagged(&mut imap, "T01", &format!("UID SORT RETURN (UPDATE COUNT) {criteria}"));
    let mut order = Vec::new();
    for round in 0..40 {
        for _ in 0..random(6) {
            let subject = format!("{}{}", char::from(b'a' + random(5) as u8), "y".repeat(random(3) as usize));
            assert!(other.append("INBOX", "", &titled(&subject)).starts_with("OK"));
        }
        other.ok("NOOP");
        let exists = other.exists("INBOX");
        if exists > 0 {
            for _ in 0..random(4) {
                let number = 1 + random(exists.into());
                let sign = if random(2) == 0 { '+' } else { '-' };
                other.ok(&format!("STORE {number} {sign}FLAGS.SILENT (\\Seen)"));
            }
            if round % 5 == 4 {
                other.ok(&format!("STORE {} +FLAGS.SILENT (\\Deleted)", 1 + random(exists.into())));
                other.ok("EXPUNGE");
            }
        }
        let told = imap.ok("NOOP");
        apply(&mut order, "T01", &told);
        let expected = sorted(&mut imap, &format!("UID SORT {criteria}"));
        assert_eq!(order, expected, "round {round}: {told:?}");
    }
    assert!(order.len() > 10, "{order:?}");
}
