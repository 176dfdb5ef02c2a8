//! Gathers the words of documents in memory until they are written as a segment.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use crate::words::Words;
use crate::writer::{Writer, Written};
use crate::{Doc, Owner, Side, entry};

/// Bytes of words of one document; what has more different ones is no text that people wrote.
const DOC_WORD_BYTES_MAX: usize = 1024 * 1024;
/// What a word costs in memory beside its bytes: its boxes, its room in the table.
const WORD_COST: usize = 88;

#[derive(Default)]
pub struct Builder {
    words: HashMap<Box<str>, Vec<u32>>,
    docs: Vec<Doc>,
    cutter: Words,
    /// Of the document under way.
    doc_word_bytes: usize,
    memory: usize,
}

impl Builder {
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Begins a document; numbers ascend.
    pub fn begin(&mut self, number: u32, mark: u64) {
        self.docs.push(Doc { number, mark, facts: 0 });
        self.doc_word_bytes = 0;
        self.memory += std::mem::size_of::<Doc>();
    }

    /// Takes a text of the present document, or a piece of one when `goes_on`. All of the header comes before the body.
    /// False when the document has more words than can be kept: the rest need not be told.
    pub fn text(&mut self, side: Side, text: &str, goes_on: bool) -> bool {
        let (Some(doc), Some(last)) = (u32::try_from(self.docs.len()).ok(), self.docs.last_mut()) else {
            return false;
        };
        last.add_text(text.len());
        last.facts |= if side == Side::Header { Doc::HAS_HEADER } else { Doc::HAS_BODY };
        let place = entry::place(doc - 1, side);
        let (words, doc_word_bytes, memory) = (&mut self.words, &mut self.doc_word_bytes, &mut self.memory);
        let mut take = |word: &str| {
            if *doc_word_bytes <= DOC_WORD_BYTES_MAX {
                keep(words, word, place, doc_word_bytes, memory);
            }
        };
        self.cutter.push(text, &mut take);
        if !goes_on {
            self.cutter.end(&mut take);
        }
        let has_too_many = self.doc_word_bytes > DOC_WORD_BYTES_MAX;
        if self.cutter.left_out() || has_too_many {
            last.facts |= if side == Side::Header { Doc::OPAQUE_HEADER } else { Doc::OPAQUE_BODY };
        }
        if has_too_many {
            last.facts |= Doc::OPAQUE_BODY | Doc::HAS_BODY; // what is not told any more
        }
        !has_too_many
    }

    /// The piece of a text that was told last was the end of it.
    pub fn end_text(&mut self, side: Side) {
        self.text(side, "", false);
    }

    /// The texts of the present document cannot be told, or not all of them.
    pub fn nothing_known(&mut self) {
        if let Some(last) = self.docs.last_mut() {
            last.facts |= Doc::HAS_HEADER | Doc::HAS_BODY | Doc::OPAQUE_HEADER | Doc::OPAQUE_BODY;
        }
    }

    pub fn docs(&self) -> usize {
        self.docs.len()
    }

    /// Bytes that are held, about.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Writes the segment to an empty file. Nothing is synced.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(self, file: File, owner: Owner) -> io::Result<Written> {
        let mut words: Vec<(Box<str>, Vec<u32>)> = self.words.into_iter().collect();
        words.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let mut writer = Writer::begin(file, owner, &self.docs)?;
        for (word, places) in words {
            writer.word(word.as_bytes(), &places)?;
        }
        writer.finish()
    }
}

fn keep(
    words: &mut HashMap<Box<str>, Vec<u32>>,
    word: &str,
    place: u32,
    doc_word_bytes: &mut usize,
    memory: &mut usize,
) {
    match words.get_mut(word) {
        Some(places) if places.last() == Some(&place) => return,
        Some(places) => {
            places.push(place);
            *memory += 6; // vectors double
        }
        None => {
            words.insert(word.into(), vec![place]);
            *memory += word.len() + WORD_COST;
        }
    }
    *doc_word_bytes += word.len();
}
