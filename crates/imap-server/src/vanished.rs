//! Which messages are gone since a modification sequence (RFC 7162 §3.2.5, §3.2.6).
//!
//! Expunged records stay until a compaction, so the answer is exact for as long. Before that it is every UID that is not
//! there, which a client may always be told (RFC 7162 §3.2.5.1).

use imap_wire::Resync;
use message_store::{Flags, Result, UidSet};

use crate::view::View;

/// Those of `uids` that were expunged after `since` and are not in the view: those in it are announced in their time.
pub fn since(view: &View, uids: &UidSet, since: u64) -> Result<UidSet> {
    let since = view.raw_modseq(since);
    let status = view.mailbox.status()?;
    let now = view.mailbox.reader()?;
    let given_out = UidSet::from_ranges([1..=status.uid_next.saturating_sub(1)]);
    let uids = uids.common(&given_out);
    let in_view = |uid: u32| {
        let sequence = view.sequence_from_uid(uid);
        view.record(sequence).is_some_and(|(_, record)| record.uid == uid)
    };
    if since >= status.forgotten_modseq {
        if status.exists == now.slots() {
            return Ok(UidSet::new()); // no record is of an expunged message
        }
        let is_there =
            |slot: u32| now.glance(slot).is_some_and(|(flags, _)| !flags.contains(Flags::EXPUNGED));
        let changed = now.slots_changed(since).into_iter().flatten();
        let gone = changed.filter(|slot| !is_there(*slot)).map(|slot| now.record(slot));
        let gone =
            gone.filter(|record| record.is_expunged() && record.modseq > since && !in_view(record.uid));
        return Ok(gone.map(|record| record.uid).collect::<UidSet>().common(&uids));
    }
    let records = (0..now.slots()).map(|slot| now.record(slot));
    let live: UidSet = records.filter(|record| !record.is_expunged()).map(|record| record.uid).collect();
    let known = view.uids_of(1..=view.exists());
    Ok(uids.without(&live).without(&known))
}

/// The UIDs a resynchronisation is about: those the client has, or all.
pub fn known(resync: &Resync) -> UidSet {
    match &resync.known {
        Some(ranges) => UidSet::from_ranges(ranges.iter().cloned()),
        None => UidSet::all(),
    }
}

/// The greatest UID that has the sequence number the client remembers it with: nothing up to it was expunged
/// (RFC 7162 §3.2.5.2). 0 when there is none.
pub fn unchanged_until(view: &View, resync: &Resync) -> u32 {
    let Some((sequences, uids)) = &resync.matches else { return 0 };
    sequences
        .iter()
        .cloned()
        .flatten()
        .zip(uids.iter().cloned().flatten())
        .take_while(|(sequence, _)| *sequence <= view.exists())
        .take(view.exists() as usize)
        .filter(|(sequence, uid)| view.record(*sequence).is_some_and(|(_, record)| record.uid == *uid))
        .map(|(_, uid)| uid)
        .max()
        .unwrap_or(0)
}
