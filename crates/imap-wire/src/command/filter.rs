//! `filter-mailboxes-other`: which mailboxes besides the selected one NOTIFY and ESEARCH are about (RFC 5465 §8, with the addition
//! of RFC 7377 §6).

use crate::cursor::{Cursor, Parsed};
use crate::mailbox::{self, Mailbox};

/// Names and groups of names in one command.
pub(super) const NAMES_MAX: usize = 1000;

/// Which mailboxes (RFC 5465 §6).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Filter {
    Inboxes,
    Personal,
    Subscribed,
    /// With all that is below them.
    Subtree(Vec<Mailbox>),
    /// With what is directly below them.
    SubtreeOne(Vec<Mailbox>),
    Mailboxes(Vec<Mailbox>),
}

/// `left` is how many names the command may have still; a filter without names counts as one.
pub(super) fn filter(cursor: &mut Cursor<'_>, left: &mut usize) -> Parsed<Filter> {
    let start = cursor.clone();
    let word = cursor.take_while(|byte| byte.is_ascii_alphabetic() || byte == b'-').to_ascii_lowercase();
    let alone = match word.as_slice() {
        b"inboxes" => Filter::Inboxes,
        b"personal" => Filter::Personal,
        b"subscribed" => Filter::Subscribed,
        b"subtree" => return Ok(Filter::Subtree(names(cursor, left)?)),
        b"subtree-one" => return Ok(Filter::SubtreeOne(names(cursor, left)?)),
        b"mailboxes" => return Ok(Filter::Mailboxes(names(cursor, left)?)),
        _ => return start.error("which mailboxes are meant"),
    };
    count(&start, left)?;
    Ok(alone)
}

/// `SP one-or-more-mailbox`
fn names(cursor: &mut Cursor<'_>, left: &mut usize) -> Parsed<Vec<Mailbox>> {
    cursor.space()?;
    let is_list = cursor.take(b'(');
    let mut names = Vec::new();
    loop {
        count(cursor, left)?;
        names.push(mailbox::mailbox(cursor)?);
        if !is_list || cursor.take(b')') {
            return Ok(names);
        }
        cursor.space()?;
    }
}

fn count(cursor: &Cursor<'_>, left: &mut usize) -> Parsed<()> {
    match left.checked_sub(1) {
        Some(rest) => *left = rest,
        None => return cursor.error("fewer mailboxes"),
    }
    Ok(())
}
