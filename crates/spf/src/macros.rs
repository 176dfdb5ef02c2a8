//! Macro strings (§7): read once, expanded for each check.

use std::net::IpAddr;

use crate::domain;

/// Bytes of an expansion at most. A domain name is cut to 253 afterwards, and an explanation is one line of a reply.
const EXPANSION_MAX: usize = 4096;

/// What macros stand for in one check.
pub(crate) struct Values<'a> {
    pub(crate) address: IpAddr,
    /// `local@domain`
    pub(crate) sender: &'a str,
    pub(crate) local: &'a str,
    pub(crate) sender_domain: &'a str,
    /// The domain whose record is being read (`%{d}`).
    pub(crate) domain: &'a str,
    pub(crate) helo: &'a str,
    pub(crate) receiver: &'a str,
    pub(crate) now: i64,
    /// The validated name of the client (`%{p}`), looked up when it is needed.
    pub(crate) validated: &'a dyn Fn() -> String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Macro {
        /// Lower case.
        letter: u8,
        /// What comes out is escaped as in URLs.
        escaped: bool,
        /// How many parts from the right are kept.
        keep: Option<usize>,
        reversed: bool,
        delimiters: String,
    },
}

/// `macro-string` (§7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MacroString(Vec<Piece>);

impl MacroString {
    /// `macro-string`: visible characters and macros, without those that only explanations have.
    pub(crate) fn parse(text: &str) -> Option<MacroString> {
        parse(text, false)
    }

    /// `explain-string`: blanks, too, and all macros.
    pub(crate) fn parse_explanation(text: &str) -> Option<MacroString> {
        parse(text, true)
    }

    /// `domain-spec`: ends in a macro or in a top label that is not alone.
    pub(crate) fn parse_domain(text: &str) -> Option<MacroString> {
        let parsed = MacroString::parse(text)?;
        let ends_in_macro = match parsed.0.last()? {
            Piece::Macro { .. } => true,
            Piece::Literal(_) => ["%%", "%_", "%-"].iter().any(|end| ends_in_escape(text, end)),
        };
        let ends_in_label = || {
            let rest = text.strip_suffix('.').unwrap_or(text);
            rest.rsplit_once('.').is_some_and(|(_, label)| domain::is_top_label(label))
        };
        (ends_in_macro || ends_in_label()).then_some(parsed)
    }

    pub(crate) fn expand(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Macro { letter, escaped, keep, reversed, delimiters } => {
                    let text = transformed(&value(*letter, values), *keep, *reversed, delimiters);
                    match escaped {
                        true => out.push_str(&escape(&text)),
                        false => out.push_str(&text),
                    }
                }
            }
            if out.len() > EXPANSION_MAX {
                let mut end = EXPANSION_MAX;
                while !out.is_char_boundary(end) {
                    end -= 1;
                }
                out.truncate(end);
                break;
            }
        }
        out
    }

    /// As a domain to look up.
    pub(crate) fn expand_domain(&self, values: &Values<'_>) -> String {
        domain::shortened(&self.expand(values)).to_owned()
    }
}

/// Whether the last characters are this escape, and its `%` is not itself the end of `%%`.
fn ends_in_escape(text: &str, escape: &str) -> bool {
    let percents = text.bytes().rev().skip(1).take_while(|byte| *byte == b'%').count();
    match escape {
        "%%" => text.ends_with("%%") && percents % 2 == 1,
        _ => text.ends_with(escape) && percents % 2 == 1,
    }
}

fn parse(text: &str, is_explanation: bool) -> Option<MacroString> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '%' => {
                let second = rest.chars().next()?;
                rest = &rest[second.len_utf8()..];
                match second {
                    '%' => literal.push('%'),
                    '_' => literal.push(' '),
                    '-' => literal.push_str("%20"),
                    '{' => {
                        let (inner, behind) = rest.split_once('}')?;
                        if !literal.is_empty() {
                            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                        }
                        pieces.push(parse_macro(inner, is_explanation)?);
                        rest = behind;
                    }
                    _ => return None,
                }
            }
            ' ' if is_explanation => literal.push(' '),
            '\x21'..='\x7e' => literal.push(first),
            _ => return None,
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Some(MacroString(pieces))
}

fn parse_macro(inner: &str, is_explanation: bool) -> Option<Piece> {
    let letter = *inner.as_bytes().first()?;
    let known: &[u8] = if is_explanation { b"slodiphvcrt" } else { b"slodiphv" };
    if !known.contains(&letter.to_ascii_lowercase()) {
        return None;
    }
    let rest = inner.get(1..)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at(digits);
    let keep = match number {
        "" => None,
        // §7.1: zero makes no sense; more than there are keeps all.
        _ => Some(number.parse().unwrap_or(usize::MAX)).filter(|keep| *keep > 0).map(Some)?,
    };
    let reversed = matches!(rest.bytes().next(), Some(b'r' | b'R'));
    let delimiters = &rest[usize::from(reversed)..];
    if !delimiters.bytes().all(|byte| b".-+,/_=".contains(&byte)) {
        return None;
    }
    Some(Piece::Macro {
        letter: letter.to_ascii_lowercase(),
        escaped: letter.is_ascii_uppercase(),
        keep,
        reversed,
        delimiters: delimiters.to_owned(),
    })
}

fn value(letter: u8, values: &Values<'_>) -> String {
    match letter {
        b's' => values.sender.to_owned(),
        b'l' => values.local.to_owned(),
        b'o' => values.sender_domain.to_owned(),
        b'd' => values.domain.to_owned(),
        b'i' => dotted(values.address),
        b'p' => (values.validated)(),
        b'h' => values.helo.to_owned(),
        b'v' => (if values.address.is_ipv4() { "in-addr" } else { "ip6" }).to_owned(),
        b'c' => values.address.to_string(),
        b'r' => values.receiver.to_owned(),
        _ => values.now.to_string(),
    }
}

/// §7.3: IPv6 addresses as their 32 digits.
fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let digits: Vec<String> = address
                .octets()
                .iter()
                .flat_map(|byte| [byte >> 4, byte & 15])
                .map(|digit| format!("{digit:x}"))
                .collect();
            digits.join(".")
        }
    }
}

fn transformed(value: &str, keep: Option<usize>, reversed: bool, delimiters: &str) -> String {
    if keep.is_none() && !reversed && delimiters.is_empty() {
        return value.to_owned();
    }
    let delimiters = if delimiters.is_empty() { "." } else { delimiters };
    let mut parts: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
    if reversed {
        parts.reverse();
    }
    let skipped = parts.len().saturating_sub(keep.unwrap_or(usize::MAX));
    parts[skipped..].join(".")
}

/// All but the unreserved characters of RFC 3986 §2.3.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(address: &str) -> Values<'static> {
        Values {
            address: address.parse().unwrap(),
            sender: "strong-bad@email.example.com",
            local: "strong-bad",
            sender_domain: "email.example.com",
            domain: "email.example.com",
            helo: "mx.example.org",
            receiver: "us.example",
            now: 1234,
            validated: &|| "mx.example.org".to_owned(),
        }
    }

    fn expanded(text: &str, address: &str) -> String {
        MacroString::parse_explanation(text).unwrap().expand(&values(address))
    }

    /// The examples of §7.4.
    #[test]
    fn the_examples_of_the_rfc() {
        for (text, expected) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
            ("%% %_ %-", "%   %20"),
            ("%{S}", "strong-bad%40email.example.com"),
            ("%{c} %{r} %{t} %{p} %{h}", "192.0.2.3 us.example 1234 mx.example.org mx.example.org"),
        ] {
            assert_eq!(expanded(text, "192.0.2.3"), expected, "{text}");
        }
        assert_eq!(
            expanded("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01"),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
        );
    }

    #[test]
    fn what_is_no_macro_string() {
        for bad in ["%", "%a", "%{", "%{}", "%{x}", "%{d0}", "%{d;}", "a b", "\u{e4}", "%{c}", "%{t}", "%{r}"]
        {
            assert_eq!(MacroString::parse(bad), None, "{bad}");
        }
        for bad in ["", "org", "a.1", "a.-b", "%{d", "a.b/c", "x", "%%a"] {
            assert_eq!(MacroString::parse_domain(bad), None, "{bad}");
        }
        for good in ["a.b", "a.b.", "%{d}", "x%{d}", "a.%%", "%{d}.example", "a/b.example"] {
            assert!(MacroString::parse_domain(good).is_some(), "{good}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_can_be_expanded_and_stays_small(text in "[%{}a-z0-9r.+@ -]{0,60}") {
            if let Some(parsed) = MacroString::parse_explanation(&text.repeat(30)) {
                prop_assert!(parsed.expand(&values("192.0.2.3")).len() <= EXPANSION_MAX);
            }
        }
    }
}
