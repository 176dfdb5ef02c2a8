//! FETCH, UID FETCH: what messages are made of (RFC 3501 §6.4.5, §7.4.2).
//!
//! A cursor in the session's state writes until the output queue is full and goes on when it has drained, so a
//! million rows cost one bounded buffer. Messages above [`INLINE_MAX`] bytes leave as ranges of their file.

use std::os::unix::fs::FileExt;

use connection::Output;
use message_store::{FlagChange, Flags, How, MessageFile, Record, StoreError, UidSet};

use crate::answer;
use crate::refusal::Refusal;
use crate::request::{FetchItem, Section, SectionText, Walk};
use crate::sections::{self, Span};
use crate::view::{Told, View};

/// Largest piece of a message that is read into the queue instead of being sent from the file.
const INLINE_MAX: u64 = 64 * 1024;
/// Messages that get \Seen in one change of the store.
const SEEN_BATCH: usize = 128;

/// A FETCH under way.
pub struct Fetch {
    pub tag: Box<[u8]>,
    pub uid: bool,
    items: Vec<FetchItem>,
    walk: Walk,
    keywords: Vec<String>,
    /// Non-PEEK sections of a mailbox selected read-write set \Seen.
    sets_seen: bool,
    /// Messages up to this sequence number have \Seen already.
    seen_until: u32,
    newly_seen: UidSet,
    /// Changes made and told, for [`View::announce`].
    pub told: Told,
    /// A message was gone for good: the tagged response says so (RFC 2180 §4.1.2).
    pub missing: bool,
}

/// Whether the cursor came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    More,
    Done,
}

impl Fetch {
    /// A FETCH of the messages of `walk`.
    ///
    /// # Errors
    /// A section names a part of the message (`BODY[1.2]`): the part table of the cache is not read yet.
    pub fn new(
        tag: &[u8],
        uid: bool,
        mut items: Vec<FetchItem>,
        walk: Walk,
        view: &View,
    ) -> Result<Fetch, Refusal> {
        if items.iter().any(|item| matches!(item, FetchItem::Section(section) if !section.part.is_empty())) {
            return Err(Refusal::Cannot("Parts of a message cannot be fetched one by one"));
        }
        if uid && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid); // RFC 3501 §6.4.8
        }
        let reads = items.iter().any(|item| matches!(item, FetchItem::Section(section) if !section.peek));
        Ok(Fetch {
            tag: tag.into(),
            uid,
            items,
            walk,
            keywords: view.mailbox.keywords(),
            sets_seen: reads && !view.is_read_only(),
            seen_until: 0,
            newly_seen: UidSet::new(),
            told: Told::new(),
            missing: false,
        })
    }

    /// Writes rows until the queue is full.
    pub fn step(&mut self, view: &mut View, out: &mut Output) -> Result<Progress, Refusal> {
        while let Some(sequence) = self.walk.peek() {
            if out.is_full() {
                return Ok(Progress::More);
            }
            if self.sets_seen && sequence > self.seen_until {
                self.set_seen(view)?;
            }
            self.row(sequence, view, out)?;
            self.walk.advance();
        }
        Ok(Progress::Done)
    }

    fn set_seen(&mut self, view: &mut View) -> Result<(), Refusal> {
        let mut unseen = UidSet::new();
        for sequence in self.walk.ahead(SEEN_BATCH) {
            self.seen_until = sequence;
            if let Some((_, record)) = view.record(sequence) {
                if !record.flags.contains(Flags::SEEN) && !record.flags.contains(Flags::EXPUNGED) {
                    unseen.push(record.uid);
                }
            }
        }
        if unseen.is_empty() {
            return Ok(());
        }
        let change = FlagChange { how: How::Add, flags: Flags::SEEN, keywords: &[] };
        let result = view.mailbox.change_flags(&unseen, change, None)?;
        self.newly_seen = result.changed.into_iter().collect();
        Ok(())
    }

    fn row(&mut self, sequence: u32, view: &View, out: &mut Output) -> Result<(), Refusal> {
        let Some((slot, record)) = view.record(sequence) else { return Ok(()) };
        let mut source = Source::new(view, slot, record);
        if self.items.iter().any(needs_content) && !source.prepare(&self.items)? {
            self.missing = true;
            return Ok(());
        }
        out.push(b"* ");
        answer::digits(out, u64::from(sequence));
        out.push(b" FETCH (");
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                out.push(b" ");
            }
            source.write(item, &self.keywords, out)?;
        }
        if self.newly_seen.contains(record.uid) {
            if !self.items.contains(&FetchItem::Flags) {
                out.push(b" FLAGS ");
                answer::flags(out, &record, view.is_recent(record.uid), &self.keywords);
            }
            self.told.push((slot, record.modseq));
        }
        out.push(b")\r\n");
        Ok(())
    }
}

fn needs_content(item: &FetchItem) -> bool {
    !matches!(item, FetchItem::Uid | FetchItem::Flags | FetchItem::Size)
}

/// One message: its record, and what was read of it for this row.
struct Source<'a> {
    view: &'a View,
    slot: u32,
    record: Record,
    internal_date_ns: i64,
    header_size: u32,
    cached: Option<message_store::Cached>,
    file: Option<MessageFile>,
}

impl<'a> Source<'a> {
    fn new(view: &'a View, slot: u32, record: Record) -> Source<'a> {
        Source { view, slot, record, internal_date_ns: 0, header_size: 0, cached: None, file: None }
    }

    /// Reads what the items need before the first byte of the row is written; false when the message is gone.
    fn prepare(&mut self, items: &[FetchItem]) -> Result<bool, Refusal> {
        let Some((reader, slot)) = self.view.present_slot(self.slot, self.record.uid)? else {
            return Ok(false);
        };
        let wants = |test: fn(&FetchItem) -> bool| items.iter().any(test);
        if wants(needs_cold) {
            let cold = reader.cold(slot)?;
            self.internal_date_ns = cold.internal_date_ns;
            self.header_size = cold.header_size;
        }
        if wants(needs_cache) {
            match self.view.mailbox.cached(slot) {
                Ok(cached) => self.cached = Some(cached),
                Err(StoreError::NotFound) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        if wants(needs_file) {
            match self.view.mailbox.open_message(self.record.uid) {
                Ok(file) => self.file = Some(file),
                Err(StoreError::NotFound) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    fn write(&self, item: &FetchItem, keywords: &[String], out: &mut Output) -> Result<(), Refusal> {
        let cached =
            |pick: fn(&message_store::Cached) -> &[u8]| self.cached.as_ref().map_or(&b"NIL"[..], pick);
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
                out.push(cached(message_store::Cached::envelope));
            }
            FetchItem::Body => {
                out.push(b"BODY ");
                out.push(cached(message_store::Cached::body));
            }
            FetchItem::BodyStructure => {
                out.push(b"BODYSTRUCTURE ");
                out.push(cached(message_store::Cached::bodystructure));
            }
            FetchItem::Section(section) => self.section(section, out)?,
        }
        Ok(())
    }

    fn section(&self, section: &Section, out: &mut Output) -> Result<(), Refusal> {
        out.push(section.label.as_bytes());
        out.push(b" ");
        let Some(span) = self.span(section) else {
            out.push(b"NIL");
            return Ok(());
        };
        match &section.text {
            SectionText::Fields(names) | SectionText::FieldsNot(names) => {
                let header = self.read(span)?;
                let wanted = matches!(section.text, SectionText::Fields(_));
                let selected = sections::select_fields(&header, names, wanted);
                let from = section.partial.map_or(0, |(from, _)| from as usize).min(selected.len());
                let count = section.partial.map_or(selected.len(), |(_, count)| count as usize);
                let piece = &selected[from..selected.len().min(from.saturating_add(count))];
                answer::literal_size(out, piece.len() as u64);
                out.push(piece);
            }
            _ => self.piece(span.cut(section.partial), out)?,
        }
        Ok(())
    }

    /// The bytes of a section; nothing when the message has no such section.
    fn span(&self, section: &Section) -> Option<Span> {
        let size = self.file.as_ref()?.size;
        sections::whole_message(&section.text, self.header_size.into(), size)
    }

    fn piece(&self, span: Span, out: &mut Output) -> Result<(), Refusal> {
        let Some(message) = &self.file else { return Ok(()) };
        if span.len > INLINE_MAX {
            answer::literal_size(out, span.len);
            out.push_file(message.file.clone(), span.offset, span.len);
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

fn needs_cold(item: &FetchItem) -> bool {
    match item {
        FetchItem::InternalDate => true,
        FetchItem::Section(section) => section.text != SectionText::All,
        _ => false,
    }
}

fn needs_cache(item: &FetchItem) -> bool {
    matches!(item, FetchItem::Envelope | FetchItem::Body | FetchItem::BodyStructure)
}

fn needs_file(item: &FetchItem) -> bool {
    matches!(item, FetchItem::Section(_))
}
