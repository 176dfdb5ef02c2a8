//! One table for several processes: what they share, what outlives them, and what damage does to it.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use proptest::prelude::*;

use super::allowed::{Allowance, Favoured};
use super::tests::{NOW, Time, guess, limits, step};
use super::*;

/// Another process, as it were.
fn process(folder: &Path) -> Guesses {
    Guesses::shared(limits(), folder).unwrap()
}

fn turn(guesses: &Guesses, peer: &str, login: &str, now: u64) -> Turn {
    guesses.arrive(&guesses.who(peer.parse().unwrap(), login, Some("any")), now)
}

#[test]
fn all_processes_count_together_and_a_restart_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (imap, pop) = (process(folder.path()), process(folder.path()));
    let mut time = Time(NOW);
    let bob = imap.who("198.51.100.7".parse().unwrap(), "bob", Some("right"));
    imap.succeeded(&bob, time.0);
    for number in 0..12 {
        let one = if number % 2 == 0 { &imap } else { &pop };
        guess(one, &mut time, &format!("192.0.2.{number}"), "bob", number);
    }
    assert_ne!(turn(&pop, "192.0.2.200", "carol", time.0), Turn::Now, "the network");
    assert_eq!(turn(&imap, "203.0.113.1", "bob", time.0), Turn::Never, "the account");
    assert_eq!(turn(&pop, "203.0.113.1", "carol", time.0), Turn::Now);
    assert_eq!(turn(&pop, "198.51.100.9", "bob", time.0), Turn::Now, "he was in this network with the other");
    drop((imap, pop));
    let again = process(folder.path());
    assert_eq!(turn(&again, "203.0.113.1", "bob", time.0), Turn::Never);
    assert_eq!(turn(&again, "198.51.100.9", "bob", time.0), Turn::Now);
    let mode = fs::metadata(folder.path().join("guess.table")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Turns are taken one at a time, whoever asks and at whichever process.
#[test]
fn threads_of_several_processes_share_the_turns() {
    let folder = tempfile::tempdir().unwrap();
    let processes: Vec<Guesses> = (0..4).map(|_| process(folder.path())).collect();
    let mut time = Time(NOW);
    for number in 0..4 {
        guess(&processes[0], &mut time, "192.0.2.1", "alice", number);
    }
    let waits = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for one in processes.iter().chain(&processes) {
            let (waits, now) = (&waits, time.0);
            scope.spawn(move || {
                for _ in 0..200 {
                    if let Turn::After(wait) = turn(one, "192.0.2.1", "alice", now) {
                        waits.lock().unwrap().push(wait);
                    }
                }
            });
        }
    });
    let mut waits = waits.into_inner().unwrap();
    waits.sort();
    assert!(!waits.is_empty() && waits.len() <= 15, "{waits:?}");
    let apart = waits.windows(2).all(|two| two[1] - two[0] >= SPACE_FIRST);
    assert!(apart, "two had the same turn: {waits:?}");
}

/// However many threads count: none is lost but by a rare race for a new slot, and none is counted twice.
#[test]
fn wrong_passwords_of_many_threads_are_all_counted() {
    let folder = tempfile::tempdir().unwrap();
    let wide = Limits { address_max: 10_000, network_max: 10_000, account_max: 10_000, ..limits() };
    let processes: Vec<Guesses> =
        (0..4).map(|_| Guesses::shared(wide.clone(), folder.path()).unwrap()).collect();
    let fail = |guesses: &Guesses, said: &str| {
        guesses.failed(&guesses.who("192.0.2.1".parse().unwrap(), "alice", Some(said)), NOW);
    };
    fail(&processes[0], "first");
    std::thread::scope(|scope| {
        for (number, one) in processes.iter().enumerate() {
            scope.spawn(move || (0..500).for_each(|each| fail(one, &format!("{number} {each}"))));
        }
    });
    let counted = processes[3].counted(NOW);
    assert_eq!(counted.iter().map(|one| one.wrong).collect::<Vec<u32>>(), [2001; 3], "{counted:?}");
}

#[test]
fn a_damaged_file_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guess.table");
    let before = process(folder.path());
    let whole = fs::read(&path).unwrap();
    let damage: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(39),
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.fill(0),
        |bytes| bytes[9] ^= 4,
    ];
    for (number, damage) in damage.iter().enumerate() {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::remove_file(&path).unwrap(); // or the process that has it in memory would find it short
        fs::write(&path, bytes).unwrap();
        let (made, other) = (process(folder.path()), process(folder.path()));
        let mut time = Time(NOW);
        for each in 0..9 {
            guess(&made, &mut time, "192.0.2.1", "alice", each);
        }
        assert_eq!(turn(&other, "192.0.2.1", "bob", time.0), Turn::Never, "{number}");
    }
    assert_eq!(turn(&before, "192.0.2.1", "bob", NOW), Turn::Now, "who has the former one goes on with it");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(Guesses::shared(limits(), folder.path()).is_err());
    assert!(Guesses::shared(limits(), Path::new("/nowhere/at/all")).is_err());
}

#[test]
fn a_table_of_another_size_takes_over_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut time = Time(NOW);
    let former = process(folder.path());
    former.succeeded(&former.who("198.51.100.7".parse().unwrap(), "bob", Some("right")), NOW);
    for number in 0..12 {
        guess(&former, &mut time, &format!("192.0.2.{number}"), "bob", number);
    }
    for entries_max in [5000, 200] {
        let other = Guesses::shared(Limits { entries_max, ..limits() }, folder.path()).unwrap();
        assert_ne!(turn(&other, "192.0.2.200", "carol", time.0), Turn::Now);
        assert_eq!(turn(&other, "198.51.100.9", "bob", time.0), Turn::Now);
        assert_eq!(other.counted(time.0).len(), former.counted(time.0).len());
    }
}

/// A tool that reads another size in the configuration than the daemons did leaves them the table they have.
#[test]
fn a_tool_takes_the_table_of_the_daemons_whatever_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guess.table");
    let tool = |entries_max| Guesses::of_daemons(Limits { entries_max, ..limits() }, folder.path());
    let before = tool(200).unwrap();
    assert!(before.counted(NOW).is_empty() && before.clear_all() == 0 && !path.exists());
    let (daemon, mut time) = (process(folder.path()), Time(NOW));
    for number in 0..12 {
        guess(&daemon, &mut time, &format!("192.0.2.{number}"), "bob", number);
    }
    let file = fs::metadata(&path).unwrap();
    for entries_max in [5000, 200, 0] {
        assert_eq!(tool(entries_max).unwrap().counted(time.0), daemon.counted(time.0));
    }
    let now = fs::metadata(&path).unwrap();
    assert_eq!((now.ino(), now.len()), (file.ino(), file.len()));
    assert_eq!(turn(&daemon, "203.0.113.1", "bob", time.0), Turn::Never);
    assert_eq!(tool(5000).unwrap().clear("bob"), 1);
    assert_eq!(turn(&daemon, "203.0.113.1", "bob", time.0), Turn::Now);
    fs::rename(&path, folder.path().join("aside")).unwrap();
    fs::write(&path, "x").unwrap();
    assert!(tool(200).err().unwrap().contains("damaged"));
    assert_eq!(fs::read(&path).unwrap(), b"x");
}

/// Killed where it had taken a slot and not yet named it, or had named it and not yet counted.
#[test]
fn who_is_killed_between_two_steps_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    drop(process(folder.path()));
    let file = fs::File::options().write(true).open(folder.path().join("guess.table")).unwrap();
    for slot in 0..1000u64 {
        let level = if slot % 2 == 0 { u64::MAX } else { 0 };
        let words = [1, level, u64::MAX];
        for (number, word) in (0..).zip(words) {
            file.write_all_at(&word.to_le_bytes(), 4096 + slot * 128 + number * 8).unwrap();
        }
    }
    let guesses = process(folder.path());
    let mut time = Time(NOW);
    assert_eq!(guesses.counted(NOW), []);
    let turns: Vec<Turn> =
        (0..8).map(|each| guess(&guesses, &mut time, "192.0.2.1", "alice", each)).collect();
    assert_eq!(turns[..3], [Turn::Now; 3]);
    assert_eq!(turns[7], Turn::Never);
}

/// A flood of networks that do not exist: the file stays as it is, and who is known is known.
#[test]
fn a_flood_of_networks_grows_nothing_and_washes_nobody_away() {
    let folder = tempfile::tempdir().unwrap();
    let guesses = process(folder.path());
    let length = || fs::metadata(folder.path().join("guess.table")).unwrap().len();
    let (bob, before) = (guesses.who("198.51.100.7".parse().unwrap(), "bob", Some("right")), length());
    guesses.succeeded(&bob, NOW);
    for number in 0..30_000u32 {
        let peer = IpAddr::from([0x2001, 0xdb8, (number >> 16) as u16, number as u16, 0, 0, 0, 1]);
        let who = guesses.who(peer, &format!("nobody{number}"), Some("x"));
        guesses.arrive(&who, NOW);
        guesses.failed(&who, NOW);
    }
    assert_eq!(length(), before);
    assert!(guesses.is_known(&bob, NOW));
    assert_eq!(guesses.arrive(&bob, NOW), Turn::Now);
}

/// The clock was put back by a year: nobody waits for a year, and the known are known.
#[test]
fn a_clock_that_is_put_back_locks_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let guesses = process(folder.path());
    let mut time = Time(NOW);
    guesses.succeeded(&guesses.who("198.51.100.7".parse().unwrap(), "bob", Some("right")), NOW);
    for number in 0..12 {
        guess(&guesses, &mut time, "192.0.2.1", "bob", number);
    }
    let before = NOW - 365 * 86_400_000;
    assert_eq!(turn(&guesses, "198.51.100.9", "bob", before), Turn::Now);
    assert_eq!(turn(&guesses, "192.0.2.1", "carol", before), Turn::Never);
    let counted = guesses.counted(before);
    let day = before + 86_400_000;
    assert!(counted.iter().all(|one| one.remembered_until < day && one.next < day), "{counted:?}");
    assert_eq!(turn(&guesses, "192.0.2.1", "carol", day), Turn::Now);
    assert_eq!(turn(&guesses, "203.0.113.1", "bob", day), Turn::Now);
}

#[test]
fn what_is_counted_can_be_listed_and_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let guesses = process(folder.path());
    let (long, mut time) = ("x".repeat(300), Time(NOW));
    for number in 0..4 {
        guess(&guesses, &mut time, "2001:db8:1:2:3::4", "Alice", number);
    }
    let at_home = guesses.who("192.0.2.7".parse().unwrap(), "carol", Some("wrong"));
    guesses.succeeded(&at_home, NOW);
    guesses.failed(&at_home, NOW);
    guesses.failed(&guesses.who("127.0.0.1".parse().unwrap(), &long, Some("wrong")), NOW);
    let shown: Vec<(String, u32, bool)> = guesses
        .counted(NOW)
        .iter()
        .map(|one| (format!("{} {}", one.kind.word(), one.shown()), one.wrong, one.slowed_until.is_some()))
        .collect();
    let expected = [
        ("address 2001:db8:1:2::/64", 4, true),
        ("name alice", 4, true),
        ("network 2001:db8:1::/48", 4, false),
        (&format!("name {}", "x".repeat(102)), 1, false),
        ("known carol from 192.0.2.0/24", 1, false),
    ];
    assert_eq!(shown, expected.map(|(text, wrong, slowed)| (text.to_owned(), wrong, slowed)));
    let address = &guesses.counted(NOW)[0];
    let below = address.slowed_until.unwrap();
    assert!(guesses.counted(below - 1)[0].slowed_until.is_some());
    assert!(
        guesses.counted(below + 1).iter().all(|one| one.kind != Kind::Address || one.slowed_until.is_none())
    );
    assert!(
        guesses.counted(below + 1).iter().any(|one| one.kind == Kind::Address),
        "some is remembered still"
    );
    assert_eq!(guesses.clear("CAROL"), 1);
    assert_eq!(guesses.clear(&long), 1);
    assert_eq!(guesses.clear("2001:db8:1:2::9"), 2, "the address and its network");
    assert_eq!(guesses.clear("nobody"), 0);
    assert_eq!(guesses.counted(NOW).len(), 1);
    assert_eq!(guesses.clear_all(), 1);
    assert!(guesses.counted(NOW).is_empty() && guesses.is_known(&at_home, NOW));
}

#[test]
fn who_is_favoured_is_not_slowed_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (guesses, tool) = (process(folder.path()), process(folder.path()));
    let soon = base::clock::unix_seconds() + 600;
    let allow = |whom: &str, until: i64| {
        let line = Allowance { whom: Favoured::parse(whom).unwrap(), until };
        tool.change_allowed(folder.path(), |list| {
            list.lines.push(line);
            Ok(())
        })
        .unwrap();
    };
    let mut time = Time(now());
    for number in 0..12 {
        guess(&guesses, &mut time, "192.0.2.1", "alice", number);
    }
    assert_ne!(turn(&guesses, "203.0.113.1", "alice", time.0), Turn::Now);
    allow("Alice", soon);
    assert_eq!(turn(&guesses, "203.0.113.1", "alice", time.0), Turn::Now);
    assert_eq!(turn(&guesses, "192.0.2.1", "bob", time.0), Turn::Never);
    allow("192.0.2.0/28", soon);
    assert_eq!(turn(&guesses, "192.0.2.1", "bob", time.0), Turn::Now);
    assert_ne!(turn(&guesses, "192.0.2.200", "bob", time.0), Turn::Now, "the network still has its count");
    let counted = guesses.counted(time.0);
    guess(&guesses, &mut time, "192.0.2.1", "dave", 1);
    assert_eq!(guesses.counted(time.0).len(), counted.len(), "nothing of a favoured network is counted");
    tool.change_allowed(folder.path(), |list| {
        assert_eq!(list.lines.len(), 2);
        list.lines.clear();
        Ok(())
    })
    .unwrap();
    assert_eq!(turn(&guesses, "192.0.2.1", "bob", time.0), Turn::Never);
    assert!(tool.change_allowed(folder.path(), |_| Err("no".into())).is_err());
}

/// An account that is slowed, and a list with it.
fn slowed_and_listed(guesses: &Guesses) -> (Time, Allowed) {
    let mut time = Time(now());
    for number in 0..12 {
        guess(guesses, &mut time, "192.0.2.1", "alice", number);
    }
    let until = base::clock::unix_seconds() + 600;
    let lines = vec![Allowance { whom: Favoured::Account("alice".into()), until }];
    (time, Allowed { lines })
}

/// The pipe in the place of the list holds the first reader in its reading until the second has read the list after it.
#[test]
fn who_reads_slowly_replaces_no_newer_list() {
    let folder = tempfile::tempdir().unwrap();
    let guesses = process(folder.path());
    let path = Guesses::allowed_file(folder.path());
    let (time, list) = slowed_and_listed(&guesses);
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    guesses.table().next_generation();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| turn(&guesses, "203.0.113.1", "alice", time.0));
        let pipe = fs::File::options().write(true).open(&path).unwrap(); // waits for the reader
        list.write(&path).unwrap();
        guesses.table().next_generation();
        assert_eq!(turn(&guesses, "203.0.113.1", "alice", time.0), Turn::Now);
        drop(pipe);
        assert_ne!(slow.join().unwrap(), Turn::Now, "it read an empty list");
    });
    assert_eq!(turn(&guesses, "203.0.113.1", "alice", time.0), Turn::Now);
}

#[test]
fn a_list_that_cannot_be_read_once_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let guesses = process(folder.path());
    let path = Guesses::allowed_file(folder.path());
    let (time, list) = slowed_and_listed(&guesses);
    fs::create_dir(&path).unwrap();
    guesses.table().next_generation();
    assert_ne!(turn(&guesses, "203.0.113.1", "alice", time.0), Turn::Now, "favours nobody");
    fs::remove_dir(&path).unwrap();
    list.write(&path).unwrap();
    assert_eq!(turn(&guesses, "203.0.113.1", "alice", time.0), Turn::Now);
}

/// A daemon starts, and makes a table, between a tool's look at it and its change of the list.
#[test]
fn a_table_that_was_made_meanwhile_is_told_of_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let tool = Guesses::of_daemons(limits(), folder.path()).unwrap();
    let daemon = process(folder.path());
    let (time, list) = slowed_and_listed(&daemon);
    tool.change_allowed(folder.path(), |changed| {
        assert_ne!(turn(&daemon, "203.0.113.1", "alice", time.0), Turn::Now);
        *changed = list;
        Ok(())
    })
    .unwrap();
    assert_eq!(turn(&daemon, "203.0.113.1", "alice", time.0), Turn::Now);
}

proptest! {
    /// Whatever stands in the slots: nobody waits for longer than is said, the known are not refused, the list is no longer than
    /// the table, and a day later what was there is forgotten.
    #[test]
    fn any_bytes_in_the_file_lock_nobody_out(
        words in prop::collection::vec(prop_oneof![any::<u64>(), 0u64..3, NOW..NOW + 1_000_000_000], 1..200),
        steps in prop::collection::vec((any::<u8>(), 0u8..5, 0u64..100, any::<bool>()), 1..50),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { entries_max: 16, ..limits() };
        drop(Guesses::shared(limits.clone(), folder.path()).unwrap());
        let file = fs::File::options().write(true).open(folder.path().join("guess.table")).unwrap();
        for (number, word) in (0..16 * 20).zip(words.iter().cycle()) {
            file.write_all_at(&word.to_le_bytes(), 4096 + number * 8).unwrap();
        }
        let guesses = Guesses::shared(limits, folder.path()).unwrap();
        let mut now = NOW;
        for (host, user, passes, right) in steps {
            now += passes * 1000;
            let peer = IpAddr::from([192, 0, host % 3, host]);
            step(&guesses, &guesses.who(peer, &format!("u{user}"), Some("x")), now, right)?;
            prop_assert!(guesses.counted(now).len() <= 16);
        }
    }
}

/// What an administrator's hand, or a program that empties `run/`, does to the file while daemons have it in memory.
#[test]
fn daemons_go_on_to_count_together_when_the_file_was_cut_removed_or_replaced() {
    let cut = |path: &Path, length: u64| {
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
    };
    let harms: [&dyn Fn(&Path); 4] =
        [&|path| cut(path, 0), &|path| cut(path, 4096), &|path| fs::remove_file(path).unwrap(), &|path| {
            fs::write(path.with_extension("other"), "no table").unwrap();
            fs::rename(path.with_extension("other"), path).unwrap();
        }];
    for (number, harm) in harms.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guess.table");
        let (imap, pop) = (process(folder.path()), process(folder.path()));
        let mut time = Time(NOW);
        guess(&imap, &mut time, "192.0.2.1", "alice", 0);
        harm(&path);
        assert_eq!(turn(&imap, "203.0.113.1", "bob", time.0), Turn::Now, "it is read where it is lost");
        for number in 0..12 {
            let one = if number % 2 == 0 { &imap } else { &pop };
            guess(one, &mut time, &format!("192.0.2.{number}"), "bob", number);
        }
        assert_eq!(imap.counted(time.0), pop.counted(time.0), "harm {number}");
        for other in [&imap, &pop, &process(folder.path())] {
            assert_eq!(turn(other, "203.0.113.1", "bob", time.0), Turn::Never, "harm {number}");
        }
        assert!(Table::present(&path).unwrap().is_some());
    }
}

#[test]
fn who_has_a_table_of_another_size_in_memory_leaves_the_new_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guess.table");
    let (former, mut time) = (process(folder.path()), Time(NOW));
    let other = Guesses::shared(Limits { entries_max: 5000, ..limits() }, folder.path()).unwrap();
    let made = fs::metadata(&path).unwrap();
    for number in 0..6 {
        guess(&former, &mut time, "192.0.2.1", "bob", 2 * number);
        guess(&other, &mut time, "192.0.2.1", "bob", 2 * number + 1);
    }
    let now = fs::metadata(&path).unwrap();
    assert_eq!((now.ino(), now.len()), (made.ino(), made.len()));
}
