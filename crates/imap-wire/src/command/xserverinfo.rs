//! XSERVERINFO, XMAILBOXINFO: where pages about a user's account and mailboxes are. // NMS: original.md 6

use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};
use crate::words;

/// Names of one command: more than there are.
const NAMES_MAX: usize = 20;

/// `XMAILBOXINFO INBOX MANAGEURL POSTURL`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct XMailboxInfo {
    pub mailbox: Mailbox,
    /// In upper case.
    pub names: Vec<String>,
}

/// `1*(SP atom)`, in upper case, each once.
pub(super) fn names(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    while names.is_empty() || (cursor.rest().len() > 1 && cursor.peek() == Some(b' ')) {
        cursor.space()?;
        if names.len() == NAMES_MAX {
            return cursor.error("fewer names");
        }
        let name = String::from_utf8_lossy(words::atom(cursor)?).to_ascii_uppercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// `SP mailbox 1*(SP atom)`
pub(super) fn of_mailbox(cursor: &mut Cursor<'_>) -> Parsed<XMailboxInfo> {
    cursor.space()?;
    let mailbox = mailbox::mailbox(cursor)?;
    Ok(XMailboxInfo { mailbox, names: names(cursor)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_once_each() {
        let names_of = |text: &str| names(&mut Cursor::new(text.as_bytes()));
        assert_eq!(names_of(" manageaccounturl X MANAGEACCOUNTURL").unwrap(), ["MANAGEACCOUNTURL", "X"]);
        for bad in ["", " ", " (X)", " \"X\"", "  X"] {
            assert!(names_of(bad).is_err(), "{bad:?}");
        }
        let many: String = (0..=NAMES_MAX).map(|n| format!(" N{n}")).collect();
        assert!(names_of(&many).is_err());
        let info = of_mailbox(&mut Cursor::new(b" INBOX MANAGEURL")).unwrap();
        assert_eq!((info.mailbox, info.names.len()), (Mailbox::Named("INBOX".into()), 1));
    }
}
