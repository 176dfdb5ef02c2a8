//! What somebody may do with a mailbox: the rights of RFC 4314 §2.1, a bit each.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Hash)]
pub struct Rights(u16);

/// The letters, by bit.
const LETTERS: &[u8; 11] = b"lrswipkxtea";

impl Rights {
    pub const NONE: Rights = Rights(0);
    /// `l`: the mailbox is seen.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: it can be selected and read.
    pub const READ: Rights = Rights(1 << 1);
    /// `s`: \Seen.
    pub const SEEN: Rights = Rights(1 << 2);
    /// `w`: flags other than \Seen and \Deleted.
    pub const WRITE: Rights = Rights(1 << 3);
    /// `i`: messages can be added.
    pub const INSERT: Rights = Rights(1 << 4);
    /// `p`: mail can be sent to its address.
    pub const POST: Rights = Rights(1 << 5);
    /// `k`: mailboxes can be made below it.
    pub const CREATE: Rights = Rights(1 << 6);
    /// `x`: the mailbox can be deleted, or renamed.
    pub const DELETE: Rights = Rights(1 << 7);
    /// `t`: \Deleted.
    pub const DELETE_MESSAGES: Rights = Rights(1 << 8);
    /// `e`: EXPUNGE.
    pub const EXPUNGE: Rights = Rights(1 << 9);
    /// `a`: its access control list can be read and changed.
    pub const ADMINISTER: Rights = Rights(1 << 10);
    pub const ALL: Rights = Rights((1 << 11) - 1);

    /// The rights that a text names; the obsolete `c` is `kx`, `d` is `te` (RFC 4314 §2.1.1).
    pub fn parse(text: &[u8]) -> Option<Rights> {
        text.iter().try_fold(Rights::NONE, |rights, letter| {
            let one = match letter {
                b'c' => Rights::CREATE | Rights::DELETE,
                b'd' => Rights::DELETE_MESSAGES | Rights::EXPUNGE,
                _ => Rights(1 << LETTERS.iter().position(|known| known == letter)?),
            };
            Some(rights | one)
        })
    }

    /// Whether every right of `other` is here.
    pub fn contains(self, other: Rights) -> bool {
        self & other == other
    }

    /// Whether any right of `other` is here.
    pub fn has_any(self, other: Rights) -> bool {
        self & other != Rights::NONE
    }

    pub fn is_empty(self) -> bool {
        self == Rights::NONE
    }

    /// The letters as a server says them: with `c` and `d` for clients that know RFC 2086 only (RFC 4314 §2.1.1).
    pub fn told(self) -> String {
        let mut text = self.to_string();
        if self.has_any(Rights::CREATE | Rights::DELETE) {
            text.push('c');
        }
        if self.has_any(Rights::DELETE_MESSAGES | Rights::EXPUNGE) {
            text.push('d');
        }
        text
    }
}

/// The letters.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = LETTERS.iter().enumerate().filter(|(bit, _)| self.0 & 1 << bit != 0);
        letters.into_iter().try_for_each(|(_, letter)| write!(f, "{}", char::from(*letter)))
    }
}

impl BitOr for Rights {
    type Output = Rights;
    fn bitor(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

impl BitOrAssign for Rights {
    fn bitor_assign(&mut self, other: Rights) {
        self.0 |= other.0;
    }
}

impl BitAnd for Rights {
    type Output = Rights;
    fn bitand(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

impl Not for Rights {
    type Output = Rights;
    fn not(self) -> Rights {
        Rights(!self.0 & Rights::ALL.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_written_with_the_obsolete_ones() {
        for (read, written) in [
            ("", ""),
            ("lrs", "lrs"),
            ("cd", "kxtecd"),
            ("k", "kc"),
            ("e", "ed"),
            ("lrswipkxtea", "lrswipkxteacd"),
        ] {
            let rights = Rights::parse(read.as_bytes()).unwrap();
            assert_eq!(rights.told(), written);
            assert_eq!(Rights::parse(rights.to_string().as_bytes()), Some(rights));
        }
        assert_eq!(Rights::parse(b"lrswipkxteacd"), Some(Rights::ALL));
        for unknown in ["q", "L", "0", "l r", "+l"] {
            assert_eq!(Rights::parse(unknown.as_bytes()), None, "{unknown}");
        }
        assert!(!(!Rights::READ).contains(Rights::READ));
        assert_eq!(!Rights::NONE, Rights::ALL);
    }
}
