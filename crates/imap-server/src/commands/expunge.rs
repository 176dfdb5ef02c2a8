//! EXPUNGE, UID EXPUNGE and the expunge of CLOSE (RFC 3501 §6.4.2, §6.4.3, RFC 4315 §2.1).

use imap_wire::SequenceSet;
use message_store::{Flags, Rights, UidSet};

use crate::message_limit::{self, Cut};
use crate::refusal::Refusal;
use crate::sequences;
use crate::view::View;

/// Expunges what is \Deleted, of all messages or of a UID set; whether there was any, and where it stopped. The responses come
/// with the next announcement. UID EXPUNGE expunges `most` messages; EXPUNGE, like CLOSE, is not bounded (RFC 9738).
pub fn run(
    view: &mut View,
    uids: Option<&SequenceSet>,
    most: Option<u32>,
) -> Result<(bool, Option<Cut>), Refusal> {
    if view.is_read_only() {
        return Err(Refusal::ReadOnly);
    }
    view.may(Rights::EXPUNGE)?;
    let (chosen, cut) = match uids {
        Some(set) => {
            let (chosen, cut) = chosen(set, view, most)?;
            (Some(chosen), cut)
        }
        None => (None, None),
    };
    if chosen.as_ref().is_some_and(UidSet::is_empty) {
        return Ok((false, None));
    }
    Ok((!view.mailbox.expunge(chosen.as_ref())?.is_empty(), cut))
}

/// The messages of a set. Where there is a limit only what is \Deleted counts.
fn chosen(set: &SequenceSet, view: &View, most: Option<u32>) -> Result<(UidSet, Option<Cut>), Refusal> {
    let ranges = sequences::resolve(set, view, true)?;
    if most.is_none() {
        return Ok((view.uids(&ranges), None));
    }
    let mut deleted = Vec::new();
    for sequence in ranges.into_iter().flatten() {
        let is_deleted = |flags: Flags| flags.contains(Flags::DELETED) && !flags.contains(Flags::EXPUNGED);
        if view.record(sequence).is_some_and(|(_, record)| is_deleted(record.flags)) {
            sequences::append(&mut deleted, sequence);
        }
    }
    let (deleted, cut) = message_limit::bound(deleted, most, view);
    Ok((view.uids(&deleted), cut))
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
