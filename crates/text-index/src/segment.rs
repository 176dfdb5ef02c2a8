//! Reads a segment. What does not verify is damage and is never believed.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem::Finder;
use os::map::FileMap;

use crate::entry::Entry;
use crate::{Bits, Doc, Owner, Side};

pub(crate) const MAGIC: &[u8; 8] = b"MBTXI\0\0\x04";
pub(crate) const HEADER_BYTES: usize = 64;
pub(crate) const DOC_BYTES: usize = 16;
pub(crate) const CHUNK_HEAD_BYTES: usize = 20;
/// Bytes of words of one chunk.
pub(crate) const CHUNK_BYTES: usize = 16 * 1024;

/// Bytes of a segment that are not as they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged(pub &'static str);

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the index of words is damaged: {}", self.0)
    }
}

impl From<Damaged> for io::Error {
    fn from(damaged: Damaged) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, damaged.to_string())
    }
}

/// An open segment; any number of threads may ask it.
pub struct Segment {
    map: FileMap,
    owner: Owner,
    docs: u32,
    directory_at: usize,
    chunks: usize,
    /// A bit for each chunk that was found to be whole.
    verified: Vec<AtomicU64>,
    /// Documents with a header, with a body.
    sides: [u32; 2],
}

impl Segment {
    /// Opens a file, which must not be changed while it is open. Its documents and directory are verified now, each chunk when
    /// it is first looked at.
    ///
    /// # Errors
    /// `InvalidData` for damage; the system's.
    pub fn open(file: &File) -> io::Result<Segment> {
        let map = FileMap::open(file)?;
        let header = map.get(..HEADER_BYTES).ok_or(Damaged("it is cut off"))?;
        let crc = u32_at(header, HEADER_BYTES - 4);
        if !header.starts_with(MAGIC) || base::crc32(&header[..HEADER_BYTES - 4]) != crc {
            return Err(Damaged("its header").into());
        }
        let mut id = [0; 16];
        id.copy_from_slice(&header[8..24]);
        let owner = Owner { id: u128::from_le_bytes(id), stamp: u32_at(header, 24) };
        let docs = u32_at(header, 28);
        let end = HEADER_BYTES + docs as usize * DOC_BYTES;
        let list = map.get(HEADER_BYTES..end).ok_or(Damaged("its documents"))?;
        if base::crc32(list) != u32_at(header, 32) {
            return Err(Damaged("its documents").into());
        }
        let directory_at = usize::try_from(u64_at(header, 36)).map_err(io::Error::other)?;
        let chunks = u32_at(header, 44) as usize;
        let directory = directory_at
            .checked_add(chunks * CHUNK_HEAD_BYTES)
            .and_then(|end| map.get(directory_at..end))
            .ok_or(Damaged("its directory"))?;
        if base::crc32(directory) != u32_at(header, 48) {
            return Err(Damaged("its directory").into());
        }
        let verified = (0..chunks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        let mut segment = Segment { map, owner, docs, directory_at, chunks, verified, sides: [0; 2] };
        let with =
            |fact: u32| (0..docs).filter(|doc| segment.doc(*doc).is_some_and(|doc| doc.has(fact))).count();
        segment.sides = [with(Doc::HAS_HEADER) as u32, with(Doc::HAS_BODY) as u32];
        Ok(segment)
    }

    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The number of documents.
    pub fn docs(&self) -> u32 {
        self.docs
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// The document at a place.
    pub fn doc(&self, place: u32) -> Option<Doc> {
        if place >= self.docs {
            return None;
        }
        let at = HEADER_BYTES + place as usize * DOC_BYTES;
        let bytes = self.map.get(at..at + DOC_BYTES)?;
        Some(Doc { number: u32_at(bytes, 0), facts: u32_at(bytes, 4), mark: u64_at(bytes, 8) })
    }

    /// The place of the document with this number, or of the next one behind.
    pub fn place_of(&self, number: u32) -> Result<u32, u32> {
        let (mut low, mut high) = (0, self.docs);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.doc(middle).map_or(u32::MAX, |doc| doc.number) {
                at if at == number => return Ok(middle),
                at if at < number => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }

    /// The documents of which words are missing on this side.
    pub(crate) fn opaque(&self, side: Side) -> Bits {
        let fact = if side == Side::Header { Doc::OPAQUE_HEADER } else { Doc::OPAQUE_BODY };
        let mut bits = Bits::new(self.docs as usize);
        for place in (0..self.docs).filter(|place| self.doc(*place).is_some_and(|doc| doc.has(fact))) {
            bits.set(place);
        }
        bits
    }

    pub(crate) fn chunks(&self) -> usize {
        self.chunks
    }

    /// The words of a chunk, each between line ends, and their entries.
    pub(crate) fn chunk(&self, number: usize) -> Result<(&[u8], &[u8]), Damaged> {
        let at = self.directory_at + number * CHUNK_HEAD_BYTES;
        let head = self.map.get(at..at + CHUNK_HEAD_BYTES).ok_or(Damaged("its directory"))?;
        let start = usize::try_from(u64_at(head, 0)).map_err(|_| Damaged("its directory"))?;
        let (words, entries) = (u32_at(head, 8) as usize, u32_at(head, 12) as usize);
        let bytes = start
            .checked_add(words + entries)
            .and_then(|end| self.map.get(start..end))
            .ok_or(Damaged("its directory"))?;
        let (word, bit) = (&self.verified[number / 64], 1u64 << (number % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            if base::crc32(bytes) != u32_at(head, 16) {
                return Err(Damaged("words"));
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(bytes.split_at(words))
    }

    /// Adds the documents that have a word of which `part` is a part, for each side of which there are bits.
    pub(crate) fn find(
        &self,
        part: &[u8],
        header: &mut Option<Bits>,
        body: &mut Option<Bits>,
    ) -> Result<(), Damaged> {
        let wants = [header.is_some(), body.is_some()];
        let mut missing = [0, 1].map(|side| if wants[side] { self.sides[side] } else { 0 });
        let finder = Finder::new(part);
        for chunk in 0..self.chunks {
            if missing == [0, 0] {
                return Ok(()); // every document has it
            }
            let (words, entries) = self.chunk(chunk)?;
            let mut at = Words { words, entries, word: 1 };
            while let Some(entry) = at.next_with(&finder) {
                let wanted = |side: Side| wants[side as usize];
                entry.each(self.docs, wanted, &mut |side, doc| {
                    let bits = if side == Side::Header { &mut *header } else { &mut *body };
                    if bits.as_mut().is_some_and(|bits| bits.set(doc)) {
                        missing[side as usize] = missing[side as usize].saturating_sub(1);
                    }
                    missing != [0, 0]
                });
            }
        }
        Ok(())
    }

    pub(crate) fn words(&self, chunk: usize) -> Result<Words<'_>, Damaged> {
        let (words, entries) = self.chunk(chunk)?;
        Ok(Words { words, entries, word: 1 })
    }
}

/// A walk along the words of a chunk.
pub(crate) struct Words<'s> {
    words: &'s [u8],
    /// From the entry of the present word on.
    entries: &'s [u8],
    /// Where the present word begins.
    word: usize,
}

impl<'s> Words<'s> {
    pub fn next_word(&mut self) -> Option<(&'s [u8], Entry<'s>)> {
        let rest = self.words.get(self.word..)?;
        let end = memchr::memchr(b'\n', rest)?;
        let (entry, entries) = Entry::read(self.entries)?;
        self.entries = entries;
        self.word += end + 1;
        Some((&rest[..end], entry))
    }

    /// The entry of the next word that contains what is looked for.
    fn next_with(&mut self, finder: &Finder<'_>) -> Option<Entry<'s>> {
        let rest = self.words.get(self.word..)?;
        let found = finder.find(rest)?;
        for _ in memchr::memchr_iter(b'\n', &rest[..found]) {
            self.entries = Entry::read(self.entries)?.1;
        }
        let end = found + memchr::memchr(b'\n', &rest[found..])?;
        let (entry, entries) = Entry::read(self.entries)?;
        self.entries = entries;
        self.word += end + 1;
        Some(entry)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_le_bytes)
}
