//! Bytes to text: transfer encodings (RFC 2045 §6) and character sets.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use encoding_rs::Encoding;

use crate::transfer::TransferEncoding;
use crate::words::hex;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The text of a body part. Unknown encodings are taken as they are, unknown character sets as UTF-8; what cannot be
/// decoded becomes U+FFFD.
pub fn decode_text(part: &[u8], transfer_encoding: &str, charset: &str) -> String {
    decode_charset(&decode_transfer(part, transfer_encoding), charset)
}

/// Bytes in this character set as text. What is called ASCII and is not may be UTF-8: if it is not that either, it is
/// windows-1252.
pub fn decode_charset(bytes: &[u8], charset: &str) -> String {
    if charset.trim().eq_ignore_ascii_case("us-ascii") {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return text.to_owned();
        }
    }
    let encoding = Encoding::for_label(charset.trim().as_bytes()).unwrap_or(encoding_rs::UTF_8);
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

/// Whether there is a character set of this name.
pub fn is_known(charset: &str) -> bool {
    Encoding::for_label(charset.trim().as_bytes()).is_some()
}

/// The bytes behind a Content-Transfer-Encoding.
pub fn decode_transfer<'p>(part: &'p [u8], transfer_encoding: &str) -> std::borrow::Cow<'p, [u8]> {
    match TransferEncoding::named(transfer_encoding) {
        Some(TransferEncoding::Base64) => decode_base64(part).into(),
        Some(TransferEncoding::QuotedPrintable) => decode_quoted_printable(part).into(),
        Some(TransferEncoding::Identity) | None => part.into(),
    }
}

/// Base64 with line ends, strange characters and a missing end; up to the first padding.
pub fn decode_base64(text: &[u8]) -> Vec<u8> {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let padding = memchr::memchr(b'=', text).unwrap_or(text.len());
    let mut digits: Vec<u8> = text[..padding].iter().copied().filter(is_digit).collect();
    if digits.len() % 4 == 1 {
        digits.pop(); // six bits are no byte
    }
    BASE64.decode(digits).unwrap_or_default()
}

/// RFC 2045 §6.7; a `=` that is no encoding stays.
pub fn decode_quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let (line, end): (&[u8], &[u8]) = match line {
            [head @ .., b'\r', b'\n'] => (head, b"\r\n"),
            [head @ .., b'\n'] => (head, b"\n"),
            head => (head, b""),
        };
        let line = line.trim_ascii_end(); // blanks at the end were added on the way
        let (line, is_soft) = match line {
            [head @ .., b'='] => (head, true),
            line => (line, false),
        };
        let mut rest = line;
        while let Some(at) = memchr::memchr(b'=', rest) {
            bytes.extend_from_slice(&rest[..at]);
            match rest.get(at + 1..at + 3).and_then(hex) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &rest[at + 3..];
                }
                None => {
                    bytes.push(b'=');
                    rest = &rest[at + 1..];
                }
            }
        }
        bytes.extend_from_slice(rest);
        if !is_soft {
            bytes.extend_from_slice(end);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_comes_out_of_every_encoding() {
        assert_eq!(decode_text(b"R3LD\r\nvMOf ZQ==\r\nignored", "BASE64", "utf-8"), "Grüße");
        assert_eq!(
            decode_text(b"Gr=FC=DFe=  \r\n aus K=F6ln=\n!  \r\n=3", "quoted-printable", "latin1"),
            "Grüße aus Köln!\r\n=3"
        );
        assert_eq!(decode_text(b"Gr\xfc\xdfe", "8bit", "windows-1252"), "Grüße");
        assert_eq!(decode_text(b"a\xff", "x-unknown", "x-unknown"), "a\u{fffd}");
        assert_eq!(decode_base64(b"QUJDR"), b"ABC");
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for encoding in ["base64", "quoted-printable", "7bit"] {
                for charset in ["utf-8", "iso-2022-jp", "gb18030", "utf-16le", "?"] {
                    decode_text(&bytes, encoding, charset);
                }
            }
        }
    }
}
