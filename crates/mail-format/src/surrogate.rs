//! A message with UTF-8 in its headers (RFC 6532), as somebody sees it who knows ASCII headers only: the surrogate message
//! of a simplified downgrade (RFC 6858). It is for reading: an address in UTF-8 cannot be answered by such a client, and
//! signatures over the header do not survive.

use crate::address::{Item, address_list};
use crate::header::{raw_fields, unfold};
use crate::structure::{PartKind, scan};
use crate::words::{decode_words, encode_words};

/// What stands where an address in UTF-8 was.
const NO_ADDRESS: &str = "invalid@internationalized-address.invalid";
/// Fields of addresses (RFC 5322 §3.6.2, §3.6.3, §3.6.6).
const ADDRESS_FIELDS: [&str; 14] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Resent-From",
    "Resent-Sender",
    "Resent-Reply-To",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
    "Disposition-Notification-To",
    "Mail-Reply-To",
];
/// Fields with a syntax that has no place for encoded words: they are left out.
const LEFT_OUT: [&str; 12] = [
    "Message-ID",
    "In-Reply-To",
    "References",
    "Resent-Message-ID",
    "Received",
    "Return-Path",
    "DKIM-Signature",
    "Authentication-Results",
    "ARC-Authentication-Results",
    "Received-SPF",
    "Content-ID",
    "Date",
];

/// Whether a header of the message, its own or one of a part, has text in UTF-8.
pub fn has_utf8_header(message: &[u8]) -> bool {
    let utf8 = |header: &[u8]| raw_fields(header).any(is_utf8);
    !message.is_ascii()
        && scan(message)
            .parts
            .iter()
            .any(|part| utf8(&message[part.header_start as usize..part.body_start as usize]))
}

/// The message with ASCII headers. Bodies stay as they are, and so do bytes of a header that are no UTF-8.
pub fn surrogate(message: &[u8]) -> Vec<u8> {
    let structure = scan(message);
    let mut out = Vec::with_capacity(message.len() + 1024);
    let mut done = 0;
    for part in &structure.parts {
        let (start, body) = (part.header_start as usize, part.body_start as usize);
        out.extend_from_slice(&message[done..start]);
        for field in raw_fields(&message[start..body]) {
            push_field(&mut out, field, part.kind == PartKind::Message);
        }
        done = body;
    }
    out.extend_from_slice(&message[done..]);
    out
}

fn is_utf8(field: &[u8]) -> bool {
    !field.is_ascii() && std::str::from_utf8(field).is_ok()
}

/// `field` with its folds and line end; `global` when it may say that a message with such a header is inside.
fn push_field(out: &mut Vec<u8>, field: &[u8], global: bool) {
    let colon = memchr::memchr(b':', field).unwrap_or(field.len());
    let name = field[..colon].trim_ascii_end();
    let is = |names: &[&str]| names.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()));
    if !is_utf8(field) {
        match field.to_ascii_lowercase().windows(14).position(|window| window == b"message/global") {
            Some(at) if global && is(&["Content-Type"]) => {
                out.extend_from_slice(&field[..at]);
                out.extend_from_slice(b"message/rfc822");
                out.extend_from_slice(&field[at + 14..]);
            }
            _ => out.extend_from_slice(field),
        }
        return;
    }
    if !name.is_ascii() || colon == field.len() || is(&LEFT_OUT) {
        return;
    }
    let value = &field[colon + 1..];
    let value = if is(&ADDRESS_FIELDS) {
        addresses(value)
    } else if is(&["Content-Type", "Content-Disposition"]) {
        let text = String::from_utf8_lossy(value);
        let ascii = text.chars().map(|c| if c.is_ascii() { c } else { '_' });
        ascii.collect::<String>().trim().to_owned()
    } else {
        encode_words(&decode_words(value))
    };
    out.extend_from_slice(&field[..colon]);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    let line_end: &[u8] = if field.ends_with(b"\n") && !field.ends_with(b"\r\n") { b"\n" } else { b"\r\n" };
    out.extend_from_slice(line_end);
}

/// One address a line.
fn addresses(value: &[u8]) -> String {
    let mut text = String::new();
    let mut begins = true;
    for item in address_list(&unfold(value)) {
        if !begins && item != Item::GroupEnd {
            text.push_str(",\r\n ");
        }
        begins = false;
        match item {
            Item::GroupStart(name) => {
                text.push_str(&phrase(&decode_words(&name)));
                text.push(':');
                begins = true;
            }
            Item::GroupEnd => text.push(';'),
            Item::Mailbox { name, local, domain, .. } => {
                let name = name.map(|name| decode_words(&name)).unwrap_or_default();
                let address = [local.as_slice(), b"@", &domain].concat();
                let plain =
                    address.iter().all(|byte| byte.is_ascii_graphic() && !b"\"<>(),:;\\[]".contains(byte));
                let (name, address) = if plain {
                    (name, String::from_utf8_lossy(&address).into_owned())
                } else {
                    let was = String::from_utf8_lossy(&address);
                    (format!("{name} {was}").trim().to_owned(), NO_ADDRESS.to_owned())
                };
                if !name.is_empty() {
                    text.push_str(&phrase(&name));
                    text.push(' ');
                }
                text.push('<');
                text.push_str(&address);
                text.push('>');
            }
        }
    }
    text
}

/// A display name: quoted, or in encoded words (RFC 2047 §5).
fn phrase(name: &str) -> String {
    if name.is_ascii() && !name.contains("=?") {
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        encode_words(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::envelope;
    use proptest::prelude::*;

    const MESSAGE: &str = "Received: by münchen.test\r\nFrom: Jürgen <jürgen@exämple.test>\r\nTo: Zoë <zoe@a.test>, \"B, C\" <b@a.test>,\r\n Grüße: ü@a.test;\r\n\
        Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus Köln\r\nMessage-ID: <1@a.test>\r\nReferences: <ä@a.test>\r\nX-Note: naïve\r\n\
        Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8; name=\"naïve.txt\"\r\n\
        Content-Transfer-Encoding: 8bit\r\n\r\nKörper\r\n--x\r\nContent-Type: message/global\r\n\r\nSubject: ßß\r\n\r\nÄ\r\n--x--\r\n";

    #[test]
    fn every_header_is_ascii_and_says_what_it_said() {
        let out = String::from_utf8(surrogate(MESSAGE.as_bytes())).unwrap();
        let structure = scan(out.as_bytes());
        for part in &structure.parts {
            assert!(out.as_bytes()[part.header_start as usize..part.body_start as usize].is_ascii(), "{out}");
        }
        assert_eq!(structure.parts.len(), scan(MESSAGE.as_bytes()).parts.len());
        assert!(!out.contains("Received:") && !out.contains("References:") && out.contains("<1@a.test>"));
        let field = |name| decode_words(crate::header_field(out.as_bytes(), name).unwrap());
        assert_eq!(field("Subject"), "Grüße aus Köln");
        assert_eq!(field("X-Note"), "naïve");
        assert_eq!(field("From"), "Jürgen jürgen@exämple.test <invalid@internationalized-address.invalid>");
        let envelope = String::from_utf8(envelope(out.as_bytes())).unwrap();
        assert!(
            envelope.contains("NIL \"zoe\" \"a.test\"")
                && envelope.contains("(\"B, C\" NIL \"b\" \"a.test\")")
        );
        assert!(out.contains("name=\"na_ve.txt\"") && out.contains("Content-Type: message/rfc822\r\n"));
        assert!(out.contains("\r\n\r\nKörper\r\n--x\r\n"), "bodies stay");
        assert!(out.contains("Subject: =?utf-8?B?w5/Dnw==?=\r\n\r\nÄ\r\n"), "{out}");
    }

    #[test]
    fn it_is_known_who_needs_one() {
        assert!(has_utf8_header(MESSAGE.as_bytes()));
        assert!(has_utf8_header(
            "Content-Type: multipart/mixed; boundary=x\n\n--x\nX: ü\n\n--x--\n".as_bytes()
        ));
        for plain in
            ["Subject: a\r\n\r\nÄ\r\n".as_bytes(), b"Subject: \xe4\r\n\r\nx", b"", b"Subject: a\r\n\r\nx"]
        {
            assert!(!has_utf8_header(plain));
            assert_eq!(surrogate(plain), plain);
        }
    }

    proptest! {
        #[test]
        fn no_header_in_utf8_is_left(pieces in proptest::collection::vec(prop_oneof![
            Just("From: ü <ä@x>, y@z\r\n"), Just("Content-Type: multipart/mixed; boundary=x\r\n"), Just("ö\r\n"), Just("Ü: 1\r\n"),
            Just("Content-Type: message/global; a=ß\n"), Just("\r\n"), Just("\n"), Just("--x\r\n"), Just("--x--\r\n"),
            Just("Subject: é\r\n =?utf-8?q?a?=\r\n"), Just("To: ;:<>ü@\"\r\n"), Just("Date: é\n"), Just("é"), Just("\u{0}"),
        ], 0..30)) {
            let message = pieces.concat();
            prop_assert!(!has_utf8_header(&surrogate(message.as_bytes())), "{:?}", message);
        }
    }
}
