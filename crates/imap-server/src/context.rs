//! Results of searches that are kept up to date: UPDATE and CANCELUPDATE (RFC 5267 §4.3).
//!
//! A context keeps the criteria and the UIDs its client knows to match. Whenever the view takes in what is new, messages
//! that changed since are asked again, slice by slice as SEARCH asks them, and the difference is told: what is gone before
//! its EXPUNGE, the rest behind the FETCH and EXISTS it comes from. Only searches by UID without message numbers in their
//! criteria have contexts; others are refused the updates, which the RFC allows (§4.3.1).

use connection::Output;
use imap_wire::{Charset, SearchKey};
use message_store::UidSet;

use crate::answer;
use crate::commands::Progress;
use crate::commands::search::matching::{Flow, Matching};
use crate::sequences;
use crate::view::View;

/// Contexts of one session.
pub const CONTEXTS_MAX: usize = 4;

/// One result that is kept up to date.
pub struct Context {
    /// Of the command that asked for it.
    pub tag: Box<[u8]>,
    pub key: SearchKey,
    /// UIDs that the client knows to match.
    pub results: UidSet,
    /// Changes up to here were asked about.
    pub seen: u64,
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
        context.results = here;
        tell(&context.tag, "REMOVEFROM", &gone, out);
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
            let matched = &mut look.matched;
            let result = look.matching.slice(view, |message| {
                matched.push(message.record.uid);
                Ok(Flow::On)
            });
            match result {
                Ok(Progress::More) => {
                    self.look = Some(look);
                    return Progress::More;
                }
                Ok(Progress::Done) => look.end(view, self.at, out),
                Err(_) => {} // a message that cannot be read; it is asked about again with the next change
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
        Some(Look { matching, changed, matched: UidSet::new(), until })
    }

    fn end(self, view: &mut View, at: usize, out: &mut Output) {
        let Some(context) = view.contexts.get_mut(at) else { return };
        let removed = self.changed.without(&self.matched).common(&context.results);
        let added = self.matched.without(&context.results);
        tell(&context.tag, "REMOVEFROM", &removed, out);
        tell(&context.tag, "ADDTO", &added, out);
        let kept = context.results.without(&removed);
        context.results = UidSet::from_ranges(kept.ranges().iter().chain(added.ranges()).cloned());
        context.seen = self.until;
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
