//! The address of a request: path and query (RFC 3986 §3.3, §3.4), decoded once.

use crate::Bad;

/// Bytes of an address at most.
pub const BYTES_MAX: usize = 8000;
/// Segments of a path at most.
const SEGMENTS_MAX: usize = 64;

/// Path and query of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// As it came, without the query.
    pub path: String,
    /// Decoded; `/` has none, `/a/` has `a` and an empty one.
    pub segments: Vec<String>,
    /// As it came, without `?`.
    pub query: Option<String>,
}

impl Target {
    /// Reads the origin form (RFC 9112 §3.2.1). A path that would lead upwards, or holds what is no text, is refused.
    ///
    /// # Errors
    /// `Syntax`, `LongTarget`.
    pub fn parse(raw: &str) -> Result<Target, Bad> {
        if raw.len() > BYTES_MAX {
            return Err(Bad::LongTarget);
        }
        let (path, query) = match raw.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (raw, None),
        };
        let rest = path.strip_prefix('/').ok_or(Bad::Syntax("the address begins with no /"))?;
        if !raw.is_ascii() || raw.contains(['#', '\\', '"', '<', '>']) {
            return Err(Bad::Syntax("the address has characters that must be escaped"));
        }
        let mut segments = Vec::new();
        for segment in rest.split('/').filter(|_| !rest.is_empty()) {
            let text = decode(segment, false).ok_or(Bad::Syntax("an escape in the address is wrong"))?;
            if text == "." || text == ".." || text.chars().any(char::is_control) {
                return Err(Bad::Syntax("the address leads elsewhere"));
            }
            if segments.len() == SEGMENTS_MAX {
                return Err(Bad::LongTarget);
            }
            segments.push(text);
        }
        Ok(Target { path: path.to_owned(), segments, query })
    }

    /// The first value of a name in the query (application/x-www-form-urlencoded).
    pub fn value(&self, name: &str) -> Option<String> {
        form(self.query.as_deref().unwrap_or_default())
            .into_iter()
            .find(|(have, _)| have == name)
            .map(|it| it.1)
    }
}

/// The pairs of a form or a query; those that are not UTF-8 are left out.
pub fn form(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name, true)?, decode(value, true)?))
    };
    text.split('&').filter(|text| !text.is_empty()).filter_map(pair).collect()
}

/// Percent-decoding; `plus`: a `+` is a blank. Nothing when an escape is wrong or the bytes are not UTF-8.
pub fn decode(text: &str, plus: bool) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
                decoded.push(u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()?);
                at += 3;
                continue;
            }
            b'+' if plus => decoded.push(b' '),
            byte => decoded.push(*byte),
        }
        at += 1;
    }
    String::from_utf8(decoded).ok()
}

/// Percent-encoding of everything but unreserved characters (RFC 3986 §2.3).
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// `host [ ":" port ]` without a user (RFC 9110 §7.2); may be empty.
pub fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, rest))) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            match rest.strip_prefix(':') {
                Some(port) => ("", Some(port)),
                None if rest.is_empty() => ("", None),
                None => return false,
            }
        }
        Some(_) => return false,
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    text.len() <= 300
        && is_name
        && port.is_none_or(|port| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_leads_nowhere_else() {
        let target = Target::parse("/a%20b/%2561/c?x=%2B+1&y&x=2").unwrap();
        assert_eq!(target.segments, ["a b", "%61", "c"]);
        assert_eq!(target.value("x").as_deref(), Some("+ 1"));
        assert_eq!((target.value("y").as_deref(), target.value("z")), (Some(""), None));
        assert!(Target::parse("/").unwrap().segments.is_empty());
        assert_eq!(Target::parse("/a/").unwrap().segments, ["a", ""]);
        for wrong in [
            "",
            "a",
            "/../x",
            "/a/..",
            "/%2e%2e/x",
            "/%2E./x",
            "/./x",
            "/a%00",
            "/a%0d%0ab",
            "/%",
            "/%4",
            "/%zz",
            "/%ff",
            "/a#b",
            "/a\\b",
            "/\u{e4}",
            "/<script>",
        ] {
            assert!(matches!(Target::parse(wrong), Err(Bad::Syntax(_))), "{wrong}");
        }
        assert_eq!(Target::parse(&format!("/{}", "a".repeat(BYTES_MAX))), Err(Bad::LongTarget));
        assert_eq!(Target::parse(&"/a".repeat(100)), Err(Bad::LongTarget));
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        let text = "a/b?c=\u{e4} &+%";
        assert_eq!(decode(&encode(text), false).as_deref(), Some(text));
    }
}
