//! The look-ups of one message: all within a time, and bounded in number.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use dns::{DnsError, Resolver};

/// Far above what SPF, ten signatures, a chain and DMARC need together.
const LOOK_UPS_MAX: u32 = 500;

/// See the head of this file.
pub(super) struct LookUps<'a> {
    resolver: &'a Resolver,
    until: Instant,
    count: Cell<u32>,
}

impl<'a> LookUps<'a> {
    pub(super) fn new(resolver: &'a Resolver, until: Instant) -> LookUps<'a> {
        LookUps { resolver, until, count: Cell::new(0) }
    }

    fn ask<T>(&self, ask: impl FnOnce(&Resolver) -> Result<T, DnsError>) -> Result<T, DnsError> {
        self.count.set(self.count.get() + 1);
        if self.count.get() > LOOK_UPS_MAX {
            return Err(DnsError::Temporary("too many look-ups for one message".into()));
        }
        if Instant::now() >= self.until {
            return Err(DnsError::Temporary("the look-ups took too long".into()));
        }
        ask(self.resolver)
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
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        self.ask(|dns| dns.txt(name))
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
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        self.ask(|dns| dns.txt(name))
    }
}

impl dmarc::Records for LookUps<'_> {
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        self.ask(|dns| dns.txt(name))
    }

    fn exists(&self, name: &str) -> Result<bool, DnsError> {
        self.ask(|dns| dmarc::Records::exists(dns, name))
    }
}
