//! A string that is looked for, and what a segment knows of it.

use crate::words::Words;
use crate::{Bits, Damaged, Segment, Side};

/// Which text of a document is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Header,
    Body,
    Both,
}

impl Scope {
    pub(crate) fn sides(self) -> &'static [Side] {
        match self {
            Scope::Header => &[Side::Header],
            Scope::Body => &[Side::Body],
            Scope::Both => &[Side::Header, Side::Body],
        }
    }
}

/// A string as words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Each is a part of a word of every text that contains the string.
    parts: Vec<String>,
    /// The string is the only part: a text with such a word contains it.
    is_word: bool,
    scope: Scope,
}

/// What a segment knows, by the places of its documents: `yes` contain the string, `maybe` may, others do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub yes: Bits,
    pub maybe: Bits,
}

impl Query {
    /// Of a folded string. Nothing when it has no letter or digit, or none that could be looked for.
    pub fn new(text: &str, scope: Scope) -> Option<Query> {
        let mut parts: Vec<String> = Vec::new();
        let mut words = Words::default();
        let mut take = |word: &str| parts.push(word.to_owned());
        words.push(text, &mut take);
        words.end(&mut take);
        let is_word = parts.len() == 1 && parts[0] == text;
        parts.sort_unstable();
        parts.dedup();
        (!parts.is_empty()).then_some(Query { parts, is_word, scope })
    }

    /// What the segment knows. Costs a pass over its words for each part.
    ///
    /// # Errors
    /// The segment is damaged; nothing of it should be believed.
    pub fn ask(&self, segment: &Segment) -> Result<Answer, Damaged> {
        let size = segment.docs() as usize;
        let bits = |side: Side| self.scope.sides().contains(&side).then(|| Bits::new(size));
        let mut found: Option<[Option<Bits>; 2]> = None;
        for part in &self.parts {
            let (mut header, mut body) = (bits(Side::Header), bits(Side::Body));
            segment.find(part.as_bytes(), &mut header, &mut body)?;
            let now = [header, body];
            found = Some(match found {
                None => now,
                Some(mut before) => {
                    for (before, now) in before.iter_mut().zip(&now) {
                        if let (Some(before), Some(now)) = (before, now) {
                            before.keep(now); // a string is within one text
                        }
                    }
                    before
                }
            });
        }
        let (mut hits, mut maybe) = (Bits::new(size), Bits::new(size));
        for side in found.iter().flatten().flatten() {
            hits.add(side);
        }
        for side in self.scope.sides() {
            maybe.add(&segment.opaque(*side));
        }
        if self.is_word {
            maybe.remove(&hits);
            return Ok(Answer { yes: hits, maybe });
        }
        maybe.add(&hits);
        Ok(Answer { yes: Bits::new(size), maybe })
    }
}
