//! Which documents have a word: one entry for each word of a chunk, in the order of the words.
//!
//! | first byte | what follows |
//! | --- | --- |
//! | `1ddddddd` | two bytes: with these seven bits the one place that has it, low bits first |
//! | `01nnnnnn` | n gaps between places |
//! | `000000bh` | a list of documents for the header if h, one for the body if b |
//!
//! A place is twice the document, and one more for its body.

use crate::Side;
use crate::numbers::{self, List, put_varint, varint};

/// Documents of one segment: a place has 23 bits.
pub const DOCS_MAX: u32 = 1 << 22;
/// Up to so many places are written one by one.
const FEW: usize = 6;

pub fn place(doc: u32, side: Side) -> u32 {
    doc * 2 + u32::from(side == Side::Body)
}

pub fn side(place: u32) -> Side {
    if place % 2 == 0 { Side::Header } else { Side::Body }
}

/// Appends the entry of a word with these places, which ascend; of `docs` documents.
pub fn put(out: &mut Vec<u8>, places: &[u32], docs: u32) {
    match places {
        [place] => {
            out.push(0x80 | (place & 0x7f) as u8);
            out.extend_from_slice(&((place >> 7) as u16).to_le_bytes());
        }
        few if few.len() <= FEW => {
            out.push(0x40 | few.len() as u8);
            let mut next = 0;
            for place in few {
                put_varint(out, place - next);
                next = place + 1;
            }
        }
        many => {
            let of = |wanted: Side| -> Vec<u32> {
                many.iter().filter(|one| side(**one) == wanted).map(|one| one / 2).collect()
            };
            let (header, body) = (of(Side::Header), of(Side::Body));
            out.push(u8::from(!header.is_empty()) | u8::from(!body.is_empty()) << 1);
            for list in [header, body].iter().filter(|list| !list.is_empty()) {
                numbers::put(out, list, docs);
            }
        }
    }
}

/// An entry as it lies in a file.
#[derive(Clone, Copy)]
pub enum Entry<'b> {
    One(u32),
    /// How many gaps, and where they are.
    Few(u8, &'b [u8]),
    Many(Option<List<'b>>, Option<List<'b>>),
}

impl<'b> Entry<'b> {
    /// The entry at the start of `bytes`, and what follows.
    #[inline]
    pub fn read(bytes: &'b [u8]) -> Option<(Entry<'b>, &'b [u8])> {
        let (head, rest) = bytes.split_first()?;
        if head & 0x80 != 0 {
            let (high, rest) = rest.split_first_chunk::<2>()?;
            let place = u32::from(head & 0x7f) | u32::from(u16::from_le_bytes(*high)) << 7;
            return Some((Entry::One(place), rest));
        }
        if head & 0x40 != 0 {
            let count = head & 0x3f;
            let gaps = rest;
            let mut rest = rest;
            for _ in 0..count {
                rest = varint(rest)?.1;
            }
            return Some((Entry::Few(count, gaps), rest));
        }
        let (header, rest) = list_if(head & 1 != 0, rest)?;
        let (body, rest) = list_if(head & 2 != 0, rest)?;
        Some((Entry::Many(header, body), rest))
    }

    /// The documents that have the word on each side that is wanted, until `take` has enough.
    pub fn each(&self, docs: u32, wants: impl Fn(Side) -> bool, take: &mut dyn FnMut(Side, u32) -> bool) {
        let mut one = |place: u32| !wants(side(place)) || place / 2 >= docs || take(side(place), place / 2);
        match self {
            Entry::One(place) => {
                one(*place);
            }
            Entry::Few(count, gaps) => {
                let (mut next, mut rest) = (0u32, *gaps);
                for _ in 0..*count {
                    let Some((gap, after)) = varint(rest) else { return };
                    let place = next.saturating_add(gap);
                    if !one(place) {
                        return;
                    }
                    (next, rest) = (place.saturating_add(1), after);
                }
            }
            Entry::Many(header, body) => {
                for (list, side) in [(header, Side::Header), (body, Side::Body)] {
                    if let Some(list) = list.filter(|_| wants(side)) {
                        list.each(docs, |doc| take(side, doc));
                    }
                }
            }
        }
    }
}

fn list_if(is_there: bool, bytes: &[u8]) -> Option<(Option<List<'_>>, &[u8])> {
    if !is_there {
        return Some((None, bytes));
    }
    let (list, rest) = List::read(bytes)?;
    Some((Some(list), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_come_back(places in proptest::collection::btree_set(0u32..400, 1..300), last in 400u32..2 * DOCS_MAX) {
            let mut places: Vec<u32> = places.into_iter().collect();
            places.push(last);
            for places in [&places[..1], &places[..places.len().min(4)], &places[..], &places[places.len() - 1..]] {
                let mut bytes = Vec::new();
                put(&mut bytes, places, DOCS_MAX);
                bytes.push(9);
                let (entry, rest) = Entry::read(&bytes).unwrap();
                prop_assert_eq!(rest, &[9][..]);
                let mut found = Vec::new();
                entry.each(DOCS_MAX, |_| true, &mut |side, doc| {
                    found.push(place(doc, side));
                    true
                });
                found.sort_unstable();
                prop_assert_eq!(&found[..], places);
            }
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut rest = bytes.as_slice();
            while let Some((entry, after)) = Entry::read(rest) {
                entry.each(100, |_| true, &mut |_, doc| doc < 100);
                rest = after;
            }
        }
    }
}
