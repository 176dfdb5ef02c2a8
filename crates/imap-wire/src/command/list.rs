//! `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]` (RFC 3501 §6.3.8, RFC 5258 §6,
//! RFC 5819 §4, RFC 6154 §6), and LSUB (RFC 3501 §6.3.9).

use crate::command::{metadata, status};
use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};

/// Patterns of one command.
const PATTERNS_MAX: usize = 100;

/// Which names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    /// Stands before each pattern.
    pub reference: Mailbox,
    /// With `*` and `%`; at least one.
    pub patterns: Vec<Mailbox>,
    /// In the extended form an empty pattern has no meaning of its own (RFC 5258 §3).
    pub is_extended: bool,
    pub select: Selection,
    pub returns: Returns,
}

/// What the names must be, apart from matching a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// Subscribed to, whether they exist or not.
    pub subscribed: bool,
    /// With the levels above names that are selected.
    pub recursive: bool,
    /// Mailboxes with a special use.
    pub special_use: bool,
}

/// What is told beside the names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Returns {
    pub subscribed: bool,
    /// What the user may do with each mailbox (RFC 8440).
    pub my_rights: bool,
    /// Numbers of each mailbox, in a STATUS response (RFC 5819).
    pub status: Vec<status::Item>,
    /// Entries whose values are told of each mailbox (RFC 9590).
    pub metadata: Vec<String>,
}

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<List> {
    cursor.space()?;
    let mut is_extended = false;
    let mut select = Selection::default();
    if cursor.take(b'(') {
        is_extended = true;
        selection(cursor, &mut select)?;
        cursor.space()?;
    }
    let reference = mailbox::mailbox(cursor)?;
    cursor.space()?;
    let mut patterns = Vec::new();
    if cursor.take(b'(') {
        is_extended = true;
        several(cursor, &mut patterns)?;
    } else {
        patterns.push(mailbox::list_mailbox(cursor)?);
    }
    let mut returned = Returns::default();
    if cursor.rest().starts_with(b" ") && cursor.rest().len() > 1 {
        is_extended = true;
        cursor.skip(1);
        returns(cursor, &mut returned)?;
    }
    Ok(List { reference, patterns, is_extended, select, returns: returned })
}

/// `lsub = "LSUB" SP mailbox SP list-mailbox`
pub(super) fn plain(cursor: &mut Cursor<'_>) -> Parsed<List> {
    cursor.space()?;
    let reference = mailbox::mailbox(cursor)?;
    cursor.space()?;
    let patterns = vec![mailbox::list_mailbox(cursor)?];
    let (select, returns) = (Selection::default(), Returns::default());
    Ok(List { reference, patterns, is_extended: false, select, returns })
}

/// `[list-select-opt *(SP list-select-opt)] ")"`
fn selection(cursor: &mut Cursor<'_>, select: &mut Selection) -> Parsed<()> {
    let start = cursor.clone();
    if cursor.take(b')') {
        return Ok(());
    }
    loop {
        if cursor.keyword(b"SUBSCRIBED") {
            select.subscribed = true;
        } else if cursor.keyword(b"RECURSIVEMATCH") {
            select.recursive = true;
        } else if cursor.keyword(b"SPECIAL-USE") {
            select.special_use = true;
        } else if !cursor.keyword(b"REMOTE") {
            // RFC 5258 §3.1: there are no remote mailboxes to leave out or to add.
            return cursor.error("SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE");
        }
        if cursor.take(b')') {
            break;
        }
        cursor.space()?;
    }
    if select.recursive && !select.subscribed {
        return start.error("SUBSCRIBED with RECURSIVEMATCH"); // RFC 5258 §3.1
    }
    Ok(())
}

/// `list-mailbox *(SP list-mailbox) ")"`
fn several(cursor: &mut Cursor<'_>, patterns: &mut Vec<Mailbox>) -> Parsed<()> {
    loop {
        if patterns.len() == PATTERNS_MAX {
            return cursor.error("fewer patterns");
        }
        patterns.push(mailbox::list_mailbox(cursor)?);
        if cursor.take(b')') {
            return Ok(());
        }
        cursor.space()?;
    }
}

/// `"RETURN" SP "(" [return-option *(SP return-option)] ")"`
fn returns(cursor: &mut Cursor<'_>, returns: &mut Returns) -> Parsed<()> {
    if !cursor.keyword(b"RETURN") {
        return cursor.error("RETURN");
    }
    cursor.space()?;
    cursor.expect(b'(', "a list of return options")?;
    if cursor.take(b')') {
        return Ok(());
    }
    loop {
        if cursor.keyword(b"SUBSCRIBED") {
            returns.subscribed = true;
        } else if cursor.keyword(b"MYRIGHTS") {
            returns.my_rights = true;
        } else if cursor.keyword(b"STATUS") {
            cursor.space()?;
            returns.status = status::items(cursor)?;
        } else if cursor.keyword(b"METADATA") {
            cursor.space()?;
            returns.metadata = metadata::entries(cursor)?;
        } else if !cursor.keyword(b"CHILDREN") && !cursor.keyword(b"SPECIAL-USE") {
            // Children and special uses are told with every name.
            return cursor
                .error("SUBSCRIBED, CHILDREN, SPECIAL-USE, MYRIGHTS, STATUS (...) or METADATA (...)");
        }
        if cursor.take(b')') {
            return Ok(());
        }
        cursor.space()?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Parsed<List> {
        let mut cursor = Cursor::new(text.as_bytes());
        let list = arguments(&mut cursor)?;
        cursor.end()?;
        Ok(list)
    }

    #[test]
    fn patterns_have_wildcards_and_may_be_quoted() {
        let one = |name: &str| vec![Mailbox::Named(name.into())];
        assert_eq!(read(" \"\" Work/%*").unwrap().patterns, one("Work/%*"));
        let list = read(" \"\" \"*\" ").unwrap();
        assert_eq!((list.patterns, list.is_extended), (one("*"), false));
        assert_eq!(read(" \"\" &").unwrap().patterns, [Mailbox::Undecodable]);
        assert!(read(" \"\"").is_err());
    }

    #[test]
    fn options_are_read() {
        let list =
            read(" (SUBSCRIBED RECURSIVEMATCH remote) \"\" (a \"b c\" %) RETURN (STATUS (MESSAGES UNSEEN))");
        let list = list.unwrap();
        assert!(list.is_extended && list.select.subscribed && list.select.recursive);
        assert_eq!((list.patterns.len(), list.returns.status.len()), (3, 2));
        assert!(read(" () \"\" \"\"").unwrap().is_extended);
        let list = read(" \"\" * return (SUBSCRIBED CHILDREN SPECIAL-USE)").unwrap();
        assert!(list.is_extended && list.returns.subscribed && !list.select.subscribed);
        let list = read(" \"\" * return (metadata (\"/shared/comment\" /private/x) CHILDREN)").unwrap();
        assert_eq!(list.returns.metadata, ["/shared/comment", "/private/x"]);
        assert!(read(" (SPECIAL-USE) \"\" *").unwrap().select.special_use);
        assert!(read(" \"\" * RETURN (MYRIGHTS)").unwrap().returns.my_rights);
    }

    #[test]
    fn nonsense_is_refused() {
        let many = format!(" \"\" ({})", vec!["a"; PATTERNS_MAX + 1].join(" "));
        for bad in [
            " (FOO) \"\" *",
            " (RECURSIVEMATCH) \"\" *",
            " (SUBSCRIBED \"\" *",
            " (SUBSCRIBED)\"\" *",
            " \"\" ()",
            " \"\" (a",
            " \"\" (a  b)",
            " \"\" * RETURN",
            " \"\" * RETURN SUBSCRIBED",
            " \"\" * RETURN (FOO)",
            " \"\" * RETURN (METADATA)",
            " \"\" * RETURN (METADATA (comment))",
            " \"\" * RETURN (STATUS)",
            " \"\" * RETURN (STATUS ())",
            " \"\" * RETURN (SUBSCRIBED",
            " \"\" * FOO",
            " \"\" * RETURN () x",
            &many,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "( \\((SUBSCRIBED|REMOTE)?\\)?)? \"\" [*%a() ]{0,9}( RETURN \\([A-Z ()-]{0,30}\\)?)?") {
            let _ = read(&text);
        }
    }
}
