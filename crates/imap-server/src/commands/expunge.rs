//! EXPUNGE, UID EXPUNGE and the expunge of CLOSE (RFC 3501 §6.4.2, §6.4.3, RFC 4315 §2.1).

use imap_wire::SequenceSet;
use message_store::{Rights, UidSet};

use crate::refusal::Refusal;
use crate::sequences;
use crate::view::View;

/// Expunges what is \Deleted, of all messages or of a UID set; whether there was any. The responses come with the next
/// announcement.
pub fn run(view: &mut View, uids: Option<&SequenceSet>) -> Result<bool, Refusal> {
    if view.is_read_only() {
        return Err(Refusal::ReadOnly);
    }
    view.may(Rights::EXPUNGE)?;
    let chosen: Option<UidSet> = match uids {
        Some(set) => Some(view.uids(&sequences::resolve(set, view, true)?)),
        None => None,
    };
    if chosen.as_ref().is_some_and(UidSet::is_empty) {
        return Ok(false);
    }
    Ok(!view.mailbox.expunge(chosen.as_ref())?.is_empty())
}

/// CLOSE says nothing of what it expunges, and expunges nothing in a read-only mailbox or without the right (RFC 4314 §4). The highest modification sequence
/// for the tagged response, when nothing else happened that the client does not know (RFC 7162 §3.2.8).
pub fn on_close(view: &View) -> Result<Option<u64>, Refusal> {
    let before = view.mailbox.status()?;
    if view.is_read_only() || view.may(Rights::EXPUNGE).is_err() || before.deleted == 0 {
        return Ok(None);
    }
    let expunged = view.mailbox.expunge(None)?;
    let highest = view.mailbox.status()?.highest_modseq;
    let is_ours = !expunged.is_empty() && highest.checked_sub(1) == Some(before.highest_modseq);
    let is_told = is_ours && view.knows(&before) && view.enabled().condstore();
    Ok(is_told.then(|| view.highest_of(highest)))
}
