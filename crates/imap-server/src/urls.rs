//! What a URL of a client names: bytes of a message in this store that the user may read (RFC 5092, RFC 4469 §3).
//!
//! A mailbox that is not there, one that the user may not read, and a message that is gone are answered alike: `[BADURL url]`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use connection::Output;
use imap_wire::{Section, SectionText, Url};
use mail_format::{Structure, TransferEncoding, header_field, unfold};
use message_store::{Cached, Mailbox, Rights, StoreError};

use crate::answer;
use crate::commands::fetch::Decoded;
use crate::names::Who;
use crate::refusal::Refusal;
use crate::sections::{self, Span};
use crate::server::Server;

/// What is looked at of a header for single fields.
const HEADER_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Bytes that are read at once.
const PIECE_BYTES: u64 = 64 * 1024;
/// Times that a message is looked up while its mailbox gets a new index.
const ATTEMPTS: u32 = 5;

/// Bytes that a URL names.
pub struct Content {
    source: Source,
    span: Span,
    /// All bytes of the section, of which the URL may name a part only.
    whole: Span,
    partial: Option<(u32, u32)>,
    /// The header of a part whose body this is.
    header: Option<Span>,
    /// BODYSTRUCTURE of the message, if a part or the whole is named.
    structure: Option<Vec<u8>>,
}

enum Source {
    File(Arc<File>),
    /// Selected fields of a header.
    Bytes(Vec<u8>),
}

/// What the URL names for this user.
///
/// # Errors
/// `BadUrl`; trouble of the store.
pub fn content(server: &Server, who: Who<'_>, url: &[u8]) -> Result<Content, Refusal> {
    let bad = || Refusal::BadUrl(imap_wire::url::in_response_code(url));
    let read = Url::read(url).filter(|read| is_here(server, who, read)).ok_or_else(bad)?;
    let found = find(server, who, &read)
        .or_else(|refusal| if is_trouble(&refusal) { Err(refusal) } else { Ok(None) });
    found?.ok_or_else(bad)
}

/// Whether a URL is of this server and this user. No other server is asked for anything.
pub fn is_here(server: &Server, who: Who<'_>, url: &Url) -> bool {
    url.server.as_ref().is_none_or(|named| {
        named.host.eq_ignore_ascii_case(&server.settings().host_name)
            && named.user.as_ref().is_none_or(|user| user == who.uid)
    })
}

/// Whether it is no fault of the URL.
pub fn is_trouble(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::Store(error) => !matches!(error, StoreError::NotFound | StoreError::CannotCreate(_)),
        _ => false,
    }
}

fn find(server: &Server, who: Who<'_>, url: &Url) -> Result<Option<Content>, Refusal> {
    match mailbox(server, who, url)? {
        Some(mailbox) => in_mailbox(&mailbox, url, false),
        None => Ok(None),
    }
}

/// The mailbox of a URL, if the user may read it and it is the one that is meant.
///
/// # Errors
/// As [`Server::named`]; trouble of the store.
pub fn mailbox(server: &Server, who: Who<'_>, url: &Url) -> Result<Option<Arc<Mailbox>>, Refusal> {
    let name = server.named(who, &url.mailbox, Rights::READ)?;
    let mailbox = server.store.open_mailbox(&name)?;
    Ok(url.uid_validity.is_none_or(|validity| validity == mailbox.uid_validity()).then_some(mailbox))
}

/// What the URL names in its mailbox; `with_structure`: what [`Content::structure`] is for.
///
/// # Errors
/// Trouble of the store.
pub fn in_mailbox(mailbox: &Mailbox, url: &Url, with_structure: bool) -> Result<Option<Content>, Refusal> {
    let section = &url.section;
    let wants_cached = with_structure || !section.part.is_empty();
    let Some(found) = look_up(mailbox, url.uid, wants_cached)? else { return Ok(None) };
    let message = mailbox.open_message_of(url.uid, found.size)?;
    let mut header = None;
    let span = if section.part.is_empty() {
        sections::whole_message(&section.text, found.header_size.into(), message.size)
    } else {
        let bytes = found.cached.as_ref().map_or(&[][..], Cached::structure_bytes);
        let damaged = || StoreError::Damaged("the part table of a message".into());
        let structure = Structure::decode(bytes).ok_or_else(damaged)?;
        if section.text == SectionText::All {
            header = sections::of_part(&structure, &section.part, &SectionText::Mime, message.size);
        }
        sections::of_part(&structure, &section.part, &section.text, message.size)
    };
    let Some(span) = span else { return Ok(None) };
    let mut content = of_section(section, message.file, span)?;
    content.header = header;
    if with_structure && section.text == SectionText::All {
        content.structure = found.cached.map(|cached| cached.bodystructure().to_vec());
    }
    Ok(Some(content))
}

/// What is known of a message.
struct Found {
    size: u32,
    header_size: u32,
    /// If it is wanted.
    cached: Option<Cached>,
}

/// The message, unless it is gone.
fn look_up(mailbox: &Mailbox, uid: u32, wants_cached: bool) -> Result<Option<Found>, Refusal> {
    for _ in 0..ATTEMPTS {
        let reader = mailbox.reader()?;
        let Ok(slot) = reader.slot_of(uid) else { return Ok(None) };
        let record = reader.record(slot);
        if record.is_expunged() {
            return Ok(None);
        }
        let header_size = reader.cold(slot)?.header_size;
        let cached = if wants_cached { Some(mailbox.cached(slot)?) } else { None };
        // Slots of another generation are of other messages.
        if !wants_cached || mailbox.reader()?.generation() == reader.generation() {
            return Ok(Some(Found { size: record.size, header_size, cached }));
        }
    }
    Err(StoreError::InUse.into())
}

fn of_section(section: &Section, file: Arc<File>, span: Span) -> Result<Content, Refusal> {
    let wanted = matches!(section.text, SectionText::Fields(_));
    match &section.text {
        SectionText::Fields(names) | SectionText::FieldsNot(names) => {
            let header = read(&file, span.cut(Some((0, HEADER_BYTES_MAX))))?;
            let selected = sections::select_fields(&header, names, wanted);
            let all = Span { offset: 0, len: selected.len() as u64 };
            Ok(Content::new(Source::Bytes(selected), all, section.partial))
        }
        _ => Ok(Content::new(Source::File(file), span, section.partial)),
    }
}

fn read(file: &File, span: Span) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![0; usize::try_from(span.len).unwrap_or(0)];
    file.read_exact_at(&mut bytes, span.offset)
        .map_err(|_| StoreError::Damaged("a message file is shorter than it was".into()))?;
    Ok(bytes)
}

impl Content {
    fn new(source: Source, whole: Span, partial: Option<(u32, u32)>) -> Content {
        Content { source, span: whole.cut(partial), whole, partial, header: None, structure: None }
    }

    /// A literal with the bytes. What is in a file leaves from there.
    pub fn write(&self, out: &mut Output) {
        answer::literal_size(out, self.span.len);
        match &self.source {
            Source::Bytes(bytes) => out.push(self.span.of(bytes)),
            Source::File(file) => out.push_file(file.clone(), self.span.offset, self.span.len),
        }
    }

    /// The same without transfer encoding, to be written; nothing when that is not known, or there never is one.
    ///
    /// # Errors
    /// The header of the part cannot be read.
    pub fn decoded(&self) -> Result<Option<Decoded>, Refusal> {
        let Source::File(file) = &self.source else { return Ok(None) };
        let encoding = match self.header {
            None => Some(TransferEncoding::Identity),
            Some(span) => {
                let header = read(file, span.cut(Some((0, HEADER_BYTES_MAX))))?;
                let named = header_field(&header, "Content-Transfer-Encoding").map(unfold);
                let named = named.as_ref().map_or("".into(), |value| String::from_utf8_lossy(value));
                TransferEncoding::named(&named)
            }
        };
        Ok(encoding.map(|encoding| Decoded::new(file.clone(), self.whole, encoding, self.partial, false)))
    }

    /// BODYSTRUCTURE of the message, if it was wanted and the URL names the message or a part.
    pub fn structure(&self) -> Option<&[u8]> {
        self.structure.as_deref()
    }

    /// Whether the bytes are of no file: selected fields of a header.
    pub fn is_made(&self) -> bool {
        matches!(self.source, Source::Bytes(_))
    }

    /// How many bytes.
    pub fn size(&self) -> u64 {
        self.span.len
    }

    /// The bytes, piece by piece.
    ///
    /// # Errors
    /// They cannot be read; those of `each`.
    pub fn for_each(&self, mut each: impl FnMut(&[u8]) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let file = match &self.source {
            Source::Bytes(bytes) => return each(self.span.of(bytes)),
            Source::File(file) => file,
        };
        let Span { mut offset, mut len } = self.span;
        while len > 0 {
            let piece = Span { offset, len: len.min(PIECE_BYTES) };
            each(&read(file, piece)?)?;
            (offset, len) = (offset + piece.len, len - piece.len);
        }
        Ok(())
    }
}
