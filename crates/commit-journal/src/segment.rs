//! One file of a journal: its header, its records, how they are found again.
//!
//! A segment is written with zeros when it is made, so that a later sync of it has data to write and no metadata: space
//! that was only reserved would cost the file system a commit of its own each time. It is used again and again; what a
//! former use left in it is told from what is new by the epoch and the salt of its header.
//!
//! Header, at 0:
//!
//! | at | len | field | |
//! |---:|---:|---|---|
//! | 0 | 8 | magic | `MBJOUR`, a zero, version 1 |
//! | 8 | 8 | epoch | counts uses, over all segments: a higher one is later |
//! | 16 | 8 | salt | random, of this use |
//! | 24 | 8 | length | bytes of the file |
//! | 32 | 4 | crc | of bytes 0..32 |
//!
//! Records follow from 4096 on, each on a multiple of 8; what is written after a sync begins on a new page, so that no page
//! that is on stable storage is ever written again:
//!
//! | at | len | field | |
//! |---:|---:|---|---|
//! | 0 | 4 | magic | `MBJR` |
//! | 4 | 4 | length | n, bytes of the payload |
//! | 8 | 8 | sequence | counts records |
//! | 16 | 4 | payload crc | |
//! | 20 | 4 | crc | of salt, epoch, place in the file and bytes 0..20 |
//! | 24 | n | payload | |

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is written again only before its first sync.
pub const PAGE_BYTES: u64 = 4096;
/// Before the payload.
pub const RECORD_HEADER_BYTES: usize = 24;
/// Segments of a journal.
pub const SEGMENTS: u32 = 2;

const MAGIC: [u8; 8] = *b"MBJOUR\0\x01";
const RECORD_MAGIC: [u8; 4] = *b"MBJR";
const HEADER_BYTES: usize = 36;

/// What a journal writes to: a file, or in tests one that fails.
pub trait Medium: Send + Sync {
    /// Writes all of it there.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// What was written is on stable storage.
    ///
    /// # Errors
    /// The system's; it is not known then what is.
    fn sync(&self) -> io::Result<()>;
}

impl Medium for File {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        os::file::fdatasync(self)
    }
}

/// One use of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub epoch: u64,
    pub salt: u64,
    pub length: u64,
}

impl Header {
    /// Of a use that begins now.
    pub fn new(epoch: u64, length: u64) -> Header {
        Header { epoch, salt: random(), length }
    }

    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.salt.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.length.to_le_bytes());
        let crc = base::crc32(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let whole = bytes[..8] == MAGIC && base::crc32(&bytes[..32]) == number(bytes, 32, 4) as u32;
        whole.then(|| Header {
            epoch: number(bytes, 8, 8),
            salt: number(bytes, 16, 8),
            length: number(bytes, 24, 8),
        })
    }

    /// Fills in the header of a record of which all else is there: what depends on its place.
    pub fn seal(&self, record: &mut [u8], sequence: u64, at: u64) {
        record[8..16].copy_from_slice(&sequence.to_le_bytes());
        let crc = self.crc(&record[..20], at);
        record[20..24].copy_from_slice(&crc.to_le_bytes());
    }

    fn crc(&self, head: &[u8], at: u64) -> u32 {
        let mut bytes = [0; 44];
        bytes[..8].copy_from_slice(&self.salt.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&at.to_le_bytes());
        bytes[24..].copy_from_slice(head);
        base::crc32(&bytes)
    }

    /// Sequence and payload of the record that stands at `at`, if one of this use does.
    fn record<'b>(&self, segment: &'b [u8], at: usize) -> Option<(u64, &'b [u8])> {
        let head = segment.get(at..at.checked_add(RECORD_HEADER_BYTES)?)?;
        if head[..4] != RECORD_MAGIC || self.crc(&head[..20], at as u64) != number(head, 20, 4) as u32 {
            return None;
        }
        let from = at + RECORD_HEADER_BYTES;
        let payload = segment.get(from..from.checked_add(usize::try_from(number(head, 4, 4)).ok()?)?)?;
        (base::crc32(payload) == number(head, 16, 4) as u32).then(|| (number(head, 8, 8), payload))
    }

    /// Every record of this use, in order. What was torn is passed over, and what stands whole on a later page still
    /// counts: pages reach the disk in any order.
    pub fn records<'b>(&self, segment: &'b [u8]) -> Vec<(u64, &'b [u8])> {
        let (mut found, mut at) = (Vec::new(), PAGE_BYTES as usize);
        while at < segment.len() {
            at = match self.record(segment, at) {
                Some((sequence, payload)) => {
                    found.push((sequence, payload));
                    (at + RECORD_HEADER_BYTES + payload.len()).next_multiple_of(8)
                }
                None => (at + 1).next_multiple_of(PAGE_BYTES as usize),
            };
        }
        found
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let mut number = [0; 8];
    number[..length].copy_from_slice(&bytes[at..at + length]);
    u64::from_le_bytes(number)
}

/// A record with room for what [`Header::seal`] fills in.
pub fn encode_record(parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + length);
    record.extend_from_slice(&RECORD_MAGIC);
    record.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    record.resize(RECORD_HEADER_BYTES, 0);
    for part in parts {
        record.extend_from_slice(part);
    }
    let crc = base::crc32(&record[RECORD_HEADER_BYTES..]);
    record[16..20].copy_from_slice(&crc.to_le_bytes());
    record
}

/// The file of a segment.
pub fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(number.to_string())
}

/// The header of a segment that is there, has this length and verifies.
pub fn header_of(path: &Path) -> io::Result<Option<Header>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut bytes = [0; HEADER_BYTES];
    if length < PAGE_BYTES {
        return Ok(None);
    }
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Header::decode(&bytes).filter(|header| header.length == length))
}

/// Makes a segment, whole: under another name first, on stable storage when it has its own.
///
/// # Errors
/// `StorageFull`, the system's; nothing is left then.
pub fn create(folder: &Path, number: u32, header: &Header) -> io::Result<File> {
    let (path, new) = (path(folder, number), folder.join(format!("{number}.new")));
    let made = (|| {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        os::file::reserve(&file, 0, header.length)?; // in one piece where it can be
        let zeros = vec![0; 1 << 20];
        let mut at = 0;
        while at < header.length {
            let length = (header.length - at).min(zeros.len() as u64) as usize;
            file.write_all_at(&zeros[..length], at)?;
            at += length as u64;
        }
        file.write_all_at(&header.encode(), 0)?;
        os::file::fsync(&file)?;
        fs::rename(&new, &path)?;
        os::file::sync_dir(folder)?;
        Ok(file)
    })();
    if made.is_err() {
        let _ = fs::remove_file(&new);
    }
    made
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u128(base::clock::unix_nanos() as u128);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(segment: &mut [u8], header: &Header, at: usize, sequence: u64, payload: &[u8]) -> usize {
        let mut record = encode_record(&[payload]);
        header.seal(&mut record, sequence, at as u64);
        segment[at..at + record.len()].copy_from_slice(&record);
        (at + record.len()).next_multiple_of(8)
    }

    #[test]
    fn a_header_with_any_bit_flipped_is_none() {
        let header = Header::new(7, 1 << 20);
        assert_eq!(Header::decode(&header.encode()), Some(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = header.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn a_record_torn_at_any_byte_is_none_and_those_around_it_count() {
        let header = Header::new(1, 5 * PAGE_BYTES);
        let mut segment = vec![0; 5 * PAGE_BYTES as usize];
        let at = place(&mut segment, &header, PAGE_BYTES as usize, 1, b"first");
        let end = place(&mut segment, &header, at, 2, &[b'x'; 5000]);
        place(&mut segment, &header, end.next_multiple_of(PAGE_BYTES as usize), 3, b"third");
        let whole: Vec<u64> = header.records(&segment).iter().map(|(sequence, _)| *sequence).collect();
        assert_eq!(whole, [1, 2, 3]);
        for cut in at..at + RECORD_HEADER_BYTES + 5000 {
            let mut torn = segment.clone();
            torn[cut..end].fill(0);
            let found: Vec<u64> = header.records(&torn).iter().map(|(sequence, _)| *sequence).collect();
            // A cut that takes only zeros changes nothing.
            assert!(found == [1, 3] || torn[..end] == segment[..end], "cut at {cut}: {found:?}");
        }
    }

    /// What a message says is not taken for a record, wherever it comes to lie: it cannot know the salt.
    #[test]
    fn what_a_former_use_or_a_message_left_is_no_record() {
        let (old, new) = (Header::new(1, 4 * PAGE_BYTES), Header::new(3, 4 * PAGE_BYTES));
        let mut segment = vec![0; 4 * PAGE_BYTES as usize];
        let at = place(&mut segment, &old, PAGE_BYTES as usize, 1, b"old");
        place(&mut segment, &old, at, 2, b"old too");
        place(&mut segment, &old, 2 * PAGE_BYTES as usize, 3, b"and this");
        assert!(new.records(&segment).is_empty());
        place(&mut segment, &new, PAGE_BYTES as usize, 9, b"new");
        assert_eq!(new.records(&segment), [(9, b"new".as_slice())]);
        let moved = segment.clone();
        segment[3 * PAGE_BYTES as usize..]
            .copy_from_slice(&moved[PAGE_BYTES as usize..2 * PAGE_BYTES as usize]);
        assert_eq!(new.records(&segment).len(), 1, "at another place it is none");
    }
}
