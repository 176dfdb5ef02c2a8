//! FETCH, UID FETCH: what messages are made of (RFC 3501 §6.4.5, §7.4.2).
//!
//! A cursor writes until the output queue is full, in the middle of a row if need be, and goes on when it has
//! drained: a million rows, or a row of a thousand bodies, cost one bounded buffer.

mod decoded;
mod source;

use std::ops::RangeInclusive;

use connection::Output;
use imap_wire::{Bound, FetchItem, Partial, SequenceSet};
use message_store::{FlagChange, Flags, How, Rights, StoreError, UidSet, Within};

use crate::answer;
use crate::commands::Progress;
use crate::message_limit::{self, Cut};
use crate::refusal::Refusal;
use crate::sequences::{self, Walk};
use crate::vanished;
use crate::view::{Told, View};
pub use decoded::Decoded;
use source::Source;

/// Messages that get \Seen in one change of the store.
const SEEN_BATCH: usize = 128;

/// Messages that did not change, looked at before others have their turn.
const SKIPPED_MAX: u32 = 50_000;

/// A FETCH under way.
pub struct Fetch {
    pub uid: bool,
    items: Vec<FetchItem>,
    walk: Walk,
    /// Items of the present row that are written.
    written: usize,
    /// The next item, half written.
    decoded: Option<Box<Decoded>>,
    keywords: Vec<String>,
    /// Non-PEEK sections of a mailbox selected read-write set \Seen.
    sets_seen: bool,
    /// Messages up to this sequence number have \Seen already.
    seen_until: u32,
    newly_seen: UidSet,
    /// Only messages that changed after this (RFC 7162 §3.1.4.1).
    changed_since: Option<u64>,
    /// UIDs that are gone, told before the first row (RFC 7162 §3.2.6).
    vanished: UidSet,
    vanished_told: usize,
    /// Changes made and told, for [`View::announce`].
    pub told: Told,
    /// A message was gone for good: the tagged response says so (RFC 2180 §4.1.2).
    pub missing: bool,
    /// The first stored bytes that could not be read: their item is NIL, the tagged response says so.
    pub trouble: Option<Refusal>,
    /// Where it ends, when it is for more than `service.imap.messagelimit` messages.
    pub cut: Option<Cut>,
}

impl Fetch {
    /// A FETCH of messages of the view.
    ///
    /// # Errors
    /// A message that does not exist; a page of more than `most` messages.
    pub fn new(
        asked: imap_wire::command::fetch::Fetch,
        view: &View,
        most: Option<u32>,
    ) -> Result<Fetch, Refusal> {
        let vanished = match asked.changed_since {
            Some(since) if asked.vanished => vanished::since(view, &uids(&asked.set, view), since)?,
            _ => UidSet::new(),
        };
        let mut ranges = sequences::resolve(&asked.set, view, asked.uid)?;
        if let Some(since) = asked.changed_since {
            ranges = view.touched(ranges, since);
        }
        if let Some(page) = asked.partial {
            ranges = page_of(ranges, page, asked.changed_since, view);
        }
        let (ranges, cut) = message_limit::bound(ranges, most, view);
        if let Some(cut) = cut.filter(|_| asked.partial.is_some()) {
            return Err(cut.refusal());
        }
        let walk = Walk::new(ranges);
        let mut items = asked.items;
        if asked.uid && !items.contains(&FetchItem::Uid) && !view.enabled().uid_only() {
            items.insert(0, FetchItem::Uid); // RFC 3501 §6.4.8; after ENABLE UIDONLY the row begins with it
        }
        if asked.changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq); // RFC 7162 §3.1.4.1
        }
        let reads = items.iter().any(|item| match item {
            FetchItem::Section(section) => !section.peek,
            FetchItem::Binary(binary) => !binary.peek,
            _ => false,
        });
        Ok(Fetch {
            uid: asked.uid,
            items,
            walk,
            written: 0,
            decoded: None,
            keywords: view.mailbox.keywords(),
            sets_seen: reads && !view.is_read_only() && view.may(Rights::SEEN).is_ok(), // RFC 4314 §4
            seen_until: 0,
            newly_seen: UidSet::new(),
            changed_since: asked.changed_since,
            vanished,
            vanished_told: 0,
            told: Told::new(),
            missing: false,
            trouble: None,
            cut,
        })
    }

    /// Writes rows until the queue is full.
    pub fn step(&mut self, view: &mut View, out: &mut Output) -> Result<Progress, Refusal> {
        for line in self.vanished.ranges().chunks(answer::RANGES_PER_LINE).skip(self.vanished_told) {
            if out.is_full() {
                return Ok(Progress::More);
            }
            answer::vanished(out, line, true);
            self.vanished_told += 1;
        }
        let mut skipped = 0;
        while let Some(sequence) = self.walk.peek() {
            if out.is_full() {
                return Ok(Progress::More);
            }
            if self.is_at_start() && self.tells_flags() {
                view.tell_keywords(&self.keywords, out); // before they are used (RFC 3501 §7.2.6)
            }
            if self.is_at_start() && !self.is_meant(sequence, view) {
                self.walk.advance();
                skipped += 1;
                if skipped == SKIPPED_MAX {
                    return Ok(Progress::More);
                }
                continue;
            }
            if self.sets_seen && sequence > self.seen_until {
                self.set_seen(view)?;
            }
            if self.row(sequence, view, out)? == Progress::More {
                return Ok(Progress::More);
            }
            self.written = 0;
            self.walk.advance();
        }
        Ok(Progress::Done)
    }

    fn tells_flags(&self) -> bool {
        self.sets_seen || self.items.contains(&FetchItem::Flags)
    }

    /// Whether nothing of the present row is written.
    fn is_at_start(&self) -> bool {
        self.written == 0 && self.decoded.is_none()
    }

    /// Whether the message changed since it matters. One that is gone is told of as gone.
    fn is_meant(&self, sequence: u32, view: &View) -> bool {
        let Some(since) = self.changed_since else { return true };
        view.record(sequence).is_some_and(|(_, record)| record.modseq > since && !record.is_expunged())
    }

    fn set_seen(&mut self, view: &mut View) -> Result<(), Refusal> {
        let mut unseen = UidSet::new();
        for sequence in self.walk.ahead(SEEN_BATCH) {
            self.seen_until = sequence;
            if let Some((_, record)) = view.record(sequence).filter(|_| self.is_meant(sequence, view)) {
                if !record.flags.contains(Flags::SEEN) && !record.flags.contains(Flags::EXPUNGED) {
                    unseen.push(record.uid);
                }
            }
        }
        self.newly_seen = UidSet::new();
        if unseen.is_empty() {
            return Ok(());
        }
        let change = FlagChange { how: How::Add, flags: Flags::SEEN, keywords: &[] };
        let result = view.change_flags(&unseen, change, Within::ALL, None)?;
        self.newly_seen = result.changed.into_iter().collect();
        Ok(())
    }

    /// One row, or the rest of one. Nothing is written of a message that is gone before its row begins.
    fn row(&mut self, sequence: u32, view: &View, out: &mut Output) -> Result<Progress, Refusal> {
        let Some((slot, record)) = view.record(sequence) else {
            let damaged = || StoreError::Damaged(format!("the record of message {sequence}")).into();
            self.trouble.get_or_insert_with(damaged);
            return Ok(Progress::Done);
        };
        let rest = self.items.get(self.written..).unwrap_or_default();
        let mut source = Source::new(view, slot, record);
        match source.prepare(rest) {
            Ok(true) => {}
            Ok(false) if self.is_at_start() => {
                self.missing = true;
                return Ok(Progress::Done);
            }
            Ok(false) => self.missing = true, // what is left of the row is NIL
            Err(refusal) if self.is_at_start() => {
                self.trouble.get_or_insert(refusal);
                return Ok(Progress::Done);
            }
            Err(refusal) => {
                self.trouble.get_or_insert(refusal);
            }
        }
        if self.is_at_start() {
            answer::fetch_begins(out, sequence, record.uid, view.shown(false));
        }
        while let Some(item) = self.items.get(self.written) {
            if let Some(decoded) = &mut self.decoded {
                match decoded.step(out) {
                    Ok(Progress::More) => return Ok(Progress::More),
                    Ok(Progress::Done) => {}
                    Err(refusal) => {
                        self.trouble.get_or_insert(refusal);
                    }
                }
                self.decoded = None;
                self.written += 1;
                continue;
            }
            // The beginning of a row may fill the queue; it must not be written again.
            if self.written > 0 && out.is_full() {
                return Ok(Progress::More);
            }
            if self.written > 0 {
                out.push(b" ");
            }
            if let FetchItem::Binary(binary) | FetchItem::BinarySize(binary) = item {
                let size_only = matches!(item, FetchItem::BinarySize(_));
                out.push(binary.label.as_bytes());
                out.push(b" ");
                match source.decoded(binary, size_only) {
                    Ok(decoded) => self.decoded = decoded.map(Box::new),
                    Err(refusal) => {
                        self.trouble.get_or_insert(refusal);
                    }
                }
                if self.decoded.is_some() {
                    continue;
                }
                out.push(if size_only { b"0" } else { b"NIL" }); // there is no such part
            } else if let Err(refusal) = source.write(item, &self.keywords, out) {
                self.trouble.get_or_insert(refusal);
            }
            self.written += 1;
        }
        if self.newly_seen.contains(record.uid) {
            if !self.items.contains(&FetchItem::Flags) {
                out.push(b" FLAGS ");
                answer::flags(out, &record, view.is_recent(record.uid), &self.keywords);
            }
            let shown = view.shown(false);
            if shown.uid && !self.items.contains(&FetchItem::Uid) {
                out.push(b" UID ");
                answer::digits(out, record.uid.into());
            }
            if shown.modseq && !self.items.contains(&FetchItem::ModSeq) {
                out.push(b" ");
                answer::modseq(out, record.modseq);
            }
            self.told.push(view.told_of(slot));
        }
        out.push(b")\r\n");
        Ok(Progress::Done)
    }
}

/// The page that PARTIAL asks for, of those that CHANGEDSINCE leaves (RFC 9394 §3.3).
fn page_of(
    mut ranges: Vec<RangeInclusive<u32>>,
    page: Partial,
    changed_since: Option<u64>,
    view: &View,
) -> Vec<RangeInclusive<u32>> {
    if let Some(since) = changed_since {
        let mut changed = Vec::new();
        for sequence in ranges.into_iter().flatten() {
            if view.record(sequence).is_some_and(|(_, record)| record.modseq > since && !record.is_expunged())
            {
                sequences::append(&mut changed, sequence);
            }
        }
        ranges = changed;
    }
    sequences::cut(&ranges, page.of(sequences::count(&ranges)))
}

/// The UIDs a set names, whether there are such messages or not; `$` is what it stands for. What was expunged at the end of
/// the mailbox is within `1:*` too, or a client that asks for that would never hear of it.
fn uids(set: &SequenceSet, view: &View) -> UidSet {
    if let [(Bound::Saved, _)] = set.0[..] {
        return view.saved().clone();
    }
    let value = |bound: &Bound| match bound {
        Bound::Number(number) => *number,
        Bound::Last | Bound::Saved => u32::MAX,
    };
    UidSet::from_ranges(set.0.iter().map(|(one, other)| {
        let (one, other) = (value(one), value(other));
        one.min(other)..=one.max(other)
    }))
}

impl Fetch {
    /// What a client that comes back has missed (RFC 7162 §3.2.5.1): flags of those of `uids` that changed after `since`,
    /// and those that are gone.
    pub fn resync(view: &View, uids: &UidSet, since: u64, unchanged_until: u32) -> Result<Fetch, Refusal> {
        let walk = Walk::new(view.touched(sequences::of_uids(uids, view), since));
        let perhaps_gone = uids.without(&UidSet::from_ranges([0..=unchanged_until]));
        Ok(Fetch {
            uid: true,
            items: vec![FetchItem::Uid, FetchItem::Flags, FetchItem::ModSeq],
            walk,
            written: 0,
            decoded: None,
            keywords: view.mailbox.keywords(),
            sets_seen: false,
            seen_until: 0,
            newly_seen: UidSet::new(),
            changed_since: Some(since),
            vanished: vanished::since(view, &perhaps_gone, since)?,
            vanished_told: 0,
            told: Told::new(),
            missing: false,
            trouble: None,
            cut: None,
        })
    }
}
