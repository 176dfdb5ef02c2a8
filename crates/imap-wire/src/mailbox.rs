//! A mailbox name as an argument (RFC 3501 §5.1).

use crate::cursor::{Cursor, Parsed};
use crate::utf7;
use crate::words;

/// What a client calls a mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mailbox {
    /// In UTF-8.
    Named(String),
    /// Bytes that are the modified UTF-7 of no name. Such a mailbox does not exist and cannot.
    Undecodable,
}

impl Mailbox {
    fn from_wire(wire: &[u8]) -> Mailbox {
        utf7::decode(wire).map_or(Mailbox::Undecodable, Mailbox::Named)
    }
}

/// `mailbox = "INBOX" / astring`
pub fn mailbox(cursor: &mut Cursor<'_>) -> Parsed<Mailbox> {
    let name = words::astring(cursor).or_else(|_| cursor.error("a mailbox name"))?;
    Ok(Mailbox::from_wire(&name))
}

/// `list-mailbox = 1*list-char / string`: a name with wildcards.
pub fn list_mailbox(cursor: &mut Cursor<'_>) -> Parsed<Mailbox> {
    let pattern = cursor.take_while(|byte| words::is_astring_char(byte) || matches!(byte, b'%' | b'*'));
    if pattern.is_empty() {
        return words::string(cursor).map(|name| Mailbox::from_wire(&name));
    }
    Ok(Mailbox::from_wire(pattern))
}
