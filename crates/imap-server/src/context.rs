//! Results of searches that are kept up to date: UPDATE and CANCELUPDATE (RFC 5267 §4.3).
//!
//! A context keeps the criteria and the UIDs its client knows to match. Whenever the view takes in what is new, messages
//! that changed since are asked again, slice by slice as SEARCH asks them, and the difference is told: what is gone before
//! its EXPUNGE, the rest behind the FETCH and EXISTS it comes from. Only searches by UID without message numbers in their
//! criteria have contexts; others are refused the updates, which the RFC allows (§4.3.1).
//!
//! The context of a SORT keeps its UIDs in their order as well, four bytes for each, and no sort keys: what a message is sorted
//! by never changes, so a message that is new is compared with as many others as a binary search asks for, and those are read
//! again.

use connection::Output;
use imap_wire::{Charset, Criterion, SearchKey};
use message_store::UidSet;

use crate::answer;
use crate::commands::Progress;
use crate::commands::search::matching::{Flow, Matching};
use crate::commands::search::message::Message;
use crate::commands::sort::column::{self, Column};
use crate::refusal::Refusal;
use crate::sequences;
use crate::view::View;

/// Contexts of one session.
pub const CONTEXTS_MAX: usize = 4;
/// Messages of one SORT that is kept up to date: 400 KB.
pub const SORTED_MAX: usize = 100_000;

/// One result that is kept up to date.
pub struct Context {
    /// Of the command that asked for it.
    pub tag: Box<[u8]>,
    pub key: SearchKey,
    /// UIDs that the client knows to match.
    pub results: UidSet,
    /// Of a SORT.
    pub sorted: Option<Sorted>,
    /// Changes up to here were asked about.
    pub seen: u64,
}

/// The order that the client has.
pub struct Sorted {
    pub criteria: Vec<Criterion>,
    pub uids: Vec<u32>,
}

impl Context {
    /// Of a search that begins now.
    pub fn new(tag: &[u8], key: &SearchKey, view: &View) -> Context {
        Context {
            tag: tag.into(),
            key: key.clone(),
            results: UidSet::new(),
            sorted: None,
            seen: view.flags_announced(),
        }
    }

    /// The next message of the result.
    pub fn found(&mut self, uid: u32) {
        match &mut self.sorted {
            Some(sorted) => sorted.uids.push(uid),
            None => self.results.push(uid),
        }
    }

    /// The result is whole.
    pub fn begun(self) -> Context {
        match &self.sorted {
            Some(sorted) => {
                let results = UidSet::from_ranges(sorted.uids.iter().map(|uid| *uid..=*uid));
                Context { results, ..self }
            }
            None => self,
        }
    }

    fn remove(&mut self, gone: &UidSet, out: &mut Output) {
        match &mut self.sorted {
            Some(sorted) => tell_at(&self.tag, "REMOVEFROM", &sorted.remove(gone), out),
            None => tell(&self.tag, "REMOVEFROM", gone, out),
        }
        self.results = self.results.without(gone);
    }
}

/// A place in the order, counted from 1, and the UIDs that go from there or come to there.
type Change = (usize, u32);

impl Sorted {
    /// Each place is that of when it is told, those before it being gone.
    fn remove(&mut self, gone: &UidSet) -> Vec<Change> {
        let mut removed = Vec::new();
        let mut place = 1;
        self.uids.retain(|uid| {
            if gone.contains(*uid) {
                removed.push((place, *uid));
                return false;
            }
            place += 1;
            true
        });
        removed
    }

    /// Puts in messages that are sorted among themselves; `of`: what they are sorted by.
    fn insert(&mut self, new: &New, view: &View) -> Result<Vec<Change>, Refusal> {
        let mut places = Vec::with_capacity(new.uids.len()); // in the old order
        let mut from = 0;
        for (row, uid) in new.in_order(&self.criteria) {
            from += self.place_of(from, (row, uid), &new.columns, view)?;
            places.push((from, uid));
        }
        let mut merged = Vec::with_capacity(self.uids.len() + places.len());
        let mut inserted = Vec::with_capacity(places.len());
        let mut taken = 0;
        for (place, uid) in places {
            merged.extend_from_slice(&self.uids[taken..place]);
            taken = place;
            merged.push(uid);
            inserted.push((merged.len(), uid));
        }
        merged.extend_from_slice(&self.uids[taken..]);
        self.uids = merged;
        Ok(inserted)
    }

    /// How many of those behind `from` come before a new one.
    fn place_of(
        &self,
        from: usize,
        new: (usize, u32),
        columns: &[Column],
        view: &View,
    ) -> Result<usize, Refusal> {
        let (mut low, mut high) = (from, self.uids.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let uid = self.uids[middle];
            let there = self.keys_of(uid, view)?;
            let order = column::compare(&self.criteria, &there, 0, columns, new.0).then(uid.cmp(&new.1));
            if order.is_lt() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low - from)
    }

    fn keys_of(&self, uid: u32, view: &View) -> Result<Vec<Column>, Refusal> {
        let sequence = view.sequence_from_uid(uid);
        let mut columns: Vec<Column> = columns(&self.criteria);
        if let Some((slot, record)) = view.record(sequence).filter(|(_, record)| record.uid == uid) {
            let mut message = Message::new(view, sequence, slot, record);
            for column in &mut columns {
                column.push(&mut message)?;
            }
        } else {
            columns.iter_mut().for_each(Column::push_nothing); // it is gone, and is told so next
        }
        Ok(columns)
    }
}

fn columns(criteria: &[Criterion]) -> Vec<Column> {
    criteria.iter().map(|criterion| Column::new(criterion.key)).collect()
}

/// Messages that came to match, and what they are sorted by.
#[derive(Default)]
struct New {
    uids: Vec<u32>,
    columns: Vec<Column>,
}

impl New {
    /// Rows and UIDs.
    fn in_order(&self, criteria: &[Criterion]) -> Vec<(usize, u32)> {
        let mut rows: Vec<(usize, u32)> = self.uids.iter().copied().enumerate().collect();
        rows.sort_by(|one, other| {
            column::compare(criteria, &self.columns, one.0, &self.columns, other.0).then(one.1.cmp(&other.1))
        });
        rows
    }
}

/// The updates of all contexts, under way.
#[derive(Default)]
pub struct Updates {
    /// The context that is looked at.
    at: usize,
    look: Option<Look>,
}

struct Look {
    matching: Matching,
    /// UIDs of messages that changed, and of those that match.
    changed: UidSet,
    matched: UidSet,
    /// Of a SORT: those of them that the client does not know.
    new: New,
    /// Changes up to here are among them.
    until: u64,
}

/// Tells what is gone from the view, for all contexts; it comes before the EXPUNGE of a message.
pub fn tell_gone(view: &mut View, out: &mut Output) {
    for at in 0..view.contexts.len() {
        let results = std::mem::take(&mut view.contexts[at].results);
        let is_here = |uid: &u32| {
            view.record(view.sequence_from_uid(*uid)).is_some_and(|(_, record)| record.uid == *uid)
        };
        let here: UidSet = results.ranges().iter().cloned().flatten().filter(is_here).collect();
        let gone = results.without(&here);
        let context = &mut view.contexts[at];
        context.results = results;
        context.remove(&gone, out);
    }
}

impl Updates {
    /// Asks and tells until the queue is full or others should have their turn.
    pub fn step(&mut self, view: &mut View, out: &mut Output) -> Progress {
        while self.at < view.contexts.len() {
            if out.is_full() {
                return Progress::More;
            }
            let Some(mut look) = self.look.take().or_else(|| Look::begin(view, self.at)) else {
                self.at += 1;
                continue;
            };
            let (matched, new) = (&mut look.matched, &mut look.new);
            let known = view.contexts.get(self.at).map(|context| &context.results);
            let result = look.matching.slice(view, |message| {
                let uid = message.record.uid;
                matched.push(uid);
                if !new.columns.is_empty() && !known.is_some_and(|known| known.contains(uid)) {
                    for column in &mut new.columns {
                        column.push(message)?;
                    }
                    new.uids.push(uid);
                }
                Ok(Flow::On)
            });
            match result {
                Ok(Progress::More) => {
                    self.look = Some(look);
                    return Progress::More;
                }
                Ok(Progress::Done) if look.end(view, self.at, out).is_ok() => {}
                Ok(Progress::Done) | Err(_) => {} // a message that cannot be read; it is asked about again with the next change
            }
            self.at += 1;
        }
        Progress::Done
    }
}

impl Look {
    /// Nothing when there is nothing new.
    fn begin(view: &View, at: usize) -> Option<Look> {
        let context = view.contexts.get(at)?;
        let until = view.flags_announced();
        if until <= context.seen {
            return None;
        }
        let mut changed = UidSet::new();
        let mut places = Vec::new();
        for sequence in 1..=view.exists() {
            let Some((_, record)) = view.record(sequence) else { continue };
            if record.modseq > context.seen && !record.is_expunged() {
                changed.push(record.uid);
                sequences::append(&mut places, sequence);
            }
        }
        let matching = Matching::among(Charset::Known, context.key.clone(), view, places).ok()?;
        let columns = context.sorted.as_ref().map(|sorted| columns(&sorted.criteria)).unwrap_or_default();
        let new = New { columns, ..New::default() };
        Some(Look { matching, changed, matched: UidSet::new(), new, until })
    }

    fn end(self, view: &mut View, at: usize, out: &mut Output) -> Result<(), Refusal> {
        let mut contexts = std::mem::take(&mut view.contexts);
        let result = contexts.get_mut(at).map_or(Ok(()), |context| self.end_in(context, view, out));
        view.contexts = contexts;
        result
    }

    /// # Errors
    /// A message cannot be read. What was told until then is kept.
    fn end_in(self, context: &mut Context, view: &View, out: &mut Output) -> Result<(), Refusal> {
        let removed = self.changed.without(&self.matched).common(&context.results);
        context.remove(&removed, out);
        let added = self.matched.without(&context.results);
        match &mut context.sorted {
            Some(sorted) => tell_at(&context.tag, "ADDTO", &sorted.insert(&self.new, view)?, out),
            None => tell(&context.tag, "ADDTO", &added, out),
        }
        let ranges = context.results.ranges().iter().chain(added.ranges());
        context.results = UidSet::from_ranges(ranges.cloned());
        context.seen = self.until;
        Ok(())
    }
}

/// `* ESEARCH (TAG "S01") UID ADDTO (3 7:8 12 4)`: each pair by itself moves those behind it (RFC 5267 §4.3.2), and the UIDs of
/// one set ascend, as they are inserted one behind the other or removed from one place.
fn tell_at(tag: &[u8], word: &str, changes: &[Change], out: &mut Output) {
    let mut rest = changes;
    while let Some((first, _)) = rest.split_first() {
        out.push(b"* ESEARCH (TAG \"");
        out.push(tag);
        out.push(format!("\") UID {word} (").as_bytes());
        let (mut place, mut last, mut is_first) = (first.0, 0, true);
        let line = &rest[..rest.len().min(answer::RANGES_PER_LINE)];
        rest = &rest[line.len()..];
        let step = usize::from(word == "ADDTO");
        for (count, (at, uid)) in line.iter().enumerate() {
            if !is_first && *at == place + step && *uid > last {
                out.push(b",");
            } else {
                out.push(if count == 0 { b"" } else { b" " });
                answer::digits(out, *at as u64);
                out.push(b" ");
            }
            answer::digits(out, (*uid).into());
            (place, last, is_first) = (*at, *uid, false);
        }
        out.push(b")\r\n");
    }
}

/// `* ESEARCH (TAG "B01") UID ADDTO (0 32768:32769)`; the place is 0, since results are in mailbox order.
fn tell(tag: &[u8], word: &str, uids: &UidSet, out: &mut Output) {
    for line in uids.ranges().chunks(answer::RANGES_PER_LINE) {
        out.push(b"* ESEARCH (TAG \"");
        out.push(tag);
        out.push(format!("\") UID {word} (0 ").as_bytes());
        for (index, range) in line.iter().enumerate() {
            out.push(if index == 0 { b"" } else { b"," });
            answer::range(out, range);
        }
        out.push(b")\r\n");
    }
}
