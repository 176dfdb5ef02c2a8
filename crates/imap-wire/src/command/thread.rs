//! `thread = ["UID" SP] "THREAD" SP thread-alg SP search-criteria` (RFC 5256 §5).

use crate::command::search::{self, Charset};
use crate::cursor::{Cursor, Parsed};
use crate::words;

/// How messages come together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// By subject alone (RFC 5256 §3, "ORDEREDSUBJECT").
    OrderedSubject,
    /// By References, In-Reply-To and subject (RFC 5256 §3, "REFERENCES").
    References,
    /// By References and In-Reply-To alone; the thread with the newest message last (draft-ietf-morg-inthread-01 §5.2, as Dovecot has it).
    Refs,
}

/// Which messages, and how they come together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thread {
    /// Whether UIDs are answered.
    pub uid: bool,
    pub algorithm: Algorithm,
    pub charset: Charset,
    pub key: search::Key,
}

pub(super) fn arguments(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Thread> {
    cursor.space()?;
    let start = cursor.clone();
    let algorithm = match words::atom(cursor)?.to_ascii_uppercase().as_slice() {
        b"ORDEREDSUBJECT" => Algorithm::OrderedSubject,
        b"REFERENCES" => Algorithm::References,
        b"REFS" => Algorithm::Refs,
        _ => return start.error("ORDEREDSUBJECT, REFERENCES or REFS"),
    };
    cursor.space()?;
    let (charset, key) = search::criteria(cursor)?;
    Ok(Thread { uid, algorithm, charset, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_are_known_in_any_case() {
        let read = |text: &str| arguments(&mut Cursor::new(text.as_bytes()), true);
        let thread = read(" references UTF-8 SINCE 5-MAR-2000").unwrap();
        assert_eq!((thread.uid, thread.algorithm), (true, Algorithm::References));
        assert_eq!(read(" REFS us-ascii ALL").unwrap().algorithm, Algorithm::Refs);
        assert_eq!(read(" ORDEREDSUBJECT UTF-8 ALL").unwrap().algorithm, Algorithm::OrderedSubject);
        for bad in
            ["", " REFERENCES", " REFERENCES UTF-8", " REFERENCES ALL", " JWZ UTF-8 ALL", " (REFS) UTF-8 ALL"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
