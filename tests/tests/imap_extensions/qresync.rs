//! QRESYNC (RFC 7162 §3.2).

use std::collections::BTreeMap;

use super::*;

#[test]
fn it_must_be_enabled_first() {
    let (_instance, mut imap) = mailbox_of(1);
    assert!(is_offered(&mut imap, "QRESYNC"));
    assert!(imap.refused("SELECT INBOX (QRESYNC (1 1))").starts_with("BAD "));
    assert!(imap.refused("UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)").starts_with("BAD "));
    imap.ok("ENABLE QRESYNC");
    all_bad(
        &mut imap,
        &[
            "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
            "UID FETCH 1 FLAGS (VANISHED)",
            "SELECT INBOX (QRESYNC)",
            "SELECT INBOX (QRESYNC 1 1)",
            "SELECT INBOX (QRESYNC (0 1))",
            "SELECT INBOX (QRESYNC (1 0))",
            "SELECT INBOX (QRESYNC (1 1 *))",
            "SELECT INBOX (QRESYNC (1 1 1:2 (1,2 3)))",
            "SELECT INBOX (QRESYNC (1 18446744073709551616))",
        ],
    );
    imap.ok("UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)");
}

#[test]
fn expunges_are_told_as_vanished() {
    let (instance, mut imap) = mailbox_of(5);
    imap.ok("ENABLE QRESYNC");
    let mut other = another(&instance);
    other.ok("STORE 2:3 +FLAGS.SILENT (\\Deleted)");
    other.ok("STORE 5 +FLAGS.SILENT (\\Flagged)");
    other.ok("EXPUNGE");
    let highest = highest_modseq(&instance);
    let said = imap.ok("NOOP");
    assert_eq!(said[0], "* VANISHED 2:3");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].starts_with("* 3 FETCH (UID 5 FLAGS (\\Flagged"), "{said:?}");
    assert!(said[1].ends_with(&format!(" MODSEQ ({}))", highest - 1)), "{said:?}");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    let (said, end) = imap.command("EXPUNGE");
    assert_eq!(said, ["* VANISHED 1"]);
    assert_eq!(end, format!("OK [HIGHESTMODSEQ {}] EXPUNGE completed", highest + 2));
    imap.ok("CREATE Away");
    let (said, end) = imap.command("MOVE 1 Away");
    assert!(said[0].starts_with("* OK [COPYUID "), "{said:?}");
    assert_eq!(said[1..], ["* VANISHED 4"]);
    assert_eq!(end, format!("OK [HIGHESTMODSEQ {}] MOVE completed", highest + 3));
}

#[test]
fn an_idle_client_hears_of_what_vanished() {
    let (instance, mut imap) = mailbox_of(2);
    imap.ok("ENABLE QRESYNC");
    imap.wire.send(b"idle IDLE\r\n");
    assert!(imap.response().starts_with('+'));
    let mut other = another(&instance);
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    assert!(imap.response().contains("(UID 1 FLAGS (\\Deleted"));
    other.ok("EXPUNGE");
    assert_eq!(imap.response(), "* VANISHED 1");
    imap.wire.send(b"DONE\r\n");
    assert!(imap.until_tagged("idle").1.starts_with("OK"));
}

#[test]
fn what_vanished_since_is_told_before_what_changed() {
    let (instance, mut imap) = mailbox_of(6);
    imap.ok("ENABLE QRESYNC");
    let known = highest_modseq(&instance);
    let mut other = another(&instance);
    other.ok("STORE 2,4,5 +FLAGS.SILENT (\\Deleted)");
    other.ok("EXPUNGE");
    other.ok("STORE 2 +FLAGS.SILENT (\\Seen)"); // UID 3
    let now = highest_modseq(&instance);
    imap.ok("NOOP");
    let changed = |said: Vec<String>| said.iter().map(|one| one.replace(" \\Recent", "")).collect::<Vec<_>>();
    let row = format!("* 2 FETCH (UID 3 FLAGS (\\Seen) MODSEQ ({now}))");
    let fetch = |set: &str, since: u64| format!("UID FETCH {set} (FLAGS) (CHANGEDSINCE {since} VANISHED)");
    let said = changed(imap.ok(&fetch("1:*", known)));
    assert_eq!(said, ["* VANISHED (EARLIER) 2,4:5", &row]);
    assert_eq!(changed(imap.ok(&fetch("3:4", known))), ["* VANISHED (EARLIER) 4", &row]);
    assert_eq!(changed(imap.ok(&fetch("1,6", known))), [""; 0]);
    assert_eq!(changed(imap.ok(&fetch("1:4294967295", now - 1))), [row.as_str()]);
    assert_eq!(imap.ok(&fetch("1:*", now)), [""; 0]);
    // The last messages are gone, then all.
    other.ok("STORE 3 +FLAGS.SILENT (\\Deleted)");
    other.ok("EXPUNGE");
    assert_eq!(imap.ok("NOOP"), ["* VANISHED 6"]);
    assert_eq!(imap.ok(&fetch("1:*", now)), ["* VANISHED (EARLIER) 6"]);
    other.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    other.ok("EXPUNGE");
    imap.ok("NOOP");
    assert_eq!(imap.ok(&fetch("1:*", known)), ["* VANISHED (EARLIER) 1:6"]);
}

#[test]
fn a_mailbox_is_selected_with_what_was_missed() {
    let (instance, mut imap) = mailbox_of(6);
    let selected = imap.ok("SELECT INBOX");
    assert_eq!(selected[0], "* OK [CLOSED] Previous mailbox closed");
    let validity = number_behind(&selected, "UIDVALIDITY ");
    let known = number_behind(&selected, "HIGHESTMODSEQ ");
    imap.ok("LOGOUT");
    let mut other = another(&instance);
    other.ok("STORE 1,4 +FLAGS.SILENT (\\Deleted)");
    other.ok("EXPUNGE");
    other.ok("STORE 4 +FLAGS.SILENT (\\Answered)"); // UID 6
    let now = highest_modseq(&instance);
    let mut imap = instance.imap("alice");
    imap.ok("ENABLE QRESYNC");
    let news = |imap: &mut Imap, parameter: &str| -> Vec<String> {
        let (said, end) = imap.command(&format!("EXAMINE INBOX (QRESYNC ({parameter}))"));
        assert_eq!(end, "OK [READ-ONLY] EXAMINE completed");
        assert!(said.iter().any(|one| one == "* 4 EXISTS"), "{said:?}");
        said.into_iter().filter(|one| one.contains("VANISHED") || one.contains("FETCH")).collect()
    };
    let row = format!("* 4 FETCH (UID 6 FLAGS (\\Answered) MODSEQ ({now}))");
    assert_eq!(news(&mut imap, &format!("{validity} {known}")), ["* VANISHED (EARLIER) 1,4", &row]);
    assert_eq!(news(&mut imap, &format!("{validity} {known} 1:3,6")), ["* VANISHED (EARLIER) 1", &row]);
    assert_eq!(news(&mut imap, &format!("{validity} {known} 2:3")), [""; 0]);
    // UID 5 is the third message now as it was the fifth then: no match. The third one is.
    assert_eq!(news(&mut imap, &format!("{validity} {known} 1:6 (3,4 3,6)")), [row.as_str()]);
    assert_eq!(news(&mut imap, &format!("{validity} {now}")), [""; 0]);
    assert_eq!(
        news(&mut imap, &format!("{} {known}", validity + 1)),
        [""; 0],
        "another UIDVALIDITY: begin anew"
    );
}

/// A generator of numbers that a failed run can be repeated with.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What a client keeps between visits.
#[derive(Default)]
struct Cache {
    validity: u64,
    modseq: u64,
    flags: BTreeMap<u32, String>,
}

impl Cache {
    /// Takes in what a server says.
    fn take(&mut self, said: &[String]) {
        for one in said {
            if let Some(set) = one.strip_prefix("* VANISHED ") {
                for range in set.trim_start_matches("(EARLIER) ").split(',') {
                    let (low, high) = range.split_once(':').unwrap_or((range, range));
                    let (low, high): (u32, u32) = (low.parse().unwrap(), high.parse().unwrap());
                    self.flags.retain(|uid, _| !(low..=high).contains(uid));
                }
            } else if let Some((uid, flags)) = row(one) {
                self.flags.insert(uid, flags);
            } else if let Some((_, rest)) = one.split_once("[HIGHESTMODSEQ ") {
                self.modseq = rest.split(']').next().unwrap().parse().unwrap();
            }
        }
    }

    fn visit(&mut self, imap: &mut Imap) {
        let said = match self.validity {
            0 => imap.ok("SELECT INBOX"),
            validity => imap.ok(&format!("SELECT INBOX (QRESYNC ({validity} {}))", self.modseq)),
        };
        self.validity = number_behind(&said, "UIDVALIDITY ");
        if self.flags.is_empty() {
            self.take(&imap.ok("UID FETCH 1:* (FLAGS)"));
        }
        self.take(&said);
    }
}

/// UID and flags of a FETCH response, without \Recent, which belongs to a session.
fn row(response: &str) -> Option<(u32, String)> {
    let (_, rest) = response.split_once("FETCH (UID ")?;
    let (uid, rest) = rest.split_once(" FLAGS (")?;
    let mut flags: Vec<&str> =
        rest.split_once(')')?.0.split(' ').filter(|flag| *flag != "\\Recent").collect();
    flags.sort_unstable();
    Some((uid.parse().unwrap(), flags.join(" ")))
}

/// Whatever others do while a client is away or here: what it knows after a resynchronisation is what a client that
/// begins from nothing reads.
#[test]
fn a_resynchronisation_equals_a_full_one() {
    let (instance, mut other) = mailbox_of(20);
    other.ok("CREATE Away");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut cache = Cache::default();
    let rounds = if std::env::var_os("MAILBOAT_TEST_QUICK").is_some() { 25 } else { 120 };
    for round in 0..rounds {
        let mut imap = instance.imap("alice");
        imap.ok("ENABLE QRESYNC");
        cache.visit(&mut imap);
        for is_away in [false, true] {
            for _ in 0..dice.roll(6) {
                change(&mut other, &mut dice);
            }
            if is_away {
                break;
            }
            // In the session: what is announced, then what is new.
            let next = cache.flags.keys().next_back().map_or(1, |last| last + 1);
            let said = imap.ok("NOOP");
            cache.take(&said);
            let said = imap.ok(&format!("UID FETCH {next}:* (FLAGS)"));
            cache.take(&said);
            let full = another(&instance).ok("UID FETCH 1:* (FLAGS)");
            let full: BTreeMap<u32, String> = full.iter().filter_map(|one| row(one)).collect();
            assert_eq!(cache.flags, full, "in round {round}");
        }
        drop(imap);
        let mut imap = instance.imap("alice");
        imap.ok("ENABLE QRESYNC");
        cache.visit(&mut imap);
        let full: BTreeMap<u32, String> =
            another(&instance).ok("UID FETCH 1:* (FLAGS)").iter().filter_map(|one| row(one)).collect();
        assert_eq!(cache.flags, full, "round {round}");
    }
}

fn change(imap: &mut Imap, dice: &mut Dice) {
    imap.ok("NOOP");
    let uids: Vec<u32> =
        imap.ok("UID FETCH 1:* (FLAGS)").iter().filter_map(|one| row(one)).map(|(uid, _)| uid).collect();
    let mut any = || uids.get(dice.roll(uids.len().max(1) as u64) as usize).copied().unwrap_or(1);
    let (one, two) = (any(), any());
    match dice.roll(6) {
        0 | 1 => fill(imap, "INBOX", 1),
        2 => drop(imap.ok(&format!("UID STORE {one},{two} +FLAGS ($k{})", dice.roll(9)))),
        3 => drop(imap.ok(&format!("UID STORE {one}:{two} FLAGS.SILENT (\\Seen)"))),
        4 => {
            imap.ok(&format!("UID STORE {one} +FLAGS.SILENT (\\Deleted)"));
            imap.ok(&format!("UID EXPUNGE {one}"));
        }
        _ => drop(imap.command(&format!("UID MOVE {one} Away"))),
    }
}
