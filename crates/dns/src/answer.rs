//! What look-ups give.

use std::fmt;
use std::net::IpAddr;

/// One mail exchanger (RFC 5321 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// The lower, the better.
    pub preference: u16,
    /// Lower case, ASCII, without the final dot. Empty: the domain takes no mail (null MX, RFC 7505).
    pub host: String,
}

/// One TLSA record (RFC 6698 §2.1). Values nobody has defined are kept; what to make of them is the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    pub usage: u8,
    pub selector: u8,
    pub matching: u8,
    pub data: Vec<u8>,
}

/// What was asked for, and whether it was validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    pub value: T,
    /// A name server on this host said that it had validated the answer and every alias on the way to it (the AD bit).
    /// What a server across a network says about that is not believed: anybody on the way could say it (RFC 4035
    /// §4.9.3).
    pub secure: bool,
}

/// The addresses of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// IPv4 before IPv6.
    pub addresses: Vec<IpAddr>,
    /// As [`Answer::secure`], of every address.
    pub secure: bool,
    /// The host's own name, when the one that was asked about is an alias of it.
    pub canonical: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsError {
    /// The name does not exist, or cannot be a name in DNS.
    NoSuchDomain,
    /// The name exists and has no such record.
    NoData,
    /// Nobody could tell; later perhaps. The text is one clear clause.
    Temporary(String),
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DnsError::NoSuchDomain => f.write_str("no such domain"),
            DnsError::NoData => f.write_str("no such record"),
            DnsError::Temporary(why) => f.write_str(why),
        }
    }
}
impl std::error::Error for DnsError {}

/// One record in our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Mx(Mx),
    Address(IpAddr),
    Text(Vec<u8>),
    Tlsa(Tlsa),
    Name(String),
    /// The name that the others belong to, where aliases led to it.
    Canonical(String),
}

/// An answer that says that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Negative {
    NoSuchDomain,
    NoData,
}

impl From<Negative> for DnsError {
    fn from(negative: Negative) -> DnsError {
        match negative {
            Negative::NoSuchDomain => DnsError::NoSuchDomain,
            Negative::NoData => DnsError::NoData,
        }
    }
}
