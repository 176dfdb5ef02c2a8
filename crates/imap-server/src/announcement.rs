//! What a view has to tell its client, and how far it was told (RFC 3501 §7.3, §7.4).
//!
//! A million expunges are told in pieces: only their numbers wait, not their lines.

use connection::Output;
use message_store::UidSet;

use crate::answer;
use crate::commands::Progress;
use crate::context::{self, Updates};
use crate::view::View;

/// News of one mailbox. The view they belong to has taken them in already.
#[derive(Default)]
pub struct Announcement {
    /// Sequence numbers, each as it is when its EXPUNGE is sent.
    pub expunged: Vec<u32>,
    /// EXISTS and RECENT, when there are new messages.
    pub counts: Option<(u32, u32)>,
    /// Slots whose flags changed.
    pub flags: Vec<u32>,
    with_uid: bool,
    /// For a client with QRESYNC or UIDONLY: UIDs instead of `expunged`.
    vanished: Option<UidSet>,
    expunged_told: usize,
    flags_told: usize,
    /// Results that are kept up to date (RFC 5267 §4.3).
    pub updates: Option<Box<Updates>>,
    gone_told: bool,
}

impl Announcement {
    /// Nothing yet; `with_uid`: changes of flags are told with UIDs; `as_vanished`: so are expunges.
    pub fn new(with_uid: bool, as_vanished: bool) -> Announcement {
        Announcement { with_uid, vanished: as_vanished.then(UidSet::new), ..Announcement::default() }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        let vanished = self.vanished.as_ref().is_none_or(UidSet::is_empty);
        vanished && self.expunged.is_empty() && self.counts.is_none() && self.flags.is_empty()
    }

    /// UIDs that are gone, ascending.
    pub fn vanish(&mut self, uids: impl Iterator<Item = u32>) {
        if let Some(vanished) = &mut self.vanished {
            uids.for_each(|uid| vanished.push(uid));
        }
    }

    /// RFC 7162 §3.2.10: VANISHED takes the place of EXPUNGE.
    fn tell_vanished(&mut self, out: &mut Output) -> Progress {
        let Some(vanished) = &self.vanished else { return Progress::Done };
        for line in vanished.ranges().chunks(answer::RANGES_PER_LINE).skip(self.expunged_told) {
            if out.is_full() {
                return Progress::More;
            }
            answer::vanished(out, line, false);
            self.expunged_told += 1;
        }
        Progress::Done
    }

    fn tell_expunged(&mut self, out: &mut Output) -> Progress {
        while let Some(&number) = self.expunged.get(self.expunged_told) {
            if out.is_full() {
                return Progress::More;
            }
            answer::number(out, number, b"EXPUNGE");
            self.expunged_told += 1;
        }
        Progress::Done
    }

    /// Writes until the queue is full.
    pub fn step(&mut self, view: &mut View, out: &mut Output) -> Progress {
        if self.updates.is_some()
            && !self.expunged.is_empty()
            && !std::mem::replace(&mut self.gone_told, true)
        {
            context::tell_gone(view, out);
        }
        let gone = if self.vanished.is_some() { self.tell_vanished(out) } else { self.tell_expunged(out) };
        if gone == Progress::More {
            return gone;
        }
        if let Some((exists, recent)) = self.counts.take() {
            answer::number(out, exists, b"EXISTS");
            if !view.enabled().rev2() {
                answer::number(out, recent, b"RECENT");
            }
        }
        if self.flags_told < self.flags.len() {
            let keywords = view.mailbox.keywords();
            view.tell_keywords(&keywords, out);
            while let Some(&slot) = self.flags.get(self.flags_told) {
                if out.is_full() {
                    return Progress::More;
                }
                view.tell_flags(slot, self.with_uid, &keywords, out);
                self.flags_told += 1;
            }
        }
        match &mut self.updates {
            Some(updates) => updates.step(view, out),
            None => Progress::Done,
        }
    }
}
