//! The PROXY protocol (haproxy.org, `proxy-protocol.txt`), versions 1 and 2: what a proxy says of its client before the
//! client's first byte.
//!
//! A header is read in pieces of exactly the bytes that it is known to have, so nothing behind it is taken: TLS may follow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How version 2 begins (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes before the addresses of version 2.
const FIXED_BYTES: usize = 16;
/// Bytes behind those, addresses and additions (TLV) together, that are taken.
const REST_BYTES_MAX: usize = 2048;
/// The longest line of version 1, with its end (§2.1), and the shortest one.
const LINE_BYTES_MAX: usize = 107;
const LINE_BYTES_MIN: usize = b"PROXY UNKNOWN\r\n".len();

/// What the proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The connection is the proxy's own, or it does not know whose: the real addresses count.
    Own,
    Proxied {
        source: SocketAddr,
        destination: SocketAddr,
    },
}

/// How far a header is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes more are part of it, at least.
    More(usize),
    Whole(Header),
    Wrong(&'static str),
}

/// Looks at what was read so far; nothing but a header, or the beginning of one.
pub fn read(bytes: &[u8]) -> Progress {
    let start = &bytes[..bytes.len().min(SIGNATURE.len())];
    if b"PROXY ".starts_with(&start[..start.len().min(6)]) {
        return line(bytes);
    }
    if SIGNATURE.starts_with(start) {
        return binary(bytes);
    }
    Progress::Wrong("no PROXY header")
}

/// Version 1 (§2.1): `PROXY TCP4 192.0.2.1 192.0.2.25 40000 25`.
fn line(bytes: &[u8]) -> Progress {
    if bytes.len() < LINE_BYTES_MIN {
        return Progress::More(LINE_BYTES_MIN - bytes.len());
    }
    let Some(text) = bytes.strip_suffix(b"\r\n") else {
        return match bytes.last() {
            _ if bytes.len() >= LINE_BYTES_MAX || bytes.contains(&b'\n') => {
                Progress::Wrong("a PROXY line without its end")
            }
            Some(b'\r') => Progress::More(1),
            _ => Progress::More(2.min(LINE_BYTES_MAX - bytes.len())),
        };
    };
    let Ok(text) = std::str::from_utf8(text) else { return Progress::Wrong("a PROXY line that is no text") };
    let words: Vec<&str> = text.split(' ').collect();
    let header = match words[..] {
        [_, "UNKNOWN", ..] => Some(Header::Own),
        [_, kind @ ("TCP4" | "TCP6"), source, destination, from, to] => {
            proxied(kind, source, destination, from, to)
        }
        _ => None,
    };
    header.map_or(Progress::Wrong("a PROXY line with wrong addresses"), Progress::Whole)
}

fn proxied(kind: &str, source: &str, destination: &str, from: &str, to: &str) -> Option<Header> {
    let address = |text: &str| -> Option<IpAddr> {
        match kind {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            _ => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        }
    };
    let port =
        |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let source = SocketAddr::new(address(source)?, port(from)?);
    Some(Header::Proxied { source, destination: SocketAddr::new(address(destination)?, port(to)?) })
}

/// Version 2 (§2.2).
fn binary(bytes: &[u8]) -> Progress {
    if bytes.len() < FIXED_BYTES {
        return Progress::More(FIXED_BYTES - bytes.len());
    }
    let (version, command, family) = (bytes[12] >> 4, bytes[12] & 15, bytes[13]);
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let addresses = match family {
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        _ if command == 0 => 0,
        _ => return Progress::Wrong("a PROXY header of another family than TCP over IPv4 or IPv6"),
    };
    match (version, command) {
        (2, 0 | 1) => {}
        (2, _) => return Progress::Wrong("a PROXY header with an unknown command"),
        _ => return Progress::Wrong("a PROXY header of an unknown version"),
    }
    if rest > REST_BYTES_MAX {
        return Progress::Wrong("a PROXY header that is too long");
    }
    if command == 1 && rest < addresses {
        return Progress::Wrong("a PROXY header without its addresses");
    }
    if bytes.len() < FIXED_BYTES + rest {
        return Progress::More(FIXED_BYTES + rest - bytes.len());
    }
    let said = &bytes[FIXED_BYTES..];
    let header = match (command, family) {
        (1, 0x11) => proxied_by::<4>(said),
        (1, 0x21) => proxied_by::<16>(said),
        _ => Some(Header::Own),
    };
    header.map_or(Progress::Wrong("a PROXY header without its addresses"), Progress::Whole)
}

/// Two addresses of `N` bytes, then two ports.
fn proxied_by<const N: usize>(said: &[u8]) -> Option<Header>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = said.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, _) = rest.split_first_chunk::<2>()?;
    let source = SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes(*from));
    let destination = SocketAddr::new(IpAddr::from(*destination), u16::from_be_bytes(*to));
    Some(Header::Proxied { source, destination })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &length, rest].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 25, 0x9c, 0x40, 0, 25];

    /// Reads as a connection does: what is asked for, and no more. What is left, and what came of it.
    fn taken(bytes: &[u8]) -> (Progress, &[u8]) {
        let mut used = 0;
        loop {
            match read(&bytes[..used]) {
                Progress::More(more) if used + more <= bytes.len() => used += more,
                progress => return (progress, &bytes[used..]),
            }
        }
    }

    fn proxied(source: &str, destination: &str) -> Progress {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Progress::Whole(Header::Proxied { source, destination })
    }

    #[test]
    fn both_versions_tell_both_addresses_and_nothing_behind_is_taken() {
        let four = proxied("192.0.2.1:40000", "192.0.2.25:25");
        let six = proxied("[2001:db8::1]:40000", "[2001:db8::2]:25");
        let mut sixteen = [0; 36];
        sixteen[..4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
        sixteen[15] = 1;
        sixteen[16..20].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
        sixteen[31] = 2;
        sixteen[32..].copy_from_slice(&FOUR[8..]);
        let additions = [&FOUR[..], &[4, 0, 2, 1, 1]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\r\n".to_vec(), four),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 25\r\n".to_vec(), six),
            (b"PROXY UNKNOWN\r\n".to_vec(), Progress::Whole(Header::Own)),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), Progress::Whole(Header::Own)),
            (v2(1, 0x11, &FOUR), four),
            (v2(1, 0x11, &additions), four),
            (v2(1, 0x21, &sixteen), six),
            (v2(1, 0x00, b""), Progress::Whole(Header::Own)),
            (v2(0, 0x00, b"skipped"), Progress::Whole(Header::Own)),
            (v2(0, 0x11, &FOUR), Progress::Whole(Header::Own)),
        ] {
            let all = [header.as_slice(), b"EHLO x\r\n"].concat();
            assert_eq!(taken(&all), (expected, b"EHLO x\r\n".as_slice()), "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_wrong_at_once() {
        for wrong in [
            b"EHLO client.example\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.25 40000\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 192.0.2.25 40000 25\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.25 +4000 25\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.25 70000 25\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 192.0.2.25 4000 25\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\nEHLO x\r\n".to_vec(),
            [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat(),
            v2(2, 0x11, &FOUR),
            v2(1, 0x12, &FOUR),
            v2(1, 0x31, &[0; 216]),
            v2(1, 0x11, &FOUR[..11]),
            v2(1, 0x00, &[0; REST_BYTES_MAX + 1]),
            [&SIGNATURE[..], &[0x31, 0x11, 0, 12], &FOUR].concat(),
            b"\r\n\r\n\0\r\nQUIT\r\n....".to_vec(),
        ] {
            assert!(matches!(taken(&wrong).0, Progress::Wrong(_)), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..300), start in 0usize..3) {
            let start: &[u8] = [&b"PROXY "[..], &SIGNATURE[..], b""][start];
            let bytes = [start, &bytes].concat();
            if let (Progress::More(more), _) = taken(&bytes) {
                prop_assert!((1..=FIXED_BYTES + REST_BYTES_MAX).contains(&more));
            }
        }
    }
}
