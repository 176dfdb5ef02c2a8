//! The header of the index. The table is in `docs/formats/store.md`.

use crate::Flags;
use crate::bytes::{put, u32_at, u64_at, u128_at};
use crate::layout::HEADER_BYTES;
use crate::record::Record;

const MAGIC: &[u8; 8] = b"MBIDX\0\0\x01";
const CRC_AT: usize = HEADER_BYTES - 4;

pub const SUPERSEDED: u32 = 1;
pub const MAILBOX_DELETED: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Header {
    pub flags: u32,
    pub uid_validity: u32,
    pub id: u128,
    pub generation: u64,
    pub slots: u32,
    pub uid_next: u32,
    pub exists: u32,
    pub unseen: u32,
    pub deleted: u32,
    pub recent_from: u32,
    pub expunged: u32,
    pub unlinked: u32,
    pub highest_modseq: u64,
    pub size_bytes: u64,
    pub log_generation: u64,
    pub log_applied: u64,
    pub boot: u64,
    pub cache_segment: u32,
    pub keywords: u32,
    /// Expunges up to here may be forgotten: their records were left out by a compaction or a rebuild.
    pub forgotten_modseq: u64,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, &self.flags.to_le_bytes());
        put(&mut bytes, 12, &self.uid_validity.to_le_bytes());
        put(&mut bytes, 16, &self.id.to_le_bytes());
        put(&mut bytes, 32, &self.generation.to_le_bytes());
        put(&mut bytes, 40, &self.slots.to_le_bytes());
        put(&mut bytes, 44, &self.uid_next.to_le_bytes());
        put(&mut bytes, 48, &self.exists.to_le_bytes());
        put(&mut bytes, 52, &self.unseen.to_le_bytes());
        put(&mut bytes, 56, &self.deleted.to_le_bytes());
        put(&mut bytes, 60, &self.recent_from.to_le_bytes());
        put(&mut bytes, 64, &self.expunged.to_le_bytes());
        put(&mut bytes, 68, &self.unlinked.to_le_bytes());
        put(&mut bytes, 72, &self.highest_modseq.to_le_bytes());
        put(&mut bytes, 80, &self.size_bytes.to_le_bytes());
        put(&mut bytes, 88, &self.log_generation.to_le_bytes());
        put(&mut bytes, 96, &self.log_applied.to_le_bytes());
        put(&mut bytes, 104, &self.boot.to_le_bytes());
        put(&mut bytes, 112, &self.cache_segment.to_le_bytes());
        put(&mut bytes, 116, &self.keywords.to_le_bytes());
        put(&mut bytes, 120, &self.forgotten_modseq.to_le_bytes());
        let crc = base::crc32(&bytes[..CRC_AT]);
        put(&mut bytes, CRC_AT, &crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let whole = bytes.len() == HEADER_BYTES && bytes.starts_with(MAGIC);
        if !whole || base::crc32(&bytes[..CRC_AT]) != u32_at(bytes, CRC_AT) {
            return None;
        }
        Some(Header {
            flags: u32_at(bytes, 8),
            uid_validity: u32_at(bytes, 12),
            id: u128_at(bytes, 16),
            generation: u64_at(bytes, 32),
            slots: u32_at(bytes, 40),
            uid_next: u32_at(bytes, 44),
            exists: u32_at(bytes, 48),
            unseen: u32_at(bytes, 52),
            deleted: u32_at(bytes, 56),
            recent_from: u32_at(bytes, 60),
            expunged: u32_at(bytes, 64),
            unlinked: u32_at(bytes, 68),
            highest_modseq: u64_at(bytes, 72),
            size_bytes: u64_at(bytes, 80),
            log_generation: u64_at(bytes, 88),
            log_applied: u64_at(bytes, 96),
            boot: u64_at(bytes, 104),
            cache_segment: u32_at(bytes, 112),
            keywords: u32_at(bytes, 116),
            forgotten_modseq: u64_at(bytes, 120),
        })
    }

    /// As `forgotten_modseq`; an index of before it was kept may have been compacted, and does not say.
    pub fn forgotten(&self) -> u64 {
        match self.forgotten_modseq {
            0 if self.generation > 0 => self.highest_modseq,
            modseq => modseq,
        }
    }

    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Counts a record in (`1`) or out (`-1`).
    pub fn count(&mut self, record: &Record, sign: i32) {
        let add = |number: &mut u32, is: bool| {
            if is {
                *number = number.saturating_add_signed(sign);
            }
        };
        let (expunged, unlinked) =
            (record.flags.contains(Flags::EXPUNGED), record.flags.contains(Flags::UNLINKED));
        add(&mut self.expunged, expunged);
        add(&mut self.unlinked, unlinked);
        if expunged {
            return;
        }
        add(&mut self.exists, true);
        add(&mut self.unseen, !record.flags.contains(Flags::SEEN));
        add(&mut self.deleted, record.flags.contains(Flags::DELETED));
        let size = u64::from(record.size);
        self.size_bytes = if sign > 0 {
            self.size_bytes.saturating_add(size)
        } else {
            self.size_bytes.saturating_sub(size)
        };
    }

    /// Before records are counted anew.
    pub fn forget_counts(&mut self) {
        (self.exists, self.unseen, self.deleted) = (0, 0, 0);
        (self.expunged, self.unlinked, self.size_bytes) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_damage() {
        let header = Header {
            uid_validity: 5,
            id: 1 << 99,
            slots: 3,
            log_applied: 64,
            keywords: 2,
            ..Header::default()
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some(header));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn counting_in_and_out_comes_to_nothing() {
        let mut header = Header::default();
        let records =
            [Flags::NONE, Flags::SEEN, Flags::DELETED, Flags::EXPUNGED, Flags::EXPUNGED | Flags::UNLINKED]
                .map(|flags| Record { uid: 1, flags, modseq: 1, keywords: 0, size: 10 });
        for record in &records {
            header.count(record, 1);
        }
        assert_eq!((header.exists, header.unseen, header.deleted, header.size_bytes), (3, 2, 1, 30));
        assert_eq!((header.expunged, header.unlinked), (2, 1));
        for record in &records {
            header.count(record, -1);
        }
        assert_eq!(header, Header::default());
    }
}
