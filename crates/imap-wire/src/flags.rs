//! Flags that a client may set: system flags and keywords (RFC 3501 §2.3.2, §9).

use crate::cursor::{Cursor, Parsed};
use crate::words;

/// Keywords in one list; no mailbox takes so many.
const KEYWORDS_MAX: usize = 1000;

/// A system flag other than `\Recent`, which no client sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SystemFlag {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
}

/// Flags of an APPEND or STORE.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FlagList {
    /// System flags, perhaps repeated.
    pub system: Vec<SystemFlag>,
    /// Keywords as written, each once in any case.
    pub keywords: Vec<String>,
}

/// `flag-list = "(" [flag *(SP flag)] ")"`
pub fn flag_list(cursor: &mut Cursor<'_>) -> Parsed<FlagList> {
    cursor.expect(b'(', "a list of flags")?;
    if cursor.take(b')') {
        return Ok(FlagList::default());
    }
    let list = flags(cursor)?;
    cursor.expect(b')', "the end of a list of flags")?;
    Ok(list)
}

/// `flag *(SP flag)`
pub fn flags(cursor: &mut Cursor<'_>) -> Parsed<FlagList> {
    let mut list = FlagList::default();
    loop {
        flag(cursor, &mut list)?;
        if cursor.rest().len() < 2 || !cursor.take(b' ') {
            return Ok(list);
        }
    }
}

/// `flag`; extensions (`\Foo`) are not known here, and `\Recent` cannot be set (RFC 3501 §2.3.2).
fn flag(cursor: &mut Cursor<'_>, list: &mut FlagList) -> Parsed<()> {
    let start = cursor.clone();
    if !cursor.take(b'\\') {
        let keyword = words::atom(cursor).or_else(|_| start.error("a flag"))?;
        let keyword = String::from_utf8_lossy(keyword).into_owned();
        if list.keywords.len() >= KEYWORDS_MAX {
            return start.error("fewer keywords");
        }
        if !list.keywords.iter().any(|one| one.eq_ignore_ascii_case(&keyword)) {
            list.keywords.push(keyword);
        }
        return Ok(());
    }
    let name = cursor.take_while(words::is_atom_char).to_ascii_lowercase();
    list.system.push(match name.as_slice() {
        b"answered" => SystemFlag::Answered,
        b"flagged" => SystemFlag::Flagged,
        b"deleted" => SystemFlag::Deleted,
        b"seen" => SystemFlag::Seen,
        b"draft" => SystemFlag::Draft,
        _ => return start.error("\\Answered, \\Flagged, \\Deleted, \\Seen, \\Draft or a keyword"),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let list = flag_list(&mut Cursor::new(b"(\\seen $Junk \\Deleted $junk)")).unwrap();
        assert_eq!(list.system, [SystemFlag::Seen, SystemFlag::Deleted]);
        assert_eq!(list.keywords, ["$Junk"]);
        assert_eq!(flag_list(&mut Cursor::new(b"()")), Ok(FlagList::default()));
        for bad in [&b"(\\Foo)"[..], b"(\\Recent)", b"(\\Seen", b"( )", b"(a  b)", b"\\Seen", b"(\\)"] {
            assert!(flag_list(&mut Cursor::new(bad)).is_err(), "{bad:?}");
        }
    }
}
