//! SEARCH, UID SEARCH: which messages match (RFC 3501 §6.4.4).
//!
//! A cursor looks at [`SLICE`] messages, or reads [`SLICE_BYTES`] bytes of content, then lets others have the worker.
//! Numbers are written as they are found, so a result costs no memory. Keys of flags and numbers are asked before
//! those of content, whatever their order in the command.

mod content;
mod message;

use connection::Output;
use message_store::Flags;

use crate::answer;
use crate::commands::Progress;
use crate::flags;
use crate::refusal::Refusal;
use crate::sequences::{self, Walk};
use crate::view::View;
use imap_wire::{Charset, SearchKey, SequenceSet};
use message::Message;

/// Messages looked at before others have their turn.
const SLICE: usize = 20_000;
/// Bytes of messages read before others have their turn.
const SLICE_BYTES: u64 = 1024 * 1024;

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
    Header(String, String),
    Body(String),
    Text(String),
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
                let mut message = Message::new(view, sequence, slot, record);
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
        SearchKey::Header(name, text) => Test::Header(name, text.to_lowercase()),
        SearchKey::Body(text) => Test::Body(text.to_lowercase()),
        SearchKey::Text(text) => Test::Text(text.to_lowercase()),
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
