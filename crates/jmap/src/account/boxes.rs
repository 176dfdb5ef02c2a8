//! What is kept of one mailbox.

use std::collections::BTreeSet;
use std::sync::Arc;

use message_store::{
    Carry, Flags, Listed, Mailbox, NewMessage, Record, Rights, SeenBy, SeenTable, Status, StoreError, UidSet,
};

use super::NONE;

/// A message, by slot. Those that are expunged have their row, too.
#[derive(Clone, Copy)]
pub struct Row {
    pub uid: u32,
    /// [`NONE`]: there is no message to see in this slot.
    pub email: u32,
    pub modseq: u64,
    pub flags: Flags,
    pub keywords: u64,
}

impl Row {
    /// Whether JMAP sees it.
    pub fn is_there(&self) -> bool {
        self.email != NONE && !self.flags.contains(Flags::EXPUNGED) && !self.flags.contains(Flags::DELETED)
    }
}

/// \Seen of a user who has it apart from the mailbox's owner, as it was looked at last.
pub struct Apart {
    pub by: Arc<SeenBy>,
    pub table: Arc<SeenTable>,
}

impl Apart {
    /// A record as the user sees it: modification sequence numbers are the user's, in which both kinds of changes have their
    /// place.
    pub fn shown(&self, record: Record) -> Record {
        let seen = if self.table.is_seen(record.uid) { Flags::SEEN } else { Flags::NONE };
        let modseq = self.table.modseq(record.uid, record.modseq);
        Record { flags: (record.flags & !Flags::SEEN) | seen, modseq, ..record }
    }
}

/// A mailbox in which something is to be changed, apart from the account: nobody waits for it while the store is at work.
#[derive(Clone)]
pub struct Target {
    pub mailbox: Arc<Mailbox>,
    /// Of a user who has \Seen apart there.
    apart: Option<Arc<SeenBy>>,
    rights: Rights,
}

impl Target {
    /// The flags that come with a message that is put in: those that the user may set there, \Seen for whom it is (RFC 4314
    /// §4: it is put in all the same).
    fn taken(&self, flags: Flags) -> Flags {
        let mut taken = Flags::NONE;
        let others = Flags::SYSTEM & !Flags::SEEN & !Flags::DELETED;
        for (right, of_it) in
            [(Rights::SEEN, Flags::SEEN), (Rights::DELETE_MESSAGES, Flags::DELETED), (Rights::WRITE, others)]
        {
            if self.rights.contains(right) {
                taken |= flags & of_it;
            }
        }
        if self.apart.is_some() { taken & !Flags::SEEN } else { taken }
    }

    /// What goes along into it with a copied message.
    fn carry(&self) -> Carry<'static> {
        Carry { flags: self.taken(Flags::SYSTEM), keywords: self.rights.contains(Rights::WRITE), seen: None }
    }

    /// As it comes into it.
    pub fn limited(&self, message: NewMessage) -> NewMessage {
        let keywords = if self.rights.contains(Rights::WRITE) { message.keywords } else { Vec::new() };
        NewMessage { flags: self.taken(message.flags), keywords, ..message }
    }

    /// Makes messages seen, or not seen, by this user.
    ///
    /// # Errors
    /// The store's. Without \Seen apart, or without the right, nothing happens.
    pub fn mark_seen(&self, uids: &UidSet, seen: bool) -> Result<(), StoreError> {
        match &self.apart {
            Some(apart) if self.rights.contains(Rights::SEEN) && !uids.is_empty() => {
                apart.change(uids, seen).map(drop)
            }
            _ => Ok(()),
        }
    }

    pub fn is_apart(&self) -> bool {
        self.apart.is_some()
    }

    /// Copies or moves messages to another, with what the user may set there. The UIDs there.
    ///
    /// # Errors
    /// The store's.
    pub fn put_into(&self, uids: &UidSet, to: &Target, moves: bool) -> Result<UidSet, StoreError> {
        let table = self.apart.as_ref().map(|apart| apart.table()).transpose()?;
        let seen = table.as_ref().map(|table| table.seen());
        let carry = Carry { seen, ..to.carry() };
        let pairs = match moves {
            true => self.mailbox.move_with(uids, &to.mailbox, carry)?,
            false => self.mailbox.copy_with(uids, &to.mailbox, carry)?,
        };
        if let (Some(seen), true) = (seen, to.is_apart()) {
            let seen = pairs.iter().filter(|(from, _)| seen.contains(*from)).map(|(_, uid)| *uid);
            to.mark_seen(&seen.collect(), true)?;
        }
        Ok(pairs.into_iter().map(|(_, uid)| uid).collect())
    }
}

/// See the head of this file.
pub struct MailboxView {
    /// Nothing: it only stands above others.
    pub mailbox: Option<Arc<Mailbox>>,
    /// Of a mailbox that is another's.
    pub apart: Option<Apart>,
    pub listed: Listed,
    pub rights: Rights,
    pub is_subscribed: bool,
    pub sort_order: u32,
    /// Of the index that the slots are of.
    pub generation: u64,
    pub rows: Vec<Row>,
    /// Messages that JMAP sees.
    pub there: u32,
    /// All changes up to here are in the rows; the user's number, as those of the rows are.
    pub highest_modseq: u64,
    /// What the mailbox itself was at, and what it had forgotten.
    pub raw_modseq: (u64, u64),
    /// Expunges up to here may have left no record.
    pub forgotten_modseq: u64,
    /// Names of the keywords in lower case, by bit.
    pub keywords: Vec<String>,
    /// UIDs of messages with \Deleted.
    pub deleted: BTreeSet<u32>,
}

impl MailboxView {
    /// The bit of a keyword in lower case; none when no message has it.
    pub fn bit(&self, keyword: &str) -> u64 {
        self.keywords.iter().position(|one| one == keyword).map_or(0, |bit| 1u64 << bit.min(63))
    }

    /// Whether nothing happened since it was looked at.
    pub fn is_current(&self, status: &Status) -> bool {
        if (status.highest_modseq, status.forgotten_modseq) != self.raw_modseq {
            return false;
        }
        let is_same = |apart: &Apart| apart.by.table().is_ok_and(|now| now.count() == apart.table.count());
        self.apart.as_ref().is_none_or(is_same)
    }

    /// Where something is to be changed; nothing when it only stands above others.
    pub fn target(&self) -> Option<Target> {
        let apart = self.apart.as_ref().map(|apart| Arc::clone(&apart.by));
        Some(Target { mailbox: self.mailbox.clone()?, apart, rights: self.rights })
    }

    /// Whether the user may read what is in it (RFC 4314 §4).
    pub fn is_readable(&self) -> bool {
        self.rights.contains(Rights::LOOKUP | Rights::READ)
    }

    /// The user's number of something that happened at one of the mailbox's.
    pub fn shown_modseq(&self, raw: u64) -> u64 {
        self.apart.as_ref().map_or(raw, |apart| apart.table.modseq(0, raw))
    }

    /// Messages that JMAP sees, with their slots.
    pub fn messages(&self) -> impl Iterator<Item = (u32, &Row)> {
        self.messages_from(0)
    }

    /// The same from a slot on.
    pub fn messages_from(&self, slot: u32) -> impl Iterator<Item = (u32, &Row)> {
        let rows = self.rows.get(slot as usize..).unwrap_or_default();
        (slot..).zip(rows).filter(|(_, row)| row.is_there())
    }

    /// The role of RFC 8621 §2, in lower case.
    pub fn role(&self) -> Option<&'static str> {
        use message_store::SpecialUse as Use;
        if self.listed.name.is_inbox() {
            return Some("inbox");
        }
        Some(match self.listed.special_use? {
            Use::All => "all",
            Use::Archive => "archive",
            Use::Drafts => "drafts",
            Use::Flagged => "flagged",
            Use::Junk => "junk",
            Use::Sent => "sent",
            Use::Trash => "trash",
        })
    }
}
