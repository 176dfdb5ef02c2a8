//! STORE, UID STORE: changes flags (RFC 3501 §6.4.6). Each batch is durable before it is answered.

use connection::Output;
use message_store::{FlagChange, FlagResult, Flags, How, Within};

use crate::answer;
use crate::commands::Progress;
use crate::flags;
use crate::message_limit::{self, Cut};
use crate::refusal::Refusal;
use crate::sequences::{self, Walk};
use crate::view::{Told, View};

/// Messages changed at once; then others have their turn.
const BATCH: usize = 8192;

/// A STORE under way.
pub struct StoreFlags {
    pub uid: bool,
    how: How,
    silent: bool,
    /// Messages that changed after this are left alone (RFC 7162 §3.1.3).
    unchanged_since: Option<u64>,
    /// Those that were, as the client named them: sequence numbers or UIDs, ascending.
    refused: Vec<u32>,
    flags: Flags,
    keywords: Vec<String>,
    /// The flags that the user may change.
    within: Within,
    walk: Walk,
    /// Where it ends, when it is for more than `service.imap.messagelimit` messages.
    pub cut: Option<Cut>,
    /// Changes that need not be announced any more.
    pub told: Told,
}

impl StoreFlags {
    /// A STORE of the messages of the view.
    ///
    /// # Errors
    /// A message that does not exist, a mailbox that takes no changes, more keywords than it can have.
    pub fn new(asked: imap_wire::Store, view: &View, most: Option<u32>) -> Result<StoreFlags, Refusal> {
        let ranges = sequences::resolve(&asked.set, view, asked.uid)?;
        if view.is_read_only() {
            return Err(Refusal::ReadOnly);
        }
        let within = view.within();
        let flags = flags::of_list(&asked.flags);
        check_rights(&asked, flags, within)?;
        let (ranges, cut) = message_limit::bound(ranges, most, view);
        let how = match asked.how {
            imap_wire::How::Add => How::Add,
            imap_wire::How::Remove => How::Remove,
            imap_wire::How::Replace => How::Replace,
        };
        let store = StoreFlags {
            uid: asked.uid,
            how,
            silent: asked.silent,
            unchanged_since: asked.unchanged_since,
            refused: Vec::new(),
            flags,
            keywords: if within.keywords { asked.flags.keywords } else { Vec::new() },
            within,
            walk: Walk::new(ranges),
            cut,
            told: Told::new(),
        };
        store.check_room(view)?;
        Ok(store)
    }

    /// Changes and tells one batch.
    pub fn step(&mut self, view: &mut View, out: &mut Output) -> Result<Progress, Refusal> {
        if out.is_full() {
            return Ok(Progress::More);
        }
        let batch: Vec<u32> = self.walk.ahead(BATCH).collect();
        if batch.is_empty() {
            return Ok(Progress::Done);
        }
        let uids = view.uids_of(batch.iter().copied());
        let change = FlagChange { how: self.how, flags: self.flags, keywords: &self.keywords };
        let result = match uids.is_empty() {
            true => FlagResult::default(),
            false => view.change_flags(&uids, change, self.within, self.unchanged_since)?,
        };
        self.refused.extend(result.refused.iter().map(|uid| match self.uid {
            true => *uid,
            false => view.sequence_from_uid(*uid),
        }));
        let keywords = view.mailbox.keywords();
        view.tell_keywords(&keywords, out);
        if self.silent {
            self.tell_silently(&result, view, out);
        } else {
            self.tell(&batch, &result, view, &keywords, out);
        }
        for _ in &batch {
            self.walk.advance();
        }
        Ok(if self.walk.peek().is_some() { Progress::More } else { Progress::Done })
    }

    /// Nothing of the flags. Who watches modification sequences is told the new one (RFC 7162 §3.1.3).
    fn tell_silently(&mut self, result: &FlagResult, view: &View, out: &mut Output) {
        for uid in &result.changed {
            let sequence = view.sequence_from_uid(*uid);
            let Some((slot, record)) = view.record(sequence).filter(|(_, record)| record.uid == *uid) else {
                continue;
            };
            self.told.push((slot, result.modseq));
            let shown = view.shown(self.uid);
            if shown.modseq {
                answer::fetch_begins(out, sequence, *uid, shown);
                if shown.uid {
                    out.push(b"UID ");
                    answer::digits(out, u64::from(*uid));
                    out.push(b" ");
                }
                let is_apart = view.apart.is_some();
                answer::modseq(out, if is_apart { record.modseq } else { result.modseq });
                out.push(b")\r\n");
            }
        }
    }

    /// What the tagged response says of those left alone: `MODIFIED 7,9`; empty when there are none.
    pub fn modified(&self) -> String {
        if self.refused.is_empty() {
            return String::new();
        }
        format!("MODIFIED {}", answer::uid_set(self.refused.iter().copied()))
    }

    /// RFC 3501 §6.4.6: the new value of every message named, changed or not; but not of those left alone.
    fn tell(
        &mut self,
        batch: &[u32],
        result: &FlagResult,
        view: &View,
        keywords: &[String],
        out: &mut Output,
    ) {
        for &sequence in batch {
            let Some((slot, record)) = view.record(sequence) else { continue };
            if record.flags.contains(Flags::EXPUNGED) || result.refused.binary_search(&record.uid).is_ok() {
                continue;
            }
            let recent = view.is_recent(record.uid);
            answer::flags_update(out, sequence, view.shown(self.uid), &record, recent, keywords);
            self.told.push(view.told_of(slot));
        }
    }

    /// New keywords must fit before anything changes.
    fn check_room(&self, view: &View) -> Result<(), Refusal> {
        if self.keywords.is_empty() || self.how == How::Remove {
            return Ok(());
        }
        let known = view.mailbox.keywords();
        let is_known = |keyword: &str| known.iter().any(|one| one.eq_ignore_ascii_case(keyword));
        let new = self.keywords.iter().filter(|keyword| !is_known(keyword)).count();
        if known.len().saturating_add(new) > answer::KEYWORDS_MAX {
            return Err(Refusal::Limit("The mailbox has 64 keywords already"));
        }
        Ok(())
    }
}

/// Refused only when none of the flags may be changed (RFC 4314 §4); FLAGS changes all of them.
fn check_rights(asked: &imap_wire::Store, flags: Flags, within: Within) -> Result<(), Refusal> {
    let changes_nothing = within == Within::NOTHING;
    let names_none = flags.is_empty() && asked.flags.keywords.is_empty();
    let names_one =
        !(flags & within.flags).is_empty() || (within.keywords && !asked.flags.keywords.is_empty());
    if names_one || (!changes_nothing && (names_none || asked.how == imap_wire::How::Replace)) {
        return Ok(());
    }
    Err(Refusal::NoPermission)
}
