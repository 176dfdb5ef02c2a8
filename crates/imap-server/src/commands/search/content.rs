//! Whether the text of a message holds a text: encoded words, transfer encodings and character sets are undone, and
//! case does not count (RFC 3501 §6.4.4).
//!
//! The bodies of text parts and the headers of messages inside are looked at, in pieces, so that a part of any size
//! costs little memory. The searched text is in lower case already.

use std::io;
use std::os::unix::fs::FileExt;

use mail_format::structure::content_type;
use mail_format::{PartKind, Structure, decode_text, decode_words, header_field, header_fields};
use message_store::MessageFile;

use crate::sections::Span;

/// Piece of a part that is decoded at once.
const PIECE: u64 = 256 * 1024;
/// What is looked at of the header of a part.
const PART_HEADER_BYTES_MAX: u64 = 256 * 1024;

/// Whether a field called `name` has `text` in its value; an empty text asks for the field.
pub fn field_has(header: &[u8], name: &str, text: &str) -> bool {
    header_fields(header)
        .filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
        .any(|(_, value)| text.is_empty() || decode_words(value).to_lowercase().contains(text))
}

/// Whether any field has `text` in its name or value.
pub fn header_has(header: &[u8], text: &str) -> bool {
    header_fields(header).any(|(name, value)| {
        let field = format!("{}: {}", String::from_utf8_lossy(name), decode_words(value));
        field.to_lowercase().contains(text)
    })
}

/// The body of a message, and how much of it was read.
pub struct Body<'a> {
    pub message: &'a MessageFile,
    pub read: u64,
}

impl Body<'_> {
    /// Whether some part has `text`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn has(&mut self, structure: &Structure, text: &str) -> io::Result<bool> {
        for (place, part) in structure.parts.iter().enumerate() {
            let parent = usize::try_from(part.parent).unwrap_or(0);
            let is_message_inside = place > 0
                && structure.parts.get(parent).is_some_and(|parent| parent.kind == PartKind::Message);
            if part.kind != PartKind::Leaf && !is_message_inside {
                continue;
            }
            let (start, end) = (u64::from(part.header_start), u64::from(part.body_start));
            let header = self.bytes(start, end.min(start.saturating_add(PART_HEADER_BYTES_MAX)))?;
            if is_message_inside && header_has(&header, text) {
                return Ok(true);
            }
            let content = content_type(&header, part.in_digest);
            if part.kind != PartKind::Leaf || !content.is_kind("text") {
                continue;
            }
            let encoding = header_field(&header, "Content-Transfer-Encoding").unwrap_or_default();
            let charset = content.parameter("charset").unwrap_or(b"us-ascii");
            let coding = Coding {
                transfer: String::from_utf8_lossy(encoding).into_owned(),
                charset: String::from_utf8_lossy(charset).into_owned(),
            };
            if self.text_has(part.body_start.into(), part.body_end.into(), &coding, text)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Decodes a part piece by piece; pieces end with lines, and overlap by the length of the text.
    fn text_has(&mut self, mut at: u64, end: u64, coding: &Coding, text: &str) -> io::Result<bool> {
        let mut window = String::new();
        while at < end {
            let mut piece = self.bytes(at, end.min(at.saturating_add(PIECE)))?;
            if piece.is_empty() {
                return Ok(false);
            }
            if at.saturating_add(piece.len() as u64) < end {
                // Whole lines, or, without any, what base64 can be cut to.
                let whole =
                    memchr::memrchr(b'\n', &piece).map_or(piece.len() / 4 * 4, |line_end| line_end + 1);
                piece.truncate(whole);
            }
            at = at.saturating_add(piece.len() as u64);
            window.push_str(&decode_text(&piece, &coding.transfer, &coding.charset).to_lowercase());
            if window.contains(text) {
                return Ok(true);
            }
            let keep = (window.len().saturating_sub(text.len())..=window.len())
                .find(|from| window.is_char_boundary(*from))
                .unwrap_or(window.len());
            window.drain(..keep);
        }
        Ok(false)
    }

    fn bytes(&mut self, start: u64, end: u64) -> io::Result<Vec<u8>> {
        let span = Span::between(start, end, self.message.size);
        let mut bytes = vec![0; usize::try_from(span.len).unwrap_or(0)];
        self.message.file.read_exact_at(&mut bytes, span.offset)?;
        self.read += span.len;
        Ok(bytes)
    }
}

/// How a part is written.
struct Coding {
    transfer: String,
    charset: String,
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

    fn body_has(message: &[u8], text: &str) -> bool {
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(message).unwrap();
        let message_file = MessageFile { file: Arc::new(file), size: message.len() as u64 };
        let mut body = Body { message: &message_file, read: 0 };
        body.has(&mail_format::scan(message), &text.to_lowercase()).unwrap()
    }

    #[test]
    fn encodings_are_undone() {
        let base64 = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n";
        assert!(body_has(base64, "GR\u{dc}\u{df}E"));
        assert!(!body_has(base64, "R3LD"));
        let latin = b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe\r\n";
        assert!(body_has(latin, "gr\u{fc}\u{df}e"));
        assert!(header_has(b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n", "subject: gr\u{fc}\u{df}e"));
    }

    #[test]
    fn messages_inside_are_looked_at_and_pictures_are_not() {
        let mixed = b"Content-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ndeep\r\n--x\r\nContent-Type: image/png\r\n\r\npixels\r\n--x--\r\n";
        assert!(body_has(mixed, "subject: inner"));
        assert!(body_has(mixed, "deep"));
        assert!(!body_has(mixed, "pixels"));
    }

    #[test]
    fn a_long_part_is_searched_over_the_ends_of_its_pieces() {
        for line in [&b"0123456789abcdef\r\n"[..], b"0123456789abcdefgh"] {
            let mut message = b"Subject: x\r\n\r\n".to_vec();
            while message.len() < 3 * PIECE as usize {
                message.extend_from_slice(line);
            }
            let needle = "needle";
            for place in [PIECE as usize + 8, 2 * PIECE as usize - 3, message.len() - 6] {
                let mut message = message.clone();
                message[place..place + 6].copy_from_slice(needle.as_bytes());
                assert!(body_has(&message, "Needle"), "at {place}");
            }
            assert!(!body_has(&message, needle));
        }
    }
}
