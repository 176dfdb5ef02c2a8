//! `list = "LIST" SP mailbox SP list-mailbox`, and LSUB (RFC 3501 §6.3.8, §6.3.9).

use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};

/// Which names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    /// Stands before the pattern.
    pub reference: Mailbox,
    /// With `*` and `%`.
    pub pattern: Mailbox,
}

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<List> {
    cursor.space()?;
    let reference = mailbox::mailbox(cursor)?;
    cursor.space()?;
    Ok(List { reference, pattern: mailbox::list_mailbox(cursor)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_wildcards_and_may_be_quoted() {
        let list = arguments(&mut Cursor::new(b" \"\" Work/%*")).unwrap();
        assert_eq!(list.pattern, Mailbox::Named("Work/%*".into()));
        let list = arguments(&mut Cursor::new(b" \"\" \"*\"")).unwrap();
        assert_eq!(list.pattern, Mailbox::Named("*".into()));
        assert_eq!(arguments(&mut Cursor::new(b" \"\" &")).unwrap().pattern, Mailbox::Undecodable);
        assert!(arguments(&mut Cursor::new(b" \"\"")).is_err());
    }
}
