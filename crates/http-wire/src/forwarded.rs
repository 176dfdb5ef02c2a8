//! What a proxy says of its client: `X-Forwarded-For` and `X-Forwarded-Proto`, or `Forwarded` (RFC 7239). Whether it is to be
//! believed, whoever asks must know, and which of them the proxy writes: the other comes from the client as it likes.

use std::net::{IpAddr, SocketAddr};

use crate::Head;

/// Hops that are looked at.
const HOPS_MAX: usize = 20;

/// The fields that a proxy writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`
    XForwarded,
    /// `Forwarded`
    Forwarded,
}

/// The addresses that proxies added, the nearest first; nothing where one could not be read.
pub fn addresses(head: &Head, fields: Fields) -> Vec<Option<IpAddr>> {
    let mut hops: Vec<Option<IpAddr>> = match fields {
        Fields::XForwarded => elements(head, "x-forwarded-for").map(|text| address(text.trim())).collect(),
        Fields::Forwarded => {
            elements(head, "forwarded").map(|element| address(parameter(element, "for")?)).collect()
        }
    };
    hops.reverse();
    hops.truncate(HOPS_MAX);
    hops
}

/// Whether the nearest proxy was reached with TLS; nothing when it does not say.
pub fn is_secure(head: &Head, fields: Fields) -> Option<bool> {
    let scheme = match fields {
        Fields::XForwarded => elements(head, "x-forwarded-proto").last()?.trim(),
        Fields::Forwarded => parameter(elements(head, "forwarded").last()?, "proto")?,
    };
    Some(scheme.eq_ignore_ascii_case("https"))
}

fn elements<'h>(head: &'h Head, name: &'static str) -> impl Iterator<Item = &'h str> {
    head.all(name).flat_map(|line| line.split(','))
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
        let hops = |fields: &str, which: Fields| {
            addresses(&head(fields), which)
                .iter()
                .map(|hop| hop.map_or("?".into(), |ip| ip.to_string()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            hops(
                "X-Forwarded-For: 192.0.2.1, 198.51.100.7:80\r\nX-Forwarded-For: 2001:db8::1\r\n",
                Fields::XForwarded
            ),
            ["2001:db8::1", "198.51.100.7", "192.0.2.1"]
        );
        assert_eq!(hops("X-Forwarded-For: unknown, 192.0.2.1\r\n", Fields::XForwarded), ["192.0.2.1", "?"]);
        let both = "Forwarded: for=\"[2001:db8::2]:4711\";proto=https, For=192.0.2.9\r\nX-Forwarded-For: 9.9.9.9\r\n";
        assert_eq!(hops(both, Fields::Forwarded), ["192.0.2.9", "2001:db8::2"]);
        assert_eq!(hops(both, Fields::XForwarded), ["9.9.9.9"]);
        assert!(hops("Forwarded: for=1.2.3.4\r\n", Fields::XForwarded).is_empty());
        assert!(hops("X-Forwarded-For: 1.2.3.4\r\n", Fields::Forwarded).is_empty());
    }

    #[test]
    fn the_scheme_is_the_nearest_ones() {
        let secure = |fields: &str, which: Fields| is_secure(&head(fields), which);
        assert_eq!(secure("X-Forwarded-Proto: http, https\r\n", Fields::XForwarded), Some(true));
        let both = "Forwarded: for=1.2.3.4;proto=http\r\nX-Forwarded-Proto: https\r\n";
        assert_eq!(secure(both, Fields::Forwarded), Some(false));
        assert_eq!(secure(both, Fields::XForwarded), Some(true));
        assert_eq!(secure("Forwarded: proto=https\r\n", Fields::XForwarded), None);
        assert_eq!(secure("", Fields::Forwarded), None);
    }
}
