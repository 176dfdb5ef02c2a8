//! Writes a segment: documents, chunks of words, the directory of the chunks, and last the header that makes it one.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use crate::segment::{CHUNK_BYTES, CHUNK_HEAD_BYTES, DOC_BYTES, HEADER_BYTES, MAGIC};
use crate::{Doc, Owner, entry};

/// What a segment came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub docs: u32,
    /// Of the segment.
    pub bytes: u64,
    /// Of the texts that are in it.
    pub text_bytes: u64,
}

pub struct Writer {
    out: BufWriter<File>,
    at: u64,
    docs: u32,
    header: Vec<u8>,
    /// Words of the chunk under way, each between line ends.
    heap: Vec<u8>,
    entries: Vec<u8>,
    directory: Vec<u8>,
    text_bytes: u64,
}

impl Writer {
    /// Begins at the start of `file`, with all documents.
    ///
    /// # Errors
    /// The system's.
    pub fn begin(file: File, owner: Owner, docs: &[Doc]) -> io::Result<Writer> {
        let mut bytes = Vec::with_capacity(docs.len() * DOC_BYTES);
        for doc in docs {
            bytes.extend_from_slice(&doc.number.to_le_bytes());
            bytes.extend_from_slice(&doc.facts.to_le_bytes());
            bytes.extend_from_slice(&doc.mark.to_le_bytes());
        }
        let text_bytes = docs.iter().map(|doc| u64::from(doc.text_bytes())).sum();
        let count = u32::try_from(docs.len()).unwrap_or(u32::MAX);
        if count > entry::DOCS_MAX {
            return Err(io::Error::other("too many documents for one segment"));
        }
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&owner.id.to_le_bytes());
        header.extend_from_slice(&owner.stamp.to_le_bytes());
        header.extend_from_slice(&count.to_le_bytes());
        header.extend_from_slice(&base::crc32(&bytes).to_le_bytes());
        let mut out = BufWriter::with_capacity(256 * 1024, file);
        out.write_all(&[0; HEADER_BYTES])?;
        out.write_all(&bytes)?;
        let at = (HEADER_BYTES + bytes.len()) as u64;
        let (heap, entries, directory) = (vec![b'\n'], Vec::new(), Vec::new());
        Ok(Writer { out, at, docs: count, header, heap, entries, directory, text_bytes })
    }

    /// The next word; words ascend. Places as in `entry.rs`; none: the word is left out.
    ///
    /// # Errors
    /// The system's.
    pub fn word(&mut self, word: &[u8], places: &[u32]) -> io::Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        self.heap.extend_from_slice(word);
        self.heap.push(b'\n');
        entry::put(&mut self.entries, places, self.docs);
        if self.heap.len() >= CHUNK_BYTES { self.end_chunk() } else { Ok(()) }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.at + (self.heap.len() + self.entries.len()) as u64
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let start = self.directory.len();
        self.directory.extend_from_slice(&self.at.to_le_bytes());
        self.directory.extend_from_slice(&(self.heap.len() as u32).to_le_bytes());
        self.directory.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        self.heap.extend_from_slice(&self.entries);
        self.directory.extend_from_slice(&base::crc32(&self.heap).to_le_bytes());
        debug_assert_eq!(self.directory.len() - start, CHUNK_HEAD_BYTES);
        self.out.write_all(&self.heap)?;
        self.at += self.heap.len() as u64;
        self.heap.truncate(1);
        self.entries.clear();
        Ok(())
    }

    /// Completes the file.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(mut self) -> io::Result<Written> {
        self.end_chunk()?;
        self.out.write_all(&self.directory)?;
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let mut header = self.header;
        header.extend_from_slice(&self.at.to_le_bytes());
        header.extend_from_slice(&((self.directory.len() / CHUNK_HEAD_BYTES) as u32).to_le_bytes());
        header.extend_from_slice(&base::crc32(&self.directory).to_le_bytes());
        header.resize(HEADER_BYTES - 4, 0);
        let crc = base::crc32(&header);
        header.extend_from_slice(&crc.to_le_bytes());
        file.write_all_at(&header, 0)?;
        let bytes = self.at + self.directory.len() as u64;
        Ok(Written { docs: self.docs, bytes, text_bytes: self.text_bytes })
    }
}
