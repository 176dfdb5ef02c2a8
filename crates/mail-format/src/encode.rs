//! Text to a body part that passes every mail server: US-ASCII as it is, anything else as UTF-8 in quoted-printable or
//! base64 (RFC 2045 §6.7, §6.8).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Characters of an encoded line at most (RFC 2045 §6.7 rule 5, §6.8).
const LINE_MAX: usize = 76;
/// Bytes of a line that is sent as it is (RFC 5322 §2.1.1).
const PLAIN_LINE_MAX: usize = 998;

/// A body part and the two fields that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedText {
    pub charset: &'static str,
    /// `7bit`, `quoted-printable` or `base64`
    pub transfer_encoding: &'static str,
    /// With CRLF line ends, the last included.
    pub body: String,
}

/// Encodes text whose lines end in LF or CRLF.
pub fn encode_text(text: &str) -> EncodedText {
    let text = text.replace("\r\n", "\n").replace(['\r', '\0'], " ");
    let text = text.strip_suffix('\n').unwrap_or(&text);
    if text.is_ascii() && text.split('\n').all(|line| line.len() <= PLAIN_LINE_MAX) {
        let body = text.replace('\n', "\r\n") + "\r\n";
        return EncodedText { charset: "us-ascii", transfer_encoding: "7bit", body };
    }
    let strange = text.bytes().filter(|byte| !byte.is_ascii()).count();
    // Quoted-printable triples each byte that is not ASCII, base64 adds a third to all.
    let (transfer_encoding, body) = if strange <= text.len() / 4 {
        ("quoted-printable", quoted_printable(text))
    } else {
        ("base64", base64_lines((text.replace('\n', "\r\n") + "\r\n").as_bytes()))
    };
    EncodedText { charset: "utf-8", transfer_encoding, body }
}

fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for line in text.split('\n') {
        let mut length = 0;
        let bytes = line.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            let is_last = at + 1 == bytes.len();
            let plain = match byte {
                b'=' => false,
                b' ' | b'\t' => !is_last, // rule 3: no blank at the end of a line
                b'F' | b'.' if at == 0 => false, // "From " and a lone dot are changed on some ways
                byte => byte.is_ascii_graphic(),
            };
            let width = if plain { 1 } else { 3 };
            if length + width > LINE_MAX - 1 {
                out.push_str("=\r\n");
                length = 0;
            }
            length += width;
            if plain {
                out.push(char::from(*byte));
            } else {
                out.push_str(&format!("={byte:02X}"));
            }
        }
        out.push_str("\r\n");
    }
    out
}

fn base64_lines(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut out = String::with_capacity(encoded.len() + encoded.len() / 32);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_MAX));
        out.push_str(line);
        out.push_str("\r\n");
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode_text;
    use proptest::prelude::*;

    #[test]
    fn each_language_gets_what_it_needs() {
        let encoded = |text: &str| encode_text(text).transfer_encoding;
        assert_eq!(encode_text("a\nb").body, "a\r\nb\r\n");
        assert_eq!(encode_text("a\nb").charset, "us-ascii");
        assert_eq!(encoded("Votre message a bien été reçu."), "quoted-printable");
        assert_eq!(encoded("ただいま不在にしております。"), "base64");
        assert_eq!(encoded(&"x".repeat(999)), "quoted-printable");
        assert_eq!(encode_text("From é = \n.").body, "=46rom =C3=A9 =3D=20\r\n=2E\r\n");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_and_lines_are_short(text in "(\\PC|\n|é|日| ){0,300}") {
            let encoded = encode_text(&text);
            prop_assert!(encoded.body.is_ascii());
            prop_assert!(encoded.body.ends_with("\r\n"));
            let most = if encoded.transfer_encoding == "7bit" { PLAIN_LINE_MAX } else { LINE_MAX };
            prop_assert!(encoded.body.split("\r\n").all(|line| line.len() <= most));
            let decoded = decode_text(encoded.body.as_bytes(), encoded.transfer_encoding, encoded.charset);
            let text = text.strip_suffix('\n').unwrap_or(&text);
            prop_assert_eq!(decoded.replace("\r\n", "\n"), format!("{text}\n"));
        }
    }
}
