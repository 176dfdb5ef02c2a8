//! `sort = ["UID" SP] "SORT" [SP "RETURN" ...] SP sort-criteria SP search-criteria` (RFC 5256 §5, RFC 5267 §4.1, RFC 5957 §5).

use crate::command::returned::{self, Returned};
use crate::command::search::{self, Charset};
use crate::cursor::{Cursor, Parsed};

/// What is sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SortKey {
    Arrival,
    Cc,
    Date,
    /// RFC 5957
    DisplayFrom,
    DisplayTo,
    From,
    /// RFC 6203 §6
    Relevancy,
    Size,
    Subject,
    To,
}

const KEYS: [(&[u8], SortKey); 10] = [
    (b"ARRIVAL", SortKey::Arrival),
    (b"CC", SortKey::Cc),
    (b"DATE", SortKey::Date),
    (b"DISPLAYFROM", SortKey::DisplayFrom),
    (b"DISPLAYTO", SortKey::DisplayTo),
    (b"FROM", SortKey::From),
    (b"RELEVANCY", SortKey::Relevancy),
    (b"SIZE", SortKey::Size),
    (b"SUBJECT", SortKey::Subject),
    (b"TO", SortKey::To),
];

/// A key and its direction. REVERSE is of this key alone (RFC 5256 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Criterion {
    pub key: SortKey,
    pub reverse: bool,
}

/// Which messages, and in what order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sort {
    /// Whether UIDs are answered.
    pub uid: bool,
    /// With RETURN: what is answered in an ESEARCH response (RFC 5267 §3.1).
    pub returned: Option<Returned>,
    /// The first one counts most; each key once, since a second time it would decide nothing.
    pub criteria: Vec<Criterion>,
    pub charset: Charset,
    pub key: search::Key,
}

pub(super) fn arguments(cursor: &mut Cursor<'_>, uid: bool) -> Parsed<Sort> {
    cursor.space()?;
    let start = cursor.clone();
    let returned = returned::option(cursor)?;
    let criteria = criteria(cursor)?;
    cursor.space()?;
    let (charset, key) = search::criteria(cursor)?;
    let wants_relevancy = criteria.iter().any(|criterion| criterion.key == SortKey::Relevancy)
        || returned.is_some_and(|returned| returned.relevancy);
    if wants_relevancy && !key.has_fuzzy() {
        return start.error("RELEVANCY with FUZZY"); // RFC 6203 §6
    }
    Ok(Sort { uid, returned, criteria, charset, key })
}

/// `sort-criteria = "(" sort-criterion *(SP sort-criterion) ")"`
fn criteria(cursor: &mut Cursor<'_>) -> Parsed<Vec<Criterion>> {
    cursor.expect(b'(', "sort criteria in parentheses")?;
    let mut criteria: Vec<Criterion> = Vec::new();
    loop {
        let reverse = cursor.keyword(b"REVERSE");
        if reverse {
            cursor.space()?;
        }
        let Some((_, key)) = KEYS.iter().find(|(word, _)| cursor.keyword(word)) else {
            return cursor.error("a sort key");
        };
        if criteria.iter().all(|before| before.key != *key) {
            criteria.push(Criterion { key: *key, reverse });
        }
        if cursor.take(b')') {
            return Ok(criteria);
        }
        cursor.space()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parsed<Sort> {
        let mut cursor = Cursor::new(text.as_bytes());
        let sort = arguments(&mut cursor, false)?;
        cursor.end().map(|()| sort)
    }

    /// The commands of RFC 5256 §3.
    #[test]
    fn criteria_are_read() {
        let sort = read(" (SUBJECT REVERSE date) UTF-8 SINCE 1-Feb-1994").unwrap();
        let criterion = |key, reverse| Criterion { key, reverse };
        assert_eq!(sort.criteria, [criterion(SortKey::Subject, false), criterion(SortKey::Date, true)]);
        assert_eq!((sort.charset, sort.returned), (Charset::Known, None));
        let sort =
            read(" RETURN (MIN PARTIAL 1:3) (SIZE REVERSE SIZE DISPLAYTO) us-ascii ALL UNSEEN").unwrap();
        assert_eq!(sort.criteria, [criterion(SortKey::Size, false), criterion(SortKey::DisplayTo, false)]);
        assert!(sort.returned.unwrap().partial.is_some());
        let sort = read(" RETURN (RELEVANCY ALL) (REVERSE RELEVANCY) UTF-8 NOT FUZZY (TEXT x)").unwrap();
        assert_eq!(sort.criteria, [criterion(SortKey::Relevancy, true)]);
        assert_eq!(read(" (CC) X-UNKNOWN ALL").unwrap().charset, Charset::Unknown);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            " ()",
            " () UTF-8 ALL",
            " (REVERSE) UTF-8 ALL",
            " (REVERSE REVERSE DATE) UTF-8 ALL",
            " (DATES) UTF-8 ALL",
            " (DATE",
            " (DATE  SIZE) UTF-8 ALL",
            " (DATE) UTF-8",
            " (DATE) ALL",
            " DATE UTF-8 ALL",
            " RETURN (DATE) UTF-8 ALL",
            " (DATE) RETURN () UTF-8 ALL",
            " (RELEVANCY) UTF-8 SUBJECT x",
            " RETURN (RELEVANCY) (DATE) UTF-8 SUBJECT x",
            " (RELEVANCY) UTF-8 FUZZY",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
