//! `append = "APPEND" SP mailbox 1*append-message`, `append-message = [SP flag-list] [SP date-time] SP literal`
//! (RFC 3501 §6.3.11, RFC 3502 §6.3.11); `replace = "REPLACE" SP seq-number SP mailbox append-message`, and its UID form
//! (RFC 8508 §5). A message with a header in UTF-8 may come as `"UTF8" SP "(" literal8 ")"` (RFC 6855 §4; RFC 9755 has it come as
//! any other).
//!
//! The message itself is not looked at: what stands before it is read as soon as its literal is announced, so that a
//! refusal costs no transfer.

use crate::cursor::{Cursor, Parsed, SyntaxError};
use crate::flags::{self, FlagList};
use crate::literal::Literal;
use crate::mailbox::{self, Mailbox, Naming};
use crate::sequence::{self, Bound};
use crate::{date, words};

/// What stands before the first message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Append {
    pub mailbox: Mailbox,
    pub message: Message,
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

/// What stands before each message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub flags: FlagList,
    /// Seconds since 1970, if the client named a date.
    pub date: Option<i64>,
    /// The message that is announced.
    pub literal: Literal,
    /// It stands in the parentheses of `UTF8 (...)`.
    pub utf8: bool,
}

/// Which literal is announced at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AppendHead {
    /// An argument: it belongs to the command.
    Argument,
    /// The message.
    Message(Append),
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

/// Reads an APPEND or REPLACE up to the literal announced at the end of `bytes`, which begin with the tag.
///
/// # Errors
/// The grammar is not followed, or no literal is announced.
pub fn parse(bytes: &[u8], naming: Naming) -> Result<AppendHead, SyntaxError> {
    let mut cursor = Cursor::of(bytes, naming);
    words::tag(&mut cursor)?;
    cursor.space()?;
    let replaces = match verb(&mut cursor)? {
        Some(uid) => Some(replaced(&mut cursor, uid)?),
        None => None,
    };
    let Some((before, literal)) = Literal::split(bytes) else {
        cursor.skip(bytes.len());
        return cursor.error("a literal with the message");
    };
    cursor.space()?;
    if cursor.offset == before.len() && !literal.binary {
        return Ok(AppendHead::Argument);
    }
    let mailbox = mailbox::mailbox(&mut cursor)?;
    let (flags, date) = flags_and_date(&mut cursor)?;
    let utf8 = at_literal(&mut cursor, before.len(), literal)?;
    Ok(AppendHead::Message(Append { mailbox, message: Message { flags, date, literal, utf8 }, replaces }))
}

/// Reads what stands before another message of the same APPEND (RFC 3502), up to its literal.
///
/// # Errors
/// As [`parse`].
pub fn next(line: &[u8]) -> Result<Message, SyntaxError> {
    let mut cursor = Cursor::new(line);
    let Some((before, literal)) = Literal::split(line) else {
        return cursor.error("the end of the command or another message");
    };
    let (flags, date) = flags_and_date(&mut cursor)?;
    let utf8 = at_literal(&mut cursor, before.len(), literal)?;
    Ok(Message { flags, date, literal, utf8 })
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

/// `literal`, `literal8` or `"UTF8" SP "(" literal8`; whether it is the last.
fn at_literal(cursor: &mut Cursor<'_>, place: usize, literal: Literal) -> Parsed<bool> {
    let utf8 = literal.binary && cursor.keyword(b"UTF8");
    if utf8 {
        cursor.space()?;
        cursor.expect(b'(', "a literal8 in parentheses")?;
    }
    if cursor.offset == place { Ok(utf8) } else { cursor.error("a literal with the message") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> Option<Append> {
        match parse(bytes, Naming::ModifiedUtf7) {
            Ok(AppendHead::Message(append)) => Some(append),
            _ => None,
        }
    }

    #[test]
    fn the_message_is_told_from_the_mailbox() {
        assert_eq!(parse(b"a APPEND {5}", Naming::Utf8), Ok(AppendHead::Argument));
        let append = message(b"a APPEND {5}\r\nINBOX {310+}").unwrap();
        assert_eq!(append.mailbox, Mailbox::Named("INBOX".into()));
        assert_eq!(append.message.literal, Literal { size: Some(310), waits: false, binary: false });
    }

    #[test]
    fn flags_and_date_are_read() {
        let append = message(b"a APPEND x (\\Seen $f) \" 1-Jan-1970 00:00:01 +0000\" {1}").unwrap();
        let Message { flags, date, .. } = append.message;
        assert_eq!((flags.system.len(), flags.keywords.len(), date), (1, 1, Some(1)));
        assert!(message(b"a APPEND x ~{1}").unwrap().message.literal.binary);
    }

    #[test]
    fn a_message_in_utf8_is_told_from_the_others() {
        let utf8 = message(b"a APPEND x (\\Seen) UTF8 (~{5+}").unwrap().message;
        assert!(utf8.utf8 && utf8.literal.binary && utf8.flags.system.len() == 1);
        assert!(next(b" utf8 (~{7}").unwrap().utf8);
        assert_eq!(message(b"a APPEND UTF8 {5}").unwrap().mailbox, Mailbox::Named("UTF8".into()));
        let named = |bytes: &[u8]| match parse(bytes, Naming::Utf8) {
            Ok(AppendHead::Message(append)) => append.mailbox,
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
            assert!(message(bad).is_none(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn another_message_follows_without_a_mailbox() {
        assert_eq!(next(b" {5+}").unwrap().literal.size, Some(5));
        let message = next(b" (\\Seen) \" 1-Jan-1970 00:00:01 +0000\" {7}").unwrap();
        assert_eq!((message.flags.system.len(), message.date, message.literal.size), (1, Some(1), Some(7)));
        for bad in [&b"{5}"[..], b" x {5}", b" (\\Seen {5}", b" ()", b" () () {5}", b"  {5}", b" {-1}"] {
            assert!(next(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_replace_names_one_message() {
        let of = |line: &[u8]| message(line).unwrap().replaces;
        let number = |uid, number| Some(Replaced { uid, message: Bound::Number(number) });
        assert_eq!(of(b"a REPLACE 4 Drafts (\\Seen) {3}"), number(false, 4));
        assert_eq!(of(b"a uid replace 7 {1}\r\nx {3+}"), number(true, 7));
        assert_eq!(of(b"a REPLACE * x ~{3}"), Some(Replaced { uid: false, message: Bound::Last }));
        assert_eq!(parse(b"a UID REPLACE 7 {1}", Naming::Utf8), Ok(AppendHead::Argument));
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
            assert!(message(bad).is_none(), "{:?}", String::from_utf8_lossy(bad));
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
