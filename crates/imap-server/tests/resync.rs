//! QRESYNC against a model, with housekeeping in between: whatever was compacted away, a client that comes back knows in the
//! end what one that begins anew reads (RFC 7162 §3.2.5).
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{Client, Site, message};
use message_store::MailboxName;
use proptest::prelude::*;

/// What another session does. Numbers choose among the messages that are there.
#[derive(Clone, Debug)]
enum Deed {
    Append(u8),
    Flag(usize, usize),
    Expunge(usize, usize),
    /// Files of expunged messages go; when many have, their records go too.
    CleanUp,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        (1u8..120).prop_map(Deed::Append),
        (any::<usize>(), 1usize..40).prop_map(|(from, count)| Deed::Flag(from, count)),
        (any::<usize>(), 1usize..200).prop_map(|(from, count)| Deed::Expunge(from, count)),
        Just(Deed::CleanUp),
    ];
    proptest::collection::vec(deed, 0..6)
}

fn act(site: &Site, client: &mut Client, deed: &Deed, turn: usize) {
    client.ok("NOOP");
    let uids: Vec<u32> = rows(&client.ok("UID FETCH 1:* (FLAGS)")).into_keys().collect();
    let range = |from: usize, count: usize| {
        let from = from % uids.len().max(1);
        let to = (from + count).min(uids.len().saturating_sub(1));
        Some((*uids.get(from)?, *uids.get(to)?))
    };
    match deed {
        Deed::Append(count) => {
            for _ in 0..*count {
                site.put("user/joe/INBOX", message("m").as_bytes());
            }
        }
        Deed::Flag(from, count) => {
            if let Some((low, high)) = range(*from, *count) {
                client.ok(&format!("UID STORE {low}:{high} FLAGS.SILENT (k{})", turn % 7));
            }
        }
        Deed::Expunge(from, count) => {
            if let Some((low, high)) = range(*from, *count) {
                client.ok(&format!("UID STORE {low}:{high} +FLAGS.SILENT (\\Deleted)"));
                client.ok("EXPUNGE");
            }
        }
        Deed::CleanUp => {
            let name = MailboxName::parse("user/joe/INBOX").unwrap();
            site.store.open_mailbox(&name).unwrap().clean_up(Duration::ZERO).unwrap();
        }
    }
}

fn rows(said: &str) -> BTreeMap<u32, String> {
    said.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<(u32, String)> {
    let (uid, rest) = line.split_once("FETCH (UID ")?.1.split_once(" FLAGS (")?;
    let flags = rest.split_once(')')?.0.replace("\\Recent", "");
    Some((uid.parse().ok()?, flags.trim().to_owned()))
}

/// Takes in what a server says.
fn take(cache: &mut BTreeMap<u32, String>, said: &str) {
    for line in said.lines() {
        if let Some(set) = line.strip_prefix("* VANISHED ") {
            for range in set.trim_start_matches("(EARLIER) ").split(',') {
                let (low, high) = range.split_once(':').unwrap_or((range, range));
                let gone = low.parse::<u32>().unwrap()..=high.parse::<u32>().unwrap();
                cache.retain(|uid, _| !gone.contains(uid));
            }
        } else if let Some((uid, flags)) = row(line) {
            cache.insert(uid, flags);
        }
    }
}

fn number(said: &str, word: &str) -> u64 {
    let rest = said.split_once(word).unwrap_or_else(|| panic!("no {word} in {said}")).1;
    rest.split(']').next().unwrap().parse().unwrap()
}

fn returns_to_what_is_there(away: Vec<Vec<Deed>>, with_known: bool) {
    let site = Site::new();
    site.put("user/joe/INBOX", message("first").as_bytes());
    let mut other = site.user("joe");
    other.ok("SELECT INBOX");
    let mut cache = BTreeMap::new();
    let mut visited: Option<(u64, u64)> = None;
    for (turn, deeds) in away.iter().enumerate() {
        for deed in deeds {
            act(&site, &mut other, deed, turn);
        }
        let mut client = site.user("joe");
        client.ok("ENABLE QRESYNC");
        let last = cache.keys().next_back().copied().unwrap_or(0);
        let said = match visited {
            None => client.ok("SELECT INBOX") + &client.ok("UID FETCH 1:* (FLAGS)"),
            Some((validity, modseq)) => {
                // A client may name what it has, and some of it with its sequence numbers.
                let matches: Vec<(usize, u32)> = (1..).zip(cache.keys().copied()).step_by(7).collect();
                let known = match (with_known, matches.is_empty()) {
                    (true, false) => {
                        let list = |pick: fn(&(usize, u32)) -> String| {
                            matches.iter().map(pick).collect::<Vec<_>>().join(",")
                        };
                        format!(
                            " 1:{last} ({} {})",
                            list(|pair| pair.0.to_string()),
                            list(|pair| pair.1.to_string())
                        )
                    }
                    _ => String::new(),
                };
                let said = client.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}{known}))"));
                said + &client.ok(&format!("UID FETCH {}:* (FLAGS)", last + 1))
            }
        };
        visited = Some((number(&said, "[UIDVALIDITY "), number(&said, "[HIGHESTMODSEQ ")));
        take(&mut cache, &said);
        let mut fresh = site.user("joe");
        fresh.ok("SELECT INBOX");
        assert_eq!(cache, rows(&fresh.ok("UID FETCH 1:* (FLAGS)")), "turn {turn}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_resynchronisation_equals_a_full_one(
        away in proptest::collection::vec(deeds(), 2..6),
        with_known in any::<bool>(),
    ) {
        returns_to_what_is_there(away, with_known);
    }
}

/// The records of expunged messages are gone: every UID that is not there is told, and only those.
#[test]
fn where_history_is_gone_everything_that_is_not_there_vanished() {
    let site = Site::new();
    for _ in 0..400 {
        site.put("user/joe/INBOX", message("m").as_bytes());
    }
    let mut client = site.user("joe");
    client.ok("ENABLE QRESYNC");
    let selected = client.ok("SELECT INBOX");
    let (validity, modseq) = (number(&selected, "[UIDVALIDITY "), number(&selected, "[HIGHESTMODSEQ "));
    client.ok("UID STORE 11:300 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    client.ok("UNSELECT");
    let resync = |client: &mut Client, known: &str| {
        let said = client.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}{known}))"));
        client.ok("UNSELECT");
        said.lines().filter(|line| line.contains("VANISHED")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(resync(&mut client, ""), ["* VANISHED (EARLIER) 11:300"]);
    let name = MailboxName::parse("user/joe/INBOX").unwrap();
    let mailbox = site.store.open_mailbox(&name).unwrap();
    assert!(mailbox.clean_up(Duration::ZERO).unwrap().compacted);
    assert!(mailbox.status().unwrap().forgotten_modseq > modseq);
    assert_eq!(resync(&mut client, ""), ["* VANISHED (EARLIER) 11:300"]);
    assert_eq!(resync(&mut client, " 5:20,300:400"), ["* VANISHED (EARLIER) 11:20,300"]);
    assert_eq!(resync(&mut client, " 1:10,301:400"), [""; 0]);
    assert_eq!(resync(&mut client, " 1:400 (1:10 1:10)"), ["* VANISHED (EARLIER) 11:300"]);
    assert_eq!(resync(&mut client, " 1:400 (11 301)"), [""; 0], "the client knows of it already");
    // What is expunged from now on is remembered exactly again.
    let selected = client.ok("SELECT INBOX");
    let now = number(&selected, "[HIGHESTMODSEQ ");
    client.ok("UID STORE 5 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    let said = client.ok(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {now} VANISHED)"));
    assert_eq!(said, "* VANISHED (EARLIER) 5\r\n");
}
