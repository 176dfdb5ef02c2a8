//! What a proxy says of its client: `X-Forwarded-For`, `X-Forwarded-Proto`, or `Forwarded` (RFC 7239). Whether it is to be
//! believed, whoever asks must know.

use std::net::{IpAddr, SocketAddr};

use crate::Head;

/// Hops that are looked at.
const HOPS_MAX: usize = 20;

/// The addresses that proxies added, the nearest first; nothing where one could not be read. `Forwarded` counts alone when
/// it is there.
pub fn addresses(head: &Head) -> Vec<Option<IpAddr>> {
    let by_forwarded: Vec<&str> = head.all("forwarded").flat_map(|line| line.split(',')).collect();
    let mut hops: Vec<Option<IpAddr>> = if by_forwarded.is_empty() {
        head.all("x-forwarded-for")
            .flat_map(|line| line.split(','))
            .map(|text| address(text.trim()))
            .collect()
    } else {
        by_forwarded.into_iter().map(|element| address(parameter(element, "for")?)).collect()
    };
    hops.reverse();
    hops.truncate(HOPS_MAX);
    hops
}

/// Whether the nearest proxy was reached with TLS; nothing when it does not say.
pub fn is_secure(head: &Head) -> Option<bool> {
    let last = head.all("forwarded").flat_map(|line| line.split(',')).last();
    let scheme = match last {
        Some(element) => parameter(element, "proto")?,
        None => head.all("x-forwarded-proto").flat_map(|line| line.split(',')).last()?.trim(),
    };
    Some(scheme.eq_ignore_ascii_case("https"))
}

fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let pair = |part: &'a str| {
        let (have, value) = part.trim().split_once('=')?;
        have.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    };
    element.split(';').find_map(pair)
}

/// An address, with a port perhaps.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::parse;

    fn head(fields: &str) -> Head {
        parse(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes()).unwrap()
    }

    #[test]
    fn hops_are_read_from_the_nearest_on() {
        let hops = |fields: &str| {
            addresses(&head(fields))
                .iter()
                .map(|hop| hop.map_or("?".into(), |ip| ip.to_string()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            hops("X-Forwarded-For: 192.0.2.1, 198.51.100.7:80\r\nX-Forwarded-For: 2001:db8::1\r\n"),
            ["2001:db8::1", "198.51.100.7", "192.0.2.1"]
        );
        assert_eq!(hops("X-Forwarded-For: unknown, 192.0.2.1\r\n"), ["192.0.2.1", "?"]);
        assert_eq!(
            hops(
                "Forwarded: for=\"[2001:db8::2]:4711\";proto=https, For=192.0.2.9\r\nX-Forwarded-For: 9.9.9.9\r\n"
            ),
            ["192.0.2.9", "2001:db8::2"]
        );
        assert!(hops("").is_empty());
    }

    #[test]
    fn the_scheme_is_the_nearest_ones() {
        assert_eq!(is_secure(&head("X-Forwarded-Proto: http, https\r\n")), Some(true));
        assert_eq!(
            is_secure(&head("Forwarded: for=1.2.3.4;proto=http\r\nX-Forwarded-Proto: https\r\n")),
            Some(false)
        );
        assert_eq!(is_secure(&head("")), None);
    }
}
