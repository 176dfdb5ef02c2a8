//! What the index of words says of messages: asked segment by segment as a search comes to them, so that most need not be
//! looked at. A segment is asked one question a slice.

use std::sync::Arc;

use crate::{Answer, Bits, Close, Like, Mailbox, Query, TextIndex, TextScope, TextSegment};

use super::scan::{Needle, Scan, Within};

/// So many messages of a segment are looked at before it is asked: a search for few messages is done sooner so.
const LOOKED_AT_FIRST: u32 = 16;
/// Fewer messages are passed over one by one.
const SKIP_MIN: u32 = 8;

/// Questions about each needle, and the answers of the segment that the search has come to.
pub struct Hints {
    /// By needle; nothing for one that words do not tell.
    queries: Vec<Option<Question>>,
    /// Whether a hit of the query is one of the needle: not for fields, of which words do not tell one from another.
    is_whole: Vec<bool>,
    /// Needles that every hit has.
    needed: Vec<usize>,
    index: Index,
    segment: Option<Asked>,
}

enum Question {
    Exact(Query),
    Like(Like, TextScope),
}

enum Reply {
    Exact(Answer),
    Like(Close),
}

impl Question {
    fn ask(&self, segment: &TextSegment, mailbox: &Mailbox) -> Option<Reply> {
        match self {
            Question::Exact(query) => segment.ask(mailbox, query).map(Reply::Exact),
            Question::Like(like, scope) => segment.ask_like(mailbox, like, *scope).map(Reply::Like),
        }
    }
}

impl Reply {
    /// Messages that are hits, or may be.
    fn possible(&self) -> Bits {
        match self {
            Reply::Exact(answer) => {
                let mut possible = answer.yes.clone();
                possible.add(&answer.maybe);
                possible
            }
            Reply::Like(close) => close.possible(),
        }
    }
}

enum Index {
    Unknown,
    None,
    There(Arc<TextIndex>),
}

/// A segment, and its answers so far.
struct Asked {
    segment: Arc<TextSegment>,
    /// By needle.
    answers: Vec<Option<Reply>>,
    /// All questions were answered, as far as they can be.
    is_complete: bool,
    /// It cannot be believed.
    is_broken: bool,
    /// Places that may be hits, once all is answered and none may be missing.
    candidates: Option<Bits>,
    looked_at: u32,
    /// The place of the message that was asked for last.
    last_place: u32,
}

/// What came of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// What can be known of the message is known.
    All,
    /// A question was answered; there are more.
    SomeOfSegment,
}

impl Hints {
    pub fn new(needles: &[Needle], needed: Vec<usize>) -> Hints {
        let scope = |needle: &Needle| match &needle.within {
            Within::Field(_) => TextScope::Header,
            Within::Message => TextScope::Both,
            Within::Body => TextScope::Body,
        };
        let query = |needle: &Needle| match &needle.like {
            Some(like) => Some(Question::Like(like.clone(), scope(needle))),
            None => Query::new(&needle.text, scope(needle)).map(Question::Exact),
        };
        let queries: Vec<Option<Question>> = needles.iter().map(query).collect();
        let is_whole = needles.iter().map(|needle| !matches!(needle.within, Within::Field(_))).collect();
        let index = if queries.iter().all(Option::is_none) { Index::None } else { Index::Unknown };
        Hints { queries, is_whole, needed, index, segment: None }
    }

    /// Tells the scan what is known of this message, or asks the next question about its segment.
    pub fn tell(&mut self, mailbox: &Mailbox, uid: u32, scan: &mut Scan) -> Told {
        if matches!(self.index, Index::Unknown) {
            self.index = mailbox.text_index().map_or(Index::None, Index::There);
        }
        let Index::There(index) = &self.index else { return Told::All };
        if !self.segment.as_ref().is_some_and(|asked| asked.segment.uids().contains(&uid)) {
            self.segment = index.at(uid).map(|segment| Asked::new(Arc::clone(segment)));
        }
        let Some(asked) = &mut self.segment else { return Told::All };
        if asked.is_broken {
            return Told::All;
        }
        if !asked.is_complete {
            if asked.looked_at < LOOKED_AT_FIRST {
                asked.looked_at += 1;
                return Told::All;
            }
            asked.ask(mailbox, &self.queries, &self.needed);
            return Told::SomeOfSegment;
        }
        let Some(place) = asked.place_of(uid) else { return Told::All };
        for (needle, answer) in asked.answers.iter().enumerate() {
            let Some(answer) = answer else { continue };
            match answer {
                Reply::Exact(answer) => {
                    let is_hit = answer.yes.has(place);
                    if is_hit && self.is_whole[needle] {
                        scan.learn(needle, true);
                    } else if !is_hit && !answer.maybe.has(place) {
                        scan.learn(needle, false);
                    }
                }
                Reply::Like(close) => match close.closeness(place) {
                    Some(closeness) if closeness == 0 || self.is_whole[needle] => {
                        scan.learn_closest(needle, closeness);
                    }
                    _ => {}
                },
            }
        }
        Told::All
    }

    /// The UID up to which no message passes, this one included; nothing when it may pass, or others close by.
    pub fn skip_from(&mut self, uid: u32) -> Option<u32> {
        let asked = self.segment.as_mut().filter(|asked| asked.segment.uids().contains(&uid))?;
        let place = asked.place_of(uid)?;
        let candidates = asked.candidates.as_ref().filter(|candidates| !candidates.has(place))?;
        match candidates.next(place) {
            Some(next) if next - place < SKIP_MIN => None,
            Some(next) => asked.segment.uid_at(next),
            None => asked.segment.uids().end().checked_add(1),
        }
    }
}

impl Asked {
    fn new(segment: Arc<TextSegment>) -> Asked {
        Asked {
            segment,
            answers: Vec::new(),
            is_complete: false,
            is_broken: false,
            candidates: None,
            looked_at: 0,
            last_place: 0,
        }
    }

    /// A search goes upward, so it is mostly the place behind the last one.
    fn place_of(&mut self, uid: u32) -> Option<u32> {
        let near = self.last_place..=self.last_place.saturating_add(1);
        let place = near
            .into_iter()
            .find(|place| self.segment.uid_at(*place) == Some(uid))
            .or_else(|| self.segment.place_of(uid))?;
        self.last_place = place;
        Some(place)
    }

    /// The next question.
    fn ask(&mut self, mailbox: &Mailbox, queries: &[Option<Question>], needed: &[usize]) {
        while let Some(query) = queries.get(self.answers.len()) {
            let Some(query) = query else {
                self.answers.push(None);
                continue;
            };
            match query.ask(&self.segment, mailbox) {
                Some(answer) => self.answers.push(Some(answer)),
                None => self.is_broken = true,
            }
            break;
        }
        self.is_complete = self.answers.len() == queries.len();
        if self.is_complete && self.segment.knows_all() {
            self.candidates = self.candidates(needed);
        }
    }

    /// The places that have, or may have, all that is needed; nothing when nothing is.
    fn candidates(&self, needed: &[usize]) -> Option<Bits> {
        let mut all: Option<Bits> = None;
        for answer in needed.iter().filter_map(|needle| self.answers.get(*needle)?.as_ref()) {
            let possible = answer.possible();
            match &mut all {
                Some(all) => all.keep(&possible),
                None => all = Some(possible),
            }
        }
        all
    }
}
