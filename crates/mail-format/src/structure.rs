//! The MIME tree of a message: where each part's header and body are (RFC 2045, 2046).
//!
//! [`scan`] reads a message once, line by line where boundaries matter. Offsets are bytes from the start of the message.
//! The tree is a list in the order of the message; [`Structure::encode`] is what the store's cache keeps.

use crate::content_type::ContentType;
use crate::header::{header_field, header_length, unfold};

/// Multiparts inside multiparts; deeper ones are leaves.
pub const DEPTH_MAX: usize = 100;
/// Parts of a message; what follows is part of the last one.
pub const PARTS_MAX: usize = 10_000;
/// Longest boundary that is believed (RFC 2046 §5.1.1 has 70).
const BOUNDARY_BYTES_MAX: usize = 1000;
/// Bytes of an encoded part.
const ENCODED_BYTES: usize = 26;
const VERSION: u8 = 1;

/// What a part is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Text, pictures, whatever has no parts.
    Leaf,
    /// Its parts follow.
    Multipart,
    /// message/rfc822: one part follows, the message inside.
    Message,
}

/// One node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub kind: PartKind,
    /// How deep it is; the message itself is 0.
    pub depth: u8,
    /// Its default type is message/rfc822 (RFC 2046 §5.1.5).
    pub in_digest: bool,
    /// The header, with its empty line.
    pub header_start: u32,
    /// Where the body starts; behind the header.
    pub body_start: u32,
    pub body_end: u32,
    /// Line ends in the body.
    pub lines: u32,
    /// The place of the part it is in.
    pub parent: u32,
}

/// The tree. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    pub parts: Vec<Part>,
}

/// Scans a message of at most 4 GiB; what is beyond is not seen.
pub fn scan(message: &[u8]) -> Structure {
    let message = &message[..message.len().min(u32::MAX as usize)];
    let mut scanner = Scanner { message, parts: Vec::new(), boundaries: Vec::new() };
    scanner.entity(0, 0, 0, false);
    Structure { parts: scanner.parts }
}

/// A boundary line that was met.
#[derive(Clone, Copy)]
struct Met {
    /// Which of the open boundaries.
    level: usize,
    is_last: bool,
    /// Behind the line.
    next: usize,
}

struct Scanner<'m> {
    message: &'m [u8],
    parts: Vec<Part>,
    boundaries: Vec<Vec<u8>>,
}

/// Where a body ended, how many line ends it has, and what ended it.
struct Ended {
    end: usize,
    lines: u32,
    met: Option<Met>,
}

impl Scanner<'_> {
    /// Reads one entity that begins at `start`; tells which boundary ended it.
    fn entity(&mut self, start: usize, depth: usize, parent: usize, in_digest: bool) -> Option<Met> {
        let place = self.parts.len();
        let (body_start, cut) = self.header(start);
        let content = content_type(&self.message[start..body_start], in_digest);
        let boundary = content
            .parameter("boundary")
            .filter(|boundary| !boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX)
            .filter(|_| content.is_kind("multipart"))
            .map(<[u8]>::to_vec);
        let room = depth < DEPTH_MAX && self.parts.len() + 1 < PARTS_MAX;
        let kind = match (room, boundary.is_some()) {
            (true, true) => PartKind::Multipart,
            (true, false) if content.is("message", "rfc822") || content.is("message", "global") => {
                PartKind::Message
            }
            _ => PartKind::Leaf,
        };
        self.parts.push(Part {
            kind,
            depth: u8::try_from(depth).unwrap_or(u8::MAX),
            in_digest,
            header_start: offset(start),
            body_start: offset(body_start),
            body_end: offset(body_start),
            lines: 0,
            parent: offset(parent),
        });
        let ended = match (cut, kind, boundary) {
            (Some(met), PartKind::Leaf, _) => Ended { end: body_start, lines: 0, met: Some(met) },
            (Some(met), PartKind::Message, _) => {
                self.empty_child(body_start, depth + 1, place);
                Ended { end: body_start, lines: 0, met: Some(met) }
            }
            (Some(met), PartKind::Multipart, _) => {
                self.empty_child(body_start, depth + 1, place);
                Ended { end: body_start, lines: 0, met: Some(met) }
            }
            (None, PartKind::Multipart, Some(boundary)) => {
                let is_digest = content.subtype.eq_ignore_ascii_case(b"digest");
                self.multipart(body_start, depth, place, boundary, is_digest)
            }
            (None, PartKind::Message, _) => {
                let met = self.entity(body_start, depth + 1, place, false);
                let child = self.parts[place + 1];
                let header_lines = count_lines(&self.message[body_start..child.body_start as usize]);
                Ended { end: child.body_end as usize, lines: child.lines.saturating_add(header_lines), met }
            }
            (None, _, _) => self.until_boundary(body_start),
        };
        self.parts[place].body_end = offset(ended.end.max(body_start));
        self.parts[place].lines = ended.lines;
        ended.met
    }

    /// Where the header ends; a boundary line ends it too.
    fn header(&self, start: usize) -> (usize, Option<Met>) {
        if self.boundaries.is_empty() {
            return (start + header_length(&self.message[start..]), None);
        }
        let mut at = start;
        loop {
            let rest = &self.message[at..];
            if rest.starts_with(b"\r\n") {
                return (at + 2, None);
            }
            if rest.starts_with(b"\n") {
                return (at + 1, None);
            }
            if let Some(met) = self.boundary_at(at) {
                return (at, Some(met));
            }
            match memchr::memchr(b'\n', rest) {
                Some(end) => at += end + 1,
                None => return (self.message.len(), None),
            }
        }
    }

    fn multipart(
        &mut self,
        start: usize,
        depth: usize,
        place: usize,
        boundary: Vec<u8>,
        is_digest: bool,
    ) -> Ended {
        self.boundaries.push(boundary);
        let level = self.boundaries.len() - 1;
        let mut ended = self.until_boundary(start); // the preamble
        let mut children = 0;
        let result = loop {
            match ended.met {
                Some(met) if met.level == level && !met.is_last && self.parts.len() < PARTS_MAX => {
                    children += 1;
                    let child = self.parts.len();
                    let met = self.entity(met.next, depth + 1, place, is_digest);
                    ended = Ended { end: self.parts[child].body_end as usize, lines: 0, met };
                }
                Some(met) if met.level == level => {
                    // The close delimiter, or too many parts: the rest is epilogue.
                    self.boundaries.pop();
                    break self.until_boundary(met.next);
                }
                _ => {
                    self.boundaries.pop();
                    break ended;
                }
            }
        };
        self.boundaries.truncate(level);
        if children == 0 {
            self.empty_child(result.end.max(start), depth + 1, place);
        }
        let end = result.end.max(start);
        Ended { end, lines: count_lines(&self.message[start..end]), met: result.met }
    }

    /// A multipart without parts, or a message that was cut off, still has one: an empty text.
    fn empty_child(&mut self, at: usize, depth: usize, parent: usize) {
        self.parts.push(Part {
            kind: PartKind::Leaf,
            depth: u8::try_from(depth).unwrap_or(u8::MAX),
            in_digest: false,
            header_start: offset(at),
            body_start: offset(at),
            body_end: offset(at),
            lines: 0,
            parent: offset(parent),
        });
    }

    /// The body from `start` to the line end before a boundary, or to the end.
    fn until_boundary(&self, start: usize) -> Ended {
        let message = self.message;
        if self.boundaries.is_empty() {
            return Ended { end: message.len(), lines: count_lines(&message[start..]), met: None };
        }
        let mut at = start;
        let mut lines: u32 = 0;
        loop {
            if let Some(met) = self.boundary_at(at) {
                let (end, had_line_end) = before_line(message, start, at);
                return Ended { end, lines: lines.saturating_sub(u32::from(had_line_end)), met: Some(met) };
            }
            match memchr::memchr(b'\n', &message[at..]) {
                Some(length) => {
                    at += length + 1;
                    lines = lines.saturating_add(1);
                }
                None => return Ended { end: message.len(), lines, met: None },
            }
        }
    }

    /// The open boundary with which the line at `at` begins; whatever follows in the line does not matter (RFC 2046 §5.1.1,
    /// note to implementors). Of several the longest, of equal ones the innermost.
    fn boundary_at(&self, at: usize) -> Option<Met> {
        let rest = self.message.get(at..)?.strip_prefix(b"--")?;
        let mut found: Option<(usize, &[u8])> = None;
        for (level, boundary) in self.boundaries.iter().enumerate().rev() {
            if let Some(after) = rest.strip_prefix(boundary.as_slice()) {
                if found.is_none_or(|(_, shorter)| after.len() < shorter.len()) {
                    found = Some((level, after));
                }
            }
        }
        let (level, after) = found?;
        let line_end = memchr::memchr(b'\n', after);
        let next = line_end.map_or(self.message.len(), |end| self.message.len() - after.len() + end + 1);
        // Behind a line that the end of the message cuts off there is no part.
        Some(Met { level, is_last: after.starts_with(b"--") || line_end.is_none(), next })
    }
}

/// The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1). Whether there was one in the body.
fn before_line(message: &[u8], start: usize, at: usize) -> (usize, bool) {
    let body = &message[start..at];
    match body {
        [.., b'\r', b'\n'] => (at - 2, true),
        [.., b'\n'] => (at - 1, true),
        _ => (at, false),
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn count_lines(bytes: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u32::MAX)
}

/// The type of an entity with this header, the default when it has none that can be read.
pub fn content_type(header: &[u8], in_digest: bool) -> ContentType {
    let given = header_field(header, "Content-Type").and_then(|value| ContentType::parse(&unfold(value)));
    given.unwrap_or_else(|| {
        if in_digest {
            ContentType { kind: b"message".to_vec(), subtype: b"rfc822".to_vec(), parameters: Vec::new() }
        } else {
            ContentType::text_plain()
        }
    })
}

/// A part as IMAP addresses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartSpan {
    /// The MIME header: `BODY[1.MIME]`.
    pub header: (u32, u32),
    /// `BODY[1]`.
    pub body: (u32, u32),
    /// Header and text of the message inside, for message/rfc822: `BODY[1.HEADER]`, `BODY[1.TEXT]`.
    pub message: Option<((u32, u32), (u32, u32))>,
}

impl Structure {
    /// Bytes of the message's header.
    pub fn header_bytes(&self) -> u32 {
        self.parts[0].body_start
    }

    /// Line ends of the body.
    pub fn lines(&self) -> u32 {
        self.parts[0].lines
    }

    /// The places of the parts directly inside.
    pub fn children(&self, place: usize) -> impl Iterator<Item = usize> + '_ {
        let depth = self.parts[place].depth;
        self.parts[place + 1..]
            .iter()
            .take_while(move |part| part.depth > depth)
            .enumerate()
            .filter(move |(_, part)| part.depth == depth.saturating_add(1))
            .map(move |(at, _)| place + 1 + at)
    }

    /// The part of a path such as `1.2.3` (RFC 3501 §6.4.5): in what has no parts, 1 is its own body.
    pub fn part(&self, path: &[u32]) -> Option<PartSpan> {
        let mut container = Some(0usize);
        let mut place = 0;
        for number in path {
            let inside = container?;
            let number = usize::try_from(number.checked_sub(1)?).ok()?;
            place = match self.parts[inside].kind {
                PartKind::Multipart => self.children(inside).nth(number)?,
                _ if number == 0 => inside,
                _ => return None,
            };
            container = match self.parts[place].kind {
                PartKind::Multipart => Some(place),
                PartKind::Message => Some(place + 1),
                PartKind::Leaf => None,
            };
        }
        let part = self.parts.get(place).filter(|_| !path.is_empty())?;
        let inner = (part.kind == PartKind::Message).then(|| self.parts.get(place + 1)).flatten();
        Some(PartSpan {
            header: (part.header_start, part.body_start),
            body: (part.body_start, part.body_end),
            message: inner
                .map(|inner| ((inner.header_start, inner.body_start), (inner.body_start, inner.body_end))),
        })
    }

    /// The tree as bytes, for a cache: a version, then 26 bytes a part, little-endian.
    ///
    /// | at | len | field |
    /// |---:|----:|-------|
    /// | 0 | 1 | kind: 0 leaf, 1 multipart, 2 message |
    /// | 1 | 1 | depth |
    /// | 2 | 1 | in a digest |
    /// | 3 | 3 | zero |
    /// | 6 | 4 | header_start |
    /// | 10 | 4 | body_start |
    /// | 14 | 4 | body_end |
    /// | 18 | 4 | lines |
    /// | 22 | 4 | parent |
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + self.parts.len() * ENCODED_BYTES);
        bytes.push(VERSION);
        for part in &self.parts {
            let kind = match part.kind {
                PartKind::Leaf => 0,
                PartKind::Multipart => 1,
                PartKind::Message => 2,
            };
            bytes.extend_from_slice(&[kind, part.depth, u8::from(part.in_digest), 0, 0, 0]);
            for number in [part.header_start, part.body_start, part.body_end, part.lines, part.parent] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        bytes
    }

    /// Reads what [`Structure::encode`] wrote; nothing when it is anything else.
    pub fn decode(bytes: &[u8]) -> Option<Structure> {
        let (version, rest) = bytes.split_first()?;
        if *version != VERSION || rest.is_empty() || rest.len() % ENCODED_BYTES != 0 {
            return None;
        }
        let mut parts: Vec<Part> = Vec::with_capacity(rest.len() / ENCODED_BYTES);
        for piece in rest.chunks_exact(ENCODED_BYTES) {
            let number = |at: usize| piece[at..at + 4].try_into().map(u32::from_le_bytes).ok();
            let part = Part {
                kind: match piece[0] {
                    0 => PartKind::Leaf,
                    1 => PartKind::Multipart,
                    2 => PartKind::Message,
                    _ => return None,
                },
                depth: piece[1],
                in_digest: piece[2] == 1,
                header_start: number(6)?,
                body_start: number(10)?,
                body_end: number(14)?,
                lines: number(18)?,
                parent: number(22)?,
            };
            let ordered = part.header_start <= part.body_start && part.body_start <= part.body_end;
            let fits = match parts.get(part.parent as usize) {
                None => parts.is_empty() && part.depth == 0 && part.parent == 0,
                Some(parent) => {
                    parent.depth.checked_add(1) == Some(part.depth) && parent.kind != PartKind::Leaf
                }
            };
            if !ordered || !fits {
                return None;
            }
            parts.push(part);
        }
        // Whoever is to have parts has them.
        let complete = parts.iter().enumerate().all(|(place, part)| {
            part.kind == PartKind::Leaf
                || parts.get(place + 1).is_some_and(|next| next.parent as usize == place)
        });
        complete.then_some(Structure { parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body<'m>(message: &'m [u8], structure: &Structure, path: &[u32]) -> &'m [u8] {
        let (start, end) = structure.part(path).unwrap().body;
        &message[start as usize..end as usize]
    }

    const NESTED: &[u8] = b"From: a@b\r\nContent-Type: multipart/mixed; boundary=AA\r\n\r\npreamble\r\n--AA\r\n\r\nfirst\r\nline\r\n--AA\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=\"AAB\"\r\n\r\n--AAB\r\nContent-Type: text/plain\r\n\r\nplain\r\n--AAB \t\r\nContent-Type: text/html\r\n\r\n<p>html</p>\r\n\r\n--AAB--\r\nepilogue of inner\r\n--AA--\r\nepilogue\r\n";

    #[test]
    fn a_tree_is_addressed_as_rfc_3501_shows() {
        let structure = scan(NESTED);
        assert_eq!(structure.parts.len(), 6);
        assert_eq!(body(NESTED, &structure, &[1]), b"first\r\nline");
        assert_eq!(body(NESTED, &structure, &[2, 1]), b"plain");
        assert_eq!(body(NESTED, &structure, &[2, 2]), b"<p>html</p>\r\n");
        assert!(body(NESTED, &structure, &[2]).starts_with(b"Subject: inner\r\n"));
        assert!(body(NESTED, &structure, &[2]).ends_with(b"epilogue of inner"));
        assert_eq!(structure.part(&[3]), None);
        assert_eq!(structure.part(&[1, 1]), None, "a leaf inside a multipart has no parts");
        let (header, text) = structure.part(&[2]).unwrap().message.unwrap();
        assert!(NESTED[header.0 as usize..header.1 as usize].starts_with(b"Subject: inner"));
        assert!(NESTED[text.0 as usize..text.1 as usize].starts_with(b"--AAB\r\n"));
        assert_eq!(structure.parts[1].lines, 1);
    }

    #[test]
    fn a_message_without_parts_is_its_own_first_part() {
        let message = b"Subject: x\r\n\r\none\r\ntwo\r\n";
        let structure = scan(message);
        assert_eq!(body(message, &structure, &[1]), b"one\r\ntwo\r\n");
        assert_eq!((structure.lines(), structure.header_bytes()), (2, 14));
        assert_eq!(structure.part(&[2]), None);
    }

    #[test]
    fn a_missing_end_and_an_outer_boundary_end_what_is_open() {
        let message = b"Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\ninner\n--o\n\nouter";
        let structure = scan(message);
        assert_eq!(body(message, &structure, &[1, 1]), b"inner");
        assert_eq!(body(message, &structure, &[2]), b"outer");
    }

    #[test]
    fn a_multipart_without_any_part_has_an_empty_one() {
        for message in [
            &b"Content-Type: multipart/mixed; boundary=x\r\n\r\nno boundary here\r\n"[..],
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n",
            b"Content-Type: multipart/mixed; boundary=x",
        ] {
            let structure = scan(message);
            assert_eq!(structure.parts.len(), 2);
            assert_eq!(body(message, &structure, &[1]), b"");
            assert_eq!(Structure::decode(&structure.encode()), Some(structure));
        }
    }

    #[test]
    fn a_digest_has_messages_by_default() {
        let message =
            b"Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: a\r\n\r\nb\r\n--x--\r\n";
        let structure = scan(message);
        assert_eq!(structure.parts[1].kind, PartKind::Message);
        assert_eq!(body(message, &structure, &[1, 1]), b"b");
    }

    #[test]
    fn time_and_parts_are_bounded_on_hostile_messages() {
        let deep: Vec<u8> = (0..5000)
            .flat_map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n").into_bytes())
            .collect();
        let mut wide = b"Content-Type: multipart/mixed; boundary=x\n\n".to_vec();
        wide.extend(b"--x\n\n".repeat(100_000));
        let rfc822 = b"Content-Type: message/rfc822\n\n".repeat(50_000);
        let dashes = [&deep[..], &b"--\n".repeat(300_000)].concat();
        for message in [deep, wide, rfc822, dashes] {
            let begin = std::time::Instant::now();
            let structure = scan(&message);
            assert!(structure.parts.len() <= PARTS_MAX + DEPTH_MAX, "{}", structure.parts.len());
            // A second or two, unless the machine stands still; each line against each boundary it would be many minutes.
            assert!(begin.elapsed().as_secs() < 180, "{:?}", begin.elapsed());
            assert!(Structure::decode(&structure.encode()).is_some());
        }
    }

    proptest! {
        #[test]
        fn spans_lie_inside_and_the_encoding_is_read_again(message in proptest::collection::vec(any::<u8>(), 0..400)) {
            check(&message)?;
        }

        #[test]
        fn the_same_for_what_looks_like_mime(pieces in proptest::collection::vec(prop_oneof![
            Just("Content-Type: multipart/mixed; boundary=x\r\n"), Just("Content-Type: multipart/digest; boundary=\"xy\"\n"),
            Just("Content-Type: message/rfc822\r\n"), Just("\r\n"), Just("\n"), Just("--x\r\n"), Just("--xy\n"), Just("--x--\r\n"),
            Just("--xy--"), Just("text"), Just("--"), Just("Subject: a\r\n b\r\n"),
        ], 0..40)) {
            check(pieces.concat().as_bytes())?;
        }
    }

    fn check(message: &[u8]) -> Result<(), TestCaseError> {
        let structure = scan(message);
        for part in &structure.parts {
            prop_assert!(part.header_start <= part.body_start && part.body_start <= part.body_end);
            prop_assert!(part.body_end as usize <= message.len());
            let parent = structure.parts[part.parent as usize];
            prop_assert!(parent.body_start <= part.body_start || part.depth == 0);
        }
        prop_assert_eq!(Structure::decode(&structure.encode()), Some(structure.clone()));
        let mut damaged = structure.encode();
        damaged.pop();
        prop_assert_eq!(Structure::decode(&damaged), None);
        Ok(())
    }
}
