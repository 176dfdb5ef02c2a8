//! The text of a part as a client shows it: an EmailBodyValue (RFC 8621 §4.1.4).

use mail_format::charset::{decode_base64, decode_quoted_printable};
use mail_format::{TransferEncoding, decode_text};
use serde_json::{Value, json};

use super::body_part::{BodyPart, encoding};
use super::message::Message;

/// A decoded text.
pub struct BodyValue {
    pub value: String,
    pub is_encoding_problem: bool,
    pub is_truncated: bool,
}

impl BodyValue {
    /// Of a text part; with `bytes_max` above 0 not more than that.
    pub fn of(message: &Message, part: &BodyPart, bytes_max: usize) -> BodyValue {
        let encoding = encoding(message.part_header(part.place));
        let body = message.part_body(part.place);
        let bytes = match encoding {
            Some(TransferEncoding::Base64) => decode_base64(body).into(),
            Some(TransferEncoding::QuotedPrintable) => decode_quoted_printable(body).into(),
            Some(TransferEncoding::Identity) | None => std::borrow::Cow::Borrowed(body),
        };
        let charset = part.charset.as_deref().unwrap_or("us-ascii");
        let text = decode_text(&bytes, "", charset);
        let is_broken = text.contains('\u{fffd}')
            && !std::str::from_utf8(&bytes).is_ok_and(|text| text.contains('\u{fffd}'));
        let is_unknown = encoding.is_none() || !mail_format::charset::is_known(charset);
        let mut value = text.replace("\r\n", "\n").replace('\0', "");
        let is_truncated = bytes_max > 0 && value.len() > bytes_max;
        if is_truncated {
            value.truncate(cut(&value, bytes_max, part.media_type == "text/html"));
        }
        BodyValue { value, is_encoding_problem: is_broken || is_unknown, is_truncated }
    }

    pub fn to_json(&self) -> Value {
        json!({
            "value": self.value,
            "isEncodingProblem": self.is_encoding_problem,
            "isTruncated": self.is_truncated,
        })
    }
}

/// Where a text of at most so many bytes ends: at a character, and in HTML not inside a tag.
fn cut(text: &str, bytes_max: usize, is_html: bool) -> usize {
    let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let open = text[..end].rfind('<').filter(|open| is_html && !text[*open..end].contains('>'));
    open.unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(header: &str, body: &[u8], bytes_max: usize) -> (String, bool, bool) {
        let message = Message::of_bytes([header.as_bytes(), b"\r\n\r\n", body].concat());
        let part = BodyPart::tree(&message);
        let value = BodyValue::of(&message, &part, bytes_max);
        (value.value, value.is_encoding_problem, value.is_truncated)
    }

    #[test]
    fn texts_are_decoded_and_problems_told() {
        let is = |text: &str, problem: bool| (text.to_owned(), problem, false);
        assert_eq!(value("Content-Type: text/plain", b"a\r\nb\r\n", 0), is("a\nb\n", false));
        assert_eq!(value("Content-Type: text/plain; charset=iso-8859-1", b"\xfc", 0), is("ü", false));
        assert_eq!(value("Content-Type: text/plain; charset=utf-8", b"a\xffb", 0), is("a\u{fffd}b", true));
        assert_eq!(
            value("Content-Type: text/plain; charset=utf-8", "\u{fffd}".as_bytes(), 0),
            is("\u{fffd}", false)
        );
        assert_eq!(value("Content-Type: text/plain; charset=x-nonsense", b"a", 0), is("a", true));
        assert_eq!(value("Content-Transfer-Encoding: x-odd", b"a", 0), is("a", true));
        let base64 = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64";
        assert_eq!(value(base64, b"R3LDvMOfZQ==", 0), is("Grüße", false));
    }

    #[test]
    fn a_cut_is_between_characters_and_outside_tags() {
        let utf8 = "Content-Type: text/plain; charset=utf-8";
        assert_eq!(value(utf8, "aü".as_bytes(), 2), ("a".into(), false, true));
        assert_eq!(value(utf8, "aü".as_bytes(), 3), ("aü".into(), false, false));
        assert_eq!(value("Content-Type: text/html", b"<p>x<a href='y'>z", 8), ("<p>x".into(), false, true));
        assert_eq!(value("Content-Type: text/html", b"<p>x<a href='y'>z", 3), ("<p>".into(), false, true));
    }
}
