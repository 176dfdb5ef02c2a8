//! \Seen of a user who has it apart from the others who read a mailbox: of everybody but its owner.
//!
//! Records are shown with the user's \Seen, and with modification sequence numbers in which the user's changes have their place
//! (`message_store::SeenBy`). What other sessions of the same user did becomes visible as everything does, by
//! [`crate::view::View::announce`].

use std::ops::RangeInclusive;
use std::sync::Arc;

use message_store::{
    FlagChange, FlagResult, Flags, How, Mailbox, Record, Result, SeenBy, SeenTable, UidSet, Within,
};

/// See the head of this file.
pub struct Apart {
    pub by: Arc<SeenBy>,
    /// As it is shown.
    table: Arc<SeenTable>,
    /// So many changes were announced.
    announced: u64,
    /// Changes behind those that this session made and has told.
    told: Vec<u64>,
}

impl Apart {
    /// As it is now. The mailbox's status is read before.
    pub fn new(by: Arc<SeenBy>) -> Result<Apart> {
        let table = by.table()?;
        Ok(Apart { by, announced: table.count(), table, told: Vec::new() })
    }

    pub fn table(&self) -> &SeenTable {
        &self.table
    }

    /// A record as the user sees it.
    pub fn shown(&self, record: Record) -> Record {
        let seen = if self.table.is_seen(record.uid) { Flags::SEEN } else { Flags::NONE };
        let modseq = self.table.modseq(record.uid, record.modseq);
        Record { flags: (record.flags & !Flags::SEEN) | seen, modseq, ..record }
    }

    /// The highest number that the client knows when it knows the mailbox up to `raw`.
    pub fn highest(&self, raw: u64) -> u64 {
        raw.saturating_add(self.announced)
    }

    /// Looks for what is new. The mailbox's status is read before.
    pub fn refresh(&mut self) -> Result<bool> {
        self.table = self.by.table()?;
        Ok(self.has_news())
    }

    pub fn has_news(&self) -> bool {
        self.table.count() != self.announced
    }

    /// The UIDs whose \Seen changed and that the client was not told of; it is from now on.
    pub fn take_news(&mut self) -> Vec<RangeInclusive<u32>> {
        let since = std::mem::replace(&mut self.announced, self.table.count());
        let told = std::mem::take(&mut self.told);
        let news = self.table.since(since).filter(|(_, index)| !told.contains(index));
        news.map(|(uids, _)| uids).collect()
    }

    /// Changes flags: \Seen for this user, the others for all. What `uids` names is in the view.
    ///
    /// # Errors
    /// As the store's; what was changed for all stays so when \Seen then cannot be changed.
    pub fn change_flags(
        &mut self,
        mailbox: &Mailbox,
        uids: &UidSet,
        change: FlagChange<'_>,
        within: Within,
        unchanged_since: Option<u64>,
    ) -> Result<FlagResult> {
        let rest = Within { flags: within.flags & !Flags::SEEN, ..within };
        let names_seen = change.flags.contains(Flags::SEEN);
        let changes_seen = within.flags.contains(Flags::SEEN) && (names_seen || change.how == How::Replace);
        let names_rest = !(change.flags & rest.flags).is_empty() || !change.keywords.is_empty();
        let changes_rest = names_rest || (change.how == How::Replace && rest != Within::NOTHING);
        let mut refused = Vec::new();
        if let Some(since) = unchanged_since {
            let (status, reader) = (mailbox.status()?, mailbox.reader()?);
            self.table = self.by.table()?;
            if since < self.table.highest(status.highest_modseq) {
                let record = |uid: u32| reader.slot_of(uid).ok().map(|slot| reader.record(slot));
                let uids = uids.ranges().iter().cloned().flatten();
                let changed =
                    uids.filter(|uid| record(*uid).is_some_and(|one| self.shown(one).modseq > since));
                refused.extend(changed);
            }
        }
        let mut meant = uids.without(&refused.iter().copied().collect());
        let mut result = FlagResult::default();
        if changes_rest && !meant.is_empty() {
            let flags = change.flags & !Flags::SEEN;
            let since = unchanged_since.map(|since| self.table.raw(since));
            result = mailbox.change_flags_within(&meant, FlagChange { flags, ..change }, rest, since)?;
            meant = meant.without(&result.refused.iter().copied().collect());
            refused.extend(result.refused);
        }
        refused.sort_unstable();
        let mut changed: UidSet = result.changed.iter().copied().collect();
        if changes_seen && !meant.is_empty() {
            let seen = names_seen && change.how != How::Remove;
            let done = self.by.change(&meant, seen)?;
            if !done.changed.is_empty() {
                self.told.push(done.index);
                changed = UidSet::from_ranges(changed.ranges().iter().chain(done.changed.ranges()).cloned());
            }
            self.table = done.table;
        }
        let changed = changed.ranges().iter().cloned().flatten().collect();
        Ok(FlagResult { changed, refused, modseq: result.modseq })
    }
}

/// Messages that are not expunged and that the user has not seen.
pub fn unseen(mailbox: &Mailbox, table: &SeenTable) -> Result<u32> {
    let reader = mailbox.reader()?;
    let records = (0..reader.slots()).map(|slot| reader.record(slot));
    let unseen = records.filter(|record| !record.is_expunged() && !table.is_seen(record.uid));
    Ok(u32::try_from(unseen.count()).unwrap_or(u32::MAX))
}
