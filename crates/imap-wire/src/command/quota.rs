//! GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208 §4.1, §7).

use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};
use crate::words;

/// Limits of one SETQUOTA at most: more than there are resources.
const LIMITS_MAX: usize = 30;

/// `SETQUOTA "user/joe" (STORAGE 512)`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetQuota {
    /// In UTF-8.
    pub root: String,
    /// Resources, in upper case, and their limits in the units of each.
    pub limits: Vec<(String, u64)>,
}

/// `SP quota-root-name`
pub(super) fn root(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.space()?;
    let start = cursor.clone();
    match mailbox::mailbox(cursor) {
        Ok(Mailbox::Named(root)) => Ok(root),
        Ok(Mailbox::Undecodable) => Ok(String::new()), // such a root does not exist
        Err(_) => start.error("a quota root"),
    }
}

/// `SP quota-root-name SP setquota-list`; the list may be empty (RFC 2087 §4.1).
pub(super) fn set(cursor: &mut Cursor<'_>) -> Parsed<SetQuota> {
    let root = root(cursor)?;
    cursor.space()?;
    cursor.expect(b'(', "a list of limits")?;
    let mut limits = Vec::new();
    while !cursor.take(b')') {
        if !limits.is_empty() {
            cursor.space()?;
        }
        if limits.len() == LIMITS_MAX {
            return cursor.error("at most 30 limits");
        }
        let resource = String::from_utf8_lossy(words::atom(cursor)?).to_ascii_uppercase();
        cursor.space()?;
        limits.push((resource, cursor.number64()?));
    }
    Ok(SetQuota { root, limits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_and_limits_are_read() {
        let set_of = |text: &[u8]| set(&mut Cursor::new(text));
        let none = set_of(b" \"user/joe\" ()").unwrap();
        assert_eq!((none.root.as_str(), none.limits.len()), ("user/joe", 0));
        let two = set_of(b" user/joe (storage 9223372036854775807 MESSAGE 0)").unwrap();
        assert_eq!(two.limits, [("STORAGE".to_owned(), i64::MAX as u64), ("MESSAGE".to_owned(), 0)]);
        for bad in [
            &b" user/joe"[..],
            b" user/joe STORAGE 1",
            b" user/joe (STORAGE)",
            b" user/joe (STORAGE -1)",
            b" user/joe (STORAGE 9223372036854775808)",
            b" user/joe (STORAGE 1 )",
            b" ()",
        ] {
            assert!(set_of(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
        assert_eq!(root(&mut Cursor::new(b" \"\"")).unwrap(), "");
    }
}
