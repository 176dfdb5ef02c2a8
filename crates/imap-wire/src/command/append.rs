//! `append = "APPEND" SP mailbox 1*append-message`, `append-message = [SP flag-list] [SP date-time] SP append-data`
//! (RFC 3501 §6.3.11, RFC 3502 §6.3.11); `replace = "REPLACE" SP seq-number SP mailbox append-message`, and its UID form
//! (RFC 8508 §5). `append-data` is a literal, a literal8, or the parts of a message: `"CATENATE" SP "(" cat-part *(SP cat-part) ")"`,
//! `cat-part = "TEXT" SP literal / "URL" SP astring` (RFC 4469 §5). A message with a header in UTF-8 may come as
//! `"UTF8" SP "(" literal8 ")"` (RFC 6855 §4; RFC 9755 has it come as any other).
//!
//! The message itself is not looked at: what stands before it is read as soon as its literal is announced, so that a
//! refusal costs no transfer. A command is read in pieces, each from behind a text to the next one, or to the end.

use crate::cursor::{Cursor, Parsed, SyntaxError};
use crate::flags::{self, FlagList};
use crate::literal::Literal;
use crate::mailbox::{self, Mailbox, Naming};
use crate::sequence::{self, Bound};
use crate::{date, words};

/// The command up to its first text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Append {
    pub mailbox: Mailbox,
    pub piece: Piece,
    /// The message that goes, of a REPLACE.
    pub replaces: Option<Replaced>,
}

/// The message in whose place another comes (RFC 8508 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replaced {
    /// Whether `message` is a UID.
    pub uid: bool,
    /// A number or `*`.
    pub message: Bound,
}

/// What stands between two texts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    pub items: Vec<Item>,
    pub then: Then,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// Another message begins.
    Message(Message),
    /// What a URL names belongs to the message (RFC 4469 §3); as the client wrote it.
    Url(Vec<u8>),
}

/// What stands before each message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub flags: FlagList,
    /// Seconds since 1970, if the client named a date.
    pub date: Option<i64>,
}

/// What a piece ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    Text(Text),
    /// The command is whole.
    End,
}

/// A literal that belongs to a message is announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Text {
    pub literal: Literal,
    /// It stands in the parentheses of `UTF8 (...)`, so that one closes behind it.
    pub utf8: bool,
    /// It is a part among others (CATENATE).
    pub is_part: bool,
}

/// What the literal that is announced at the end of some bytes is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Announced<T> {
    /// An argument: it belongs to the command, which cannot be read on yet.
    Argument,
    /// A text; or there is none.
    Read(T),
}

/// Whether a command, of which there is the beginning, announces a message: APPEND, REPLACE, UID REPLACE.
pub fn is_meant(bytes: &[u8]) -> bool {
    let mut cursor = Cursor::new(bytes);
    words::tag(&mut cursor).and_then(|_| cursor.space()).and_then(|()| verb(&mut cursor)).is_ok()
}

/// Which of them; whether a REPLACE is by UID.
fn verb(cursor: &mut Cursor<'_>) -> Parsed<Option<bool>> {
    let start = cursor.clone();
    let mut word = words::atom(cursor)?;
    let uid = word.eq_ignore_ascii_case(b"UID");
    if uid {
        cursor.space()?;
        word = words::atom(cursor)?;
    }
    if word.eq_ignore_ascii_case(b"REPLACE") {
        return Ok(Some(uid));
    }
    if word.eq_ignore_ascii_case(b"APPEND") && !uid { Ok(None) } else { start.error("APPEND or REPLACE") }
}

/// `SP seq-number`, or `SP uniqueid` (RFC 8508 §5)
fn replaced(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Replaced> {
    cursor.space()?;
    let start = cursor.clone();
    match sequence::sequence_set(cursor)?.0[..] {
        [(message, other)]
            if message == other && message != Bound::Saved && !(uid && message == Bound::Last) =>
        {
            Ok(Replaced { uid, message })
        }
        _ => start.error("the number of one message"),
    }
}

/// Reads an APPEND or REPLACE up to the literal announced at the end of `bytes`, which begin with the tag, or to its end.
///
/// # Errors
/// The grammar is not followed.
pub fn parse(bytes: &[u8], naming: Naming) -> Result<Announced<Append>, SyntaxError> {
    let mut cursor = Cursor::of(bytes, naming);
    words::tag(&mut cursor)?;
    cursor.space()?;
    let replaces = match verb(&mut cursor)? {
        Some(uid) => Some(replaced(&mut cursor, uid)?),
        None => None,
    };
    let announced = Announcement::at_end(bytes);
    cursor.space()?;
    if announced.is_argument(&cursor) {
        return Ok(Announced::Argument);
    }
    let mailbox = mailbox::mailbox(&mut cursor)?;
    let mut items = Vec::new();
    let first = match message(&mut cursor, &announced, &mut items)? {
        Some(None) => rest(&mut cursor, &announced, &mut items)?,
        Some(text) => text.map(Then::Text),
        None => return Ok(Announced::Argument),
    };
    Ok(match first {
        Some(then) => Announced::Read(Append { mailbox, piece: Piece { items, then }, replaces }),
        None => Announced::Argument,
    })
}

/// Reads what stands behind a text up to the next one of the same command, or to its end (RFC 3502, RFC 4469 §5).
///
/// # Errors
/// As [`parse`].
pub fn next(bytes: &[u8], behind: Text) -> Result<Announced<Piece>, SyntaxError> {
    let mut cursor = Cursor::new(bytes);
    let announced = Announcement::at_end(bytes);
    let mut items = Vec::new();
    if behind.utf8 {
        cursor.expect(b')', "a parenthesis that closes behind the message")?;
    }
    let text = if behind.is_part { parts(&mut cursor, &announced, &mut items)? } else { Some(None) };
    let then = match text {
        Some(None) => rest(&mut cursor, &announced, &mut items)?,
        Some(text) => text.map(Then::Text),
        None => None,
    };
    Ok(then.map_or(Announced::Argument, |then| Announced::Read(Piece { items, then })))
}

/// The literal that is announced at the end of what there is.
struct Announcement(Option<(usize, Literal)>);

impl Announcement {
    fn at_end(bytes: &[u8]) -> Announcement {
        Announcement(Literal::split(bytes).map(|(before, literal)| (before.len(), literal)))
    }

    /// The literal, if it is next.
    fn next(&self, cursor: &Cursor<'_>) -> Option<Literal> {
        self.0.filter(|(place, _)| *place == cursor.offset).map(|(_, literal)| literal)
    }

    /// Whether an argument is next that was not sent yet.
    fn is_argument(&self, cursor: &Cursor<'_>) -> bool {
        self.next(cursor).is_some_and(|literal| !literal.binary)
    }
}

/// What was read: `None` when it ends with an argument that was not sent yet, `Some(None)` when it ends without a text.
type UpToText = Option<Option<Text>>;

/// Messages until a text is announced or the command ends.
fn rest(cursor: &mut Cursor<'_>, announced: &Announcement, items: &mut Vec<Item>) -> Parsed<Option<Then>> {
    while !cursor.is_at_end() {
        match message(cursor, announced, items)? {
            Some(None) => {}
            Some(text) => return Ok(text.map(Then::Text)),
            None => return Ok(None),
        }
    }
    Ok(Some(Then::End))
}

/// `[SP flag-list] [SP date-time] SP append-data`, up to the first text.
fn message(cursor: &mut Cursor<'_>, announced: &Announcement, items: &mut Vec<Item>) -> Parsed<UpToText> {
    let (flags, date) = flags_and_date(cursor)?;
    items.push(Item::Message(Message { flags, date }));
    if cursor.keyword(b"CATENATE") {
        cursor.space()?;
        cursor.expect(b'(', "the parts of a message in parentheses")?;
        return match part(cursor, announced, items)? {
            Some(None) => parts(cursor, announced, items),
            other => Ok(other),
        };
    }
    match text(cursor, announced, false)? {
        Some(text) => Ok(Some(Some(text))),
        None => cursor.error("a literal with the message, or CATENATE"),
    }
}

/// `*(SP cat-part) ")"`, up to the first text.
fn parts(cursor: &mut Cursor<'_>, announced: &Announcement, items: &mut Vec<Item>) -> Parsed<UpToText> {
    while !cursor.take(b')') {
        cursor.space()?;
        match part(cursor, announced, items)? {
            Some(None) => {}
            other => return Ok(other),
        }
    }
    Ok(Some(None))
}

/// `cat-part`
fn part(cursor: &mut Cursor<'_>, announced: &Announcement, items: &mut Vec<Item>) -> Parsed<UpToText> {
    if cursor.keyword(b"URL") {
        cursor.space()?;
        if announced.is_argument(cursor) {
            return Ok(None);
        }
        items.push(Item::Url(words::astring(cursor)?));
        return Ok(Some(None));
    }
    let start = cursor.clone();
    let text = if cursor.keyword(b"TEXT") {
        cursor.space()?;
        announced.next(cursor).map(|literal| Text { literal, utf8: false, is_part: true })
    } else {
        text(cursor, announced, true)?.filter(|text| text.utf8) // RFC 6855 §4
    };
    match text {
        Some(text) => Ok(Some(Some(text))),
        None => start.error("TEXT with a literal, or URL"),
    }
}

/// `[SP flag-list] [SP date-time] SP`
fn flags_and_date(cursor: &mut Cursor<'_>) -> Parsed<(FlagList, Option<i64>)> {
    cursor.space()?;
    let flags = match cursor.peek() {
        Some(b'(') => {
            let flags = flags::flag_list(cursor)?;
            cursor.space()?;
            flags
        }
        _ => FlagList::default(),
    };
    let date = match cursor.peek() {
        Some(b'"') => {
            let date = date::date_time(cursor)?;
            cursor.space()?;
            Some(date)
        }
        _ => None,
    };
    Ok((flags, date))
}

/// `literal`, `literal8` or `"UTF8" SP "(" literal8`, if that is what is announced.
fn text(cursor: &mut Cursor<'_>, announced: &Announcement, is_part: bool) -> Parsed<Option<Text>> {
    let utf8 = announced.0.is_some_and(|(_, literal)| literal.binary) && cursor.keyword(b"UTF8");
    if utf8 {
        cursor.space()?;
        cursor.expect(b'(', "a literal8 in parentheses")?;
    }
    Ok(announced.next(cursor).map(|literal| Text { literal, utf8, is_part }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<Append> {
        match parse(bytes, Naming::ModifiedUtf7) {
            Ok(Announced::Read(append)) => Some(append),
            _ => None,
        }
    }

    /// The first message, and the text that is announced.
    fn message(bytes: &[u8]) -> Option<(Message, Text)> {
        only(read(bytes)?.piece)
    }

    fn only(piece: Piece) -> Option<(Message, Text)> {
        match (&piece.items[..], piece.then) {
            ([Item::Message(message)], Then::Text(text)) => Some((message.clone(), text)),
            _ => None,
        }
    }

    fn literal(size: u32, binary: bool) -> Literal {
        Literal { size: Some(size), waits: false, binary }
    }

    const PART: Text =
        Text { literal: Literal { size: Some(1), waits: true, binary: false }, utf8: false, is_part: true };
    const WHOLE: Text = Text { is_part: false, ..PART };

    #[test]
    fn the_message_is_told_from_the_mailbox() {
        assert_eq!(parse(b"a APPEND {5}", Naming::Utf8), Ok(Announced::Argument));
        let append = read(b"a APPEND {5}\r\nINBOX {310+}").unwrap();
        assert_eq!(append.mailbox, Mailbox::Named("INBOX".into()));
        assert_eq!(only(append.piece).unwrap().1.literal, literal(310, false));
    }

    #[test]
    fn flags_and_date_are_read() {
        let (message, _) = message(b"a APPEND x (\\Seen $f) \" 1-Jan-1970 00:00:01 +0000\" {1}").unwrap();
        let Message { flags, date } = message;
        assert_eq!((flags.system.len(), flags.keywords.len(), date), (1, 1, Some(1)));
        assert!(self::message(b"a APPEND x ~{1}").unwrap().1.literal.binary);
    }

    #[test]
    fn a_message_in_utf8_is_told_from_the_others() {
        let (first, text) = message(b"a APPEND x (\\Seen) UTF8 (~{5+}").unwrap();
        assert!(text.utf8 && text.literal.binary && first.flags.system.len() == 1);
        let Ok(Announced::Read(piece)) = next(b") utf8 (~{7}", text) else { panic!() };
        assert!(only(piece).unwrap().1.utf8);
        assert_eq!(next(b")", text), Ok(Announced::Read(Piece { items: vec![], then: Then::End })));
        for bad in [&b""[..], b" ", b" {5}", b"))"] {
            assert!(next(bad, text).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
        assert_eq!(read(b"a APPEND UTF8 {5}").unwrap().mailbox, Mailbox::Named("UTF8".into()));
        let named = |bytes: &[u8]| match parse(bytes, Naming::Utf8) {
            Ok(Announced::Read(append)) => append.mailbox,
            other => panic!("{other:?}"),
        };
        assert_eq!(named("a APPEND \"ü\" {5}".as_bytes()), Mailbox::Named("ü".into()));
        for bad in [
            &b"a APPEND x UTF8 ({5}"[..],
            b"a APPEND x UTF8(~{5}",
            b"a APPEND x UTF8  (~{5}",
            b"a APPEND x UTF8 ~{5}",
            b"a APPEND x (~{5}",
            b"a APPEND x UTF8 (UTF8 (~{5}",
        ] {
            assert!(read(bad).is_none(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn another_message_follows_without_a_mailbox() {
        let another = |bytes: &[u8]| match next(bytes, WHOLE) {
            Ok(Announced::Read(piece)) => only(piece),
            _ => None,
        };
        assert_eq!(another(b" {5+}").unwrap().1.literal.size, Some(5));
        let (message, text) = another(b" (\\Seen) \" 1-Jan-1970 00:00:01 +0000\" {7}").unwrap();
        assert_eq!((message.flags.system.len(), message.date, text.literal.size), (1, Some(1), Some(7)));
        for bad in [&b"{5}"[..], b" x {5}", b" (\\Seen {5}", b" ()", b" () () {5}", b"  {5}", b" {-1}"] {
            assert!(another(bad).is_none(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn the_parts_of_a_message_are_told_apart() {
        let url = |text: &str| Item::Url(text.into());
        let plain = || Item::Message(Message { flags: FlagList::default(), date: None });
        let items = |bytes: &[u8]| read(bytes).map(|append| (append.piece.items, append.piece.then));
        let two = vec![plain(), url("/a/;UID=1"), url("/b/;UID=2")];
        assert_eq!(
            items(b"a APPEND x CATENATE (URL /a/;UID=1 url \"/b/;UID=2\")"),
            Some((two.clone(), Then::End))
        );
        let text = Some((two[..2].to_vec(), Then::Text(PART)));
        assert_eq!(items(b"a APPEND x CATENATE (URL /a/;UID=1 TEXT {1}"), text);
        assert_eq!(items(b"a APPEND x CATENATE (URL {9}\r\n/a/;UID=1 TEXT {1}"), text);
        assert_eq!(items(b"a APPEND x catenate (text {1}"), Some((vec![plain()], Then::Text(PART))));
        assert!(
            items(b"a APPEND x CATENATE (UTF8 (~{1}")
                .is_some_and(|(_, then)| matches!(then, Then::Text(text) if text.utf8))
        );
        for argument in [&b"a APPEND x CATENATE (URL {9}"[..], b"a APPEND x CATENATE (URL /a URL {9}"] {
            assert_eq!(parse(argument, Naming::Utf8), Ok(Announced::Argument));
        }
        // Behind a part; other messages behind the last one.
        let then = |bytes: &[u8]| match next(bytes, PART) {
            Ok(Announced::Read(piece)) => Some((piece.items, piece.then)),
            _ => None,
        };
        assert_eq!(then(b")"), Some((vec![], Then::End)));
        assert_eq!(then(b" TEXT {1}"), Some((vec![], Then::Text(PART))));
        assert_eq!(then(b" URL /a/;UID=1)"), Some((vec![url("/a/;UID=1")], Then::End)));
        assert_eq!(then(b") {1}"), Some((vec![plain()], Then::Text(WHOLE))));
        let more = vec![url("/a/;UID=1"), plain(), url("/b/;UID=2"), plain()];
        assert_eq!(
            then(b" URL /a/;UID=1) CATENATE (URL /b/;UID=2) CATENATE (TEXT {1}"),
            Some((more, Then::Text(PART)))
        );
        assert_eq!(next(b" URL {9}", PART), Ok(Announced::Argument));
        assert_eq!(next(b") CATENATE (URL {9}", PART), Ok(Announced::Argument));
        for bad in [
            &b""[..],
            b" ",
            b"{1}",
            b" {1}",
            b" TEXT \"x\"",
            b" URL",
            b" URL /a",
            b" URL ~{1}",
            b") ",
            b"))",
            b" TEXT UTF8 (~{1}",
            b" UTF8 ~{1}",
            b" UTF8 ({1}",
            b" CATENATE (TEXT {1}",
            b") CATENATE ()",
            b") CATENATE TEXT {1}",
        ] {
            assert!(next(bad, PART).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_replace_names_one_message() {
        let of = |line: &[u8]| read(line).unwrap().replaces;
        let number = |uid, number| Some(Replaced { uid, message: Bound::Number(number) });
        assert_eq!(of(b"a REPLACE 4 Drafts (\\Seen) {3}"), number(false, 4));
        assert_eq!(of(b"a uid replace 7 {1}\r\nx {3+}"), number(true, 7));
        assert_eq!(of(b"a REPLACE * x ~{3}"), Some(Replaced { uid: false, message: Bound::Last }));
        assert_eq!(parse(b"a UID REPLACE 7 {1}", Naming::Utf8), Ok(Announced::Argument));
        assert_eq!(of(b"a APPEND x {3}"), None);
        for bad in [
            &b"a REPLACE {3}"[..],
            b"a REPLACE x {3}",
            b"a REPLACE 1 {3",
            b"a REPLACE 0 x {3}",
            b"a REPLACE 1:2 x {3}",
            b"a REPLACE 1,2 x {3}",
            b"a REPLACE $ x {3}",
            b"a UID REPLACE * x {3}",
            b"a UID APPEND x {3}",
            b"a UID  REPLACE 1 x {3}",
            b"a REPLACE 1 x",
        ] {
            assert!(read(bad).is_none(), "{:?}", String::from_utf8_lossy(bad));
        }
        for (line, meant) in [
            (&b"a append"[..], true),
            (b"a uid REPLACE ", true),
            (b"a replace 1", true),
            (b"a UID FETCH", false),
            (b"a UID", false),
            (b"a REPLACED", false),
            (b"", false),
        ] {
            assert_eq!(is_meant(line), meant, "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn broken_ones_are_refused() {
        for bad in [
            &b"a APPEND INBOX"[..],
            b"a APPEND INBOX \"message\"",
            b"a APPEND INBOX (\\Recent) {1}",
            b"a APPEND INBOX \"1-Foo-1970 00:00:01 +0000\" {1}",
            b"a APPEND INBOX x {1}",
            b"a APPEND INBOX {-1}",
        ] {
            assert!(parse(bad, Naming::ModifiedUtf7).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
