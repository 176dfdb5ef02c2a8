//! Header fields as properties: `header:Name:asForm:all` (RFC 8621 §4.1.2, §4.1.3).

use icu_normalizer::ComposingNormalizerBorrowed;
use mail_format::date::date_and_zone;
use mail_format::{decode_words, header_fields, message_ids};
use serde_json::{Value, json};

use super::addresses;

/// How a field is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Raw,
    Text,
    Addresses,
    GroupedAddresses,
    MessageIds,
    Date,
    Urls,
}

/// A property that is a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub form: Form,
    /// Every instance, not the last one.
    pub all: bool,
}

/// The fields of RFC 5322 and RFC 2369; of others any form may be asked for.
const KNOWN: [&str; 28] = [
    "date",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "message-id",
    "in-reply-to",
    "references",
    "subject",
    "comments",
    "keywords",
    "resent-date",
    "resent-from",
    "resent-sender",
    "resent-to",
    "resent-cc",
    "resent-bcc",
    "resent-message-id",
    "return-path",
    "received",
    "list-help",
    "list-unsubscribe",
    "list-subscribe",
    "list-post",
    "list-owner",
    "list-archive",
];

impl Form {
    fn named(name: &str) -> Option<Form> {
        Some(match name {
            "asRaw" => Form::Raw,
            "asText" => Form::Text,
            "asAddresses" => Form::Addresses,
            "asGroupedAddresses" => Form::GroupedAddresses,
            "asMessageIds" => Form::MessageIds,
            "asDate" => Form::Date,
            "asURLs" => Form::Urls,
            _ => return None,
        })
    }

    /// Whether a field may be read, or written, so.
    pub fn is_for(self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let name = name.as_str();
        let fits = match self {
            Form::Raw => return true,
            Form::Text => matches!(name, "subject" | "comments" | "keywords" | "list-id"),
            Form::Addresses | Form::GroupedAddresses => matches!(
                name,
                "from"
                    | "sender"
                    | "reply-to"
                    | "to"
                    | "cc"
                    | "bcc"
                    | "resent-from"
                    | "resent-sender"
                    | "resent-reply-to"
                    | "resent-to"
                    | "resent-cc"
                    | "resent-bcc"
            ),
            Form::MessageIds => {
                matches!(name, "message-id" | "in-reply-to" | "references" | "resent-message-id")
            }
            Form::Date => matches!(name, "date" | "resent-date"),
            Form::Urls => matches!(
                name,
                "list-help"
                    | "list-unsubscribe"
                    | "list-subscribe"
                    | "list-post"
                    | "list-owner"
                    | "list-archive"
            ),
        };
        fits || !(KNOWN.contains(&name) || name == "resent-reply-to")
    }
}

impl Field {
    /// What is behind `header:`. Nothing when it is no such property, or the form is not for that field.
    pub fn parse(property: &str) -> Option<Field> {
        let mut pieces = property.strip_prefix("header:")?.split(':');
        let name = pieces.next().filter(|name| is_field_name(name))?;
        let mut field = Field { name: name.to_owned(), form: Form::Raw, all: false };
        let mut next = pieces.next();
        if let Some(form) = next.and_then(Form::named) {
            field.form = form;
            next = pieces.next();
        }
        if next == Some("all") {
            field.all = true;
            next = pieces.next();
        }
        (next.is_none() && field.form.is_for(name)).then_some(field)
    }

    /// The convenience properties (RFC 8621 §4.1.3).
    pub fn convenience(property: &str) -> Option<Field> {
        let (name, form) = match property {
            "messageId" => ("Message-ID", Form::MessageIds),
            "inReplyTo" => ("In-Reply-To", Form::MessageIds),
            "references" => ("References", Form::MessageIds),
            "sender" => ("Sender", Form::Addresses),
            "from" => ("From", Form::Addresses),
            "to" => ("To", Form::Addresses),
            "cc" => ("Cc", Form::Addresses),
            "bcc" => ("Bcc", Form::Addresses),
            "replyTo" => ("Reply-To", Form::Addresses),
            "subject" => ("Subject", Form::Text),
            "sentAt" => ("Date", Form::Date),
            _ => return None,
        };
        Some(Field { name: name.to_owned(), form, all: false })
    }

    /// The value in this header.
    pub fn value(&self, header: &[u8]) -> Value {
        let fields =
            header_fields(header).filter(|(name, _)| name.eq_ignore_ascii_case(self.name.as_bytes()));
        let values = fields.map(|(_, value)| value);
        if self.all {
            return values.map(|value| self.form.value(value)).collect();
        }
        values.last().map_or(Value::Null, |value| self.form.value(value))
    }
}

/// `1*ftext` (RFC 5322 §3.6.8)
pub fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && name.bytes().all(|byte| (33..=126).contains(&byte) && byte != b':')
}

impl Form {
    fn value(self, value: &[u8]) -> Value {
        match self {
            Form::Raw => Value::String(raw(value)),
            Form::Text => Value::String(text(value)),
            Form::Addresses => addresses::to_json(value),
            Form::GroupedAddresses => addresses::grouped(value),
            Form::MessageIds => ids(value),
            Form::Date => {
                date_and_zone(value).map_or(Value::Null, |(second, zone)| json!(date(second, zone)))
            }
            Form::Urls => urls(value),
        }
    }
}

/// `headers`: every field as it stands.
pub fn all(header: &[u8]) -> Value {
    let one =
        |(name, value): (&[u8], &[u8])| json!({ "name": String::from_utf8_lossy(name), "value": raw(value) });
    header_fields(header).map(one).collect()
}

/// As it stands, without NUL (RFC 8621 §4.1.2.1).
fn raw(value: &[u8]) -> String {
    String::from_utf8_lossy(value).replace('\0', "")
}

/// Unfolded, decoded, in NFC (RFC 8621 §4.1.2.2).
pub fn text(value: &[u8]) -> String {
    let unfolded: Vec<u8> = value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    decoded(decode_words(&unfolded).trim_start_matches(' '))
}

/// Without control characters, and composed.
pub fn decoded(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !c.is_control() || *c == '\t').collect();
    if visible.is_ascii() {
        return visible;
    }
    ComposingNormalizerBorrowed::new_nfc().normalize(&visible).into_owned()
}

fn ids(value: &[u8]) -> Value {
    let ids: Vec<String> =
        message_ids(value).take(10_000).map(|id| String::from_utf8_lossy(&id).replace('\0', "")).collect();
    if ids.is_empty() { Value::Null } else { json!(ids) }
}

/// `<url> (comment), <url>` (RFC 2369 §2)
fn urls(value: &[u8]) -> Value {
    let text = raw(value);
    let (mut urls, mut depth, mut rest) = (Vec::new(), 0usize, text.as_str());
    while let Some(at) = rest.find(['(', ')', '<']) {
        let (mark, after) = (rest.as_bytes()[at], &rest[at + 1..]);
        rest = after;
        match mark {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => {
                let Some(end) = after.find('>') else { break };
                let url: String = after[..end].chars().filter(|c| !c.is_whitespace()).collect();
                if !url.is_empty() {
                    urls.push(url);
                }
                rest = &after[end + 1..];
            }
            _ => {}
        }
    }
    if urls.is_empty() { Value::Null } else { json!(urls) }
}

/// RFC 3339 with a zone: `2014-10-30T14:12:00+08:00` (RFC 8620 §1.4).
fn date(second: i64, zone: i32) -> String {
    if zone == 0 {
        return utc_date(second);
    }
    let local = utc_date(second.saturating_add(zone.into()));
    let sign = if zone < 0 { '-' } else { '+' };
    let minutes = zone.unsigned_abs() / 60;
    format!("{}{sign}{:02}:{:02}", local.trim_end_matches('Z'), minutes / 60, minutes % 60)
}

/// `UTCDate`
pub fn utc_date(second: i64) -> String {
    let (days, clock) = (second.div_euclid(86_400), second.rem_euclid(86_400));
    let (year, month, day) = mail_format::date::civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", clock / 3600, clock / 60 % 60, clock % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(property: &str, header: &str) -> Value {
        Field::parse(property).unwrap().value(header.as_bytes())
    }

    #[test]
    fn properties_are_read_and_forms_that_are_forbidden_are_none() {
        assert_eq!(
            Field::parse("header:Resent-To:asAddresses:all"),
            Some(Field { name: "Resent-To".into(), form: Form::Addresses, all: true })
        );
        assert!(Field::parse("header:x:all").is_some_and(|field| field.all && field.form == Form::Raw));
        for wrong in [
            "header:",
            "header:a b",
            "header:From:asDate",
            "header:Subject:asAddresses",
            "header:X:asText:all:all",
            "header:X:all:asText",
            "header:X:asNothing",
            "header:Date:asText",
            "header:é",
            "subject",
            "header:Received:asDate",
            "header:Resent-Reply-To:asText",
        ] {
            assert_eq!(Field::parse(wrong), None, "{wrong}");
        }
        for right in [
            "header:List-Id:asText",
            "header:X-Any:asDate",
            "header:Keywords:asText",
            "header:List-POST:asURLs",
        ] {
            assert!(Field::parse(right).is_some(), "{right}");
        }
    }

    #[test]
    fn the_last_instance_or_all_of_them() {
        let header = "X: a\r\nSubject: one\r\nx:  b\r\n c\r\n\r\n";
        assert_eq!(value("header:X", header), json!("  b\r\n c"));
        assert_eq!(value("header:x:asText:all", header), json!(["a", "b c"]));
        assert_eq!(value("header:y", header), Value::Null);
        assert_eq!(value("header:y:all", header), json!([]));
        assert_eq!(all(b"A: b\r\n\r\n"), json!([{ "name": "A", "value": " b" }]));
    }

    #[test]
    fn each_form() {
        assert_eq!(
            value("header:Subject:asText", "Subject: =?utf-8?Q?a=CC=88=00=0Db?=\r\n\r\n"),
            json!("äb")
        );
        assert_eq!(value("header:Message-ID:asMessageIds", "Message-ID: <a@x>\r\n\r\n"), json!(["a@x"]));
        assert_eq!(value("header:Message-ID:asMessageIds", "Message-ID: a\r\n\r\n"), Value::Null);
        let date = "Date: Fri, 31 Oct 2014 14:12:00 +0800\r\n\r\n";
        assert_eq!(value("header:Date:asDate", date), json!("2014-10-31T14:12:00+08:00"));
        assert_eq!(
            value("header:Date:asDate", "Date: 1 Jan 1970 00:00:00 -0000\r\n\r\n"),
            json!("1970-01-01T00:00:00Z")
        );
        assert_eq!(value("header:Date:asDate", "Date: soon\r\n\r\n"), Value::Null);
        let list = "List-Post: (use <no> this) <mailto:a@x>, <http://x/\r\n y> (or that)\r\n\r\n";
        assert_eq!(value("header:List-Post:asURLs", list), json!(["mailto:a@x", "http://x/y"]));
        assert_eq!(value("header:List-Post:asURLs", "List-Post: NO\r\n\r\n"), Value::Null);
        assert_eq!(value("header:X", "X: a\u{0}b\r\n\r\n"), json!(" ab"));
    }
}
