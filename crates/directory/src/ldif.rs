//! LDIF content records (RFC 2849): reading, and writing one record.
//!
//! `name: text`, `name:: base64`, lines continued by one leading blank, `#` comments, records apart by empty lines.
//! `changetype` and URL values (`:<`) are refused: a content file has neither.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Characters of a line at which the rest goes to the next one.
const FOLD_AT: usize = 76;

/// One record as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub dn: String,
    /// In order; names as written, values as bytes.
    pub attributes: Vec<(String, Vec<u8>)>,
    /// Its first line in the file, from 1.
    pub line: usize,
}

/// Where a file is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdifError {
    pub line: usize,
    pub why: String,
}

impl fmt::Display for LdifError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// All records of a file.
///
/// # Errors
/// The first line that is not LDIF.
pub fn parse(text: &[u8]) -> Result<Vec<Record>, LdifError> {
    let mut records = Vec::new();
    let mut open: Option<Record> = None;
    for (line, logical) in logical_lines(text) {
        if logical.is_empty() {
            records.extend(open.take());
            continue;
        }
        let (name, value) = attribute(line, &logical)?;
        let lower = name.to_ascii_lowercase();
        match (&mut open, lower.as_str()) {
            (None, "version") if value.as_slice() == b"1" => {}
            (None, "dn") => {
                let dn = String::from_utf8(value)
                    .map_err(|_| LdifError { line, why: "the dn is not UTF-8".into() })?;
                open = Some(Record { dn, attributes: Vec::new(), line });
            }
            (None, _) => {
                return Err(LdifError { line, why: "a record begins with dn:".into() });
            }
            (Some(_), "dn") => {
                return Err(LdifError { line, why: "an empty line is missing before this dn".into() });
            }
            (Some(_), "changetype") => {
                return Err(LdifError { line, why: "this is a file of changes, not of entries".into() });
            }
            (Some(record), _) => record.attributes.push((name, value)),
        }
    }
    records.extend(open);
    Ok(records)
}

/// The parts of a file between its empty lines, each with the number of lines before it: every one can be parsed alone, and
/// together they are what the file is.
pub fn chunks(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let (mut at, mut lines) = (0, 0);
    std::iter::from_fn(move || {
        let (start, before) = (at, lines);
        while at < text.len() {
            let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |found| at + found + 1);
            let is_empty = matches!(&text[at..end], b"\n" | b"\r\n" | b"\r");
            (at, lines) = (end, lines + 1);
            if is_empty {
                break;
            }
        }
        (start < at).then(|| (before, &text[start..at]))
    })
}

/// The dn of a chunk's record.
pub fn dn_of(chunk: &[u8]) -> Option<String> {
    let is_dn = |line: &&[u8]| line.len() > 3 && line[..3].eq_ignore_ascii_case(b"dn:");
    let mut lines = chunk.split_inclusive(|byte| *byte == b'\n').skip_while(|line| !is_dn(line));
    let mut head = lines.next()?.to_vec();
    lines.take_while(|line| line.starts_with(b" ")).for_each(|line| head.extend_from_slice(line));
    Some(parse(&head).ok()?.pop()?.dn)
}

/// Lines with their continuations joined; comments are left out. Numbers are those of the first physical line.
fn logical_lines(text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut in_comment = false;
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.first() {
            Some(b' ') if in_comment => {}
            Some(b' ') if lines.last().is_some_and(|(_, last)| !last.is_empty()) => {
                if let Some((_, last)) = lines.last_mut() {
                    last.extend_from_slice(&line[1..]);
                }
            }
            Some(b'#') => in_comment = true,
            _ => {
                in_comment = false;
                lines.push((number.saturating_add(1), line.to_vec()));
            }
        }
    }
    lines
}

fn attribute(line: usize, text: &[u8]) -> Result<(String, Vec<u8>), LdifError> {
    let wrong = |why: &str| LdifError { line, why: why.to_owned() };
    let colon = text.iter().position(|byte| *byte == b':').ok_or_else(|| wrong("there is no ':'"))?;
    let name = std::str::from_utf8(&text[..colon]).unwrap_or("");
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b';' | b'.' | b'_');
    if name.is_empty() || !name.bytes().all(legal) {
        return Err(wrong("that is no attribute name"));
    }
    let rest = &text[colon + 1..];
    let value = match rest.first() {
        Some(b':') => STANDARD
            .decode(rest[1..].trim_ascii())
            .map_err(|_| wrong("the value behind '::' is not base64"))?,
        Some(b'<') => return Err(wrong("values by URL are not read")),
        _ => rest.trim_ascii().to_vec(),
    };
    Ok((name.to_owned(), value))
}

/// A record as text, with the empty line behind it.
pub fn write(dn: &str, attributes: &[(String, Vec<u8>)]) -> String {
    let mut text = line("dn", dn.as_bytes());
    for (name, value) in attributes {
        text.push_str(&line(name, value));
    }
    text.push('\n');
    text
}

fn line(name: &str, value: &[u8]) -> String {
    let whole = if is_safe(value) {
        format!("{name}: {}", String::from_utf8_lossy(value))
    } else {
        format!("{name}:: {}", STANDARD.encode(value))
    };
    let mut text = String::with_capacity(whole.len().saturating_add(4));
    let mut used = 0;
    for c in whole.chars() {
        if used == FOLD_AT {
            text.push_str("\n ");
            used = 1;
        }
        text.push(c);
        used += 1;
    }
    text.push('\n');
    text
}

/// `SAFE-STRING` (RFC 2849), and nothing at either end that a reader takes off.
fn is_safe(value: &[u8]) -> bool {
    let start = value.first().is_none_or(|byte| !matches!(byte, b':' | b'<'));
    start
        && value.trim_ascii() == value
        && value.iter().all(|byte| *byte < 0x80 && !matches!(byte, 0 | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn continuations_comments_base64_and_both_line_ends_are_read() {
        let text = b"version: 1\r\n# a comment\r\n  that goes on\r\ndn: uid=jo\r\n e,o=x\r\ncn:: SsO2cmc=\r\nmail:j@x.example\r\n\r\n\r\ndn: o=x\nobjectClass: top\n";
        let records = parse(text).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].dn, "uid=joe,o=x");
        assert_eq!(records[0].attributes[0], ("cn".into(), "Jörg".as_bytes().to_vec()));
        assert_eq!(records[0].attributes[1], ("mail".into(), b"j@x.example".to_vec()));
        assert_eq!(records[1].line, 10);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, word) in [
            ("dn: a\nno colon here\n", 2, "':'"),
            ("cn: a\n", 1, "dn"),
            ("dn: a\ncn: b\ndn: c\n", 3, "empty line"),
            ("dn: a\ncn:: %%%\n", 2, "base64"),
            ("dn: a\nchangetype: add\n", 2, "changes"),
            ("dn: a\njpegPhoto:< file:///etc/passwd\n", 2, "URL"),
            ("dn: a\nc n: b\n", 2, "name"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.why.contains(word), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..6)) {
            let attributes: Vec<(String, Vec<u8>)> = values.into_iter().map(|value| ("description".to_owned(), value)).collect();
            let records = parse(write("uid=jö,o=x", &attributes).as_bytes()).unwrap();
            prop_assert_eq!(records.len(), 1);
            prop_assert_eq!(&records[0].dn, "uid=jö,o=x");
            // Blanks around a value written in clear do not count; write() encodes those at the end.
            prop_assert_eq!(&records[0].attributes, &attributes);
        }

        #[test]
        fn no_bytes_are_too_strange(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&text);
        }
    }
}
