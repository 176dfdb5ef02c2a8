//! What is shown of a message in a frame of its own: its body, and the parts that its HTML refers to by Content-Id.

use std::sync::Arc;

use mail_format::{decode_words, header_field, header_fields};

use super::bodies::Bodies;
use super::body_part::BodyPart;
use super::content::BodyValue;
use super::headers;
use super::message::{self, Message};
use crate::blob::Work;
use crate::error::Result as Result_;
use crate::ids::{self, BlobId};
use crate::shares::Scope;
use crate::{Jmap, Problem, limits};

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
    /// Of a plain text whose lines flow (RFC 3676 §4): whether the blanks at their ends go.
    pub flowed: Option<bool>,
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

/// Of an email; or, by its blob, of a message that is a part of one.
///
/// # Errors
/// `404`; the store's.
pub fn of(jmap: &Jmap, scope: Scope<'_>, id: &str) -> Result<MessageParts, Problem> {
    let found = match ids::email_of(id) {
        Some(guid) => whole(jmap, scope, &guid)
            .map(|found| found.map(|message| (BlobId::Message(guid), Arc::new(message)))),
        None => inside(jmap, scope, id),
    };
    let internal = |error: crate::error::MethodError| Problem::internal(&error.to_string());
    let (blob, message) = found.map_err(internal)?.ok_or_else(Problem::not_found)?;
    let parts = shown(blob, &message);
    message.verify().map_err(|why| Problem::internal(&why.to_string()))?;
    Ok(parts)
}

fn whole(jmap: &Jmap, scope: Scope<'_>, guid: &[u8; 16]) -> Result_<Option<Message>> {
    let account = jmap.accounts.of(jmap, scope)?;
    let copies = {
        let account = account.read();
        let Some((_, email)) = account.email_of(guid) else { return Ok(None) };
        message::Copies::of(&account, email)
    };
    Ok(copies.open()?)
}

/// A part that stands in its message as one (`message/rfc822`).
fn inside(jmap: &Jmap, scope: Scope<'_>, id: &str) -> Result_<Option<(BlobId, Arc<Message>)>> {
    let Some(blob) = BlobId::parse(id).filter(|blob| blob.outer().is_some()) else { return Ok(None) };
    let mut work = Work::default();
    if !work.is_message(jmap, scope, blob)? {
        return Ok(None);
    }
    let message = work.message(jmap, scope, id, limits::MAX_SIZE_MESSAGE)?;
    let message = message.filter(|message| header_fields(message.header()).next().is_some());
    Ok(message.map(|message| (blob, message)))
}

fn shown(blob: BlobId, message: &Message) -> MessageParts {
    let tree = BodyPart::tree(message);
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
                let value = BodyValue::of(message, part, TEXT_BYTES_MAX);
                truncated |= value.is_truncated;
                let is_html = part.media_type == "text/html";
                ShownText { value: value.value, is_html, flowed: part.flowed }
            })
            .collect()
    };
    (parts.html, parts.text) = (shown(&bodies.html), shown(&bodies.text));
    parts.is_truncated = truncated;
    tree.walk(&mut |part| {
        if let Some(cid) = part.cid.as_ref().filter(|_| !part.is_multipart()) {
            parts.inline.push(InlinePart {
                cid: cid.clone(),
                blob_id: blob.part(part.place as u32).to_string(),
                media_type: part.media_type.clone(),
                name: part.name.clone(),
            });
        }
    });
    parts
}
