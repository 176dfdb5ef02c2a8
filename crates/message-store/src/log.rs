//! The log of a mailbox: transactions since the last checkpoint. The table is in `docs/formats/store.md`.

use crate::bytes::{i64_at, put, u32_at, u64_at, u128_at};
use crate::layout::{COLD_BYTES, HOT_BYTES};
use crate::record::{Cold, Record};

pub const LOG_HEADER_BYTES: u64 = 64;
/// From this length on a checkpoint is due.
pub const CHECKPOINT_BYTES: u64 = 1 << 20;
const LOG_MAGIC: &[u8; 8] = b"MBLOG\0\0\x01";
const MAGIC: &[u8; 4] = b"MBTX";
/// Bytes of operations in a transaction at most: what is longer is no transaction.
const OPERATIONS_BYTES_MAX: usize = 1 << 30;

/// The first bytes of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    pub id: u128,
    pub uid_validity: u32,
    pub generation: u64,
}

impl LogHeader {
    pub fn encode(&self) -> [u8; LOG_HEADER_BYTES as usize] {
        let mut bytes = [0; LOG_HEADER_BYTES as usize];
        put(&mut bytes, 0, LOG_MAGIC);
        put(&mut bytes, 8, &self.id.to_le_bytes());
        put(&mut bytes, 24, &self.uid_validity.to_le_bytes());
        put(&mut bytes, 32, &self.generation.to_le_bytes());
        let crc = base::crc32(&bytes[..60]);
        put(&mut bytes, 60, &crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<LogHeader> {
        let bytes = bytes.get(..LOG_HEADER_BYTES as usize)?;
        if !bytes.starts_with(LOG_MAGIC) || base::crc32(&bytes[..60]) != u32_at(bytes, 60) {
            return None;
        }
        Some(LogHeader {
            id: u128_at(bytes, 8),
            uid_validity: u32_at(bytes, 24),
            generation: u64_at(bytes, 32),
        })
    }
}

/// One operation: a final state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Append(Record, Cold),
    Flags(Record),
    Expunge(Record, i64),
    Keyword(u8, String),
    Unlinked(u32),
    Next { uid_next: u32, highest_modseq: u64 },
}

impl Operation {
    fn push(&self, bytes: &mut Vec<u8>) {
        match self {
            Operation::Append(record, cold) => {
                bytes.push(1);
                bytes.extend_from_slice(&record.encode());
                bytes.extend_from_slice(&cold.encode());
            }
            Operation::Flags(record) => {
                bytes.push(2);
                bytes.extend_from_slice(&record.encode());
            }
            Operation::Expunge(record, at) => {
                bytes.push(3);
                bytes.extend_from_slice(&record.encode());
                bytes.extend_from_slice(&at.to_le_bytes());
            }
            Operation::Keyword(bit, name) => {
                bytes.extend_from_slice(&[4, *bit, name.len().min(255) as u8]);
                bytes.extend_from_slice(&name.as_bytes()[..name.len().min(255)]);
            }
            Operation::Unlinked(uid) => {
                bytes.push(5);
                bytes.extend_from_slice(&uid.to_le_bytes());
            }
            Operation::Next { uid_next, highest_modseq } => {
                bytes.push(6);
                bytes.extend_from_slice(&uid_next.to_le_bytes());
                bytes.extend_from_slice(&highest_modseq.to_le_bytes());
            }
        }
    }

    /// The operation at the start, and its length.
    fn read(bytes: &[u8]) -> Option<(Operation, usize)> {
        let (kind, rest) = bytes.split_first()?;
        let hot = || rest.get(..HOT_BYTES).and_then(Record::decode);
        Some(match kind {
            1 => {
                let cold = rest.get(HOT_BYTES..HOT_BYTES + COLD_BYTES).and_then(Cold::decode)?;
                (Operation::Append(hot()?, cold), 1 + HOT_BYTES + COLD_BYTES)
            }
            2 => (Operation::Flags(hot()?), 1 + HOT_BYTES),
            3 => {
                let at = rest.get(HOT_BYTES..HOT_BYTES + 8).map(|bytes| i64_at(bytes, 0))?;
                (Operation::Expunge(hot()?, at), 1 + HOT_BYTES + 8)
            }
            4 => {
                let (bit, length) = (*rest.first()?, usize::from(*rest.get(1)?));
                let name = rest.get(2..2 + length)?;
                (Operation::Keyword(bit, String::from_utf8(name.to_vec()).ok()?), 3 + length)
            }
            5 => (Operation::Unlinked(rest.get(..4).map(|bytes| u32_at(bytes, 0))?), 5),
            6 => {
                let bytes = rest.get(..12)?;
                let next = Operation::Next { uid_next: u32_at(bytes, 0), highest_modseq: u64_at(bytes, 4) };
                (next, 13)
            }
            _ => return None,
        })
    }
}

/// A transaction as bytes.
pub fn encode(operations: &[Operation]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 + operations.len() * 40);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    for operation in operations {
        operation.push(&mut bytes);
    }
    let length = u32::try_from(bytes.len() - 8).unwrap_or(u32::MAX);
    put(&mut bytes, 4, &length.to_le_bytes());
    let crc = base::crc32(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// The transaction at the start of `bytes`, and its length; nothing when there is no whole one.
pub fn read(bytes: &[u8]) -> Option<(Vec<Operation>, usize)> {
    if !bytes.starts_with(MAGIC) || bytes.len() < 12 {
        return None;
    }
    let length = u32_at(bytes, 4) as usize;
    if length > OPERATIONS_BYTES_MAX {
        return None;
    }
    let whole = bytes.get(..8 + length + 4)?;
    if base::crc32(&whole[..8 + length]) != u32_at(whole, 8 + length) {
        return None;
    }
    let mut operations = Vec::new();
    let mut rest = &whole[8..8 + length];
    while !rest.is_empty() {
        let (operation, used) = Operation::read(rest)?;
        operations.push(operation);
        rest = &rest[used..];
    }
    Some((operations, 8 + length + 4))
}

/// What begins with the next mark behind the start.
pub fn next(bytes: &[u8]) -> &[u8] {
    let behind = bytes.get(1..).unwrap_or(&[]);
    memchr::memmem::find(behind, MAGIC).map_or(&[], |at| &behind[at..])
}

/// Whether a whole transaction begins somewhere behind the start: then what stands before it is damage and not the torn
/// end of the log.
pub fn another_follows(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes.get(1..).unwrap_or(&[]), MAGIC).any(|at| read(&bytes[at + 1..]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flags;

    fn sample() -> Vec<Operation> {
        let record = Record { uid: 3, flags: Flags::SEEN, modseq: 8, keywords: 1, size: 5 };
        vec![
            Operation::Keyword(0, "$Work".into()),
            Operation::Append(record, Cold { uid: 3, size: 5, ..Cold::default() }),
            Operation::Flags(record),
            Operation::Expunge(record, 77),
            Operation::Unlinked(3),
            Operation::Next { uid_next: 4, highest_modseq: 8 },
        ]
    }

    #[test]
    fn a_transaction_is_read_as_it_was_written_and_any_flipped_bit_or_cut_is_recognised() {
        let bytes = encode(&sample());
        assert_eq!(read(&bytes), Some((sample(), bytes.len())));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&damaged), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), None);
        }
        let header = LogHeader { id: 5, uid_validity: 6, generation: 7 };
        assert_eq!(LogHeader::decode(&header.encode()), Some(header));
    }

    #[test]
    fn a_bad_transaction_before_a_good_one_is_told_from_a_torn_end() {
        let good = encode(&sample());
        let mut bad = good.clone();
        bad[20] ^= 1;
        assert!(another_follows(&[&bad[..], &good[..]].concat()));
        assert!(!another_follows(&bad));
        assert!(!another_follows(&good[..good.len() - 1]));
    }
}
