//! A next hop as tables and lists name it: `host`, `[host]`, `host:port`, `[host]:port`, an address.

use std::fmt;
use std::net::IpAddr;

/// Bytes of a host's name at most (RFC 1035 §2.3.4).
const HOST_BYTES_MAX: usize = 255;

/// Where mail goes instead of to its domain's own hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// A name or the text of an address, without brackets, in lower case.
    pub host: String,
    /// The port, when one is named.
    pub port: Option<u16>,
    /// It is that host, whose MX records do not count: it stands in brackets, or with a port, or is an address.
    pub exact: bool,
}

impl NextHop {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong, as one clear clause.
    pub fn parse(text: &str) -> Result<NextHop, String> {
        let wrong = || format!("'{text}' is no host, [host], host:port or [host]:port");
        let (host, port, in_brackets) = match text.strip_prefix('[') {
            Some(inner) => {
                let (host, rest) = inner.split_once(']').ok_or_else(wrong)?;
                let port =
                    if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(wrong)?) };
                (host, port, true)
            }
            None if text.parse::<IpAddr>().is_ok() => (text, None, true),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port), true),
                None => (text, None, false),
            },
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port != 0 => Some(port),
            Some(_) => return Err(wrong()),
        };
        let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '@' | '/');
        let is_address = host.parse::<IpAddr>().is_ok();
        if host.is_empty()
            || host.len() > HOST_BYTES_MAX
            || host.contains(bad)
            || host.contains(':') && !is_address
        {
            return Err(wrong());
        }
        Ok(NextHop { host: host.to_ascii_lowercase(), port, exact: in_brackets || is_address })
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.exact, self.port) {
            (false, _) => f.write_str(&self.host),
            (true, None) => write!(f, "[{}]", self.host),
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_what_it_says() {
        for (text, host, port, exact) in [
            ("Relay.Example.org", "relay.example.org", None, false),
            ("[relay.example.org]", "relay.example.org", None, true),
            ("relay.example.org:587", "relay.example.org", Some(587), true),
            ("[relay.example.org]:465", "relay.example.org", Some(465), true),
            ("192.0.2.1", "192.0.2.1", None, true),
            ("192.0.2.1:26", "192.0.2.1", Some(26), true),
            ("2001:db8::1", "2001:db8::1", None, true),
            ("[2001:db8::1]:587", "2001:db8::1", Some(587), true),
        ] {
            let hop = NextHop::parse(text).unwrap();
            assert_eq!(hop, NextHop { host: host.into(), port, exact }, "{text}");
            assert_eq!(NextHop::parse(&hop.to_string()), Ok(hop), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in
            ["", "[]", "[a", "a]", "a:", "a:0", "a:65536", "a:x", "[a]b", "a b", "u@a", "a:b:c", "smtp://a"]
        {
            assert!(NextHop::parse(text).is_err(), "{text}");
        }
    }
}
