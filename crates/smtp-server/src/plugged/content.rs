//! A content that plug-ins gave back, as changes of the one that they were given.

use crate::header;
use crate::inspection::{Edit, Field, fields};

/// The changes: edits of the header, and another body.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub edits: Vec<Edit>,
    pub body: Option<Vec<u8>>,
}

/// What was changed. The file may have line ends of any kind; it has CR LF afterwards.
///
/// Nothing when a field is none, or too long for one.
pub fn changes(old_header: &[u8], old_body: &[u8], new: &[u8]) -> Option<Changes> {
    let new = with_line_ends(new);
    let end = header::end(&new, 0);
    let (new_header, new_body) = match end {
        Some(end) => (&new[..end - 2], &new[end..]),
        None => (&new[..], &[][..]),
    };
    let edits = header_edits(old_header, new_header)?;
    let body = (new_body != old_body).then(|| new_body.to_vec());
    Some(Changes { edits, body })
}

/// Fields at both ends that are as they were stay where they are; what is new on top goes on top.
fn header_edits(old: &[u8], new: &[u8]) -> Option<Vec<Edit>> {
    let (was, is) = (fields(old), fields(new));
    let same = |one: &std::ops::Range<usize>, other: &std::ops::Range<usize>| {
        trimmed(&old[one.clone()]) == trimmed(&new[other.clone()])
    };
    let front = was.iter().zip(&is).take_while(|(one, other)| same(one, other)).count();
    let back = was[front..].iter().rev().zip(is[front..].iter().rev());
    let back = back.take_while(|(one, other)| same(one, other)).count();
    let (gone, come) = (front..was.len() - back, &is[front..is.len() - back]);
    let come = come.iter().map(|range| field(&new[range.clone()])).collect::<Option<Vec<_>>>()?;
    let on_top = front == 0 && gone.is_empty();
    let mut edits = Vec::new();
    if !gone.is_empty() {
        edits.push(Edit::RemoveFields(gone.collect()));
    }
    match on_top {
        true => edits.extend(come.into_iter().rev().map(Edit::Prepend)),
        false => edits.extend(come.into_iter().map(Edit::Append)),
    }
    Some(edits)
}

fn trimmed(field: &[u8]) -> &[u8] {
    field.trim_ascii_end()
}

fn field(line: &[u8]) -> Option<Field> {
    let at = line.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(line[..at].trim_ascii_end()).ok()?;
    Field::with_separator(name, ":", &line[at + 1..])
}

/// Every line ends with CR LF; carriage returns elsewhere go.
fn with_line_ends(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len() + 2);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let inside = line.strip_suffix(b"\n").unwrap_or(line);
        lines.extend(inside.iter().filter(|byte| **byte != b'\r'));
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn edits(old: &str, new: &str) -> Vec<String> {
        let text = |field: &Field| String::from_utf8_lossy(field.as_bytes()).trim_end().to_owned();
        let said = header_edits(old.as_bytes(), new.as_bytes()).unwrap();
        said.iter()
            .map(|edit| match edit {
                Edit::Prepend(field) => format!("top {}", text(field)),
                Edit::Append(field) => format!("end {}", text(field)),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn only_what_was_changed_is_changed() {
        let old = "A: 1\r\nB: 2\r\n\tfolded\r\nC: 3\r\n";
        assert!(edits(old, old).is_empty());
        assert_eq!(edits(old, &format!("X: 1\r\nY: 2\r\n{old}")), ["top Y: 2", "top X: 1"]);
        assert_eq!(edits(old, &format!("{old}X: 1\r\n")), ["end X: 1"]);
        assert_eq!(edits(old, "A: 1\r\nC: 3\r\n"), ["RemoveFields([1])"]);
        assert_eq!(edits(old, "A: 1\r\nB: 5\r\nC: 3\r\n"), ["RemoveFields([1])", "end B: 5"]);
        assert_eq!(edits(old, ""), ["RemoveFields([0, 1, 2])"]);
    }

    #[test]
    fn a_file_of_any_line_ends_is_a_message() {
        let same = changes(b"A: 1\r\n", b"one\r\ntwo\r\n", b"A: 1\n\none\ntwo\n").unwrap();
        assert_eq!(same, Changes::default());
        let other = changes(b"A: 1\r\n", b"one\r\n", b"A: 1\r\n\r\nthe\rre").unwrap();
        assert_eq!(other.body.as_deref(), Some(&b"there\r\n"[..]));
        assert_eq!(changes(b"A: 1\r\n", b"", b"no field\r\n\r\n"), None);
    }
}
