//! VacationResponse/get and /set (RFC 8621 §8): `mailAutoReplyMode`, `mailAutoReplyText`, `vacationStartDate`, `vacationEndDate`,
//! which autoreply-handler goes by.
//!
//! The text is written with the user's language as its subtype (`mailAutoReplyText;lang-ja`, S126), so that the answer is in the
//! charset of that language. The property `texts` (ours) has all of them by language, `""` for the one without.

use directory::preferences::{self, VACATION_SUBJECT};
use directory::{Edit, Entry, change, lines};
use serde_json::{Map, Value, json};

use super::standard::{self, Objects, SINGLETON, Wanted};
use crate::arguments::Arguments;
use crate::error::Result;
use crate::personal::{self, second_of, utc};
use crate::request::Call;
use crate::set_error::SetError;

const PROPERTIES: [&str; 7] = ["isEnabled", "fromDate", "toDate", "subject", "textBody", "htmlBody", "texts"];
const TEXT: &str = "mailautoreplytext";
const TEXT_BYTES_MAX: usize = 16 * 1024;
const SUBJECT_BYTES_MAX: usize = 400;
const TEXTS_MAX: usize = 32;

fn language(entry: &Entry) -> String {
    entry.language.as_deref().and_then(change::language).unwrap_or_default()
}

fn objects(entry: &Entry) -> Objects {
    let first = |name: &str| entry.attributes.get(name).and_then(|values| values.first());
    let date = |name: &str| first(name).and_then(|value| date_of(value, name == "vacationenddate"));
    let texts = texts(entry);
    let own = texts.get(&language(entry)).or_else(|| texts.get("")).or_else(|| texts.values().next());
    let object = json!({
        "isEnabled": first("mailautoreplymode").is_some(),
        "fromDate": date("vacationstartdate").map(utc),
        "toDate": date("vacationenddate").map(utc),
        "subject": preferences::value(entry, VACATION_SUBJECT),
        "textBody": own,
        "htmlBody": null,
        "texts": texts,
    });
    standard::singleton(if let Value::Object(map) = object { map } else { Map::new() })
}

/// The texts by language.
fn texts(entry: &Entry) -> Map<String, Value> {
    let mut texts = Map::new();
    for (name, values) in &entry.attributes {
        let Some(options) = name.strip_prefix(TEXT) else { continue };
        let tag = if options.is_empty() { Some("") } else { options.strip_prefix(";lang-") };
        if let (Some(tag), Some(value)) = (tag, values.first()) {
            texts.insert(tag.to_owned(), json!(lines::read(value)));
        }
    }
    texts
}

/// Generalized time (RFC 4517 §3.3.13) in UTC, or a day: what this writes, and the common form of others. The end of a day is
/// the beginning of the next, as autoreply-handler has it.
fn date_of(value: &str, is_end: bool) -> Option<i64> {
    let value = value.trim();
    let (digits, rest) = value.split_at(value.bytes().take_while(u8::is_ascii_digit).count());
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or("00");
    if !matches!(digits.len(), 8 | 10 | 12 | 14) || !(rest.is_empty() || rest == "Z") {
        return None;
    }
    let (day, time) =
        (format!("{}-{}-{}", part(0, 4), part(4, 6), part(6, 8)), (part(8, 10), part(10, 12), part(12, 14)));
    let text = format!("{day}T{}:{}:{}", time.0, time.1, time.2);
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let zone = if rest == "Z" { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::system() };
    let second = zone.to_timestamp(civil).ok()?.as_second();
    Some(if is_end && digits.len() == 8 { second + 86_400 } else { second })
}

/// The same written.
fn generalized(second: i64) -> String {
    utc(second).chars().filter(|c| c.is_ascii_digit()).collect::<String>() + "Z"
}

pub fn get(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let objects = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    standard::get(call, arguments, &objects, &standard::state_of(&objects), Some(&PROPERTIES))
}

pub fn set(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let entry = personal::entry(call.jmap.directory.as_ref(), call.who)?;
    let before = objects(&entry);
    let wanted = Wanted::read(call, arguments, &standard::state_of(&before))?;
    let (patch, mut done) = wanted.of_singleton();
    if let Some(patch) = patch {
        match update(call, &entry, &before[SINGLETON], patch) {
            Ok(()) => drop(done.updated.insert(SINGLETON.into(), Value::Null)),
            Err(why) => drop(done.not_updated.insert(SINGLETON.into(), why.0)),
        }
    }
    let after = objects(&*personal::entry(call.jmap.directory.as_ref(), call.who)?);
    Ok(wanted.answer(done, &standard::state_of(&after)))
}

/// All attributes in one modification: no answer goes out in a mixture of the old and the new.
fn update(
    call: &Call<'_>,
    entry: &Entry,
    before: &Map<String, Value>,
    patch: &Value,
) -> std::result::Result<(), SetError> {
    let after = standard::patched(before, patch)?;
    if let Some(name) = after.keys().find(|name| !PROPERTIES.contains(&name.as_str())) {
        return Err(SetError::properties(&[name], "There is no such property"));
    }
    if after.get("htmlBody").is_some_and(|html| !html.is_null()) {
        return Err(SetError::properties(&["htmlBody"], "Automatic answers are plain text; set textBody"));
    }
    let subject = standard::text(&after, "subject", SUBJECT_BYTES_MAX)?;
    if subject.chars().any(char::is_control) {
        return Err(SetError::properties(&["subject"], "It is more than one line"));
    }
    let mut edits = Vec::new();
    let changed = |name: &str| before.get(name) != after.get(name);
    if changed("isEnabled") {
        let mode = standard::flag(&after, "isEnabled")?.then(|| "vacation".to_owned());
        edits.push(Edit::replace("mailAutoReplyMode", mode.into_iter().collect()));
    }
    let (from, to) = (date(&after, "fromDate")?, date(&after, "toDate")?);
    if let (Some(from), Some(to)) = (from, to) {
        if to <= from {
            return Err(SetError::properties(&["toDate"], "It ends before it begins"));
        }
    }
    for (name, attribute, second) in
        [("fromDate", "vacationStartDate", from), ("toDate", "vacationEndDate", to)]
    {
        if changed(name) {
            edits.push(Edit::replace(attribute, second.map(generalized).into_iter().collect()));
        }
    }
    if changed("texts") {
        edits.extend(text_edits(before, &after)?);
    }
    if changed("textBody") {
        let text = standard::text(&after, "textBody", TEXT_BYTES_MAX)?;
        edits.push(text_edit(&language(entry), &text));
    }
    let directory = call.jmap.directory.as_ref();
    if !edits.is_empty() {
        preferences::changing(directory, &call.who.uid, |_| Ok(edits.clone()))?;
    }
    if changed("subject") {
        let subject = (!subject.trim().is_empty()).then_some(subject.as_str());
        preferences::set(directory, &call.who.uid, VACATION_SUBJECT, None, subject)?;
    }
    let is_on = after.get("isEnabled") == Some(&Value::Bool(true));
    call.audit(server_log::Action::Vacation, &[("result", if is_on { "on" } else { "off" })]);
    Ok(())
}

fn date(after: &Map<String, Value>, name: &str) -> std::result::Result<Option<i64>, SetError> {
    let text = standard::text(after, name, 40)?;
    if text.is_empty() {
        return Ok(None);
    }
    second_of(&text).map(Some).ok_or_else(|| SetError::properties(&[name], "It is no UTCDate"))
}

fn text_edit(tag: &str, text: &str) -> Edit {
    let attribute =
        if tag.is_empty() { "mailAutoReplyText".to_owned() } else { format!("mailAutoReplyText;lang-{tag}") };
    let value = lines::written(text);
    Edit::replace(attribute, if value.trim().is_empty() { Vec::new() } else { vec![value] })
}

/// What makes the texts of the directory those of the object.
fn text_edits(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> std::result::Result<Vec<Edit>, SetError> {
    let wrong = |why: &str| SetError::properties(&["texts"], why);
    let none = Map::new();
    let had = before.get("texts").and_then(Value::as_object).unwrap_or(&none);
    let new = match after.get("texts") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(map)) if map.len() <= TEXTS_MAX => map,
        Some(_) => return Err(wrong("It is no map of texts by language")),
    };
    let gone = had.keys().filter(|tag| !new.contains_key(*tag)).map(|tag| text_edit(tag, ""));
    let mut edits: Vec<Edit> = gone.collect();
    for (tag, text) in new.iter().filter(|(tag, text)| had.get(*tag) != Some(text)) {
        if !tag.is_empty() && change::language(tag).is_none_or(|plain| plain != *tag) {
            return Err(wrong("A language is no tag in lower case"));
        }
        let text = text.as_str().filter(|text| text.len() <= TEXT_BYTES_MAX);
        edits.push(text_edit(tag, text.ok_or_else(|| wrong("A text is none, or too long"))?));
    }
    Ok(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_they_are_read() {
        assert_eq!(generalized(1_772_272_800), "20260228100000Z");
        assert_eq!(date_of("20260228100000Z", true), Some(1_772_272_800));
        assert_eq!(date_of("202602281000Z", false), Some(1_772_272_800));
        let day = date_of("20260228", false).unwrap();
        assert_eq!(date_of("20260228", true), Some(day + 86_400));
        for wrong in ["", "soon", "20260230100000Z", "2026022810000Z", "20260228100000+0100"] {
            assert_eq!(date_of(wrong, false), None, "{wrong}");
        }
    }
}
