//! One message of a FETCH: its record, what was read of it, and each item as bytes.
//!
//! Sections above [`INLINE_MAX`] bytes leave as ranges of their file.

use std::os::unix::fs::FileExt;

use connection::Output;
use imap_wire::{Binary, FetchItem, Section, SectionText};
use mail_format::preview::{self, PART_BYTES_MAX};
use mail_format::{Structure, TransferEncoding, header_field, unfold};
use message_store::{Cached, Flags, MessageFile, Record, StoreError};

use super::decoded::Decoded;
use crate::answer;
use crate::refusal::Refusal;
use crate::sections::{self, Span};
use crate::view::View;

/// Largest piece of a message that is read into the queue instead of being sent from the file.
const INLINE_MAX: u64 = 64 * 1024;

/// What is looked at of a header for single fields.
const HEADER_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// One message: its record, and what was read of it for this row.
pub struct Source<'a> {
    view: &'a View,
    slot: u32,
    record: Record,
    internal_date_ns: i64,
    save_date_ns: i64,
    guid: [u8; 16],
    header_size: u32,
    cached: Option<Cached>,
    structure: Option<Structure>,
    file: Option<MessageFile>,
}

impl<'a> Source<'a> {
    pub fn new(view: &'a View, slot: u32, record: Record) -> Source<'a> {
        Source {
            view,
            slot,
            record,
            internal_date_ns: 0,
            save_date_ns: 0,
            guid: [0; 16],
            header_size: 0,
            cached: None,
            structure: None,
            file: None,
        }
    }

    /// Reads what the items need before the first byte of the row is written; false when the message is gone.
    pub fn prepare(&mut self, items: &[FetchItem]) -> Result<bool, Refusal> {
        let wants = |test: fn(&FetchItem) -> bool| items.iter().any(test);
        if !wants(needs_more_than_record) {
            return Ok(true);
        }
        let Some((reader, slot)) = self.view.present_slot(self.slot, self.record.uid)? else {
            return Ok(false);
        };
        if wants(needs_cold) {
            let cold = reader.cold(slot)?;
            self.internal_date_ns = cold.internal_date_ns;
            self.save_date_ns = cold.save_date_ns;
            self.guid = cold.guid;
            self.header_size = cold.header_size;
        }
        if wants(needs_cache) {
            match self.view.mailbox.cached(slot) {
                Ok(cached) => self.cached = Some(cached),
                Err(StoreError::NotFound) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        if wants(needs_structure) {
            let bytes = self.cached.as_ref().map_or(&[][..], Cached::structure_bytes);
            let damaged = || StoreError::Damaged("the part table of a message".into());
            self.structure = Some(Structure::decode(bytes).ok_or_else(damaged)?);
        }
        if wants(needs_file) {
            match self.view.mailbox.open_message_of(self.record.uid, self.record.size) {
                Ok(file) => self.file = Some(file),
                Err(StoreError::NotFound) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        for item in items {
            if let FetchItem::Binary(binary) | FetchItem::BinarySize(binary) = item {
                self.decoded(binary, false)?; // before anything is written of the row
            }
        }
        Ok(true)
    }

    /// Writes name and value of an item.
    ///
    /// # Errors
    /// Its bytes cannot be read: the value is NIL.
    pub fn write(&self, item: &FetchItem, keywords: &[String], out: &mut Output) -> Result<(), Refusal> {
        let cached = |pick: fn(&Cached) -> &[u8]| self.cached.as_ref().map_or(&b"NIL"[..], pick);
        match item {
            FetchItem::Uid => {
                out.push(b"UID ");
                answer::digits(out, u64::from(self.record.uid));
            }
            FetchItem::Flags => {
                out.push(b"FLAGS ");
                answer::flags(out, &self.record, self.view.is_recent(self.record.uid), keywords);
            }
            FetchItem::Size => {
                out.push(b"RFC822.SIZE ");
                answer::digits(out, u64::from(self.record.size));
            }
            FetchItem::InternalDate => {
                out.push(b"INTERNALDATE \"");
                out.push(&imap_wire::date::internal_date(self.internal_date_ns));
                out.push(b"\"");
            }
            FetchItem::Envelope => {
                out.push(b"ENVELOPE ");
                out.push(cached(Cached::envelope));
            }
            FetchItem::Body => {
                out.push(b"BODY ");
                out.push(cached(Cached::body));
            }
            FetchItem::BodyStructure => {
                out.push(b"BODYSTRUCTURE ");
                out.push(cached(Cached::bodystructure));
            }
            FetchItem::Section(section) => return self.section(section, out),
            FetchItem::Binary(_) | FetchItem::BinarySize(_) => {} // more than one step: Source::decoded
            FetchItem::Preview => {
                out.push(b"PREVIEW ");
                let preview = self.preview();
                match &preview {
                    Ok(Some(text)) => out.push(&imap_wire::quote(text.as_bytes())),
                    Ok(None) | Err(_) => out.push(b"NIL"),
                }
                return preview.map(drop);
            }
            FetchItem::ModSeq => answer::modseq(out, self.record.modseq),
            FetchItem::EmailId => {
                out.push(format!("EMAILID ({})", answer::email_id(&self.guid)).as_bytes());
            }
            FetchItem::ThreadId => {
                let id = answer::thread_id(&self.thread_id()?);
                out.push(format!("THREADID ({id})").as_bytes());
            }
            FetchItem::SaveDate => {
                out.push(b"SAVEDATE \"");
                out.push(&imap_wire::date::internal_date(self.save_date_ns));
                out.push(b"\"");
            }
            FetchItem::XSender => {
                // Not NIL: the clients that ask take the word for an address.
                let sender = self.sender()?;
                out.push(b"XSENDER ");
                out.push(&imap_wire::quote(sender.as_bytes()));
            }
        }
        Ok(())
    }

    /// The address of who submitted the message, of whom it is known that it is their own; else empty.
    fn sender(&self) -> Result<String, Refusal> {
        if !self.record.flags.contains(Flags::SENDER_KNOWN) {
            return Ok(String::new());
        }
        let author = match self.cached.as_ref().and_then(Cached::header) {
            Some(header) => mail_format::only_author(header),
            None => mail_format::only_author(&self.own_header()?),
        };
        Ok(author.unwrap_or_default())
    }

    /// The conversation that the message is part of, by its header alone (RFC 8474 §5.2).
    fn thread_id(&self) -> Result<[u8; 16], Refusal> {
        if let Some(header) = self.cached.as_ref().and_then(Cached::header) {
            return Ok(mail_format::thread_id(header, &self.guid));
        }
        Ok(mail_format::thread_id(&self.own_header()?, &self.guid))
    }

    /// The header of the message itself, from its file.
    fn own_header(&self) -> Result<Vec<u8>, Refusal> {
        let size = self.file.as_ref().map_or(0, |message| message.size);
        let header = Span { offset: 0, len: size.min(self.header_size.into()) };
        self.read(header.cut(Some((0, HEADER_BYTES_MAX))))
    }

    fn section(&self, section: &Section, out: &mut Output) -> Result<(), Refusal> {
        out.push(section.label.as_bytes());
        out.push(b" ");
        let result = self.content(section, out);
        if !matches!(result, Ok(true)) {
            out.push(b"NIL");
        }
        result.map(drop)
    }

    /// A part without its transfer encoding, to be written; nothing when the message has no such part.
    ///
    /// # Errors
    /// The encoding is not known (RFC 3516 §4.3), or the header of the part cannot be read.
    pub fn decoded(&self, binary: &Binary, size_only: bool) -> Result<Option<Decoded>, Refusal> {
        let Some(message) = &self.file else { return Ok(None) };
        let whole = Span { offset: 0, len: message.size };
        let (span, encoding) = match &self.structure {
            _ if binary.part.is_empty() => (whole, TransferEncoding::Identity),
            None => return Ok(None),
            Some(structure) => {
                let Some(part) = structure.part(&binary.part) else { return Ok(None) };
                let of = |(start, end): (u32, u32)| Span::between(start.into(), end.into(), message.size);
                let header = self.read(of(part.header).cut(Some((0, HEADER_BYTES_MAX))))?;
                let named = header_field(&header, "Content-Transfer-Encoding").map(unfold);
                let named = named.as_ref().map_or("".into(), |value| String::from_utf8_lossy(value));
                let known = TransferEncoding::named(&named).ok_or(Refusal::UnknownEncoding)?;
                (of(part.body), known)
            }
        };
        Ok(Some(Decoded::new(message.file.clone(), span, encoding, binary.partial, size_only)))
    }

    /// The beginning of the text; empty when there is none, nothing when the message is gone (RFC 8970 §3).
    fn preview(&self) -> Result<Option<String>, Refusal> {
        let (Some(structure), Some(message)) = (&self.structure, &self.file) else { return Ok(None) };
        let read = |start: u32, end: u32| self.read(Span::between(start.into(), end.into(), message.size));
        let Some(part) = preview::text_part(structure, read)? else { return Ok(Some(String::new())) };
        let (start, end) = part.body;
        let content = read(start, end.min(start.saturating_add(PART_BYTES_MAX)))?;
        Ok(Some(part.preview(&content)))
    }

    /// The literal of a section; false, and nothing written, when the message has no such section.
    fn content(&self, section: &Section, out: &mut Output) -> Result<bool, Refusal> {
        let Some(span) = self.span(section) else { return Ok(false) };
        let wanted = matches!(section.text, SectionText::Fields(_));
        match &section.text {
            SectionText::Fields(names) | SectionText::FieldsNot(names) => {
                let looked_at = span.cut(Some((0, HEADER_BYTES_MAX)));
                let selected = sections::select_fields(&self.read(looked_at)?, names, wanted);
                let all = Span { offset: 0, len: selected.len() as u64 };
                let piece = all.cut(section.partial);
                answer::literal_size(out, piece.len);
                out.push(piece.of(&selected));
            }
            _ => self.piece(span.cut(section.partial), out)?,
        }
        Ok(true)
    }

    /// Where the bytes of a section are; nothing when the message has no such section.
    fn span(&self, section: &Section) -> Option<Span> {
        let size = self.file.as_ref()?.size;
        if section.part.is_empty() {
            return sections::whole_message(&section.text, self.header_size.into(), size);
        }
        sections::of_part(self.structure.as_ref()?, &section.part, &section.text, size)
    }

    fn piece(&self, span: Span, out: &mut Output) -> Result<(), Refusal> {
        if span.len > INLINE_MAX {
            if let Some(message) = &self.file {
                answer::literal_size(out, span.len);
                out.push_file(message.file.clone(), span.offset, span.len);
            }
            return Ok(());
        }
        let bytes = self.read(span)?;
        answer::literal_size(out, span.len);
        out.push(&bytes);
        Ok(())
    }

    fn read(&self, span: Span) -> Result<Vec<u8>, Refusal> {
        let Some(message) = &self.file else { return Ok(Vec::new()) };
        let mut bytes = vec![0; usize::try_from(span.len).unwrap_or(0)];
        message
            .file
            .read_exact_at(&mut bytes, span.offset)
            .map_err(|_| StoreError::Damaged("a message file is shorter than it was".into()))?;
        Ok(bytes)
    }
}

fn needs_more_than_record(item: &FetchItem) -> bool {
    use FetchItem::{Flags, ModSeq, Size, Uid};
    !matches!(item, Uid | Flags | Size | ModSeq)
}

fn needs_cold(item: &FetchItem) -> bool {
    match item {
        FetchItem::InternalDate
        | FetchItem::EmailId
        | FetchItem::ThreadId
        | FetchItem::SaveDate
        | FetchItem::XSender => true,
        FetchItem::Section(section) => section.text != SectionText::All,
        _ => false,
    }
}

fn needs_structure(item: &FetchItem) -> bool {
    match item {
        FetchItem::Section(section) => !section.part.is_empty(),
        FetchItem::Binary(binary) | FetchItem::BinarySize(binary) => !binary.part.is_empty(),
        item => *item == FetchItem::Preview,
    }
}

fn needs_cache(item: &FetchItem) -> bool {
    use FetchItem::{Body, BodyStructure, Envelope, ThreadId, XSender};
    matches!(item, Envelope | Body | BodyStructure | ThreadId | XSender) || needs_structure(item)
}

fn needs_file(item: &FetchItem) -> bool {
    use FetchItem::{Binary, BinarySize, Preview, Section, ThreadId, XSender};
    // The cache has no header that is very long.
    matches!(item, Section(_) | Binary(_) | BinarySize(_) | Preview | ThreadId | XSender)
}
