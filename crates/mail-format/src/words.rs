//! Encoded words (RFC 2047).

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::charset::decode_charset;
use crate::header::unfold;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// Bytes of text in one encoded word: 45 become 60 characters, 75 is the limit with everything around (RFC 2047 §2).
const WORD_BYTES_MAX: usize = 45;

/// Where the end of an encoded word is looked for: RFC 2047 §2 has 75, senders do not always keep to it.
const WORD_TEXT_MAX: usize = 4096;

/// A header value as people read it: folds taken out, encoded words decoded, blanks between two of them dropped. What is
/// not decodable stays as it is.
pub fn decode_words(value: &[u8]) -> String {
    let value = unfold(value);
    let mut out = String::with_capacity(value.len());
    let mut rest = value.as_slice();
    let mut after_word = false;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let (before, from) = rest.split_at(at);
        match encoded_word(from) {
            Some((text, length)) => {
                let joins = after_word && before.iter().all(u8::is_ascii_whitespace);
                if !joins {
                    out.push_str(&decode_charset(before, "utf-8"));
                }
                out.push_str(&text);
                rest = &from[length..];
                after_word = true;
            }
            None => {
                out.push_str(&decode_charset(&rest[..at + 2], "utf-8"));
                rest = &from[2..];
                after_word = false;
            }
        }
    }
    out.push_str(&decode_charset(rest, "utf-8"));
    out
}

/// `=?charset?encoding?text?=` at the start: its text, and its length.
fn encoded_word(from: &[u8]) -> Option<(String, usize)> {
    let inner = from.strip_prefix(b"=?")?;
    let charset_end = memchr::memchr(b'?', &inner[..inner.len().min(80)])?;
    let charset = std::str::from_utf8(&inner[..charset_end]).ok()?;
    let charset = charset.split('*').next().unwrap_or(charset); // RFC 2231 §5: language
    let encoding = inner.get(charset_end + 1)?;
    if inner.get(charset_end + 2) != Some(&b'?') || charset.is_empty() {
        return None;
    }
    let text_start = charset_end + 3;
    let rest = &inner[text_start..];
    let length = memchr::memmem::find(&rest[..rest.len().min(WORD_TEXT_MAX)], b"?=")?;
    let text = &inner[text_start..text_start + length];
    if text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return None;
    }
    let bytes = match encoding.to_ascii_lowercase() {
        b'b' => BASE64.decode(text).ok()?,
        b'q' => q_decode(text),
        _ => return None,
    };
    Some((decode_charset(&bytes, charset), 2 + text_start + length + 2))
}

fn q_decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'_' => bytes.push(b' '),
            b'=' => match tail.get(..2).and_then(hex) {
                Some(value) => {
                    bytes.push(value);
                    rest = &tail[2..];
                }
                None => bytes.push(b'='),
            },
            byte => bytes.push(byte),
        }
    }
    bytes
}

/// Two hexadecimal digits.
pub(crate) fn hex(digits: &[u8]) -> Option<u8> {
    Some(base::hex::digit(*digits.first()?)? << 4 | base::hex::digit(*digits.get(1)?)?)
}

/// Text for a header: as it is when it is ASCII, else in encoded words of UTF-8, folded.
pub fn encode_words(text: &str) -> String {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if word.len() + c.len_utf8() > WORD_BYTES_MAX {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let encoded: Vec<String> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", BASE64.encode(word))).collect();
    encoded.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_decoded_as_rfc_2047_section_8_shows() {
        for (value, text) in [
            ("=?ISO-8859-1?Q?a?=", "a"),
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"),
            ("=?iso-8859-1?q?Andr=E9?= x", "André x"),
            ("=?UTF-8*de?B?R3LDvMOfZQ?=", "Grüße"),
            ("=?ISO-2022-JP?B?GyRCJDMkcxsoQg==?=", "こん"),
            ("=?nonsense?Q?a=FF?=", "a\u{fffd}"),
            ("=?utf-8?X?a?= =?", "=?utf-8?X?a?= =?"),
            ("a =?utf-8?B?!!?= b", "a =?utf-8?B?!!?= b"),
        ] {
            assert_eq!(decode_words(value.as_bytes()), text, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in "\\PC{0,120}") {
            prop_assume!(!text.contains("=?") && text.trim() == text);
            prop_assert_eq!(decode_words(encode_words(&text).as_bytes()), text);
        }

        #[test]
        fn no_value_is_too_strange(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode_words(&value);
        }
    }
}
