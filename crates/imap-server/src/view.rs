//! This session's sequence numbers over the store's slots (RFC 3501 §2.3.1.2, §5.2, §7.4.1).
//!
//! A view is a list of runs of consecutive live slots, so a mailbox without holes costs one run however many messages
//! it has. What other sessions did becomes visible only through [`View::announce`]: an expunged message keeps its
//! number until the client was told, and a new one has none before. Flags are read from the store when asked for.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use connection::Output;
use message_store::{
    FlagChange, FlagResult, Flags, Mailbox, Reader, Record, Result, Rights, SeenBy, Status, StoreError,
    UidSet, Within,
};

use crate::announcement::Announcement;
use crate::answer;
use crate::apart::Apart;
use crate::context::Context;
use crate::refusal::Refusal;
use crate::runs::Runs;
use crate::sequences;
use crate::state::Enabled;

/// What may be announced now (RFC 3501 §7.4.1: no EXPUNGE while FETCH, STORE or SEARCH use sequence numbers).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allowed {
    All,
    NoExpunge,
}

/// Changes up to which they are compared one by one with what was told.
const CHANGES_COMPARED_MAX: u64 = 10_000;

/// New slots up to which each is looked at, before it is asked where there are holes.
const SCANNED_MAX: u32 = 64;

/// A selected mailbox as this session knows it.
pub struct View {
    pub mailbox: Arc<Mailbox>,
    reader: Reader,
    runs: Runs,
    /// Slots below this were looked at.
    slots_known: u32,
    /// Flag changes up to here were announced.
    flags_announced: u64,
    /// Expunges up to here were announced.
    expunges_announced: u64,
    /// UIDs that are \Recent in this session, ascending.
    recent: UidSet,
    /// Number of the mailbox's keywords the client was told of.
    keywords_told: usize,
    read_only: bool,
    /// What the user may do here; an owner everything, for ever.
    rights: Rights,
    /// Somebody else's, or nobody's: the rights are looked up at each command.
    pub is_shared: bool,
    /// Of a user who has \Seen apart from the others.
    pub apart: Option<Apart>,
    enabled: Enabled,
    /// What `$` stands for (RFC 5182); expunged messages fall out by themselves.
    saved: UidSet,
    /// Counts of the mailbox from before the view was made: whatever they count is in it.
    pub opened: Status,
    /// Results that are kept up to date (RFC 5267 §4.3).
    pub contexts: Vec<Context>,
}

/// Changes this session made and has told its client of: slot and modseq after the change,
/// ascending by slot.
pub type Told = Vec<(u32, u64)>;

impl View {
    /// The mailbox as it is now. Takes the \Recent messages unless `read_only` (EXAMINE, RFC 3501 §6.3.2).
    pub fn open(
        mailbox: Arc<Mailbox>,
        read_only: bool,
        rights: Rights,
        seen: Option<Arc<SeenBy>>,
        enabled: Enabled,
    ) -> Result<View> {
        let status = mailbox.status()?;
        let apart = match seen {
            Some(by) => Some(Apart::new(by)?),
            None => None,
        };
        let reader = mailbox.reader()?;
        let mut view = View {
            keywords_told: mailbox.keywords().len(),
            reader,
            runs: Runs::default(),
            slots_known: 0,
            flags_announced: status.highest_modseq,
            expunges_announced: status.highest_modseq,
            recent: UidSet::new(),
            read_only,
            rights,
            is_shared: false,
            apart,
            enabled,
            saved: UidSet::new(),
            opened: status,
            contexts: Vec::new(),
            mailbox,
        };
        let slots = view.reader.slots();
        if status.exists == slots {
            view.runs.append(0, slots);
        } else {
            view.scan_new(slots);
        }
        view.slots_known = slots;
        view.claim_recent(status.recent)?;
        Ok(view)
    }

    pub fn exists(&self) -> u32 {
        self.runs.exists()
    }

    /// Whether the index, as this view knows it, was damaged so that it cannot be told any more which messages its numbers mean.
    /// What was read of it may be wrong, and who leaves a message out tells a client that it is gone.
    pub fn is_out_of_step(&self) -> bool {
        self.reader.is_lost()
    }

    pub fn enabled(&self) -> &Enabled {
        &self.enabled
    }

    /// Flag changes and new messages up to here are in the view.
    pub fn flags_announced(&self) -> u64 {
        self.highest_of(self.flags_announced)
    }

    /// The client knows of every change up to here (RFC 7162 §3.1.2.1).
    pub fn highest_told(&self) -> u64 {
        self.highest_of(self.flags_announced.min(self.expunges_announced))
    }

    /// The highest modification sequence number as the user has it, when the mailbox's is `raw`.
    pub fn highest_of(&self, raw: u64) -> u64 {
        self.apart.as_ref().map_or(raw, |apart| apart.highest(raw))
    }

    /// The mailbox's number that a client knows of who knows of `shown`.
    pub fn raw_modseq(&self, shown: u64) -> u64 {
        self.apart.as_ref().map_or(shown, |apart| apart.table().raw(shown))
    }

    /// Whether the client knows all that this counts: flags are told at once, an expunge would make the messages fewer.
    pub fn knows(&self, status: &Status) -> bool {
        status.highest_modseq == self.flags_announced && status.exists == self.exists()
    }

    /// What `$` stands for.
    pub fn saved(&self) -> &UidSet {
        &self.saved
    }

    pub fn save(&mut self, uids: UidSet) {
        self.saved = uids;
    }

    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether the user has these rights here.
    ///
    /// # Errors
    /// `NoPermission`.
    pub fn may(&self, needed: Rights) -> std::result::Result<(), Refusal> {
        if self.rights.contains(needed) { Ok(()) } else { Err(Refusal::NoPermission) }
    }

    /// The flags that may be changed.
    pub fn within(&self) -> Within {
        if self.read_only { Within::NOTHING } else { crate::flags::within(self.rights) }
    }

    /// Whether a client is told that it can change something for others (RFC 4314 §5.2).
    pub fn is_written(&self) -> bool {
        let changes = Rights::INSERT | Rights::EXPUNGE | Rights::WRITE | Rights::DELETE_MESSAGES;
        !self.read_only && self.rights.has_any(changes)
    }

    /// The rights are others now; a client is told what that means (RFC 4314 §5.1.1, RFC 3501 §7.1).
    pub fn set_rights(&mut self, rights: Rights, out: &mut Output) {
        let (within, written) = (self.within(), self.is_written());
        self.rights = rights;
        if self.within() != within && rights.contains(Rights::READ) {
            let keywords = self.mailbox.keywords();
            answer::flags_list(out, &keywords);
            answer::permanent_flags(out, &keywords, self.within());
        }
        if self.is_written() != written {
            let code = if written { "READ-ONLY" } else { "READ-WRITE" };
            answer::tagged(out, b"*", "OK", code, "Your rights have changed");
        }
    }

    /// The index as it was when the view last looked.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Messages of the view that are \Recent here.
    pub fn recent_count(&self) -> u32 {
        let mut count = 0u32;
        for range in self.recent.ranges() {
            let from = self.sequence_from_uid(*range.start());
            let to = match range.end().checked_add(1) {
                Some(next) => self.sequence_from_uid(next),
                None => self.exists().saturating_add(1),
            };
            count = count.saturating_add(to.saturating_sub(from));
        }
        count
    }

    pub fn is_recent(&self, uid: u32) -> bool {
        !self.recent.is_empty() && !self.enabled.rev2() && self.recent.contains(uid)
    }

    /// The first sequence number whose UID is `uid` or greater; one past the last if there is none.
    pub fn sequence_from_uid(&self, uid: u32) -> u32 {
        let slot = match self.reader.slot_of(uid) {
            Ok(slot) | Err(slot) => slot,
        };
        self.runs.sequence_from(slot)
    }

    /// The sequence numbers of a range of UIDs; empty when there is none.
    pub fn sequences_of_uids(&self, uids: &RangeInclusive<u32>) -> RangeInclusive<u32> {
        let from = self.sequence_from_uid(*uids.start());
        let to = match uids.end().checked_add(1) {
            Some(next) => self.sequence_from_uid(next).saturating_sub(1),
            None => self.exists(),
        };
        from..=to.min(self.exists())
    }

    /// UID of the last message, or 0.
    pub fn last_uid(&self) -> u32 {
        self.runs.slot(self.exists()).map_or(0, |slot| self.reader.record(slot).uid)
    }

    /// The record of a message of the view; nothing when it cannot be read.
    pub fn record(&self, sequence: u32) -> Option<(u32, Record)> {
        let slot = self.runs.slot(sequence)?;
        let record = self.shown_record(slot);
        (record != Record::DAMAGED).then_some((slot, record))
    }

    /// A record as the user sees it.
    fn shown_record(&self, slot: u32) -> Record {
        let record = self.reader.record(slot);
        match &self.apart {
            Some(apart) if !record.is_expunged() => apart.shown(record),
            _ => record,
        }
    }

    /// What stands for a change of this message in [`Told`].
    pub fn told_of(&self, slot: u32) -> (u32, u64) {
        (slot, self.reader.record(slot).modseq)
    }

    /// Changes flags of messages of the view, as far as they may change.
    ///
    /// # Errors
    /// As the store's.
    pub fn change_flags(
        &mut self,
        uids: &UidSet,
        change: FlagChange<'_>,
        within: Within,
        unchanged_since: Option<u64>,
    ) -> Result<FlagResult> {
        match &mut self.apart {
            None => self.mailbox.change_flags_within(uids, change, within, unchanged_since),
            Some(apart) => apart.change_flags(&self.mailbox, uids, change, within, unchanged_since),
        }
    }

    /// The UIDs of sequence number ranges.
    pub fn uids(&self, sequences: &[RangeInclusive<u32>]) -> UidSet {
        self.uids_of(sequences.iter().cloned().flatten())
    }

    /// The UIDs of ascending sequence numbers.
    pub fn uids_of(&self, sequences: impl Iterator<Item = u32>) -> UidSet {
        sequences.filter_map(|sequence| self.record(sequence)).map(|(_, record)| record.uid).collect()
    }

    /// Where this message is in the present generation of the index, for [`Mailbox::cached`]; nothing when it was
    /// removed for good.
    pub fn present_slot(&self, slot: u32, uid: u32) -> Result<Option<(Reader, u32)>> {
        let now = self.mailbox.reader()?;
        if now.generation() == self.reader.generation() {
            return Ok(Some((now, slot)));
        }
        Ok(now.slot_of(uid).ok().map(|slot| (now, slot)))
    }

    /// Takes in what is new, as far as it may be told; nothing when there is none.
    pub fn announce(
        &mut self,
        allowed: Allowed,
        told: &Told,
        with_uid: bool,
    ) -> Result<Option<Announcement>> {
        if !self.rights.contains(Rights::READ) {
            return Ok(None); // not any more; what happened meanwhile is told when there is the right again
        }
        let status = self.mailbox.status()?;
        let seen_news = match &mut self.apart {
            Some(apart) => apart.refresh()?,
            None => false,
        };
        let is_same =
            status.highest_modseq == self.flags_announced && status.highest_modseq == self.expunges_announced;
        if is_same && !seen_news {
            return Ok(None);
        }
        let now = self.mailbox.reader()?;
        let mut news = Announcement::new(self.shown(with_uid).uid, self.tells_vanished());
        if now.generation() == self.reader.generation() {
            self.reader = now;
        } else if allowed == Allowed::NoExpunge {
            return Ok(None); // slots mean something else now: wait until expunges may be told
        } else {
            self.follow(now, &mut news)?;
        }
        if !self.is_accounted_for(&status, told) {
            self.find_changes(allowed, told, &mut news);
        }
        self.find_seen(&mut news);
        self.take_in_new(status.recent, &mut news)?;
        self.flags_announced = status.highest_modseq;
        // Without an expunge to be told later, everything is told: as many are in the view as in the mailbox.
        if allowed == Allowed::All || self.exists() == status.exists {
            self.expunges_announced = status.highest_modseq;
        }
        news.updates = (!self.contexts.is_empty()).then(Box::default);
        Ok(Some(news))
    }

    /// Whether every change is a new message or was told already, so that no slot of the view need be looked at: each
    /// change of a mailbox has its own modseq, and an expunge makes the messages fewer.
    fn is_accounted_for(&self, status: &Status, told: &Told) -> bool {
        let since = self.flags_announced.min(self.expunges_announced);
        let count = status.highest_modseq.saturating_sub(since);
        let new = self.slots_known..self.reader.slots();
        if count > CHANGES_COMPARED_MAX || new.len() as u64 > CHANGES_COMPARED_MAX {
            return false;
        }
        let mut exists = self.exists();
        let mut known: Vec<u64> = told.iter().map(|(_, modseq)| *modseq).collect();
        for slot in new {
            let record = self.reader.record(slot);
            exists = exists.saturating_add(u32::from(!record.flags.contains(Flags::EXPUNGED)));
            known.push(record.modseq);
        }
        known.retain(|modseq| *modseq > since && *modseq <= status.highest_modseq);
        known.sort_unstable();
        known.dedup();
        known.len() as u64 == count && exists == status.exists
    }

    /// Looks for changes since the last announcement, where there may be any.
    fn find_changes(&mut self, allowed: Allowed, told: &Told, news: &mut Announcement) {
        let mut gone = Vec::new();
        let stretches = self.reader.slots_changed(self.flags_announced.min(self.expunges_announced));
        for slot in stretches.into_iter().flat_map(|stretch| self.slots_in(stretch)) {
            if self.is_untouched(slot, self.flags_announced) {
                continue;
            }
            let record = self.reader.record(slot);
            // What cannot be read is not known to be gone.
            if record == Record::DAMAGED || told.binary_search(&(slot, record.modseq)).is_ok() {
                continue;
            }
            if record.flags.contains(Flags::EXPUNGED) {
                gone.push(slot);
            } else if record.modseq > self.flags_announced {
                news.flags.push(slot);
            }
        }
        if allowed == Allowed::All {
            if self.tells_vanished() {
                news.vanish(gone.iter().map(|slot| self.reader.record(*slot).uid));
            }
            news.expunged.extend(self.runs.remove(&gone));
        }
    }

    /// The slots of the view in a stretch of the index.
    fn slots_in(&self, stretch: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        let first = self.runs.sequence_from(stretch.start);
        self.runs.from(first).map(|(_, slot)| slot).take_while(move |slot| *slot < stretch.end)
    }

    /// Whether the record in this slot says, at a glance, that the message is there and has not changed after `since`.
    fn is_untouched(&self, slot: u32, since: u64) -> bool {
        let seen = self.reader.glance(slot);
        seen.is_some_and(|(flags, modseq)| modseq <= since && !flags.contains(Flags::EXPUNGED))
    }

    /// Those of these sequence numbers whose messages may have changed after `since`, as the user counts, or be gone. All when
    /// the user counts apart from the mailbox.
    pub fn touched(&self, sequences: Vec<RangeInclusive<u32>>, since: u64) -> Vec<RangeInclusive<u32>> {
        if self.apart.is_some() {
            return sequences;
        }
        let changed = self.reader.slots_changed(since).into_iter().map(|stretch| {
            self.runs.sequence_from(stretch.start)..=self.runs.sequence_from(stretch.end).saturating_sub(1)
        });
        let changed: Vec<_> = changed.filter(|range| !range.is_empty()).collect();
        let mut touched = Vec::new();
        for range in sequences::common(&sequences, &changed) {
            let end = *range.end();
            let slots = self.runs.from(*range.start()).take_while(|(sequence, _)| *sequence <= end);
            for (sequence, _) in slots.filter(|(_, slot)| !self.is_untouched(*slot, since)) {
                sequences::append(&mut touched, sequence);
            }
        }
        touched
    }

    /// The first message without \Seen. New mail is at the end, so it is looked for only where the index counts some.
    pub fn first_unseen(&self) -> Option<u32> {
        let is_apart = self.apart.is_some();
        let is_seen = |slot: u32| {
            let seen = self.reader.glance(slot).filter(|_| !is_apart);
            seen.is_some_and(|(flags, _)| flags.contains(Flags::SEEN))
        };
        let stretches = match is_apart {
            true => std::iter::once(0..self.reader.slots()).collect(),
            false => self.reader.slots_with_unseen(),
        };
        let slots = stretches.into_iter().flat_map(|stretch| self.slots_in(stretch));
        let unseen = slots.filter(|slot| !is_seen(*slot)).find(|slot| {
            let flags = self.shown_record(*slot).flags;
            !flags.contains(Flags::SEEN) && !flags.contains(Flags::EXPUNGED)
        });
        unseen.and_then(|slot| self.runs.sequence(slot))
    }

    /// What other sessions of a user did who has \Seen apart.
    fn find_seen(&mut self, news: &mut Announcement) {
        let Some(apart) = &mut self.apart else { return };
        let uids = apart.take_news();
        let sequences = uids.iter().flat_map(|uids| self.sequences_of_uids(uids));
        let slots: Vec<u32> = sequences.filter_map(|sequence| self.runs.slot(sequence)).collect();
        if !slots.is_empty() {
            news.flags.extend(slots);
            news.flags.sort_unstable();
            news.flags.dedup();
        }
    }

    fn take_in_new(&mut self, recent: u32, news: &mut Announcement) -> Result<()> {
        let slots = self.reader.slots();
        if slots <= self.slots_known {
            return Ok(());
        }
        let before = self.exists();
        self.scan_new(slots);
        self.slots_known = slots;
        if self.exists() > before {
            self.claim_recent(recent)?;
            news.counts = Some((self.exists(), self.recent_count()));
        }
        Ok(())
    }

    /// The flags of the message in this slot, if it is in the view.
    pub fn tell_flags(&self, slot: u32, with_uid: bool, keywords: &[String], out: &mut Output) {
        let Some(sequence) = self.runs.sequence(slot) else { return };
        let record = self.shown_record(slot);
        if record.flags.contains(Flags::EXPUNGED) {
            return;
        }
        let recent = self.is_recent(record.uid);
        let shown = self.shown(with_uid);
        answer::flags_update(out, sequence, shown, &record, recent, keywords);
    }

    /// Whether expunges are told by UID (RFC 7162 §3.2.10, RFC 9586 §3.2).
    fn tells_vanished(&self) -> bool {
        self.enabled.qresync() || self.enabled.uid_only()
    }

    /// What a change of flags is told with.
    pub fn shown(&self, with_uid: bool) -> answer::Shown {
        // RFC 7162 §3.2.4 asks for it, RFC 9051 §7.5.2 for whatever the client did not ask for.
        let uid = with_uid || self.enabled.qresync() || self.enabled.rev2();
        let uid_only = self.enabled.uid_only();
        answer::Shown { uid: uid && !uid_only, modseq: self.enabled.condstore(), uid_only }
    }

    /// A FLAGS response when keywords were added since the client was told (RFC 3501 §7.2.6).
    pub fn tell_keywords(&mut self, keywords: &[String], out: &mut Output) {
        if keywords.len() > self.keywords_told {
            self.keywords_told = keywords.len();
            answer::flags_list(out, keywords);
            answer::permanent_flags(out, keywords, self.within());
        }
    }

    /// The slots were renumbered (the index was compacted): finds every message again by its UID.
    ///
    /// # Errors
    /// `Damaged`: the view is out of step.
    fn follow(&mut self, now: Reader, news: &mut Announcement) -> Result<()> {
        if self.reader.is_lost() {
            return Err(StoreError::Damaged("records of a mailbox that was repaired".into()));
        }
        let old = std::mem::take(&mut self.runs);
        // Damage has no UID: with it the last slot would make every message a new one.
        let mut seen = (0..self.slots_known).rev().map(|slot| self.reader.record(slot));
        let last_uid_seen = seen.find(|record| *record != Record::DAMAGED).map_or(0, |last| last.uid);
        let mut gone = Vec::new();
        for (slot, sequence) in old.slots().zip(1u32..) {
            match now.slot_of(self.reader.record(slot).uid) {
                Ok(slot) => self.runs.append(slot, 1),
                Err(_) => {
                    gone.push(sequence);
                    if self.tells_vanished() {
                        news.vanish([self.reader.record(slot).uid].into_iter());
                    }
                }
            }
        }
        for (told, sequence) in (0u32..).zip(gone) {
            news.expunged.push(sequence.saturating_sub(told));
        }
        self.slots_known = match last_uid_seen.checked_add(1) {
            Some(next) => match now.slot_of(next) {
                Ok(slot) | Err(slot) => slot,
            },
            None => now.slots(),
        };
        self.reader = now;
        Ok(())
    }

    /// Appends the live slots from `slots_known` to `slots`.
    fn scan_new(&mut self, slots: u32) {
        let first = self.slots_known;
        let mut known = first;
        if slots.saturating_sub(known) > SCANNED_MAX {
            for holes in self.reader.slots_with_holes().into_iter().filter(|holes| holes.end > first) {
                self.runs.append(known, holes.start.saturating_sub(known));
                self.scan(holes.start.max(known)..holes.end);
                known = holes.end;
            }
            self.runs.append(known, slots.saturating_sub(known));
        } else {
            self.scan(known..slots);
        }
    }

    fn scan(&mut self, slots: Range<u32>) {
        for slot in slots {
            if !self.reader.record(slot).flags.contains(Flags::EXPUNGED) {
                self.runs.append(slot, 1);
            }
        }
    }

    /// Makes the `waiting` last messages \Recent here; for all other sessions they no longer are, unless this one is
    /// read-only (RFC 3501 §2.3.2, §6.3.2).
    fn claim_recent(&mut self, waiting: u32) -> Result<()> {
        if waiting == 0 {
            return Ok(());
        }
        let taken = if self.read_only {
            let first = self.exists().saturating_sub(waiting).saturating_add(1);
            self.record(first).map_or(1, |(_, record)| record.uid)..=self.last_uid()
        } else {
            self.mailbox.take_recent()?
        };
        if !taken.is_empty() {
            let ranges = self.recent.ranges().iter().cloned().chain([taken]).collect::<Vec<_>>();
            self.recent = UidSet::from_ranges(ranges);
        }
        Ok(())
    }
}
