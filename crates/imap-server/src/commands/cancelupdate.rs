//! UPDATE of SEARCH and SORT, and CANCELUPDATE (RFC 5267 §4.3).

use connection::Output;
use imap_wire::Returned;

use crate::answer;
use crate::context::CONTEXTS_MAX;
use crate::refusal::Refusal;
use crate::view::View;

/// Whether a search may be kept up to date. When it may not, the rest of it is done all the same (RFC 5267 §4.3.1).
///
/// # Errors
/// The tag is that of another context.
pub fn check(
    returned: &mut Returned,
    tag: &[u8],
    is_possible: bool,
    view: &View,
    out: &mut Output,
) -> Result<(), Refusal> {
    if !returned.update {
        return Ok(());
    }
    if view.contexts.iter().any(|context| *context.tag == *tag) {
        return Err(Refusal::Syntax("The tag is that of a search which is kept up to date"));
    }
    if !is_possible || view.contexts.len() >= CONTEXTS_MAX {
        returned.update = false;
        let code = format!("NOUPDATE \"{}\"", String::from_utf8_lossy(tag));
        let text = if is_possible {
            "Too many contexts"
        } else {
            "Only UID SEARCH and UID SORT without numbers, within MESSAGELIMIT, are kept up to date"
        };
        answer::tagged(out, b"*", "NO", &code, text);
    }
    Ok(())
}

/// Nothing is told of these any more.
///
/// # Errors
/// One of them is not known; then all stay.
pub fn run(view: &mut View, tags: &[Vec<u8>]) -> Result<(), Refusal> {
    let is_known = |tag: &Vec<u8>| view.contexts.iter().any(|context| *context.tag == **tag);
    if !tags.iter().all(is_known) {
        return Err(Refusal::Cannot("No search with this tag is kept up to date"));
    }
    view.contexts.retain(|context| !tags.iter().any(|tag| **tag == *context.tag));
    Ok(())
}
