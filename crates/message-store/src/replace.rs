//! A message in place of another: REPLACE (RFC 8508).
//!
//! In one mailbox both halves are one transaction. Between two mailboxes it is done as a move is (`copy.rs`): both are
//! locked, room for the second transaction is reserved before the first, and only a process that dies between the two
//! leaves both messages. Neither is never an outcome.

use crate::append::{Appended, NewMessage};
use crate::mailbox::Mailbox;
use crate::multiappend::{Batch, Complete};
use crate::new_files::NewFiles;
use crate::writer::Change;
use crate::{Result, Severity, StoreError, UidSet};

impl Mailbox {
    /// Brings a message that was begun here into the mailbox, and expunges the message `uid` of `from`, which may be the
    /// same mailbox.
    ///
    /// # Errors
    /// `NotFound` when the other message is gone; as [`crate::Incoming::finish`]. The old message is there then, the new
    /// one is not.
    pub fn replace(&self, message: (Complete, NewMessage), from: &Mailbox, uid: u32) -> Result<Appended> {
        if self.id == from.id {
            return self.replace_here(message, uid);
        }
        // Everybody locks the lower one first.
        let (mut source, mut target) = if from.id < self.id {
            let source = from.write()?;
            (source, self.write()?)
        } else {
            let target = self.write()?;
            (from.write()?, target)
        };
        let (_, expunges) = source.expunges(&UidSet::from_ranges([uid..=uid]), |_| true);
        if expunges.is_empty() {
            return Err(StoreError::NotFound);
        }
        // With the same owner only what it is longer by must fit, and the expunge follows.
        let old = source.index.slot_of(uid, source.header.slots).map(|slot| source.index.record(slot).size);
        source.reserve(&expunges)?;
        let batch = target.place_all(&[message])?;
        if !self.has_root_of(from) || old.is_ok_and(|old| batch.is_longer_than(old)) {
            target.enforce();
        }
        target.commit_batch(&batch)?;
        if let Err(error) = source.commit(&expunges, &NewFiles::default()) {
            // In doubt it may be gone there: a draft that is there twice is better than one that is nowhere.
            if !source.is_in_doubt() {
                target.take_out(&batch)?;
            }
            return Err(error);
        }
        target.appended(&batch)
    }

    fn replace_here(&self, message: (Complete, NewMessage), uid: u32) -> Result<Appended> {
        let mut change = self.write()?;
        change.enforce();
        let (_, expunges) = change.expunges(&UidSet::from_ranges([uid..=uid]), |_| true);
        if expunges.is_empty() {
            return Err(StoreError::NotFound);
        }
        let mut batch = change.place_all(&[message])?;
        batch.operations.extend(expunges);
        change.commit_batch(&batch)?;
        change.appended(&batch)
    }
}

impl Change<'_> {
    fn appended(&self, batch: &Batch) -> Result<Appended> {
        let uid = batch.uids.first().copied().ok_or_else(|| self.mailbox.damaged("a message without UID"))?;
        Ok(Appended { uid, uid_validity: self.header.uid_validity })
    }

    /// Expunges what was committed.
    fn take_out(&mut self, batch: &Batch) -> Result<()> {
        let uids: UidSet = batch.uids.iter().copied().collect();
        let taken = self.expunge_where(&uids, |_| true);
        if let Err(error) = &taken {
            let text =
                format!("{}: a message is here with the one it replaces: {error}", self.mailbox.name());
            self.mailbox.shared.log.write(Severity::Error, &text);
        }
        taken.map(drop)
    }
}
