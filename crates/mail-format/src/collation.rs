//! The order of texts: i;unicode-casemap (RFC 5051), as SORT and THREAD compare with (RFC 5256 §1, RFC 5255 §4.1).
//!
//! A text is titlecased character by character and decomposed; its UTF-8 is compared octet by octet. Where the tables at
//! hand differ from UnicodeData.txt: combining marks stand in canonical order, which the RFC does not ask for, and Hangul
//! syllables are decomposed, for which UnicodeData.txt has a rule instead of a property.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// The sort key of a text, of which at most so many bytes are kept: order and equality of texts are those of their keys.
pub fn casemap(text: &str, bytes_max: usize) -> Vec<u8> {
    let mut key = if text.is_ascii() {
        text.as_bytes()[..text.len().min(bytes_max)].to_ascii_uppercase()
    } else {
        let titled: String = text.chars().take(bytes_max).map(titlecase).collect();
        DecomposingNormalizerBorrowed::new_nfkd().normalize(&titled).into_owned().into_bytes()
    };
    key.truncate(bytes_max);
    key
}

/// The titlecase property: a single character. It is the uppercase one but for digraphs and Georgian; characters that have
/// uppercase of several characters (SpecialCasing.txt) have no property, or one that decomposes alike but for its case.
fn titlecase(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10ff}' => c,
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

    proptest! {
        #[test]
        fn keys_are_bounded_and_blind_to_ascii_case(text in "\\PC{0,40}", bytes_max in 0usize..60) {
            prop_assert!(casemap(&text, bytes_max).len() <= bytes_max);
            prop_assert_eq!(key(&text.to_ascii_uppercase()), key(&text.to_ascii_lowercase()));
        }
    }
}
