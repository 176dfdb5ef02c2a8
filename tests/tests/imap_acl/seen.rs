//! \Seen of each reader of a shared folder: exact, apart from all others, and there after whatever may happen.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use black_box::instance::wait_for;
use black_box::{Imap, Instance, Setup, quick};

use super::{MESSAGE, name, tool};

const WORK: &str = "\"Shared Folders/User/alice/Work\"";

/// A folder of alice's with so many messages, which all may read and mark.
fn folder(instance: &Instance, messages: usize) -> Imap {
    let mut alice = instance.imap("alice");
    alice.ok("CREATE Work");
    for _ in 0..messages {
        assert!(alice.append("Work", "", MESSAGE).starts_with("OK"));
    }
    instance.imap("admin").ok("SETACL user/alice/Work anyone lrs");
    alice
}

/// The sequence numbers that are seen, as SEARCH and as FETCH say; STATUS agrees.
fn seen(imap: &mut Imap, mailbox: &str) -> BTreeSet<u32> {
    let status = imap.ok(&format!("STATUS {mailbox} (MESSAGES UNSEEN)")).remove(0);
    imap.ok(&format!("EXAMINE {mailbox}"));
    let found = imap.ok("SEARCH SEEN");
    let found: BTreeSet<u32> = found[0].split(' ').skip(2).map(|number| number.parse().unwrap()).collect();
    let rows = imap.ok("FETCH 1:* (FLAGS)");
    let is_seen = |row: &&String| row.contains("\\Seen");
    let fetched: BTreeSet<u32> =
        rows.iter().filter(is_seen).map(|row| row.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    imap.ok("UNSELECT");
    assert_eq!(found, fetched);
    let unseen = rows.len() - found.len();
    assert!(status.ends_with(&format!("(MESSAGES {} UNSEEN {unseen})", rows.len())), "{status} {found:?}");
    found
}

fn numbers(set: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
    set.into_iter().collect()
}

#[test]
fn each_of_three_users_has_it_apart_through_restarts_kills_and_reconstruct() {
    let mut instance = Setup::default().users(&["alice", "bob", "carol"]).start();
    let mut alice = folder(&instance, 9);
    let (mut bob, mut carol) = (instance.imap("bob"), instance.imap("carol"));
    bob.ok(&format!("SELECT {WORK}"));
    bob.ok("STORE 1:4,9 +FLAGS.SILENT (\\Seen)");
    bob.ok("STORE 9 -FLAGS (\\Seen)");
    carol.ok(&format!("SELECT {WORK}"));
    carol.ok("FETCH 2:3 BODY[]");
    alice.ok("SELECT Work");
    alice.ok("STORE 7 +FLAGS (\\Seen)");
    alice.ok("UNSELECT");
    let check = |instance: &Instance, what: &str| {
        let of = |user: &str, mailbox: &str| seen(&mut instance.imap(user), mailbox);
        assert_eq!(of("alice", "Work"), numbers([7]), "{what}");
        assert_eq!(of("bob", WORK), numbers(1..=4), "{what}");
        assert_eq!(of("carol", WORK), numbers([2, 3]), "{what}");
    };
    check(&instance, "at once");
    // The administrator in alice's place sees what alice sees.
    assert_eq!(seen(&mut instance.imap("admin"), "user/alice/Work"), numbers([7]));
    drop((alice, bob, carol));
    instance.kill_all();
    instance.start_all();
    check(&instance, "after kill -9");
    tool(&instance, "reconstruct", &["-f", "user/alice/Work"]);
    check(&instance, "after reconstruct");
    instance.kill_all();
    for entry in std::fs::read_dir(instance.path("store/mboxlist")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    tool(&instance, "reconstruct", &["-m"]);
    instance.start_all();
    check(&instance, "after reconstruct -m");
    // A rename takes it along; what becomes of a message does too.
    let mut alice = instance.imap("alice");
    alice.ok("RENAME Work Play");
    assert_eq!(seen(&mut instance.imap("bob"), &name("Play")), numbers(1..=4));
    alice.ok("SELECT Play");
    alice.ok("STORE 1 +FLAGS (\\Deleted)");
    alice.ok("EXPUNGE");
    assert!(alice.append("Play", "(\\Seen) ", MESSAGE).starts_with("OK"));
    assert_eq!(seen(&mut instance.imap("bob"), &name("Play")), numbers(1..=3));
    // A mailbox that is made anew was read by nobody.
    alice.ok("DELETE Play");
    alice.ok("CREATE Play");
    assert!(alice.append("Play", "", MESSAGE).starts_with("OK"));
    alice.ok("SETACL Play bob lrs");
    assert_eq!(seen(&mut instance.imap("bob"), &name("Play")), numbers([]));
}

/// In a public folder nobody is the owner.
#[test]
fn in_a_public_folder_everybody_has_it_apart_and_copies_carry_ones_own() {
    let instance = Instance::start();
    tool(&instance, "mboxutil", &["-c", "News"]);
    let news = "\"Shared Folders/News\"";
    let mut admin = instance.imap("admin");
    for flags in ["(\\Seen) ", ""] {
        assert!(admin.append(news, flags, MESSAGE).starts_with("OK"));
    }
    let (mut alice, mut bob) = (instance.imap("alice"), instance.imap("bob"));
    assert_eq!(seen(&mut admin, news), numbers([1]));
    assert_eq!(seen(&mut bob, news), numbers([]));
    bob.ok(&format!("SELECT {news}"));
    bob.ok("STORE 2 +FLAGS (\\Seen)");
    bob.ok("COPY 1:2 INBOX");
    bob.ok("UNSELECT");
    assert_eq!(seen(&mut bob, "INBOX"), numbers([2]));
    assert_eq!(seen(&mut alice, news), numbers([]));
    admin.ok(&format!("SETACL {news} bob lrsi"));
    bob.ok("SELECT INBOX");
    bob.ok(&format!("COPY 1:2 {news}"));
    assert_eq!(seen(&mut bob, news), numbers([2, 4]));
    assert_eq!(seen(&mut admin, news), numbers([1]));
}

/// RFC 7162 for a reader: what another session of the same user did is told, exactly once, with numbers that ascend; what
/// other users read is not told at all.
#[test]
fn sessions_of_one_user_hear_of_each_other_and_others_hear_nothing() {
    let instance =
        Setup::default().users(&["alice", "bob", "carol"]).set("service.imap.numprocesses", "2").start();
    let mut alice = folder(&instance, 5);
    let mut sessions: Vec<Imap> = (0..6).map(|_| instance.imap("bob")).collect();
    let mut carol = instance.imap("carol");
    for imap in sessions.iter_mut().chain([&mut carol]) {
        imap.ok("ENABLE CONDSTORE QRESYNC");
        imap.ok(&format!("SELECT {WORK}"));
    }
    let highest = |imap: &mut Imap| -> u64 {
        let status = imap.ok(&format!("STATUS {WORK} (HIGHESTMODSEQ)"));
        let row = status.iter().find(|row| row.starts_with("* STATUS")).unwrap();
        row.rsplit(' ').next().unwrap().trim_end_matches(')').parse().unwrap()
    };
    let mut first = sessions.remove(0);
    let (before, of_carol) = (highest(&mut first), highest(&mut carol));
    carol.wire.send(b"i IDLE\r\n");
    assert!(carol.response().starts_with('+'));
    for imap in &mut sessions {
        imap.wire.send(b"i IDLE\r\n");
        assert!(imap.response().starts_with('+'));
    }
    let told = first.ok("STORE 3 +FLAGS (\\Seen)");
    assert_eq!(told.len(), 1, "{told:?}");
    for imap in &mut sessions {
        let row = imap.response();
        assert!(row.starts_with("* 3 FETCH (") && row.contains("\\Seen") && row.contains("MODSEQ"), "{row}");
        imap.wire.send(b"DONE\r\n");
        assert!(imap.until_tagged("i").0.is_empty());
        assert!(imap.ok("NOOP").is_empty());
    }
    carol.wire.send(b"DONE\r\n");
    assert!(carol.until_tagged("i").0.is_empty());
    assert_eq!(highest(&mut carol), of_carol);
    let after = highest(&mut first);
    assert!(after > before);
    // What came since, of both kinds, and not what came before.
    let changed = |imap: &mut Imap, since: u64| {
        let rows = imap.ok(&format!("FETCH 1:* (UID) (CHANGEDSINCE {since})"));
        rows.iter().map(|row| row.split(' ').nth(1).unwrap().parse().unwrap()).collect::<BTreeSet<u32>>()
    };
    assert_eq!(changed(&mut first, before), numbers([3]));
    assert_eq!(changed(&mut first, after), numbers([]));
    alice.ok("SELECT Work");
    alice.ok("STORE 1 +FLAGS (\\Flagged)");
    let later = wait_for("the flag", || Some(highest(&mut first)).filter(|now| *now > after));
    first.ok("STORE 5 +FLAGS.SILENT (\\Seen)");
    assert_eq!(changed(&mut first, after), numbers([1, 5]));
    assert_eq!(changed(&mut first, later), numbers([5]));
    // UNCHANGEDSINCE.
    let (_, end) = first.command(&format!("STORE 1:5 (UNCHANGEDSINCE {after}) -FLAGS (\\Seen)"));
    assert!(end.starts_with("OK [MODIFIED 1,5]"), "{end}");
    assert_eq!(seen(&mut instance.imap("bob"), WORK), numbers([5]));
    // Back after a while: QRESYNC tells the same.
    let mut back = instance.imap("bob");
    back.ok("ENABLE QRESYNC");
    let validity = back.ok(&format!("STATUS {WORK} (UIDVALIDITY)")).remove(0);
    let validity = validity.rsplit(' ').next().unwrap().trim_end_matches(')').to_owned();
    let rows = back.ok(&format!("SELECT {WORK} (QRESYNC ({validity} {after}))"));
    let told: Vec<&String> = rows.iter().filter(|row| row.contains("FETCH")).collect();
    let told: BTreeSet<u32> =
        told.iter().map(|row| row.split(' ').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(told, numbers([1, 3, 5]));
    // alice saw none of it.
    assert!(alice.ok("NOOP").iter().all(|row| !row.contains("\\Seen")));
}

/// Acknowledged is there after kill -9, whenever it comes, and nothing else of others.
#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    let mut instance = Setup::default().users(&["alice", "bob", "carol"]).start();
    let messages = 30u32;
    folder(&instance, messages as usize);
    let mut expected: BTreeSet<u32> = BTreeSet::new();
    for round in 0..if quick() { 3 } else { 10 } {
        let mut bob = instance.imap("bob");
        bob.ok(&format!("SELECT {WORK}"));
        let kill_at = Instant::now() + Duration::from_millis(5 + 7 * round);
        let mut number = 0u32;
        let unknown = loop {
            let one = number % messages + 1;
            let adds = (u64::from(number) + round) % 3 != 0;
            let sign = if adds { '+' } else { '-' };
            if Instant::now() >= kill_at {
                // One is on its way while the server dies.
                bob.wire.send(format!("k STORE {one} {sign}FLAGS.SILENT (\\Seen)\r\n").as_bytes());
                break (one, adds);
            }
            bob.ok(&format!("STORE {one} {sign}FLAGS.SILENT (\\Seen)"));
            if adds {
                expected.insert(one);
            } else {
                expected.remove(&one);
            }
            number += 1;
        };
        instance.kill_all();
        instance.start_all();
        let now = seen(&mut instance.imap("bob"), WORK);
        let (one, adds) = unknown;
        if now.contains(&one) == adds {
            if adds {
                expected.insert(one);
            } else {
                expected.remove(&one);
            }
        }
        assert_eq!(now, expected, "round {round}");
        assert_eq!(seen(&mut instance.imap("carol"), WORK), numbers([]));
    }
}

/// A hundred readers mark messages at once; nobody waits for the others, and each has just what is the reader's.
#[test]
fn a_hundred_readers_do_not_wait_for_each_other() {
    let readers = if quick() { 30 } else { 100 };
    let names: Vec<String> = (0..readers).map(|number| format!("r{number}")).collect();
    let mut users: Vec<&str> = names.iter().map(String::as_str).collect();
    users.push("alice");
    let instance = Setup::default().users(&users).start();
    folder(&instance, 20);
    let barrier = Barrier::new(readers);
    let slowest: Vec<Duration> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..readers)
            .map(|number| {
                let (instance, barrier, user) = (&instance, &barrier, &names[number]);
                scope.spawn(move || {
                    let mut imap = instance.imap(user);
                    imap.ok(&format!("SELECT {WORK}"));
                    barrier.wait();
                    let mut times = Vec::new();
                    for message in 1..=20 {
                        if (message + number) % 2 == 0 {
                            let begun = Instant::now();
                            imap.ok(&format!("STORE {message} +FLAGS.SILENT (\\Seen)"));
                            times.push(begun.elapsed());
                        }
                    }
                    times
                })
            })
            .collect();
        started.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    let mut times = slowest;
    times.sort();
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{readers} readers: STORE p50 {p50:?}, p99 {p99:?}, slowest {:?}", times[times.len() - 1]);
    assert!(p99 < Duration::from_secs(15), "{p99:?}");
    for (number, user) in names.iter().enumerate() {
        let expected = (1..=20u32).filter(|message| (*message as usize + number) % 2 == 0);
        assert_eq!(seen(&mut instance.imap(user), WORK), numbers(expected), "{user}");
    }
}
