//! Which texts contain a string: an index of the words of texts, in files that never change.
//!
//! A segment is one file about a range of documents ([`Builder`], [`merge`], [`Segment`]). It holds every word of every
//! document once, so a string without blanks is looked for among the words, and the answer is the whole truth: a document
//! contains it exactly if one of its words does. For other strings ([`Query`]) the answer is which documents may contain it.
//! It has never heard of messages. The format is in `docs/formats/text-index.md`.

mod bits;
mod builder;
mod entry;
mod like;
mod merge;
mod numbers;
mod query;
mod segment;
mod words;
mod writer;

pub use bits::Bits;
pub use builder::Builder;
pub use like::{Close, Like};
pub use merge::{Merged, Pace, merge};
pub use query::{Answer, Query, Scope};
pub use segment::{Damaged, Segment};
pub use words::{TOKEN_BYTES_MAX, Words};
pub use writer::Written;

/// Whose index it is: a segment of another owner, or of another stamp of it, is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub id: u128,
    pub stamp: u32,
}

/// A document has two texts, which can be asked for together or apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Header,
    Body,
}

/// What is known of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doc {
    /// Ascends from document to document.
    pub number: u32,
    /// Of its content; who has it compares.
    pub mark: u64,
    pub(crate) facts: u32,
}

impl Doc {
    pub(crate) const HAS_HEADER: u32 = 1;
    pub(crate) const HAS_BODY: u32 = 2;
    /// Words of this side are missing in the index.
    pub(crate) const OPAQUE_HEADER: u32 = 4;
    pub(crate) const OPAQUE_BODY: u32 = 8;
    const FACT_BITS: u32 = 4;
    const TEXT_BYTES_MAX: u32 = u32::MAX >> Doc::FACT_BITS;

    pub(crate) fn has(&self, fact: u32) -> bool {
        self.facts & fact != 0
    }

    /// Bytes of both texts.
    pub fn text_bytes(&self) -> u32 {
        self.facts >> Doc::FACT_BITS
    }

    pub(crate) fn add_text(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let total = self.text_bytes().saturating_add(bytes).min(Doc::TEXT_BYTES_MAX);
        self.facts = (self.facts & ((1 << Doc::FACT_BITS) - 1)) | (total << Doc::FACT_BITS);
    }
}
