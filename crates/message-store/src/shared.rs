//! What all mailboxes of one store share.

use std::sync::Arc;

use mailbox_list::MailboxList;

use crate::journal::ProcessJournal;
use crate::readable::ToldOf;
use crate::ring::Ring;
use crate::usage::Usages;
use crate::{StoreLog, StoreSettings};

pub(crate) struct Shared {
    pub settings: StoreSettings,
    pub log: StoreLog,
    pub list: Arc<MailboxList>,
    pub ring: Ring,
    pub usages: Usages,
    pub journal: ProcessJournal,
    /// Messages that cannot be read.
    pub told_of: ToldOf,
    /// Tells one start of the system from another; 0 when the system does not say.
    pub system: u64,
}

impl Shared {
    /// What tells maps that were written since from maps that may hold old pages. A map survives a killed process, but not
    /// a power cut; and neither a file system that is mounted anew nor a snapshot that is put back while the system runs,
    /// so each start of stored counts as well.
    pub fn boot(&self) -> u64 {
        let mut bytes = self.system.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.ring.epoch().to_le_bytes());
        hash(&bytes)
    }
}

/// A number for this start of the system.
pub(crate) fn system_number() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    text.map_or(0, |text| hash(text.trim().as_bytes()))
}

/// FNV-1a, never 0.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold).max(1)
}
