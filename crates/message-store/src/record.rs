//! Hot and cold records of the index. The tables are in `docs/formats/store.md`.

use crate::Flags;
use crate::bytes::{i64_at, put, u32_at, u64_at};
use crate::layout::{COLD_BYTES, HOT_BYTES};

/// What changes and what every session looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub uid: u32,
    pub flags: Flags,
    pub modseq: u64,
    /// Bits; positions are [`crate::Mailbox::keywords`].
    pub keywords: u64,
    pub size: u32,
}

impl Record {
    /// For a slot that cannot be read.
    pub const DAMAGED: Record = Record {
        uid: 0,
        flags: Flags(Flags::EXPUNGED.0 | Flags::DAMAGED.0),
        modseq: 0,
        keywords: 0,
        size: 0,
    };

    pub fn is_expunged(&self) -> bool {
        self.flags.contains(Flags::EXPUNGED)
    }

    pub(crate) fn encode(&self) -> [u8; HOT_BYTES] {
        let mut bytes = [0; HOT_BYTES];
        put(&mut bytes, 0, &self.uid.to_le_bytes());
        put(&mut bytes, 4, &self.flags.0.to_le_bytes());
        put(&mut bytes, 8, &self.modseq.to_le_bytes());
        put(&mut bytes, 16, &self.keywords.to_le_bytes());
        put(&mut bytes, 24, &self.size.to_le_bytes());
        let crc = base::crc32(&bytes[..28]);
        put(&mut bytes, 28, &crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Record> {
        if bytes.len() != HOT_BYTES || base::crc32(&bytes[..28]) != u32_at(bytes, 28) {
            return None;
        }
        Some(Record {
            uid: u32_at(bytes, 0),
            flags: Flags(u32_at(bytes, 4)),
            modseq: u64_at(bytes, 8),
            keywords: u64_at(bytes, 16),
            size: u32_at(bytes, 24),
        })
    }
}

/// What never changes but for `expunged_at` and the cache's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cold {
    pub uid: u32,
    pub size: u32,
    pub internal_date_ns: i64,
    pub save_date_ns: i64,
    /// Of the Date field, seconds since 1970; 0 when there is none.
    pub sent_date: i64,
    pub created_modseq: u64,
    pub header_size: u32,
    pub lines: u32,
    /// The same for the same bytes.
    pub guid: [u8; 16],
    /// Hash of queue id and recipient; 0 when the message did not come from the queue.
    pub delivery: u64,
    pub cache_position: u64,
    /// Nanoseconds since 1970; 0 while the message is there.
    pub expunged_at: i64,
}

impl Cold {
    pub(crate) fn encode(&self) -> [u8; COLD_BYTES] {
        let mut bytes = [0; COLD_BYTES];
        put(&mut bytes, 0, &self.uid.to_le_bytes());
        put(&mut bytes, 4, &self.size.to_le_bytes());
        put(&mut bytes, 8, &self.internal_date_ns.to_le_bytes());
        put(&mut bytes, 16, &self.save_date_ns.to_le_bytes());
        put(&mut bytes, 24, &self.sent_date.to_le_bytes());
        put(&mut bytes, 32, &self.created_modseq.to_le_bytes());
        put(&mut bytes, 40, &self.header_size.to_le_bytes());
        put(&mut bytes, 44, &self.lines.to_le_bytes());
        put(&mut bytes, 48, &self.guid);
        put(&mut bytes, 64, &self.delivery.to_le_bytes());
        put(&mut bytes, 72, &self.cache_position.to_le_bytes());
        put(&mut bytes, 80, &self.expunged_at.to_le_bytes());
        let crc = base::crc32(&bytes[..88]);
        put(&mut bytes, 88, &crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Cold> {
        if bytes.len() != COLD_BYTES || base::crc32(&bytes[..88]) != u32_at(bytes, 88) {
            return None;
        }
        let mut guid = [0; 16];
        guid.copy_from_slice(&bytes[48..64]);
        Some(Cold {
            uid: u32_at(bytes, 0),
            size: u32_at(bytes, 4),
            internal_date_ns: i64_at(bytes, 8),
            save_date_ns: i64_at(bytes, 16),
            sent_date: i64_at(bytes, 24),
            created_modseq: u64_at(bytes, 32),
            header_size: u32_at(bytes, 40),
            lines: u32_at(bytes, 44),
            guid,
            delivery: u64_at(bytes, 64),
            cache_position: u64_at(bytes, 72),
            expunged_at: i64_at(bytes, 80),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_damage() {
        let hot = Record { uid: 7, flags: Flags::SEEN, modseq: 9, keywords: 1 << 63, size: 310 };
        let cold =
            Cold { uid: 7, size: 310, internal_date_ns: -5, guid: [3; 16], lines: 2, ..Cold::default() };
        assert_eq!(Record::decode(&hot.encode()), Some(hot));
        assert_eq!(Cold::decode(&cold.encode()), Some(cold));
        for bit in 0..HOT_BYTES * 8 {
            let mut damaged = hot.encode();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&damaged), None, "bit {bit}");
        }
        for bit in 0..92 * 8 {
            let mut damaged = cold.encode();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Cold::decode(&damaged), None, "bit {bit}");
        }
        assert_eq!(Record::decode(&[0; HOT_BYTES]), None, "nothing written is not a record");
    }
}
