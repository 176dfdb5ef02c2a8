//! A message while inspectors change it: the parts that are as they came, and those that are not.

use std::ops::Range;
use std::time::Instant;

use mail_queue::{Envelope, Part};

use super::amendment::{Amendment, Edit, Field};
use super::{Inspected, Peer, change_recipients};
use crate::header;

const EMPTY_LINE: &[u8] = b"\r\n";

/// See the head of this file. In the file a message is
///
/// | part | changed by |
/// | --- | --- |
/// | Return-Path | another sender |
/// | fields on top | `Edit::Prepend` |
/// | Received of this host | nobody |
/// | the header that came | edits |
/// | the empty line | |
/// | the body | another body |
///
/// and inspectors see fields on top and the header that came as one header.
pub struct Draft<'a> {
    bytes: &'a [u8],
    relay_offset: usize,
    content_offset: usize,
    /// The header that came, in `bytes`.
    came: Range<usize>,
    /// Where the body begins in `bytes`.
    body_offset: usize,
    has_empty_line: bool,
    /// The header as inspectors see it, once it is not as it came.
    header: Option<Vec<u8>>,
    /// Bytes of it that stand above Received.
    on_top: usize,
    body: Option<Vec<u8>>,
}

impl<'a> Draft<'a> {
    pub fn new(bytes: &'a [u8], relay_offset: u64, content_offset: u64) -> Draft<'a> {
        let offset = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).min(bytes.len());
        let content_offset = offset(content_offset);
        let content = &bytes[content_offset..];
        let end = header::end(content, 0);
        let fields = end.map_or(content.len(), |end| end - EMPTY_LINE.len());
        Draft {
            bytes,
            relay_offset: offset(relay_offset).min(content_offset),
            content_offset,
            came: content_offset..content_offset + fields,
            body_offset: content_offset + end.unwrap_or(content.len()),
            has_empty_line: end.is_some(),
            header: None,
            on_top: 0,
            body: None,
        }
    }

    fn header(&self) -> &[u8] {
        self.header.as_deref().unwrap_or(&self.bytes[self.came.clone()])
    }

    pub fn view<'b>(&'b self, peer: &'b Peer, envelope: &'b Envelope, until: Instant) -> Inspected<'b> {
        let is_as_it_came = self.header.is_none() && self.body.is_none() && self.has_empty_line;
        Inspected {
            peer,
            envelope,
            header: self.header(),
            body: self.body.as_deref().unwrap_or(&self.bytes[self.body_offset..]),
            whole: is_as_it_came.then_some(&self.bytes[self.content_offset..]),
            until,
        }
    }

    /// Does what an inspector wants done, but for its verdict.
    pub fn apply(&mut self, amendment: Amendment, envelope: &mut Envelope) {
        if !amendment.edits.is_empty() {
            let mut header = self.header.take().unwrap_or_else(|| {
                let mut header = self.bytes[self.came.clone()].to_vec();
                if !header.is_empty() && !header.ends_with(EMPTY_LINE) {
                    header.extend_from_slice(EMPTY_LINE);
                }
                header
            });
            edit(&mut header, &mut self.on_top, amendment.edits);
            self.header = Some(header);
        }
        self.body = amendment.body.or(self.body.take());
        if let Some(sender) = amendment.sender {
            envelope.sender = sender.filter(|sender| !sender.is_empty());
        }
        change_recipients(envelope, amendment.added_recipients, &amendment.deleted_recipients);
    }

    /// The parts of the message as it is to be, and its relay offset; nothing when it is as it came. `return_path` is
    /// another sender.
    pub fn parts(&self, return_path: Option<&str>) -> Option<(Vec<Part>, u64)> {
        if self.header.is_none() && self.body.is_none() && return_path.is_none() {
            return None;
        }
        let kept = |from: usize, to: usize| Part::Kept(from as u64..to as u64);
        let mut parts = Vec::new();
        let relay_offset = match return_path {
            Some(sender) => {
                let line = format!("Return-Path: <{sender}>\r\n").into_bytes();
                let length = line.len();
                parts.push(Part::New(line));
                length
            }
            None => {
                parts.push(kept(0, self.relay_offset));
                self.relay_offset
            }
        };
        let (top, rest) = match &self.header {
            Some(header) => header.split_at(self.on_top.min(header.len())),
            None => (&[][..], &[][..]),
        };
        if !top.is_empty() {
            parts.push(Part::New(top.to_vec()));
        }
        parts.push(kept(self.relay_offset, self.content_offset));
        match &self.header {
            Some(_) => parts.push(Part::New([rest, EMPTY_LINE].concat())),
            None if self.has_empty_line => parts.push(kept(self.came.start, self.body_offset)),
            None => {
                parts.push(kept(self.came.start, self.came.end));
                if self.body.is_some() {
                    let ends = self.came.is_empty() || self.header().ends_with(EMPTY_LINE);
                    parts.push(Part::New(EMPTY_LINE.repeat(if ends { 1 } else { 2 })));
                }
            }
        }
        match &self.body {
            Some(body) => parts.push(Part::New(body.clone())),
            None => parts.push(kept(self.body_offset, self.bytes.len())),
        }
        Some((parts, relay_offset as u64))
    }
}

/// Where each field is, continuation lines included.
pub(crate) fn fields(header: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        let end = at + line.len();
        match found.last_mut() {
            Some(last) if matches!(line.first(), Some(b' ' | b'\t')) => last.end = end,
            _ => found.push(at..end),
        }
        at = end;
    }
    found
}

fn is_named(field: &[u8], name: &[u8]) -> bool {
    let has_name = field.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    has_name && field[name.len()..].trim_ascii_start().first() == Some(&b':')
}

fn nth_named(header: &[u8], name: &[u8], nth: usize) -> Option<Range<usize>> {
    let named = fields(header).into_iter().filter(|field| is_named(&header[field.clone()], name));
    named.into_iter().nth(nth.checked_sub(1)?)
}

fn edit(header: &mut Vec<u8>, on_top: &mut usize, edits: Vec<Edit>) {
    for edit in edits {
        match edit {
            Edit::Prepend(field) => {
                *on_top += field.as_bytes().len();
                put(header, 0..0, field.as_bytes());
            }
            Edit::Insert(place, field) => {
                let below = fields(&header[*on_top..]);
                let at = below.get(place).map_or(header.len(), |field| *on_top + field.start);
                put(header, at..at, field.as_bytes());
            }
            Edit::Append(field) => header.extend_from_slice(field.as_bytes()),
            Edit::Replace { nth, field } => {
                if let Some(range) = nth_named(header, field.name(), nth) {
                    replace(header, on_top, range, Some(&field));
                }
            }
            Edit::Remove { name, nth } => {
                if let Some(range) = nth_named(header, name.as_bytes(), nth) {
                    replace(header, on_top, range, None);
                }
            }
            Edit::RemoveFields(numbers) => remove_fields(header, on_top, &numbers),
        }
    }
}

/// One pass, however many.
fn remove_fields(header: &mut Vec<u8>, on_top: &mut usize, numbers: &[usize]) {
    let mut left = Vec::with_capacity(header.len());
    let mut top = *on_top;
    for (number, field) in fields(header).into_iter().enumerate() {
        if numbers.binary_search(&number).is_err() {
            left.extend_from_slice(&header[field]);
        } else if field.end <= *on_top {
            top -= field.len();
        }
    }
    (*header, *on_top) = (left, top);
}

fn replace(header: &mut Vec<u8>, on_top: &mut usize, range: Range<usize>, field: Option<&Field>) {
    let bytes = field.map(Field::as_bytes).unwrap_or_default();
    if range.end <= *on_top {
        *on_top = *on_top - range.len() + bytes.len();
    }
    put(header, range, bytes);
}

fn put(header: &mut Vec<u8>, range: Range<usize>, bytes: &[u8]) {
    header.splice(range, bytes.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_queue::QueueId;
    use proptest::prelude::*;

    const TRACE: &str = "Return-Path: <a@b>\r\n|Received: us\r\n|";

    fn field(text: &str) -> Field {
        let (name, value) = text.split_once(": ").unwrap();
        Field::new(name, value).unwrap()
    }

    /// What becomes of a message, `|` before the relayed form.
    fn amended(content: &str, return_path: Option<&str>, amendments: Vec<Amendment>) -> String {
        let relay = TRACE.find('|').unwrap();
        let trace = TRACE.replace('|', "");
        let text = format!("{trace}{content}");
        let mut draft = Draft::new(text.as_bytes(), relay as u64, trace.len() as u64);
        let mut envelope = Envelope::new(QueueId::parse("GPM7U00A.1B2").unwrap());
        for amendment in amendments {
            draft.apply(amendment, &mut envelope);
        }
        let Some((parts, offset)) = draft.parts(return_path) else { return "unchanged".into() };
        let mut new = Vec::new();
        for part in parts {
            match part {
                Part::New(bytes) => new.extend(bytes),
                Part::Kept(range) => new.extend(&text.as_bytes()[range.start as usize..range.end as usize]),
            }
        }
        new.insert(offset as usize, b'|');
        String::from_utf8(new).unwrap()
    }

    fn edits(edits: Vec<Edit>) -> Vec<Amendment> {
        vec![Amendment { edits, ..Amendment::none() }]
    }

    #[test]
    fn nothing_to_do_is_nothing_done() {
        assert_eq!(amended("A: b\r\n\r\nbody", None, vec![Amendment::none()]), "unchanged");
    }

    #[test]
    fn fields_go_where_they_are_to() {
        let content = "A: 1\r\nB: 2\r\n folded\r\na: 3\r\n\r\nbody\r\n";
        let made = amended(
            content,
            None,
            edits(vec![
                Edit::Prepend(field("T: 2")),
                Edit::Prepend(field("T: 1")),
                Edit::Insert(0, field("I: 0")),
                Edit::Insert(99, field("I: 99")),
                Edit::Insert(2, field("I: 2")),
                Edit::Append(field("Z: z")),
                Edit::Replace { nth: 2, field: field("A: changed") },
                Edit::Replace { nth: 3, field: field("A: not there") },
                Edit::Remove { name: "b".into(), nth: 1 },
                Edit::Remove { name: "T".into(), nth: 2 },
                Edit::Replace { nth: 1, field: field("T: longer than before") },
            ]),
        );
        let expected = "Return-Path: <a@b>\r\n|T: longer than before\r\nReceived: us\r\nI: 0\r\nA: 1\r\nI: 2\r\n\
                        A: changed\r\nI: 99\r\nZ: z\r\n\r\nbody\r\n";
        assert_eq!(made, expected);
    }

    #[test]
    fn later_inspectors_change_what_earlier_ones_left() {
        let first = Amendment { edits: vec![Edit::Prepend(field("X: 1"))], ..Amendment::none() };
        let second = Amendment {
            edits: vec![Edit::Remove { name: "X".into(), nth: 1 }, Edit::Prepend(field("Y: 1"))],
            body: Some(b"new".to_vec()),
            ..Amendment::none()
        };
        let made = amended("A: b\r\n\r\nold", None, vec![first, second, Amendment::none()]);
        assert_eq!(made, "Return-Path: <a@b>\r\n|Y: 1\r\nReceived: us\r\nA: b\r\n\r\nnew");
    }

    #[test]
    fn a_message_may_lack_header_or_body() {
        let top = || edits(vec![Edit::Prepend(field("T: 1"))]);
        let start = "Return-Path: <a@b>\r\n|T: 1\r\nReceived: us\r\n";
        for (content, end) in [
            ("\r\nbody", "\r\nbody"),
            ("\r\n\r\nbody", "\r\n\r\nbody"),
            ("A: b\r\n", "A: b\r\n\r\n"),
            ("A: b", "A: b\r\n\r\n"),
            ("", "\r\n"),
        ] {
            assert_eq!(amended(content, None, top()), format!("{start}{end}"), "{content:?}");
        }
        let body = || vec![Amendment { body: Some(b"B".to_vec()), ..Amendment::none() }];
        let start = "Return-Path: <a@b>\r\n|Received: us\r\n";
        for (content, end) in
            [("A: b", "A: b\r\n\r\nB"), ("", "\r\nB"), ("\r\nx", "\r\nB"), ("A: b\r\n", "A: b\r\n\r\nB")]
        {
            assert_eq!(amended(content, None, body()), format!("{start}{end}"), "{content:?}");
        }
    }

    #[test]
    fn fields_go_by_number_too() {
        let made = amended(
            "A: 1\r\nB: 2\r\n\tb\r\nC: 3\r\n\r\nbody",
            None,
            edits(vec![
                Edit::Prepend(field("T: 2")),
                Edit::Prepend(field("T: 1")),
                Edit::RemoveFields(vec![0, 3, 99]),
            ]),
        );
        assert_eq!(made, "Return-Path: <a@b>\r\n|T: 2\r\nReceived: us\r\nA: 1\r\nC: 3\r\n\r\nbody");
    }

    #[test]
    fn another_sender_is_another_return_path() {
        let made = amended("A: b\r\n\r\nbody", Some("longer@sender.example"), vec![]);
        assert_eq!(made, "Return-Path: <longer@sender.example>\r\n|Received: us\r\nA: b\r\n\r\nbody");
    }

    fn an_edit() -> impl Strategy<Value = Edit> {
        let name = prop_oneof![Just("A"), Just("B"), Just("T")];
        (0..6_usize, name, "[a-z\r\n ]{0,12}", 0..5_usize).prop_map(|(kind, name, value, number)| {
            let field = Field::new(name, value).unwrap();
            match kind {
                0 => Edit::Prepend(field),
                1 => Edit::Insert(number, field),
                2 => Edit::Append(field),
                3 => Edit::Replace { nth: number, field },
                4 => Edit::Remove { name: name.into(), nth: number },
                _ => Edit::RemoveFields(vec![number, number + 2]),
            }
        })
    }

    proptest! {
        /// Whatever is edited: trace and body stay, and what stands between them is whole lines.
        #[test]
        fn edits_leave_trace_and_body_alone(
            header in "(([AB]: [a-z]{0,5}\r\n( [a-z]{1,5}\r\n)?){0,5})",
            body in "[a-z:\r\n]{0,20}",
            list in proptest::collection::vec(an_edit(), 1..12),
        ) {
            let made = amended(&format!("{header}\r\n{body}"), None, edits(list));
            let made = made.strip_prefix("Return-Path: <a@b>\r\n|").unwrap();
            prop_assert_eq!(made.matches("Received: us\r\n").count(), 1);
            let rest = made.strip_suffix(&format!("\r\n{body}")).unwrap();
            prop_assert!(rest.ends_with("\r\n") && !rest.contains("\r\n\r\n"), "{:?}", rest);
            prop_assert!(rest.split_inclusive('\n').all(|line| line.ends_with("\r\n")));
        }
    }
}
