//! GETMETADATA and SETMETADATA (RFC 5464 §4.2, §4.3, §5).

use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};
use crate::words;

/// Entries of one command.
pub const ENTRIES_MAX: usize = 100;
/// Bytes of the name of an entry.
pub const ENTRY_BYTES_MAX: usize = 1024;
/// Levels of the name of an entry.
const LEVELS_MAX: usize = 20;

/// How far below the entries that were named others are meant, too (RFC 5464 §4.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Depth {
    #[default]
    Zero,
    One,
    Infinity,
}

/// `GETMETADATA (MAXSIZE 1024 DEPTH 1) INBOX (/shared/comment /private/comment)`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GetMetadata {
    /// The empty name is the server's.
    pub mailbox: Mailbox,
    /// Longer values are not returned.
    pub size_max: Option<u32>,
    pub depth: Depth,
    pub entries: Vec<String>,
}

/// `SETMETADATA INBOX (/shared/comment "x" /private/comment NIL)`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetMetadata {
    /// The empty name is the server's.
    pub mailbox: Mailbox,
    /// Entries and their new values; nothing removes.
    pub values: Vec<(String, Option<Vec<u8>>)>,
}

/// `SP [getmetadata-options SP] mailbox SP entries`; the options may also stand behind the mailbox, where the examples of
/// RFC 5464 §4.2.1 have them.
pub(super) fn get(cursor: &mut Cursor<'_>) -> Parsed<GetMetadata> {
    cursor.space()?;
    let (mut size_max, mut depth) = (None, Depth::Zero);
    if cursor.peek() == Some(b'(') {
        options(cursor, &mut size_max, &mut depth)?;
        cursor.space()?;
    }
    let mailbox = mailbox::mailbox(cursor)?;
    cursor.space()?;
    if cursor.rest().starts_with(b"(") && !cursor.rest().starts_with(b"(/") {
        let mut ahead = cursor.clone();
        if options(&mut ahead, &mut size_max, &mut depth).is_ok() {
            *cursor = ahead;
            cursor.space()?;
        }
    }
    Ok(GetMetadata { mailbox, size_max, depth, entries: entries(cursor)? })
}

/// `"(" getmetadata-option *(SP getmetadata-option) ")"`
fn options(cursor: &mut Cursor<'_>, size_max: &mut Option<u32>, depth: &mut Depth) -> Parsed<()> {
    cursor.expect(b'(', "a list of options")?;
    loop {
        if cursor.keyword(b"MAXSIZE") {
            cursor.space()?;
            *size_max = Some(cursor.number()?);
        } else if cursor.keyword(b"DEPTH") {
            cursor.space()?;
            *depth = match () {
                () if cursor.keyword(b"0") => Depth::Zero,
                () if cursor.keyword(b"1") => Depth::One,
                () if cursor.keyword(b"INFINITY") => Depth::Infinity,
                () => return cursor.error("0, 1 or infinity"),
            };
        } else {
            return cursor.error("MAXSIZE or DEPTH");
        }
        if cursor.take(b')') {
            return Ok(());
        }
        cursor.space()?;
    }
}

/// `entries = entry / "(" entry *(SP entry) ")"`
pub fn entries(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    if !cursor.take(b'(') {
        return Ok(vec![entry(cursor)?]);
    }
    let mut entries: Vec<String> = Vec::new();
    loop {
        if entries.len() == ENTRIES_MAX {
            return cursor.error("fewer entries");
        }
        let entry = entry(cursor)?;
        if !entries.iter().any(|one| one.eq_ignore_ascii_case(&entry)) {
            entries.push(entry);
        }
        if cursor.take(b')') {
            return Ok(entries);
        }
        cursor.space()?;
    }
}

/// `setmetadata = "SETMETADATA" SP mailbox SP "(" entry SP value *(SP entry SP value) ")"`
pub(super) fn set(cursor: &mut Cursor<'_>) -> Parsed<SetMetadata> {
    cursor.space()?;
    let mailbox = mailbox::mailbox(cursor)?;
    cursor.space()?;
    cursor.expect(b'(', "a list of entries and values")?;
    let mut values = Vec::new();
    loop {
        if values.len() == ENTRIES_MAX {
            return cursor.error("fewer entries");
        }
        let entry = entry(cursor)?;
        cursor.space()?;
        values.push((entry, value(cursor)?));
        if cursor.take(b')') {
            return Ok(SetMetadata { mailbox, values });
        }
        cursor.space()?;
    }
}

/// `entry = astring`: `/private/...` or `/shared/...`, printable ASCII without `*` and `%`, no empty level (RFC 5464 §3.2).
fn entry(cursor: &mut Cursor<'_>) -> Parsed<String> {
    const EXPECTED: &str = "an entry like /shared/comment";
    let start = cursor.clone();
    let bytes = words::astring(cursor).or_else(|_| start.error(EXPECTED))?;
    let Ok(entry) = String::from_utf8(bytes) else { return start.error(EXPECTED) };
    let is_legal = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b'*' && byte != b'%';
    let mut levels = entry.split('/');
    let begins = levels.next() == Some("");
    let scope = levels.next().unwrap_or_default();
    let is_scoped = scope.eq_ignore_ascii_case("private") || scope.eq_ignore_ascii_case("shared");
    let rest: Vec<&str> = levels.collect();
    let has_levels = rest.len() < LEVELS_MAX && rest.iter().all(|level| !level.is_empty());
    if entry.len() > ENTRY_BYTES_MAX || !entry.bytes().all(is_legal) || !begins || !is_scoped || !has_levels {
        return start.error(EXPECTED);
    }
    Ok(entry)
}

/// `value = nstring / literal8`
fn value(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<u8>>> {
    if cursor.peek() == Some(b'~') {
        return words::literal8(cursor).map(|bytes| Some(bytes.to_vec()));
    }
    words::nstring(cursor).or_else(|_| cursor.error("a string or NIL"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get_of(text: &str) -> Parsed<GetMetadata> {
        let mut cursor = Cursor::new(text.as_bytes());
        let get = get(&mut cursor)?;
        cursor.end()?;
        Ok(get)
    }

    fn set_of(text: &[u8]) -> Parsed<SetMetadata> {
        let mut cursor = Cursor::new(text);
        let set = set(&mut cursor)?;
        cursor.end()?;
        Ok(set)
    }

    #[test]
    fn options_stand_before_the_mailbox_or_behind_it() {
        let plain = get_of(" INBOX /shared/comment").unwrap();
        assert_eq!((plain.size_max, plain.depth, plain.entries.len()), (None, Depth::Zero, 1));
        for text in [
            " (maxsize 1024 depth infinity) INBOX (/shared/comment /PRIVATE/x /private/X)",
            " INBOX (DEPTH infinity MAXSIZE 1024) (/shared/comment /PRIVATE/x)",
        ] {
            let get = get_of(text).unwrap();
            assert_eq!((get.size_max, get.depth, get.entries.len()), (Some(1024), Depth::Infinity, 2));
        }
        assert_eq!(get_of(" \"\" (\"/shared/comment\")").unwrap().mailbox, Mailbox::Named(String::new()));
        assert_eq!(get_of(" (DEPTH 1) \"\" /shared").unwrap().depth, Depth::One);
    }

    #[test]
    fn values_are_strings_nil_or_binary() {
        let set =
            set_of(b" INBOX (/private/a NIL /shared/b \"x\" /shared/c {2}\r\ny\n /shared/d ~{2+}\r\n\0z)");
        let values: Vec<_> = set.unwrap().values.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [None, Some(b"x".to_vec()), Some(b"y\n".to_vec()), Some(b"\0z".to_vec())]);
    }

    #[test]
    fn nonsense_is_refused() {
        let deep = format!(" INBOX /shared{}", "/a".repeat(LEVELS_MAX));
        let long = format!(" INBOX /shared/{}", "a".repeat(ENTRY_BYTES_MAX));
        let many: Vec<_> = (0..=ENTRIES_MAX).map(|n| format!("/shared/{n}")).collect();
        for bad in [
            " INBOX",
            " INBOX ()",
            " INBOX comment",
            " INBOX /comment",
            " INBOX /sharedx/a",
            " INBOX /shared//a",
            " INBOX /shared/a/",
            " INBOX \"/shared/a*\"",
            " INBOX \"/shared/%\"",
            " INBOX \"/shared/\u{e9}\"",
            " INBOX \"/shared/\t\"",
            " INBOX (/shared/a",
            " INBOX (DEPTH 2) /shared/a",
            " (MAXSIZE) INBOX /shared/a",
            " (MAXSIZE -1) INBOX /shared/a",
            " () INBOX /shared/a",
            " (FOO) INBOX /shared/a",
            &deep,
            &long,
            &format!(" INBOX ({})", many.join(" ")),
        ] {
            assert!(get_of(bad).is_err(), "{bad}");
        }
        for bad in [
            &b" INBOX"[..],
            b" INBOX ()",
            b" INBOX (/shared/a)",
            b" INBOX (/shared/a x)",
            b" INBOX (/shared/a \"x\"",
            b" INBOX /shared/a \"x\"",
            b" INBOX (/shared/a {1}\r\n\0)",
            b" INBOX (/shared/a ~{3}\r\n\0)",
            b" INBOX (a \"x\")",
        ] {
            assert!(set_of(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            text in " (INBOX|\"\")?( ?\\(?(MAXSIZE 7|DEPTH [01i]|/shared/[a-c]|/private|NIL|\"x\"|~?\\{2\\+?\\}\r\n)?\\)?){0,5}"
        ) {
            let _ = get_of(&text);
            let _ = set_of(text.as_bytes());
        }
    }
}
