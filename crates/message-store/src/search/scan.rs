//! What a search asks of the content of one message, found out in one pass for all of its texts (RFC 3501 §6.4.4).
//!
//! The texts are those of [`mail_format::searchable`], each read and decoded once however many texts are looked for. A scan
//! goes step by step and can be left in between: it holds a worker no longer than others do.

use std::io;
use std::os::unix::fs::FileExt;

use mail_format::Structure;
use mail_format::searchable::{Stage, Text, Walk};

use crate::{Like, MessageFile, TextWords};

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

/// A text, folded, and where it is looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Needle {
    pub within: Within,
    pub text: String,
    /// It is a word that may be in another form.
    pub like: Option<Like>,
}

impl Needle {
    fn is_in_content(&self) -> bool {
        !matches!(self.within, Within::Field(_))
    }
}

/// What is known of one message.
pub struct Scan {
    facts: Facts,
    walk: Walk,
    /// How close words are matters, not only that they are close.
    pub wants_closest: bool,
}

/// What was found so far.
#[derive(Default)]
struct Facts {
    /// By needle.
    known: Vec<Option<bool>>,
    /// By needle: how close the closest word is that was met, for one that may be in another form.
    closest: Vec<u8>,
    /// The end of what was looked at already of a body, as long as a needle.
    tail: String,
    /// Cuts bodies into words.
    words: TextWords,
}

impl Scan {
    pub fn new(needles: &[Needle]) -> Scan {
        let mut scan = Scan { facts: Facts::default(), walk: Walk::new(true), wants_closest: false };
        scan.begin(needles);
        scan
    }

    /// Of another message; nothing is known of it.
    pub fn begin(&mut self, needles: &[Needle]) {
        let empty = |needle: &Needle| needle.is_in_content() && needle.text.is_empty();
        let facts = &mut self.facts;
        facts.known.clear();
        facts.known.extend(needles.iter().map(|needle| empty(needle).then_some(true)));
        facts.closest.clear();
        facts.closest.resize(needles.len(), 0);
        facts.words = TextWords::default();
        self.walk = Walk::new(needles.iter().any(|needle| needle.within != Within::Body));
    }

    /// Whether a needle is in the message, if that is known.
    pub fn fact(&self, needle: usize) -> Option<bool> {
        self.facts.known.get(needle).copied().flatten()
    }

    /// How close the closest word is to one that may be in another form, once that is known.
    pub fn closest(&self, needle: usize) -> u8 {
        self.facts.closest.get(needle).copied().unwrap_or(0)
    }

    /// Whether [`Scan::closest`] is known of all of them.
    pub fn is_closest_known(&self, needles: &[Needle]) -> bool {
        needles.iter().zip(&self.facts.known).all(|(needle, known)| needle.like.is_none() || known.is_some())
    }

    /// Somebody else knows how close the closest word is.
    pub fn learn_closest(&mut self, needle: usize, closest: u8) {
        if let Some(known) = self.facts.known.get_mut(needle).filter(|known| known.is_none()) {
            *known = Some(closest > 0);
            self.facts.closest[needle] = closest;
        }
    }

    /// Somebody else knows.
    pub fn learn(&mut self, needle: usize, fact: bool) {
        if let Some(known) = self.facts.known.get_mut(needle) {
            known.get_or_insert(fact);
        }
    }

    pub fn stage(&self) -> &Stage {
        self.walk.stage()
    }

    /// Nothing more is to be found.
    pub fn give_up(&mut self) {
        let facts = &mut self.facts;
        for (fact, closest) in facts.known.iter_mut().zip(&facts.closest) {
            *fact = Some(fact.unwrap_or(*closest > 0));
        }
        self.walk.stop();
    }

    /// The header of the message is this.
    pub fn header(&mut self, header: &[u8], needles: &[Needle]) {
        let (facts, closest) = (&mut self.facts, self.wants_closest);
        self.walk.header(header, &mut |text| facts.take(needles, text, closest));
        for ((fact, closest), needle) in facts.known.iter_mut().zip(&facts.closest).zip(needles) {
            if !needle.is_in_content() {
                *fact = Some(fact.unwrap_or(*closest > 0));
            }
        }
    }

    /// The parts of the message are these.
    pub fn structure(&mut self, structure: Structure) {
        self.walk.structure(structure);
    }

    /// Looks at the next piece; what that cost, in bytes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn step(&mut self, message: &MessageFile, needles: &[Needle]) -> io::Result<u64> {
        let (facts, closest) = (&mut self.facts, self.wants_closest);
        let read = self
            .walk
            .step(&|start, end| bytes(message, start, end), &mut |text| facts.take(needles, text, closest))?;
        if self.walk.is_over() {
            self.facts.end_body(needles, self.wants_closest);
            self.give_up();
        }
        let open = self.facts.known.iter().filter(|fact| fact.is_none()).count() as u64;
        Ok(STEP_COST.saturating_add(read).saturating_add(read.saturating_mul(open) / TEXTS_PER_READ))
    }
}

impl Facts {
    /// Looks for needles in a text; whether any is not found yet.
    fn take(&mut self, needles: &[Needle], text: Text<'_>, wants_closest: bool) -> bool {
        let is_of = |needle: &Needle, name: &str| match &needle.within {
            Within::Field(field) => field.eq_ignore_ascii_case(name),
            _ => false,
        };
        match text {
            Text::Header { name, value } => {
                let field = format!("{name}: {value}");
                self.whole(value, needles, wants_closest, |needle| is_of(needle, name));
                self.whole(&field, needles, wants_closest, |needle| needle.within == Within::Message);
            }
            Text::Addresses { name, value } => {
                let matters = |needle: &Needle| is_of(needle, name) || needle.within == Within::Message;
                self.whole(value, needles, wants_closest, matters);
            }
            Text::PartHeader { name, value } => {
                let field = format!("{name}: {value}");
                self.whole(&field, needles, wants_closest, |needle| needle.within == Within::Message);
            }
            Text::InnerHeader { name, value } => {
                self.end_body(needles, wants_closest);
                self.whole(&format!("{name}: {value}"), needles, wants_closest, Needle::is_in_content);
            }
            Text::Body { piece, is_first } => {
                if is_first {
                    self.end_body(needles, wants_closest);
                    self.tail.clear();
                }
                self.words_of(piece, needles, wants_closest, false, Needle::is_in_content);
                self.body(piece, needles);
            }
        }
        self.known.iter().any(Option::is_none)
    }

    /// The words of the last body are all told.
    fn end_body(&mut self, needles: &[Needle], wants_closest: bool) {
        self.words_of("", needles, wants_closest, true, Needle::is_in_content);
    }

    /// Looks in a text that is no piece of one.
    fn whole(
        &mut self,
        text: &str,
        needles: &[Needle],
        wants_closest: bool,
        matters: impl Fn(&Needle) -> bool,
    ) {
        self.look(text, needles, &matters);
        self.words_of(text, needles, wants_closest, true, matters);
    }

    /// Pieces overlap by the length of the longest needle.
    fn body(&mut self, piece: &str, needles: &[Needle]) {
        let mut tail = std::mem::take(&mut self.tail);
        tail.push_str(piece);
        self.look(&tail, needles, &Needle::is_in_content);
        let longest = needles.iter().map(|needle| needle.text.len()).max().unwrap_or(0);
        let from = (tail.len().saturating_sub(longest)..=tail.len())
            .find(|from| tail.is_char_boundary(*from))
            .unwrap_or(tail.len());
        tail.drain(..from);
        self.tail = tail;
    }

    /// Looks for the needles that are not found yet and that matter here.
    fn look(&mut self, text: &str, needles: &[Needle], matters: &impl Fn(&Needle) -> bool) {
        for (fact, needle) in self.known.iter_mut().zip(needles) {
            let is_open = fact.is_none() && needle.like.is_none();
            if is_open && matters(needle) && text.contains(&needle.text) {
                *fact = Some(true);
            }
        }
    }

    /// The same for words that may be in another form: the best one counts, the first one when that is enough.
    fn words_of(
        &mut self,
        text: &str,
        needles: &[Needle],
        wants_closest: bool,
        is_end: bool,
        matters: impl Fn(&Needle) -> bool,
    ) {
        let is_asked = |needle: &Needle| needle.like.is_some() && matters(needle);
        if !needles.iter().any(is_asked) {
            return;
        }
        let (known, closest) = (&mut self.known, &mut self.closest);
        let mut take = |word: &str| {
            for ((fact, closest), needle) in known.iter_mut().zip(closest.iter_mut()).zip(needles) {
                let Some(like) = needle.like.as_ref().filter(|_| fact.is_none() && matters(needle)) else {
                    continue;
                };
                *closest = (*closest).max(like.closeness(word));
                if *closest == 100 || (*closest > 0 && !wants_closest) {
                    *fact = Some(true);
                }
            }
        };
        self.words.push(text, &mut take);
        if is_end {
            self.words.end(&mut take);
        }
    }
}

fn bytes(message: &MessageFile, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let end = end.min(message.size);
    let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
    message.file.read_exact_at(&mut bytes, start.min(end))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::sync::Arc;

    use mail_format::searchable::PIECE;

    use super::*;

    fn file_of(message: &[u8]) -> MessageFile {
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(message).unwrap();
        MessageFile { file: Arc::new(file), size: message.len() as u64 }
    }

    fn needle(within: Within, text: &str) -> Needle {
        Needle { within, text: mail_format::fold(text), like: None }
    }

    /// All facts about a message, and the number of steps.
    fn scan(message: &[u8], needles: &[Needle]) -> (Vec<bool>, usize) {
        let (file, mut scan, mut steps) = (file_of(message), Scan::new(needles), 0);
        while scan.facts.known.iter().any(Option::is_none) {
            match scan.stage() {
                Stage::Header => {
                    scan.header(&message[..mail_format::header::header_length(message)], needles)
                }
                Stage::Structure => scan.structure(mail_format::scan(message)),
                _ => drop(scan.step(&file, needles).unwrap()),
            }
            steps += 1;
        }
        (scan.facts.known.into_iter().flatten().collect(), steps)
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
        assert!(!body_has(mixed, "image/png"), "a field of a part");
        let field = |within| scan(mixed, &[needle(within, "content-type: image/png")]).0[0];
        assert!(field(Within::Message) && !field(Within::Field("Content-Type".into())));
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
