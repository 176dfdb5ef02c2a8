//! The URL of an image on another host, and which addresses of hosts may be asked.
//!
//! Read strictly, and not as browsers read: what has two readings is refused (numbers for addresses, user names, blanks).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a URL.
pub const URL_BYTES_MAX: usize = 8 << 10;

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// In ASCII, lower case, without a dot at its end.
    Name(String),
    Address(IpAddr),
}

/// An http or https URL of port 80 or 443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub is_tls: bool,
    pub host: Host,
    pub port: u16,
    /// Path and query, of visible ASCII characters.
    pub target: String,
}

impl Url {
    /// None: it is no URL that is fetched.
    pub fn parse(text: &str) -> Option<Url> {
        if text.len() > URL_BYTES_MAX {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at(end);
        let (host, port) = authority_parts(authority)?;
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        matches!(port, 80 | 443).then_some(())?;
        Some(Url { is_tls, host: host_of(host)?, port, target: target(behind)? })
    }

    /// Where a redirection leads from here.
    pub fn follow(&self, location: &str) -> Option<Url> {
        let scheme = if self.is_tls { "https" } else { "http" };
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{scheme}://{rest}"));
        }
        if location.starts_with('/') {
            return Some(Url { target: target(location)?, ..self.clone() });
        }
        if location.contains("://") {
            return Url::parse(location);
        }
        let path = self.target.split('?').next().unwrap_or("/");
        let folder = &path[..=path.rfind('/').unwrap_or(0)];
        Some(Url { target: target(&format!("{folder}{location}"))?, ..self.clone() })
    }

    /// The value of the Host field (RFC 9110 §7.2).
    pub fn host_field(&self) -> String {
        let host = match &self.host {
            Host::Name(name) => name.clone(),
            Host::Address(IpAddr::V4(address)) => address.to_string(),
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        };
        let usual = if self.is_tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

fn authority_parts(authority: &str) -> Option<(&str, Option<u16>)> {
    if authority.contains(['@', '\\', '%']) {
        return None;
    }
    let digits = |text: &str| match text {
        "" => Some(None),
        _ if text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok().map(Some),
        _ => None,
    };
    if let Some(rest) = authority.strip_prefix('[') {
        let (_, behind) = rest.split_once(']')?;
        let port = if behind.is_empty() { None } else { digits(behind.strip_prefix(':')?)? };
        return Some((&authority[..authority.len() - behind.len()], port));
    }
    match authority.split_once(':') {
        None => Some((authority, None)),
        Some((host, port)) => Some((host, digits(port)?)),
    }
}

fn host_of(text: &str) -> Option<Host> {
    if let Some(inner) = text.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Address(IpAddr::V6(address).to_canonical()));
    }
    let name = dns::ascii_name(text.strip_suffix('.').unwrap_or(text))?.to_ascii_lowercase();
    let last = name.rsplit('.').next()?;
    // What ends in a number is an address, in whatever spelling: only the one spelling is taken.
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        return name.parse::<Ipv4Addr>().ok().map(|address| Host::Address(IpAddr::V4(address)));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_name = name.contains('.') && name.len() <= 253 && name.split('.').all(is_label);
    let is_here = ["localhost", "local", "internal", "localdomain", "arpa"].contains(&last);
    (is_name && !is_here).then_some(Host::Name(name))
}

/// Path and query for the request line: nothing in it ends the line.
fn target(text: &str) -> Option<String> {
    let text = text.split('#').next().unwrap_or("");
    let mut written = String::with_capacity(text.len() + 1);
    if !text.starts_with('/') {
        written.push('/');
    }
    for byte in text.bytes() {
        match byte {
            0..=b' ' | b'\x7f' => return None,
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                written.push_str(&format!("%{byte:02X}"));
            }
            _ => written.push(char::from(byte)),
        }
    }
    Some(written)
}

/// Whether an address is one of the Internet's, and of no other host's or network's in disguise (RFC 6890 and its registry).
pub fn is_outside(address: IpAddr) -> bool {
    if base::network::is_internal(address) {
        return false;
    }
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, third, _] = address.octets();
            !matches!(
                (first, second, third),
                (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113)
            )
        }
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            // Global unicast is 2000::/3; of that not what carries an IPv4 address, nor what is for documents.
            first & 0xe000 == 0x2000
                && first != 0x2002
                && first != 0x3fff
                && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_in_one_way_only() {
        let host = |text: &str| Url::parse(text).map(|url| (url.host_field(), url.port, url.target));
        let found = |host: &str, port, target: &str| Some((host.to_owned(), port, target.to_owned()));
        assert_eq!(host("http://A.test/b?c#d"), found("a.test", 80, "/b?c"));
        assert_eq!(host("https://a.test."), found("a.test", 443, "/"));
        assert_eq!(host("https://a.test:80?x={y}"), found("a.test:80", 80, "/?x=%7By%7D"));
        assert_eq!(host("http://b\u{fc}cher.test/\u{fc}"), found("xn--bcher-kva.test", 80, "/%C3%BC"));
        assert_eq!(host("http://[2A00::1]:443/"), found("[2a00::1]:443", 443, "/"));
        assert_eq!(host("http://[::ffff:8.8.8.8]/"), found("8.8.8.8", 80, "/"));
        for refused in [
            "ftp://a.test/",
            "http:/a.test",
            "http://",
            "http:///a",
            "http://a.test:81/",
            "http://a.test:8o/",
            "http://a@b.test/",
            "http://a.test\\@b.test/",
            "http://localhost/",
            "http://a.localhost/",
            "http://x.local/",
            "http://single/",
            "http://1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://017700000001/",
            "http://127.1/",
            "http://127.0.0.01/",
            "http://a..b/",
            "http://a.test/ b",
            "http://a.test/\r\nx",
            "http://%61.test/",
            "http://[fe80::1%25eth0]/",
            "http://[::1/",
            "http://a b.test/",
            "http://x.1/",
        ] {
            assert_eq!(Url::parse(refused), None, "{refused}");
        }
    }

    #[test]
    fn redirections_lead_on() {
        let Some(url) = Url::parse("https://a.test/b/c?d") else { panic!("it is one") };
        let to = |location: &str| url.follow(location).map(|url| (url.host_field(), url.target));
        assert_eq!(to("e"), Some(("a.test".into(), "/b/e".into())));
        assert_eq!(to("/e?f"), Some(("a.test".into(), "/e?f".into())));
        assert_eq!(to("//g.test/h"), Some(("g.test".into(), "/h".into())));
        assert_eq!(to("http://g.test"), Some(("g.test".into(), "/".into())));
        for refused in ["ftp://x.test/", "http://127.1/", "//localhost/", "/a b"] {
            assert_eq!(to(refused), None, "{refused}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_outside_and_no_other() {
        for outside in ["8.8.8.8", "193.0.0.1", "2a00::1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(outside.parse().is_ok_and(is_outside), "{outside}");
        }
        for inside in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fec0::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(inside.parse().is_ok_and(|address| !is_outside(address)), "{inside}");
        }
    }
}
