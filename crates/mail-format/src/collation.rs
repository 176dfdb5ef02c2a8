//! How texts are compared: i;unicode-casemap (RFC 5051), by which SEARCH, SORT and THREAD compare (RFC 5256 §1, RFC 5255 §4.2).
//!
//! A text is titlecased character by character and each character decomposed; its UTF-8 is compared octet by octet. So what
//! becomes of a text is what becomes of its characters, one behind the other, and a part of a text becomes a part of it. As
//! UnicodeData.txt has it, marks stay in the order in which they stand, and Hangul syllables as they are. What becomes of
//! characters that many scripts use is worked out once.

use std::sync::LazyLock;

use icu_normalizer::DecomposingNormalizerBorrowed;

/// Characters below are in the table.
const TABLE_END: u32 = 0x3400;

/// The sort key of a text, of which at most so many bytes are kept: order and equality of texts are those of their keys.
pub fn casemap(text: &str, bytes_max: usize) -> Vec<u8> {
    if text.is_ascii() {
        return text.as_bytes()[..text.len().min(bytes_max)].to_ascii_uppercase();
    }
    let mut key = String::with_capacity(text.len().min(bytes_max));
    for c in text.chars() {
        push(c, &mut key);
        if key.len() >= bytes_max {
            break;
        }
    }
    let mut key = key.into_bytes();
    key.truncate(bytes_max);
    key
}

/// A text as it is compared: equal texts become the same, and a text contains another if what becomes of it does.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    let mut folded = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !byte.is_ascii()) {
        push_ascii(&rest[..at], &mut folded);
        let mut others = rest[at..].chars();
        if let Some(c) = others.next() {
            push(c, &mut folded);
        }
        rest = others.as_str();
    }
    push_ascii(rest, &mut folded);
    folded
}

fn push_ascii(text: &str, to: &mut String) {
    let from = to.len();
    to.push_str(text);
    to[from..].make_ascii_uppercase();
}

/// What becomes of one character (RFC 5051 §2).
fn push(c: char, to: &mut String) {
    match u32::from(c) {
        0..=0x7f => to.push(c.to_ascii_uppercase()),
        below if below < TABLE_END => to.push_str(TABLE.of(below)),
        // Ideographs and Hangul syllables.
        0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0x2_0000..=0x2_a6df => to.push(c),
        _ => to.push_str(&worked_out(c)),
    }
}

fn worked_out(c: char) -> String {
    let mut bytes = [0; 4];
    DecomposingNormalizerBorrowed::new_nfkd().normalize(titlecase(c).encode_utf8(&mut bytes)).into_owned()
}

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

/// What becomes of the characters below [`TABLE_END`], and where each begins; 60 KB and 50 KB.
struct Table {
    text: String,
    starts: Vec<u32>,
}

impl Table {
    fn new() -> Table {
        let mut table = Table { text: String::new(), starts: vec![0] };
        for code in 0..TABLE_END {
            if let Some(c) = char::from_u32(code) {
                table.text.push_str(&worked_out(c));
            }
            table.starts.push(u32::try_from(table.text.len()).unwrap_or(u32::MAX));
        }
        table
    }

    fn of(&self, code: u32) -> &str {
        let at = |code: u32| self.starts.get(code as usize).map_or(0, |start| *start as usize);
        &self.text[at(code)..at(code + 1)]
    }
}

/// The simple titlecase mapping: it is the uppercase one but for digraphs and Georgian. Greek letters with an iota beneath have
/// an uppercase of two characters, and a titlecase of one; other characters with several have none.
fn titlecase(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10ff}' => c,
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
            char::from_u32(u32::from(c) + 8).unwrap_or(c)
        }
        '\u{1fb3}' => '\u{1fbc}',
        '\u{1fc3}' => '\u{1fcc}',
        '\u{1ff3}' => '\u{1ffc}',
        c => {
            let mut upper = c.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(upper), None) => upper,
                _ => c,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> String {
        String::from_utf8(casemap(text, 1000)).unwrap()
    }

    #[test]
    fn the_example_of_the_standard_is_met() {
        assert_eq!(key("\u{1c4}"), "D\u{7a}\u{30c}"); // RFC 5051 §2
        assert_eq!(key("\u{1c6}"), key("\u{1c5}"));
    }

    #[test]
    fn case_makes_no_difference_and_marks_come_behind_their_letter() {
        assert_eq!(key("hello"), "HELLO");
        assert_eq!(key("\u{e4}pfel"), key("A\u{308}PFEL"));
        assert_eq!(key("stra\u{df}e"), "STRA\u{df}E");
        assert_eq!(key("\u{fb01}n"), key("\u{fb01}N"));
        assert_eq!(key("\u{10d0}"), "\u{10d0}");
        let mut words = ["Zebra", "\u{e4}pfel", "apfel", "b\u{e4}r", "Bar"];
        words.sort_by_key(|word| key(word));
        assert_eq!(words, ["apfel", "\u{e4}pfel", "Bar", "b\u{e4}r", "Zebra"]);
    }

    #[test]
    fn characters_are_mapped_one_by_one() {
        for (text, folded) in [
            ("HeLLo", "HELLO"),
            ("GR\u{dc}\u{df}E", "GRU\u{308}\u{df}E"),
            ("gru\u{308}\u{df}e", "GRU\u{308}\u{df}E"),
            ("\u{3bf}\u{3b4}\u{3cc}\u{3c2}", "\u{39f}\u{394}\u{39f}\u{301}\u{3a3}"),
            ("\u{1f80}", "\u{391}\u{313}\u{345}"),
            ("\u{1f88}", "\u{391}\u{313}\u{345}"),
            ("\u{ff21}\u{ff42}", "AB"), // fullwidth letters: the lower one has a titlecase
            ("\u{2460}", "1"),
            ("\u{fb01}", "fi"), // a ligature has no titlecase, so its letters stay as they are
            ("\u{ac00}", "\u{ac00}"),
            ("\u{304c}", "\u{304b}\u{3099}"),
            ("a\u{301}\u{323}", "A\u{301}\u{323}"), // marks stay in their order
            ("\u{1d400}\u{6f22}", "A\u{6f22}"),
        ] {
            assert_eq!(fold(text), folded, "{text}");
            assert_eq!(key(text), folded, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_part_of_a_text_folds_to_a_part_of_what_the_text_folds_to(text in "\\PC{0,30}", cut in 0usize..30) {
            let at = text.char_indices().map(|(at, _)| at).nth(cut).unwrap_or(text.len());
            prop_assert_eq!(fold(&text), fold(&text[..at]) + &fold(&text[at..]));
            prop_assert_eq!(fold(&text), key(&text));
        }

        #[test]
        fn the_table_has_what_is_worked_out(c in any::<char>()) {
            let mut pushed = String::new();
            push(c, &mut pushed);
            let is_hangul = ('\u{ac00}'..='\u{d7a3}').contains(&c);
            prop_assert_eq!(pushed, if is_hangul { c.to_string() } else { worked_out(c) });
        }

        #[test]
        fn keys_are_bounded_and_blind_to_ascii_case(text in "\\PC{0,40}", bytes_max in 0usize..60) {
            prop_assert!(casemap(&text, bytes_max).len() <= bytes_max);
            prop_assert_eq!(key(&text.to_ascii_uppercase()), key(&text.to_ascii_lowercase()));
        }
    }
}
