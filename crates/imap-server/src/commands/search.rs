//! SEARCH, UID SEARCH: which messages match (RFC 3501 §6.4.4), with the keys of RFC 5032, RFC 7162, RFC 8474 and RFC 8514.
//!
//! A cursor asks [`SLICE_TESTS`] keys of messages, or reads [`SLICE_BYTES`] bytes of content, then lets others have the
//! worker, in the middle of a message too. Numbers are written as they are found, so a result costs no memory; with RETURN they are
//! gathered first (`esearch.rs`). Keys of flags and numbers are asked before those of content, whatever their order in the command; those of content are asked together.

mod esearch;
mod message;
mod scan;

use connection::Output;
use message_store::{Flags, UidSet};

use crate::answer;
use crate::commands::Progress;
use crate::flags;
use crate::refusal::Refusal;
use crate::sequences::{self, Walk};
use crate::view::View;
use esearch::Gathered;
use imap_wire::{Charset, SearchKey, SequenceSet};
use message::Message;
use scan::{Needle, Scan, Within};

/// Keys asked of messages before others have their turn.
const SLICE_TESTS: usize = 40_000;
/// Texts that one command may look for.
const TEXTS_MAX: usize = 100;
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
    Saved(Order, i64),
    /// Arrived at this second or before it.
    ArrivedUntil(i64),
    /// At this second or after it.
    ArrivedFrom(i64),
    ModSeq(u64),
    Guid([u8; 16]),
    Nothing,
    Larger(u32),
    Smaller(u32),
    /// The needle of this number.
    Content(usize),
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
    /// How many messages are looked at before others have their turn.
    slice: usize,
    needles: Vec<Needle>,
    /// What is known of the content of the present message.
    scan: Option<Scan>,
    walk: Walk,
    begun: bool,
    /// With RETURN: what was found, to be told at the end.
    gathered: Option<Gathered>,
    /// The highest modification sequence found, if the search asks for one (RFC 7162 §3.1.5).
    modseq: Option<u64>,
}

impl Search {
    /// # Errors
    /// A charset that is not known, a sequence number that does not exist, or too many texts.
    pub fn new(asked: imap_wire::Search, view: &View, tag: &[u8]) -> Result<Search, Refusal> {
        if asked.charset == Charset::Unknown {
            return Err(Refusal::BadCharset);
        }
        let keywords = view.mailbox.keywords();
        let mut resolver = Resolver { view, keywords: &keywords, needles: Vec::new(), keys: 0 };
        let test = resolver.resolve(asked.key)?;
        let Resolver { needles, keys, .. } = resolver;
        let slice = (SLICE_TESTS / keys.max(1)).max(1);
        let everything = if view.exists() == 0 { Vec::new() } else { vec![1..=view.exists()] };
        let walk = Walk::new(everything);
        let modseq = asks_for_modseq(&test).then_some(0);
        let gathered = asked.returned.map(|returned| Gathered::new(returned, asked.uid, tag));
        Ok(Search { uid: asked.uid, test, slice, needles, scan: None, walk, begun: false, gathered, modseq })
    }

    /// Whether the criteria have a modification sequence, which turns CONDSTORE on (RFC 7162 §3.1).
    pub fn asks_for_modseq(&self) -> bool {
        self.modseq.is_some()
    }

    /// Looks at the next slice. After an error the line is complete.
    pub fn step(&mut self, view: &mut View, out: &mut Output) -> Result<Progress, Refusal> {
        if self.gathered.is_some() {
            return self.gather(view, out);
        }
        if !self.begun {
            self.begun = true;
            out.push(b"* SEARCH");
        }
        let result = self.slice(view, out);
        if !matches!(result, Ok(Progress::More)) {
            if let Some(modseq) = self.modseq.filter(|modseq| *modseq > 0) {
                out.push(b" (MODSEQ ");
                answer::digits(out, modseq);
                out.push(b")");
            }
            out.push(b"\r\n");
        }
        result
    }

    /// RFC 4731: nothing is said before everything is found. After NO, `$` is empty (RFC 5182 §2.1).
    fn gather(&mut self, view: &mut View, out: &mut Output) -> Result<Progress, Refusal> {
        let progress = match self.slice(view, out) {
            Ok(progress) => progress,
            Err(refusal) => {
                if self.gathered.as_ref().is_some_and(Gathered::saves) {
                    view.save(UidSet::new());
                }
                return Err(refusal);
            }
        };
        let Some(gathered) = &mut self.gathered else { return Ok(progress) };
        if progress == Progress::More && !gathered.is_enough() {
            return Ok(Progress::More);
        }
        gathered.tell(view, self.modseq.is_some(), out)
    }

    fn slice(&mut self, view: &View, out: &mut Output) -> Result<Progress, Refusal> {
        let mut read = 0;
        for _ in 0..self.slice {
            let is_enough = self.gathered.as_ref().is_some_and(Gathered::is_enough);
            let Some(sequence) = self.walk.peek().filter(|_| !is_enough) else { return Ok(Progress::Done) };
            if out.is_full() || read >= SLICE_BYTES {
                return Ok(Progress::More);
            }
            if let Some((slot, record)) = view.record(sequence) {
                let mut message = Message::new(view, sequence, slot, record);
                let scan = self.scan.get_or_insert_with(|| Scan::new(&self.needles));
                let passes = loop {
                    if let Some(passes) = message.passes(&self.test, scan)? {
                        break passes;
                    }
                    if read + message.read >= SLICE_BYTES {
                        return Ok(Progress::More); // the scan goes on where it is
                    }
                    message.learn(scan, &self.needles)?;
                };
                self.scan = None;
                if passes {
                    self.modseq = self.modseq.map(|highest| highest.max(record.modseq));
                    match &mut self.gathered {
                        Some(gathered) => gathered.found(sequence, &record),
                        None => {
                            out.push(b" ");
                            answer::digits(out, u64::from(if self.uid { record.uid } else { sequence }));
                        }
                    }
                }
                read += message.read;
            }
            self.walk.advance();
        }
        Ok(Progress::More)
    }
}

/// Makes tests of keys; the texts become needles.
struct Resolver<'a> {
    view: &'a View,
    keywords: &'a [String],
    needles: Vec<Needle>,
    keys: usize,
}

impl Resolver<'_> {
    /// The grammar has bounded the depth and the number.
    fn resolve(&mut self, key: SearchKey) -> Result<Test, Refusal> {
        self.keys += 1;
        let ranges = |set: SequenceSet, uid: bool| sequences::resolve(&set, self.view, uid).map(Test::Ranges);
        Ok(match key {
            SearchKey::All => Test::All,
            SearchKey::Set(set) => ranges(set, false)?,
            SearchKey::UidSet(set) => ranges(set, true)?,
            SearchKey::Flag(flag) => Test::Flag(flags::system(flag)),
            SearchKey::Keyword(name) => Test::Keyword(self.keyword(&name)),
            SearchKey::Recent => Test::Recent,
            SearchKey::Before(day) => Test::Received(Order::Before, day),
            SearchKey::On(day) => Test::Received(Order::On, day),
            SearchKey::Since(day) => Test::Received(Order::Since, day),
            SearchKey::SentBefore(day) => Test::Sent(Order::Before, day),
            SearchKey::SentOn(day) => Test::Sent(Order::On, day),
            SearchKey::SentSince(day) => Test::Sent(Order::Since, day),
            SearchKey::SavedBefore(day) => Test::Saved(Order::Before, day),
            SearchKey::SavedOn(day) => Test::Saved(Order::On, day),
            SearchKey::SavedSince(day) => Test::Saved(Order::Since, day),
            SearchKey::SaveDateSupported => Test::All,
            SearchKey::Older(seconds) => Test::ArrivedUntil(ago(seconds)),
            SearchKey::Younger(seconds) => Test::ArrivedFrom(ago(seconds)),
            SearchKey::ModSeq(modseq) => Test::ModSeq(modseq),
            SearchKey::EmailId(id) => answer::guid_of(&id).map_or(Test::Nothing, Test::Guid),
            SearchKey::ThreadId(_) => Test::Nothing, // RFC 8474 §5.2: no message has one
            SearchKey::Larger(size) => Test::Larger(size),
            SearchKey::Smaller(size) => Test::Smaller(size),
            SearchKey::Header(name, text) => self.content(Within::Field(name), &text)?,
            SearchKey::Body(text) => self.content(Within::Body, &text)?,
            SearchKey::Text(text) => self.content(Within::Message, &text)?,
            SearchKey::Not(key) => Test::Not(Box::new(self.resolve(*key)?)),
            SearchKey::Or(one, other) => {
                let (one, other) = (self.resolve(*one)?, self.resolve(*other)?);
                let (first, second) = if cost(&one) <= cost(&other) { (one, other) } else { (other, one) };
                Test::Or(Box::new(first), Box::new(second))
            }
            SearchKey::And(keys) => {
                let mut tests = Vec::with_capacity(keys.len());
                for key in keys {
                    tests.push(self.resolve(key)?);
                }
                tests.sort_by_key(cost);
                Test::And(tests)
            }
        })
    }

    /// The bit of a keyword; none when no message has it.
    fn keyword(&self, name: &str) -> u64 {
        let known = self.keywords.iter().position(|one| one.eq_ignore_ascii_case(name));
        known.map_or(0, |bit| 1u64 << bit.min(63))
    }

    fn content(&mut self, within: Within, text: &str) -> Result<Test, Refusal> {
        let needle = Needle { within, text: text.to_lowercase() };
        if let Some(known) = self.needles.iter().position(|known| *known == needle) {
            return Ok(Test::Content(known));
        }
        if self.needles.len() == TEXTS_MAX {
            return Err(Refusal::Limit("Too many texts in one search; look for at most 100"));
        }
        self.needles.push(needle);
        Ok(Test::Content(self.needles.len() - 1))
    }
}

/// 0: the hot record; 1: the cold one; 2: content.
fn cost(test: &Test) -> u8 {
    match test {
        Test::Received(..) | Test::Sent(..) | Test::Saved(..) | Test::Guid(_) => 1,
        Test::ArrivedUntil(_) | Test::ArrivedFrom(_) => 1,
        Test::Content(_) => 2,
        Test::Not(inner) => cost(inner),
        Test::Or(one, other) => cost(one).max(cost(other)),
        Test::And(tests) => tests.iter().map(cost).max().unwrap_or(0),
        _ => 0,
    }
}

/// The second that was so many seconds ago.
fn ago(seconds: u32) -> i64 {
    base::clock::unix_nanos().div_euclid(1_000_000_000).saturating_sub(seconds.into())
}

/// RFC 7162 §3.1.5: the response has a modification sequence when the criteria have.
fn asks_for_modseq(test: &Test) -> bool {
    match test {
        Test::ModSeq(_) => true,
        Test::Not(inner) => asks_for_modseq(inner),
        Test::Or(one, other) => asks_for_modseq(one) || asks_for_modseq(other),
        Test::And(tests) => tests.iter().any(asks_for_modseq),
        _ => false,
    }
}
