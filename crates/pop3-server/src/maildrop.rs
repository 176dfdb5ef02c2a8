//! A maildrop in the transaction state: numbers are fixed when it is opened (RFC 1939 §4), deletions happen at QUIT.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use message_store::{Mailbox, MailboxName, MaildropLock, Store, StoreError, UidSet};

/// One message of the maildrop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    uid: u32,
    size: u32,
    deleted: bool,
}

/// The messages of an INBOX as they were at the log-in: for one session at a time (RFC 1939 §4), and for any number of those that
/// only read.
pub struct Maildrop {
    mailbox: Arc<Mailbox>,
    items: Vec<Item>,
    uid_validity: u32,
    /// What was retrieved, for the log.
    pub retrieved: u32,
    /// Nothing: nothing may be deleted, and nobody is kept out.
    lock: Option<MaildropLock>,
}

impl Maildrop {
    /// Opens a user's INBOX, which is made when there is none. A session that only reads takes no lock: what the owner deletes
    /// meanwhile may be read until the store removes its file, as what an IMAP session expunges.
    ///
    /// # Errors
    /// `InUse` when another session has it that may delete; the store's.
    pub fn open(
        store: &Store,
        uid: &str,
        partition: Option<&str>,
        read_only: bool,
    ) -> Result<Maildrop, StoreError> {
        store.ensure_user_in(uid, partition)?;
        let mailbox = store.open_mailbox(&MailboxName::inbox(uid)?)?;
        let lock = if read_only { None } else { Some(mailbox.lock_maildrop()?) };
        let reader = mailbox.reader()?;
        let items = (0..reader.slots())
            .map(|slot| reader.record(slot))
            .filter(|record| !record.is_expunged())
            .map(|record| Item { uid: record.uid, size: record.size, deleted: false })
            .collect();
        if reader.is_lost() {
            return Err(StoreError::Damaged(format!("the index of {uid}'s INBOX was cut while it was read")));
        }
        let uid_validity = mailbox.uid_validity();
        Ok(Maildrop { mailbox, items, uid_validity, retrieved: 0, lock })
    }

    /// Whether somebody opened it less than `least` ago; else it counts as opened now. Every process of the service sees the
    /// same, for it is written beside the lock that is held. A clock that was set back keeps nobody out.
    ///
    /// # Errors
    /// The system's.
    pub fn is_too_soon(&self, least: Duration, now: SystemTime) -> Result<bool, StoreError> {
        let Some(lock) = self.lock.as_ref().filter(|_| !least.is_zero()) else { return Ok(false) };
        let before = lock.opened_before().and_then(|before| now.duration_since(before).ok());
        if before.is_some_and(|before| before < least) {
            return Ok(true);
        }
        lock.note_opening(now)?;
        Ok(false)
    }

    /// Nothing may be deleted.
    pub fn is_read_only(&self) -> bool {
        self.lock.is_none()
    }

    /// Messages and octets that are not deleted.
    pub fn totals(&self) -> (usize, u64) {
        let live = self.items.iter().filter(|item| !item.deleted);
        live.fold((0, 0), |(count, octets), item| (count + 1, octets + u64::from(item.size)))
    }

    /// The highest number.
    pub fn last(&self) -> u32 {
        u32::try_from(self.items.len()).unwrap_or(u32::MAX)
    }

    fn item(&self, number: u32) -> Option<&Item> {
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        self.items.get(place).filter(|item| !item.deleted)
    }

    /// Octets of a message that is there.
    pub fn size(&self, number: u32) -> Option<u32> {
        self.item(number).map(|item| item.size)
    }

    /// The unique id of a message that is there: UIDVALIDITY and UID, so it lasts through restart, reconstruct and restore
    /// (RFC 1939 §7).
    pub fn unique_id(&self, number: u32) -> Option<String> {
        self.item(number).map(|item| format!("{}.{}", self.uid_validity, item.uid))
    }

    /// The file of a message that is there.
    ///
    /// # Errors
    /// `NotFound`; `Damaged` when it was cut; the system's.
    pub fn message(&self, number: u32) -> Result<message_store::MessageFile, StoreError> {
        let item = self.item(number).ok_or(StoreError::NotFound)?;
        self.mailbox.open_message_of(item.uid, item.size) // who gets half of one for a whole deletes it
    }

    /// Marks a message; false when it is not there.
    pub fn delete(&mut self, number: u32) -> bool {
        let Some(place) = number.checked_sub(1).and_then(|place| usize::try_from(place).ok()) else {
            return false;
        };
        match self.items.get_mut(place) {
            Some(item) if !item.deleted => {
                item.deleted = true;
                true
            }
            _ => false,
        }
    }

    /// Takes all marks off.
    pub fn reset(&mut self) {
        for item in &mut self.items {
            item.deleted = false;
        }
    }

    /// The UPDATE state: what was marked goes, durably, all or nothing. How many.
    ///
    /// # Errors
    /// Nothing has gone then.
    pub fn update(&self) -> Result<usize, StoreError> {
        let uids: UidSet = self.items.iter().filter(|item| item.deleted).map(|item| item.uid).collect();
        if uids.is_empty() {
            return Ok(0);
        }
        self.mailbox.remove(&uids).map(|gone| gone.len())
    }
}
