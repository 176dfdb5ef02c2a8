//! `search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"` (RFC 4731 §4, RFC 5182 §5,
//! RFC 9394 §4).

use crate::command::partial::{self, Partial};
use crate::cursor::{Cursor, Parsed};

/// What a search answers with, and whether `$` shall stand for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Returned {
    /// The first message found.
    pub min: bool,
    /// The last one.
    pub max: bool,
    /// All of them.
    pub all: bool,
    /// How many.
    pub count: bool,
    /// `$` stands for the result (RFC 5182).
    pub save: bool,
    /// Changes of the result are told from now on (RFC 5267 §4.3).
    pub update: bool,
    /// How well each of them matches (RFC 6203 §4).
    pub relevancy: bool,
    /// A page of them, instead of all (RFC 9394 §3.1).
    pub partial: Option<Partial>,
}

impl Returned {
    /// Whether anything is answered: SAVE alone is silent (RFC 5182 §2.1).
    pub fn is_told(&self) -> bool {
        self.min || self.max || self.all || self.count || self.relevancy || self.partial.is_some()
    }
}

/// Reads `RETURN (...) ` with the space behind it, if it is next. Without options it means ALL (RFC 4731 §3.1).
pub(super) fn option(cursor: &mut Cursor<'_>) -> Parsed<Option<Returned>> {
    if !cursor.keyword(b"RETURN") {
        return Ok(None);
    }
    cursor.space()?;
    cursor.expect(b'(', "a list of return options")?;
    let start = cursor.clone();
    let mut returned = Returned::default();
    if cursor.take(b')') {
        returned.all = true;
    } else {
        loop {
            one(cursor, &mut returned)?;
            if cursor.take(b')') {
                break;
            }
            cursor.space()?;
        }
    }
    if returned.all && returned.partial.is_some() {
        return start.error("either ALL or PARTIAL"); // RFC 9394 §3.1
    }
    cursor.space()?;
    Ok(Some(returned))
}

fn one(cursor: &mut Cursor<'_>, returned: &mut Returned) -> Parsed<()> {
    let wanted = if cursor.keyword(b"MIN") {
        &mut returned.min
    } else if cursor.keyword(b"MAX") {
        &mut returned.max
    } else if cursor.keyword(b"ALL") {
        &mut returned.all
    } else if cursor.keyword(b"COUNT") {
        &mut returned.count
    } else if cursor.keyword(b"SAVE") {
        &mut returned.save
    } else if cursor.keyword(b"UPDATE") {
        &mut returned.update
    } else if cursor.keyword(b"RELEVANCY") {
        &mut returned.relevancy
    } else if cursor.keyword(b"CONTEXT") {
        return Ok(()); // RFC 5267 §4.2: a hint that may be ignored
    } else if returned.partial.is_none() && cursor.keyword(b"PARTIAL") {
        returned.partial = Some(partial::partial(cursor)?);
        return Ok(());
    } else {
        return cursor.error("MIN, MAX, ALL, COUNT, RELEVANCY, SAVE, CONTEXT, UPDATE or one PARTIAL");
    };
    *wanted = true;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parsed<Option<Returned>> {
        option(&mut Cursor::new(text.as_bytes()))
    }

    #[test]
    fn options_are_read() {
        assert_eq!(read("ALL"), Ok(None));
        assert_eq!(read("return () ALL"), Ok(Some(Returned { all: true, ..Returned::default() })));
        let saved = read("RETURN (SAVE) ALL").unwrap().unwrap();
        assert!(saved.save && !saved.is_told());
        let kept = read("RETURN (CONTEXT update COUNT) ").unwrap().unwrap();
        assert!(kept.update && kept.count && !kept.all);
        let page = read("RETURN (PARTIAL -1:-10 COUNT) ").unwrap().unwrap();
        assert!(page.count && page.is_told() && page.partial.unwrap().text() == "-1:-10");
        for bad in [
            "RETURN",
            "RETURN ()",
            "RETURN (MIN",
            "RETURN (MIN  MAX) ",
            "RETURN (MEAN) ",
            "RETURN MIN ",
            "RETURN (PARTIAL) ",
            "RETURN (PARTIAL 1:2 ALL) ",
            "RETURN (PARTIAL 1:2 PARTIAL 3:4) ",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
