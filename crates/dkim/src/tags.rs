//! Tag lists: `name=value; name=value` (RFC 6376 §3.2).

use std::ops::Range;

/// Tags of one list at most; the standards define less than twenty.
const TAGS_MAX: usize = 64;

/// One list. Values are without the white space around them; that inside is still there.
pub(crate) struct Tags<'t> {
    text: &'t [u8],
    list: Vec<(&'t [u8], Range<usize>)>,
}

impl<'t> Tags<'t> {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: &'t [u8]) -> Result<Tags<'t>, String> {
        let mut list: Vec<(&[u8], Range<usize>)> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let end = memchr::memchr(b';', &text[at..]).map_or(text.len(), |found| at + found);
            let spec = &text[at..end];
            if end == text.len() && !list.is_empty() && is_blank(spec) {
                break; // behind the last semicolon
            }
            let equals = memchr::memchr(b'=', spec).ok_or("a tag has no value")?;
            let name = trim(&spec[..equals]);
            if !is_name(name) {
                return Err("the name of a tag is none".into());
            }
            if !spec[equals + 1..].iter().all(|byte| is_value(*byte)) {
                return Err(format!("the value of {} has bytes that it may not", shown(name)));
            }
            if list.iter().any(|(known, _)| *known == name) {
                return Err(format!("{} is there twice", shown(name)));
            }
            if list.len() >= TAGS_MAX {
                return Err("there are too many tags".into());
            }
            list.push((name, at + equals + 1..end));
            at = end + 1;
        }
        Ok(Tags { text, list })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&'t [u8]> {
        self.span(name).map(|span| trim(&self.text[span]))
    }

    /// Where the value is in the text, with the white space around it.
    pub(crate) fn span(&self, name: &str) -> Option<Range<usize>> {
        self.list.iter().find(|(one, _)| *one == name.as_bytes()).map(|(_, span)| span.clone())
    }

    /// Whether this tag is the first of all.
    pub(crate) fn is_first(&self, name: &str) -> bool {
        self.list.first().is_some_and(|(one, _)| *one == name.as_bytes())
    }
}

/// `FWS` is white space with line ends; only a reader of headers has seen that lines go on.
pub(crate) fn is_fws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_fws(*byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_fws(*byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// What is between colons (`h=`, `q=`, `s=`, `t=`).
pub(crate) fn colon_list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b':').map(trim)
}

/// Base64 with white space anywhere in it.
pub(crate) fn base64(value: &[u8]) -> Option<Vec<u8>> {
    use base64::Engine;
    let plain: Vec<u8> = value.iter().copied().filter(|byte| !is_fws(*byte)).collect();
    let lenient = base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent);
    base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, lenient).decode(plain).ok()
}

/// `1*12DIGIT` and longer; what is too large is the largest.
pub(crate) fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 76 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    Some(text.parse().unwrap_or(u64::MAX))
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|byte| is_fws(*byte))
}

fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// `VALCHAR`, white space, and what UTF-8 is made of (RFC 8616 §5).
fn is_value(byte: u8) -> bool {
    is_fws(byte) || byte >= 0x80 || byte.is_ascii_graphic()
}

fn shown(name: &[u8]) -> String {
    format!("{}=", String::from_utf8_lossy(&name[..name.len().min(20)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_found_with_the_white_space_in_them() {
        let tags = Tags::read(b" a = b c\r\n\td ;e=; f_1==x=;\r\n ").unwrap();
        assert_eq!(tags.find("a"), Some(&b"b c\r\n\td"[..]));
        assert_eq!(
            (tags.find("e"), tags.find("f_1"), tags.find("x")),
            (Some(&b""[..]), Some(&b"=x="[..]), None)
        );
        assert!(tags.is_first("a") && !tags.is_first("e"));
        assert_eq!(tags.span("e"), Some(16..16));
    }

    #[test]
    fn what_is_no_list_is_told() {
        for text in ["", " ", "a", "a=b;;c=d", ";a=b", "1=2", "a b=c", "a=\x01", "a=b; a=c", "=b", "a=b;c"] {
            let read = Tags::read(text.as_bytes());
            assert!(read.is_err() || read.is_ok_and(|tags| tags.list.is_empty()), "{text:?}");
        }
        let many: String = (0..65).map(|n| format!("t{n}=;")).collect();
        assert!(Tags::read(many.as_bytes()).is_err());
    }

    #[test]
    fn numbers_and_base64_as_they_come() {
        assert_eq!((number(b"012"), number(b""), number(b"1 "), number(b"-1")), (Some(12), None, None, None));
        assert_eq!(number(&[b'9'; 76]), Some(u64::MAX));
        assert_eq!(base64(b"aG Vs\r\n bG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(base64(b"aGVsbG8").as_deref(), Some(&b"hello"[..]));
        assert_eq!(base64(b"a!"), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in "[ab=; \r\n\t\u{e4}]{0,40}") {
            if let Ok(tags) = Tags::read(text.as_bytes()) {
                prop_assert!(tags.list.iter().all(|(_, span)| span.end <= text.len()));
            }
        }
    }
}
