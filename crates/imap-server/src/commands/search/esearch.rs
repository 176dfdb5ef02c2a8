//! SEARCH RETURN: the result in one response, and as `$` (RFC 4731, RFC 5182; with MODSEQ: RFC 7162 §3.1.5, §3.1.10).

use std::ops::RangeInclusive;

use connection::Output;
use imap_wire::Returned;
use message_store::{Record, UidSet};

use crate::answer;
use crate::commands::Progress;
use crate::refusal::Refusal;
use crate::view::View;

/// One message that was found.
#[derive(Clone, Copy)]
struct One {
    number: u32,
    uid: u32,
    modseq: u64,
}

/// What a search with RETURN has found so far.
pub struct Gathered {
    returned: Returned,
    uid: bool,
    tag: Box<[u8]>,
    first: Option<One>,
    last: Option<One>,
    highest_modseq: u64,
    count: u64,
    /// What ALL says: sequence numbers or UIDs.
    all: Vec<RangeInclusive<u32>>,
    /// What `$` will be.
    saved: UidSet,
    /// Ranges of `all` that are written; nothing: not even the beginning of the line is.
    told: Option<usize>,
}

impl Gathered {
    pub fn new(returned: Returned, uid: bool, tag: &[u8]) -> Gathered {
        Gathered {
            returned,
            uid,
            tag: tag.into(),
            first: None,
            last: None,
            highest_modseq: 0,
            count: 0,
            all: Vec::new(),
            saved: UidSet::new(),
            told: None,
        }
    }

    pub fn saves(&self) -> bool {
        self.returned.save
    }

    /// The first one is all that was asked for.
    pub fn is_enough(&self) -> bool {
        let Returned { min, max, all, count, save: _ } = self.returned;
        min && !max && !all && !count && self.first.is_some()
    }

    /// Takes in a message; they come in ascending order.
    pub fn found(&mut self, sequence: u32, record: &Record) {
        let number = if self.uid { record.uid } else { sequence };
        let one = One { number, uid: record.uid, modseq: record.modseq };
        self.first.get_or_insert(one);
        self.last = Some(one);
        self.highest_modseq = self.highest_modseq.max(record.modseq);
        self.count += 1;
        if self.returned.all {
            match self.all.last_mut() {
                Some(last) if last.end().checked_add(1) == Some(number) => *last = *last.start()..=number,
                _ => self.all.push(number..=number),
            }
        }
        if self.saves_all() {
            self.saved.push(record.uid);
        }
    }

    /// RFC 5182 §2.4: with MIN or MAX and nothing else, `$` is only those.
    fn saves_all(&self) -> bool {
        let Returned { min, max, all, count, save } = self.returned;
        save && (all || count || !(min || max))
    }

    fn ends(&self) -> impl Iterator<Item = One> {
        let first = self.first.filter(|_| self.returned.min);
        let last = self.last.filter(|_| self.returned.max);
        first.into_iter().chain(last)
    }

    /// Writes the response until the queue is full; at its beginning `$` takes its new value.
    pub fn tell(
        &mut self,
        view: &mut View,
        with_modseq: bool,
        out: &mut Output,
    ) -> Result<Progress, Refusal> {
        if self.told.is_none() {
            if self.returned.save {
                let ends = self.ends().map(|one| one.uid).collect();
                view.save(if self.saves_all() { std::mem::take(&mut self.saved) } else { ends });
            }
            if !self.returned.is_told() {
                return Ok(Progress::Done);
            }
            self.told = Some(0);
            self.begin(out);
        }
        while let Some(range) = self.told.and_then(|told| self.all.get(told)) {
            if out.is_full() {
                return Ok(Progress::More);
            }
            out.push(if self.told == Some(0) { b" ALL " } else { b"," });
            answer::range(out, range);
            self.told = self.told.map(|told| told + 1);
        }
        if with_modseq && self.count > 0 {
            out.push(b" MODSEQ ");
            answer::digits(out, self.modseq());
        }
        out.push(b"\r\n");
        Ok(Progress::Done)
    }

    fn begin(&self, out: &mut Output) {
        out.push(b"* ESEARCH (TAG \"");
        out.push(&self.tag);
        out.push(if self.uid { b"\") UID" } else { b"\")" });
        let mut item = |is_asked: bool, word: &[u8], value: Option<u64>| {
            if let Some(value) = value.filter(|_| is_asked) {
                out.push(word);
                answer::digits(out, value);
            }
        };
        item(self.returned.min, b" MIN ", self.first.map(|one| one.number.into()));
        item(self.returned.max, b" MAX ", self.last.map(|one| one.number.into()));
        item(self.returned.count, b" COUNT ", Some(self.count));
    }

    /// Of the messages the response names, or of all that were found (RFC 7162 §3.1.10).
    fn modseq(&self) -> u64 {
        if self.returned.all || self.returned.count {
            return self.highest_modseq;
        }
        self.ends().map(|one| one.modseq).max().unwrap_or(self.highest_modseq)
    }
}
