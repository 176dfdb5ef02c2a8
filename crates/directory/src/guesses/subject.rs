//! What wrong passwords are counted for: its key in the table, and its name for who looks at it.

use std::net::IpAddr;

use base::keyed_hash::HashKey;
use base::network::{of_client, of_site};

use super::report::Kind;
use super::table::{NAME_BYTES_MAX, Name};

/// See the head of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// IPv4 /32, IPv6 /64.
    Address(IpAddr),
    /// IPv4 /24, IPv6 /48.
    Network(IpAddr),
    /// As it was typed, in lower case; whether it is anybody's does not matter.
    Name(&'a str),
    /// The user, whichever of the names was typed.
    Account(&'a str),
    /// The user from a network where that one is known; nothing is this host.
    Pair(&'a str, Option<IpAddr>),
}

impl Subject<'_> {
    fn kind(&self) -> Kind {
        match self {
            Subject::Address(_) => Kind::Address,
            Subject::Network(_) => Kind::Network,
            Subject::Name(_) => Kind::Name,
            Subject::Account(_) => Kind::Account,
            Subject::Pair(..) => Kind::KnownAccount,
        }
    }

    pub fn key(&self, hash: HashKey) -> u64 {
        let kind = [self.kind() as u8];
        let of = |bytes: &[u8], account: &str| hash.hash(&[&kind, bytes, account.as_bytes()]);
        let of_ip = |ip: &IpAddr, account: &str| match ip {
            IpAddr::V4(ip) => of(&ip.octets(), account),
            IpAddr::V6(ip) => of(&ip.octets(), account),
        };
        match self {
            Subject::Address(ip) | Subject::Network(ip) => of_ip(ip, ""),
            Subject::Name(account) | Subject::Account(account) | Subject::Pair(account, None) => {
                of(&[], account)
            }
            Subject::Pair(account, Some(ip)) => of_ip(ip, account),
        }
    }

    /// As [`parse`] reads it.
    pub fn name(&self) -> Name {
        let text = match self {
            Subject::Address(ip) | Subject::Network(ip) => ip.to_string(),
            Subject::Name(account) | Subject::Account(account) => (*account).to_owned(),
            Subject::Pair(account, None) => format!("- {account}"),
            Subject::Pair(account, Some(ip)) => format!("{ip} {account}"),
        };
        Name { kind: self.kind() as u8, text: text.into_bytes() }
    }
}

/// What a name in the table says, if it is the key's. A name that was cut off can be no more than believed.
pub fn parse(name: &Name, key: u64, hash: HashKey) -> Option<(Kind, String)> {
    let text = std::str::from_utf8(&name.text).ok();
    let is_cut = name.text.len() == NAME_BYTES_MAX;
    let kind = Kind::from_number(name.kind)?;
    let whole = || {
        let text = text?;
        let ip = || text.parse::<IpAddr>().ok();
        let subject = match kind {
            Kind::Address => Subject::Address(of_client(ip()?)),
            Kind::Network => Subject::Network(of_site(ip()?)),
            Kind::Name => Subject::Name(text),
            Kind::Account => Subject::Account(text),
            Kind::KnownAccount => {
                let (ip, account) = text.split_once(' ')?;
                Subject::Pair(account, if ip == "-" { None } else { Some(ip.parse().ok()?) })
            }
        };
        (subject.key(hash).max(2) == key).then(|| (kind, text.to_owned()))
    };
    let cut = || Some((kind, String::from_utf8_lossy(&name.text).into_owned()));
    whole().or_else(|| if is_cut { cut() } else { None })
}
