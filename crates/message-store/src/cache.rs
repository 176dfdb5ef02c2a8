//! The cache segments of a mailbox. Never synced: what does not verify is computed again. The table is in
//! `docs/formats/store.md`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bytes::u32_at;
use crate::layout::cache_name;

/// `cache_position` of a record that has none.
pub const NO_POSITION: u64 = u64::MAX;
/// Bytes of a segment from which the next one is begun.
pub const SEGMENT_BYTES: u64 = 1 << 30;
const OFFSET_BITS: u32 = 40;
const MAGIC: &[u8; 4] = b"MBCG";
/// Magic, length, and whose it is.
const HEAD_BYTES: usize = 24;
const CRC_BYTES: usize = 4;
/// What is read at once; most records are shorter.
const FIRST_READ_BYTES: usize = 4096;
/// Content of a record at most.
const CONTENT_BYTES_MAX: usize = 64 << 20;

pub fn position(segment: u32, offset: u64) -> u64 {
    (u64::from(segment) << OFFSET_BITS) | offset
}

fn place(position: u64) -> (u32, u64) {
    ((position >> OFFSET_BITS) as u32, position & ((1 << OFFSET_BITS) - 1))
}

/// A record as bytes. It says of which message it is: after a power cut a position may be used a second time.
fn encode(guid: &[u8; 16], content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + content.len() + CRC_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&u32::try_from(content.len()).unwrap_or(0).to_le_bytes());
    bytes.extend_from_slice(guid);
    bytes.extend_from_slice(content);
    let crc = base::crc32(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// The segments of one mailbox; the last one used is kept open.
#[derive(Default)]
pub struct Segments {
    open: Mutex<Option<(u32, Arc<File>)>>,
}

impl Segments {
    /// The file of a segment; made when it is missing only for who writes.
    fn file(&self, folder: &Path, segment: u32, writes: bool) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = open.as_ref().filter(|(number, _)| *number == segment) {
            return Ok(Arc::clone(file));
        }
        let path = folder.join(cache_name(segment));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(writes)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let file = Arc::new(file);
        *open = Some((segment, Arc::clone(&file)));
        Ok(file)
    }

    /// Forgets the open segment: the mailbox has a new generation.
    pub fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Bytes in a segment.
    pub fn length(&self, folder: &Path, segment: u32) -> io::Result<u64> {
        Ok(self.file(folder, segment, true)?.metadata()?.len())
    }

    /// Appends contents, each with the guid of its message, under the mailbox's lock; their positions.
    pub fn append<'c>(
        &self,
        folder: &Path,
        segment: u32,
        contents: impl Iterator<Item = (&'c [u8; 16], &'c [u8])>,
    ) -> io::Result<Vec<u64>> {
        let file = self.file(folder, segment, true)?;
        let start = file.metadata()?.len();
        let mut bytes = Vec::new();
        let mut positions = Vec::new();
        for (guid, content) in contents {
            positions.push(position(segment, start + bytes.len() as u64));
            bytes.extend_from_slice(&encode(guid, content));
        }
        file.write_all_at(&bytes, start)?;
        Ok(positions)
    }

    /// The content at a position; nothing when it does not verify, or is another message's.
    pub fn read(&self, folder: &Path, position: u64, guid: &[u8; 16]) -> Option<Vec<u8>> {
        if position == NO_POSITION {
            return None;
        }
        let (segment, offset) = place(position);
        let file = self.file(folder, segment, false).ok()?;
        let mut bytes = vec![0; FIRST_READ_BYTES];
        let got = read_some(&file, &mut bytes, offset)?;
        bytes.truncate(got);
        if bytes.len() < HEAD_BYTES + CRC_BYTES || !bytes.starts_with(MAGIC) || bytes[8..HEAD_BYTES] != *guid
        {
            return None;
        }
        let length = u32_at(&bytes, 4) as usize;
        if length > CONTENT_BYTES_MAX {
            return None;
        }
        let whole = HEAD_BYTES + length + CRC_BYTES;
        if bytes.len() < whole {
            let had = bytes.len();
            bytes.resize(whole, 0);
            file.read_exact_at(&mut bytes[had..], offset + had as u64).ok()?;
        }
        bytes.truncate(whole);
        let crc = u32_at(&bytes, HEAD_BYTES + length);
        if base::crc32(&bytes[..HEAD_BYTES + length]) != crc {
            return None;
        }
        bytes.truncate(HEAD_BYTES + length);
        bytes.drain(..HEAD_BYTES);
        Some(bytes)
    }
}

fn read_some(file: &File, bytes: &mut [u8], offset: u64) -> Option<usize> {
    loop {
        match file.read_at(bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_any_length_come_back_and_damage_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let segments = Segments::default();
        let contents: Vec<Vec<u8>> =
            [0, 1, 4000, 4068, 4069, 100_000].iter().map(|n| vec![b'x'; *n]).collect();
        let (guid, other) = ([7; 16], [8; 16]);
        let records = contents.iter().map(|content| (&guid, content.as_slice()));
        let positions = segments.append(folder.path(), 0, records).unwrap();
        for (position, content) in positions.iter().zip(&contents) {
            assert_eq!(segments.read(folder.path(), *position, &guid).as_ref(), Some(content));
        }
        assert_eq!(segments.read(folder.path(), positions[1] + 1, &guid), None);
        assert_eq!(segments.read(folder.path(), positions[1], &other), None, "another message's");
        assert_eq!(segments.read(folder.path(), NO_POSITION, &guid), None);
        let path = folder.path().join("store.c00");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[90] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        segments.close();
        assert_eq!(segments.read(folder.path(), positions[2], &guid), None);
        assert!(segments.read(folder.path(), positions[5], &guid).is_some());
    }
}
