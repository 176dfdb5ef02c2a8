//! SEARCH, UID SEARCH: which messages match (RFC 3501 §6.4.4).
//!
//! A cursor looks at [`SLICE`] messages, or reads [`SLICE_BYTES`] bytes of content, then lets others have the worker.
//! Numbers are written as they are found, so a result costs no memory. Keys of flags and numbers are asked before
//! those of content, whatever their order in the command.

use std::io::Read;
use std::os::unix::fs::FileExt;

use connection::Output;
use message_store::{Flags, MessageFile, Reader, Record, StoreError};

use crate::answer;
use crate::commands::Progress;
use crate::flags;
use crate::refusal::Refusal;
use crate::sections;
use crate::sequences::{self, Walk};
use crate::view::View;
use imap_wire::date as dates;
use imap_wire::{Charset, SearchKey, SequenceSet};

/// Messages looked at before others have their turn.
const SLICE: usize = 20_000;
/// Bytes of messages read before others have their turn.
const SLICE_BYTES: u64 = 1024 * 1024;
/// Piece of a message that is searched at once.
const PIECE: usize = 64 * 1024;

/// A key whose sets and keyword names are resolved against the view.
enum Test {
    All,
    Ranges(Vec<std::ops::RangeInclusive<u32>>),
    Flag(Flags),
    Keyword(u64),
    Recent,
    Received(Order, i64),
    Sent(Order, i64),
    Larger(u32),
    Smaller(u32),
    Header(String, Vec<u8>),
    Body(Vec<u8>),
    Text(Vec<u8>),
    Not(Box<Test>),
    Or(Box<Test>, Box<Test>),
    And(Vec<Test>),
}

#[derive(Clone, Copy)]
enum Order {
    Before,
    On,
    Since,
}

impl Order {
    fn holds(self, day: i64, asked: i64) -> bool {
        match self {
            Order::Before => day < asked,
            Order::On => day == asked,
            Order::Since => day >= asked,
        }
    }
}

/// A SEARCH under way.
pub struct Search {
    pub uid: bool,
    test: Test,
    walk: Walk,
    begun: bool,
}

impl Search {
    /// # Errors
    /// A charset that is not known, or a sequence number that does not exist.
    pub fn new(asked: imap_wire::Search, view: &View) -> Result<Search, Refusal> {
        if asked.charset == Charset::Unknown {
            return Err(Refusal::BadCharset);
        }
        let keywords = view.mailbox.keywords();
        let test = resolve(asked.key, view, &keywords)?;
        let everything = if view.exists() == 0 { Vec::new() } else { vec![1..=view.exists()] };
        Ok(Search { uid: asked.uid, test, walk: Walk::new(everything), begun: false })
    }

    /// Looks at the next slice. After an error the line is complete.
    pub fn step(&mut self, view: &View, out: &mut Output) -> Result<Progress, Refusal> {
        if !self.begun {
            self.begun = true;
            out.push(b"* SEARCH");
        }
        let result = self.slice(view, out);
        if !matches!(result, Ok(Progress::More)) {
            out.push(b"\r\n");
        }
        result
    }

    fn slice(&mut self, view: &View, out: &mut Output) -> Result<Progress, Refusal> {
        let mut read = 0;
        for _ in 0..SLICE {
            let Some(sequence) = self.walk.peek() else { return Ok(Progress::Done) };
            if out.is_full() || read >= SLICE_BYTES {
                return Ok(Progress::More);
            }
            if let Some((slot, record)) = view.record(sequence) {
                let mut message = Message { view, sequence, slot, record, place: None, read: 0 };
                if message.passes(&self.test)? {
                    out.push(b" ");
                    answer::digits(out, u64::from(if self.uid { record.uid } else { sequence }));
                }
                read += message.read;
            }
            self.walk.advance();
        }
        Ok(Progress::More)
    }
}

/// The grammar has bounded the depth.
fn resolve(key: SearchKey, view: &View, keywords: &[String]) -> Result<Test, Refusal> {
    let inner = |key: Box<SearchKey>| resolve(*key, view, keywords).map(Box::new);
    let ranges = |set: SequenceSet, uid: bool| sequences::resolve(&set, view, uid).map(Test::Ranges);
    Ok(match key {
        SearchKey::All => Test::All,
        SearchKey::Set(set) => ranges(set, false)?,
        SearchKey::UidSet(set) => ranges(set, true)?,
        SearchKey::Flag(flag) => Test::Flag(flags::system(flag)),
        SearchKey::Keyword(name) => Test::Keyword(
            keywords
                .iter()
                .position(|one| one.eq_ignore_ascii_case(&name))
                .map_or(0, |bit| 1u64 << bit.min(63)),
        ),
        SearchKey::Recent => Test::Recent,
        SearchKey::Before(day) => Test::Received(Order::Before, day),
        SearchKey::On(day) => Test::Received(Order::On, day),
        SearchKey::Since(day) => Test::Received(Order::Since, day),
        SearchKey::SentBefore(day) => Test::Sent(Order::Before, day),
        SearchKey::SentOn(day) => Test::Sent(Order::On, day),
        SearchKey::SentSince(day) => Test::Sent(Order::Since, day),
        SearchKey::Larger(size) => Test::Larger(size),
        SearchKey::Smaller(size) => Test::Smaller(size),
        SearchKey::Header(name, text) => Test::Header(name, lower(&text)),
        SearchKey::Body(text) => Test::Body(lower(&text)),
        SearchKey::Text(text) => Test::Text(lower(&text)),
        SearchKey::Not(key) => Test::Not(inner(key)?),
        SearchKey::Or(one, other) => Test::Or(inner(one)?, inner(other)?),
        SearchKey::And(keys) => {
            let mut tests = Vec::with_capacity(keys.len());
            for key in keys {
                tests.push(resolve(key, view, keywords)?);
            }
            tests.sort_by_key(cost);
            Test::And(tests)
        }
    })
}

/// 0: the hot record; 1: the cold one; 2: the header; 3: the whole message.
fn cost(test: &Test) -> u8 {
    match test {
        Test::Received(..) | Test::Sent(..) => 1,
        Test::Header(..) => 2,
        Test::Body(_) | Test::Text(_) => 3,
        Test::Not(inner) => cost(inner),
        Test::Or(one, other) => cost(one).max(cost(other)),
        Test::And(tests) => tests.iter().map(cost).max().unwrap_or(0),
        _ => 0,
    }
}

fn lower(text: &str) -> Vec<u8> {
    text.as_bytes().to_ascii_lowercase()
}

/// One message, and what was read of it.
struct Message<'a> {
    view: &'a View,
    sequence: u32,
    slot: u32,
    record: Record,
    place: Option<(Reader, u32)>,
    read: u64,
}

impl Message<'_> {
    fn passes(&mut self, test: &Test) -> Result<bool, Refusal> {
        let record = self.record;
        Ok(match test {
            Test::All => true,
            Test::Ranges(ranges) => {
                let after = ranges.partition_point(|range| *range.start() <= self.sequence);
                after > 0 && ranges[after - 1].contains(&self.sequence)
            }
            Test::Flag(flags) => record.flags.contains(*flags),
            Test::Keyword(bit) => record.keywords & bit != 0,
            Test::Recent => self.view.is_recent(record.uid),
            Test::Larger(size) => record.size > *size,
            Test::Smaller(size) => record.size < *size,
            Test::Received(order, day) => match self.cold()? {
                Some(cold) => order.holds(dates::day(cold.internal_date_ns.div_euclid(1_000_000_000)), *day),
                None => false,
            },
            Test::Sent(order, day) => match self.cold()? {
                Some(cold) => order.holds(dates::day(cold.sent_date), *day),
                None => false,
            },
            Test::Header(name, text) => self.header_has(name, text)?,
            Test::Body(text) => self.content_has(text, true)?,
            Test::Text(text) => self.content_has(text, false)?,
            Test::Not(test) => !self.passes(test)?,
            Test::Or(one, other) => self.passes(one)? || self.passes(other)?,
            Test::And(tests) => {
                for test in tests {
                    if !self.passes(test)? {
                        return Ok(false);
                    }
                }
                true
            }
        })
    }

    /// Where the cold record is; nothing when the message was removed for good.
    fn cold(&mut self) -> Result<Option<message_store::Cold>, Refusal> {
        if self.place.is_none() {
            self.place = self.view.present_slot(self.slot, self.record.uid)?;
        }
        match &self.place {
            Some((reader, slot)) => Ok(Some(reader.cold(*slot)?)),
            None => Ok(None),
        }
    }

    fn file(&self) -> Result<Option<MessageFile>, Refusal> {
        match self.view.mailbox.open_message(self.record.uid) {
            Ok(file) => Ok(Some(file)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn header_has(&mut self, name: &str, text: &[u8]) -> Result<bool, Refusal> {
        let Some(cold) = self.cold()? else { return Ok(false) };
        let Some(message) = self.file()? else { return Ok(false) };
        let mut header = vec![0; usize::try_from(message.size.min(cold.header_size.into())).unwrap_or(0)];
        message.file.read_exact_at(&mut header, 0).map_err(StoreError::from)?;
        self.read += header.len() as u64;
        Ok(sections::values(&header, name).any(|value| {
            text.is_empty() || memchr::memmem::find(&value.to_ascii_lowercase(), text).is_some()
        }))
    }

    /// Looks through the file in pieces that overlap by the length of the text.
    fn content_has(&mut self, text: &[u8], body_only: bool) -> Result<bool, Refusal> {
        if text.is_empty() {
            return Ok(true);
        }
        let from = if body_only { self.cold()?.map_or(0, |cold| cold.header_size.into()) } else { 0 };
        let Some(message) = self.file()? else { return Ok(false) };
        let finder = memchr::memmem::Finder::new(text);
        let mut reader = At { message: &message, offset: from };
        let mut window = Vec::with_capacity(PIECE + text.len());
        loop {
            let kept = window.len();
            let piece =
                reader.by_ref().take(PIECE as u64).read_to_end(&mut window).map_err(StoreError::from)?;
            self.read += piece as u64;
            window[kept..].make_ascii_lowercase();
            if finder.find(&window).is_some() {
                return Ok(true);
            }
            if piece == 0 {
                return Ok(false);
            }
            let keep_from = window.len().saturating_sub(text.len() - 1);
            window.drain(..keep_from);
        }
    }
}

/// Reads a message file from a place on, without a cursor of the descriptor (it is shared).
struct At<'a> {
    message: &'a MessageFile,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.message.file.read_at(buffer, self.offset)?;
        self.offset = self.offset.saturating_add(count as u64);
        Ok(count)
    }
}
