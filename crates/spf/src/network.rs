//! Addresses and how much of them counts (§5.6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The prefix lengths behind `a` and `mx`: `/24//64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) four: u8,
    pub(crate) six: u8,
}

impl Lengths {
    pub(crate) const WHOLE: Lengths = Lengths { four: 32, six: 128 };
}

pub(crate) fn matches_four(client: Ipv4Addr, network: Ipv4Addr, length: u8) -> bool {
    let shift = 32_u32.saturating_sub(u32::from(length));
    let prefix = |address: Ipv4Addr| address.to_bits().checked_shr(shift).unwrap_or(0);
    prefix(client) == prefix(network)
}

pub(crate) fn matches_six(client: Ipv6Addr, network: Ipv6Addr, length: u8) -> bool {
    let shift = 128_u32.saturating_sub(u32::from(length));
    let prefix = |address: Ipv6Addr| address.to_bits().checked_shr(shift).unwrap_or(0);
    prefix(client) == prefix(network)
}

/// Of the same kind and with the same prefix.
pub(crate) fn matches(client: IpAddr, network: IpAddr, lengths: Lengths) -> bool {
    match (client, network) {
        (IpAddr::V4(client), IpAddr::V4(network)) => matches_four(client, network, lengths.four),
        (IpAddr::V6(client), IpAddr::V6(network)) => matches_six(client, network, lengths.six),
        _ => false,
    }
}

/// `ip4-cidr-length` and its like: digits without a leading zero, up to `max`.
pub(crate) fn length(text: &str, max: u8) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|length| digits && !leading && *length <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_all_lengths() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let lengths = |four, six| Lengths { four, six };
        assert!(matches(at("192.0.2.1"), at("192.0.2.200"), lengths(24, 0)));
        assert!(!matches(at("192.0.2.1"), at("192.0.3.1"), lengths(24, 0)));
        assert!(matches(at("192.0.2.1"), at("10.0.0.1"), lengths(0, 128)));
        assert!(matches(at("2001:db8::1"), at("2001:db8::2"), lengths(32, 64)));
        assert!(matches(at("::1"), at("ffff::"), lengths(32, 0)));
        assert!(!matches(at("::1"), at("::2"), Lengths::WHOLE));
        assert!(!matches(at("::1"), at("0.0.0.1"), lengths(0, 0)));
    }

    #[test]
    fn lengths_have_no_leading_zeros() {
        assert_eq!(length("0", 32), Some(0));
        assert_eq!(length("32", 32), Some(32));
        for bad in ["", "00", "08", "33", "-1", "+1", "1a", "999"] {
            assert_eq!(length(bad, 32), None, "{bad}");
        }
    }
}
