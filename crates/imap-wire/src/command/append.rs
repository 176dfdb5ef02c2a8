//! `append = "APPEND" SP mailbox 1*append-message`, `append-message = [SP flag-list] [SP date-time] SP literal`
//! (RFC 3501 §6.3.11, RFC 3502 §6.3.11).
//!
//! The message itself is not looked at: what stands before it is read as soon as its literal is announced, so that a
//! refusal costs no transfer.

use crate::cursor::{Cursor, Parsed, SyntaxError};
use crate::flags::{self, FlagList};
use crate::literal::Literal;
use crate::mailbox::{self, Mailbox};
use crate::{date, words};

/// What stands before the first message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Append {
    pub mailbox: Mailbox,
    pub message: Message,
}

/// What stands before each message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub flags: FlagList,
    /// Seconds since 1970, if the client named a date.
    pub date: Option<i64>,
    /// The message that is announced.
    pub literal: Literal,
}

/// Which literal is announced at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AppendHead {
    /// An argument: it belongs to the command.
    Argument,
    /// The message.
    Message(Append),
}

/// Reads an APPEND up to the literal announced at the end of `bytes`, which begin with the tag.
///
/// # Errors
/// The grammar is not followed, or no literal is announced.
pub fn parse(bytes: &[u8]) -> Result<AppendHead, SyntaxError> {
    let mut cursor = Cursor::new(bytes);
    words::tag(&mut cursor)?;
    cursor.space()?;
    words::atom(&mut cursor)?;
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
    at_literal(&cursor, before.len())?;
    Ok(AppendHead::Message(Append { mailbox, message: Message { flags, date, literal } }))
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
    at_literal(&cursor, before.len())?;
    Ok(Message { flags, date, literal })
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

fn at_literal(cursor: &Cursor<'_>, place: usize) -> Parsed<()> {
    if cursor.offset == place { Ok(()) } else { cursor.error("a literal with the message") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> Option<Append> {
        match parse(bytes) {
            Ok(AppendHead::Message(append)) => Some(append),
            _ => None,
        }
    }

    #[test]
    fn the_message_is_told_from_the_mailbox() {
        assert_eq!(parse(b"a APPEND {5}"), Ok(AppendHead::Argument));
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
    fn another_message_follows_without_a_mailbox() {
        assert_eq!(next(b" {5+}").unwrap().literal.size, Some(5));
        let message = next(b" (\\Seen) \" 1-Jan-1970 00:00:01 +0000\" {7}").unwrap();
        assert_eq!((message.flags.system.len(), message.date, message.literal.size), (1, Some(1), Some(7)));
        for bad in [&b"{5}"[..], b" x {5}", b" (\\Seen {5}", b" ()", b" () () {5}", b"  {5}", b" {-1}"] {
            assert!(next(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
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
            assert!(parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
