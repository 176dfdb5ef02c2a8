//! What is attached to a message, all of it, to be given away in one archive.

use std::io::Read;

use mail_format::{date, header_field};

use super::bodies::Bodies;
use super::body_part::BodyPart;
use crate::blob::{Piece, Work};
use crate::error::Result;
use crate::ids::BlobId;
use crate::shares::Scope;
use crate::{Jmap, limits};

/// A file that came with a message.
pub struct Attachment {
    /// As the message says it: not to be trusted.
    pub name: Option<String>,
    /// As the message says it, in lower case.
    pub media_type: String,
    /// Bytes, decoded.
    pub size: u64,
    piece: Piece,
}

impl Attachment {
    /// Its bytes, from the first one on, as often as it is called.
    pub fn reader(&self) -> Box<dyn Read + Send> {
        self.piece.reader()
    }
}

/// The files of one message.
pub struct Attachments {
    /// In the order of the message; without images that its text shows.
    pub files: Vec<Attachment>,
    /// Seconds since 1970, of the message's Date field.
    pub date: Option<i64>,
}

/// Of the message of a blob, or of one that is attached to it. Nothing when there is none, or it is no message.
///
/// # Errors
/// The store's; `requestTooLarge`.
pub fn of(jmap: &Jmap, scope: Scope<'_>, id: &str) -> Result<Option<Attachments>> {
    let Some(blob) = BlobId::parse(id) else { return Ok(None) };
    let mut work = Work::default();
    if !work.is_message(jmap, scope, blob)? {
        return Ok(None);
    }
    let Some(message) = work.message(jmap, scope, id, limits::MAX_SIZE_MESSAGE)? else { return Ok(None) };
    let tree = BodyPart::tree(&message);
    let mut files = Vec::new();
    for part in Bodies::of(&tree).attachments.iter().filter(|part| !is_shown(part)) {
        let Some(piece) = work.piece(jmap, scope, blob.part(part.place as u32))? else { continue };
        let (name, media_type) = (part.name.clone(), part.media_type.clone());
        files.push(Attachment { name, media_type, size: piece.size, piece });
    }
    Ok(Some(Attachments { files, date: header_field(message.header(), "Date").and_then(date) }))
}

/// An image that the text refers to is no file to the reader.
fn is_shown(part: &BodyPart) -> bool {
    let is_apart = part.disposition.as_deref() == Some("attachment");
    part.cid.is_some() && !is_apart && part.media_type.starts_with("image/")
}
