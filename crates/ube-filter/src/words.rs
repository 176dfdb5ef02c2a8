//! The file's text as lines of words: quotes, comments, continued lines.
//!
//! A `#` at the beginning of a word makes a comment of the rest of the line, which never goes on in the next: a backslash at
//! the end of a remark must not swallow a rule. In quotes `\"` is a quote; every other backslash stands for itself, as
//! regular expressions want it.

use crate::rule::Mistake;

/// One word, and whether it was in quotes: then it is no label, flag or comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub quoted: bool,
}

/// What one rule is made of, with the line (from 1) in which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub number: usize,
    pub words: Vec<Word>,
}

/// The lines that have words, in order, and what is wrong with others.
pub fn lines(text: &str) -> (Vec<Line>, Vec<Mistake>) {
    let (mut lines, mut mistakes) = (Vec::new(), Vec::new());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { rest: text, number: 1 };
    while !reader.rest.is_empty() {
        let number = reader.number;
        match reader.line() {
            Ok(words) if words.is_empty() => {}
            Ok(words) => lines.push(Line { number, words }),
            Err(why) => {
                mistakes.push(Mistake { line: number, why: why.into() });
                reader.skip_line();
            }
        }
    }
    (lines, mistakes)
}

struct Reader<'t> {
    rest: &'t str,
    /// Of the physical line, from 1.
    number: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let one = self.peek()?;
        self.rest = &self.rest[one.len_utf8()..];
        self.number += usize::from(one == '\n');
        Some(one)
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|one| one != '\n') {}
    }

    /// A backslash at the end of a line is taken, with the line's end.
    fn continues(&mut self) -> bool {
        let behind = self.rest.strip_prefix('\\');
        let Some(rest) = behind.and_then(|rest| rest.strip_prefix("\r\n").or(rest.strip_prefix('\n'))) else {
            return false;
        };
        self.rest = rest;
        self.number += 1;
        true
    }

    /// The words up to the end of the line.
    fn line(&mut self) -> Result<Vec<Word>, &'static str> {
        let mut words = Vec::new();
        loop {
            if self.continues() {
                if self.rest.is_empty() {
                    return Err("the last line ends in a backslash");
                }
                continue;
            }
            match self.peek() {
                None => return Ok(words),
                Some('\n') => {
                    self.next();
                    return Ok(words);
                }
                Some('#') => {
                    self.skip_line();
                    return Ok(words);
                }
                Some('"') => words.push(Word { text: self.quoted()?, quoted: true }),
                Some(one) if one.is_whitespace() => drop(self.next()),
                Some(_) => words.push(Word { text: self.plain()?, quoted: false }),
            }
        }
    }

    fn plain(&mut self) -> Result<String, &'static str> {
        let mut text = String::new();
        loop {
            if self.rest.starts_with("\\\n") || self.rest.starts_with("\\\r\n") {
                return Ok(text);
            }
            match self.peek() {
                Some('"') => {
                    return Err("a quote within a word: put the whole word in quotes, and \\\" within");
                }
                Some(one) if !one.is_whitespace() => text.extend(self.next()),
                _ => return Ok(text),
            }
        }
    }

    fn quoted(&mut self) -> Result<String, &'static str> {
        const OPEN: &str = "the quotes are not closed in their line";
        self.next();
        let mut text = String::new();
        loop {
            if self.continues() {
                continue;
            }
            match self.peek().ok_or(OPEN)? {
                '\n' => return Err(OPEN),
                '"' => {
                    self.next();
                    return match self.peek() {
                        Some(one) if !one.is_whitespace() && one != '\\' => {
                            Err("a blank is missing behind the quotes")
                        }
                        _ => Ok(text),
                    };
                }
                '\\' => {
                    self.next();
                    match self.next().ok_or(OPEN)? {
                        '"' => text.push('"'),
                        other => text.extend(['\\', other]),
                    }
                }
                _ => text.extend(self.next()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<(usize, Vec<String>)> {
        let (lines, mistakes) = lines(text);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        lines
            .into_iter()
            .map(|line| (line.number, line.words.into_iter().map(|word| word.text).collect()))
            .collect()
    }

    fn mistakes(text: &str) -> Vec<usize> {
        lines(text).1.into_iter().map(|mistake| mistake.line).collect()
    }

    #[test]
    fn lines_are_words_with_quotes_comments_and_continuations() {
        let text =
            "# one \\\na \"b c\" d#e # f\r\n\n  x \\\r\n  y\\\n z \"p\\\n q\"\nlast \"\\\"\\.\\\\\" \"\"";
        let of = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            words(text),
            [
                (2, of(&["a", "b c", "d#e"])),
                (4, of(&["x", "y", "z", "p q"])),
                (8, of(&["last", "\"\\.\\\\", ""]))
            ]
        );
        assert!(lines("\"#\" :x").0[0].words[0].quoted);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_the_next_line_is_read() {
        assert_eq!(mistakes("a \"b\nc d\"e\nok \"x\"\ny\"z\" q\nf \\"), [1, 2, 4]);
        assert_eq!(mistakes("a\nb \\\n"), [2]);
    }

    proptest! {
        #[test]
        fn quoted_words_come_back(texts in prop::collection::vec("[a-z \"#:.]{0,12}", 1..5)) {
            let line: Vec<String> = texts.iter().map(|text| format!("\"{}\"", text.replace('"', "\\\""))).collect();
            let read = words(&line.join(" "));
            prop_assert_eq!(&read[0].1, &texts);
        }
    }
}
