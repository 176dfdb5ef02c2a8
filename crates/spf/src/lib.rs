//! Whether a domain lets a host send its mail: the Sender Policy Framework (RFC 7208).
//!
//! [`check`] is `check_host()` (§4). It blocks on the look-ups of [`Records`], which also bound their time: a look-up that
//! is refused as too late ends in [`Verdict::TempError`]. What a record can make grow is bounded by §4.6.4: ten terms that
//! look something up, two that find nothing, ten hosts of an `mx`, ten names of a `ptr`; expansions by [`macros`].

mod check;
mod domain;
mod macros;
mod network;
mod record;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dns::DnsError;

pub use check::{Checked, check};

/// What a check comes to (§2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is no policy, or nothing that could have one.
    None,
    /// The domain does not say.
    Neutral,
    Pass,
    Fail,
    /// Probably not.
    SoftFail,
    /// Nobody could tell; later perhaps.
    TempError,
    /// The policy cannot be read.
    PermError,
}

impl Verdict {
    /// As Authentication-Results has it (RFC 8601 §2.7.2).
    pub fn name(self) -> &'static str {
        match self {
            Verdict::None => "none",
            Verdict::Neutral => "neutral",
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::SoftFail => "softfail",
            Verdict::TempError => "temperror",
            Verdict::PermError => "permerror",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who claims what.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The client.
    pub address: IpAddr,
    /// What it called itself in HELO or EHLO.
    pub helo: &'a str,
    /// The reverse-path, empty for the null one: then the identity is `postmaster` at HELO (§2.4).
    pub sender: &'a str,
    /// Our host name, for explanations (`%{r}`).
    pub receiver: &'a str,
    /// Seconds since 1970, for explanations (`%{t}`).
    pub now: i64,
}

/// What is looked up.
pub trait Records {
    /// TXT records, the strings of each put together (§3.3).
    ///
    /// # Errors
    /// There is none, or nobody could tell; so for the others.
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError>;
    /// # Errors
    /// See [`Records::txt`].
    fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError>;
    /// # Errors
    /// See [`Records::txt`].
    fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, DnsError>;
    /// The hosts, in any order.
    ///
    /// # Errors
    /// See [`Records::txt`].
    fn mx(&self, name: &str) -> Result<Vec<String>, DnsError>;
    /// # Errors
    /// See [`Records::txt`].
    fn ptr(&self, address: IpAddr) -> Result<Vec<String>, DnsError>;
}

impl Records for dns::Resolver {
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        dns::Resolver::txt(self, name)
    }

    fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, DnsError> {
        dns::Resolver::ipv4(self, name)
    }

    fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, DnsError> {
        dns::Resolver::ipv6(self, name)
    }

    fn mx(&self, name: &str) -> Result<Vec<String>, DnsError> {
        Ok(dns::Resolver::mx(self, name)?.into_iter().map(|mx| mx.host).collect())
    }

    fn ptr(&self, address: IpAddr) -> Result<Vec<String>, DnsError> {
        dns::Resolver::ptr(self, address)
    }
}
