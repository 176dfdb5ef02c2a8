//! `select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]` with CONDSTORE and QRESYNC
//! (RFC 4466 §2.1, RFC 7162 §3.1.8, §3.2.5).

use std::ops::RangeInclusive;

use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};
use crate::sequence;

/// Of sequence numbers or UIDs, as written.
pub type Ranges = Vec<RangeInclusive<u32>>;

/// A mailbox to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Select {
    pub mailbox: Mailbox,
    /// The client wants modification sequences.
    pub condstore: bool,
    pub qresync: Option<Resync>,
}

/// What a client knows from its last visit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resync {
    pub uid_validity: u32,
    pub modseq: u64,
    /// UIDs the client has; nothing: all there can be.
    pub known: Option<Ranges>,
    /// Sequence numbers and the UIDs they had.
    pub matches: Option<(Ranges, Ranges)>,
}

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Select> {
    cursor.space()?;
    let mut select = Select { mailbox: mailbox::mailbox(cursor)?, condstore: false, qresync: None };
    if !cursor.rest().starts_with(b" (") {
        return Ok(select);
    }
    cursor.skip(2);
    loop {
        if cursor.keyword(b"CONDSTORE") {
            select.condstore = true;
        } else if select.qresync.is_none() && cursor.keyword(b"QRESYNC") {
            cursor.space()?;
            select.qresync = Some(resync(cursor)?);
        } else {
            return cursor.error("CONDSTORE or QRESYNC (...)");
        }
        if cursor.take(b')') {
            return Ok(select);
        }
        cursor.space()?;
    }
}

/// `"(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"` (RFC 7162 §7).
fn resync(cursor: &mut Cursor<'_>) -> Parsed<Resync> {
    cursor.expect(b'(', "UIDVALIDITY and modification sequence")?;
    let uid_validity = cursor.nz_number()?;
    cursor.space()?;
    let modseq = positive(cursor)?;
    let mut resync = Resync { uid_validity, modseq, known: None, matches: None };
    if cursor.rest().starts_with(b" ") && !cursor.rest().starts_with(b" (") {
        cursor.skip(1);
        resync.known = Some(sequence::known_uids(cursor)?);
    }
    if cursor.rest().starts_with(b" (") {
        cursor.skip(2);
        let sequences = sequence::known_uids(cursor)?;
        cursor.space()?;
        let uids = sequence::known_uids(cursor)?;
        cursor.expect(b')', "the end of the sequence match data")?;
        let count = |ranges: &[RangeInclusive<u32>]| -> u64 {
            ranges.iter().map(|range| u64::from(range.start().abs_diff(*range.end())) + 1).sum()
        };
        if count(&sequences) != count(&uids) {
            return cursor.error("as many UIDs as sequence numbers");
        }
        resync.matches = Some((sequences, uids));
    }
    cursor.expect(b')', "the end of QRESYNC (...)")?;
    Ok(resync)
}

/// `mod-sequence-value`: at least 1.
fn positive(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    let start = cursor.clone();
    match cursor.number64()? {
        0 => start.error("a modification sequence from 1"),
        modseq => Ok(modseq),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Parsed<Select> {
        let mut cursor = Cursor::new(text.as_bytes());
        let select = arguments(&mut cursor)?;
        cursor.end()?;
        Ok(select)
    }

    #[test]
    fn parameters_are_read() {
        assert!(!read(" INBOX").unwrap().condstore);
        assert!(read(" INBOX (condstore)").unwrap().condstore);
        let resync = read(" INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))").unwrap().qresync;
        let resync = resync.unwrap();
        assert_eq!((resync.uid_validity, resync.modseq), (67_890_007, 20_050_715_194_045_000));
        assert_eq!(resync.known, Some(vec![41..=41, 43..=211, 214..=541]));
        let resync = read(" x (QRESYNC (1 2 (1,3 5:6)) CONDSTORE)").unwrap().qresync.unwrap();
        assert_eq!(resync.matches, Some((vec![1..=1, 3..=3], vec![5..=6])));
        assert!(read(" x (QRESYNC (1 2 1:9 (1 5)))").unwrap().qresync.unwrap().known.is_some());
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            " x ()",
            " x (FOO)",
            " x (CONDSTORE",
            " x (QRESYNC)",
            " x (QRESYNC ())",
            " x (QRESYNC (1))",
            " x (QRESYNC (0 1))",
            " x (QRESYNC (1 0))",
            " x (QRESYNC (4294967296 1))",
            " x (QRESYNC (1 9223372036854775808))",
            " x (QRESYNC (1 1 *))",
            " x (QRESYNC (1 1 1:*))",
            " x (QRESYNC (1 1 $))",
            " x (QRESYNC (1 1 (1,2 3)))",
            " x (QRESYNC (1 1 (1)))",
            " x (QRESYNC (1 1) QRESYNC (1 1))",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(validity in 1u32.., modseq in 1u64..=i64::MAX as u64, known in 1u32..) {
            let text = format!(" x (CONDSTORE QRESYNC ({validity} {modseq} 1:{known}))");
            let resync = read(&text).unwrap().qresync.unwrap();
            prop_assert_eq!((resync.uid_validity, resync.modseq), (validity, modseq));
            prop_assert_eq!(resync.known, Some(vec![1..=known]));
        }

        #[test]
        fn nothing_makes_it_panic(text in "( x)?( \\((QRESYNC|CONDSTORE)?)?[ ()0-9:,*$]{0,40}") {
            let _ = read(&text);
        }
    }
}
