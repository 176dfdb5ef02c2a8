//! CONDSTORE (RFC 7162 §3.1).

use super::*;

#[test]
fn every_enabling_command_turns_modification_sequences_on() {
    let (instance, mut first) = mailbox_of(2);
    assert!(is_offered(&mut first, "CONDSTORE"));
    let highest = highest_modseq(&instance);
    let told = format!("* OK [HIGHESTMODSEQ {highest}] Highest modseq");
    for command in [
        "ENABLE CONDSTORE",
        "ENABLE QRESYNC",
        "FETCH 1 MODSEQ",
        "FETCH 1 FLAGS (CHANGEDSINCE 1)",
        "SEARCH MODSEQ 1",
        "STORE 1 (UNCHANGEDSINCE 0) +FLAGS (\\Seen)",
        "STATUS INBOX (HIGHESTMODSEQ)",
        "SELECT INBOX (CONDSTORE)",
    ] {
        let mut imap = another(&instance);
        let row = imap.ok("STORE 1 FLAGS ()");
        assert!(!row[0].contains("MODSEQ"), "{row:?}");
        let said = imap.ok(command);
        assert!(said.iter().any(|one| one.starts_with("* OK [HIGHESTMODSEQ ")), "{command}: {said:?}");
        if !command.starts_with("SELECT") {
            assert_eq!(said.iter().filter(|one| **one == told).count(), 1, "{command}: {said:?}");
        }
        let row = imap.ok("STORE 1 FLAGS ()").remove(0);
        assert!(row.contains(" MODSEQ ("), "{command}: {row}");
        assert!(imap.ok("FETCH 1 MODSEQ").iter().all(|one| !one.contains("HIGHESTMODSEQ")), "once only");
    }
}

#[test]
fn enable_answers_for_what_is_offered_only() {
    let instance = Instance::start();
    let mut imap = instance.imap("alice");
    assert_eq!(imap.ok("ENABLE X-FOO IDLE UTF8=ONLY"), ["* ENABLED"]);
    assert_eq!(imap.ok("ENABLE condstore CONDSTORE X"), ["* ENABLED CONDSTORE"]);
    assert_eq!(imap.ok("ENABLE QRESYNC"), ["* ENABLED QRESYNC"]);
    all_bad(&mut imap, &["ENABLE", "ENABLE ", "ENABLE (CONDSTORE)"]);
}

#[test]
fn only_what_changed_is_fetched_and_found() {
    let (instance, mut imap) = mailbox_of(3);
    let before = highest_modseq(&instance);
    let mut other = another(&instance);
    other.ok("STORE 2 +FLAGS (\\Flagged)");
    let now = highest_modseq(&instance);
    assert_eq!(now, before + 1);
    imap.ok("NOOP");
    imap.ok("ENABLE CONDSTORE");
    let row = format!("* 2 FETCH (FLAGS (\\Flagged \\Recent) MODSEQ ({now}))").replace(" \\Recent", "");
    let said = imap.ok(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {before})"));
    assert_eq!(said.iter().map(|one| one.replace(" \\Recent", "")).collect::<Vec<_>>(), [row]);
    let said = imap.ok(&format!("UID FETCH 1:* (MODSEQ) (CHANGEDSINCE {before})"));
    assert_eq!(said, [format!("* 2 FETCH (UID 2 MODSEQ ({now}))")]);
    assert_eq!(imap.ok(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {now})")), [""; 0]);
    assert_eq!(imap.ok("FETCH 1:* (UID) (CHANGEDSINCE 0)").len(), 3);
    assert_eq!(imap.ok(&format!("SEARCH MODSEQ {now}")), [format!("* SEARCH 2 (MODSEQ {now})")]);
    assert_eq!(
        imap.ok(&format!("SEARCH MODSEQ \"/flags/\\\\draft\" all {now}")),
        [format!("* SEARCH 2 (MODSEQ {now})")]
    );
    assert_eq!(imap.ok(&format!("SEARCH MODSEQ {}", now + 1)), ["* SEARCH"]);
    assert_eq!(imap.ok("SEARCH OR MODSEQ 1 SEEN"), [format!("* SEARCH 1 2 3 (MODSEQ {now})")]);
    imap.wire.send(format!("tag SEARCH RETURN (ALL) MODSEQ {now}\r\n").as_bytes());
    assert_eq!(imap.until_tagged("tag").0, [format!("* ESEARCH (TAG \"tag\") ALL 2 MODSEQ {now}")]);
    imap.wire.send(b"tag SEARCH RETURN (MAX) MODSEQ 1\r\n");
    assert_eq!(imap.until_tagged("tag").0, [format!("* ESEARCH (TAG \"tag\") MAX 3 MODSEQ {before}")]);
}

#[test]
fn a_message_that_changed_is_not_stored_to() {
    let (instance, mut imap) = mailbox_of(3);
    let mut other = another(&instance);
    imap.ok("ENABLE CONDSTORE");
    let known = highest_modseq(&instance);
    other.ok("STORE 2 +FLAGS (\\Answered)");
    let (said, end) = imap.command(&format!("STORE 1:3 (UNCHANGEDSINCE {known}) +FLAGS.SILENT (\\Deleted)"));
    let changed = highest_modseq(&instance);
    assert_eq!(end, "OK [MODIFIED 2] Some messages had changed");
    let silent: Vec<&String> = said.iter().filter(|one| !one.contains("FLAGS")).collect();
    assert_eq!(
        silent,
        [&format!("* 1 FETCH (MODSEQ ({changed}))"), &format!("* 3 FETCH (MODSEQ ({changed}))")]
    );
    let told = said.iter().find(|one| one.starts_with("* 2 FETCH (FLAGS (\\Answered")).unwrap();
    assert!(told.contains(&format!(" MODSEQ ({})", changed - 1)), "what the other did is told: {told}");
    // All of them changed since.
    let (said, end) = imap.command(&format!("UID STORE 1:* (UNCHANGEDSINCE {known}) FLAGS (\\Seen)"));
    assert_eq!((said, end.as_str()), (vec![], "OK [MODIFIED 1:3] Some messages had changed"));
    assert!(imap.command("STORE 1 (UNCHANGEDSINCE 0) FLAGS ()").1.starts_with("OK [MODIFIED 1] "));
    // With what it knows now it goes through, and says so.
    let (said, end) = imap.command(&format!("UID STORE 2 (UNCHANGEDSINCE {changed}) FLAGS (\\Seen)"));
    assert_eq!(end, "OK STORE completed");
    assert!(said[0].starts_with("* 2 FETCH (UID 2 FLAGS (\\Seen"), "{said:?}");
    assert!(said[0].ends_with(&format!(" MODSEQ ({}))", changed + 1)), "{said:?}");
    // Who has not asked for modification sequences is told of flags as ever.
    assert!(other.ok("NOOP").iter().all(|one| !one.contains("MODSEQ")));
}

/// Of many conditional changes to one message at the same state, one goes through.
#[test]
fn of_two_that_race_one_wins() {
    let (instance, imap) = mailbox_of(1);
    drop(imap);
    let instance = &instance;
    for round in 0..5 {
        let known = highest_modseq(instance);
        let wins: usize = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..4)
                .map(|racer| {
                    scope.spawn(move || {
                        let mut imap = another(instance);
                        let change = format!("STORE 1 (UNCHANGEDSINCE {known}) FLAGS (r{round}x{racer})");
                        let end = imap.command(&change).1;
                        assert!(end.starts_with("OK "), "{end}");
                        usize::from(!end.contains("MODIFIED"))
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(wins, 1, "round {round}");
    }
}

#[test]
fn expunges_have_a_modification_sequence_too() {
    let (instance, mut imap) = mailbox_of(3);
    imap.ok("ENABLE CONDSTORE");
    imap.ok("STORE 2 +FLAGS.SILENT (\\Deleted)");
    let (said, end) = imap.command("EXPUNGE");
    let highest = highest_modseq(&instance);
    assert_eq!(
        (said, end),
        (vec!["* 2 EXPUNGE".to_owned()], format!("OK [HIGHESTMODSEQ {highest}] EXPUNGE completed"))
    );
    assert_eq!(imap.command("EXPUNGE").1, "OK EXPUNGE completed");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(imap.command("CLOSE").1, format!("OK [HIGHESTMODSEQ {}] CLOSE completed", highest + 2));
}

#[test]
fn nonsense_is_refused() {
    let (_instance, mut imap) = mailbox_of(1);
    all_bad(
        &mut imap,
        &[
            "SELECT INBOX ()",
            "SELECT INBOX (CONDSTORES)",
            "SELECT INBOX (CONDSTORE",
            "FETCH 1 FLAGS (CHANGEDSINCE)",
            "FETCH 1 FLAGS (CHANGEDSINCE -1)",
            "FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)",
            "FETCH 1 FLAGS (CHANGED 1)",
            "FETCH 1 FLAGS ()",
            "FETCH 2 FLAGS (CHANGEDSINCE 1)",
            "STORE 1 (UNCHANGEDSINCE) FLAGS ()",
            "STORE 1 (UNCHANGEDSINCE x) FLAGS ()",
            "STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS ()",
            "STORE 1 (CHANGEDSINCE 1) FLAGS ()",
            "STORE 1 () FLAGS ()",
            "SEARCH MODSEQ",
            "SEARCH MODSEQ x",
            "SEARCH MODSEQ \"/flags/x\" some 1",
            "STATUS INBOX (HIGHESTMODSEQS)",
        ],
    );
}
