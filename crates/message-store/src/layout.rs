//! Places in the index file, and names in a mailbox's folder. The table is `docs/formats/store.md`.

use std::path::{Path, PathBuf};

pub const HEADER_AT: usize = 8;
pub const HEADER_BYTES: usize = 172;
/// The zone map, up to the end of the header's page.
pub const ZONES_AT: usize = 512;
pub const KEYWORDS_AT: usize = 4096;
pub const KEYWORD_BYTES: usize = 64;
/// A keyword's bit is one of 64.
pub const KEYWORDS_MAX: usize = 64;
/// One byte is the length.
pub const KEYWORD_NAME_MAX: usize = KEYWORD_BYTES - 1;
pub const BLOCKS_AT: usize = 8192;
pub const BLOCK_SLOTS: u32 = 256;
pub const HOT_BYTES: usize = 32;
pub const COLD_BYTES: usize = 96;
pub const BLOCK_BYTES: usize = BLOCK_SLOTS as usize * (HOT_BYTES + COLD_BYTES);
/// Address space for an index before it must be mapped anew: 130,000 messages.
pub const RESERVE_BYTES: usize = 16 << 20;

pub const INDEX: &str = "store.idx";
pub const LOG: &str = "store.log";
pub const LOCK: &str = "store.lck";
/// The folder of the index of words.
pub const TEXT_INDEX: &str = "store.fts";
/// Messages on their way in.
pub const INCOMING_PREFIX: &str = "tmp-";

/// Where a slot's hot record is.
pub fn hot_at(slot: u32) -> usize {
    let (block, within) = ((slot / BLOCK_SLOTS) as usize, (slot % BLOCK_SLOTS) as usize);
    BLOCKS_AT + block * BLOCK_BYTES + within * HOT_BYTES
}

/// Where a slot's cold record is.
pub fn cold_at(slot: u32) -> usize {
    let (block, within) = ((slot / BLOCK_SLOTS) as usize, (slot % BLOCK_SLOTS) as usize);
    BLOCKS_AT + block * BLOCK_BYTES + BLOCK_SLOTS as usize * HOT_BYTES + within * COLD_BYTES
}

/// Bytes of an index that holds so many slots.
pub fn index_bytes(slots: u32) -> u64 {
    BLOCKS_AT as u64 + u64::from(slots.div_ceil(BLOCK_SLOTS)) * BLOCK_BYTES as u64
}

/// `00` to `99`
pub fn message_folder(uid: u32) -> String {
    format!("{:02}", (uid / 100) % 100)
}

/// `folder/NN/N.msg`
pub fn message_path(folder: &Path, uid: u32) -> PathBuf {
    folder.join(message_folder(uid)).join(format!("{uid}.msg"))
}

/// `store.c00`
pub fn cache_name(segment: u32) -> String {
    format!("store.c{segment:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_overlap() {
        assert_eq!(hot_at(0), 8192);
        assert_eq!(hot_at(255) + HOT_BYTES, cold_at(0));
        assert_eq!(cold_at(255) + COLD_BYTES, hot_at(256));
        assert_eq!(index_bytes(256), hot_at(256) as u64);
        assert_eq!(index_bytes(0), BLOCKS_AT as u64);
    }

    #[test]
    fn zones_end_with_the_page_of_the_header() {
        use crate::zones::{ZONE_BYTES, ZONES_HEADER_BYTES, ZONES_MAX};
        const { assert!(HEADER_AT + HEADER_BYTES <= ZONES_AT) };
        const { assert!(ZONES_AT + ZONES_HEADER_BYTES + ZONES_MAX * ZONE_BYTES <= KEYWORDS_AT) };
    }

    #[test]
    fn message_folders_are_the_originals() {
        for (uid, folder) in [(1, "00"), (99, "00"), (100, "01"), (9999, "99"), (10_000, "00")] {
            assert_eq!(message_folder(uid), folder);
        }
    }
}
