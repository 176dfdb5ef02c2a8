//! The Authentication-Results field (RFC 8601 §2.2).

use std::fmt::Write as _;

use dkim::Checked;
use dmarc::Evaluated;

use crate::inspection::fields;

pub(super) const FIELD_NAME: &str = "Authentication-Results";

/// Characters of a value that are passed on.
const VALUE_MAX: usize = 320;

/// One method and what it found.
pub(super) struct Result {
    text: String,
    properties: Vec<String>,
}

impl Result {
    /// Why, one clause.
    pub(super) fn reason(&mut self, why: Option<&str>) {
        if let Some(why) = why {
            let _ = write!(self.text, " reason={}", quoted(why));
        }
    }

    /// A name for the reader, when it can stand in a comment as it is.
    pub(super) fn comment(&mut self, name: &str) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !name.is_empty() && name.len() <= VALUE_MAX && name.bytes().all(is_plain) {
            let _ = write!(self.text, " ({name})");
        }
    }

    /// `ptype.property=pvalue`, left out when there is no value.
    pub(super) fn property(&mut self, kind: &str, name: &str, value: &str) {
        if !value.is_empty() {
            self.properties.push(format!("{kind}.{name}={}", property_value(value)));
        }
    }
}

/// What this host found of a message.
pub(super) struct Results {
    authserv_id: String,
    results: Vec<Result>,
}

impl Results {
    pub(super) fn new(authserv_id: &str) -> Results {
        Results { authserv_id: value(authserv_id), results: Vec::new() }
    }

    pub(super) fn add(&mut self, method: &str, verdict: &str) -> &mut Result {
        let at = self.results.len();
        self.results.push(Result { text: format!("{method}={verdict}"), properties: Vec::new() });
        &mut self.results[at]
    }

    pub(super) fn signature(&mut self, checked: &Checked) {
        let result = self.add("dkim", checked.result.name());
        result.reason(Some(checked.result.reason()).filter(|why| !why.is_empty()));
        result.property("header", "d", &checked.domain);
        result.property("header", "i", checked.identity.as_deref().unwrap_or(""));
        result.property("header", "s", &checked.selector);
        let algorithm = checked.algorithm.map(|algorithm| algorithm.to_string()).unwrap_or_default();
        result.property("header", "a", &algorithm);
        result.property("header", "b", &checked.start);
    }

    pub(super) fn policy(&mut self, evaluated: &Evaluated) {
        let result = self.add("dmarc", evaluated.verdict.name());
        result.reason(evaluated.why.as_deref());
        result.property("header", "from", &evaluated.author);
        if let Some(holder) = &evaluated.holder {
            result.property("polrec", "p", evaluated.policy.name());
            if *holder != evaluated.author {
                result.property("polrec", "domain", holder);
            }
        }
    }

    /// The field's value, a line for each method.
    pub(super) fn text(&self) -> String {
        let mut text = self.authserv_id.clone();
        if self.results.is_empty() {
            text.push_str("; none");
        }
        for result in &self.results {
            let _ = write!(text, ";\r\n\t{}", result.text);
            let mut column = result.text.len() + 8;
            for property in &result.properties {
                let fold = column + property.len() > 76;
                text.push_str(if fold { "\r\n\t " } else { " " });
                text.push_str(property);
                column = if fold { 9 } else { column } + property.len() + 1;
            }
        }
        text
    }
}

/// `value = token / quoted-string` (RFC 2045 §5.1)
fn value(text: &str) -> String {
    if is_token(text) { text.to_owned() } else { quoted(text) }
}

fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte);
    !text.is_empty() && text.len() <= VALUE_MAX && text.bytes().all(fits)
}

/// `pvalue`: also `local@domain`.
fn property_value(text: &str) -> String {
    let is_address = text.rsplit_once('@').is_some_and(|(local, domain)| {
        let local = local.is_empty() || (is_token(local) && !local.contains('\''));
        local && is_token(domain)
    });
    if is_address && text.len() <= VALUE_MAX { text.to_owned() } else { value(text) }
}

/// Strangers' texts: one line, no control characters, not too long.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().take(VALUE_MAX) {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The numbers (from 0) of the fields of this header that pretend to be ours (RFC 8601 §5).
pub(super) fn pretending(header: &[u8], authserv_id: &str) -> Vec<usize> {
    let ours = |field: &[u8]| {
        let Some(colon) = field.iter().position(|byte| *byte == b':') else { return false };
        let (name, value) = field.split_at(colon);
        name.trim_ascii_end().eq_ignore_ascii_case(FIELD_NAME.as_bytes())
            && first_word(&value[1..])
                .is_some_and(|word| word.trim_ascii_end().eq_ignore_ascii_case(authserv_id.as_bytes()))
    };
    let numbered = fields(header).into_iter().enumerate();
    numbered.filter(|(_, field)| ours(&header[field.clone()])).map(|(at, _)| at).collect()
}

/// The word behind blanks and comments, unquoted.
fn first_word(value: &[u8]) -> Option<Vec<u8>> {
    let mut rest = value;
    loop {
        rest = rest.trim_ascii_start();
        match rest.first()? {
            b'(' => rest = behind_comment(rest)?,
            b'"' => {
                let mut word = Vec::new();
                let mut bytes = rest[1..].iter();
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => return Some(word),
                        b'\\' => word.push(*bytes.next()?),
                        _ => word.push(*byte),
                    }
                }
                return Some(word);
            }
            _ => {
                let ends = |byte: &u8| byte.is_ascii_whitespace() || b";(".contains(byte);
                let end = rest.iter().position(ends).unwrap_or(rest.len());
                return Some(rest[..end].to_vec());
            }
        }
    }
}

fn behind_comment(text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_u32;
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(at + 1..);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_method_has_its_line() {
        let mut results = Results::new("mx.example.org");
        let spf = results.add("spf", "pass");
        spf.property("smtp", "mailfrom", "a@x.example");
        results.add("dkim", "none");
        let dmarc = results.add("dmarc", "fail");
        dmarc.reason(Some("say \"no\"\r\n"));
        dmarc.property("header", "from", "x.example");
        dmarc.property("polrec", "p", "");
        assert_eq!(
            results.text(),
            "mx.example.org;\r\n\tspf=pass smtp.mailfrom=a@x.example;\r\n\tdkim=none;\r\n\
             \tdmarc=fail reason=\"say \\\"no\\\"??\" header.from=x.example"
        );
        assert_eq!(Results::new("two words").text(), "\"two words\"; none");
    }

    #[test]
    fn values_are_quoted_where_they_must_be() {
        for (given, expected) in [
            ("a@x.example", "a@x.example"),
            ("@x.example", "@x.example"),
            ("\"a b\"@x.example", "\"\\\"a b\\\"@x.example\""),
            ("a;b@x.example", "\"a;b@x.example\""),
            ("2001:db8::1", "\"2001:db8::1\""),
            ("192.0.2.1", "192.0.2.1"),
            ("[192.0.2.1]", "\"[192.0.2.1]\""),
            ("x\r\nB: c", "\"x??B: c\""),
        ] {
            assert_eq!(property_value(given), expected);
        }
    }

    #[test]
    fn fields_that_pretend_to_be_ours_are_found() {
        let header = "Authentication-Results: mx.example.org; spf=pass\r\n\
                      Authentication-results : (a (b\\)) c)\r\n MX.Example.ORG 1; dkim=pass\r\n\
                      X-Authentication-Results: mx.example.org; none\r\n\
                      Authentication-Results: \"mx.example.org\"; none\r\n\
                      Authentication-Results: other.example; spf=pass smtp.helo=mx.example.org\r\n\
                      Authentication-Results: mx.example.org\r\n\
                      Authentication-Results: mx.example.org.evil.example; none\r\n\
                      Authentication-Results:\r\n\
                      ARC-Authentication-Results: i=1; mx.example.org; none\r\n";
        assert_eq!(pretending(header.as_bytes(), "mx.example.org"), [0, 1, 3, 5]);
    }

    proptest! {
        #[test]
        fn no_field_is_too_much(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let field = [b"Authentication-Results:", value.as_slice(), b"\r\n"].concat();
            let _ = pretending(&field, "mx.example.org");
        }

        #[test]
        fn no_text_forges_another_result(text in "\\PC{0,60}[\"\\\\;()\r\n ]{0,6}\\PC{0,60}") {
            let mut results = Results::new("mx.example.org");
            let result = results.add("spf", "fail");
            result.reason(Some(&text));
            result.property("smtp", "mailfrom", &text);
            let text = results.text();
            // Outside of quotes there is one semicolon, that before the method.
            let (mut quoted, mut escaped, mut semicolons) = (false, false, 0);
            for c in text.chars() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' if quoted => escaped = true,
                    '"' => quoted = !quoted,
                    ';' if !quoted => semicolons += 1,
                    _ => {}
                }
            }
            prop_assert!(!quoted && semicolons == 1, "{text}");
        }
    }
}
