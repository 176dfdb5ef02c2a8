//! What is kept of one mailbox.

use std::collections::BTreeSet;
use std::sync::Arc;

use message_store::{Flags, Listed, Mailbox, Rights, Status};

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

/// See the head of this file.
pub struct MailboxView {
    /// Nothing: it only stands above others.
    pub mailbox: Option<Arc<Mailbox>>,
    pub listed: Listed,
    pub rights: Rights,
    pub is_subscribed: bool,
    pub sort_order: u32,
    /// Of the index that the slots are of.
    pub generation: u64,
    pub rows: Vec<Row>,
    /// Messages that JMAP sees.
    pub there: u32,
    /// All changes up to here are in the rows.
    pub highest_modseq: u64,
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
        status.highest_modseq == self.highest_modseq && status.forgotten_modseq == self.forgotten_modseq
    }

    /// Messages that JMAP sees, with their slots.
    pub fn messages(&self) -> impl Iterator<Item = (u32, &Row)> {
        (0..).zip(&self.rows).filter(|(_, row)| row.is_there())
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
