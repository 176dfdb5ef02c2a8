//! What is said of one part of a message: an EmailBodyPart (RFC 8621 §4.1.4).

use mail_format::content_type::{ContentType, first_token, languages};
use mail_format::structure::content_type;
use mail_format::{PartKind, TransferEncoding, decode_words, header_field, unfold};
use serde_json::{Map, Value, json};

use super::headers::{self, Field};
use super::message::Message;
use crate::ids::BlobId;

/// What is known of a part from its header.
#[derive(Clone, Debug)]
pub struct BodyPart {
    /// Among the parts of the structure; the partId.
    pub place: usize,
    /// In lower case, `text/plain`.
    pub media_type: String,
    pub charset: Option<String>,
    /// In lower case.
    pub disposition: Option<String>,
    pub name: Option<String>,
    pub cid: Option<String>,
    /// Lines that end with a blank go on in the next (format=flowed, RFC 3676 §4); with true, without that blank (delsp).
    pub flowed: Option<bool>,
    pub sub_parts: Vec<BodyPart>,
}

/// Which properties of parts are asked for.
#[derive(Clone, Debug)]
pub struct PartProperties(Vec<(String, Option<Field>)>);

const NAMES: [&str; 12] = [
    "partId",
    "blobId",
    "size",
    "headers",
    "name",
    "type",
    "charset",
    "disposition",
    "cid",
    "language",
    "location",
    "subParts",
];
/// RFC 8621 §4.2.
const DEFAULT: [&str; 10] =
    ["partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location"];

impl PartProperties {
    /// The properties of these names, or those that are the default; nothing when one is none.
    pub fn parse(names: Option<Vec<String>>) -> Option<PartProperties> {
        let names = names.unwrap_or_else(|| DEFAULT.iter().map(|name| (*name).to_owned()).collect());
        let one = |name: String| match NAMES.contains(&name.as_str()) {
            true => Some((name, None)),
            false => Field::parse(&name).map(|field| (name, Some(field))),
        };
        names.into_iter().map(one).collect::<Option<Vec<_>>>().map(PartProperties)
    }
}

impl BodyPart {
    /// The tree of a message's parts; messages inside are leaves.
    pub fn tree(message: &Message) -> BodyPart {
        BodyPart::of(message, 0)
    }

    fn of(message: &Message, place: usize) -> BodyPart {
        let header = message.part_header(place);
        let part = &message.structure.parts[place];
        let content = content_type(header, part.in_digest);
        let is_multipart = part.kind == PartKind::Multipart;
        let media_type = match content.is_kind("multipart") && !is_multipart {
            true => "text/plain".to_owned(), // without a boundary there are no parts, only this text
            false => format!("{}/{}", lower(&content.kind), lower(&content.subtype)),
        };
        let disposition = header_field(header, "Content-Disposition")
            .and_then(|value| ContentType::parse_disposition(&unfold(value)));
        let name = disposition
            .as_ref()
            .and_then(|disposition| file_name(disposition, "filename"))
            .or_else(|| file_name(&content, "name"));
        let charset = match (content.parameter("charset"), header_field(header, "Content-Type")) {
            (Some(charset), _) if content.is_kind("text") => Some(text(charset)),
            (None, None) => Some("us-ascii".to_owned()),
            (None, Some(_)) if media_type.starts_with("text/") => Some("us-ascii".to_owned()),
            _ => None,
        };
        let sub_parts = match is_multipart {
            true => message.structure.children(place).map(|child| BodyPart::of(message, child)).collect(),
            false => Vec::new(),
        };
        let is = |name: &str, value: &str| {
            content.parameter(name).is_some_and(|found| found.eq_ignore_ascii_case(value.as_bytes()))
        };
        let is_flowed = content.is("text", "plain") && is("format", "flowed");
        BodyPart {
            place,
            flowed: is_flowed.then(|| is("delsp", "yes")),
            media_type,
            charset,
            disposition: disposition.map(|disposition| lower(&disposition.kind)),
            name,
            cid: header_field(header, "Content-Id").and_then(cid),
            sub_parts,
        }
    }

    pub fn is_multipart(&self) -> bool {
        self.media_type.starts_with("multipart/")
    }

    pub fn is_text(&self) -> bool {
        self.media_type.starts_with("text/")
    }

    /// Shown where it stands, if anything is.
    pub fn is_inline_media(&self) -> bool {
        ["image/", "audio/", "video/"].iter().any(|kind| self.media_type.starts_with(kind))
    }

    /// The partId.
    pub fn id(&self) -> String {
        self.place.to_string()
    }

    /// This part and all below it, depth first.
    pub fn walk<'p>(&'p self, visit: &mut dyn FnMut(&'p BodyPart)) {
        visit(self);
        self.sub_parts.iter().for_each(|part| part.walk(visit));
    }

    /// As it is asked for; with its subParts only within bodyStructure.
    pub fn to_json(&self, message: &Message, blob: BlobId, wanted: &PartProperties, in_tree: bool) -> Value {
        let mut map = Map::new();
        for (name, field) in &wanted.0 {
            let header = message.part_header(self.place);
            let value = match field {
                Some(field) => field.value(header),
                None => self.property(name, header, message, blob),
            };
            if name != "subParts" {
                map.insert(name.clone(), value);
            }
        }
        if in_tree && self.is_multipart() {
            let parts = self.sub_parts.iter().map(|part| part.to_json(message, blob, wanted, true));
            map.insert("subParts".into(), parts.collect());
        }
        Value::Object(map)
    }

    fn property(&self, name: &str, header: &[u8], message: &Message, blob: BlobId) -> Value {
        let is_leaf = !self.is_multipart();
        match name {
            "partId" => json!(is_leaf.then(|| self.id())),
            "blobId" => json!(is_leaf.then(|| blob.part(self.place as u32).to_string())),
            "size" => json!(decoded_size(message, self.place)),
            "headers" => headers::all(header),
            "name" => json!(self.name),
            "type" => json!(self.media_type),
            "charset" => json!(self.charset),
            "disposition" => json!(self.disposition),
            "cid" => json!(self.cid),
            "language" => {
                let tags = header_field(header, "Content-Language").map(languages).unwrap_or_default();
                let tags: Vec<String> = tags.iter().map(|tag| text(tag)).collect();
                json!((!tags.is_empty()).then_some(tags))
            }
            "location" => json!(header_field(header, "Content-Location").map(|value| text(&unfold(value)))),
            _ => Value::Null,
        }
    }
}

/// The transfer encoding of a part, if it is known.
pub fn encoding(header: &[u8]) -> Option<TransferEncoding> {
    let named =
        header_field(header, "Content-Transfer-Encoding").and_then(|value| first_token(&unfold(value)));
    TransferEncoding::named(&named.map_or_else(String::new, |name| text(&name)))
}

/// Bytes of a part behind its transfer encoding; what is not known is taken as it stands.
pub fn decoded_size(message: &Message, place: usize) -> u64 {
    let body = message.part_body(place);
    match encoding(message.part_header(place)) {
        None | Some(TransferEncoding::Identity) => body.len() as u64,
        Some(encoding) => {
            let mut decoder = mail_format::Decoder::new(encoding);
            let (mut size, mut piece) = (0, Vec::new());
            for bytes in body.chunks(64 * 1024) {
                piece.clear();
                decoder.push(bytes, &mut piece);
                size += piece.len() as u64;
            }
            piece.clear();
            decoder.finish(&mut piece);
            size + piece.len() as u64
        }
    }
}

/// A parameter with a file name: extended (RFC 2231), or with encoded words, as many write it.
fn file_name(content: &ContentType, parameter: &str) -> Option<String> {
    let extended = content.parameter(&format!("{parameter}*")).map(extended);
    let name = extended.or_else(|| content.parameter(parameter).map(decode_words))?;
    let name = headers::decoded(&name).trim().to_owned();
    (!name.is_empty()).then_some(name)
}

/// `charset'language'percent-encoded` (RFC 2231 §4)
fn extended(value: &[u8]) -> String {
    let mut pieces = value.splitn(3, |byte| *byte == b'\'');
    let (charset, encoded) = match (pieces.next(), pieces.next(), pieces.next()) {
        (Some(charset), Some(_), Some(encoded)) => (charset, encoded),
        _ => (&b"utf-8"[..], value),
    };
    let digit = |byte: Option<&u8>| byte.and_then(|byte| base::hex::digit(*byte));
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while let Some(byte) = encoded.get(at) {
        match (byte, digit(encoded.get(at + 1)), digit(encoded.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high << 4 | low);
                at += 3;
            }
            (byte, _, _) => {
                bytes.push(*byte);
                at += 1;
            }
        }
    }
    mail_format::charset::decode_charset(&bytes, &text(charset))
}

/// Without comments and angle brackets.
fn cid(value: &[u8]) -> Option<String> {
    let value = text(&unfold(value));
    let start = value.find('<').map_or(0, |at| at + 1);
    let inside = &value[start..];
    let id = inside.split('>').next().unwrap_or(inside).trim();
    (!id.is_empty()).then(|| id.to_owned())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "")
}

fn lower(bytes: &[u8]) -> String {
    text(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(message: &str) -> BodyPart {
        BodyPart::tree(&Message::of_bytes(message.as_bytes().to_vec()))
    }

    #[test]
    fn names_are_decoded_however_they_are_written() {
        for (field, name) in [
            ("Content-Disposition: attachment; filename=a.txt", "a.txt"),
            (
                "Content-Disposition: attachment; filename*=utf-8'de'Gr%C3%BC%C3%9Fe.txt; filename=x",
                "Grüße.txt",
            ),
            (
                "Content-Disposition: attachment; filename*0*=iso-8859-1''Gr%FC; filename*1=\"%e.txt\"",
                "Gr\u{fc}%e.txt",
            ),
            ("Content-Disposition: attachment; filename=\"=?utf-8?B?R3LDvMOfZQ==?=\"", "Grüße"),
            ("Content-Type: text/plain; name=\"b c\"\r\nContent-Disposition: inline", "b c"),
        ] {
            assert_eq!(tree(&format!("{field}\r\n\r\nx")).name.as_deref(), Some(name), "{field}");
        }
        assert_eq!(tree("Content-Type: text/html\r\n\r\n").name, None);
    }

    #[test]
    fn types_and_charsets_have_their_defaults() {
        let about = |header: &str| {
            let part = tree(&format!("{header}\r\n\r\n"));
            (part.media_type, part.charset)
        };
        let is = |kind: &str, charset: Option<&str>| (kind.to_owned(), charset.map(str::to_owned));
        assert_eq!(about("X: y"), is("text/plain", Some("us-ascii")));
        assert_eq!(about("Content-Type: TEXT/HTML (x); charset=UTF-8"), is("text/html", Some("UTF-8")));
        assert_eq!(about("Content-Type: image/png; charset=x"), is("image/png", None));
        assert_eq!(about("Content-Type: text/x"), is("text/x", Some("us-ascii")));
        assert_eq!(about("Content-Type: multipart/mixed"), is("text/plain", Some("us-ascii")));
        let part = tree("Content-Id: (c) <a@b>\r\nContent-Disposition: INLINE; x=y\r\n\r\n");
        assert_eq!((part.cid.as_deref(), part.disposition.as_deref()), (Some("a@b"), Some("inline")));
    }

    #[test]
    fn the_size_is_that_of_the_decoded_bytes() {
        for (encoding, body, size) in [
            ("base64", "YWJj\r\nZGU=\r\n", 5),
            ("7bit", "abc\r\n", 5),
            ("quoted-printable", "a=3D=\r\nb", 3),
            ("x-odd", "abc", 3),
        ] {
            let message = format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{body}");
            assert_eq!(decoded_size(&Message::of_bytes(message.into_bytes()), 0), size, "{encoding}");
        }
    }
}
