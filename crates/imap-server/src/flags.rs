//! Flags as the client names them against flags as the store keeps them.

use imap_wire::{FlagList, SystemFlag};
use message_store::{Flags, NewMessage, Rights, Within};

/// The store's bit of a system flag.
pub fn system(flag: SystemFlag) -> Flags {
    match flag {
        SystemFlag::Answered => Flags::ANSWERED,
        SystemFlag::Flagged => Flags::FLAGGED,
        SystemFlag::Deleted => Flags::DELETED,
        SystemFlag::Seen => Flags::SEEN,
        SystemFlag::Draft => Flags::DRAFT,
    }
}

/// The store's bits of all system flags in a list.
pub fn of_list(list: &FlagList) -> Flags {
    list.system.iter().fold(Flags::NONE, |flags, flag| flags | system(*flag))
}

/// The flags that these rights let somebody change (RFC 4314 §4).
pub fn within(rights: Rights) -> Within {
    let mut flags = Flags::NONE;
    let others = Flags::SYSTEM & !Flags::SEEN & !Flags::DELETED;
    for (right, of_it) in
        [(Rights::SEEN, Flags::SEEN), (Rights::DELETE_MESSAGES, Flags::DELETED), (Rights::WRITE, others)]
    {
        if rights.contains(right) {
            flags |= of_it;
        }
    }
    Within { flags, keywords: rights.contains(Rights::WRITE) }
}

/// A message that is added has only the flags that its author may set; it is added all the same (RFC 4314 §4).
pub fn limit(message: &mut NewMessage, within: Within) {
    message.flags = message.flags & within.flags;
    if !within.keywords {
        message.keywords.clear();
    }
}
