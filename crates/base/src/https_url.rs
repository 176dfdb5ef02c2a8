//! The URL of something that is asked for over HTTPS (RFC 9110 §4.2.2).

use std::fmt;

/// Bytes of a URL at most.
const BYTES_MAX: usize = 2_048;

/// `https://host[:port]/path?query`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsUrl {
    /// In lower case; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// Path and query, as they stand in a request; at least `/`.
    pub target: String,
}

impl HttpsUrl {
    /// # Errors
    /// What is wrong with it, as one clause.
    pub fn parse(text: &str) -> Result<HttpsUrl, String> {
        let told = |why: &str| format!("'{}' {why}", crate::escape(text));
        let rest = text.strip_prefix("https://").ok_or_else(|| told("does not begin with https://"))?;
        if text.len() > BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(told("is no URL"));
        }
        let rest = rest.split('#').next().unwrap_or("");
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, behind) = bracketed.split_once(']').ok_or_else(|| told("has no host"))?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| told("has no host"))?;
                (host, behind)
            }
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => 443,
            None => return Err(told("has no port")),
            Some(digits) => {
                let number = digits.parse().ok().filter(|number| *number > 0);
                number.ok_or_else(|| told("has no port"))?
            }
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_name) {
            return Err(told("has no host"));
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(HttpsUrl { host: host.to_ascii_lowercase(), port, target: format!("{slash}{target}") })
    }

    /// What stands in the field Host (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::HttpsUrl;

    #[test]
    fn the_parts_are_found_and_put_together_again() {
        for (text, host, port, target) in [
            ("https://ca.example/directory", "ca.example", 443, "/directory"),
            ("https://CA.Example:14000/dir?x=1", "ca.example", 14000, "/dir?x=1"),
            ("https://ca.example", "ca.example", 443, "/"),
            ("https://ca.example?x", "ca.example", 443, "/?x"),
            ("https://[::1]:8443/a", "::1", 8443, "/a"),
            ("https://127.0.0.1/", "127.0.0.1", 443, "/"),
        ] {
            let url = HttpsUrl::parse(text).unwrap();
            assert_eq!((url.host.as_str(), url.port, url.target.as_str()), (host, port, target), "{text}");
            assert_eq!(HttpsUrl::parse(&url.to_string()), Ok(url), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "http://ca.example/",
            "https://",
            "https:///x",
            "https://a:0/",
            "https://a:b/",
            "https://a:70000/",
            "https://[::1/",
            "https://[x]/",
            "https://[::1]x/",
            "https://user@host/",
            "https://a/b c",
            "https://a/b\r\nX: y",
        ] {
            assert!(HttpsUrl::parse(text).is_err(), "{text}");
        }
    }
}
