//! EXPUNGE, UID EXPUNGE and the expunge of CLOSE (RFC 3501 §6.4.2, §6.4.3, RFC 4315 §2.1).

use imap_wire::SequenceSet;
use message_store::UidSet;

use crate::refusal::Refusal;
use crate::sequences;
use crate::view::View;

/// Expunges what is \Deleted, of all messages or of a UID set. The responses come with the next announcement.
pub fn run(view: &mut View, uids: Option<&SequenceSet>) -> Result<(), Refusal> {
    if view.is_read_only() {
        return Err(Refusal::ReadOnly);
    }
    let chosen: Option<UidSet> = match uids {
        Some(set) => Some(view.uids(&sequences::resolve(set, view, true)?)),
        None => None,
    };
    if chosen.as_ref().is_some_and(UidSet::is_empty) {
        return Ok(());
    }
    view.mailbox.expunge(chosen.as_ref())?;
    Ok(())
}

/// CLOSE says nothing of what it expunges, and nothing at all in a read-only mailbox.
pub fn on_close(view: &View) -> Result<(), Refusal> {
    if view.is_read_only() || view.mailbox.status()?.deleted == 0 {
        return Ok(());
    }
    view.mailbox.expunge(None)?;
    Ok(())
}
