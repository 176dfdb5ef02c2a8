//! The flags of a message, a bit set (RFC 3501 §2.3.2), and what a STORE does to them.

use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// System flags and the store's own marks. Unknown bits are kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Hash)]
pub struct Flags(pub u32);

impl Flags {
    pub const NONE: Flags = Flags(0);
    pub const SEEN: Flags = Flags(1);
    pub const ANSWERED: Flags = Flags(2);
    pub const FLAGGED: Flags = Flags(4);
    pub const DELETED: Flags = Flags(8);
    pub const DRAFT: Flags = Flags(16);
    /// All that a client may set.
    pub const SYSTEM: Flags = Flags(31);
    /// The message is expunged; its file may still be there.
    pub const EXPUNGED: Flags = Flags(1 << 16);
    /// Expunged and its file unlinked.
    pub const UNLINKED: Flags = Flags(1 << 17);
    /// Submitted by a user who had logged in, and whose address the only From is. smtpd says so when it delivers, nobody else;
    /// it goes along with copies.
    pub const SENDER_KNOWN: Flags = Flags(1 << 19);
    /// Never stored: the record cannot be read. It always comes together with `EXPUNGED`.
    pub const DAMAGED: Flags = Flags(1 << 18);

    /// The system flags as IMAP spells them.
    pub const NAMES: [(&str, Flags); 5] = [
        ("\\Seen", Flags::SEEN),
        ("\\Answered", Flags::ANSWERED),
        ("\\Flagged", Flags::FLAGGED),
        ("\\Deleted", Flags::DELETED),
        ("\\Draft", Flags::DRAFT),
    ];

    /// The system flag that is spelled so, in any case; nothing for a keyword.
    pub fn named(name: &str) -> Option<Flags> {
        let is_it = |(known, _): &&(&str, Flags)| known.eq_ignore_ascii_case(name);
        Flags::NAMES.iter().find(is_it).map(|(_, flag)| *flag)
    }

    /// What belongs to a message wherever it goes.
    pub(crate) fn of_message(self) -> Flags {
        self & (Flags::SYSTEM | Flags::SENDER_KNOWN)
    }

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

impl BitAnd for Flags {
    type Output = Flags;
    fn bitand(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
}

impl Not for Flags {
    type Output = Flags;
    fn not(self) -> Flags {
        Flags(!self.0)
    }
}

/// `FLAGS`, `+FLAGS`, `-FLAGS` of STORE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Add,
    Remove,
    Replace,
}

/// What one STORE asks for. `flags` outside [`Flags::SYSTEM`] are ignored.
#[derive(Clone, Copy, Debug)]
pub struct FlagChange<'a> {
    pub how: How,
    pub flags: Flags,
    pub keywords: &'a [String],
}

/// Which flags may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Within {
    pub flags: Flags,
    pub keywords: bool,
}

impl Within {
    pub const ALL: Within = Within { flags: Flags::SYSTEM, keywords: true };
    pub const NOTHING: Within = Within { flags: Flags::NONE, keywords: false };
}

/// UIDs, ascending.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct FlagResult {
    /// Their flags are different now; each has a new modseq.
    pub changed: Vec<u32>,
    /// Not touched because they changed after `unchanged_since` (RFC 7162 §3.1.3).
    pub refused: Vec<u32>,
    /// The new modseq of those that changed.
    pub modseq: u64,
}
