//! What the domain of the From field wants done with mail that is not proved to be its own: DMARC (RFC 9989).
//!
//! Policies and organizational domains are found by the walk up the DNS tree (§4.10), so no list of public suffixes is
//! needed. One walk takes eight look-ups at most; domains that cannot be aligned are not walked from.

mod evaluate;
mod record;
mod walk;

use std::fmt;

use dns::DnsError;

pub use evaluate::{Evaluated, Proven, evaluate, is_within, prepare};

/// What a domain wants done with mail that fails (§4.7, `p`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    None,
    Quarantine,
    Reject,
}

impl Policy {
    pub fn name(self) -> &'static str {
        match self {
            Policy::None => "none",
            Policy::Quarantine => "quarantine",
            Policy::Reject => "reject",
        }
    }

    /// §4.7, `t`: a domain that is testing wants one level less.
    fn lowered(self) -> Policy {
        match self {
            Policy::Reject => Policy::Quarantine,
            _ => Policy::None,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// In the words of RFC 8601 §2.7 and RFC 9989 §9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The domain has no policy.
    None,
    Pass,
    Fail,
    /// Nobody could tell; later perhaps.
    TempError,
    /// The policy cannot be read.
    PermError,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::None => "none",
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::TempError => "temperror",
            Verdict::PermError => "permerror",
        }
    }
}

/// What is looked up.
pub trait Records {
    /// TXT records, the strings of each put together.
    ///
    /// # Errors
    /// There is none, or nobody could tell.
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError>;

    /// Whether there is such a domain (RFC 8020), with or without records.
    ///
    /// # Errors
    /// Nobody could tell.
    fn exists(&self, name: &str) -> Result<bool, DnsError>;
}

impl Records for dns::Resolver {
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        dns::Resolver::txt(self, name)
    }

    fn exists(&self, name: &str) -> Result<bool, DnsError> {
        match dns::Resolver::ipv4(self, name) {
            Ok(_) | Err(DnsError::NoData) => Ok(true),
            Err(DnsError::NoSuchDomain) => Ok(false),
            Err(why) => Err(why),
        }
    }
}
