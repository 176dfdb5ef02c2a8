//! Guessing of passwords, slowed by where it comes from and whom it is about.
//!
//! Wrong passwords are counted by address (IPv4 /32, IPv6 /64), by network (/24, /48) and by account, in tables of this
//! process that are bounded and forget. Below a limit nothing happens. From it on, log-ins of that address, network or
//! account have a turn each, with a space between two that doubles with every further wrong password; who comes waits for
//! the next turn, and is refused when that is too far away. How many connections a guesser has makes no difference.
//!
//! Whoever logged in from this network lately is not touched by what others do there or do to the account: only by the
//! wrong passwords for this account from this network, and then waits a little and is never refused. This host itself is
//! no network: webmail and proxies bring everybody's log-ins. The same wrong password again, by a program that was not
//! told of a new one, is no further guess unless it comes quickly.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use base::network::{of_client, of_site};
use server_config::Config;
use server_config::parameters::service;

use crate::bounded::Bounded;

/// The first space between two turns; it doubles.
const SPACE_FIRST: Duration = Duration::from_secs(1);
/// Whose turn is further away is refused.
pub const WAIT_MAX: Duration = Duration::from_secs(15);
/// Longest wait of somebody who is known.
const KNOWN_WAIT_MAX: Duration = Duration::from_secs(5);
/// Wrong passwords that count above a limit: more would only take longer to be forgotten.
const ABOVE_MAX: u32 = 12;
/// A wrong password that was said already counts again when it comes within this time.
const REPEAT: Duration = Duration::from_secs(60);

/// How much guessing is borne.
#[derive(Clone, Debug)]
pub struct Limits {
    pub address_max: u32,
    pub network_max: u32,
    pub account_max: u32,
    /// Longest space between two turns.
    pub space_max: Duration,
    /// Time after which as many wrong passwords as a limit has are forgotten, one after the other.
    pub remembered_for: Duration,
    /// How long a log-in makes its network a known one for the account.
    pub known_for: Duration,
    /// Entries of each table.
    pub entries_max: usize,
}

impl Limits {
    pub fn from_config(config: &Config) -> Limits {
        let small = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        Limits {
            address_max: small(config.get(&service::GUESS_ADDRESS_MAX)),
            network_max: small(config.get(&service::GUESS_NETWORK_MAX)),
            account_max: small(config.get(&service::GUESS_ACCOUNT_MAX)),
            space_max: config.get(&service::GUESS_SPACE_MAX),
            remembered_for: config.get(&service::GUESS_TTL),
            known_for: config.get(&service::GUESS_KNOWN_TTL),
            entries_max: usize::try_from(config.get(&service::GUESS_TABLE_SIZE)).unwrap_or(0),
        }
    }
}

/// Who tries to log in, as keys of the tables. Names and addresses are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// Nothing on this host.
    place: Option<Place>,
    account: u64,
    /// The account in this network.
    pair: u64,
    /// The account with this password.
    said: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    address: u64,
    network: u64,
}

impl Who {
    /// The network, for whoever counts by it.
    pub fn network(&self) -> Option<u64> {
        self.place.map(|place| place.network)
    }
}

/// When a log-in has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing slows it.
    Now,
    /// After this time, which may be none; the turn is taken for it.
    After(Duration),
    /// Too far away.
    Never,
}

/// Wrong passwords that count, and when the next log-in may come.
#[derive(Clone, Copy)]
struct Count {
    wrong: u32,
    /// Up to when forgetting was reckoned.
    since: Instant,
    next: Instant,
}

/// See the head of this file.
pub struct Guesses {
    limits: Limits,
    keys: RandomState,
    counts: Bounded<Count>,
    known: Bounded<()>,
    said: Bounded<Instant>,
}

impl Guesses {
    pub fn new(limits: Limits) -> Guesses {
        let max = limits.entries_max;
        Guesses {
            limits,
            keys: RandomState::new(),
            counts: Bounded::new(max),
            known: Bounded::new(max),
            said: Bounded::new(max),
        }
    }

    /// The keys of a log-in.
    pub fn who(&self, peer: IpAddr, login: &str, password: &str) -> Who {
        let account = login.to_lowercase();
        let peer = peer.to_canonical();
        let network = if peer.is_loopback() { None } else { Some((of_site(peer), of_client(peer))) };
        let place = network.map(|(network, address)| Place {
            address: self.keys.hash_one((0, address)),
            network: self.keys.hash_one((1, network)),
        });
        Who {
            place,
            account: self.keys.hash_one((2, &account)),
            pair: self.keys.hash_one((3, network.map(|(network, _)| network), &account)),
            said: self.keys.hash_one((4, &account, password)),
        }
    }

    /// Whether this account logged in from this network lately.
    pub fn is_known(&self, who: &Who, now: Instant) -> bool {
        self.known.at(who.pair, now).is_some()
    }

    /// Keys that count for a log-in, with their limits.
    fn keys_of(&self, who: &Who, now: Instant) -> Vec<(u64, u32)> {
        if self.is_known(who, now) {
            return vec![(who.pair, self.limits.account_max)];
        }
        let mut keys = vec![(who.account, self.limits.account_max)];
        if let Some(place) = who.place {
            keys.push((place.address, self.limits.address_max));
            keys.push((place.network, self.limits.network_max));
        }
        keys
    }

    /// A log-in asks for its turn. `After` takes the turn.
    pub fn arrive(&mut self, who: &Who, now: Instant) -> Turn {
        let known = self.is_known(who, now);
        let mut slowed: Vec<(u64, u32, Count)> = Vec::new();
        for (key, max) in self.keys_of(who, now) {
            let count = self.counts.at(key, now).map(|count| self.forget(*count, max, now));
            if let Some(count) = count.filter(|count| count.wrong >= max.max(1)) {
                slowed.push((key, max, count));
            }
        }
        let Some(next) = slowed.iter().map(|(_, _, count)| count.next.max(now)).max() else {
            return Turn::Now;
        };
        let mut wait = next.duration_since(now);
        if known {
            wait = wait.min(KNOWN_WAIT_MAX);
        } else if wait > WAIT_MAX {
            return Turn::Never;
        }
        for (key, max, mut count) in slowed {
            count.next = later(now, wait.saturating_add(self.space(count.wrong, max)));
            self.keep(key, count, max, now);
        }
        Turn::After(wait)
    }

    /// The password was wrong.
    pub fn failed(&mut self, who: &Who, now: Instant) {
        let before = self.said.at(who.said, now).copied();
        self.said.put(who.said, now, later(now, self.limits.remembered_for), now);
        if before.is_some_and(|before| now.duration_since(before) >= REPEAT) {
            return;
        }
        for (key, max) in self.keys_of(who, now) {
            let fresh = Count { wrong: 0, since: now, next: now };
            let count = self.counts.at(key, now).map_or(fresh, |count| *count);
            let mut count = self.forget(count, max, now);
            count.wrong = count.wrong.saturating_add(1).min(max.max(1).saturating_add(ABOVE_MAX));
            if count.wrong >= max.max(1) {
                count.next = count.next.max(later(now, self.space(count.wrong, max)));
            }
            self.keep(key, count, max, now);
        }
    }

    /// The password was right: this network is known for the account.
    pub fn succeeded(&mut self, who: &Who, now: Instant) {
        self.known.put(who.pair, (), later(now, self.limits.known_for), now);
    }

    /// The time in which one wrong password is forgotten.
    fn one_forgotten_in(&self, max: u32) -> Duration {
        (self.limits.remembered_for / max.max(1)).max(Duration::from_millis(1))
    }

    fn forget(&self, mut count: Count, max: u32, now: Instant) -> Count {
        let each = self.one_forgotten_in(max);
        let passed = now.saturating_duration_since(count.since).as_millis() / each.as_millis().max(1);
        let forgotten = u32::try_from(passed).unwrap_or(u32::MAX).min(count.wrong);
        count.wrong = count.wrong.saturating_sub(forgotten);
        count.since = if count.wrong == 0 { now } else { later(count.since, each.saturating_mul(forgotten)) };
        count
    }

    fn space(&self, wrong: u32, max: u32) -> Duration {
        let above = wrong.saturating_sub(max.max(1)).min(ABOVE_MAX);
        SPACE_FIRST.saturating_mul(1 << above).min(self.limits.space_max)
    }

    fn keep(&mut self, key: u64, count: Count, max: u32, now: Instant) {
        let until = later(count.since, self.one_forgotten_in(max).saturating_mul(count.wrong));
        self.counts.put(key, count, until, now);
    }
}

fn later(moment: Instant, by: Duration) -> Instant {
    moment.checked_add(by).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
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

    struct Time(Instant);

    impl Time {
        fn pass(&mut self, seconds: u64) {
            self.0 += Duration::from_secs(seconds);
        }
    }

    fn begin() -> (Guesses, Time) {
        (Guesses::new(limits()), Time(Instant::now()))
    }

    /// Guesses with another password each time, when its turn comes.
    fn guess(guesses: &mut Guesses, time: &mut Time, peer: &str, login: &str, number: u64) -> Turn {
        let who = guesses.who(peer.parse().unwrap(), login, &format!("wrong{number}"));
        let turn = guesses.arrive(&who, time.0);
        if let Turn::After(wait) = turn {
            time.0 += wait;
        }
        if turn != Turn::Never {
            guesses.failed(&who, time.0);
        }
        turn
    }

    #[test]
    fn the_space_between_guesses_of_an_address_doubles_until_they_are_refused() {
        let (mut guesses, mut time) = begin();
        let turns: Vec<Turn> =
            (0..10).map(|n| guess(&mut guesses, &mut time, "192.0.2.1", &format!("u{n}"), n)).collect();
        let after = |seconds| Turn::After(Duration::from_secs(seconds));
        assert_eq!(turns[..3], [Turn::Now; 3]);
        assert_eq!(turns[3..7], [after(1), after(2), after(4), after(8)]);
        assert_eq!(turns[7..], [Turn::Never; 3], "16 s are too long");
        assert_eq!(guess(&mut guesses, &mut time, "198.51.100.1", "u1", 0), Turn::Now, "another network");
    }

    #[test]
    fn many_connections_get_no_more_turns_than_one() {
        let (mut guesses, mut time) = begin();
        for number in 0..4 {
            guess(&mut guesses, &mut time, "192.0.2.1", "alice", number);
        }
        let turns: Vec<Turn> = (0..300)
            .map(|number| {
                let who = guesses.who("192.0.2.1".parse().unwrap(), "alice", &number.to_string());
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
            let (mut guesses, mut time) = begin();
            for number in 0..6 {
                let peer = if peers[0].contains(':') {
                    format!("{}{number}::1", peers[0])
                } else {
                    format!("{}{number}", peers[0])
                };
                assert_eq!(guess(&mut guesses, &mut time, &peer, &format!("u{number}"), 0), Turn::Now);
            }
            let other = if peers[0].contains(':') { "2001:db8:1:ffff::1" } else { "192.0.2.250" };
            assert_ne!(guess(&mut guesses, &mut time, other, "fresh", 0), Turn::Now);
            assert_eq!(guess(&mut guesses, &mut time, peers[1], "fresh", 1), Turn::Now);
        }
        let (mut guesses, mut time) = begin();
        for number in 0..4 {
            assert_eq!(
                guess(&mut guesses, &mut time, &format!("10.{number}.0.1"), "Alice", number),
                Turn::Now
            );
        }
        assert_ne!(guess(&mut guesses, &mut time, "10.9.0.1", "alice", 9), Turn::Now);
        assert_eq!(guess(&mut guesses, &mut time, "10.9.0.2", "bob", 9), Turn::Now);
    }

    #[test]
    fn a_user_who_is_known_here_is_never_locked_out() {
        let (mut guesses, mut time) = begin();
        let alice = guesses.who("192.0.2.7".parse().unwrap(), "alice", "right");
        guesses.succeeded(&alice, time.0);
        for number in 0..60 {
            guess(&mut guesses, &mut time, "192.0.2.7", "bob", number); // her own network
            guess(&mut guesses, &mut time, &format!("10.{number}.0.1"), "alice", number); // her account
        }
        let stranger = guesses.who("203.0.113.1".parse().unwrap(), "alice", "right");
        assert_eq!(guesses.arrive(&stranger, time.0), Turn::Never);
        assert_eq!(guesses.arrive(&alice, time.0), Turn::Now);
        for number in 0..60 {
            let turn = guess(&mut guesses, &mut time, "192.0.2.7", "alice", number);
            assert!(turn != Turn::Never, "she mistypes as often as she likes");
        }
    }

    #[test]
    fn what_was_wrong_is_forgotten() {
        let (mut guesses, mut time) = begin();
        for number in 0..9 {
            guess(&mut guesses, &mut time, "192.0.2.1", "alice", number);
        }
        time.pass(3600 * 5);
        for number in 10..13 {
            assert_eq!(guess(&mut guesses, &mut time, "192.0.2.1", "alice", number), Turn::Now);
        }
    }

    #[test]
    fn a_program_that_repeats_the_old_password_is_no_guesser() {
        let (mut guesses, mut time) = begin();
        for _ in 0..100 {
            assert_eq!(guess(&mut guesses, &mut time, "192.0.2.1", "alice", 0), Turn::Now);
            time.pass(300);
        }
        let turns: Vec<Turn> =
            (0..10).map(|_| guess(&mut guesses, &mut time, "192.0.2.1", "bob", 0)).collect();
        assert!(turns.contains(&Turn::Never), "quickly it is: {turns:?}");
    }

    #[test]
    fn this_host_is_no_network() {
        let (mut guesses, mut time) = begin();
        for number in 0..50 {
            for peer in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
                assert_eq!(guess(&mut guesses, &mut time, peer, &format!("u{number}{peer}"), 0), Turn::Now);
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
            let mut guesses = Guesses::new(Limits { entries_max, ..limits() });
            let mut now = Instant::now();
            for (host, user, password, passes, right) in steps {
                now += Duration::from_secs(passes);
                let peer = IpAddr::from([192, 0, host % 3, host]);
                let who = guesses.who(peer, &format!("u{user}"), &password.to_string());
                let known = guesses.is_known(&who, now);
                match guesses.arrive(&who, now) {
                    Turn::Never => prop_assert!(!known),
                    Turn::After(wait) => {
                        let longest = if known { KNOWN_WAIT_MAX } else { WAIT_MAX };
                        prop_assert!(wait <= longest);
                    }
                    Turn::Now => {}
                }
                if right { guesses.succeeded(&who, now) } else { guesses.failed(&who, now) }
                for len in [guesses.counts.len(), guesses.known.len(), guesses.said.len()] {
                    prop_assert!(len <= entries_max);
                }
            }
            now += Duration::from_secs(3600 * 20);
            for host in 0..=255u8 {
                let who = guesses.who(IpAddr::from([192, 0, host % 3, host]), "u0", "x");
                prop_assert_eq!(guesses.arrive(&who, now), Turn::Now);
            }
        }
    }
}
