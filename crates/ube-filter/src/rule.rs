//! The file as rules: `[:label] field[:case][:envonly] criterion action [argument]`.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use regex::{Regex, RegexBuilder};

use crate::action::{self, Action, Read};
use crate::judge::Control;
use crate::words::{self, Line, Word};
use crate::{COPIES_MAX, FILE_BYTES_MAX, MISTAKES_MAX, RULES_MAX};

/// Bytes of one compiled expression, and of what it remembers while it matches in a thread, at most.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;
/// Bytes of what the automata of all expressions remember in a thread, at most. Each has its share, which need not suffice to be
/// fast: with less than some 100 KiB, expressions such as `\w+@\w+\.example` are matched a hundred times slower.
const AUTOMATA_BYTES_MAX: usize = 128 << 20;
/// Bytes of a label at most.
const LABEL_BYTES_MAX: usize = 64;

/// A line that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// From 1; 0 for the file as a whole.
    pub line: usize,
    pub why: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.why),
            line => write!(f, "line {line}: {}", self.why),
        }
    }
}

/// What a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A header field; the name in lower case.
    Header(String),
    /// A line of the envelope. No header field is: a sender cannot say who logged in.
    Control(Control),
    /// Every header field and every line of the envelope.
    Any,
    /// Every line of the envelope.
    AnyControl,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// In which line of the file it begins, from 1.
    pub line: usize,
    /// As the file has it.
    pub label: Option<String>,
    pub field: Field,
    pub criterion: Regex,
    pub action: Action,
}

/// The rules of a file.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub(crate) rules: Vec<Rule>,
}

impl Filter {
    /// Reads a file; nothing when there is none.
    ///
    /// # Errors
    /// As [`Filter::parse`]; why it cannot be read.
    pub fn read(path: &Path) -> Result<Option<Filter>, Vec<Mistake>> {
        let system = |why: io::Error| vec![Mistake { line: 0, why: why.to_string() }];
        match fs::metadata(path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(system(why)),
            Ok(meta) if !meta.is_file() => return Err(system(io::Error::other("it is no file"))),
            Ok(_) => {}
        }
        let mut text = Vec::new();
        let file = File::open(path).map_err(system)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(system)?;
        Filter::parse(&text).map(Some)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Every line that is wrong, at most [`MISTAKES_MAX`].
    pub fn parse(text: &[u8]) -> Result<Filter, Vec<Mistake>> {
        let whole = |why: String| vec![Mistake { line: 0, why }];
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(whole(format!("the file has more than {FILE_BYTES_MAX} bytes")));
        }
        let text = std::str::from_utf8(text).map_err(|why| {
            let line = text[..why.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            vec![Mistake { line, why: "the text is not UTF-8".into() }]
        })?;
        let (lines, mut mistakes) = words::lines(text);
        if lines.len() > RULES_MAX {
            return Err(whole(format!("there are more than {RULES_MAX} rules")));
        }
        let mut reader = Reader::of(&lines, &mut mistakes);
        for (place, line) in lines.iter().enumerate() {
            if mistakes.len() >= MISTAKES_MAX {
                break; // expressions take time to compile
            }
            if let Err(why) = reader.rule(place, line) {
                mistakes.push(Mistake { line: line.number, why });
            }
        }
        if mistakes.is_empty() {
            return Ok(Filter { rules: reader.rules });
        }
        mistakes.sort_by_key(|mistake| mistake.line);
        mistakes.truncate(MISTAKES_MAX);
        Err(mistakes)
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

struct Reader {
    /// The place of each label, in lower case.
    labels: HashMap<String, usize>,
    copies: HashSet<String>,
    rules: Vec<Rule>,
    /// Bytes that one expression may remember.
    automaton_bytes_max: usize,
}

impl Reader {
    /// Knows the labels of all lines.
    fn of(lines: &[Line], mistakes: &mut Vec<Mistake>) -> Reader {
        let mut labels = HashMap::new();
        for (place, line) in lines.iter().enumerate() {
            let Some(label) = line.words.first().and_then(label) else { continue };
            if label.is_empty() || label.len() > LABEL_BYTES_MAX {
                let why = format!("a label has 1 to {LABEL_BYTES_MAX} bytes behind its colon");
                mistakes.push(Mistake { line: line.number, why });
            } else if labels.insert(label.to_ascii_lowercase(), place).is_some() {
                let why = format!("the label :{label} stands in a line above, too");
                mistakes.push(Mistake { line: line.number, why });
            }
        }
        let automaton_bytes_max = automaton_bytes_max(lines.len());
        Reader { labels, copies: HashSet::new(), rules: Vec::new(), automaton_bytes_max }
    }

    fn rule(&mut self, place: usize, line: &Line) -> Result<(), String> {
        let (label, words) = match line.words.split_first() {
            Some((first, rest)) if label(first).is_some() => (label(first).map(str::to_owned), rest),
            _ => (None, line.words.as_slice()),
        };
        let [field, words @ ..] = words else { return Err("there is a label and no rule".into()) };
        let flag = |word: &&Word| !word.quoted && word.text.starts_with(':');
        let apart: Vec<&Word> = words.iter().take_while(flag).collect();
        let words = &words[apart.len()..];
        let (field, is_case) = read_field(field, &apart)?;
        let [criterion, words @ ..] = words else { return Err("the criterion is missing".into()) };
        let criterion = expression(&criterion.text, is_case, self.automaton_bytes_max)?;
        let action = match action::read(words)? {
            Read::Action(action) => action,
            Read::Jump(label) => Action::Jump(self.below(place, &label)?),
        };
        if let Action::Copy(address) = &action {
            self.copies.insert(address.clone());
            if self.copies.len() > COPIES_MAX {
                return Err(format!("COPY to more than {COPIES_MAX} different addresses"));
            }
        }
        self.rules.push(Rule { line: line.number, label, field, criterion, action });
        Ok(())
    }

    /// Where a label stands, which is to be further down: so each walk ends.
    fn below(&self, place: usize, label: &str) -> Result<usize, String> {
        match self.labels.get(label) {
            Some(there) if *there > place => Ok(*there),
            Some(_) => Err(format!("JUMP goes down only, and :{label} stands here or above")),
            None => Err(format!("there is no label :{label}")),
        }
    }
}

/// The label that a line's first word is.
fn label(word: &Word) -> Option<&str> {
    if word.quoted { None } else { word.text.strip_prefix(':') }
}

/// A field with its flags, behind it in the same word or in words of their own; whether letters' case counts.
fn read_field(word: &Word, apart: &[&Word]) -> Result<(Field, bool), String> {
    let (name, behind) = word.text.split_once(':').unwrap_or((&word.text, ""));
    let (mut is_case, mut is_envelope) = (false, false);
    let apart = apart.iter().flat_map(|word| word.text.split(':'));
    for flag in behind.split(':').chain(apart).filter(|flag| !flag.is_empty()) {
        match flag.to_ascii_lowercase().as_str() {
            "case" => is_case = true,
            "envonly" => is_envelope = true,
            _ => return Err(format!(":{flag} is no flag: :case and :envonly are")),
        }
    }
    let field = match (name, Control::named(name)) {
        ("*", _) if is_envelope => Field::AnyControl,
        ("*", _) => Field::Any,
        (_, Some(control)) => Field::Control(control),
        _ if is_envelope => return Err(format!("{name:?} is no line of the envelope: {}", Control::names())),
        _ if is_field_name(name) => Field::Header(name.to_ascii_lowercase()),
        _ => return Err(format!("{name:?} is no name of a field")),
    };
    Ok((field, is_case))
}

/// RFC 5322 §3.6.8: printable ASCII without the colon.
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 76
        && name.bytes().all(|byte| (33..=126).contains(&byte) && byte != b':')
}

/// The share of each of so many.
fn automaton_bytes_max(rules: usize) -> usize {
    (AUTOMATA_BYTES_MAX / rules.max(1)).min(EXPRESSION_BYTES_MAX)
}

fn expression(text: &str, is_case: bool, automaton_bytes_max: usize) -> Result<Regex, String> {
    let built = RegexBuilder::new(text)
        .case_insensitive(!is_case)
        .dot_matches_new_line(true)
        .size_limit(EXPRESSION_BYTES_MAX)
        .dfa_size_limit(automaton_bytes_max)
        .build();
    built.map_err(|why| match why {
        regex::Error::CompiledTooBig(_) => {
            format!("the expression {text:?} takes more than {EXPRESSION_BYTES_MAX} bytes of memory")
        }
        // Its last line says what is wrong; those before it draw the place.
        other => {
            let told = other.to_string();
            let last = told.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("the expression {text:?} is wrong: {last}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_expressions_remember_much_and_all_together_no_more_than_the_limit() {
        assert_eq!((automaton_bytes_max(0), automaton_bytes_max(100)), (1 << 20, 1 << 20));
        for rules in 1..=RULES_MAX {
            let each = automaton_bytes_max(rules);
            assert!(rules * each <= AUTOMATA_BYTES_MAX && each > 100 << 10, "{rules}: {each}");
        }
    }
}
