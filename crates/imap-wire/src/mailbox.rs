//! A mailbox name as an argument (RFC 3501 §5.1, RFC 9051 §5.1).

use crate::cursor::{Cursor, Parsed};
use crate::utf7;
use crate::words;

/// What mailbox names are written in, both ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Naming {
    /// Until the client says otherwise (RFC 3501 §5.1.3).
    #[default]
    ModifiedUtf7,
    /// After ENABLE UTF8=ACCEPT or IMAP4rev2 (RFC 9755 §3, RFC 9051 §5.1); `&` has no meaning then.
    Utf8,
}

/// What a client calls a mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mailbox {
    /// In UTF-8.
    Named(String),
    /// Bytes that are the modified UTF-7 of no name, or no UTF-8. Such a mailbox does not exist and cannot.
    Undecodable,
}

impl Mailbox {
    fn from_wire(wire: &[u8], naming: Naming) -> Mailbox {
        let name = match naming {
            Naming::ModifiedUtf7 => utf7::decode(wire),
            // RFC 9755 §3: no line and paragraph separators. Control characters are the store's to refuse.
            Naming::Utf8 => std::str::from_utf8(wire)
                .ok()
                .filter(|name| !name.contains(['\u{2028}', '\u{2029}']))
                .map(str::to_owned),
        };
        name.map_or(Mailbox::Undecodable, Mailbox::Named)
    }
}

/// `mailbox = "INBOX" / astring`
pub fn mailbox(cursor: &mut Cursor<'_>) -> Parsed<Mailbox> {
    let name = words::astring(cursor).or_else(|_| cursor.error("a mailbox name"))?;
    Ok(Mailbox::from_wire(&name, cursor.naming))
}

/// `list-mailbox = 1*list-char / string`: a name with wildcards.
pub fn list_mailbox(cursor: &mut Cursor<'_>) -> Parsed<Mailbox> {
    let pattern = cursor.take_while(|byte| words::is_astring_char(byte) || matches!(byte, b'%' | b'*'));
    if pattern.is_empty() {
        return words::string(cursor).map(|name| Mailbox::from_wire(&name, cursor.naming));
    }
    Ok(Mailbox::from_wire(pattern, cursor.naming))
}

/// A name as it stands in a response.
pub fn written(name: &str, naming: Naming) -> Vec<u8> {
    match naming {
        Naming::ModifiedUtf7 => words::quote(utf7::encode(name).as_bytes()),
        Naming::Utf8 => words::quote_utf8(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], naming: Naming) -> Parsed<Mailbox> {
        let mut cursor = Cursor::of(bytes, naming);
        mailbox(&mut cursor).and_then(|name| cursor.end().map(|()| name))
    }

    #[test]
    fn a_name_has_one_form_in_each_naming() {
        let named = |name: &str| Ok(Mailbox::Named(name.to_owned()));
        assert_eq!(read(b"Entw&APw-rfe", Naming::ModifiedUtf7), named("Entwürfe"));
        assert_eq!(read(b"Entw&APw-rfe", Naming::Utf8), named("Entw&APw-rfe"));
        let quoted = "\"Entwürfe\"".as_bytes();
        assert_eq!(read(quoted, Naming::Utf8), named("Entwürfe"));
        assert_eq!(read(quoted, Naming::ModifiedUtf7), Ok(Mailbox::Undecodable));
        assert_eq!(read("{9}\r\nEntwürfe".as_bytes(), Naming::Utf8), named("Entwürfe"));
        assert_eq!(read(b"\"Entw\xfcrfe\"", Naming::Utf8), Ok(Mailbox::Undecodable));
        assert!(read("Entwürfe".as_bytes(), Naming::Utf8).is_err(), "an atom is ASCII");
        assert_eq!(written("Entwürfe & mehr", Naming::ModifiedUtf7), b"\"Entw&APw-rfe &- mehr\"");
        assert_eq!(written("Entwürfe & mehr", Naming::Utf8), "\"Entwürfe & mehr\"".as_bytes());
        assert_eq!(written("a\"b\\", Naming::Utf8), b"\"a\\\"b\\\\\"");
    }
}
