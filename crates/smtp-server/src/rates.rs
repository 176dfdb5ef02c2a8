//! How much mail a network brings in a minute, and a user who logged in: what is beyond is put off (450 4.7.1), so that
//! neither a stolen password nor one host of strangers fills the queue.
//!
//! Each has a vessel that holds a minute's worth and drains at that rate, so a burst of that size passes at once and a steady
//! stream at the rate. A network is an IPv4 address or an IPv6 /64, as for connections; users are counted wherever they come
//! from, and their networks are not. Whose vessels have drained is forgotten. Users have a table of their own, no larger than
//! the site has users that send. While that of networks is full, newcomers are counted together, by larger networks: who has
//! many networks gets them limited, not the limits lifted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base::network::{self, Network};
use server_config::Config;
use server_config::parameters::{service, service_smtp};

/// Networks that are remembered one by one.
const REMEMBERED_MAX: usize = 50_000;
/// Bits of the networks that newcomers are counted by when there are more: 65,536 of IPv4, as many of 2000::/3 (IPv6).
const TOGETHER_BITS: (u32, u32) = (16, 19);
/// Tables are searched for who may be forgotten not more often than this.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What may come in a minute; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub messages: u32,
    /// Of all messages together.
    pub recipients: u32,
}

/// The limits of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    pub network: Limits,
    pub user: Limits,
    /// Networks without limits.
    pub exempt: Vec<Network>,
}

impl RateLimits {
    pub fn from_config(config: &Config) -> RateLimits {
        let count = |value: i64| u32::try_from(value).unwrap_or(0);
        RateLimits {
            network: Limits {
                messages: count(config.get(&service_smtp::NETWORK_MESSAGES)),
                recipients: count(config.get(&service_smtp::NETWORK_RECIPIENTS)),
            },
            user: Limits {
                messages: count(config.get(&service_smtp::USER_MESSAGES)),
                recipients: count(config.get(&service_smtp::USER_RECIPIENTS)),
            },
            exempt: config.get(&service::NETWORK_EXEMPT),
        }
    }
}

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    Network(IpAddr),
    /// The uid, lower case.
    User(String),
}

impl Origin {
    pub fn network(peer: IpAddr) -> Origin {
        Origin::Network(network::of_client(peer))
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Message,
    Recipient,
}

/// Whether it may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Granted,
    /// `tell`: for the first time in a minute, so that the log has one line.
    Refused {
        tell: bool,
    },
}

struct Vessels {
    messages: f64,
    recipients: f64,
    /// When they were last looked at.
    since: Instant,
    told: Option<Instant>,
}

impl Vessels {
    fn drain(&mut self, limits: Limits, now: Instant) {
        let minutes = now.saturating_duration_since(self.since).as_secs_f64() / MINUTE.as_secs_f64();
        self.messages = (self.messages - minutes * f64::from(limits.messages)).max(0.0);
        self.recipients = (self.recipients - minutes * f64::from(limits.recipients)).max(0.0);
        self.since = now;
    }
}

/// Who has vessels that are not empty.
struct Table<K> {
    seen: HashMap<K, Vessels>,
    swept: Option<Instant>,
}

impl<K> Default for Table<K> {
    fn default() -> Table<K> {
        Table { seen: HashMap::new(), swept: None }
    }
}

impl<K: Eq + std::hash::Hash> Table<K> {
    /// Whether there is room for this one, when who has drained is forgotten.
    fn has_room(&mut self, key: &K, now: Instant) -> bool {
        if self.seen.len() < REMEMBERED_MAX || self.seen.contains_key(key) {
            return true;
        }
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_EVERY) {
            self.swept = Some(now);
            // Within a minute every vessel has drained.
            self.seen.retain(|_, vessels| now.saturating_duration_since(vessels.since) < MINUTE);
        }
        self.seen.len() < REMEMBERED_MAX
    }

    fn pass(&mut self, key: K, what: What, limits: Limits, now: Instant) -> Passage {
        let empty = Vessels { messages: 0.0, recipients: 0.0, since: now, told: None };
        let vessels = self.seen.entry(key).or_insert(empty);
        vessels.drain(limits, now);
        let (level, limit) = match what {
            What::Message => (&mut vessels.messages, limits.messages),
            What::Recipient => (&mut vessels.recipients, limits.recipients),
        };
        if *level + 1.0 <= f64::from(limit) {
            *level += 1.0;
            return Passage::Granted;
        }
        let tell = vessels.told.is_none_or(|told| now.saturating_duration_since(told) >= MINUTE);
        if tell {
            vessels.told = Some(now);
        }
        Passage::Refused { tell }
    }
}

#[derive(Default)]
struct Tables {
    users: Table<String>,
    networks: Table<IpAddr>,
    /// Those for whom there was no room.
    together: Table<IpAddr>,
}

/// The tables.
#[derive(Default)]
pub struct Rates(Mutex<Tables>);

impl Rates {
    /// One more of this comes from there; it counts when it passes.
    pub fn pass(&self, origin: Origin, what: What, limits: Limits, now: Instant) -> Passage {
        let limit = match what {
            What::Message => limits.messages,
            What::Recipient => limits.recipients,
        };
        if limit == 0 {
            return Passage::Granted;
        }
        let Tables { users, networks, together } =
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match origin {
            Origin::User(uid) => {
                users.has_room(&uid, now); // forgets; nobody but a user of ours makes it larger
                users.pass(uid, what, limits, now)
            }
            Origin::Network(address) if networks.has_room(&address, now) => {
                networks.pass(address, what, limits, now)
            }
            Origin::Network(address) => {
                let (bits_4, bits_6) = TOGETHER_BITS;
                let larger = network::prefix(address, bits_4, bits_6);
                together.has_room(&larger, now);
                together.pass(larger, what, limits, now)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { messages: 3, recipients: 10 };

    fn peer(text: &str) -> Origin {
        Origin::network(text.parse().unwrap())
    }

    #[test]
    fn a_minutes_worth_passes_at_once_and_then_one_by_one() {
        let (rates, now) = (Rates::default(), Instant::now());
        let pass = |after: u64| {
            rates.pass(peer("192.0.2.1"), What::Message, LIMITS, now + Duration::from_secs(after))
        };
        assert_eq!([pass(0), pass(0), pass(0)], [Passage::Granted; 3]);
        assert_eq!([pass(0), pass(1)], [Passage::Refused { tell: true }, Passage::Refused { tell: false }]);
        assert_eq!([pass(20), pass(21)], [Passage::Granted, Passage::Refused { tell: false }]);
        assert_eq!(pass(61), Passage::Granted);
        assert_eq!(
            rates.pass(peer("192.0.2.1"), What::Recipient, LIMITS, now),
            Passage::Granted,
            "another vessel"
        );
        assert_eq!(rates.pass(peer("192.0.2.2"), What::Message, LIMITS, now), Passage::Granted);
    }

    #[test]
    fn an_ipv6_network_is_one_and_no_limit_counts_nothing() {
        let (rates, now) = (Rates::default(), Instant::now());
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        for _ in 0..1000 {
            assert_eq!(rates.pass(peer("::1"), What::Message, Limits::default(), now), Passage::Granted);
        }
        assert!(rates.0.lock().unwrap().networks.seen.is_empty());
    }

    #[test]
    fn tables_do_not_grow_for_ever() {
        let (rates, now) = (Rates::default(), Instant::now());
        for number in 0..REMEMBERED_MAX + 10 {
            rates.pass(Origin::User(number.to_string()), What::Message, LIMITS, now);
        }
        rates.pass(Origin::User("later".into()), What::Message, LIMITS, now + MINUTE);
        assert_eq!(rates.0.lock().unwrap().users.seen.len(), 1);
    }

    #[test]
    fn a_table_that_is_full_lifts_no_limits() {
        let (rates, now) = (Rates::default(), Instant::now());
        for number in 0..REMEMBERED_MAX + 1000 {
            let flood = Origin::network(IpAddr::from(
                (0x2001_0db8_u128 << 96 | (number as u128) << 64).to_be_bytes(),
            ));
            rates.pass(flood, What::Message, LIMITS, now);
        }
        {
            let tables = rates.0.lock().unwrap();
            assert_eq!((tables.networks.seen.len(), tables.together.seen.len()), (REMEMBERED_MAX, 1));
        }
        let three = |origin: &dyn Fn() -> Origin| {
            (0..4).map(|_| rates.pass(origin(), What::Message, LIMITS, now)).collect::<Vec<_>>()
        };
        let limited = [Passage::Granted, Passage::Granted, Passage::Granted, Passage::Refused { tell: true }];
        assert_eq!(three(&|| peer("192.0.2.1")), limited);
        assert_eq!(three(&|| Origin::User("alice".into())), limited);
        assert_eq!(rates.pass(peer("198.51.100.1"), What::Message, LIMITS, now), Passage::Granted);
        // A minute later each is counted for itself.
        let later = now + MINUTE + SWEEP_EVERY;
        assert_eq!(rates.pass(peer("192.0.2.1"), What::Message, LIMITS, later), Passage::Granted);
        assert_eq!(rates.0.lock().unwrap().networks.seen.len(), 1);
    }

    proptest! {
        #[test]
        fn no_minute_brings_more_than_two_minutes_worth(gaps in proptest::collection::vec(0u64..30_000, 1..200)) {
            let (rates, begin) = (Rates::default(), Instant::now());
            let (mut at, mut granted) = (0, Vec::new());
            for gap in gaps {
                at += gap;
                let now = begin + Duration::from_millis(at);
                if rates.pass(Origin::User("x".into()), What::Message, LIMITS, now) == Passage::Granted {
                    granted.push(at);
                }
            }
            for from in &granted {
                let within = granted.iter().filter(|at| (*from..from + 60_000).contains(at)).count();
                prop_assert!(within <= 6, "{granted:?}");
            }
        }
    }
}
