//! Mailbox names on the wire: modified UTF-7 (RFC 3501 §5.1.3).
//!
//! Every name has exactly one form: what is not the form that [`encode`] gives is refused by [`decode`], so two
//! spellings never name one mailbox.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

fn is_direct(character: char) -> bool {
    matches!(character, ' '..='~') && character != '&'
}

/// The form for the wire: printable ASCII stands for itself, `&` is `&-`, the rest is base64 of UTF-16.
pub fn encode(name: &str) -> String {
    let mut wire = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let direct = rest.find(|character| !is_direct(character)).unwrap_or(rest.len());
        wire.push_str(&rest[..direct]);
        rest = &rest[direct..];
        if direct > 0 {
            continue;
        }
        if first == '&' {
            wire.push_str("&-");
            rest = &rest[1..];
            continue;
        }
        let end = rest.find(|character| is_direct(character) || character == '&').unwrap_or(rest.len());
        let utf16: Vec<u8> = rest[..end].encode_utf16().flat_map(u16::to_be_bytes).collect();
        wire.push('&');
        wire.push_str(&BASE64.encode(utf16));
        wire.push('-');
        rest = &rest[end..];
    }
    wire
}

/// The name in UTF-8; nothing when it is not the one form of a name.
pub fn decode(wire: &[u8]) -> Option<String> {
    let mut name = String::with_capacity(wire.len());
    let mut rest = std::str::from_utf8(wire).ok().filter(|text| text.is_ascii())?;
    while let Some(shift) = rest.find('&') {
        name.push_str(&rest[..shift]);
        let (inner, after) = rest[shift + 1..].split_once('-')?;
        rest = after;
        if inner.is_empty() {
            name.push('&');
            continue;
        }
        let bytes = BASE64.decode(inner).ok()?;
        if bytes.len() % 2 != 0 {
            return None;
        }
        let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        for character in char::decode_utf16(units) {
            name.push(character.ok()?);
        }
    }
    name.push_str(rest);
    (encode(&name).as_bytes() == wire).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        let wire = "~peter/mail/&U,BTFw-/&ZeVnLIqe-";
        assert_eq!(decode(wire.as_bytes()).unwrap(), "~peter/mail/台北/日本語");
        assert_eq!(encode("~peter/mail/台北/日本語"), wire);
        assert_eq!(decode(b"R&-D").unwrap(), "R&D");
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in [
            &b"&"[..],
            b"&AAA",
            b"&Jjo!",
            b"&Jjo",
            b"&U,BTFw-&ZeVnLIqe-", // superfluous shift
            b"&AEE-",              // base64 of A
            b"&2AA-",              // half a surrogate pair
            b"&Jjp-",              // bits left over
            b"&Jj-",
            "Entw\u{fc}rfe".as_bytes(),
            b"\xff",
        ] {
            assert_eq!(decode(bad), None, "{:?}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "\\PC{0,30}") {
            prop_assert_eq!(decode(encode(&name).as_bytes()).unwrap(), name);
        }

        #[test]
        fn no_bytes_make_it_panic(wire in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(name) = decode(&wire) {
                prop_assert_eq!(encode(&name).into_bytes(), wire);
            }
        }
    }
}
