//! The look-ups of one message: all within a time, and bounded in number.
//!
//! A forger names domains whose name servers say nothing, so the time is parted: what decides about the author's domain (its
//! policy, the proofs that are aligned with it) has a share that look-ups elsewhere cannot use up. Texts are asked for once,
//! and what was said of a name is said again after the time is up.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use dns::{DnsError, Resolver};

/// Of one share: far above what SPF, ten signatures, a chain and DMARC need together.
const LOOK_UPS_MAX: u32 = 500;
/// What stands before the domain in the name of a key (RFC 6376 §3.6.2.1).
const OF_KEYS: &str = "._domainkey.";

type Texts = Result<Vec<Vec<u8>>, DnsError>;

/// See the head of this file.
pub(super) struct LookUps<'a> {
    resolver: &'a Resolver,
    until: Cell<Instant>,
    count: Cell<u32>,
    texts: RefCell<HashMap<String, Texts>>,
    existing: RefCell<HashMap<String, Result<bool, DnsError>>>,
    /// The organizational domains of the authors.
    authors: RefCell<Vec<String>>,
    /// What is left of the time for keys of the authors' domains.
    of_keys: Cell<Duration>,
}

impl<'a> LookUps<'a> {
    /// `of_keys`: the share of the keys of the authors' domains. Of all others until the first [`LookUps::share`]: none.
    pub(super) fn new(resolver: &'a Resolver, of_keys: Duration) -> LookUps<'a> {
        LookUps {
            resolver,
            until: Cell::new(Instant::now()),
            count: Cell::new(0),
            texts: RefCell::default(),
            existing: RefCell::default(),
            authors: RefCell::default(),
            of_keys: Cell::new(of_keys),
        }
    }

    /// From now on look-ups begin until this moment.
    pub(super) fn share(&self, until: Instant) {
        self.until.set(until);
        self.count.set(0);
    }

    /// An author is of this organization.
    pub(super) fn add_author(&self, organization: String) {
        self.authors.borrow_mut().push(organization);
    }

    /// Whether what is proved of `domain` may count for an author.
    pub(super) fn is_of_author(&self, domain: &str) -> bool {
        self.authors.borrow().iter().any(|author| dmarc::is_within(domain, author))
    }

    fn ask<T>(&self, ask: impl FnOnce(&Resolver) -> Result<T, DnsError>) -> Result<T, DnsError> {
        self.count.set(self.count.get().saturating_add(1));
        if self.count.get() > LOOK_UPS_MAX {
            return Err(DnsError::Temporary("too many look-ups for one message".into()));
        }
        if Instant::now() >= self.until.get() {
            return Err(DnsError::Temporary("the look-ups took too long".into()));
        }
        ask(self.resolver)
    }

    fn text(&self, name: &str) -> Texts {
        if let Some(known) = self.texts.borrow().get(name) {
            return known.clone();
        }
        // What there is no time for may be asked in another share.
        let is_asked = self.count.get() < LOOK_UPS_MAX && Instant::now() < self.until.get();
        let found = self.ask(|dns| dns.txt(name));
        if is_asked {
            self.texts.borrow_mut().insert(name.to_owned(), found.clone());
        }
        found
    }

    /// The key of an author's domain, in the time that is kept for these.
    fn key_of_author(&self, name: &str) -> Texts {
        let (since, usual) = (Instant::now(), self.until.get());
        let (left, count) = (self.of_keys.get(), self.count.replace(0));
        self.until.set(since + left);
        let found = self.text(name);
        self.of_keys.set(left.saturating_sub(since.elapsed()));
        self.until.set(usual);
        self.count.set(count);
        found
    }

    /// Whether `name` has this address.
    pub(super) fn leads_to(&self, name: &str, address: IpAddr) -> Result<bool, DnsError> {
        let found = match address {
            IpAddr::V4(address) => self.ask(|dns| dns.ipv4(name)).map(|found| found.contains(&address)),
            IpAddr::V6(address) => self.ask(|dns| dns.ipv6(name)).map(|found| found.contains(&address)),
        };
        match found {
            Err(DnsError::NoSuchDomain | DnsError::NoData) => Ok(false),
            other => other,
        }
    }
}

impl spf::Records for LookUps<'_> {
    fn txt(&self, name: &str) -> Texts {
        self.text(name)
    }

    fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
        self.ask(|dns| dns.ipv4(name))
    }

    fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, DnsError> {
        self.ask(|dns| dns.ipv6(name))
    }

    fn mx(&self, name: &str) -> Result<Vec<String>, DnsError> {
        self.ask(|dns| spf::Records::mx(dns, name))
    }

    fn ptr(&self, address: IpAddr) -> Result<Vec<String>, DnsError> {
        self.ask(|dns| dns.ptr(address))
    }
}

impl dkim::Keys for LookUps<'_> {
    fn txt(&self, name: &str) -> Texts {
        let domain = name.split_once(OF_KEYS).map(|(_, domain)| domain.to_ascii_lowercase());
        match domain.is_some_and(|domain| self.is_of_author(&domain)) {
            true => self.key_of_author(name),
            false => self.text(name),
        }
    }
}

impl dmarc::Records for LookUps<'_> {
    fn txt(&self, name: &str) -> Texts {
        self.text(name)
    }

    fn exists(&self, name: &str) -> Result<bool, DnsError> {
        if let Some(known) = self.existing.borrow().get(name) {
            return known.clone();
        }
        let found = self.ask(|dns| dmarc::Records::exists(dns, name));
        if found.is_ok() {
            self.existing.borrow_mut().insert(name.to_owned(), found.clone());
        }
        found
    }
}
