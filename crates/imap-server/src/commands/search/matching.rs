//! Which messages match: the criteria of SEARCH, SORT and THREAD, asked slice by slice.
//!
//! A slice asks [`SLICE_TESTS`] keys of messages, or reads [`SLICE_BYTES`] bytes of content, then lets others have the
//! worker, in the middle of a message too. Keys of flags and numbers are asked before those of content, whatever their order in the command;
//! those of content are asked together.

use imap_wire::{Charset, SearchKey, SequenceSet};
use message_store::search::{Hints, Needle, Scan, Told, Within};
use message_store::{Flags, Like};

use super::message::Message;
use crate::answer;
use crate::commands::Progress;
use crate::flags;
use crate::message_limit::{self, Cut};
use crate::refusal::Refusal;
use crate::sequences::{self, Walk};
use crate::view::View;

/// Keys asked of messages before others have their turn.
const SLICE_TESTS: usize = 40_000;
/// Texts that one command may look for.
const TEXTS_MAX: usize = 100;
/// Words of them that may be in another form: each is compared with every word.
const LIKES_MAX: usize = 16;
/// Bytes of messages read before others have their turn.
const SLICE_BYTES: u64 = 1024 * 1024;

/// A key whose sets and keyword names are resolved against the view.
pub(super) enum Test {
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
    /// By the header of the message alone.
    Thread([u8; 16]),
    Nothing,
    Larger(u32),
    Smaller(u32),
    /// The needle of this number.
    Content(usize),
    /// All of these needles, each a word that may be in another form.
    Like(Vec<usize>),
    Not(Box<Test>),
    Or(Box<Test>, Box<Test>),
    And(Vec<Test>),
}

#[derive(Clone, Copy)]
pub(super) enum Order {
    Before,
    On,
    Since,
}

impl Order {
    pub(super) fn holds(self, day: i64, asked: i64) -> bool {
        match self {
            Order::Before => day < asked,
            Order::On => day == asked,
            Order::Since => day >= asked,
        }
    }
}

/// Whether the search for more goes on in this slice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    On,
    /// Others have their turn after this message.
    Pause,
}

/// A look for messages under way.
pub struct Matching {
    test: Test,
    /// How many messages are looked at before others have their turn.
    slice: usize,
    needles: Vec<Needle>,
    /// What is known of the content of the present message.
    scan: Scan,
    /// Whether the index of words was asked about it.
    is_asked: bool,
    hints: Hints,
    walk: Walk,
    /// The highest modification sequence found, if the criteria have one (RFC 7162 §3.1.5).
    modseq: Option<u64>,
    /// Whether it matters how well a message matches.
    pub wants_scores: bool,
}

impl Matching {
    /// # Errors
    /// A charset that is not known, a sequence number that does not exist, or too many texts.
    pub fn new(charset: Charset, key: SearchKey, view: &View) -> Result<Matching, Refusal> {
        let everything = if view.exists() == 0 { Vec::new() } else { vec![1..=view.exists()] };
        Matching::among(charset, key, view, everything)
    }

    /// Among the last `most` messages that the sets of the criteria leave, if more are to be looked at (RFC 9738).
    ///
    /// # Errors
    /// As [`Matching::new`].
    pub fn bounded(
        charset: Charset,
        key: SearchKey,
        view: &View,
        most: Option<u32>,
    ) -> Result<(Matching, Option<Cut>), Refusal> {
        let mut matching = Matching::new(charset, key, view)?;
        if most.is_none() {
            return Ok((matching, None));
        }
        let (places, cut) = message_limit::bound(matching.places(view), most, view);
        matching.walk = Walk::new(places);
        Ok((matching, cut))
    }

    /// All of them or none.
    ///
    /// # Errors
    /// As [`Matching::new`]; more messages are to be looked at than `most`.
    pub fn whole(
        charset: Charset,
        key: SearchKey,
        view: &View,
        most: Option<u32>,
    ) -> Result<Matching, Refusal> {
        match Matching::bounded(charset, key, view, most)? {
            (_, Some(cut)) => Err(cut.refusal()),
            (matching, None) => Ok(matching),
        }
    }

    /// What is left to look at when every set that must hold is taken into account.
    fn places(&self, view: &View) -> Vec<std::ops::RangeInclusive<u32>> {
        let everything = if view.exists() == 0 { Vec::new() } else { vec![1..=view.exists()] };
        narrowed(&self.test, everything)
    }

    /// How many messages that is.
    pub fn messages(&self, view: &View) -> u64 {
        sequences::count(&self.places(view))
    }

    /// Only among these sequence numbers.
    ///
    /// # Errors
    /// As [`Matching::new`].
    pub fn among(
        charset: Charset,
        key: SearchKey,
        view: &View,
        places: Vec<std::ops::RangeInclusive<u32>>,
    ) -> Result<Matching, Refusal> {
        if charset == Charset::Unknown {
            return Err(Refusal::BadCharset);
        }
        let keywords = view.mailbox.keywords();
        let mut resolver =
            Resolver { view, keywords: &keywords, needles: Vec::new(), keys: 0, is_fuzzy: false, likes: 0 };
        let test = resolver.resolve(key)?;
        let Resolver { needles, keys, .. } = resolver;
        let slice = (SLICE_TESTS / keys.max(1)).max(1);
        let modseq = asks_for_modseq(&test).then_some(0);
        let (scan, hints) = (Scan::new(&needles), Hints::new(&needles, needed(&test)));
        let walk = Walk::new(places);
        let (is_asked, wants_scores) = (false, false);
        Ok(Matching { test, slice, needles, scan, is_asked, hints, walk, modseq, wants_scores })
    }

    /// Whether the criteria have a modification sequence, which turns CONDSTORE on (RFC 7162 §3.1).
    pub fn asks_for_modseq(&self) -> bool {
        self.modseq.is_some()
    }

    /// Messages looked at, of how many.
    pub fn progress(&self, view: &View) -> (u32, u32) {
        let exists = view.exists();
        (self.walk.peek().map_or(exists, |next| next.saturating_sub(1)), exists)
    }

    /// The highest modification sequence of what was found, if it is to be told (RFC 7162 §3.1.5).
    pub fn modseq_told(&self) -> Option<u64> {
        self.modseq.filter(|modseq| *modseq > 0)
    }

    /// Looks at the next slice; `found` is given what matches, in the order of the sequence numbers.
    pub fn slice(
        &mut self,
        view: &View,
        mut found: impl FnMut(&mut Message<'_>) -> Result<Flow, Refusal>,
    ) -> Result<Progress, Refusal> {
        let mut read = 0;
        self.scan.wants_closest = self.wants_scores;
        for _ in 0..self.slice {
            let Some(sequence) = self.walk.peek() else { return Ok(Progress::Done) };
            if read >= SLICE_BYTES {
                return Ok(Progress::More);
            }
            if let Some((slot, record)) = view.record(sequence) {
                if let Some(uid) = self.hints.skip_from(record.uid) {
                    self.walk.skip_to(view.sequence_from_uid(uid).max(sequence + 1));
                    continue; // nothing was learned of this one, and nothing will be
                }
                let mut message = Message::new(view, sequence, slot, record);
                let passes = loop {
                    match message.passes(&self.test, &self.scan)? {
                        Some(true) if self.wants_scores && !self.scan.is_closest_known(&self.needles) => {}
                        Some(passes) => break passes,
                        None => {}
                    }
                    if read + message.read >= SLICE_BYTES {
                        return Ok(Progress::More); // the scan goes on where it is
                    }
                    if !self.is_asked {
                        match self.hints.tell(&view.mailbox, record.uid, &mut self.scan) {
                            Told::All => self.is_asked = true,
                            Told::SomeOfSegment => return Ok(Progress::More),
                        }
                        continue;
                    }
                    // Of what cannot be read only that is said which is known without it: it does not pass by a NOT either.
                    if !message.learn(&mut self.scan, &self.needles)? {
                        break message.passes(&self.test, &self.scan)? == Some(true);
                    }
                };
                if passes && self.wants_scores {
                    let score = message.relevancy(&self.test, &self.scan)?;
                    message.score = score.and_then(|score| u8::try_from(score).ok()).unwrap_or(100);
                }
                self.scan.begin(&self.needles);
                self.is_asked = false;
                if passes {
                    self.modseq = self.modseq.map(|highest| highest.max(record.modseq));
                    if found(&mut message)? == Flow::Pause {
                        self.walk.advance();
                        return Ok(Progress::More);
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
    /// Within FUZZY.
    is_fuzzy: bool,
    likes: usize,
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
            SearchKey::ThreadId(id) => answer::thread_of(&id).map_or(Test::Nothing, Test::Thread),
            SearchKey::Larger(size) => Test::Larger(size),
            SearchKey::Smaller(size) => Test::Smaller(size),
            SearchKey::Header(name, text) => self.content(Within::Field(name), &text)?,
            SearchKey::Body(text) => self.content(Within::Body, &text)?,
            SearchKey::Text(text) => self.content(Within::Message, &text)?,
            SearchKey::Fuzzy(key) => {
                let is_fuzzy = std::mem::replace(&mut self.is_fuzzy, true);
                let test = self.resolve(*key);
                self.is_fuzzy = is_fuzzy;
                test?
            }
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
        let text = mail_format::fold(text);
        let likes = if self.is_fuzzy { Like::words_of(&text) } else { Vec::new() };
        if likes.is_empty() {
            return self.needle(Needle { within, text, like: None }).map(Test::Content);
        }
        let mut needles = Vec::with_capacity(likes.len());
        for like in likes {
            let text = like.word().to_owned();
            needles.push(self.needle(Needle { within: within.clone(), text, like: Some(like) })?);
        }
        Ok(Test::Like(needles))
    }

    fn needle(&mut self, needle: Needle) -> Result<usize, Refusal> {
        if let Some(known) = self.needles.iter().position(|known| *known == needle) {
            return Ok(known);
        }
        if self.needles.len() == TEXTS_MAX {
            return Err(Refusal::Limit("Too many texts in one search; look for at most 100"));
        }
        if needle.like.is_some() {
            if self.likes == LIKES_MAX {
                return Err(Refusal::Limit("Too many fuzzy words in one search; look for at most 16"));
            }
            self.likes += 1;
        }
        self.needles.push(needle);
        Ok(self.needles.len() - 1)
    }
}

/// 0: the hot record; 1: the cold one; 2: content.
fn cost(test: &Test) -> u8 {
    match test {
        Test::Received(..) | Test::Sent(..) | Test::Saved(..) | Test::Guid(_) => 1,
        Test::ArrivedUntil(_) | Test::ArrivedFrom(_) => 1,
        Test::Content(_) | Test::Like(_) => 2,
        Test::Not(inner) => cost(inner),
        Test::Or(one, other) => cost(one).max(cost(other)),
        Test::And(tests) => tests.iter().map(cost).max().unwrap_or(0),
        _ => 0,
    }
}

/// Those of ascending sequence numbers that the sets of a test allow.
fn narrowed(test: &Test, places: Vec<std::ops::RangeInclusive<u32>>) -> Vec<std::ops::RangeInclusive<u32>> {
    match test {
        Test::Ranges(ranges) => sequences::common(&places, ranges),
        Test::And(tests) => tests.iter().fold(places, |places, test| narrowed(test, places)),
        _ => places,
    }
}

/// The needles without which no message passes.
fn needed(test: &Test) -> Vec<usize> {
    match test {
        Test::Content(needle) => vec![*needle],
        Test::Like(needles) => needles.clone(),
        Test::And(tests) => tests.iter().flat_map(needed).collect(),
        _ => Vec::new(),
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
