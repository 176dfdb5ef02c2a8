//! What a SEARCH asks of the content of one message, found out in one pass for all of its keys (RFC 3501 §6.4.4).
//!
//! Encoded words, transfer encodings and character sets are undone, and case does not count. The header, the bodies of
//! text parts and the headers of messages inside are looked at, each piece read and decoded once however many texts are
//! looked for. A scan goes step by step, at most [`PIECE`] each, and can be left in between: a message of any size costs
//! little memory, and holds a worker no longer than others do.

use std::io;
use std::os::unix::fs::FileExt;

use mail_format::structure::content_type;
use mail_format::{PartKind, Structure, decode_text, decode_words, header_field, header_fields};
use message_store::MessageFile;

use crate::sections::Span;

/// Piece of a part that is decoded at once.
const PIECE: u64 = 256 * 1024;
/// What is looked at of the header of a part.
const PART_HEADER_BYTES_MAX: u64 = 256 * 1024;
/// What a step costs beside the bytes it reads.
const STEP_COST: u64 = 256;
/// So many texts cost as much to look for as the bytes to read.
const TEXTS_PER_READ: u64 = 8;

/// Where a text is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Within {
    /// In the value of a field; an empty text asks for the field.
    Field(String),
    /// In all that is text.
    Message,
    /// In all of it behind the header.
    Body,
}

/// A text, in lower case, and where it is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Needle {
    pub within: Within,
    pub text: String,
}

impl Needle {
    fn is_in_content(&self) -> bool {
        !matches!(self.within, Within::Field(_))
    }
}

/// What is known of one message.
pub struct Scan {
    /// By needle.
    facts: Vec<Option<bool>>,
    stage: Stage,
}

/// What is looked at next.
pub enum Stage {
    Header,
    Structure,
    /// The part of this place, or the next behind it.
    Part(Structure, usize),
    /// The text of the part before this place.
    Text(Structure, usize, Text),
    Over,
}

/// A part under way.
pub struct Text {
    at: u64,
    end: u64,
    /// How it is written.
    transfer: String,
    charset: String,
    /// The end of what was looked at already, as long as a needle.
    tail: String,
}

impl Scan {
    pub fn new(needles: &[Needle]) -> Scan {
        let empty = |needle: &Needle| needle.is_in_content() && needle.text.is_empty();
        let facts = needles.iter().map(|needle| empty(needle).then_some(true)).collect();
        let wants_header = needles.iter().any(|needle| needle.within != Within::Body);
        Scan { facts, stage: if wants_header { Stage::Header } else { Stage::Structure } }
    }

    /// Whether a needle is in the message, if that is known.
    pub fn fact(&self, needle: usize) -> Option<bool> {
        self.facts.get(needle).copied().flatten()
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Nothing more is to be found.
    pub fn give_up(&mut self) {
        for fact in &mut self.facts {
            *fact = Some(fact.unwrap_or(false));
        }
        self.stage = Stage::Over;
    }

    /// The header of the message is this.
    pub fn header(&mut self, header: &[u8], needles: &[Needle]) {
        self.header_fields(header, needles, true);
        for (fact, needle) in self.facts.iter_mut().zip(needles) {
            if !needle.is_in_content() {
                *fact = Some(fact.unwrap_or(false));
            }
        }
        self.stage = Stage::Structure;
    }

    /// The parts of the message are these.
    pub fn structure(&mut self, structure: Structure) {
        self.stage = Stage::Part(structure, 0);
    }

    /// Looks at the next piece; what that cost, in bytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn step(&mut self, message: &MessageFile, needles: &[Needle]) -> io::Result<u64> {
        let read = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Part(structure, place) => self.part(structure, place, message, needles)?,
            Stage::Text(structure, place, text) => self.text(structure, place, text, message, needles)?,
            Stage::Header | Stage::Structure | Stage::Over => {
                self.give_up();
                0
            }
        };
        let open = self.facts.iter().filter(|fact| fact.is_none()).count() as u64;
        Ok(STEP_COST.saturating_add(read).saturating_add(read.saturating_mul(open) / TEXTS_PER_READ))
    }

    /// The header of the next part that matters.
    fn part(
        &mut self,
        structure: Structure,
        from: usize,
        message: &MessageFile,
        needles: &[Needle],
    ) -> io::Result<u64> {
        let Some((place, is_message_inside)) = next_part(&structure, from) else {
            self.give_up();
            return Ok(0);
        };
        let part = &structure.parts[place];
        let (start, end) = (u64::from(part.header_start), u64::from(part.body_start));
        let header = bytes(message, start, end.min(start.saturating_add(PART_HEADER_BYTES_MAX)))?;
        if is_message_inside {
            self.header_fields(&header, needles, false);
        }
        let content = content_type(&header, part.in_digest);
        let next = place.saturating_add(1);
        self.stage = if part.kind == PartKind::Leaf && content.is_kind("text") {
            let transfer = header_field(&header, "Content-Transfer-Encoding").unwrap_or_default();
            let charset = content.parameter("charset").unwrap_or(b"us-ascii");
            let text = Text {
                at: part.body_start.into(),
                end: part.body_end.into(),
                transfer: String::from_utf8_lossy(transfer).into_owned(),
                charset: String::from_utf8_lossy(charset).into_owned(),
                tail: String::new(),
            };
            Stage::Text(structure, next, text)
        } else {
            Stage::Part(structure, next)
        };
        Ok(header.len() as u64)
    }

    /// A piece of a text; pieces end with lines, and overlap by the length of the longest needle.
    fn text(
        &mut self,
        structure: Structure,
        next: usize,
        mut text: Text,
        message: &MessageFile,
        needles: &[Needle],
    ) -> io::Result<u64> {
        let mut piece = bytes(message, text.at, text.end.min(text.at.saturating_add(PIECE)))?;
        let end = text.at.saturating_add(piece.len() as u64);
        if piece.is_empty() {
            self.stage = Stage::Part(structure, next);
            return Ok(0);
        }
        if end < text.end {
            // Whole lines, or, without any, what base64 can be cut to.
            let whole = memchr::memrchr(b'\n', &piece).map_or(piece.len() / 4 * 4, |line_end| line_end + 1);
            piece.truncate(whole);
        }
        let read = piece.len() as u64;
        text.at = text.at.saturating_add(read);
        let mut window = std::mem::take(&mut text.tail);
        window.push_str(&decode_text(&piece, &text.transfer, &text.charset).to_lowercase());
        self.look(&window, needles, |needle| needle.is_in_content());
        self.stage = if text.at >= text.end || read == 0 {
            Stage::Part(structure, next)
        } else {
            let longest = needles.iter().map(|needle| needle.text.len()).max().unwrap_or(0);
            let from = (window.len().saturating_sub(longest)..=window.len())
                .find(|from| window.is_char_boundary(*from))
                .unwrap_or(window.len());
            text.tail = window[from..].to_owned();
            Stage::Text(structure, next, text)
        };
        Ok(read)
    }

    /// A header: that of the message, or of one inside, which is body to those who look for fields.
    fn header_fields(&mut self, header: &[u8], needles: &[Needle], outermost: bool) {
        for (name, value) in header_fields(header) {
            if self.facts.iter().all(Option::is_some) {
                return;
            }
            let name = String::from_utf8_lossy(name);
            let value = decode_words(value).to_lowercase();
            if outermost {
                self.look(&value, needles, |needle| match &needle.within {
                    Within::Field(field) => field.eq_ignore_ascii_case(&name),
                    _ => false,
                });
            }
            let field = format!("{}: {value}", name.to_lowercase());
            self.look(&field, needles, |needle| match needle.within {
                Within::Field(_) => false,
                Within::Message => true,
                Within::Body => !outermost,
            });
        }
    }

    /// Looks for the needles that are not found yet and that matter here.
    fn look(&mut self, text: &str, needles: &[Needle], matters: impl Fn(&Needle) -> bool) {
        for (fact, needle) in self.facts.iter_mut().zip(needles) {
            if fact.is_none() && matters(needle) && text.contains(&needle.text) {
                *fact = Some(true);
            }
        }
    }
}

/// The next part that has text or is a message inside, and whether it is that.
fn next_part(structure: &Structure, from: usize) -> Option<(usize, bool)> {
    (from..structure.parts.len()).find_map(|place| {
        let part = &structure.parts[place];
        let parent = usize::try_from(part.parent).unwrap_or(0);
        let is_message_inside =
            place > 0 && structure.parts.get(parent).is_some_and(|parent| parent.kind == PartKind::Message);
        (part.kind == PartKind::Leaf || is_message_inside).then_some((place, is_message_inside))
    })
}

fn bytes(message: &MessageFile, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let span = Span::between(start, end, message.size);
    let mut bytes = vec![0; usize::try_from(span.len).unwrap_or(0)];
    message.file.read_exact_at(&mut bytes, span.offset)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;

    use super::*;

    fn file_of(message: &[u8]) -> MessageFile {
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(message).unwrap();
        MessageFile { file: Arc::new(file), size: message.len() as u64 }
    }

    fn needle(within: Within, text: &str) -> Needle {
        Needle { within, text: text.to_lowercase() }
    }

    /// All facts about a message, and the number of steps.
    fn scan(message: &[u8], needles: &[Needle]) -> (Vec<bool>, usize) {
        let (file, mut scan, mut steps) = (file_of(message), Scan::new(needles), 0);
        while scan.facts.iter().any(Option::is_none) {
            match scan.stage() {
                Stage::Header => {
                    scan.header(&message[..mail_format::header::header_length(message)], needles)
                }
                Stage::Structure => scan.structure(mail_format::scan(message)),
                _ => drop(scan.step(&file, needles).unwrap()),
            }
            steps += 1;
        }
        (scan.facts.into_iter().flatten().collect(), steps)
    }

    fn body_has(message: &[u8], text: &str) -> bool {
        scan(message, &[needle(Within::Body, text)]).0[0]
    }

    #[test]
    fn encodings_are_undone() {
        let base64 = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n";
        assert!(body_has(base64, "GR\u{dc}\u{df}E"));
        assert!(!body_has(base64, "R3LD"));
        let latin = b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe\r\n";
        assert!(body_has(latin, "gr\u{fc}\u{df}e"));
        let subject = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n";
        assert_eq!(scan(subject, &[needle(Within::Message, "subject: gr\u{fc}\u{df}e")]).0, [true]);
    }

    #[test]
    fn messages_inside_are_looked_at_and_pictures_are_not() {
        let mixed = b"Content-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ndeep\r\n--x\r\nContent-Type: image/png\r\n\r\npixels\r\n--x--\r\n";
        assert!(body_has(mixed, "subject: inner"));
        assert!(body_has(mixed, "deep"));
        assert!(!body_has(mixed, "pixels"));
    }

    #[test]
    fn a_long_part_is_searched_over_the_ends_of_its_pieces() {
        for line in [&b"0123456789abcdef\r\n"[..], b"0123456789abcdefgh"] {
            let mut message = b"Subject: x\r\n\r\n".to_vec();
            while message.len() < 3 * PIECE as usize {
                message.extend_from_slice(line);
            }
            let needle = "needle";
            for place in [PIECE as usize + 8, 2 * PIECE as usize - 3, message.len() - 6] {
                let mut message = message.clone();
                message[place..place + 6].copy_from_slice(needle.as_bytes());
                assert!(body_has(&message, "Needle"), "at {place}");
            }
            assert!(!body_has(&message, needle));
        }
    }

    #[test]
    fn each_key_looks_where_it_is_asked_to() {
        let message = b"Subject: One\r\nX-Empty:\r\n\r\ntwo\r\n";
        let field = |name: &str| Within::Field(name.into());
        for (within, text, expected) in [
            (field("SUBJECT"), "one", true),
            (field("Subject"), "subject", false),
            (field("Subject"), "two", false),
            (field("x-empty"), "", true),
            (field("x-other"), "", false),
            (Within::Message, "subject: one", true),
            (Within::Message, "TWO", true),
            (Within::Message, "", true),
            (Within::Body, "one", false),
            (Within::Body, "two", true),
            (Within::Body, "", true),
        ] {
            assert_eq!(scan(message, &[needle(within.clone(), text)]).0, [expected], "{within:?} {text}");
        }
    }

    /// However many texts are looked for, a message is read and decoded once.
    #[test]
    fn many_texts_take_no_more_steps_than_one() {
        let mut message = b"Subject: x\r\n\r\n".to_vec();
        message.extend_from_slice(&b"0123456789\r\n".repeat(200_000));
        message.extend_from_slice(b"text99\r\n");
        let needles: Vec<Needle> =
            (0..100).map(|number| needle(Within::Message, &format!("text{number}"))).collect();
        let (found, steps) = scan(&message, &needles);
        let expected: Vec<bool> = (0..100).map(|number| [9, 99].contains(&number)).collect();
        assert_eq!(found, expected);
        assert_eq!(steps, scan(&message, &needles[..1]).1);
        assert!(steps < 20, "{steps}");
    }

    /// A step is a bounded piece of work and says what it cost, by what was looked for.
    #[test]
    fn a_step_reads_one_piece() {
        let mut message = b"Subject: x\r\n\r\n".to_vec();
        message.extend_from_slice(&b"0123456789\r\n".repeat(200_000));
        let file = file_of(&message);
        let cost = |count: usize| {
            let needles: Vec<Needle> =
                (0..count).map(|number| needle(Within::Body, &format!("x{number}"))).collect();
            let mut scan = Scan::new(&needles);
            scan.structure(mail_format::scan(&message));
            scan.step(&file, &needles).unwrap(); // the header of the part
            scan.step(&file, &needles).unwrap()
        };
        assert!(cost(1) <= 2 * PIECE, "{}", cost(1));
        assert!(cost(80) > 8 * PIECE);
    }
}
