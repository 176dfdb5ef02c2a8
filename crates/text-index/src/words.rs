//! The words of a folded text.
//!
//! A word is the longest run of letters and digits, parts of which may be joined by single `@`, `.`, `-` or `_`: an address,
//! a host or a date is one word. So every string of that form that a text contains is in one of its words. Marks belong to their letter. In scripts that
//! put no blanks between words each pair of neighbours is a word, and a letter that stands alone.

/// Longer words are left out; [`Words::left_out`] says so.
pub const TOKEN_BYTES_MAX: usize = 255;

/// Cuts texts into words; a text may come in pieces.
#[derive(Debug, Default)]
pub struct Words {
    word: String,
    /// Of a single joint that was met behind the word.
    joint: Option<u8>,
    /// The last letter of a script without blanks, and whether it has had no neighbour.
    dense: Option<(char, bool)>,
    is_too_long: bool,
    left_out: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Joint,
    Other,
}

const CLASSES: [Class; 128] = {
    let mut classes = [Class::Other; 128];
    let mut byte = 0;
    while byte < 128 {
        let one = byte as u8;
        if one.is_ascii_alphanumeric() {
            classes[byte] = Class::Letter;
        } else if matches!(one, b'@' | b'.' | b'-' | b'_') {
            classes[byte] = Class::Joint;
        }
        byte += 1;
    }
    classes
};

impl Words {
    /// Takes a piece of a text; `take` is given each word that is whole.
    pub fn push(&mut self, text: &str, take: &mut dyn FnMut(&str)) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let class = CLASSES.get(usize::from(bytes[at])).copied();
            match class {
                Some(Class::Letter) => {
                    let start = at;
                    let is_letter =
                        |byte: &u8| CLASSES.get(usize::from(*byte)).is_some_and(|one| *one == Class::Letter);
                    at += bytes[at..].iter().position(|byte| !is_letter(byte)).unwrap_or(bytes.len() - at);
                    self.letters(&text[start..at], take);
                }
                Some(Class::Joint) => {
                    self.joint(bytes[at], take);
                    at += 1;
                }
                Some(Class::Other) => {
                    self.end(take);
                    at += 1;
                }
                None => {
                    let Some(one) = text[at..].chars().next() else { return };
                    let end = at + one.len_utf8();
                    if is_dense(one) {
                        self.dense(one, take);
                    } else if one.is_alphanumeric() || is_mark(one) {
                        self.letters(&text[at..end], take);
                    } else {
                        self.end(take);
                    }
                    at = end;
                }
            }
        }
    }

    /// The text is over.
    pub fn end(&mut self, take: &mut dyn FnMut(&str)) {
        self.end_word(take);
        self.end_dense(take);
    }

    /// Whether a word was too long to be told, since this was asked last.
    pub fn left_out(&mut self) -> bool {
        std::mem::take(&mut self.left_out)
    }

    fn letters(&mut self, letters: &str, take: &mut dyn FnMut(&str)) {
        self.end_dense(take);
        if let Some(joint) = self.joint.take() {
            self.word.push(char::from(joint));
        }
        if self.word.len() + letters.len() > TOKEN_BYTES_MAX {
            self.is_too_long = true;
        }
        if !self.is_too_long {
            self.word.push_str(letters);
        }
    }

    fn joint(&mut self, joint: u8, take: &mut dyn FnMut(&str)) {
        self.end_dense(take);
        if self.word.is_empty() {
            return;
        }
        if self.joint.is_some() {
            self.end_word(take);
        } else {
            self.joint = Some(joint);
        }
    }

    fn dense(&mut self, one: char, take: &mut dyn FnMut(&str)) {
        self.end_word(take);
        let mut pair = [0; 8];
        self.dense = Some(match self.dense {
            Some((before, _)) => {
                let length = before.encode_utf8(&mut pair).len();
                let whole = length + one.encode_utf8(&mut pair[length..]).len();
                take(std::str::from_utf8(&pair[..whole]).unwrap_or_default());
                (one, false)
            }
            None => (one, true),
        });
    }

    fn end_word(&mut self, take: &mut dyn FnMut(&str)) {
        if self.is_too_long {
            self.left_out = true;
        } else if !self.word.is_empty() {
            take(&self.word);
        }
        self.word.clear();
        self.joint = None;
        self.is_too_long = false;
    }

    fn end_dense(&mut self, take: &mut dyn FnMut(&str)) {
        if let Some((one, true)) = self.dense.take() {
            take(one.encode_utf8(&mut [0; 4]));
        }
    }
}

/// Marks on letters that are no letters themselves: what folding takes off a letter stays in its word.
fn is_mark(one: char) -> bool {
    matches!(one,
        '\u{300}'..='\u{36f}' | '\u{93c}' | '\u{9bc}' | '\u{a3c}' | '\u{b3c}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20f0}' | '\u{fe20}'..='\u{fe2f}')
}

/// Letters of scripts that put no blanks between words: Thai, Lao, Myanmar, Khmer, kana, Han.
fn is_dense(one: char) -> bool {
    matches!(one,
        '\u{e01}'..='\u{e3a}' | '\u{e40}'..='\u{e4e}' | '\u{e81}'..='\u{ece}' | '\u{1000}'..='\u{103f}'
        | '\u{1780}'..='\u{17d3}' | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{3096}' | '\u{3099}' | '\u{309a}' | '\u{309d}'..='\u{309f}'
        | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(pieces: &[&str]) -> Vec<String> {
        let (mut words, mut found) = (Words::default(), Vec::new());
        for piece in pieces {
            words.push(piece, &mut |word| found.push(word.to_owned()));
        }
        words.end(&mut |word| found.push(word.to_owned()));
        found
    }

    #[test]
    fn words_are_cut_where_the_contract_says() {
        for (text, expected) in [
            (
                "from: joe.doe@mail.example.com, 2026-11-29.",
                &["from", "joe.doe@mail.example.com", "2026-11-29"][..],
            ),
            ("a--b .c d. e_f '1.5'", &["a", "b", "c", "d", "e_f", "1.5"]),
            ("gr\u{fc}\u{df}e/\u{e9}t\u{e9}", &["gr\u{fc}\u{df}e", "\u{e9}t\u{e9}"]),
            ("gru\u{308}\u{df}e cafe\u{301}", &["gru\u{308}\u{df}e", "cafe\u{301}"]),
            ("\u{304b}\u{3099}\u{304e}", &["\u{304b}\u{3099}", "\u{3099}\u{304e}"]),
            (
                "ab\u{6f22}\u{5b57}\u{5b66}c-\u{6f22}.",
                &["ab", "\u{6f22}\u{5b57}", "\u{5b57}\u{5b66}", "c", "\u{6f22}"],
            ),
            ("", &[]),
        ] {
            assert_eq!(words(&[text]), expected, "{text}");
        }
    }

    #[test]
    fn a_word_that_is_too_long_is_left_out_and_said_to_be() {
        let mut cutter = Words::default();
        let mut found = Vec::new();
        let text = format!("a {} {}-x b", "y".repeat(TOKEN_BYTES_MAX), "z".repeat(TOKEN_BYTES_MAX));
        cutter.push(&text, &mut |word| found.push(word.len()));
        cutter.end(&mut |word| found.push(word.len()));
        assert_eq!(found, [1, TOKEN_BYTES_MAX, 1]);
        assert!(cutter.left_out() && !cutter.left_out());
    }

    proptest! {
        // Most of what is made up is no word; with however many cases it shall not be given up because of that.
        #![proptest_config(ProptestConfig { max_global_rejects: u32::MAX, ..ProptestConfig::default() })]

        #[test]
        fn pieces_make_no_difference(text in "[a-c@. -\u{e9}\u{301}\u{6f22}\u{5b57}\u{3099}]{0,40}", cut in 0usize..40) {
            let at = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
            prop_assert_eq!(words(&[&text[..at], &text[at..]]), words(&[&text]));
        }

        /// What makes answers exact: a string that is one word is contained in a text exactly if it is in one of its words.
        #[test]
        fn a_word_that_is_contained_is_contained_in_a_word(
            text in "[a-b@. \u{e9}\u{301}\u{6f22}\u{5b57}\u{3099}]{0,30}",
            part in "[a-b@.\u{e9}\u{301}\u{6f22}\u{5b57}\u{3099}]{1,4}",
        ) {
            prop_assume!(words(&[&part]) == [part.clone()]);
            prop_assert_eq!(text.contains(&part), words(&[&text]).iter().any(|word| word.contains(&part)));
        }
    }
}
