//! A word that texts may have in another form: whole, as a part of a longer word, or misspelt.

use crate::query::Scope;
use crate::words::{TOKEN_BYTES_MAX, Words};
use crate::{Bits, Damaged, Segment, Side};

/// How close a word of a text is, from the best.
const CLOSENESS: [u8; LEVELS] = [100, 80, 60, 40, 20];
const LEVELS: usize = 5;

/// A word that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Like {
    word: String,
    /// The same, letter by letter, when it is not in ASCII.
    letters: Vec<char>,
    length: usize,
    /// Misspellings that are overlooked.
    typos: usize,
}

/// What a segment knows of a word, by the places of its documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// By level.
    found: [Bits; LEVELS],
    /// Documents of which words are missing.
    maybe: Bits,
}

impl Like {
    /// The different words of a folded text. Those that are too long to be words are left out.
    pub fn words_of(text: &str) -> Vec<Like> {
        let mut likes: Vec<Like> = Vec::new();
        let mut take = |word: &str| {
            if !likes.iter().any(|like| like.word == word) {
                likes.push(Like::new(word));
            }
        };
        let mut words = Words::default();
        words.push(text, &mut take);
        words.end(&mut take);
        likes
    }

    fn new(word: &str) -> Like {
        let letters: Vec<char> = if word.is_ascii() { Vec::new() } else { word.chars().collect() };
        let length = if word.is_ascii() { word.len() } else { letters.len() };
        let typos = match length {
            0..=3 => 0,
            4..=7 => 1,
            _ => 2,
        };
        Like { word: word.to_owned(), letters, length, typos }
    }

    pub fn word(&self) -> &str {
        &self.word
    }

    /// How close a word of a folded text is: 100 it is the same, 80 it begins so, 60 it contains it, 40 or 20 with one or two
    /// letters changed, missing, too many, or two neighbours in the other order (one from four letters on, two from eight);
    /// 0 when it is another word.
    pub fn closeness(&self, word: &str) -> u8 {
        if word.len() >= self.word.len() {
            if let Some(place) = word.find(&self.word) {
                return match (place, word.len() == self.word.len()) {
                    (0, true) => CLOSENESS[0],
                    (0, false) => CLOSENESS[1],
                    _ => CLOSENESS[2],
                };
            }
        }
        match self.distance(word) {
            Some(1) => CLOSENESS[3],
            Some(2) => CLOSENESS[4],
            _ => 0,
        }
    }

    /// Of optimal string alignment; nothing when it is more than is overlooked.
    fn distance(&self, word: &str) -> Option<usize> {
        // A letter has four bytes at most, so most words are passed over without a look at their letters.
        if self.typos == 0
            || word.len() + self.typos < self.length
            || word.len() > 4 * (self.length + self.typos)
        {
            return None;
        }
        if self.letters.is_empty() && word.is_ascii() {
            return distance(self.word.as_bytes(), word.as_bytes(), self.typos);
        }
        let letters: Vec<char> = word.chars().collect();
        if self.letters.is_empty() {
            let own: Vec<char> = self.word.chars().collect();
            return distance(&own, &letters, self.typos);
        }
        distance(&self.letters, &letters, self.typos)
    }

    /// What the segment knows. Costs a look at each of its words.
    ///
    /// # Errors
    /// The segment is damaged; nothing of it should be believed.
    pub fn ask(&self, segment: &Segment, scope: Scope) -> Result<Close, Damaged> {
        let size = segment.docs() as usize;
        let mut close = Close { found: Default::default(), maybe: Bits::new(size) };
        let wants = |side: Side| scope.sides().contains(&side);
        for chunk in 0..segment.chunks() {
            let mut words = segment.words(chunk)?;
            while let Some((word, entry)) = words.next_word() {
                let closeness = std::str::from_utf8(word).map_or(0, |word| self.closeness(word));
                let Some(level) = CLOSENESS.iter().position(|one| *one == closeness) else { continue };
                let bits = &mut close.found[level];
                if *bits == Bits::default() {
                    *bits = Bits::new(size);
                }
                entry.each(segment.docs(), wants, &mut |_, doc| {
                    bits.set(doc);
                    true
                });
            }
        }
        for side in scope.sides() {
            close.maybe.add(&segment.opaque(*side));
        }
        Ok(close)
    }
}

impl Close {
    /// How close the closest word of a document is; nothing when that is not known.
    pub fn closeness(&self, place: u32) -> Option<u8> {
        if self.maybe.has(place) {
            return None;
        }
        let level = self.found.iter().position(|bits| bits.has(place));
        Some(level.map_or(0, |level| CLOSENESS[level]))
    }

    /// Documents that have a word that is close, or may.
    pub fn possible(&self) -> Bits {
        let mut possible = self.maybe.clone();
        self.found.iter().for_each(|bits| possible.add(bits));
        possible
    }
}

/// The distance if it is at most `most`: only so much of the table is looked at.
fn distance<T: PartialEq>(one: &[T], other: &[T], most: usize) -> Option<usize> {
    if one.len().abs_diff(other.len()) > most || one.len() > TOKEN_BYTES_MAX || other.len() > TOKEN_BYTES_MAX
    {
        return None;
    }
    let far = most + 1;
    let mut before = [far; TOKEN_BYTES_MAX + 1];
    let mut last: [usize; TOKEN_BYTES_MAX + 1] = std::array::from_fn(|column| column.min(far));
    for row in 1..=one.len() {
        let mut now = [far; TOKEN_BYTES_MAX + 1];
        if row <= most {
            now[0] = row;
        }
        let mut least = now[0];
        for column in row.saturating_sub(most).max(1)..=(row + most).min(other.len()) {
            let is_same = one[row - 1] == other[column - 1];
            let mut best = last[column - 1] + usize::from(!is_same);
            best = best.min(last[column] + 1).min(now[column - 1] + 1);
            let is_turned = row > 1
                && column > 1
                && one[row - 1] == other[column - 2]
                && one[row - 2] == other[column - 1];
            if is_turned {
                best = best.min(before[column - 2] + 1);
            }
            now[column] = best.min(far);
            least = least.min(now[column]);
        }
        if least > most {
            return None;
        }
        (before, last) = (last, now);
    }
    Some(last[other.len()]).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn closeness(asked: &str, word: &str) -> u8 {
        Like::new(asked).closeness(word)
    }

    #[test]
    fn what_is_closer_counts_more() {
        for (asked, word, expected) in [
            ("meeting", "meeting", 100),
            ("meet", "meeting", 80),
            ("eting", "meeting", 60),
            ("example", "joe@example.com", 60),
            ("meetnig", "meeting", 40),
            ("meting", "meeting", 40),
            ("meeeting", "meeting", 40),
            ("appointemnt", "appointment", 40),
            ("apointmant", "appointment", 20),
            ("apointmaant", "appointment", 0),
            ("greeting", "meeting", 20),
            ("met", "mat", 0),
            ("mean", "meat", 40),
            ("mead", "need", 0),
            ("gr\u{fc}\u{df}e", "gr\u{fc}sse", 0),
            ("gr\u{fc}\u{df}e", "grU\u{df}e", 40),
            ("grusse", "gr\u{fc}sse", 40),
            ("meeting", "", 0),
        ] {
            assert_eq!(closeness(asked, word), expected, "{asked} {word}");
        }
    }

    #[test]
    fn words_of_a_text_are_looked_for_once_each() {
        let words: Vec<String> = Like::words_of("the cat, the joe@example.com!")
            .iter()
            .map(|like| like.word().to_owned())
            .collect();
        assert_eq!(words, ["the", "cat", "joe@example.com"]);
        assert!(Like::words_of("... !").is_empty());
    }

    /// The whole table, as the books have it.
    fn plain(one: &[u8], other: &[u8]) -> usize {
        let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
        for row in 0..=one.len() {
            for column in 0..=other.len() {
                if row == 0 || column == 0 {
                    table[row][column] = row.max(column);
                    continue;
                }
                let change = usize::from(one[row - 1] != other[column - 1]);
                let mut best = (table[row - 1][column - 1] + change)
                    .min(table[row - 1][column] + 1)
                    .min(table[row][column - 1] + 1);
                if row > 1
                    && column > 1
                    && one[row - 1] == other[column - 2]
                    && one[row - 2] == other[column - 1]
                {
                    best = best.min(table[row - 2][column - 2] + 1);
                }
                table[row][column] = best;
            }
        }
        table[one.len()][other.len()]
    }

    proptest! {
        #[test]
        fn a_part_of_the_table_is_enough(one in "[a-c]{0,9}", other in "[a-c]{0,9}", most in 1usize..3) {
            let whole = plain(one.as_bytes(), other.as_bytes());
            prop_assert_eq!(distance(one.as_bytes(), other.as_bytes(), most), Some(whole).filter(|one| *one <= most));
        }

        #[test]
        fn nothing_is_too_strange(asked in "\\PC{1,20}", word in "\\PC{0,300}") {
            for like in Like::words_of(&asked) {
                prop_assert!(like.closeness(&word) <= 100);
            }
        }
    }
}
