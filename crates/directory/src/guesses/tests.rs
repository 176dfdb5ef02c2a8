//! The rules of guessing.

use proptest::prelude::*;

use super::*;

pub(super) fn limits() -> Limits {
    Limits {
        address_max: 3,
        network_max: 6,
        account_max: 4,
        space_max: Duration::from_secs(120),
        remembered_for: Duration::from_secs(3600),
        known_for: Duration::from_secs(86400),
        entries_max: 1000,
    }
}

/// Milliseconds since 1970: any.
pub(super) const NOW: u64 = 1_800_000_000_000;

pub(super) struct Time(pub u64);

impl Time {
    pub fn pass(&mut self, seconds: u64) {
        self.0 += seconds * 1000;
    }
}

fn begin() -> (Guesses, Time) {
    (Guesses::own(limits()), Time(NOW))
}

/// Guesses with another password each time, when its turn comes.
pub(super) fn guess(guesses: &Guesses, time: &mut Time, peer: &str, login: &str, number: u64) -> Turn {
    let who = guesses.who(peer.parse().unwrap(), login, Some(&format!("wrong{number}")));
    let turn = guesses.arrive(&who, time.0);
    if let Turn::After(wait) = turn {
        time.0 += millis(wait);
    }
    if turn != Turn::Never {
        guesses.failed(&who, time.0);
    }
    turn
}

#[test]
fn the_space_between_guesses_of_an_address_doubles_until_they_are_refused() {
    let (guesses, mut time) = begin();
    let turns: Vec<Turn> =
        (0..10).map(|n| guess(&guesses, &mut time, "192.0.2.1", &format!("u{n}"), n)).collect();
    let after = |seconds| Turn::After(Duration::from_secs(seconds));
    assert_eq!(turns[..3], [Turn::Now; 3]);
    assert_eq!(turns[3..7], [after(1), after(2), after(4), after(8)]);
    assert_eq!(turns[7..], [Turn::Never; 3], "16 s are too long");
    assert_eq!(guess(&guesses, &mut time, "198.51.100.1", "u1", 0), Turn::Now, "another network");
}

#[test]
fn many_connections_get_no_more_turns_than_one() {
    let (guesses, mut time) = begin();
    for number in 0..4 {
        guess(&guesses, &mut time, "192.0.2.1", "alice", number);
    }
    let turns: Vec<Turn> = (0..300)
        .map(|number| {
            let who = guesses.who("192.0.2.1".parse().unwrap(), "alice", Some(&number.to_string()));
            guesses.arrive(&who, time.0)
        })
        .collect();
    let admitted = turns.iter().filter(|turn| **turn != Turn::Never).count();
    assert!(admitted <= 15, "{admitted} of 300 within 15 s");
}

/// /24 and /48: what has a whole network is one guesser.
#[test]
fn a_network_is_counted_too_and_so_is_an_account() {
    for peers in [["192.0.2.", "192.0.3.1"], ["2001:db8:1:", "2001:db8:2::1"]] {
        let (guesses, mut time) = begin();
        for number in 0..6 {
            let peer = if peers[0].contains(':') {
                format!("{}{number}::1", peers[0])
            } else {
                format!("{}{number}", peers[0])
            };
            assert_eq!(guess(&guesses, &mut time, &peer, &format!("u{number}"), 0), Turn::Now);
        }
        let other = if peers[0].contains(':') { "2001:db8:1:ffff::1" } else { "192.0.2.250" };
        assert_ne!(guess(&guesses, &mut time, other, "fresh", 0), Turn::Now);
        assert_eq!(guess(&guesses, &mut time, peers[1], "fresh", 1), Turn::Now);
    }
    let (guesses, mut time) = begin();
    for number in 0..4 {
        assert_eq!(guess(&guesses, &mut time, &format!("10.{number}.0.1"), "Alice", number), Turn::Now);
    }
    assert_ne!(guess(&guesses, &mut time, "10.9.0.1", "alice", 9), Turn::Now);
    assert_eq!(guess(&guesses, &mut time, "10.9.0.2", "bob", 9), Turn::Now);
}

#[test]
fn a_user_who_is_known_here_is_never_locked_out() {
    let (guesses, mut time) = begin();
    let alice = guesses.who("192.0.2.7".parse().unwrap(), "alice", Some("right"));
    guesses.succeeded(&alice, time.0);
    for number in 0..60 {
        guess(&guesses, &mut time, "192.0.2.7", "bob", number); // her own network
        guess(&guesses, &mut time, &format!("10.{number}.0.1"), "alice", number); // her account
    }
    let stranger = guesses.who("203.0.113.1".parse().unwrap(), "alice", Some("right"));
    assert_eq!(guesses.arrive(&stranger, time.0), Turn::Never);
    assert_eq!(guesses.arrive(&alice, time.0), Turn::Now);
    for number in 0..60 {
        let turn = guess(&guesses, &mut time, "192.0.2.7", "alice", number);
        assert!(turn != Turn::Never, "she mistypes as often as she likes");
    }
}

#[test]
fn what_was_wrong_is_forgotten() {
    let (guesses, mut time) = begin();
    for number in 0..9 {
        guess(&guesses, &mut time, "192.0.2.1", "alice", number);
    }
    time.pass(3600 * 5);
    for number in 10..13 {
        assert_eq!(guess(&guesses, &mut time, "192.0.2.1", "alice", number), Turn::Now);
    }
}

#[test]
fn a_program_that_repeats_the_old_password_is_no_guesser() {
    let (guesses, mut time) = begin();
    for _ in 0..100 {
        assert_eq!(guess(&guesses, &mut time, "192.0.2.1", "alice", 0), Turn::Now);
        time.pass(300);
    }
    let turns: Vec<Turn> = (0..10).map(|_| guess(&guesses, &mut time, "192.0.2.1", "bob", 0)).collect();
    assert!(turns.contains(&Turn::Never), "quickly it is: {turns:?}");
}

#[test]
fn this_host_is_no_network() {
    let (guesses, mut time) = begin();
    for number in 0..50 {
        for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(guess(&guesses, &mut time, peer, &format!("u{number}{peer}"), 0), Turn::Now);
        }
    }
}

proptest! {
    /// Whatever comes: the tables stay within their bounds, nobody waits for longer than is said, the known are not
    /// refused, and enough silence makes everybody a stranger again.
    #[test]
    fn nothing_that_comes_breaks_the_bounds(
        entries_max in 0usize..20,
        steps in prop::collection::vec((any::<u8>(), 0u8..5, 0u8..4, 0u64..100, any::<bool>()), 0..300),
    ) {
        let guesses = Guesses::own(Limits { entries_max, ..limits() });
        let mut now = NOW;
        for (host, user, password, passes, right) in steps {
            now += passes * 1000;
            let peer = IpAddr::from([192, 0, host % 3, host]);
            let who = guesses.who(peer, &format!("u{user}"), Some(&password.to_string()));
            step(&guesses, &who, now, right)?;
            for area in [Area::Counts, Area::Known, Area::Said] {
                prop_assert!(guesses.table().taken(area).count() <= entries_max.next_multiple_of(8));
            }
        }
        now += 3600 * 20 * 1000;
        for host in 0..=255u8 {
            let who = guesses.who(IpAddr::from([192, 0, host % 3, host]), "u0", Some("x"));
            prop_assert_eq!(guesses.arrive(&who, now), Turn::Now);
        }
    }
}

/// A log-in that comes, and what comes of it.
pub(super) fn step(guesses: &Guesses, who: &Who, now: u64, right: bool) -> Result<(), TestCaseError> {
    let known = guesses.is_known(who, now);
    match guesses.arrive(who, now) {
        Turn::Never => prop_assert!(!known),
        Turn::After(wait) => {
            let longest = if known { KNOWN_WAIT_MAX } else { WAIT_MAX };
            prop_assert!(wait <= longest);
        }
        Turn::Now => {}
    }
    if right {
        guesses.succeeded(who, now)
    } else {
        guesses.failed(who, now)
    }
    Ok(())
}

/// As [`guess`], of whom it is known whose name it is; also whether the password was looked at.
fn guess_user(guesses: &Guesses, now: u64, peer: &str, login: &str, user: &str, number: u64) -> (Turn, bool) {
    let who = guesses.who(peer.parse().unwrap(), login, Some(&format!("wrong{number}")));
    let who = guesses.of_user(who, user);
    let turn = guesses.arrive(&who, now);
    let now = if let Turn::After(wait) = turn { now + millis(wait) } else { now };
    if turn == Turn::Never {
        return (turn, false);
    }
    let looked_at = guesses.may_look(&who, now);
    if looked_at {
        guesses.failed(&who, now)
    } else {
        guesses.failed_unseen(&who, now)
    }
    (turn, looked_at)
}

/// All names of a user have one count, in which nobody outside can look.
#[test]
fn a_guesser_gets_no_further_with_many_names_of_one_user() {
    let (guesses, _) = begin();
    let mut looked_at = 0;
    for number in 0..60 {
        let (peer, name) = (format!("10.{number}.0.1"), format!("joe{}@x.test", number % 20));
        let (turn, seen) = guess_user(&guesses, NOW, &peer, &name, "joe", number);
        assert_eq!(turn, Turn::Now, "no name has been guessed at four times");
        looked_at += usize::from(seen);
    }
    assert!((4..=5).contains(&looked_at), "{looked_at}");
    let others = guess_user(&guesses, NOW, "10.99.0.1", "ann@x.test", "ann", 0);
    assert_eq!(others, (Turn::Now, true));
    // With its turn it is looked at again, and then so much later.
    let counted = guesses.counted(NOW).into_iter().find(|one| one.kind == Kind::Account);
    let next = counted.filter(|one| one.name == "joe" && one.wrong == looked_at as u32).unwrap().next;
    assert_eq!(guess_user(&guesses, next, "10.99.0.1", "joe21@x.test", "joe", 99), (Turn::Now, true));
    assert_eq!(guess_user(&guesses, next, "10.99.1.1", "joe22@x.test", "joe", 98), (Turn::Now, false));
    assert!(guesses.clear("joe") == 1);
    assert_eq!(guess_user(&guesses, next, "10.99.1.1", "joe22@x.test", "joe", 97), (Turn::Now, true));
}

/// With one name it is as it would be without the others: what has its turn is looked at.
#[test]
fn turns_of_the_only_name_are_those_of_the_user() {
    let (guesses, mut time) = begin();
    for number in 0..20 {
        let (turn, seen) = guess_user(&guesses, time.0, &format!("10.{number}.0.1"), "joe", "joe", number);
        assert_eq!(seen, turn != Turn::Never, "{number}: {turn:?}");
        time.0 += 1100 * number;
    }
}

/// Known by one name, known by all; wrong passwords from there count for the user.
#[test]
fn a_user_who_is_known_here_is_known_by_every_name() {
    let (guesses, mut time) = begin();
    let by = |name: &str, peer: &str| {
        guesses.of_user(guesses.who(peer.parse().unwrap(), name, Some("right")), "joe")
    };
    guesses.succeeded(&by("joe", "192.0.2.7"), time.0);
    for number in 0..40 {
        guess(&guesses, &mut time, &format!("10.{number}.0.1"), "j.doe@x.test", number);
        guess(&guesses, &mut time, "192.0.2.8", "other", number);
        guess_user(
            &guesses,
            time.0,
            &format!("10.{number}.1.1"),
            &format!("joe{number}@x.test"),
            "joe",
            number,
        );
    }
    let (here, elsewhere) = (by("j.doe@x.test", "192.0.2.9"), by("j.d@x.test", "203.0.113.1"));
    assert_eq!((guesses.arrive(&here, time.0), guesses.may_look(&here, time.0)), (Turn::Now, true));
    assert_eq!(
        (guesses.arrive(&elsewhere, time.0), guesses.may_look(&elsewhere, time.0)),
        (Turn::Now, false)
    );
    // Who it is must be asked for there, and need not elsewhere.
    let stranger = |peer: &str| guesses.who(peer.parse().unwrap(), "j.doe@x.test", Some("right"));
    assert_eq!(guesses.arrive(&stranger("203.0.113.1"), time.0), Turn::Never);
    assert!(guesses.is_put_off_anyway(&stranger("203.0.113.1"), time.0));
    assert!(!guesses.is_put_off_anyway(&stranger("192.0.2.200"), time.0));
    for number in 0..12 {
        let name = format!("joe{}@x.test", number % 2);
        guess_user(&guesses, time.0, "192.0.2.7", &name, "joe", 1000 + number);
    }
    let known: Vec<Counted> =
        guesses.counted(time.0).into_iter().filter(|one| one.kind == Kind::KnownAccount).collect();
    assert_eq!(known.iter().map(|one| one.shown()).collect::<Vec<String>>(), ["joe from 192.0.2.0/24"]);
}

proptest! {
    /// T2: whoever guesses, at whatever names and from wherever, sees the same waits and refusals whether they are of one user, of
    /// several, or of nobody.
    #[test]
    fn what_is_seen_does_not_depend_on_whose_the_names_are(
        steps in prop::collection::vec((0u8..6, 0u8..6, 0u64..9, 0u64..3000), 1..120),
    ) {
        let (of_nobody, mut table) = (Guesses::own(limits()), Table::own(limits().entries_max));
        table.key = of_nobody.table().key; // the same wrong passwords look like ones that were said already
        let of_one = Guesses::over(limits(), table, None, None);
        let mut now = NOW;
        for (host, name, password, passes) in steps {
            now += passes;
            let (peer, name) = (format!("10.{host}.0.1"), format!("name{name}"));
            let who = of_nobody.who(peer.parse().unwrap(), &name, Some(&format!("wrong{password}")));
            let turn = of_nobody.arrive(&who, now);
            let (seen, _) = guess_user(&of_one, now, &peer, &name, "joe", password);
            prop_assert_eq!(seen, turn);
            if turn != Turn::Never {
                let wait = if let Turn::After(wait) = turn { millis(wait) } else { 0 };
                prop_assert!(of_nobody.may_look(&who, now + wait));
                of_nobody.failed(&who, now + wait);
            }
        }
    }
}
