//! `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"` (RFC 3501 §6.3.10), with SIZE (RFC 8438).

use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};
use crate::words;

/// A number of a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    /// RFC 8438
    Size,
    /// RFC 7162
    HighestModSeq,
    /// RFC 8474
    MailboxId,
    /// RFC 7889
    AppendLimit,
    /// RFC 9208 §4.1.4
    Deleted,
    /// RFC 9208 §4.1.4
    DeletedStorage,
}

/// Numbers of a mailbox, each once, in the order asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    pub mailbox: Mailbox,
    pub items: Vec<Item>,
}

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Status> {
    cursor.space()?;
    let mailbox = mailbox::mailbox(cursor)?;
    cursor.space()?;
    Ok(Status { mailbox, items: items(cursor)? })
}

/// `"(" status-att *(SP status-att) ")"`, each once.
pub(super) fn items(cursor: &mut Cursor<'_>) -> Parsed<Vec<Item>> {
    cursor.expect(b'(', "a list of status items")?;
    let mut items = Vec::new();
    loop {
        let item = item(cursor)?;
        if !items.contains(&item) {
            items.push(item);
        }
        if cursor.take(b')') {
            return Ok(items);
        }
        cursor.space()?;
    }
}

fn item(cursor: &mut Cursor<'_>) -> Parsed<Item> {
    let start = cursor.clone();
    Ok(match cursor.take_while(words::is_atom_char).to_ascii_uppercase().as_slice() {
        b"MESSAGES" => Item::Messages,
        b"RECENT" => Item::Recent,
        b"UIDNEXT" => Item::UidNext,
        b"UIDVALIDITY" => Item::UidValidity,
        b"UNSEEN" => Item::Unseen,
        b"SIZE" => Item::Size,
        b"HIGHESTMODSEQ" => Item::HighestModSeq,
        b"MAILBOXID" => Item::MailboxId,
        b"APPENDLIMIT" => Item::AppendLimit,
        b"DELETED" => Item::Deleted,
        b"DELETED-STORAGE" => Item::DeletedStorage,
        _ => return start.error("an item like MESSAGES, UIDNEXT or UNSEEN"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read() {
        let status =
            arguments(&mut Cursor::new(b" INBOX (messages SIZE MESSAGES deleted-storage DELETED)")).unwrap();
        assert_eq!(status.items, [Item::Messages, Item::Size, Item::DeletedStorage, Item::Deleted]);
        for bad in [&b" INBOX ()"[..], b" INBOX (FOO)", b" INBOX MESSAGES", b" INBOX (SIZE"] {
            assert!(arguments(&mut Cursor::new(bad)).is_err());
        }
    }
}
