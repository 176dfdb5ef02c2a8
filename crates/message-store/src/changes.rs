//! Flags and expunges: changes of messages that are there.

use std::ops::RangeInclusive;

use crate::log::Operation;
use crate::mailbox::Mailbox;
use crate::new_files::NewFiles;
use crate::record::Record;
use crate::writer::Change;
use crate::{FlagChange, FlagResult, Flags, How, Result, UidSet, Within};

impl Mailbox {
    /// Changes flags. Messages that have them already are not touched and get no new modseq.
    ///
    /// # Errors
    /// `TooBig` for a 65th keyword; nothing has changed then.
    pub fn change_flags(
        &self,
        uids: &UidSet,
        change: FlagChange<'_>,
        unchanged_since: Option<u64>,
    ) -> Result<FlagResult> {
        self.change_flags_within(uids, change, Within::ALL, unchanged_since)
    }

    /// The same, but flags outside of `within` stay as they are.
    ///
    /// # Errors
    /// As [`Mailbox::change_flags`].
    pub fn change_flags_within(
        &self,
        uids: &UidSet,
        change: FlagChange<'_>,
        within: Within,
        unchanged_since: Option<u64>,
    ) -> Result<FlagResult> {
        let mut under = self.write()?;
        // Removing a keyword that nobody has does not make it known.
        let known = under.index.keywords(under.header.keywords);
        let is_known = |name: &String| known.iter().any(|one| one.eq_ignore_ascii_case(name));
        let names: Vec<String> = change
            .keywords
            .iter()
            .filter(|name| within.keywords && (change.how != How::Remove || is_known(name)))
            .cloned()
            .collect();
        let (bits, mut operations) = under.keyword_bits(&names)?;
        let may_change = within.flags & Flags::SYSTEM;
        let asked = change.flags & may_change;
        let modseq = under.next_modseq();
        let mut result = FlagResult { modseq, ..FlagResult::default() };
        let mut changed = Vec::new();
        under.each(uids, |record| {
            if unchanged_since.is_some_and(|since| record.modseq > since) {
                result.refused.push(record.uid);
                return;
            }
            let (flags, keywords) = match change.how {
                How::Add => (record.flags | asked, record.keywords | bits),
                How::Remove => (record.flags & !asked, record.keywords & !bits),
                How::Replace => {
                    let keywords = if within.keywords { bits } else { record.keywords };
                    ((record.flags & !may_change) | asked, keywords)
                }
            };
            if flags != record.flags || keywords != record.keywords {
                result.changed.push(record.uid);
                changed.push(Operation::Flags(Record { flags, keywords, modseq, ..record }));
            }
        });
        if !changed.is_empty() {
            operations.append(&mut changed);
            under.commit(&operations, &NewFiles::default())?;
        }
        Ok(result)
    }

    /// Expunges the messages with \Deleted, of these or of all: marked at once, their files unlinked later. UIDs.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn expunge(&self, uids: Option<&UidSet>) -> Result<Vec<u32>> {
        let mut under = self.write()?;
        if under.header.deleted == 0 {
            return Ok(Vec::new());
        }
        let all = UidSet::all();
        let marked = under.marked_deleted(uids.unwrap_or(&all));
        under.expunge_where(&marked, |record| record.flags.contains(Flags::DELETED))
    }

    /// Expunges those of these messages of which `goes` says so of what they are now.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn remove_where(&self, uids: &UidSet, goes: impl Fn(&Record) -> bool) -> Result<Vec<u32>> {
        self.write()?.expunge_where(uids, goes)
    }

    /// Expunges these messages whatever their flags (POP).
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn remove(&self, uids: &UidSet) -> Result<Vec<u32>> {
        self.write()?.expunge_where(uids, |_| true)
    }

    /// The UIDs that this session announces as \Recent; the next one to ask does not (RFC 3501 §2.3.2). Empty when there
    /// are none.
    ///
    /// # Errors
    /// As [`Mailbox::status`].
    pub fn take_recent(&self) -> Result<RangeInclusive<u32>> {
        let header = self.header()?;
        if header.recent_from >= header.uid_next {
            return Ok(header.uid_next..=header.uid_next.saturating_sub(1));
        }
        let mut under = self.write()?;
        let range = under.header.recent_from.max(1)..=under.header.uid_next.saturating_sub(1);
        under.header.recent_from = under.header.uid_next;
        under.write_header();
        Ok(range)
    }
}

impl Change<'_> {
    /// Shows every record of these UIDs that is not expunged.
    pub fn each(&self, uids: &UidSet, mut look: impl FnMut(Record)) {
        for range in uids.ranges() {
            let mut slot = self.index.slot_of(*range.start(), self.header.slots).unwrap_or_else(|slot| slot);
            while slot < self.header.slots {
                let record = self.index.record(slot);
                if record.uid > *range.end() {
                    break;
                }
                if !record.is_expunged() {
                    look(record);
                }
                slot += 1;
            }
        }
    }

    /// Those of these messages that have \Deleted: most of a mailbox has not, which is told at a glance.
    fn marked_deleted(&self, uids: &UidSet) -> UidSet {
        let slots = self.header.slots;
        let slot_from = |uid: u32| self.index.slot_of(uid, slots).unwrap_or_else(|slot| slot);
        let is_marked = |slot: &u32| {
            let seen = self.index.glance(*slot);
            seen.is_some_and(|(flags, _)| flags.contains(Flags::DELETED) && !flags.contains(Flags::EXPUNGED))
        };
        let mut marked = UidSet::new();
        for range in uids.ranges() {
            let end = range.end().checked_add(1).map_or(slots, slot_from);
            for slot in (slot_from(*range.start())..end).filter(is_marked) {
                marked.push(self.index.record(slot).uid);
            }
        }
        marked
    }

    pub fn expunge_where(&mut self, uids: &UidSet, is_meant: impl Fn(&Record) -> bool) -> Result<Vec<u32>> {
        let (expunged, operations) = self.expunges(uids, is_meant);
        if !operations.is_empty() {
            self.commit(&operations, &NewFiles::default())?;
        }
        Ok(expunged)
    }

    /// What expunges those of these messages that are meant, and their UIDs.
    pub fn expunges(&self, uids: &UidSet, is_meant: impl Fn(&Record) -> bool) -> (Vec<u32>, Vec<Operation>) {
        let modseq = self.next_modseq();
        let now = base::clock::unix_nanos();
        let mut operations = Vec::new();
        let mut expunged = Vec::new();
        self.each(uids, |record| {
            if is_meant(&record) {
                expunged.push(record.uid);
                let record = Record { flags: record.flags | Flags::EXPUNGED, modseq, ..record };
                operations.push(Operation::Expunge(record, now));
            }
        });
        (expunged, operations)
    }
}
