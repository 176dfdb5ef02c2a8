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
                prop_assert!(guesses.table.taken(area).count() <= entries_max.next_multiple_of(8));
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
