//! Bytes as hexadecimal digits (base 16 of RFC 4648 §8, in lower case).

use std::fmt::Write as _;

/// Two digits for each byte, in lower case.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // a String takes all
    }
    text
}

/// The bytes of `text`, in either case; nothing unless it is exactly `N` of them.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// The value of one digit.
pub fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_and_has_two_digits() {
        let all: Vec<u8> = (0..=255).collect();
        let text = encode(&all);
        assert!(text.starts_with("000102") && text.ends_with("fdfeff") && text.len() == 512, "{text}");
        assert_eq!(decode::<256>(&text).unwrap().as_slice(), all);
        assert_eq!(decode::<256>(&text.to_uppercase()).unwrap().as_slice(), all);
        assert_eq!(encode(&[]), "");
    }

    #[test]
    fn what_is_not_exactly_so_many_bytes_is_none() {
        for text in ["", "0", "000", "0000", "0g", "+1", " 1", "é"] {
            assert_eq!(decode::<1>(text), None, "{text:?}");
        }
        assert_eq!(decode::<0>(""), Some([]));
    }
}
