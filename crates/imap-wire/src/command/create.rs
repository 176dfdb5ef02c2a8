//! `create = "CREATE" SP mailbox [SP "(USE (" use-attr *(SP use-attr) "))"]` (RFC 3501 §6.3.3, RFC 6154 §3).

use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};
use crate::words;

/// A new mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Create {
    /// Its name.
    pub mailbox: Mailbox,
    /// What it shall be used for: `\Sent` and the like, as written.
    pub uses: Vec<String>,
}

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Create> {
    cursor.space()?;
    let mailbox = mailbox::mailbox(cursor)?;
    let mut uses = Vec::new();
    if cursor.rest().len() < 2 {
        return Ok(Create { mailbox, uses });
    }
    cursor.space()?;
    cursor.expect(b'(', "(USE (...))")?;
    if !cursor.keyword(b"USE") || !cursor.take(b' ') || !cursor.take(b'(') {
        return cursor.error("USE (...)");
    }
    while !cursor.take(b')') {
        if !uses.is_empty() {
            cursor.space()?;
        }
        cursor.expect(b'\\', "a special use like \\Sent")?;
        uses.push(format!("\\{}", String::from_utf8_lossy(words::atom(cursor)?)));
    }
    cursor.expect(b')', "the end of (USE (...))")?;
    Ok(Create { mailbox, uses })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_read() {
        let create = arguments(&mut Cursor::new(b" x (USE (\\Sent \\Drafts))")).unwrap();
        assert_eq!(create.uses, ["\\Sent", "\\Drafts"]);
        assert!(arguments(&mut Cursor::new(b" x (USE \\Sent)")).is_err());
        assert!(arguments(&mut Cursor::new(b" x (USE (\\Sent)")).is_err());
    }
}
