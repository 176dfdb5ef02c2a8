//! A message as one that passes where not everything does: with 8-bit content, a host that takes 7 bits only (RFC 6152 §3);
//! with binary content (RFC 3030 §3), whoever takes lines. Each part that needs it is encoded, text in quoted-printable, the
//! rest in base64 (RFC 2045 §6.7, §6.8).
//!
//! What was decoded is the same again, byte for byte. Where that cannot be had there is nothing: bytes above 127 in a header
//! (there is no encoding for them), in what is signed as it stands (multipart/signed, RFC 1847 §2.1), between the parts, or
//! in a part that says it is encoded already or may not be (message/partial, RFC 2046 §5.2). A signature over the whole (DKIM)
//! does not survive it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::content_type::ContentType;
use crate::header::{header_field, raw_fields};
use crate::structure::{Part, PartKind, scan};

/// Characters of an encoded line at most (RFC 2045 §6.7 rule 5, §6.8).
const LINE_MAX: usize = 76;
/// The share of 8-bit bytes from which base64 is shorter than quoted-printable.
const STRANGE_SHARE: usize = 4;

/// Bytes of a line of text at most, its end not counted (RFC 2045 §2.8).
const TEXT_LINE_MAX: usize = 998;

/// The message in 7 bits; nothing when it cannot be put so.
pub fn seven_bit(message: &[u8]) -> Option<Vec<u8>> {
    put(message, <[u8]>::is_ascii, &[b"8bit", b"binary"])
}

/// The message as text in 8 bits: no NUL, no CR or LF but in pairs, no line of more than 998 bytes. Nothing when it cannot
/// be put so.
pub fn without_binary(message: &[u8]) -> Option<Vec<u8>> {
    put(message, is_text, &[b"binary"])
}

/// Whether these are lines of text (RFC 2045 §2.8).
pub fn is_text(bytes: &[u8]) -> bool {
    let mut line_start = 0;
    let mut at = 0;
    while let Some(found) = memchr::memchr3(0, b'\r', b'\n', &bytes[at..]) {
        let end = at + found;
        if !bytes[end..].starts_with(b"\r\n") || end - line_start > TEXT_LINE_MAX {
            return false;
        }
        at = end + 2;
        line_start = at;
    }
    bytes.len() - line_start <= TEXT_LINE_MAX
}

/// Encodes each leaf that does not fit. What fits is not called by one of `denied`, names of encodings.
fn put(message: &[u8], fits: impl Fn(&[u8]) -> bool, denied: &[&[u8]]) -> Option<Vec<u8>> {
    let structure = scan(message);
    let mut out = Vec::with_capacity(message.len() + message.len() / 3);
    let mut done = 0;
    for (place, part) in structure.parts.iter().enumerate() {
        let (header_at, body_at, end) = bounds(part);
        if header_at < done {
            continue; // inside of what was encoded
        }
        let (header, body) = (message.get(header_at..body_at)?, message.get(body_at..end)?);
        let content = header_field(header, "Content-Type").and_then(ContentType::parse);
        if content.as_ref().is_some_and(|content| content.is("multipart", "signed")) && !fits(body) {
            return None;
        }
        let as_it_is = part.kind != PartKind::Leaf || fits(body);
        let encoding = if as_it_is {
            if !denied.contains(&encoding_of(header).as_slice()) {
                continue;
            }
            // so it is now
            if body.is_ascii() || denied.contains(&&b"8bit"[..]) { "7bit" } else { "8bit" }
        } else {
            how(&encoding_of(header), content.as_ref(), body)?
        };
        out.extend_from_slice(&message[done..header_at]);
        write_header(header, encoding, place == 0, content.is_some(), body, &mut out)?;
        done = body_at;
        if !as_it_is {
            encode(body, encoding, &mut out);
            done = end;
        }
    }
    out.extend_from_slice(message.get(done..)?);
    fits(&out).then_some(out)
}

fn bounds(part: &Part) -> (usize, usize, usize) {
    (part.header_start as usize, part.body_start as usize, part.body_end as usize)
}

/// The value of Content-Transfer-Encoding in lower case; empty when there is none.
fn encoding_of(header: &[u8]) -> Vec<u8> {
    let value = header_field(header, "Content-Transfer-Encoding").unwrap_or_default();
    value.trim_ascii().to_ascii_lowercase()
}

/// How a leaf that does not fit is to be encoded; nothing when it may not be.
fn how(now: &[u8], content: Option<&ContentType>, body: &[u8]) -> Option<&'static str> {
    if !matches!(now, b"" | b"7bit" | b"8bit" | b"binary") {
        return None;
    }
    if content.is_some_and(|content| content.is_kind("message") || content.is_kind("multipart")) {
        return None;
    }
    let is_text = content.is_none_or(|content| content.is_kind("text"));
    let strange = body.iter().filter(|byte| !byte.is_ascii()).count();
    Some(if is_text && strange <= body.len() / STRANGE_SHARE { "quoted-printable" } else { "base64" })
}

/// The header with another Content-Transfer-Encoding. That of a message which is not of MIME says what it is (RFC 1428 §3).
fn write_header(
    header: &[u8],
    encoding: &str,
    is_top: bool,
    has_type: bool,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let fields = match header.strip_suffix(b"\r\n") {
        Some(fields) if fields.is_empty() || fields.ends_with(b"\r\n") => fields,
        _ => return None, // it has no end: nothing can be added to it
    };
    for field in raw_fields(fields) {
        let name = field.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
        if !name.eq_ignore_ascii_case(b"Content-Transfer-Encoding") {
            out.extend_from_slice(field);
        }
    }
    if is_top && header_field(fields, "MIME-Version").is_none() {
        out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        if !has_type {
            let charset = if std::str::from_utf8(body).is_ok() { "utf-8" } else { "unknown-8bit" };
            out.extend_from_slice(format!("Content-Type: text/plain; charset={charset}\r\n").as_bytes());
        }
    }
    out.extend_from_slice(format!("Content-Transfer-Encoding: {encoding}\r\n\r\n").as_bytes());
    Some(())
}

fn encode(body: &[u8], encoding: &str, out: &mut Vec<u8>) {
    if encoding == "base64" {
        let encoded = STANDARD.encode(body);
        for (at, line) in encoded.as_bytes().chunks(LINE_MAX).enumerate() {
            if at > 0 {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(line);
        }
        if body.ends_with(b"\r\n") {
            out.extend_from_slice(b"\r\n"); // a message ends with its line's end
        }
        return;
    }
    let mut rest = body;
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        quoted_printable_line(&rest[..end], out);
        out.extend_from_slice(b"\r\n");
        rest = &rest[end + 2..];
    }
    quoted_printable_line(rest, out);
}

fn quoted_printable_line(line: &[u8], out: &mut Vec<u8>) {
    let mut length = 0;
    for (at, byte) in line.iter().enumerate() {
        let plain = match byte {
            b'=' => false,
            b' ' | b'\t' => at + 1 < line.len(), // rule 3: no blank at the end of a line
            b'F' | b'.' if at == 0 => false,     // "From " and a lone dot are changed on some ways
            byte => byte.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        if length + width > LINE_MAX - 1 {
            out.extend_from_slice(b"=\r\n");
            length = 0;
        }
        length += width;
        match plain {
            true => out.push(*byte),
            false => out.extend_from_slice(format!("={byte:02X}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode_text;
    use proptest::prelude::*;

    fn text(message: &str) -> String {
        String::from_utf8(seven_bit(message.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn each_part_is_encoded_as_it_needs() {
        let message = "Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
            Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
            content-transfer-encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e and more =\r\n--b\r\nContent-Type: application/x\r\n\
            \r\n\u{fc}\u{fc}\r\n--b\r\n\r\nplain\r\n--b--\r\n";
        let out = text(message);
        assert!(
            out.contains("boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\npreamble\r\n--b\r\n"),
            "{out}"
        );
        assert!(out.contains("utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe and more =3D\r\n--b\r\n"), "{out}");
        assert!(out.contains("application/x\r\nContent-Transfer-Encoding: base64\r\n\r\nw7zDvA==\r\n--b\r\n\r\nplain\r\n--b--\r\n"), "{out}");
    }

    #[test]
    fn a_message_inside_is_encoded_inside() {
        let out = text(
            "Content-Type: message/rfc822\r\nMIME-Version: 1.0\r\n\r\nSubject: in\r\n\r\n\u{e4} text of some length\r\n",
        );
        assert!(
            out.contains(
                "\r\n\r\nSubject: in\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4 text"
            ),
            "{out}"
        );
    }

    #[test]
    fn what_is_not_of_mime_becomes_so() {
        let out = text("Subject: a\r\n\r\nGr\u{fc}\u{df}e and more text\r\n");
        assert_eq!(
            out,
            "Subject: a\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe and more text\r\n"
        );
        let latin = seven_bit(b"Subject: a\r\n\r\n\xfc and more text\r\n").unwrap();
        assert!(String::from_utf8(latin).unwrap().contains("charset=unknown-8bit"));
    }

    #[test]
    fn what_cannot_be_put_so_is_not() {
        for message in [
            "Subject: \u{e4}\r\n\r\nx\r\n",
            "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\u{e4}\r\n--b--\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n\u{e4}\r\n--b\r\n\r\nx\r\n--b--\r\n",
            "Content-Transfer-Encoding: base64\r\n\r\n\u{e4}\r\n",
            "Content-Type: message/partial\r\n\r\n\u{e4}\r\n",
            "Content-Type: message/rfc822\r\n\r\nSubject: \u{e4}\r\n\r\nx\r\n",
        ] {
            assert_eq!(seven_bit(message.as_bytes()), None, "{message}");
        }
    }

    #[test]
    fn binary_parts_are_encoded_and_text_in_eight_bits_stays() {
        let head = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n";
        let text = "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: binary\r\n\r\nGr\u{fc}\u{df}e\r\n";
        let binary = b"--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\r\n.\r\n\n\r\xff\r\n--b--\r\n";
        let out = without_binary(&[&head[..], text.as_bytes(), binary].concat()).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--b\r\n"), "{out}");
        assert!(
            out.contains("utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e\r\n--b\r\n"),
            "{out}"
        );
        assert!(
            out.contains(
                "application/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAA0KLg0KCg3/\r\n--b--\r\n"
            ),
            "{out}"
        );
        assert_eq!(without_binary(b"Subject: a\0b\r\n\r\nx\r\n"), None);
        let long = [b"Subject: a\r\n\r\n".to_vec(), vec![b'x'; 999], b"\r\n".to_vec()].concat();
        assert!(is_text(&without_binary(&long).unwrap()));
        assert!(is_text(&long[..long.len() - 3]) && is_text(b"") && !is_text(b"a\n") && !is_text(b"a\r\r\n"));
    }

    proptest! {
        #[test]
        fn binary_content_is_the_same_again(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let head = b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n";
            let out = without_binary(&[&head[..], &body].concat()).unwrap();
            prop_assert!(is_text(&out));
            let at = memchr::memmem::find(&out, b"\r\n\r\n").unwrap();
            let encoding = encoding_of(&out[..at + 4]);
            let content = if encoding == b"base64" {
                let text: Vec<u8> = out[at + 4..].iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
                STANDARD.decode(text).unwrap()
            } else {
                out[at + 4..].to_vec()
            };
            prop_assert_eq!(content, body);
        }

        #[test]
        fn what_was_encoded_is_the_same_again(lines in proptest::collection::vec("[a-zF=. \u{e4}\u{4e00}]{0,90}", 1..8), binary in any::<bool>()) {
            let body = lines.join("\r\n") + "\r\n";
            prop_assume!(!body.is_ascii());
            let kind = if binary { "application/x" } else { "text/plain; charset=utf-8" };
            let message = format!("MIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n{body}");
            let out = seven_bit(message.as_bytes()).unwrap();
            prop_assert!(out.is_ascii());
            let at = memchr::memmem::find(&out, b"\r\n\r\n").unwrap();
            let encoding = String::from_utf8(encoding_of(&out[..at + 4])).unwrap();
            let longest = out[at + 4..].split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
            prop_assert!(longest <= LINE_MAX + 1);
            prop_assert_eq!(decode_text(&out[at + 4..], &encoding, "utf-8"), body);
        }

        #[test]
        fn no_message_is_too_strange(message in proptest::collection::vec(any::<u8>(), 0..300), text in "(Content-Type: multipart/mixed; boundary=b\r\n|\r\n|--b\r\n|--b--\r\n|\u{e4}|Content-Transfer-Encoding: 8bit\r\n){0,20}") {
            for message in [message, text.into_bytes()] {
                if let Some(out) = seven_bit(&message) {
                    prop_assert!(out.is_ascii());
                }
                if let Some(out) = without_binary(&message) {
                    prop_assert!(is_text(&out));
                }
            }
        }
    }
}
