//! COPY, MOVE and their UID forms (RFC 3501 §6.4.7, RFC 6851), with COPYUID (RFC 4315 §3).

use connection::Output;
use message_store::{Mailbox, UidSet};

use crate::answer;
use crate::refusal::Refusal;
use crate::request::Set;
use crate::view::View;

/// Whether the messages stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Copy,
    Move,
}

/// Copies or moves; the pairs of UIDs (source, destination) for [`copyuid`]. All or nothing.
pub fn run(view: &View, set: &Set, uid: bool, kind: Kind, to: &Mailbox) -> Result<Vec<(u32, u32)>, Refusal> {
    let ranges = set.resolve(view, uid)?;
    if kind == Kind::Move && view.is_read_only() {
        return Err(Refusal::ReadOnly);
    }
    let uids: UidSet = view.uids(&ranges);
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(match kind {
        Kind::Copy => view.mailbox.copy_to(&uids, to)?,
        Kind::Move => view.mailbox.move_to(&uids, to)?,
    })
}

/// `[COPYUID 38505 304,319:320 3956:3958]`; nothing when no message was copied.
pub fn copyuid(to: &Mailbox, pairs: &[(u32, u32)], out: &mut Output) {
    if pairs.is_empty() {
        return;
    }
    out.push(b"[COPYUID ");
    answer::digits(out, u64::from(to.uid_validity()));
    out.push(b" ");
    answer::uid_set(out, pairs.iter().map(|(from, _)| *from));
    out.push(b" ");
    answer::uid_set(out, pairs.iter().map(|(_, to)| *to));
    out.push(b"] ");
}
