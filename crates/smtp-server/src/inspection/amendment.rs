//! What an inspector wants done.

use mail_queue::Recipient;
use smtp_wire::Reply;

/// Bytes of the lines of a field that is put in (RFC 5322 §2.1.1 is the inspector's business; this is about its size).
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// What an inspector says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    /// The reply, 4xx or 5xx, to the end of data.
    Refuse(Reply),
    /// Accepted as the client sees it, and thrown away; why, for the log.
    Discard(String),
    /// Accepted and held in the queue until an administrator releases it; why.
    Quarantine(String),
}

/// What is to be done about a message. The edits are done in order; each counts what those before it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    pub verdict: Verdict,
    pub edits: Vec<Edit>,
    /// Another body in the place of this one.
    pub body: Option<Vec<u8>>,
    /// Another sender; `Some(None)` is the null reverse-path.
    pub sender: Option<Option<String>>,
    pub added_recipients: Vec<Recipient>,
    /// Addresses.
    pub deleted_recipients: Vec<String>,
}

impl Amendment {
    /// Nothing is done.
    pub fn none() -> Amendment {
        Amendment::verdict(Verdict::Accept)
    }

    pub fn verdict(verdict: Verdict) -> Amendment {
        Amendment {
            verdict,
            edits: Vec::new(),
            body: None,
            sender: None,
            added_recipients: Vec::new(),
            deleted_recipients: Vec::new(),
        }
    }

    /// Whether new text has bytes above 127.
    pub(super) fn has_eight_bit(&self) -> bool {
        let fields = self.edits.iter().filter_map(Edit::field).map(Field::as_bytes);
        fields.chain(self.body.as_deref()).any(|bytes| !bytes.is_ascii())
    }
}

/// One change of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// On top of everything: above the Received field of this host, below Return-Path. There belongs what this host says of
    /// the message as it came (RFC 8601 §4.1, RFC 6376 §5.6).
    Prepend(Field),
    /// Below this host's Received, before the field of this number (from 0) of those that are there; behind the last when
    /// there are fewer.
    Insert(usize, Field),
    /// At the end of the header.
    Append(Field),
    /// In the place of the `nth` (from 1) field of this name. Nothing happens when there are fewer.
    Replace { nth: usize, field: Field },
    /// The `nth` (from 1) field of this name goes.
    Remove { name: String, nth: usize },
    /// The fields of these numbers (from 0, ascending) go.
    RemoveFields(Vec<usize>),
}

impl Edit {
    fn field(&self) -> Option<&Field> {
        match self {
            Edit::Prepend(field)
            | Edit::Insert(_, field)
            | Edit::Append(field)
            | Edit::Replace { field, .. } => Some(field),
            Edit::Remove { .. } | Edit::RemoveFields(_) => None,
        }
    }
}

/// A header field that can be nothing else: one field, whole lines, CRLF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name_bytes: usize,
    bytes: Vec<u8>,
}

impl Field {
    /// A field of this name and value. Line ends of any kind become CRLF, and every line behind the first begins with white
    /// space, as a continuation does; NULs go.
    ///
    /// Nothing when the name is none (RFC 5322 §3.6.8) or the value is too long.
    pub fn new(name: &str, value: impl AsRef<[u8]>) -> Option<Field> {
        Field::with_separator(name, ": ", value.as_ref())
    }

    /// The same with what stands between name and value: `:` for values that bring their own blank.
    pub fn with_separator(name: &str, separator: &'static str, value: &[u8]) -> Option<Field> {
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b':');
        if !is_name || name.len() > 256 || value.len() > VALUE_BYTES_MAX {
            return None;
        }
        let mut bytes = Vec::with_capacity(name.len() + value.len() + 4);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(separator.as_bytes());
        let lines = value.split(|byte| matches!(byte, b'\n' | b'\r'));
        for (at, line) in lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).enumerate() {
            if at > 0 {
                bytes.extend_from_slice(b"\r\n");
                if !matches!(line.first(), Some(b' ' | b'\t')) {
                    bytes.push(b'\t');
                }
            }
            bytes.extend(line.iter().filter(|byte| **byte != 0));
        }
        bytes.extend_from_slice(b"\r\n");
        Some(Field { name_bytes: name.len(), bytes })
    }

    pub fn name(&self) -> &[u8] {
        self.bytes.get(..self.name_bytes).unwrap_or_default()
    }

    /// The whole field with its CRLF.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_field_keeps_its_folding_and_cannot_end_early() {
        let text = |name, value: &str| Field::new(name, value).map(|f| String::from_utf8(f.bytes).unwrap());
        assert_eq!(text("X-A", "b").as_deref(), Some("X-A: b\r\n"));
        assert_eq!(text("X-A", "b\n\tc\r\n d").as_deref(), Some("X-A: b\r\n\tc\r\n d\r\n"));
        assert_eq!(text("X-A", "b\nX-B: c\n\nbody").as_deref(), Some("X-A: b\r\n\tX-B: c\r\n\tbody\r\n"));
        assert_eq!(text("X-A", "b\r\n").as_deref(), Some("X-A: b\r\n"));
        for name in ["", "a b", "a:", "a\r\nb", "\u{e4}"] {
            assert_eq!(text(name, "v"), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_value_it_is_one_field(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let field = Field::new("X", &value).unwrap();
            let ranges = super::super::draft::fields(field.as_bytes());
            prop_assert_eq!(ranges.len(), 1);
            prop_assert!(!field.as_bytes().windows(4).any(|four| four == b"\r\n\r\n"));
        }
    }
}
