//! `store = "STORE" SP sequence-set [SP "(" "UNCHANGEDSINCE" SP number ")"] SP store-att-flags` (RFC 3501 §6.4.6,
//! RFC 7162 §3.1.3).

use crate::cursor::{Cursor, Parsed};
use crate::flags::{self, FlagList};
use crate::sequence::{self, SequenceSet};

/// `+FLAGS`, `-FLAGS`, `FLAGS`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Add,
    Remove,
    Replace,
}

/// A change of flags.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    /// Whether `set` holds UIDs.
    pub uid: bool,
    pub set: SequenceSet,
    /// Messages that changed after this modification sequence are left alone.
    pub unchanged_since: Option<u64>,
    pub how: How,
    /// `.SILENT`: the client does not want to hear of it.
    pub silent: bool,
    pub flags: FlagList,
}

/// `store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))`
pub(super) fn arguments(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Store> {
    cursor.space()?;
    let set = sequence::sequence_set(cursor)?;
    cursor.space()?;
    let unchanged_since = unchanged_since(cursor)?;
    let how = match cursor.peek() {
        Some(b'+') => How::Add,
        Some(b'-') => How::Remove,
        _ => How::Replace,
    };
    cursor.skip(usize::from(how != How::Replace));
    let silent = cursor.keyword(b"FLAGS.SILENT");
    if !silent && !cursor.keyword(b"FLAGS") {
        return cursor.error("FLAGS or FLAGS.SILENT");
    }
    cursor.space()?;
    let flags = if cursor.peek() == Some(b'(') { flags::flag_list(cursor)? } else { flags::flags(cursor)? };
    Ok(Store { uid, set, unchanged_since, how, silent, flags })
}

/// `"(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")" SP`, if it is next.
fn unchanged_since(cursor: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if !cursor.take(b'(') {
        return Ok(None);
    }
    if !cursor.keyword(b"UNCHANGEDSINCE") {
        return cursor.error("UNCHANGEDSINCE");
    }
    cursor.space()?;
    let modseq = cursor.number64()?;
    cursor.expect(b')', "the end of the modifiers")?;
    cursor.space()?;
    Ok(Some(modseq))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        let read = |text: &[u8]| arguments(&mut Cursor::new(text), false);
        let store = read(b" 1 +flags.silent (\\Seen)").unwrap();
        assert_eq!((store.how, store.silent), (How::Add, true));
        let store = read(b" 1 -FLAGS \\Seen $x").unwrap();
        assert_eq!((store.how, store.silent, store.flags.keywords.len()), (How::Remove, false, 1));
        assert_eq!(read(b" 1 FLAGS ()").unwrap().how, How::Replace);
        let store = read(b" 1 (unchangedsince 0) +FLAGS (a)").unwrap();
        assert_eq!(store.unchanged_since, Some(0));
        for bad in [
            &b" 1 () FLAGS (a)"[..],
            b" 1 (X 1) FLAGS a",
            b" 1 (UNCHANGEDSINCE) FLAGS a",
            b" 1 (UNCHANGEDSINCE 1 2) FLAGS a",
        ] {
            assert!(read(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
        for bad in
            [&b" 1 +FLAGS"[..], b" 1 FLAGSX (a)", b" 1 FLAGS.LOUD (a)", b" FLAGS (a)", b" 1 FLAGS \\Foo"]
        {
            assert!(read(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
