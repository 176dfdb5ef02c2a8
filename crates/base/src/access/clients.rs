//! What a client list may name (hosts_access(5), original.md 6.6): wildcards, addresses, networks, host names.

use std::net::{IpAddr, Ipv4Addr};

use super::{Host, Visitor};
use crate::network::Network;

/// Characters of a host name (RFC 1035 §2.3.4).
const NAME_MAX: usize = 253;

/// One item of a client list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `ALL`, `*`
    All,
    /// `LOCAL`: this host itself, or a name without a dot.
    Local,
    /// `KNOWN`: the address has a name that leads back to it.
    Known,
    /// `UNKNOWN`: it has not, or nobody could tell.
    Unknown,
    /// `DNSSPOOFER`: it has a name that leads elsewhere.
    Spoofer,
    /// `192.0.2.`: the octets before the last dot.
    Octets(Vec<u8>),
    /// `192.0.2.0/255.255.255.0`
    Masked { address: u32, mask: u32 },
    /// `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`
    Network(Network),
    /// `mail.example.com`
    Name(String),
    /// `.example.com`, with the dot.
    Suffix(String),
}

impl Pattern {
    /// # Errors
    /// It is none of those.
    pub fn parse(word: &str) -> Result<Pattern, String> {
        let word = match word.split_once('@') {
            None => word,
            Some((user, host)) if user == "*" || user.eq_ignore_ascii_case("ALL") => host,
            Some(_) => {
                return Err(format!("'{word}': no user of a client's host is known; name the host alone"));
            }
        };
        let wildcard = match word.to_ascii_uppercase().as_str() {
            "ALL" | "*" => Some(Pattern::All),
            "LOCAL" => Some(Pattern::Local),
            "KNOWN" => Some(Pattern::Known),
            "UNKNOWN" => Some(Pattern::Unknown),
            "DNSSPOOFER" => Some(Pattern::Spoofer),
            _ => None,
        };
        wildcard
            .or_else(|| address(word))
            .or_else(|| name(word))
            .ok_or_else(|| format!("'{word}' is no address, network, host name or wildcard"))
    }

    /// Whether the client is meant.
    pub fn matches(&self, visitor: &Visitor<'_>) -> bool {
        let named = |ours: &dyn Fn(&str) -> bool| match visitor.host() {
            Host::Named(names) => names.iter().any(|name| ours(name.trim_end_matches('.'))),
            _ => false,
        };
        match (self, visitor.address) {
            (Pattern::All, _) => true,
            (Pattern::Local, address) => address.is_loopback() || named(&|name| !name.contains('.')),
            (Pattern::Known, _) => matches!(visitor.host(), Host::Named(_)),
            (Pattern::Unknown, _) => matches!(visitor.host(), Host::Unknown | Host::Unanswered),
            (Pattern::Spoofer, _) => *visitor.host() == Host::Spoofer,
            (Pattern::Octets(octets), IpAddr::V4(address)) => address.octets().starts_with(octets),
            (Pattern::Masked { address, mask }, IpAddr::V4(theirs)) => {
                u32::from(theirs) & mask == address & mask
            }
            (Pattern::Octets(_) | Pattern::Masked { .. }, IpAddr::V6(_)) => false,
            (Pattern::Network(network), address) => network.contains(address),
            (Pattern::Name(ours), _) => named(&|name| name.eq_ignore_ascii_case(ours)),
            (Pattern::Suffix(suffix), _) => named(&|name| {
                let at = name.len().checked_sub(suffix.len()).filter(|at| *at > 0);
                at.and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }),
        }
    }
}

fn address(word: &str) -> Option<Pattern> {
    let bare: String = word.chars().filter(|c| !"[]".contains(*c)).collect();
    let bracketed = word.starts_with('[') && word.matches(['[', ']']).count() == 2;
    if let Some(network) = Network::parse(if bracketed { &bare } else { word }) {
        return Some(Pattern::Network(network));
    }
    if let Some((address, mask)) = word.split_once('/') {
        let (address, mask): (Ipv4Addr, Ipv4Addr) = (address.parse().ok()?, mask.parse().ok()?);
        return Some(Pattern::Masked { address: address.into(), mask: mask.into() });
    }
    let octets = word.strip_suffix('.')?.split('.').map(octet).collect::<Option<Vec<u8>>>()?;
    (octets.len() < 4).then_some(Pattern::Octets(octets))
}

/// One to three digits, 255 at most.
pub(super) fn octet(text: &str) -> Option<u8> {
    let digits = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// A host, or with a dot (or `*.`) in front all hosts below.
fn name(word: &str) -> Option<Pattern> {
    let word = word.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(word);
    let (is_suffix, labels) = match word.strip_prefix('.') {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    let labels = labels.strip_suffix('.').unwrap_or(labels);
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // A last label of digits is an address that somebody did not finish (RFC 1123 §2.1).
    let last = labels.rsplit('.').next().unwrap_or("");
    // So is 10.x: no domain of the Internet's is called x.
    let last =
        if last.eq_ignore_ascii_case("x") && labels.bytes().all(|byte| b"0123456789.xX".contains(&byte)) {
            "0"
        } else {
            last
        };
    let is_name = labels.len() <= NAME_MAX
        && labels.split('.').all(good)
        && last.bytes().any(|byte| !byte.is_ascii_digit());
    let lower = labels.to_ascii_lowercase();
    is_name.then(|| if is_suffix { Pattern::Suffix(format!(".{lower}")) } else { Pattern::Name(lower) })
}
