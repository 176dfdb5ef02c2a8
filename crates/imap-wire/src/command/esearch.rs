//! `esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program`, with `esearch-source-opts = "IN" SP
//! "(" source-mbox [SP "(" scope-options ")"] ")"` (RFC 7377 §6). No scope options are known (§2.2).

use crate::command::filter::{self, Filter, NAMES_MAX};
use crate::command::search::{self, Search};
use crate::cursor::{Cursor, Parsed};

/// A search in several mailboxes; UIDs are answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ESearch {
    /// Where; the selected mailbox when none are named.
    pub sources: Vec<Source>,
    pub search: Search,
}

/// `filter-mailboxes` (RFC 7377 §6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    Selected,
    Other(Filter),
}

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<ESearch> {
    let start = cursor.clone();
    cursor.space()?;
    let sources = if cursor.keyword(b"IN") && cursor.peek() == Some(b' ') {
        cursor.space()?;
        sources(cursor)?
    } else {
        *cursor = start;
        Vec::new()
    };
    let search = search::arguments(cursor, true)?;
    Ok(ESearch { sources, search })
}

fn sources(cursor: &mut Cursor<'_>) -> Parsed<Vec<Source>> {
    cursor.expect(b'(', "a list of mailboxes")?;
    let mut left = NAMES_MAX;
    let mut sources = vec![source(cursor, &mut left)?];
    while !cursor.take(b')') {
        cursor.space()?;
        if cursor.peek() == Some(b'(') {
            return cursor.error("no scope options");
        }
        sources.push(source(cursor, &mut left)?);
    }
    Ok(sources)
}

fn source(cursor: &mut Cursor<'_>, left: &mut usize) -> Parsed<Source> {
    let start = cursor.clone();
    if cursor.keyword(b"SELECTED") {
        match left.checked_sub(1) {
            Some(rest) => *left = rest,
            None => return start.error("fewer mailboxes"),
        }
        return Ok(Source::Selected);
    }
    filter::filter(cursor, left).map(Source::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::Mailbox;

    fn read(text: &str) -> Parsed<ESearch> {
        let mut cursor = Cursor::new(text.as_bytes());
        let read = arguments(&mut cursor)?;
        cursor.end()?;
        Ok(read)
    }

    #[test]
    fn sources_are_read() {
        let named = |name: &str| Mailbox::Named(name.into());
        for (text, sources) in [
            (" UNSEEN", vec![]),
            (" RETURN (COUNT) UNSEEN", vec![]),
            (
                " IN (selected Personal) RETURN () UNSEEN",
                vec![Source::Selected, Source::Other(Filter::Personal)],
            ),
            (
                " in (mailboxes \"a b\" subtree (x y) subtree-one z) ALL",
                vec![
                    Source::Other(Filter::Mailboxes(vec![named("a b")])),
                    Source::Other(Filter::Subtree(vec![named("x"), named("y")])),
                    Source::Other(Filter::SubtreeOne(vec![named("z")])),
                ],
            ),
            (
                " IN (inboxes subscribed) CHARSET UTF-8 TEXT x",
                vec![Source::Other(Filter::Inboxes), Source::Other(Filter::Subscribed)],
            ),
        ] {
            let read = read(text).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(read.sources, sources, "{text}");
            assert!(read.search.uid);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let many = format!(" IN (mailboxes (x{})) ALL", " x".repeat(NAMES_MAX));
        for bad in [
            "",
            " ",
            " IN ALL",
            " IN () ALL",
            " IN (selected)",
            " IN (all) ALL",
            " IN (mailboxes) ALL",
            " IN (mailboxes ()) ALL",
            " IN (subtree (a) ALL",
            " IN (selected (depth 1)) ALL",
            " IN (selected) RETURN ALL",
            &many,
        ] {
            assert!(read(bad).is_err(), "{}", &bad[..bad.len().min(40)]);
        }
    }
}
