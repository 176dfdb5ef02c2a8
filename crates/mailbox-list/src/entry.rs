//! One record of the list.
//!
//! | at | len | field        | meaning                                                              |
//! |---:|----:|--------------|----------------------------------------------------------------------|
//! |  0 |   1 | version      | 1                                                                    |
//! |  1 |   1 | kind         | bit 0: it can be selected; else it only stands above others          |
//! |  2 |   1 | special use  | 0 none, else the number of [`SpecialUse`]                            |
//! |  3 |   1 | length       | bytes of the partition's name                                        |
//! |  4 |   4 | uid validity | as in the mailbox's own header; 0 when it cannot be selected         |
//! |  8 |   8 | node         | number under which those below it are found                          |
//! | 16 |  16 | id           | of the mailbox, random, for ever                                     |
//! | 32 |   n | partition    | name                                                                 |
//! |  . |   4 | crc          | CRC-32 of all before                                                 |

use crate::SpecialUse;

/// What the list knows of a mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub selectable: bool,
    pub special_use: Option<SpecialUse>,
    pub uid_validity: u32,
    pub id: u128,
    pub partition: String,
    pub(crate) node: u64,
}

impl Entry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let partition = &self.partition.as_bytes()[..self.partition.len().min(255)];
        let mut bytes = vec![1, u8::from(self.selectable), SpecialUse::code(self.special_use)];
        bytes.push(partition.len() as u8);
        bytes.extend_from_slice(&self.uid_validity.to_le_bytes());
        bytes.extend_from_slice(&self.node.to_le_bytes());
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.extend_from_slice(partition);
        let crc = base::crc32(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Entry> {
        let (bytes, crc) = bytes.split_last_chunk::<4>()?;
        if base::crc32(bytes) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (head, partition) = bytes.split_at_checked(32)?;
        if head[0] != 1 || partition.len() != usize::from(head[3]) {
            return None;
        }
        Some(Entry {
            selectable: head[1] & 1 == 1,
            special_use: SpecialUse::from_code(head[2]),
            uid_validity: u32::from_le_bytes(head[4..8].try_into().ok()?),
            node: u64::from_le_bytes(head[8..16].try_into().ok()?),
            id: u128::from_le_bytes(head[16..32].try_into().ok()?),
            partition: String::from_utf8(partition.to_vec()).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_is_damage() {
        let entry = Entry {
            selectable: true,
            special_use: Some(SpecialUse::Sent),
            uid_validity: 9,
            id: 1 << 100,
            partition: "primary".into(),
            node: 7,
        };
        let bytes = entry.encode();
        assert_eq!(Entry::decode(&bytes), Some(entry));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Entry::decode(&damaged), None, "bit {bit}");
        }
    }
}
