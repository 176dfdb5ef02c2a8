//! Flags as the client names them against flags as the store keeps them.

use imap_wire::{FlagList, SystemFlag};
use message_store::Flags;

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
