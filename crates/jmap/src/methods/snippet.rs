//! SearchSnippet/get (RFC 8621 §5): where in an email the texts of a filter are.

use mail_format::preview::text_of_html;
use mail_format::{decode_words, header_field};
use message_store::search::Within;
use serde_json::{Value, json};

use super::email::get::required_ids;
use crate::arguments::Arguments;
use crate::email::bodies::Bodies;
use crate::email::body_part::BodyPart;
use crate::email::content::BodyValue;
use crate::email::{filter, headers, message};
use crate::error::Result;
use crate::ids;
use crate::request::Call;

/// Bytes of a snippet of the body (RFC 8621 §5).
const PREVIEW_BYTES_MAX: usize = 255;
/// Bytes of a text that are looked through.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Characters in front of the first match.
const BEFORE: usize = 40;

pub fn get(call: &mut Call<'_>, arguments: &mut Arguments) -> Result<Value> {
    let account_id = call.mail_account(arguments)?;
    let filter = arguments.take("filter");
    let asked = required_ids(arguments, "emailIds")?;
    let account = call.account()?;
    let needles = filter::read(&account.read(), filter)?.needles;
    let of = |wanted: &dyn Fn(&Within) -> bool| -> Vec<String> {
        needles.iter().filter(|needle| wanted(&needle.within)).map(|needle| needle.text.clone()).collect()
    };
    let in_subject = of(&|within| match within {
        Within::Field(name) => name == "subject",
        Within::Message => true,
        Within::Body => false,
    });
    let in_body = of(&|within| matches!(within, Within::Message | Within::Body));
    let (mut list, mut not_found) = (Vec::new(), Vec::new());
    for id in asked {
        let copies = {
            let account = account.read();
            let email = ids::email_of(&id).and_then(|guid| account.email_of(&guid));
            email.map(|(_, email)| message::Copies::of(&account, email))
        };
        let found = match copies.map(|copies| snippets(&copies, &in_subject, &in_body)) {
            // What cannot be determined is null.
            Some(Err(error)) if error.may_be_of_a_message() => Some((None, None)),
            found => found.transpose()?.flatten(),
        };
        let Some((subject, preview)) = found else {
            not_found.push(id);
            continue;
        };
        call.spend(400 + subject.as_ref().map_or(0, String::len))?;
        list.push(json!({ "emailId": id, "subject": subject, "preview": preview }));
    }
    let not_found = if not_found.is_empty() { Value::Null } else { json!(not_found) };
    Ok(json!({ "accountId": account_id, "list": list, "notFound": not_found }))
}

/// Where the texts are in the subject and in the body of an email; nothing when it is gone.
fn snippets(
    copies: &message::Copies,
    in_subject: &[String],
    in_body: &[String],
) -> message_store::Result<Option<(Option<String>, Option<String>)>> {
    let Some(message) = copies.open()? else { return Ok(None) };
    let subject = header_field(message.header(), "Subject")
        .map(|value| headers::decoded(decode_words(value).trim()))
        .and_then(|subject| marked(&subject, in_subject, usize::MAX));
    let preview = if in_body.is_empty() { None } else { body_snippet(&message, in_body) };
    message.verify()?;
    Ok(Some((subject, preview)))
}

fn body_snippet(message: &message::Message, texts: &[String]) -> Option<String> {
    let tree = BodyPart::tree(message);
    let bodies = Bodies::of(&tree);
    bodies.text.iter().filter(|part| part.is_text()).find_map(|part| {
        let value = BodyValue::of(message, part, TEXT_BYTES_MAX).value;
        let plain = if part.media_type == "text/html" { text_of_html(&value, true) } else { value };
        marked(&plain.split_whitespace().collect::<Vec<_>>().join(" "), texts, PREVIEW_BYTES_MAX)
    })
}

/// The text with what matches in `<mark>`, as HTML; of a long text a piece around the first match. Nothing when nothing matches.
fn marked(text: &str, needles: &[String], bytes_max: usize) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    // Folded, and for each of its bytes which character it comes from.
    let (mut folded, mut origin) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
    for (place, c) in chars.iter().enumerate() {
        let one = mail_format::fold(c.encode_utf8(&mut [0; 4]));
        origin.extend(std::iter::repeat_n(place, one.len()));
        folded.push_str(&one);
    }
    let mut is_marked = vec![false; chars.len()];
    for needle in needles.iter().filter(|needle| !needle.is_empty()) {
        for (at, found) in folded.match_indices(needle.as_str()) {
            let (first, last) = (*origin.get(at)?, *origin.get(at + found.len() - 1)?);
            is_marked[first..=last].iter_mut().for_each(|is| *is = true);
        }
    }
    let first = is_marked.iter().position(|is| *is)?;
    let start = if bytes_max == usize::MAX { 0 } else { first.saturating_sub(BEFORE) };
    let mut out = String::new();
    let mut is_open = false;
    for place in start..chars.len() {
        let mut piece = String::new();
        if is_marked[place] != is_open {
            piece.push_str(if is_open { "</mark>" } else { "<mark>" });
        }
        match chars[place] {
            '&' => piece.push_str("&amp;"),
            '<' => piece.push_str("&lt;"),
            '>' => piece.push_str("&gt;"),
            c => piece.push(c),
        }
        let closing = if is_marked[place] { "</mark>".len() } else { 0 };
        if out.len() + piece.len() + closing > bytes_max {
            break;
        }
        is_open = is_marked[place];
        out.push_str(&piece);
    }
    if is_open {
        out.push_str("</mark>");
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matches_are_marked_and_all_else_is_escaped() {
        let mark = |text: &str, needles: &[&str]| {
            marked(
                text,
                &needles.iter().map(|needle| mail_format::fold(needle)).collect::<Vec<_>>(),
                usize::MAX,
            )
        };
        assert_eq!(
            mark("The <Big> Reveal", &["big", "rev"]).as_deref(),
            Some("The &lt;<mark>Big</mark>&gt; <mark>Rev</mark>eal")
        );
        assert_eq!(mark("GRÜSSE & more", &["grü"]).as_deref(), Some("<mark>GRÜ</mark>SSE &amp; more"));
        assert_eq!(mark("İstanbul", &["stan"]).as_deref(), Some("İ<mark>stan</mark>bul"));
        assert_eq!(mark("nothing", &["x"]), None);
        assert_eq!(mark("a", &[]), None);
    }

    proptest! {
        #[test]
        fn a_snippet_is_short_and_whole(text in "[a<&ü ]{0,600}", needle in "[a<&ü]{1,3}") {
            if let Some(snippet) = marked(&text, &[needle], PREVIEW_BYTES_MAX) {
                prop_assert!(snippet.len() <= PREVIEW_BYTES_MAX);
                prop_assert_eq!(snippet.matches("<mark>").count(), snippet.matches("</mark>").count());
                prop_assert!(snippet.contains("<mark>"));
            }
        }
    }
}
