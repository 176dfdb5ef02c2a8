//! Which bytes of a message a section names (RFC 3501 §6.4.5).

use imap_wire::SectionText;
use mail_format::Structure;

/// Bytes of a message file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub offset: u64,
    pub len: u64,
}

impl Span {
    /// From `start` to `end`, within a file of `size` bytes.
    pub fn between(start: u64, end: u64, size: u64) -> Span {
        let start = start.min(size);
        Span { offset: start, len: end.min(size).saturating_sub(start) }
    }

    /// `<origin.count>`: past the end it is empty, never an error.
    pub fn cut(self, partial: Option<(u32, u32)>) -> Span {
        let Some((origin, count)) = partial else { return self };
        let skipped = u64::from(origin).min(self.len);
        Span { offset: self.offset + skipped, len: u64::from(count).min(self.len - skipped) }
    }

    /// The bytes of this span in `bytes`, which hold them.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        let from = usize::try_from(self.offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = usize::try_from(self.len).unwrap_or(usize::MAX);
        &bytes[from..from.saturating_add(len).min(bytes.len())]
    }
}

/// A section of the message itself, `BODY[HEADER]` and the like. `MIME` needs a part (RFC 3501 §6.4.5).
pub fn whole_message(text: &SectionText, header: u64, size: u64) -> Option<Span> {
    let header = header.min(size);
    match text {
        SectionText::All => Some(Span { offset: 0, len: size }),
        SectionText::Header | SectionText::Fields(_) | SectionText::FieldsNot(_) => {
            Some(Span { offset: 0, len: header })
        }
        SectionText::Text => Some(Span { offset: header, len: size - header }),
        SectionText::Mime => None,
    }
}

/// A section of a part, `BODY[1.2]` and the like; nothing when there is no such part, or it has no such section.
pub fn of_part(structure: &Structure, path: &[u32], text: &SectionText, size: u64) -> Option<Span> {
    let part = structure.part(path)?;
    let (start, end) = match text {
        SectionText::All => part.body,
        SectionText::Mime => part.header,
        // RFC 3501 §6.4.5: of a message inside only.
        SectionText::Header | SectionText::Fields(_) | SectionText::FieldsNot(_) => part.message?.0,
        SectionText::Text => part.message?.1,
    };
    Some(Span::between(start.into(), end.into(), size))
}

/// The header fields that are (`wanted`) or are not among `names`, with the blank line if there is one, as they are in the
/// message (RFC 3501 §6.4.5).
pub fn select_fields(header: &[u8], names: &[String], wanted: bool) -> Vec<u8> {
    let mut selected = Vec::with_capacity(header.len().min(1024));
    for field in fields(header) {
        let end = memchr::memchr(b':', field).unwrap_or(field.len());
        let name = field[..end].trim_ascii_end();
        let listed = names.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(name));
        if listed == wanted {
            selected.extend_from_slice(field);
        }
    }
    let blank = if header.ends_with(b"\n\r\n") || header == b"\r\n" { &b"\r\n"[..] } else { b"" };
    let blank = if header.ends_with(b"\n\n") || header == b"\n" { b"\n" } else { blank };
    selected.extend_from_slice(blank);
    selected
}

/// The header fields one by one, each with its folds and line ends, without the blank line.
fn fields(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let mut end = 0;
        loop {
            let line = &rest[end..];
            let len = memchr::memchr(b'\n', line).map_or(line.len(), |at| at + 1);
            end += len;
            let folded = matches!(rest.get(end), Some(b' ' | b'\t'));
            if len == 0 || !folded {
                break;
            }
        }
        let (field, after) = rest.split_at(end);
        rest = after;
        (!matches!(field, b"" | b"\r\n" | b"\n")).then_some(field)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"From: a\r\nSubject: long\r\n  folded\r\nTo: b\r\n\r\n";

    #[test]
    fn fields_are_selected_with_their_folds_and_the_blank_line() {
        let names = ["subject".to_owned()];
        assert_eq!(select_fields(HEADER, &names, true), b"Subject: long\r\n  folded\r\n\r\n");
        assert_eq!(select_fields(HEADER, &names, false), b"From: a\r\nTo: b\r\n\r\n");
        assert_eq!(select_fields(b"", &names, false), b"");
        assert_eq!(select_fields(b"\r\n", &names, false), b"\r\n");
        assert_eq!(select_fields(b"Subject: cut", &names, true), b"Subject: cut", "no body, no blank line");
        assert_eq!(select_fields(b"From: a\n\n", &names, false), b"From: a\n\n");
    }

    #[test]
    fn a_partial_past_the_end_is_empty() {
        let span = Span { offset: 10, len: 5 };
        assert_eq!(span.cut(Some((u32::MAX, 1))).len, 0);
        assert_eq!(span.cut(Some((3, 10))), Span { offset: 13, len: 2 });
    }
}
