//! Networks of IP addresses: `192.0.2.0/24`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// `address` or `address/bits`; nothing when it is neither.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            None => (text.parse::<IpAddr>().ok()?, None),
            Some((address, bits)) => (address.parse().ok()?, Some(bits.parse::<u8>().ok()?)),
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Network { address, bits })
    }

    /// How many of its leading bits count: of 32, or of 128 for IPv6.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    pub fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether all of `other` is in it.
    pub fn covers(&self, other: &Network) -> bool {
        self.is_ipv4() == other.is_ipv4() && self.bits <= other.bits && self.contains(other.address)
    }

    /// Whether `address` is in it. An IPv4 address is the same when it comes mapped into IPv6 (RFC 4291 §2.5.5.2).
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differ = u128::from(u32::from(ours) ^ u32::from(theirs));
                differ >> (32 - self.bits.min(32)) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differ = u128::from(ours) ^ u128::from(theirs);
                differ.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// As it is parsed, with the bits when they are not all.
impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = if self.address.is_ipv4() { 32 } else { 128 };
        write!(f, "{}", self.address)?;
        if self.bits < width { write!(f, "/{}", self.bits) } else { Ok(()) }
    }
}

/// The network of an address, of so many leading bits; an IPv4 address that comes mapped into IPv6 is IPv4.
pub fn prefix(address: IpAddr, bits_4: u32, bits_6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits_4)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits_6)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// What one customer has: an IPv4 address, an IPv6 /64.
pub fn of_client(address: IpAddr) -> IpAddr {
    prefix(address, 32, 64)
}

/// What one site may have: an IPv4 /24, an IPv6 /48.
pub fn of_site(address: IpAddr) -> IpAddr {
    prefix(address, 24, 48)
}

/// Whether an address is of this host, of its own networks or of nobody: not a unicast address of the Internet (RFC 6890;
/// RFC 6598 shared, RFC 4193 unique local, RFC 3879 site-local).
pub fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            first == 0
                || address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_multicast()
                || (first == 100 && second & 0xc0 == 64)
                || first >= 240
        }
        IpAddr::V6(address) => {
            let head = address.segments()[0];
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || head & 0xfe00 == 0xfc00
                || head & 0xff80 == 0xfe80
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_their_networks_only() {
        for (network, address, inside) in [
            ("192.0.2.0/24", "192.0.2.200", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("192.0.2.9", "192.0.2.9", true),
            ("192.0.2.9", "192.0.2.8", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("::1/128", "::1", true),
        ] {
            let network = Network::parse(network).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network:?} {address}");
        }
        for (network, other, covered) in [
            ("192.0.2.0/24", "192.0.2.0/24", true),
            ("192.0.2.0/24", "192.0.2.128/25", true),
            ("192.0.2.0/28", "192.0.2.0/24", false),
            ("192.0.2.0/24", "192.0.3.0/24", false),
            ("2001:db8::/32", "2001:db8:7::/48", true),
            ("0.0.0.0/0", "::/0", false),
            ("::/0", "192.0.2.0/24", false),
        ] {
            let (network, other) = (Network::parse(network).unwrap(), Network::parse(other).unwrap());
            assert_eq!(network.covers(&other), covered, "{network} {other}");
        }
        for wrong in ["", "x", "1.2.3.4/33", "::1/129", "1.2.3/8", "1.2.3.4/", "1.2.3.4/-1"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_client_and_a_site_have_networks() {
        let of = |network: fn(IpAddr) -> IpAddr, text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of(of_client, "::ffff:192.0.2.9"), "192.0.2.9");
        assert_eq!(of(of_client, "2001:db8:1:2:3::4"), "2001:db8:1:2::");
        assert_eq!(of(of_site, "192.0.2.9"), "192.0.2.0");
        assert_eq!(of(of_site, "2001:db8:1:2:3::4"), "2001:db8:1::");
        assert_eq!(prefix("192.0.2.9".parse().unwrap(), 0, 0).to_string(), "0.0.0.0");
        assert_eq!(prefix("2001:db8::1".parse().unwrap(), 0, 0).to_string(), "::");
    }

    #[test]
    fn addresses_of_the_internet_and_others() {
        for (address, internal) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("169.254.169.254", true),
            ("0.0.0.0", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("224.0.0.1", true),
            ("255.255.255.255", true),
            ("8.8.8.8", false),
            ("::ffff:127.0.0.1", true),
            ("::1", true),
            ("::", true),
            ("fe80::1", true),
            ("fec0::1", true),
            ("fd00::1", true),
            ("ff02::1", true),
            ("2001:4860::8888", false),
        ] {
            assert_eq!(is_internal(address.parse().unwrap()), internal, "{address}");
        }
    }
}
