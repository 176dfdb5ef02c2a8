//! `esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program`, with `esearch-source-opts = "IN" SP
//! "(" source-mbox [SP "(" scope-options ")"] ")"` (RFC 7377 §6). No scope options are known (§2.2).

use crate::command::search::{self, Search};
use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};

/// Names in one command.
const MAILBOXES_MAX: usize = 1000;

/// A search in several mailboxes; UIDs are answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ESearch {
    /// Where; the selected mailbox when none are named.
    pub sources: Vec<Source>,
    pub search: Search,
}

/// `filter-mailboxes` (RFC 5465 §8, with the addition of RFC 7377 §6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    Selected,
    Inboxes,
    Personal,
    Subscribed,
    /// With all that is below them.
    Subtree(Vec<Mailbox>),
    /// With what is directly below them.
    SubtreeOne(Vec<Mailbox>),
    Mailboxes(Vec<Mailbox>),
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
    let mut left = MAILBOXES_MAX;
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
    *left = match left.checked_sub(1) {
        Some(left) => left,
        None => return cursor.error("fewer mailboxes"),
    };
    let word = cursor.take_while(|byte| byte.is_ascii_alphabetic() || byte == b'-').to_ascii_lowercase();
    Ok(match word.as_slice() {
        b"selected" => Source::Selected,
        b"inboxes" => Source::Inboxes,
        b"personal" => Source::Personal,
        b"subscribed" => Source::Subscribed,
        b"subtree" => Source::Subtree(names(cursor, left)?),
        b"subtree-one" => Source::SubtreeOne(names(cursor, left)?),
        b"mailboxes" => Source::Mailboxes(names(cursor, left)?),
        _ => return start.error("which mailboxes are meant"),
    })
}

/// `SP (mailbox / "(" mailbox *(SP mailbox) ")")`
fn names(cursor: &mut Cursor<'_>, left: &mut usize) -> Parsed<Vec<Mailbox>> {
    cursor.space()?;
    if !cursor.take(b'(') {
        return Ok(vec![mailbox::mailbox(cursor)?]);
    }
    let mut names = vec![mailbox::mailbox(cursor)?];
    while !cursor.take(b')') {
        cursor.space()?;
        *left = match left.checked_sub(1) {
            Some(left) => left,
            None => return cursor.error("fewer mailboxes"),
        };
        names.push(mailbox::mailbox(cursor)?);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (" IN (selected Personal) RETURN () UNSEEN", vec![Source::Selected, Source::Personal]),
            (
                " in (mailboxes \"a b\" subtree (x y) subtree-one z) ALL",
                vec![
                    Source::Mailboxes(vec![named("a b")]),
                    Source::Subtree(vec![named("x"), named("y")]),
                    Source::SubtreeOne(vec![named("z")]),
                ],
            ),
            (" IN (inboxes subscribed) CHARSET UTF-8 TEXT x", vec![Source::Inboxes, Source::Subscribed]),
        ] {
            let read = read(text).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(read.sources, sources, "{text}");
            assert!(read.search.uid);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let many = format!(" IN (mailboxes (x{})) ALL", " x".repeat(MAILBOXES_MAX));
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
