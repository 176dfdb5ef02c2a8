//! STORE, UID STORE: changes flags (RFC 3501 §6.4.6). Durable before it is answered.

use connection::Output;
use message_store::{FlagChange, Flags, How};

use crate::answer;
use crate::refusal::Refusal;
use crate::request::Set;
use crate::view::{Told, View};

/// What one STORE asks for. Syntax has refused unknown `\Flags` and `\Recent`.
#[derive(Clone, Debug)]
pub struct Change {
    pub how: How,
    pub silent: bool,
    pub flags: Flags,
    pub keywords: Vec<String>,
}

/// Changes the flags and tells the new ones unless `.SILENT`; what was told is not announced again.
pub fn run(
    view: &mut View,
    set: &Set,
    uid: bool,
    change: &Change,
    out: &mut Output,
) -> Result<Told, Refusal> {
    let ranges = set.resolve(view, uid)?;
    if view.is_read_only() {
        return Err(Refusal::ReadOnly);
    }
    check_room(view, change)?;
    let uids = view.uids(&ranges);
    if uids.is_empty() {
        return Ok(Told::new());
    }
    let asked = FlagChange { how: change.how, flags: change.flags, keywords: &change.keywords };
    let changed = view.mailbox.change_flags(&uids, asked, None)?.changed;
    let mut told = Told::with_capacity(changed.len());
    let keywords = view.mailbox.keywords();
    view.tell_keywords(&keywords, out);
    if change.silent {
        for uid in changed {
            let sequence = view.sequence_from_uid(uid);
            if let Some((slot, record)) = view.record(sequence).filter(|(_, record)| record.uid == uid) {
                told.push((slot, record.modseq));
            }
        }
        return Ok(told);
    }
    // RFC 3501 §6.4.6: the new value of every message named, changed or not.
    for sequence in ranges.into_iter().flatten() {
        let Some((slot, record)) = view.record(sequence) else { continue };
        if record.flags.contains(Flags::EXPUNGED) {
            continue;
        }
        let recent = view.is_recent(record.uid);
        answer::flags_update(out, sequence, uid.then_some(record.uid), &record, recent, &keywords);
        told.push((slot, record.modseq));
    }
    Ok(told)
}

/// New keywords must fit before anything changes.
fn check_room(view: &View, change: &Change) -> Result<(), Refusal> {
    if change.keywords.is_empty() || change.how == How::Remove {
        return Ok(());
    }
    let known = view.mailbox.keywords();
    let is_known = |keyword: &str| known.iter().any(|one| one.eq_ignore_ascii_case(keyword));
    let new = change.keywords.iter().filter(|keyword| !is_known(keyword)).count();
    if known.len().saturating_add(new) > answer::KEYWORDS_MAX {
        return Err(Refusal::Limit("The mailbox has 64 keywords already"));
    }
    Ok(())
}
