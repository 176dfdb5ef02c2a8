//! What all mailboxes of one store share.

use std::sync::Arc;

use mailbox_list::MailboxList;

use crate::ring::Ring;
use crate::{StoreLog, StoreSettings};

pub(crate) struct Shared {
    pub settings: StoreSettings,
    pub log: StoreLog,
    pub list: Arc<MailboxList>,
    pub ring: Ring,
    /// Tells one start of the system from another: the map of an index survives a killed process, not a power cut.
    pub boot: u64,
}

/// A number for this start of the system.
pub(crate) fn boot_number() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    hash(text.trim().as_bytes())
}

/// FNV-1a, never 0.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold).max(1)
}
