//! RETURN of SEARCH and SORT: the result in one response, and as `$` (RFC 4731, RFC 5182, RFC 5267 §3, RFC 9394 §3.1; with
//! MODSEQ: RFC 7162 §3.1.5, §3.1.10).

use std::ops::RangeInclusive;

use connection::Output;
use imap_wire::{Naming, Partial, Returned};
use message_store::{Record, UidSet};

use crate::answer;
use crate::commands::Progress;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::sequences::{append, cut};
use crate::view::View;

/// What a command without RETURN means, when it is answered as if it had one (RFC 4731 §3.1).
pub const ALL: Returned = Returned {
    min: false,
    max: false,
    all: true,
    count: false,
    save: false,
    update: false,
    relevancy: false,
    partial: None,
};

/// One message that was found.
#[derive(Clone, Copy)]
struct One {
    number: u32,
    uid: u32,
    modseq: u64,
}

/// What a command with RETURN has found so far.
pub struct Gathered {
    returned: Returned,
    pub uid: bool,
    tag: Box<[u8]>,
    /// Where, when the search goes beyond one mailbox (RFC 7377 §2.1); then nothing is told of a mailbox without hits.
    place: Option<Box<[u8]>>,
    first: Option<One>,
    last: Option<One>,
    highest_modseq: u64,
    /// Of the page that PARTIAL asks for.
    page_modseq: Option<u64>,
    count: u64,
    /// What ALL or PARTIAL says: sequence numbers or UIDs, in the order of the result.
    all: Vec<RangeInclusive<u32>>,
    /// How well each message matches, in the order of the result; of the page, with PARTIAL (RFC 6203 §4).
    scores: Vec<u8>,
    /// Those that are written; nothing: the list is not begun.
    scores_told: Option<usize>,
    /// UIDs that `$` will be.
    saved: Vec<RangeInclusive<u32>>,
    /// With UPDATE: what is to be kept up to date.
    pub context: Option<Context>,
    /// Ranges of `all` that are written; nothing: not even the beginning of the line is.
    told: Option<usize>,
}

impl Gathered {
    pub fn new(returned: Returned, uid: bool, tag: &[u8]) -> Gathered {
        Gathered {
            returned,
            uid,
            tag: tag.into(),
            place: None,
            first: None,
            last: None,
            highest_modseq: 0,
            page_modseq: None,
            count: 0,
            all: Vec::new(),
            scores: Vec::new(),
            scores_told: None,
            saved: Vec::new(),
            context: None,
            told: None,
        }
    }

    /// The same, of this mailbox among others.
    pub fn in_mailbox(self, name: &str, naming: Naming, uid_validity: u32) -> Gathered {
        let mut place = b" MAILBOX ".to_vec();
        place.extend_from_slice(&imap_wire::mailbox::written(name, naming));
        place.extend_from_slice(format!(" UIDVALIDITY {uid_validity}").as_bytes());
        Gathered { place: Some(place.into()), ..self }
    }

    pub fn saves(&self) -> bool {
        self.returned.save
    }

    /// Whether the response is half written.
    pub fn is_telling(&self) -> bool {
        self.told.is_some()
    }

    /// The beginning of the result is all that was asked for.
    pub fn is_enough(&self) -> bool {
        let Returned { min, max, all, count, relevancy, partial, .. } = self.returned;
        let page_is_whole = match partial {
            Some(page) => !page.from_end && self.count >= u64::from(*page.places().end()),
            None => true,
        };
        self.context.is_none()
            && (min || partial.is_some())
            && !max
            && !all
            && !count
            && (!relevancy || partial.is_some())
            && page_is_whole
            && self.first.is_some()
    }

    /// Takes in a message, in the order of the result.
    pub fn found(&mut self, number: u32, record: &Record, score: u8) {
        let one = One { number, uid: record.uid, modseq: record.modseq };
        self.first.get_or_insert(one);
        self.last = Some(one);
        self.highest_modseq = self.highest_modseq.max(record.modseq);
        self.count += 1;
        if self.returned.all || self.returned.partial.is_some() {
            append(&mut self.all, number);
        }
        if self.returned.relevancy {
            self.scores.push(score);
        }
        if let Some(context) = &mut self.context {
            context.found(record.uid);
        }
        if self.saves_all() {
            append(&mut self.saved, record.uid);
        }
    }

    /// With MIN, MAX or PARTIAL and nothing else, `$` is only those (RFC 5182 §2.4, RFC 9394 §3.2).
    fn saves_all(&self) -> bool {
        let Returned { min, max, all, count, save, partial, .. } = self.returned;
        save && (all || count || !(min || max || partial.is_some()))
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
            if let Some(page) = self.returned.partial {
                self.turn_to(page, view);
            }
            view.contexts.extend(self.context.take().map(Context::begun));
            if self.returned.save {
                let mut saved = std::mem::take(&mut self.saved);
                saved.extend(self.ends().map(|one| one.uid..=one.uid));
                view.save(UidSet::from_ranges(saved));
            }
            if !self.returned.is_told() || (self.place.is_some() && self.count == 0) {
                return Ok(Progress::Done);
            }
            self.told = Some(0);
            self.begin(out);
        }
        while let Some(range) = self.told.and_then(|told| self.all.get(told)) {
            if out.is_full() {
                return Ok(Progress::More);
            }
            match (self.told, self.returned.partial) {
                (Some(0), Some(_)) => {}
                (Some(0), None) => out.push(b" ALL "),
                _ => out.push(b","),
            }
            answer::range(out, range);
            self.told = self.told.map(|told| told + 1);
        }
        if self.scores_told.is_none() {
            if self.returned.partial.is_some() {
                out.push(if self.all.is_empty() { b"NIL)" } else { b")" });
            }
            if with_modseq && self.count > 0 {
                out.push(b" MODSEQ ");
                answer::digits(out, self.modseq());
            }
            self.scores_told = Some(0);
        }
        if self.returned.relevancy && self.tell_scores(out) == Progress::More {
            return Ok(Progress::More);
        }
        out.push(b"\r\n");
        Ok(Progress::Done)
    }

    /// ` RELEVANCY (4 99 42)`
    fn tell_scores(&mut self, out: &mut Output) -> Progress {
        let told = self.scores_told.unwrap_or(0);
        for (place, score) in self.scores.iter().enumerate().skip(told) {
            if out.is_full() {
                self.scores_told = Some(place);
                return Progress::More;
            }
            out.push(if place == 0 { b" RELEVANCY (" } else { b" " });
            answer::digits(out, (*score).into());
        }
        self.scores_told = Some(self.scores.len());
        out.push(if self.scores.is_empty() { b" RELEVANCY ()" } else { b")" });
        Progress::Done
    }

    /// Leaves of what was found the page that was asked for.
    fn turn_to(&mut self, page: Partial, view: &View) {
        self.all = cut(&self.all, page.of(self.count));
        let places = page.of(self.count);
        let place = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(self.scores.len());
        self.scores = self.scores[place(places.start)..place(places.end)].to_vec();
        for number in self.all.iter().cloned().flatten() {
            let sequence = if self.uid { view.sequence_from_uid(number) } else { number };
            let Some((_, record)) = view.record(sequence) else { continue };
            self.page_modseq = self.page_modseq.max(Some(record.modseq));
            if self.returned.save && !self.saves_all() {
                append(&mut self.saved, record.uid);
            }
        }
    }

    fn begin(&self, out: &mut Output) {
        out.push(b"* ESEARCH (TAG \"");
        out.push(&self.tag);
        out.push(b"\"");
        out.push(self.place.as_deref().unwrap_or_default());
        out.push(if self.uid { b") UID" } else { b")" });
        let mut item = |is_asked: bool, word: &[u8], value: Option<u64>| {
            if let Some(value) = value.filter(|_| is_asked) {
                out.push(word);
                answer::digits(out, value);
            }
        };
        item(self.returned.min, b" MIN ", self.first.map(|one| one.number.into()));
        item(self.returned.max, b" MAX ", self.last.map(|one| one.number.into()));
        item(self.returned.count, b" COUNT ", Some(self.count));
        if let Some(page) = self.returned.partial {
            out.push(format!(" PARTIAL ({} ", page.text()).as_bytes());
        }
    }

    /// Of the messages the response names, or of all that were found (RFC 7162 §3.1.10).
    fn modseq(&self) -> u64 {
        if self.returned.all || self.returned.count {
            return self.highest_modseq;
        }
        self.ends().map(|one| one.modseq).chain(self.page_modseq).max().unwrap_or(self.highest_modseq)
    }
}
