//! Makes one segment of several that follow one another. Documents that are gone are left out.
//!
//! The segments are read side by side, so memory is used for one word at a time and for the documents only. When the result
//! would be larger than a fifth of the texts, the words that only one document has are left out for those documents that have
//! the most of them: such a document is looked at whenever it is asked for what it might contain.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io;

use crate::segment::Words;
use crate::writer::{Writer, Written};
use crate::{Doc, Segment, entry};

/// A small index is not worth the trouble.
const BUDGET_DOCS_MIN: usize = 4096;
/// Of the bytes of the texts, an index may have one in so many.
const BUDGET_DIVISOR: u64 = 5;
/// Words between two calls of the pace.
const PACE_WORDS: u32 = 1024;

/// Called with bytes that were read or written since the last time; false ends the work.
pub type Pace<'p> = dyn FnMut(u64) -> bool + 'p;

/// What became of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    Done(Written),
    /// No document is left; the file is of no use.
    Empty,
    /// The pace said so; the file is of no use.
    Stopped,
}

/// Merges segments of one owner whose numbers ascend from one to the next, into an empty file. `lives` says which documents
/// are still there.
///
/// # Errors
/// `InvalidData` when an input is damaged; the system's.
pub fn merge(
    inputs: &[&Segment],
    lives: &dyn Fn(&Doc) -> bool,
    file: &File,
    pace: &mut Pace<'_>,
) -> io::Result<Merged> {
    let Some(owner) = inputs.first().map(|first| first.owner()) else { return Ok(Merged::Empty) };
    let mut docs = Vec::new();
    let mut places: Vec<Vec<u32>> = Vec::new();
    for input in inputs {
        let mut of_input = Vec::with_capacity(input.docs() as usize);
        for doc in (0..input.docs()).filter_map(|place| input.doc(place)) {
            if lives(&doc) {
                of_input.push(docs.len() as u32);
                docs.push(doc);
            } else {
                of_input.push(u32::MAX);
            }
        }
        places.push(of_input);
    }
    if docs.is_empty() {
        return Ok(Merged::Empty);
    }
    let text_bytes: u64 = docs.iter().map(|doc| u64::from(doc.text_bytes())).sum();
    let mut lonely = vec![0u32; docs.len() * 2];
    let written = write(inputs, &places, file, owner, &docs, &mut Lonely::Counted(&mut lonely), pace)?;
    let Some(written) = written else { return Ok(Merged::Stopped) };
    let budget = text_bytes / BUDGET_DIVISOR;
    if docs.len() < BUDGET_DOCS_MIN || written.bytes <= budget {
        return Ok(Merged::Done(written));
    }
    leave_out(&mut docs, &mut lonely, written.bytes - budget);
    file.set_len(0)?;
    let written = write(inputs, &places, file, owner, &docs, &mut Lonely::LeftOut(&lonely), pace)?;
    Ok(written.map_or(Merged::Stopped, Merged::Done))
}

/// Words that one place only has.
enum Lonely<'l> {
    /// Their bytes are counted, by place.
    Counted(&'l mut [u32]),
    /// They are left out where this is not 0.
    LeftOut(&'l [u32]),
}

/// Makes documents opaque until so many bytes are saved: `lonely` becomes 0 for the places that keep their words.
fn leave_out(docs: &mut [Doc], lonely: &mut [u32], excess: u64) {
    let mut order: Vec<u32> = (0..lonely.len() as u32).collect();
    order.sort_unstable_by_key(|place| Reverse(lonely[*place as usize]));
    let mut saved = 0u64;
    for place in order {
        let bytes = &mut lonely[place as usize];
        if saved >= excess {
            *bytes = 0;
        } else if *bytes > 0 {
            saved += u64::from(*bytes);
            let fact = if place % 2 == 0 { Doc::OPAQUE_HEADER } else { Doc::OPAQUE_BODY };
            docs[place as usize / 2].facts |= fact;
        }
    }
}

/// One pass. Nothing when the pace ended it.
fn write(
    inputs: &[&Segment],
    places: &[Vec<u32>],
    file: &File,
    owner: crate::Owner,
    docs: &[Doc],
    lonely: &mut Lonely<'_>,
    pace: &mut Pace<'_>,
) -> io::Result<Option<Written>> {
    use std::io::{Seek, SeekFrom};
    let mut out = file.try_clone()?;
    out.seek(SeekFrom::Start(0))?;
    let mut writer = Writer::begin(out, owner, docs)?;
    let mut streams: Vec<Stream<'_>> = inputs.iter().map(|input| Stream::new(input)).collect();
    let mut heap = BinaryHeap::new();
    for (number, stream) in streams.iter_mut().enumerate() {
        if let Some(word) = stream.advance()? {
            heap.push(Reverse((word, number)));
        }
    }
    let (mut together, mut words, mut told) = (Vec::new(), 0u32, 0);
    while let Some(Reverse((word, _))) = heap.peek() {
        let word = *word;
        together.clear();
        while let Some(Reverse((_, number))) = heap.peek().filter(|Reverse((one, _))| *one == word).copied() {
            heap.pop();
            let stream = &mut streams[number];
            stream.places(&places[number], &mut together);
            if let Some(next) = stream.advance()? {
                heap.push(Reverse((next, number)));
            }
        }
        if let [place] = together[..] {
            // Its bytes, a line end, its entry.
            match lonely {
                Lonely::Counted(bytes) => bytes[place as usize] += word.len() as u32 + 4,
                Lonely::LeftOut(bytes) if bytes[place as usize] > 0 => together.clear(),
                Lonely::LeftOut(_) => {}
            }
        }
        writer.word(word, &together)?;
        words += 1;
        if words % PACE_WORDS == 0 {
            let bytes = writer.bytes();
            if !pace(2 * (bytes - told)) {
                return Ok(None);
            }
            told = bytes;
        }
    }
    writer.finish().map(Some)
}

/// The words of one input, one after the other.
struct Stream<'s> {
    segment: &'s Segment,
    next_chunk: usize,
    words: Option<Words<'s>>,
    entry: Option<entry::Entry<'s>>,
}

impl<'s> Stream<'s> {
    fn new(segment: &'s Segment) -> Stream<'s> {
        Stream { segment, next_chunk: 0, words: None, entry: None }
    }

    fn advance(&mut self) -> io::Result<Option<&'s [u8]>> {
        loop {
            if let Some((word, entry)) = self.words.as_mut().and_then(Words::next_word) {
                self.entry = Some(entry);
                return Ok(Some(word));
            }
            if self.next_chunk == self.segment.chunks() {
                return Ok(None);
            }
            self.words = Some(self.segment.words(self.next_chunk)?);
            self.next_chunk += 1;
        }
    }

    /// Appends the places of the present word among all documents, ascending.
    fn places(&self, docs: &[u32], together: &mut Vec<u32>) {
        let Some(entry) = &self.entry else { return };
        let start = together.len();
        entry.each(self.segment.docs(), |_| true, &mut |side, doc| {
            if let Some(doc) = docs.get(doc as usize).filter(|doc| **doc != u32::MAX) {
                together.push(entry::place(*doc, side));
            }
            true
        });
        together[start..].sort_unstable();
    }
}
