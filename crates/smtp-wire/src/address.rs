//! Mailbox and path of RFC 5321 §4.1.2, with RFC 6531 for UTF-8.
//!
//! A quoted local part that needs no quotes is the same address as the bare one, and is kept bare. Source routes
//! are read and dropped (RFC 5321 §C). Limits: local part 64 (240 where it is a rewritten sender), domain 255, path 256
//! bytes (§4.5.3.1).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

const LOCAL_MAX: usize = 64;
/// A rewritten sender (SRS) has another address in it; every forwarder takes longer ones.
const REWRITTEN_MAX: usize = 240;
const DOMAIN_MAX: usize = 255;
const LABEL_MAX: usize = 63;

/// One mailbox: the local part unquoted as it was typed, the domain in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Local part without quotes and backslashes.
    pub local: String,
    /// Domain in lower case, or a literal with its brackets. Empty for a bare local part.
    pub domain: String,
}

/// Why something is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Not of the form of RFC 5321 §4.1.2.
    Syntax,
    /// The domain, or a label of it, breaks its length limit.
    DomainTooLong,
    /// Bytes above 127 without SMTPUTF8.
    NeedsUtf8,
}

impl Address {
    /// Reads a mailbox `local@domain`; also a bare local part when `bare` allows it.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &[u8], bare: bool, utf8: bool) -> Result<Address, AddressError> {
        if !utf8 && text.iter().any(|b| *b >= 0x80) {
            return Err(AddressError::NeedsUtf8);
        }
        let text = std::str::from_utf8(text).map_err(|_| AddressError::Syntax)?;
        let (local, rest) = if text.starts_with('"') { quoted(text)? } else { dotted(text)? };
        if local.is_empty() || local.len() > local_max(&local) {
            return Err(AddressError::Syntax);
        }
        if rest.is_empty() && bare {
            return Ok(Address { local, domain: String::new() });
        }
        let name = rest.strip_prefix('@').ok_or(AddressError::Syntax)?;
        Ok(Address { local, domain: domain(name)? })
    }

    /// The address with its domain, which is `default` when it has none.
    #[must_use]
    pub fn qualified(mut self, default: &str) -> Address {
        if self.domain.is_empty() {
            self.domain = default.to_ascii_lowercase();
        }
        self
    }

    /// Whether it can go where there is no SMTPUTF8, as it is.
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.is_ascii()
    }

    /// Whether this is a postmaster address, in any case (RFC 5321 §4.5.1).
    pub fn is_postmaster(&self) -> bool {
        self.local.eq_ignore_ascii_case("postmaster")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if c == '"' || c == '\\' {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        if self.domain.is_empty() { Ok(()) } else { write!(f, "@{}", self.domain) }
    }
}

fn local_max(local: &str) -> usize {
    let tag = local.get(..5).unwrap_or("").to_ascii_uppercase();
    if tag == "SRS0=" || tag == "SRS1=" { REWRITTEN_MAX } else { LOCAL_MAX }
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii() && !c.is_control() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn dotted(text: &str) -> Result<(String, &str), AddressError> {
    let (local, rest) = text.split_at(text.find('@').unwrap_or(text.len()));
    if is_dot_string(local) { Ok((local.to_owned(), rest)) } else { Err(AddressError::Syntax) }
}

fn quoted(text: &str) -> Result<(String, &str), AddressError> {
    let mut local = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((local, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, c @ ' '..='~')) => local.push(c),
                _ => return Err(AddressError::Syntax),
            },
            c if c.is_control() => return Err(AddressError::Syntax),
            c => local.push(c),
        }
    }
    Err(AddressError::Syntax)
}

/// Reads a domain or an address literal; gives it in lower case. Underscores are tolerated.
///
/// # Errors
/// See [`AddressError`].
pub fn domain(name: &str) -> Result<String, AddressError> {
    if name.len() > DOMAIN_MAX {
        return Err(AddressError::DomainTooLong);
    }
    if let Some(inner) = name.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(AddressError::Syntax)?;
        let known = match inner.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().is_ok(),
            _ => inner.parse::<Ipv4Addr>().is_ok(),
        };
        return if known { Ok(name.to_ascii_lowercase()) } else { Err(AddressError::Syntax) };
    }
    if name.split('.').any(|label| label.len() > LABEL_MAX) {
        return Err(AddressError::DomainTooLong); // RFC 1035 §2.3.4
    }
    if !name.is_ascii() {
        // RFC 6531 §3.3: U-labels, whose A-labels are a name of DNS. It stays as it was written.
        let ascii = base::idn::to_ascii(name).ok_or(AddressError::Syntax)?;
        return domain(&ascii).map(|_| name.to_lowercase());
    }
    let label = |label: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(inside)
    };
    if name.split('.').all(label) { Ok(name.to_ascii_lowercase()) } else { Err(AddressError::Syntax) }
}

/// Reads the inside of `<...>`: an optional source route (dropped), then a mailbox.
///
/// # Errors
/// See [`AddressError`].
pub fn path(inside: &[u8], bare: bool, utf8: bool) -> Result<Address, AddressError> {
    let mut rest = inside;
    if rest.first() == Some(&b'@') {
        let colon = rest.iter().position(|b| *b == b':').ok_or(AddressError::Syntax)?;
        for hop in rest[..colon].split(|b| *b == b',') {
            let hop = hop.strip_prefix(b"@").ok_or(AddressError::Syntax)?;
            domain(std::str::from_utf8(hop).map_err(|_| AddressError::Syntax)?)?;
        }
        rest = &rest[colon + 1..];
    }
    Address::parse(rest, bare, utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        path(text.as_bytes(), false, false).ok().map(|a| a.to_string())
    }

    #[test]
    fn addresses_have_one_written_form() {
        let table = [
            ("u1@Mta.Test", Some("u1@mta.test")),
            ("\"u1\"@mta.test", Some("u1@mta.test")),
            ("\"u 1\"@mta.test", Some("\"u 1\"@mta.test")),
            ("\"u1@other\"@mta.test", Some("\"u1@other\"@mta.test")),
            ("\"u1\\\"\"@mta.test", Some("\"u1\\\"\"@mta.test")),
            ("@a.test,@b.test:u1@mta.test", Some("u1@mta.test")),
            ("u1@[127.0.0.1]", Some("u1@[127.0.0.1]")),
            ("u1@[IPv6:::1]", Some("u1@[ipv6:::1]")),
            ("u1@mta_x.test", Some("u1@mta_x.test")),
            ("u1@[300.1.1.1]", None),
            ("", None),
            ("u1", None),
            ("\"\"@mta.test", None),
            ("u1@relay@mta.test", None),
            ("u1@mta.test.", None),
            (".u1@mta.test", None),
            ("u1..x@mta.test", None),
            ("u1@", None),
            ("@mta.test", None),
            ("u1@-mta.test", None),
            ("u1 x@mta.test", None),
            ("u1(comment)@mta.test", None),
            ("\"u1@mta.test", None),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn lengths_are_limited() {
        assert!(read(&format!("{}@a.b", "x".repeat(64))).is_some());
        assert!(read(&format!("{}@a.b", "x".repeat(65))).is_none());
        assert!(read(&format!("srs0={}@a.b", "x".repeat(235))).is_some());
        assert!(read(&format!("SRS1={}@a.b", "x".repeat(236))).is_none());
        let long = format!("u@{}", "a.".repeat(130) + "b");
        assert_eq!(path(long.as_bytes(), false, false), Err(AddressError::DomainTooLong));
    }

    #[test]
    fn bytes_above_127_need_smtputf8_and_must_be_utf8() {
        let text = "jürgen@mta.test".as_bytes();
        assert_eq!(path(text, false, false), Err(AddressError::NeedsUtf8));
        assert!(path(text, false, true).is_ok());
        assert_eq!(path(b"j\xff@mta.test", false, true), Err(AddressError::Syntax));
        let utf8 = |text: &str| path(text.as_bytes(), false, true).map(|address| address.to_string());
        assert_eq!(utf8("Jürgen@MÜNCHEN.test"), Ok("Jürgen@münchen.test".into()));
        assert_eq!(utf8("\"a ü\"@例え.test"), Ok("\"a ü\"@例え.test".into()));
        for bad in ["a@\u{fffd}.test", "a@ü..test", "a@ü＞.test", "a@\u{200b}", "ü\u{80}@a.test"] {
            assert_eq!(utf8(bad), Err(AddressError::Syntax), "{bad:?}");
        }
        assert!(utf8(&format!("{}@a.test", "ü".repeat(32))).is_ok(), "64 bytes");
        assert!(utf8(&format!("{}@a.test", "ü".repeat(33))).is_err());
    }
}
