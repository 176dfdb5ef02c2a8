//! What is shown of a message in a frame of its own: its body, and the parts that its HTML refers to by Content-Id.

use mail_format::{decode_words, header_field};

use super::bodies::Bodies;
use super::body_part::BodyPart;
use super::content::BodyValue;
use super::headers;
use super::message;
use crate::ids::{self, BlobId};
use crate::{Jmap, Problem, Who};

/// Bytes of a text that are shown.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The texts of a message, decoded; several parts of one kind are one text.
#[derive(Debug, Default)]
pub struct MessageParts {
    pub subject: String,
    /// What is shown as HTML: HTML as it came, which is not to be trusted, and plain texts between.
    pub html: Vec<ShownText>,
    /// What is shown as plain text.
    pub text: Vec<ShownText>,
    /// Not all is there.
    pub is_truncated: bool,
    pub inline: Vec<InlinePart>,
}

/// A text part.
#[derive(Debug)]
pub struct ShownText {
    pub value: String,
    pub is_html: bool,
}

/// A part with a Content-Id or a Content-Location.
#[derive(Debug)]
pub struct InlinePart {
    pub cid: String,
    pub blob_id: String,
    /// As the message says it, in lower case.
    pub media_type: String,
    pub name: Option<String>,
}

/// # Errors
/// `404`; the store's.
pub fn of(jmap: &Jmap, who: &Who, email: &str) -> Result<MessageParts, Problem> {
    let internal = |error: crate::error::MethodError| Problem::internal(&error.to_string());
    let guid = ids::email_of(email).ok_or_else(Problem::not_found)?;
    let account = jmap.accounts.of(jmap, who).map_err(internal)?;
    let copies = {
        let account = account.read();
        let (_, email) = account.email_of(&guid).ok_or_else(Problem::not_found)?;
        message::Copies::of(&account, email)
    };
    let message = copies.open().map_err(internal)?.ok_or_else(Problem::not_found)?;
    let tree = BodyPart::tree(&message);
    let bodies = Bodies::of(&tree);
    let mut parts = MessageParts {
        subject: header_field(message.header(), "Subject")
            .map_or_else(String::new, |value| headers::decoded(decode_words(value).trim())),
        ..MessageParts::default()
    };
    let mut truncated = false;
    let mut shown = |list: &[&BodyPart]| -> Vec<ShownText> {
        let texts = list.iter().filter(|part| part.is_text());
        texts
            .map(|part| {
                let value = BodyValue::of(&message, part, TEXT_BYTES_MAX);
                truncated |= value.is_truncated;
                ShownText { value: value.value, is_html: part.media_type == "text/html" }
            })
            .collect()
    };
    (parts.html, parts.text) = (shown(&bodies.html), shown(&bodies.text));
    parts.is_truncated = truncated;
    tree.walk(&mut |part| {
        if let Some(cid) = part.cid.as_ref().filter(|_| !part.is_multipart()) {
            parts.inline.push(InlinePart {
                cid: cid.clone(),
                blob_id: BlobId::Part(guid, part.place as u32).to_string(),
                media_type: part.media_type.clone(),
                name: part.name.clone(),
            });
        }
    });
    Ok(parts)
}
