//! A message as a filter sees it, and what the filter wants changed.

use crate::Failure;
use crate::wire::Change;

/// Modifications of one message by one filter, and bytes of them, without a new body.
const CHANGES_MAX: usize = 10_000;
const CHANGED_BYTES_MAX: usize = 1 << 20;

/// What is shown. Our own trace fields are not part of it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The fields with their line ends, without the empty line.
    pub header: &'a [u8],
    pub body: &'a [u8],
    /// Bytes of a body that takes the place of this one.
    pub body_bytes_max: usize,
}

/// Name and value of each field. With `leading_space` the value begins right behind the colon; else a blank there is left
/// out. Folded lines are joined by a line feed, as sendmail does it.
pub fn fields(header: &[u8], leading_space: bool) -> impl Iterator<Item = (&[u8], Vec<u8>)> {
    split(header).filter_map(move |field| {
        let colon = field.iter().position(|byte| *byte == b':')?;
        let name = field[..colon].trim_ascii_end();
        let value = &field[colon + 1..];
        let value = if leading_space { value } else { value.strip_prefix(b" ").unwrap_or(value) };
        let value =
            value.strip_suffix(b"\n").map_or(value, |value| value.strip_suffix(b"\r").unwrap_or(value));
        let is_name = !name.is_empty() && name.iter().all(|byte| matches!(byte, 0x21..=0x7e));
        is_name.then(|| (name, with_line_feeds(value)))
    })
}

/// The fields of a header, folds and all.
fn split(mut header: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let mut end = 0;
        loop {
            let line = header[end..].iter().position(|byte| *byte == b'\n');
            end = line.map_or(header.len(), |at| end + at + 1);
            if !matches!(header.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (field, rest) = header.split_at(end);
        header = rest;
        (!field.is_empty()).then_some(field)
    })
}

fn with_line_feeds(value: &[u8]) -> Vec<u8> {
    let ends_line = |at: usize| value[at] == b'\r' && value.get(at + 1) == Some(&b'\n');
    (0..value.len()).filter(|at| !ends_line(*at)).map(|at| value[at]).collect()
}

/// What a filter wants of a message, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Without pieces of a body.
    pub list: Vec<Change>,
    /// The body that takes the place of the present one.
    pub body: Option<Vec<u8>>,
    /// Values of header fields begin right behind the colon; else a blank is put there.
    pub leading_space: bool,
    bytes: usize,
    last: u8,
}

impl Changes {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.body.is_none()
    }

    pub(crate) fn push(&mut self, change: Change, body_bytes_max: usize) -> Result<(), Failure> {
        if let Change::Body(piece) = &change {
            return self.push_body(piece, body_bytes_max);
        }
        self.bytes = self.bytes.saturating_add(size(&change));
        if self.list.len() >= CHANGES_MAX || self.bytes > CHANGED_BYTES_MAX {
            return Err(Failure::TooMuch("more modifications than a message may have"));
        }
        self.list.push(change);
        Ok(())
    }

    /// Line ends are mended: a bare one is how a message is made to look like two to somebody else.
    fn push_body(&mut self, piece: &[u8], most: usize) -> Result<(), Failure> {
        let body = self.body.get_or_insert_with(Vec::new);
        for byte in piece {
            match (self.last, *byte) {
                (b'\r', b'\n') => {} // written with the carriage return
                (_, b'\n' | b'\r') => body.extend_from_slice(b"\r\n"),
                _ => body.push(*byte),
            }
            self.last = *byte;
        }
        if body.len() > most {
            return Err(Failure::TooMuch("a larger body than a message may have"));
        }
        Ok(())
    }

    /// The last piece was there.
    pub(crate) fn finish(mut self, leading_space: bool) -> Changes {
        self.leading_space = leading_space;
        if let Some(body) = self.body.as_mut().filter(|body| !body.is_empty() && !body.ends_with(b"\n")) {
            body.extend_from_slice(b"\r\n");
        }
        self
    }
}

fn size(change: &Change) -> usize {
    match change {
        Change::AddHeader { name, value }
        | Change::InsertHeader { name, value, .. }
        | Change::ChangeHeader { name, value, .. } => name.len().saturating_add(value.len()),
        Change::Sender { path, arguments } | Change::AddRecipient { path, arguments } => {
            path.len().saturating_add(arguments.len())
        }
        Change::DeleteRecipient(text) | Change::Quarantine(text) | Change::Body(text) => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn shown(header: &str, leading_space: bool) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields(header.as_bytes(), leading_space).map(|(name, value)| (text(name), text(&value))).collect()
    }

    #[test]
    fn fields_are_shown_as_sendmail_shows_them() {
        let header = "Subject: x\r\n y\r\nTo :a\r\nno field\r\n: neither\r\nX:\r\nLast: z";
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let expected = [("Subject", "x\n y"), ("To", "a"), ("X", ""), ("Last", "z")].map(pair);
        assert_eq!(shown(header, false), expected);
        let expected = [("Subject", " x\n y"), ("To", "a"), ("X", ""), ("Last", " z")].map(pair);
        assert_eq!(shown(header, true), expected);
        assert!(shown("", false).is_empty());
    }

    fn body_of(pieces: &[&str]) -> String {
        let mut changes = Changes::default();
        for piece in pieces {
            changes.push(Change::Body(piece.as_bytes().to_vec()), 1000).unwrap();
        }
        String::from_utf8(changes.finish(false).body.unwrap()).unwrap()
    }

    #[test]
    fn a_new_body_has_no_bare_line_ends_however_it_is_cut() {
        let cuts =
            [&["a\nb\rc\r\nd"][..], &["a\nb\r", "c\r", "\nd"], &["a", "\n", "b", "\r", "c", "\r", "\n", "d"]];
        for pieces in cuts {
            assert_eq!(body_of(pieces), "a\r\nb\r\nc\r\nd\r\n", "{pieces:?}");
        }
        assert_eq!(body_of(&["a\r"]), "a\r\n");
        assert_eq!(body_of(&["\n\r\r\n"]), "\r\n\r\n\r\n");
        assert_eq!(body_of(&[""]), "");
    }

    #[test]
    fn a_filter_cannot_fill_our_memory() {
        let fills = |change: &Change, times: usize| {
            let mut changes = Changes::default();
            (0..times).any(|_| changes.push(change.clone(), 1 << 20).is_err())
        };
        let recipient = Change::DeleteRecipient(b"<a@b>".to_vec());
        assert!(!fills(&recipient, CHANGES_MAX) && fills(&recipient, CHANGES_MAX + 1));
        let large = Change::Quarantine(vec![b'x'; 1 << 19]);
        assert!(!fills(&large, 2) && fills(&large, 3));
        let piece = Change::Body(vec![b'\n'; 1 << 16]);
        assert!(!fills(&piece, 8) && fills(&piece, 9));
    }

    proptest! {
        #[test]
        fn fields_that_are_split_are_the_header(header in vec(prop_oneof![Just(b'\n'), Just(b' '), any::<u8>()], 0..80)) {
            let joined: Vec<u8> = split(&header).flatten().copied().collect();
            prop_assert_eq!(joined, header);
        }
    }
}
