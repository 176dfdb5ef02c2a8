//! How many connections one network has, and how fast it makes new ones: what is beyond is closed at once, by the event
//! loop, before it costs a session or a worker.
//!
//! A network is an IPv4 address or an IPv6 /64: what one customer has. Each process counts for itself. The table holds
//! networks that are connected, which descriptors bound, and [`IDLE_MAX`] others at most.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use base::network::{self, Network};
use server_config::Config;
use server_config::parameters::service;

/// Networks that are remembered without having a connection.
const IDLE_MAX: usize = 20_000;
/// The time that the rate is about; one log line for each network that is refused comes in it.
const MINUTE: Duration = Duration::from_secs(60);

/// What one network may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrowdLimits {
    /// Connections at once; 0 is no limit.
    pub at_once: u32,
    /// New connections in a minute; 0 is no limit.
    pub per_minute: u32,
    /// Networks without limits.
    pub exempt: Vec<Network>,
}

impl CrowdLimits {
    pub fn from_config(config: &Config) -> CrowdLimits {
        let count = |value: i64| u32::try_from(value).unwrap_or(0);
        CrowdLimits {
            at_once: count(config.get(&service::NETWORK_CONNECTIONS)),
            per_minute: count(config.get(&service::NETWORK_RATE)),
            exempt: config.get(&service::NETWORK_EXEMPT),
        }
    }
}

/// A network, as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    fn of(peer: IpAddr) -> Origin {
        Origin(network::of_client(peer))
    }
}

/// What comes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Not counted.
    Exempt,
    /// [`Crowd::left`] is to be told when it ends.
    Counted(Origin),
    /// To be closed; and whether a line should be logged.
    TooMany { tell: bool },
}

struct Seat {
    connections: u32,
    /// New connections that are not forgotten yet; as many as are allowed in a minute are forgotten in a minute.
    recent: f64,
    since: Instant,
    told: Option<Instant>,
}

/// Who is here.
pub struct Crowd {
    limits: CrowdLimits,
    seats: HashMap<Origin, Seat>,
    /// Seats without connections.
    idle: usize,
}

impl Crowd {
    pub fn new(limits: CrowdLimits) -> Crowd {
        Crowd { limits, seats: HashMap::new(), idle: 0 }
    }

    /// A connection wants in.
    pub fn enters(&mut self, peer: IpAddr, now: Instant) -> Entry {
        let CrowdLimits { at_once, per_minute, exempt } = &self.limits;
        let unlimited = *at_once == 0 && *per_minute == 0;
        if unlimited || exempt.iter().any(|network| network.contains(peer)) {
            return Entry::Exempt;
        }
        let (at_once, per_minute) = (*at_once, *per_minute);
        let origin = Origin::of(peer);
        self.make_room(now);
        let seat = self.seats.entry(origin).or_insert_with(|| {
            self.idle += 1;
            Seat { connections: 0, recent: 0.0, since: now, told: None }
        });
        seat.forget(per_minute, now);
        let too_many = at_once != 0 && seat.connections >= at_once;
        let too_fast = per_minute != 0 && seat.recent + 1.0 > f64::from(per_minute);
        if too_many || too_fast {
            let tell = seat.told.is_none_or(|told| now.saturating_duration_since(told) >= MINUTE);
            if tell {
                seat.told = Some(now);
            }
            return Entry::TooMany { tell };
        }
        if seat.connections == 0 {
            self.idle = self.idle.saturating_sub(1);
        }
        seat.connections = seat.connections.saturating_add(1);
        seat.recent += 1.0;
        Entry::Counted(origin)
    }

    /// A counted connection has ended.
    pub fn left(&mut self, origin: Origin) {
        let Some(seat) = self.seats.get_mut(&origin) else { return };
        seat.connections = seat.connections.saturating_sub(1);
        if seat.connections > 0 {
            return;
        }
        if self.limits.per_minute == 0 {
            self.seats.remove(&origin); // nothing about it matters any more
        } else {
            self.idle += 1;
        }
    }

    /// Those who are gone are forgotten when they are too many: first who has been away for a while, else all of them.
    fn make_room(&mut self, now: Instant) {
        if self.idle < IDLE_MAX {
            return;
        }
        let per_minute = self.limits.per_minute;
        self.seats.retain(|_, seat| {
            seat.forget(per_minute, now);
            seat.connections > 0 || seat.recent >= 1.0
        });
        if self.seats.values().filter(|seat| seat.connections == 0).count() >= IDLE_MAX / 2 {
            self.seats.retain(|_, seat| seat.connections > 0);
        }
        self.idle = self.seats.values().filter(|seat| seat.connections == 0).count();
    }
}

impl Seat {
    fn forget(&mut self, per_minute: u32, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_secs_f64() / MINUTE.as_secs_f64();
        self.recent = (self.recent - passed * f64::from(per_minute)).max(0.0);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    fn crowd(at_once: u32, per_minute: u32) -> Crowd {
        let exempt = vec![Network::parse("127.0.0.0/8").unwrap()];
        Crowd::new(CrowdLimits { at_once, per_minute, exempt })
    }

    fn enters(crowd: &mut Crowd, peer: &str, now: Instant) -> Option<Origin> {
        match crowd.enters(peer.parse().unwrap(), now) {
            Entry::Counted(origin) => Some(origin),
            _ => None,
        }
    }

    #[test]
    fn one_address_or_64_has_so_many_connections_and_others_are_not_affected() {
        let (mut crowd, now) = (crowd(2, 0), Instant::now());
        for (first, second, other) in [
            ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", "2001:db8:0:2::1"),
        ] {
            let entered = enters(&mut crowd, first, now).unwrap();
            assert!(enters(&mut crowd, second, now).is_some());
            assert!(enters(&mut crowd, first, now).is_none());
            assert!(enters(&mut crowd, other, now).is_some());
            crowd.left(entered);
            assert!(enters(&mut crowd, second, now).is_some());
            assert!(enters(&mut crowd, first, now).is_none());
        }
    }

    #[test]
    fn the_rate_comes_back_with_time() {
        let (mut crowd, now) = (crowd(0, 60), Instant::now());
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        for _ in 0..60 {
            let origin = enters(&mut crowd, "192.0.2.1", now).unwrap();
            crowd.left(origin);
        }
        assert!(enters(&mut crowd, "192.0.2.1", now).is_none(), "leaving does not help");
        assert!(enters(&mut crowd, "192.0.2.1", at(3)).is_some());
        assert_eq!((0..60).filter(|_| enters(&mut crowd, "192.0.2.1", at(3)).is_some()).count(), 2);
    }

    #[test]
    fn a_refusal_is_told_once_a_minute() {
        let (mut crowd, now) = (crowd(1, 0), Instant::now());
        let peer = "192.0.2.1".parse().unwrap();
        crowd.enters(peer, now);
        assert_eq!(crowd.enters(peer, now), Entry::TooMany { tell: true });
        assert_eq!(crowd.enters(peer, now), Entry::TooMany { tell: false });
        assert_eq!(crowd.enters(peer, now + MINUTE), Entry::TooMany { tell: true });
    }

    #[test]
    fn who_is_exempt_is_not_counted_and_zero_is_off() {
        let now = Instant::now();
        let mut limited = crowd(1, 1);
        assert!((0..5).all(|_| limited.enters("127.0.0.1".parse().unwrap(), now) == Entry::Exempt));
        let mut off = crowd(0, 0);
        assert!((0..5).all(|_| off.enters("192.0.2.1".parse().unwrap(), now) == Entry::Exempt));
        assert!(off.seats.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_who_is_connected() {
        let (mut crowd, now) = (crowd(1, 1), Instant::now());
        let here = enters(&mut crowd, "192.0.2.1", now).unwrap();
        for number in 0..(3 * IDLE_MAX as u128) {
            let peer = IpAddr::V6(Ipv6Addr::from_bits((0x2001 << 112) | (number << 64)));
            if let Entry::Counted(origin) = crowd.enters(peer, now) {
                crowd.left(origin);
            }
            assert!(crowd.seats.len() <= IDLE_MAX + 1);
            assert!(crowd.idle <= crowd.seats.len());
        }
        assert!(enters(&mut crowd, "192.0.2.1", now).is_none(), "still connected");
        crowd.left(here);
    }
}
