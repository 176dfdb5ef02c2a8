//! The resolver as the MTA sees it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::rr::{Name, RecordType};
use server_log::{Category, Log};

use crate::answer::{Answer, DnsError, Host, Mx, Record, Tlsa};
use crate::cache::{Cache, Key, Outcome};
use crate::flights::{Flights, Told};
use crate::lookup::Asker;
use crate::servers::{Order, Servers};
use crate::{Settings, failed_hosts, name, random};

const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// Shared by all threads; a look-up blocks the thread that asks.
///
/// The longest look-up takes `tries` × `timeout` for each server (twice that where an answer needs a connection), and
/// that again for each alias a server does not follow itself.
pub struct Resolver {
    asker: Asker,
    cache: Option<Cache>,
    flights: Flights,
    /// The clock that the lives of cached answers are held against.
    pub(crate) now: Box<dyn Fn() -> Instant + Send + Sync>,
}

impl Resolver {
    /// A resolver with an empty cache, or without one, which is logged (S63).
    pub fn new(settings: Settings, log: Log) -> Resolver {
        if settings.cache_entries.is_none() {
            log.notice(Category::General, format_args!("DNS cache is disabled"));
        }
        Resolver {
            asker: Asker {
                servers: Servers::new(settings.servers),
                trusted: settings.trusted,
                timeout: settings.timeout.min(TIMEOUT_MAX),
                tries: settings.tries,
                log,
            },
            cache: settings.cache_entries.map(Cache::new),
            flights: Flights::default(),
            now: Box::new(Instant::now),
        }
    }

    /// The mail exchangers of `domain`, best first, equal ones in an order that changes each time (S57), without those
    /// that failed lately ([`Resolver::host_failed`]).
    ///
    /// A domain that takes no mail has one with an empty host (RFC 7505). One beside others is passed over.
    ///
    /// # Errors
    /// `NoData`: the domain exists and has no MX record; mail goes to its addresses (RFC 5321 §5.1).
    pub fn mx(&self, domain: &str) -> Result<Vec<Mx>, DnsError> {
        self.mx_answer(domain).map(|answer| answer.value)
    }

    /// The same, with the word whether it was validated: TLSA records count for nothing without it (RFC 7672 §2.2.1).
    ///
    /// # Errors
    /// As [`Resolver::mx`].
    pub fn mx_answer(&self, domain: &str) -> Result<Answer<Vec<Mx>>, DnsError> {
        let outcome = self.look_up(&mx_key(domain)?, Order::Configured)?;
        let mut hosts = failed_hosts::remaining(&outcome);
        if hosts.iter().any(|mx| !mx.host.is_empty()) {
            hosts.retain(|mx| !mx.host.is_empty());
        } else {
            hosts.truncate(1);
        }
        random::shuffle(&mut hosts);
        hosts.sort_by_key(|mx| mx.preference);
        Ok(Answer { value: hosts, secure: outcome.secure })
    }

    /// The addresses of `host`: IPv4 before IPv6, each in the order of the name server (RFC 5321 §5.1). The text of an
    /// address is that address.
    ///
    /// # Errors
    /// `Temporary` when one of the two look-ups failed and the other gave nothing.
    pub fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        self.host(host).map(|host| host.addresses)
    }

    /// The same, for who has no time left then.
    ///
    /// # Errors
    /// As [`Resolver::addresses`]; `Temporary` when the time is over.
    pub fn addresses_until(&self, host: &str, until: Instant) -> Result<Vec<IpAddr>, DnsError> {
        self.host_until(host, Some(until)).map(|host| host.addresses)
    }

    /// The same, with what DANE asks of it: whether they were validated, and the name behind aliases (RFC 7672 §2.2.2).
    ///
    /// # Errors
    /// As [`Resolver::addresses`].
    pub fn host(&self, host: &str) -> Result<Host, DnsError> {
        self.host_until(host, None)
    }

    fn host_until(&self, host: &str, until: Option<Instant>) -> Result<Host, DnsError> {
        if let Ok(address) = host.parse() {
            return Ok(Host { addresses: vec![address], secure: false, canonical: None });
        }
        let name = name::to_ascii(host).ok_or(DnsError::NoSuchDomain)?;
        let ask = |kind| self.look_up_until(&key(name.clone(), kind), Order::Demoting, until);
        let four = ask(RecordType::A);
        if let Err(DnsError::NoSuchDomain) = four {
            return Err(DnsError::NoSuchDomain); // RFC 8020: of no type, then
        }
        let six = ask(RecordType::AAAA);
        let found = match (four, six) {
            (Ok(four), Ok(six)) => vec![four, six],
            (Ok(found), Err(_)) | (Err(_), Ok(found)) => vec![found],
            (Err(why @ DnsError::Temporary(_)), _) | (_, Err(why)) => return Err(why),
        };
        let address = |record: &Record| match record {
            Record::Address(address) => Some(*address),
            _ => None,
        };
        let canonical = |record: &Record| match record {
            Record::Canonical(name) => Some(name.clone()),
            _ => None,
        };
        Ok(Host {
            addresses: found.iter().flat_map(|outcome| select(outcome, address)).collect(),
            secure: found.iter().all(|outcome| outcome.secure),
            canonical: found.first().and_then(|outcome| select(outcome, canonical).pop()),
        })
    }

    /// The IPv4 addresses of `name` alone.
    ///
    /// # Errors
    /// There is none, or nobody could tell.
    pub fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
        let name = name::to_query(name).ok_or(DnsError::NoSuchDomain)?;
        self.records(&name, RecordType::A, |record| match record {
            Record::Address(IpAddr::V4(address)) => Some(*address),
            _ => None,
        })
    }

    /// The IPv6 addresses of `name` alone.
    ///
    /// # Errors
    /// There is none, or nobody could tell.
    pub fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, DnsError> {
        let name = name::to_query(name).ok_or(DnsError::NoSuchDomain)?;
        self.records(&name, RecordType::AAAA, |record| match record {
            Record::Address(IpAddr::V6(address)) => Some(*address),
            _ => None,
        })
    }

    /// The TXT records of `name`, the strings of each put together.
    ///
    /// # Errors
    /// There is none, or nobody could tell.
    pub fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        let name = name::to_query(name).ok_or(DnsError::NoSuchDomain)?;
        self.records(&name, RecordType::TXT, |record| match record {
            Record::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// The TLSA records of `name`, such as `_25._tcp.mx.example.org` (RFC 7672 §2.2.3).
    ///
    /// # Errors
    /// There is none, or nobody could tell.
    pub fn tlsa(&self, name: &str) -> Result<Answer<Vec<Tlsa>>, DnsError> {
        let name = name::to_ascii(name).ok_or(DnsError::NoSuchDomain)?;
        let outcome = self.look_up(&key(name, RecordType::TLSA), Order::Demoting)?;
        let tlsa = |record: &Record| match record {
            Record::Tlsa(tlsa) => Some(tlsa.clone()),
            _ => None,
        };
        Ok(Answer { value: select(&outcome, tlsa), secure: outcome.secure })
    }

    /// The names of `address`, as its owner gives them: without a look-up back they prove nothing.
    ///
    /// # Errors
    /// There is none, or nobody could tell.
    pub fn ptr(&self, address: IpAddr) -> Result<Vec<String>, DnsError> {
        self.records(&reverse(address), RecordType::PTR, |record| match record {
            Record::Name(name) => Some(name.clone()),
            _ => None,
        })
    }

    /// `host` did not take mail for `domain`: it leaves the cached MX list until its time is up and the domain is looked
    /// up again; when none would be left, all come back (S58). Nothing happens to a list that is not kept.
    pub fn host_failed(&self, domain: &str, host: &str) {
        if let (Some(cache), Ok(key), Some(host)) = (&self.cache, mx_key(domain), name::to_ascii(host)) {
            cache.change(&key, |outcome| failed_hosts::remove(outcome, &host));
        }
    }

    /// Whether every host of `domain`'s list has failed within the time the list is kept (S69).
    pub fn all_failed(&self, domain: &str) -> bool {
        let mut every = false;
        if let (Some(cache), Ok(key)) = (&self.cache, mx_key(domain)) {
            cache.change(&key, |outcome| every = failed_hosts::all_failed(outcome));
        }
        every
    }

    fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        ours: fn(&Record) -> Option<T>,
    ) -> Result<Vec<T>, DnsError> {
        let outcome = self.look_up(&key(name.to_owned(), kind), Order::Demoting)?;
        Ok(select(&outcome, ours))
    }

    /// From the cache, else from a server; never an outcome without records.
    fn look_up(&self, key: &Key, order: Order) -> Result<Arc<Outcome>, DnsError> {
        self.look_up_until(key, order, None)
    }

    fn look_up_until(
        &self,
        key: &Key,
        order: Order,
        until: Option<Instant>,
    ) -> Result<Arc<Outcome>, DnsError> {
        let outcome = match &self.cache {
            None => self.ask(key, order, until).map(Arc::new),
            Some(cache) => self.ask_through(cache, key, order, until),
        };
        let outcome = outcome.map_err(DnsError::Temporary)?;
        match outcome.result {
            Ok(_) => Ok(outcome),
            Err(negative) => Err(negative.into()),
        }
    }

    fn ask_through(&self, cache: &Cache, key: &Key, order: Order, until: Option<Instant>) -> Told {
        if let Some(kept) = cache.find(key, (self.now)()) {
            return Ok(kept);
        }
        self.flights.share(key, until, || {
            // Another thread's look-up may have ended since.
            if let Some(kept) = cache.find(key, (self.now)()) {
                return Ok(kept);
            }
            let outcome = Arc::new(self.ask(key, order, until)?);
            cache.keep(key, &outcome, (self.now)());
            Ok(outcome)
        })
    }

    fn ask(&self, key: &Key, order: Order, until: Option<Instant>) -> Result<Outcome, String> {
        let mut name = Name::from_labels(key.name.split('.').map(str::as_bytes))
            .map_err(|why| format!("{}: {why}", key.name))?;
        name.set_fqdn(true);
        self.asker.look_up(name, RecordType::from(key.kind), order, until)
    }
}

fn key(name: String, kind: RecordType) -> Key {
    Key { name, kind: kind.into() }
}

fn mx_key(domain: &str) -> Result<Key, DnsError> {
    name::to_ascii(domain).map(|name| key(name, RecordType::MX)).ok_or(DnsError::NoSuchDomain)
}

fn select<T>(outcome: &Outcome, ours: impl Fn(&Record) -> Option<T>) -> Vec<T> {
    outcome.result.iter().flatten().filter_map(ours).collect()
}

/// The name under which an address is looked up (RFC 1035 §3.5, RFC 3596 §2.5).
fn reverse(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = address
                .octets()
                .iter()
                .rev()
                .map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4))
                .collect();
            [digits, "ip6.arpa".to_owned()].concat()
        }
    }
}
