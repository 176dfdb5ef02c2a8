//! Looking at what changed, and telling it piece by piece as the output queue has room.

use std::collections::VecDeque;

use connection::Output;
use imap_wire::command::fetch::Fetch as Asked;
use imap_wire::command::notify::Events;
use imap_wire::{Bound, SequenceSet, StatusItem};
use message_store::{Annotations, MailboxName, Rights, StoreError};

use super::rows::Row;
use super::{Notified, Own, Pending, Seen};
use crate::announcement::Announcement;
use crate::answer;
use crate::commands::fetch::Fetch;
use crate::commands::{News, Progress, status};
use crate::names::Who;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::State;
use crate::view::{Allowed, Told, View};

/// What is being told.
#[derive(Default)]
pub struct Notifying {
    tasks: VecDeque<Task>,
    /// Of the selected mailbox.
    news: Option<Announcement>,
    /// Its new messages.
    fetch: Option<Fetch>,
    /// More is watched than may be: the end of all notices.
    overflows: bool,
}

enum Task {
    Row(Row),
    /// A mailbox that may have changed.
    Mailbox(u128),
    Server,
}

impl Notifying {
    /// Whether there is nothing to tell.
    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.news.is_none() && self.fetch.is_none() && !self.overflows
    }
}

impl Notified {
    /// What there is to tell now, between two commands or in IDLE.
    ///
    /// # Errors
    /// The selected mailbox, or the list, cannot be read.
    pub fn look(
        &mut self,
        server: &Server,
        state: &mut State,
        is_idle: bool,
    ) -> Result<Option<Notifying>, Refusal> {
        let Some(user) = state.user().cloned() else { return Ok(None) };
        let who = user.who();
        let mut notifying = Notifying::default();
        self.is_new = false;
        let pending = self.heard.take();
        self.follow_selection(server, state.view(), &mut notifying.tasks)?;
        if let Some(view) = state.view() {
            self.look_at_selected(view, is_idle, &mut notifying)?;
        }
        self.look_around(server, who, pending, &mut notifying)?;
        if notifying.is_empty() {
            self.own = Own::default();
            return Ok(None);
        }
        Ok(Some(notifying))
    }

    /// A mailbox that is not selected any more is watched like others again.
    fn follow_selection(
        &mut self,
        server: &Server,
        view: Option<&mut View>,
        tasks: &mut VecDeque<Task>,
    ) -> Result<(), Refusal> {
        let now = view.as_ref().map(|view| view.mailbox.id());
        if self.current != now {
            tasks.extend(self.current.map(Task::Mailbox));
            self.fetch_from = None;
            self.current = now;
            let watched = view.as_ref().filter(|_| !self.selected.events.is_empty());
            self.selected_watch = watched.map(|view| {
                let waker = self.heard.waker.clone();
                server.store.watch(&view.mailbox, Box::new(move || waker.wake()))
            });
        }
        let (Some(view), Some(at)) = (view, now.and_then(|id| self.place_of(id).ok())) else { return Ok(()) };
        let status = view.mailbox.status()?;
        if view.knows(&status) {
            self.known[at].seen = Seen::from(&status);
        }
        Ok(())
    }

    /// RFC 5465 §6.1
    fn look_at_selected(
        &mut self,
        view: &mut View,
        is_idle: bool,
        notifying: &mut Notifying,
    ) -> Result<(), Refusal> {
        let allowed = if self.selected.is_delayed && !is_idle { Allowed::NoExpunge } else { Allowed::All };
        if self.selected.events.contains(Events::MESSAGES) {
            notifying.news = self.announce(view, allowed, &Told::new())?;
        }
        let Some(from) = self.fetch_from.take() else { return Ok(()) };
        if from <= view.last_uid() {
            let set = SequenceSet(vec![(Bound::Number(from), Bound::Last)]);
            let items = self.selected.fetch.clone();
            let asked = Asked { uid: true, set, items, changed_since: None, vanished: false, partial: None };
            notifying.fetch = Some(Fetch::new(asked, view, None)?);
        }
        Ok(())
    }

    /// News of the selected mailbox at the end of a command; `is_result`: what the command did is among them. Nothing when the
    /// client wants to know of no messages.
    ///
    /// # Errors
    /// As [`View::announce`].
    pub fn announce_behind(
        &mut self,
        view: &mut View,
        news: &News,
        is_result: bool,
    ) -> Result<Option<Announcement>, StoreError> {
        if std::mem::take(&mut self.is_new) || (is_result && self.selected.events.is_empty()) {
            return view.announce(news.allowed, &news.told, news.with_uid);
        }
        match self.selected.events.is_empty() {
            true => Ok(None),
            false => self.announce(view, news.allowed, &news.told),
        }
    }

    /// News as far as they are wanted; new messages are fetched at the next look.
    fn announce(
        &mut self,
        view: &mut View,
        allowed: Allowed,
        told: &Told,
    ) -> Result<Option<Announcement>, StoreError> {
        let (last, before, flags_before) = (view.last_uid(), view.highest_told(), view.flags_announced());
        let mut news = view.announce(allowed, told, true)?;
        if let Some(news) = &mut news {
            // RFC 5465 §5.2: what the client made itself is not fetched.
            let is_own = self.own.explains(&view.mailbox.name(), before, view.highest_told());
            if news.counts.is_some() && !is_own {
                self.fetch_from(last.saturating_add(1));
            }
            if !self.selected.events.contains(Events::FLAG_CHANGE) {
                news.flags.clear();
            }
        }
        // While expunges are delayed there is always an announcement; results are asked about once for each change.
        let is_newer = view.flags_announced() > flags_before;
        Ok(news.filter(|news| !news.is_empty() || (is_newer && news.updates.is_some())))
    }

    /// Everything but the selected mailbox.
    fn look_around(
        &mut self,
        server: &Server,
        who: Who<'_>,
        pending: Pending,
        notifying: &mut Notifying,
    ) -> Result<(), Refusal> {
        let tasks = &mut notifying.tasks;
        if pending.names || pending.everything {
            match self.look_at_names(server, who) {
                Ok((rows, fresh)) => {
                    tasks.extend(rows.into_iter().map(Task::Row));
                    tasks.extend(fresh.into_iter().map(Task::Mailbox));
                }
                Err(Refusal::NotificationOverflow) => notifying.overflows = true,
                Err(other) => return Err(other),
            }
        }
        match pending.everything {
            true => tasks.extend(self.known.iter().map(|known| Task::Mailbox(known.id))),
            false => tasks.extend(pending.mailboxes.into_iter().map(Task::Mailbox)),
        }
        let is_own = |name: &MailboxName| {
            self.own.filled.contains(name)
                || self.own.entries.iter().any(|(own, _)| own.as_ref() == Some(name))
        };
        let own = self.known.iter().filter(|known| is_own(&known.name));
        tasks.extend(own.map(|known| Task::Mailbox(known.id)));
        if pending.server || pending.names || pending.everything {
            tasks.push_back(Task::Server);
        }
        Ok(())
    }

    /// Tells until the output queue is full.
    ///
    /// # Errors
    /// The selected mailbox, or another, cannot be read.
    pub fn step(
        &mut self,
        notifying: &mut Notifying,
        server: &Server,
        state: &mut State,
        out: &mut Output,
    ) -> Result<Progress, Refusal> {
        if let Some(view) = state.view() {
            if let Some(news) = &mut notifying.news {
                if news.step(view, out) == Progress::More {
                    return Ok(Progress::More);
                }
                notifying.news = None;
            }
            if let Some(fetch) = &mut notifying.fetch {
                if fetch.step(view, out)? == Progress::More {
                    return Ok(Progress::More);
                }
                notifying.fetch = None;
            }
        }
        let Some(user) = state.user().cloned() else { return Ok(Progress::Done) };
        let has_condstore = user.enabled.condstore();
        while let Some(task) = notifying.tasks.pop_front() {
            match task {
                Task::Row(row) => row.tell(user.enabled.naming(), out),
                Task::Mailbox(id) => self.tell_mailbox(server, user.who(), id, has_condstore, out)?,
                Task::Server => self.tell_server(server, user.who(), out)?,
            }
            if out.is_full() && !notifying.tasks.is_empty() {
                return Ok(Progress::More);
            }
        }
        self.own = Own::default();
        if notifying.overflows {
            // RFC 5465 §5.8
            answer::tagged(out, b"*", "OK", "NOTIFICATIONOVERFLOW", "More mailboxes than may be watched");
            *self = self.silenced();
        }
        Ok(Progress::Done)
    }

    fn tell_mailbox(
        &mut self,
        server: &Server,
        who: Who<'_>,
        id: u128,
        has_condstore: bool,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        let Ok(at) = self.place_of(id) else { return Ok(()) };
        let is_selected = self.current == Some(id);
        let known = &mut self.known[at];
        let mailbox = match server.store.open_mailbox(&known.name) {
            Err(StoreError::NotFound) => return Ok(()), // the names will tell
            other => other?,
        };
        if mailbox.id() != id {
            return Ok(()); // another of the same name; the names will tell
        }
        let rights = server.rights_of_open(who, &known.name, id)?;
        if !rights.contains(Rights::LOOKUP | Rights::READ) {
            return Ok(()); // not any more; the names will tell
        }
        if known.events.has_any(Events::MESSAGES) && !is_selected {
            let seen = Seen::from(&mailbox.status()?);
            let items = status_items(known.events, &known.seen, &seen, has_condstore);
            let is_own = self.own.explains(&known.name, known.seen.modseq, seen.modseq);
            if !items.is_empty() && !is_own {
                let append_bytes_max = server.settings().append_bytes_max;
                status::row(
                    &mailbox,
                    who.apart_in(&known.name),
                    &who.to_client(&known.name),
                    who.naming,
                    &items,
                    append_bytes_max,
                    out,
                )?;
            }
            known.seen = seen;
        }
        if known.events.contains(Events::MAILBOX_METADATA_CHANGE) {
            let annotations = mailbox.annotations()?;
            let own = &self.own;
            let is_told = |entry: &str| !own.has_entry(Some(&known.name), entry);
            tell_entries(&annotations, known.serial, who, &who.to_client(&known.name), is_told, out);
            known.serial = annotations.serial();
        }
        Ok(())
    }

    /// RFC 5465 §5.7
    fn tell_server(&mut self, server: &Server, who: Who<'_>, out: &mut Output) -> Result<(), Refusal> {
        if !self.all_events().contains(Events::SERVER_METADATA_CHANGE) {
            return Ok(());
        }
        let (shared, private) = (server.store.server_annotations()?, server.store.user_annotations(who.uid)?);
        let is_told = |entry: &str| !self.own.has_entry(None, entry);
        tell_entries(&shared, self.serials.0, who, "", is_told, out);
        tell_entries(&private, self.serials.1, who, "", is_told, out);
        self.serials = (shared.serial(), private.serial());
        Ok(())
    }
}

/// `* METADATA "INBOX" /shared/comment /private/comment`: what changed behind a serial number (RFC 5464 §4.4.2).
fn tell_entries(
    annotations: &Annotations,
    serial: u64,
    who: Who<'_>,
    mailbox: &str,
    is_told: impl Fn(&str) -> bool,
    out: &mut Output,
) {
    let visible = annotations.since(serial).filter(|one| one.owner.is_empty() || one.owner == who.uid);
    let mut entries = visible.map(|one| one.entry.as_str()).filter(|entry| is_told(entry)).peekable();
    if entries.peek().is_none() {
        return;
    }
    out.push(b"* METADATA ");
    answer::name(out, mailbox, who.naming);
    for entry in entries {
        out.push(b" ");
        answer::entry(out, entry);
    }
    out.push(b"\r\n");
}

/// What a STATUS response says of what changed; nothing when nothing is to be told (RFC 5465 §5.1 to §5.3).
fn status_items(events: Events, old: &Seen, new: &Seen, has_condstore: bool) -> Vec<StatusItem> {
    let mut items = Vec::new();
    let is_first = old.uid_next == 0;
    let messages = old.exists != new.exists || (old.uid_next != new.uid_next && !is_first);
    if messages {
        items.extend([StatusItem::UidNext, StatusItem::Messages]);
    }
    let flags = events.contains(Events::FLAG_CHANGE) && old.modseq != new.modseq && !is_first;
    if events.contains(Events::FLAG_CHANGE) && old.unseen != new.unseen {
        items.push(StatusItem::Unseen);
    }
    if has_condstore && (messages || flags) {
        items.push(StatusItem::HighestModSeq);
    }
    if !items.is_empty() && (is_first || events.contains(Events::FLAG_CHANGE)) {
        items.push(StatusItem::UidValidity);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use StatusItem::{HighestModSeq, Messages, UidNext, UidValidity, Unseen};

    #[test]
    fn a_status_tells_what_is_wanted_and_nothing_else() {
        let old = Seen { exists: 3, unseen: 1, uid_next: 4, modseq: 10 };
        let come = Seen { exists: 4, unseen: 2, uid_next: 5, modseq: 11 };
        let gone = Seen { exists: 2, modseq: 11, ..old };
        let read = Seen { unseen: 0, modseq: 11, ..old };
        let flagged = Seen { modseq: 11, ..old };
        let (messages, flags) = (Events::MESSAGES, Events::MESSAGES.with(Events::FLAG_CHANGE));
        for (events, new, condstore, expected) in [
            (messages, come, false, &[UidNext, Messages][..]),
            (messages, come, true, &[UidNext, Messages, HighestModSeq]),
            (messages, gone, false, &[UidNext, Messages]),
            (messages, read, true, &[]),
            (flags, old, true, &[]),
            (flags, come, false, &[UidNext, Messages, Unseen, UidValidity]),
            (flags, read, false, &[Unseen, UidValidity]),
            (flags, read, true, &[Unseen, HighestModSeq, UidValidity]),
            (flags, flagged, false, &[]),
            (flags, flagged, true, &[HighestModSeq, UidValidity]),
        ] {
            assert_eq!(status_items(events, &old, &new, condstore), expected, "{events:?} {new:?}");
        }
        let empty = Seen { uid_next: 1, modseq: 1, ..Seen::default() };
        assert_eq!(status_items(flags, &Seen::default(), &empty, true), []);
        let filled = Seen { exists: 1, uid_next: 2, modseq: 2, unseen: 0 };
        assert_eq!(
            status_items(messages, &Seen::default(), &filled, false),
            [UidNext, Messages, UidValidity]
        );
    }
}
