//! The texts of a message that a search looks at (RFC 9051 §6.4.4): the fields of its header, those of its parts, the bodies of
//! its text parts, and the headers of messages inside. Encoded words, transfer encodings and character sets are undone, and the texts are folded as they
//! are compared ([`crate::fold`], RFC 5255 §4.2).
//!
//! Who searches and who indexes walk along the same texts, so they cannot disagree. A walk goes step by step, at most
//! [`PIECE`] bytes each, and can be left in between: a message of any size costs little memory.

use std::io;

use crate::collation::fold;
use crate::structure::content_type;
use crate::{
    Item, PartKind, Structure, address_list, decode_text, decode_words, header_field, header_fields,
};

/// Piece of a part that is decoded at once.
pub const PIECE: u64 = 256 * 1024;
/// What is looked at of the header of a message.
pub const HEADER_BYTES_MAX: u64 = 1024 * 1024;
/// What is looked at of the header of a part.
const PART_HEADER_BYTES_MAX: u64 = 256 * 1024;

/// Fields whose addresses are searched for.
const ADDRESS_FIELDS: [&str; 4] = ["FROM", "TO", "CC", "BCC"];

/// One text, folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'t> {
    /// A field of the message's own header.
    Header { name: &'t str, value: &'t str },
    /// The addresses of the field before, as the envelope has them, where they are written otherwise there: FROM, TO, CC, BCC
    /// and TEXT look at them, too.
    Addresses { name: &'t str, value: &'t str },
    /// A field of the header of a part: TEXT looks at "MIME header fields", BODY does not.
    PartHeader { name: &'t str, value: &'t str },
    /// A field of the header of a message inside, which is body.
    InnerHeader { name: &'t str, value: &'t str },
    /// A piece of a text part. Pieces that are not the first go on where the one before ended.
    Body { piece: &'t str, is_first: bool },
}

/// Takes a text; whether it wants more.
pub type Take<'t> = dyn FnMut(Text<'_>) -> bool + 't;
/// The bytes of the message from one place to another.
pub type Read<'r> = dyn Fn(u64, u64) -> io::Result<Vec<u8>> + 'r;

/// A walk along the texts of one message.
pub struct Walk {
    stage: Stage,
    with_header: bool,
}

/// What comes next.
pub enum Stage {
    /// [`Walk::header`] is to be told.
    Header,
    /// [`Walk::structure`] is to be told.
    Structure,
    /// The header of the part of this place. They all come before the first body.
    PartHeader(Structure, usize),
    /// The part of this place, or the next behind it.
    Part(Structure, usize),
    /// The body of the part before this place.
    Body(Structure, usize, Body),
    Over,
}

/// A part under way.
pub struct Body {
    at: u64,
    end: u64,
    transfer: String,
    charset: String,
    is_first: bool,
}

impl Walk {
    /// `with_header`: along what TEXT looks at, not only BODY.
    pub fn new(with_header: bool) -> Walk {
        Walk { stage: if with_header { Stage::Header } else { Stage::Structure }, with_header }
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Nothing more is wanted, or to be had.
    pub fn stop(&mut self) {
        self.stage = Stage::Over;
    }

    /// The header of the message is this, at most [`HEADER_BYTES_MAX`] of it.
    pub fn header(&mut self, header: &[u8], take: &mut Take<'_>) {
        each_field(header, &mut |name, value, raw| {
            let goes_on = take(Text::Header { name, value });
            let differs = raw.iter().any(|byte| matches!(byte, b'\n' | b'\t' | b'(' | b'"' | b'\\'));
            match goes_on && differs && ADDRESS_FIELDS.contains(&name) {
                true => take(Text::Addresses { name, value: &fold(&addresses(raw)) }),
                false => goes_on,
            }
        });
        self.stage = Stage::Structure;
    }

    /// The parts of the message are these.
    pub fn structure(&mut self, structure: Structure) {
        self.stage = match self.with_header {
            true => Stage::PartHeader(structure, 1), // the first part's is the message's
            false => Stage::Part(structure, 0),
        };
    }

    /// Goes on to the next piece; the bytes read.
    ///
    /// # Errors
    /// The reader's.
    pub fn step(&mut self, read: &Read<'_>, take: &mut Take<'_>) -> io::Result<u64> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::PartHeader(structure, place) => self.part_header(structure, place, read, take),
            Stage::Part(structure, place) => self.part(structure, place, read, take),
            Stage::Body(structure, next, body) => self.body(structure, next, body, read, take),
            Stage::Header | Stage::Structure | Stage::Over => Ok(0),
        }
    }

    fn part_header(
        &mut self,
        structure: Structure,
        place: usize,
        read: &Read<'_>,
        take: &mut Take<'_>,
    ) -> io::Result<u64> {
        let Some(part) = structure.parts.get(place) else {
            self.stage = Stage::Part(structure, 0);
            return Ok(0);
        };
        let mut length = 0;
        if !is_message_inside(&structure, place) {
            let (start, end) = (u64::from(part.header_start), u64::from(part.body_start));
            let header = read(start, end.min(start.saturating_add(PART_HEADER_BYTES_MAX)))?;
            each_field(&header, &mut |name, value, _| take(Text::PartHeader { name, value }));
            length = header.len() as u64;
        }
        self.stage = Stage::PartHeader(structure, place.saturating_add(1));
        Ok(length)
    }

    /// The header of the next part that matters.
    fn part(
        &mut self,
        structure: Structure,
        from: usize,
        read: &Read<'_>,
        take: &mut Take<'_>,
    ) -> io::Result<u64> {
        let Some((place, is_message_inside)) = next_part(&structure, from) else { return Ok(0) };
        let part = &structure.parts[place];
        let (start, end) = (u64::from(part.header_start), u64::from(part.body_start));
        let header = read(start, end.min(start.saturating_add(PART_HEADER_BYTES_MAX)))?;
        if is_message_inside {
            each_field(&header, &mut |name, value, _| take(Text::InnerHeader { name, value }));
        }
        let content = content_type(&header, part.in_digest);
        let next = place.saturating_add(1);
        self.stage = if part.kind == PartKind::Leaf && content.is_kind("text") {
            let transfer = header_field(&header, "Content-Transfer-Encoding").unwrap_or_default();
            let charset = content.parameter("charset").unwrap_or(b"us-ascii");
            let body = Body {
                at: part.body_start.into(),
                end: part.body_end.into(),
                transfer: String::from_utf8_lossy(transfer).into_owned(),
                charset: String::from_utf8_lossy(charset).into_owned(),
                is_first: true,
            };
            Stage::Body(structure, next, body)
        } else {
            Stage::Part(structure, next)
        };
        Ok(header.len() as u64)
    }

    /// A piece of a body, which ends with a line.
    fn body(
        &mut self,
        structure: Structure,
        next: usize,
        mut body: Body,
        read: &Read<'_>,
        take: &mut Take<'_>,
    ) -> io::Result<u64> {
        let mut bytes = read(body.at, body.end.min(body.at.saturating_add(PIECE)))?;
        let end = body.at.saturating_add(bytes.len() as u64);
        if bytes.is_empty() {
            self.stage = Stage::Part(structure, next);
            return Ok(0);
        }
        if end < body.end {
            // Whole lines, or, without any, what base64 can be cut to.
            let whole = memchr::memrchr(b'\n', &bytes).map_or(bytes.len() / 4 * 4, |line_end| line_end + 1);
            bytes.truncate(whole);
        }
        let length = bytes.len() as u64;
        body.at = body.at.saturating_add(length);
        let piece = fold(&decode_text(&bytes, &body.transfer, &body.charset));
        take(Text::Body { piece: &piece, is_first: body.is_first });
        body.is_first = false;
        self.stage = if body.at >= body.end || length == 0 {
            Stage::Part(structure, next)
        } else {
            Stage::Body(structure, next, body)
        };
        Ok(length)
    }
}

/// The fields of a header, names and values folded, and the values as they are, until `take` has enough.
fn each_field(header: &[u8], take: &mut dyn FnMut(&str, &str, &[u8]) -> bool) {
    for (name, value) in header_fields(header) {
        let name = fold(&String::from_utf8_lossy(name));
        if !take(&name, &fold(&decode_words(value)), value) {
            return;
        }
    }
}

/// Addresses as the envelope has them: `name <local@domain>, ...`
fn addresses(value: &[u8]) -> String {
    let mut text = String::new();
    for item in address_list(value) {
        if let Item::Mailbox { name, local, domain, .. } = item {
            let name = name.map(|name| decode_words(&name)).unwrap_or_default();
            let (local, domain) = (String::from_utf8_lossy(&local), String::from_utf8_lossy(&domain));
            text.push_str(&format!("{name} <{local}@{domain}>, "));
        }
    }
    text
}

/// The next part that has text or is a message inside, and whether it is that.
fn next_part(structure: &Structure, from: usize) -> Option<(usize, bool)> {
    (from..structure.parts.len()).find_map(|place| {
        let is_inside = is_message_inside(structure, place);
        (structure.parts[place].kind == PartKind::Leaf || is_inside).then_some((place, is_inside))
    })
}

fn is_message_inside(structure: &Structure, place: usize) -> bool {
    let parent = structure.parts.get(place).filter(|_| place > 0).map(|part| part.parent);
    let parent = parent.and_then(|parent| structure.parts.get(usize::try_from(parent).unwrap_or(0)));
    parent.is_some_and(|parent| parent.kind == PartKind::Message)
}
