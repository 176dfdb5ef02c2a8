//! Values of header properties as fields of a message (RFC 8621 §4.6): encoded, folded, and never with a line end that is not a
//! fold, whatever a client sends.

use mail_format::date::days_of;
use mail_format::{Item, address_list, encode_words, format_date};
use serde_json::Value;

use super::headers::{Field, Form};

/// Characters of a line, as far as there are blanks to fold at (RFC 5322 §2.1.1).
const LINE_MAX: usize = 76;
/// Bytes of a field.
const FIELD_BYTES_MAX: usize = 256 * 1024;

/// A field as it stands in a message: `Name: value`, folded, without the last line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub name: String,
    pub value: String,
}

impl Line {
    /// What is written; the value has no line ends yet but folds before a blank.
    pub fn write(&self) -> String {
        format!("{}\r\n", folded(&self.name, &self.value))
    }
}

/// The fields that a property makes; several with `:all`. Nothing when the value cannot be one.
pub fn lines(field: &Field, value: &Value) -> Option<Vec<Line>> {
    let values: Vec<&Value> = match field.all {
        true => value.as_array()?.iter().collect(),
        false => vec![value],
    };
    let one = |value: &Value| {
        let text = text_of(field.form, value)?;
        let is_safe = text.len() <= FIELD_BYTES_MAX && !text.contains(['\r', '\n', '\0']);
        is_safe.then(|| Line { name: field.name.clone(), value: text })
    };
    values.into_iter().map(one).collect()
}

/// The value on one line.
fn text_of(form: Form, value: &Value) -> Option<String> {
    match form {
        Form::Raw => unfolded(value.as_str()?).map(|text| text.trim().to_owned()),
        Form::Text => Some(on_one_line(&encode_words(value.as_str()?.trim()))),
        Form::Addresses => addresses(value),
        Form::GroupedAddresses => groups(value),
        Form::MessageIds => {
            let ids = value.as_array()?.iter().map(|id| message_id(id.as_str()?));
            Some(ids.collect::<Option<Vec<_>>>()?.join(" ")).filter(|ids| !ids.is_empty())
        }
        Form::Date => date(value.as_str()?),
        Form::Urls => {
            let urls = value.as_array()?.iter().map(|url| bracketed(url.as_str()?));
            Some(urls.collect::<Option<Vec<_>>>()?.join(", ")).filter(|urls| !urls.is_empty())
        }
    }
}

/// Without folds; nothing when there are other line ends.
fn unfolded(text: &str) -> Option<String> {
    let text = text.replace("\r\n ", " ").replace("\r\n\t", "\t");
    (!text.contains(|c: char| c.is_control() && c != '\t')).then_some(text)
}

/// Encoded words come folded.
fn on_one_line(text: &str) -> String {
    text.replace("\r\n ", " ")
}

fn addresses(value: &Value) -> Option<String> {
    let all = value.as_array()?.iter().map(address).collect::<Option<Vec<_>>>()?;
    Some(all.join(", "))
}

fn groups(value: &Value) -> Option<String> {
    let mut pieces = Vec::new();
    for group in value.as_array()? {
        let list = addresses(group.get("addresses")?)?;
        match group.get("name").filter(|name| !name.is_null()) {
            Some(name) if list.is_empty() => pieces.push(format!("{}:;", phrase(name.as_str()?))),
            Some(name) => pieces.push(format!("{}: {list};", phrase(name.as_str()?))),
            None => pieces.push(list),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    Some(pieces.join(", "))
}

/// `name <address>`. An address may be unfinished, in a draft, but not more or less than one.
fn address(value: &Value) -> Option<String> {
    let email = value.get("email")?.as_str()?.trim();
    let name = match value.get("name") {
        None | Some(Value::Null) => None,
        Some(name) => Some(name.as_str()?.trim()).filter(|name| !name.is_empty()),
    };
    if email.chars().any(char::is_control) {
        return None;
    }
    let written = match name {
        Some(name) => format!("{} <{email}>", phrase(name)),
        None => email.to_owned(),
    };
    let is_one = match address_list(written.as_bytes()).as_slice() {
        [Item::Mailbox { local, domain, .. }] => {
            let found = [local.as_slice(), domain.as_slice()].concat();
            let plain = |text: &[u8]| -> Vec<u8> {
                text.iter().copied().filter(|byte| !matches!(byte, b'"' | b'\\' | b'@')).collect()
            };
            plain(&found) == plain(email.as_bytes())
        }
        [] => email.is_empty() && name.is_none(),
        _ => false,
    };
    is_one.then_some(written)
}

/// A display name: as it is, in quotes, or in encoded words.
fn phrase(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if !name.is_ascii() || name.contains("=?") {
        return on_one_line(&encode_words(&name));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~ ".contains(c);
    if name.chars().all(is_plain) && !name.starts_with(' ') && !name.ends_with(' ') && !name.is_empty() {
        return name;
    }
    quoted(&name)
}

/// A quoted-string (RFC 5322 §3.2.4).
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

fn message_id(id: &str) -> Option<String> {
    let found: Vec<Vec<u8>> = mail_format::message_ids(format!("<{id}>").as_bytes()).collect();
    let is_one =
        found.len() == 1 && !id.contains(|c: char| c.is_control() || c.is_whitespace() || "<>".contains(c));
    is_one.then(|| format!("<{id}>"))
}

fn bracketed(url: &str) -> Option<String> {
    let is_url =
        !url.is_empty() && !url.contains(|c: char| c.is_control() || c.is_whitespace() || "<>".contains(c));
    is_url.then(|| format!("<{url}>"))
}

/// A `Date` (RFC 8620 §1.4) as RFC 5322 has it.
fn date(text: &str) -> Option<String> {
    let (second, zone) = date_and_zone(text)?;
    Some(format_date(second, zone))
}

/// Seconds since 1970, and the zone's seconds east of Greenwich, of RFC 3339's form.
pub fn date_and_zone(text: &str) -> Option<(i64, i32)> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")];
    if marks.iter().any(|(at, mark)| text.get(*at..at + 1) != Some(mark)) {
        return None;
    }
    let days = days_of(number(0..4)?, number(5..7)?, number(8..10)?)?;
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let rest = text.get(19..)?;
    let rest =
        rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let zone = match rest {
        "Z" => 0,
        zone => {
            let sign = match zone.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let part = |text: &str| (text.len() == 2).then(|| text.parse::<u8>().ok())?;
            sign * (i32::from(part(hours).filter(|hours| *hours < 24)?) * 3600
                + i32::from(part(minutes).filter(|minutes| *minutes < 60)?) * 60)
        }
    };
    (hour < 24 && minute < 60 && second <= 60)
        .then_some((days * 86_400 + hour * 3600 + minute * 60 + second - i64::from(zone), zone))
}

/// Folded at blanks, before a line gets too long. A blank in quotes may be folded at, too: unfolding gives it back.
fn folded(name: &str, value: &str) -> String {
    let is_blank = |c: char| matches!(c, ' ' | '\t');
    let mut out = format!("{name}:");
    let (mut length, mut rest, mut blank) = (out.len(), value.trim_matches(is_blank), " ");
    while !rest.is_empty() {
        let end = rest.find(is_blank).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let width = blank.len() + word.chars().count();
        if length + width > LINE_MAX && out.len() > name.len() + 1 {
            out.push_str("\r\n");
            length = 0;
        }
        out.push_str(blank);
        out.push_str(word);
        length += width;
        rest = behind.trim_start_matches(is_blank);
        blank = &behind[..behind.len() - rest.len()];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn written(property: &str, value: &Value) -> Option<String> {
        let field = Field::convenience(property).or_else(|| Field::parse(property)).unwrap();
        Some(lines(&field, value)?.iter().map(Line::write).collect())
    }

    #[test]
    fn values_become_fields() {
        for (property, value, line) in [
            ("subject", json!("Hello"), "Subject: Hello\r\n"),
            ("subject", json!("a\r\nBcc: x@y"), "Subject: =?utf-8?B?YSAgQmNjOiB4QHk=?=\r\n"),
            (
                "from",
                json!([{ "name": "Joe Q. \"X\"", "email": "joe@x.y" }]),
                "From: \"Joe Q. \\\"X\\\"\" <joe@x.y>\r\n",
            ),
            (
                "to",
                json!([{ "name": null, "email": "a@b" }, { "email": "c@d", "name": "Ü" }]),
                "To: a@b, =?utf-8?B?w5w=?= <c@d>\r\n",
            ),
            ("to", json!([{ "email": "unfinished" }]), "To: unfinished\r\n"),
            ("messageId", json!(["a@b", "c@d"]), "Message-ID: <a@b> <c@d>\r\n"),
            ("sentAt", json!("2014-10-30T14:12:00+08:00"), "Date: Thu, 30 Oct 2014 14:12:00 +0800\r\n"),
            ("header:List-Post:asURLs", json!(["mailto:a@b"]), "List-Post: <mailto:a@b>\r\n"),
            ("header:X-A:all", json!(["1", " 2"]), "X-A: 1\r\nX-A: 2\r\n"),
            ("header:X-A", json!(" a\r\n b"), "X-A: a b\r\n"),
            (
                "header:To:asGroupedAddresses",
                json!([{ "name": "G", "addresses": [{ "email": "a@b" }] }, { "name": null, "addresses": [{ "email": "c@d" }] }]),
                "To: G: a@b;, c@d\r\n",
            ),
        ] {
            assert_eq!(written(property, &value).as_deref(), Some(line), "{property}");
        }
    }

    #[test]
    fn what_would_be_another_field_or_address_is_refused() {
        for (property, value) in [
            ("header:X-A", json!("a\r\nBcc: x@y")),
            ("header:X-A", json!("a\nb")),
            ("header:X-A", json!("a\rb")),
            ("header:X-A", json!("a\u{0}b")),
            ("header:X-A", json!("a\r\n\r\n b")),
            ("to", json!([{ "email": "a@b, c@d" }])),
            ("to", json!([{ "email": "a@b> <c@d" }])),
            ("to", json!([{ "email": "a@b\r\nX: y" }])),
            ("to", json!([{ "name": "n", "email": "g:a@b;" }])),
            ("to", json!([{ "name": "n" }])),
            ("to", json!("a@b")),
            ("messageId", json!(["a@b> <c@d"])),
            ("messageId", json!(["a b@c"])),
            ("messageId", json!([])),
            ("sentAt", json!("yesterday")),
            ("sentAt", json!("2014-10-30T14:12:00")),
            ("header:List-Post:asURLs", json!(["mailto:a@b>, <x"])),
        ] {
            assert_eq!(written(property, &value), None, "{property} {value}");
        }
    }

    proptest! {
        #[test]
        fn texts_come_back_and_lines_are_short(text in "(\\PC|\r|\n|\t|[a-z]{1,12} ){0,80}") {
            let line = written("subject", &json!(text)).unwrap();
            prop_assert!(line.ends_with("\r\n"));
            for (place, one) in line.trim_end_matches("\r\n").split("\r\n").enumerate() {
                prop_assert!(one.len() <= 998 && !one.contains(['\r', '\n']));
                prop_assert!(place == 0 || one.starts_with([' ', '\t']));
                prop_assert!(!one.trim().is_empty());
            }
            let back = crate::email::headers::text(&line.as_bytes()[8..]);
            let words = |text: &str| text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).map(str::to_owned).collect::<String>();
            let nfc = icu_normalizer::ComposingNormalizerBorrowed::new_nfc().normalize(&text).into_owned();
            prop_assert_eq!(words(&back), words(&nfc));
        }

        #[test]
        fn names_of_addresses_come_back(name in "(\\PC|\r|\n|[\"\\\\<>,;:@()]){0,60}") {
            let line = written("to", &json!([{ "name": name, "email": "a@b.c" }, { "email": "d@e.f" }]));
            prop_assume!(line.is_some());
            let line = line.unwrap();
            let back = crate::email::addresses::addresses(&line.as_bytes()[3..]);
            prop_assert_eq!(back.len(), 2, "{}", line);
            prop_assert_eq!(&back[0].email, "a@b.c");
            prop_assert_eq!(&back[1].email, "d@e.f");
        }

        #[test]
        fn no_value_makes_a_second_field(text in "(\\PC|\r|\n|\t|: |\r\n |\r\nX: y){0,30}") {
            for property in ["subject", "header:X-A", "header:X-A:asText", "header:X-A:asMessageIds", "header:X-A:asURLs"] {
                let value = if property.ends_with("s") && property != "subject" { json!([text]) } else { json!(text) };
                if let Some(line) = written(property, &value) {
                    let message = format!("{line}\r\nbody");
                    prop_assert_eq!(mail_format::header_fields(message.as_bytes()).count(), 1, "{:?}", line);
                    prop_assert_eq!(mail_format::header::header_length(message.as_bytes()), message.len() - 4);
                }
            }
        }
    }
}
