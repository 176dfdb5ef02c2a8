//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3, §7).

use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};
use crate::words;

/// What becomes of the rights that an identifier has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Modification {
    Replace,
    /// `+`
    Add,
    /// `-`
    Remove,
}

/// `SETACL Work joe +lrs`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAcl {
    pub of: OfIdentifier,
    pub how: Modification,
    /// Letters as they were written.
    pub rights: Vec<u8>,
}

/// A mailbox and somebody: DELETEACL, LISTRIGHTS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfIdentifier {
    pub mailbox: Mailbox,
    /// In UTF-8, with its `-` when it is negative.
    pub identifier: String,
}

/// `SP mailbox SP identifier`
pub(super) fn of_identifier(cursor: &mut Cursor<'_>) -> Parsed<OfIdentifier> {
    cursor.space()?;
    let mailbox = mailbox::mailbox(cursor)?;
    cursor.space()?;
    let start = cursor.clone();
    let identifier = words::astring(cursor).or_else(|_| start.error("an identifier"))?;
    let identifier = String::from_utf8(identifier).or_else(|_| start.error("an identifier in UTF-8"))?;
    Ok(OfIdentifier { mailbox, identifier })
}

/// `SP mailbox SP identifier SP mod-rights`
pub(super) fn set(cursor: &mut Cursor<'_>) -> Parsed<SetAcl> {
    let of = of_identifier(cursor)?;
    cursor.space()?;
    let written = words::astring(cursor).or_else(|_| cursor.error("rights"))?;
    let (how, rights) = match written.split_first() {
        Some((b'+', rights)) => (Modification::Add, rights),
        Some((b'-', rights)) => (Modification::Remove, rights),
        _ => (Modification::Replace, written.as_slice()),
    };
    Ok(SetAcl { of, how, rights: rights.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_argument_says_what_becomes_of_the_rights() {
        let read = |text: &[u8]| set(&mut Cursor::new(text)).unwrap();
        let plain = read(b" INBOX joe lrs");
        assert_eq!((plain.how, plain.rights.as_slice()), (Modification::Replace, &b"lrs"[..]));
        assert_eq!(plain.of.identifier, "joe");
        assert_eq!(read(b" INBOX -joe +w").how, Modification::Add);
        let removed = read(b" \"a b\" {3}\r\nj\xc3\xa9 \"-\"");
        assert_eq!((removed.how, removed.rights.len()), (Modification::Remove, 0));
        assert_eq!(removed.of.identifier, "j\u{e9}");
        assert_eq!(read(b" INBOX group=a@b.example \"\"").rights, b"");
        for bad in [&b" INBOX"[..], b" INBOX joe", b" INBOX joe ", b" INBOX \"\xff\" l", b"INBOX joe l"] {
            assert!(set(&mut Cursor::new(bad)).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
