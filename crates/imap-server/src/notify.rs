//! What a client wants to be told unasked, and what it was told so far (RFC 5465).
//!
//! A session watches whole trees of mailboxes, not each mailbox: however many a client names, it costs one entry in a table
//! of the store, and nothing is done while nothing changes. A change is noted by a thread of the store in [`Heard`], which
//! wakes the session; what changed is found by comparing with [`Known`]. So nothing depends on an event's getting through:
//! when too many come, everything is compared.

mod looking;
mod names;
mod rows;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use connection::{Output, Waker};
use imap_wire::Command;
use imap_wire::command::filter::Filter;
use imap_wire::command::notify::{Events, Selected, Set};
use imap_wire::mailbox::Naming;
use message_store::{Event, MailboxName, Status, Watch};

use crate::names::{self as client_names, Who};
use crate::refusal::Refusal;
use crate::server::Server;

pub use looking::Notifying;

/// Changed mailboxes that are noted one by one; of more, all are looked at.
const HEARD_MAX: usize = 1000;

/// What one session watches. Without groups and without events of the selected mailbox it is NOTIFY NONE.
pub struct Notified {
    /// Events of the messages of the selected mailbox.
    selected: Selected,
    groups: Vec<Group>,
    heard: Arc<Heard>,
    _watches: Vec<Watch>,
    /// Ascending by id.
    known: Vec<Known>,
    /// Sorted; empty unless subscriptions matter.
    subscribed: Vec<String>,
    /// Of the server's annotations, and of the user's about the server.
    serials: (u64, u64),
    /// The mailbox that was selected when the session last looked.
    current: Option<u128>,
    /// New messages of the selected mailbox from this UID on are fetched at the next look.
    fetch_from: Option<u32>,
    own: Own,
    /// Mailboxes that may not be looked into, to be told with the command.
    closed: Vec<rows::Row>,
    /// Wakes the session when the selected mailbox changes.
    selected_watch: Option<Watch>,
    /// What had gathered in the selected mailbox before is to be told, whatever the events.
    is_new: bool,
}

/// One group of events, names as the client says them.
struct Group {
    filter: Filter,
    names: Vec<String>,
    events: Events,
}

/// A mailbox that is watched.
struct Known {
    id: u128,
    name: MailboxName,
    events: Events,
    seen: Seen,
    /// Of its annotations.
    serial: u64,
}

/// What the client knows of the messages of a mailbox that is not selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    exists: u32,
    unseen: u32,
    uid_next: u32,
    modseq: u64,
}

impl From<&Status> for Seen {
    fn from(status: &Status) -> Seen {
        let Status { exists, unseen, uid_next, highest_modseq, .. } = *status;
        Seen { exists, unseen, uid_next, modseq: highest_modseq }
    }
}

/// What changed since the session last looked.
struct Heard {
    pending: Mutex<Pending>,
    waker: Waker,
}

#[derive(Default)]
struct Pending {
    mailboxes: BTreeSet<u128>,
    names: bool,
    server: bool,
    everything: bool,
}

impl Heard {
    fn hear(&self, what: Event) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match what {
            Event::Mailbox(id) if pending.mailboxes.len() < HEARD_MAX => {
                pending.mailboxes.insert(id);
            }
            Event::Names => pending.names = true,
            Event::Mailbox(_) | Event::Anything => pending.everything = true,
        }
        drop(pending);
        self.waker.wake();
    }

    fn hear_of_server(&self) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).server = true;
        self.waker.wake();
    }

    fn take(&self) -> Pending {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the client did itself, which it is not told (RFC 5465 §5).
#[derive(Default)]
pub struct Own {
    /// Names that it made, deleted, renamed, subscribed to.
    names: Vec<MailboxName>,
    /// Entries that it set; without a name: the server's.
    entries: Vec<(Option<MailboxName>, String)>,
    /// Mailboxes into which it put messages, by one change of each.
    filled: Vec<MailboxName>,
}

impl Own {
    /// What a command changes when it succeeds.
    pub fn of(command: &Command, who: Who<'_>) -> Own {
        let of = |mailbox: &imap_wire::Mailbox| {
            let name = client_names::named(mailbox).ok()?;
            who.to_store(name.strip_suffix('/').unwrap_or(name)).ok()
        };
        let mut own = Own::default();
        match command {
            Command::Create(create) => own.names.extend(of(&create.mailbox)),
            Command::Delete(mailbox) | Command::Subscribe(mailbox) | Command::Unsubscribe(mailbox) => {
                own.names.extend(of(mailbox));
            }
            Command::Rename(from, to) => own.names.extend([of(from), of(to)].into_iter().flatten()),
            Command::Copy(selected) | Command::Move(selected) => own.filled.extend(of(&selected.to)),
            Command::SetMetadata(set) => {
                let name = of(&set.mailbox);
                own.entries.extend(set.values.iter().map(|(entry, _)| (name.clone(), entry.clone())));
            }
            _ => {}
        }
        own
    }

    /// Messages were put into a mailbox.
    pub fn filled(name: MailboxName) -> Own {
        Own { filled: vec![name], ..Own::default() }
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.entries.is_empty() && self.filled.is_empty()
    }

    /// Whether all that happened in a mailbox between two modification sequence numbers is the client's own change.
    fn explains(&self, name: &MailboxName, before: u64, now: u64) -> bool {
        self.filled.contains(name) && before.checked_add(1) == Some(now)
    }

    fn has(&self, name: &MailboxName) -> bool {
        self.names.contains(name)
    }

    fn has_entry(&self, name: Option<&MailboxName>, entry: &str) -> bool {
        self.entries.iter().any(|(own, one)| own.as_ref() == name && one.eq_ignore_ascii_case(entry))
    }
}

impl Notified {
    /// Begins to watch, and finds what there is to watch. The mailboxes themselves are not looked at yet: see
    /// [`Notified::take_up`].
    ///
    /// # Errors
    /// Too many mailboxes; the subscriptions cannot be read.
    pub fn watching(server: &Server, who: Who<'_>, set: Set, waker: Waker) -> Result<Notified, Refusal> {
        let mut notified = Notified::none(waker);
        notified.selected = set.selected.unwrap_or_default();
        notified.groups = set.groups.into_iter().map(|group| Group::new(group, who)).collect();
        notified.selected.fetch.iter_mut().for_each(only_peek);
        if notified.needs_subscriptions() {
            notified.subscribed = names::subscriptions(server, who)?;
        }
        notified._watches = notified.watches(server, who);
        if notified.all_events().contains(Events::SERVER_METADATA_CHANGE) {
            notified.serials = names::server_serials(server, who)?;
        }
        notified.closed = notified.learn(server, who)?;
        Ok(notified)
    }

    /// NOTIFY NONE: the client is told nothing, not of the selected mailbox either.
    pub fn none(waker: Waker) -> Notified {
        Notified {
            selected: Selected::default(),
            groups: Vec::new(),
            heard: Arc::new(Heard { pending: Mutex::default(), waker }),
            _watches: Vec::new(),
            known: Vec::new(),
            subscribed: Vec::new(),
            serials: (0, 0),
            current: None,
            fetch_from: None,
            own: Own::default(),
            closed: Vec::new(),
            selected_watch: None,
            is_new: true,
        }
    }

    /// RFC 5465 §3.1: mailboxes that the user may know of, and not look into.
    pub fn tell_closed(&mut self, naming: Naming, out: &mut Output) {
        std::mem::take(&mut self.closed).iter().for_each(|row| row.tell(naming, out));
    }

    /// As after NOTIFY NONE.
    pub fn silenced(&self) -> Notified {
        Notified { is_new: false, ..Notified::none(self.heard.waker.clone()) }
    }

    /// Looks at the mailbox at this place among those that are watched: id, name and events. What was there until now is
    /// known from now on.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn take_up(
        &mut self,
        at: usize,
        server: &Server,
    ) -> Result<Option<(u128, MailboxName, Events)>, Refusal> {
        let Some(known) = self.known.get_mut(at) else { return Ok(None) };
        known.take_up(server)?;
        Ok(Some((known.id, known.name.clone(), known.events)))
    }

    /// New messages from this UID on were announced, and are to be fetched.
    fn fetch_from(&mut self, uid: u32) {
        let earlier = self.fetch_from.unwrap_or(uid);
        self.fetch_from = Some(earlier.min(uid)).filter(|_| !self.selected.fetch.is_empty());
    }

    /// The client changed this itself.
    pub fn note_own(&mut self, own: Own) {
        if !own.is_empty() {
            let mut pending = self.heard.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.names |= !own.names.is_empty() || !own.entries.is_empty();
            pending.server |= own.entries.iter().any(|(name, _)| name.is_none());
            drop(pending);
            self.own = own;
        }
    }

    fn all_events(&self) -> Events {
        self.groups.iter().fold(Events::NONE, |all, group| all.with(group.events))
    }

    fn needs_subscriptions(&self) -> bool {
        self.all_events().contains(Events::SUBSCRIPTION_CHANGE)
            || self.groups.iter().any(|group| group.filter == Filter::Subscribed)
    }

    fn place_of(&self, id: u128) -> Result<usize, usize> {
        self.known.binary_search_by_key(&id, |known| known.id)
    }
}

impl Group {
    fn new(group: imap_wire::command::notify::Group, who: Who<'_>) -> Group {
        let mailboxes = match &group.filter {
            Filter::Inboxes | Filter::Personal | Filter::Subscribed => &[][..],
            Filter::Subtree(named) | Filter::SubtreeOne(named) | Filter::Mailboxes(named) => named,
        };
        // RFC 5465 §3.1: what cannot be a mailbox is ignored.
        let canonical = |mailbox: &imap_wire::Mailbox| {
            let name = who.to_store(client_names::named(mailbox).ok()?).ok()?;
            Some(who.to_client(&name))
        };
        let names = mailboxes.iter().filter_map(canonical).collect();
        Group { filter: group.filter, names, events: group.events }
    }

    /// Whether a mailbox is meant.
    fn has(&self, name: &MailboxName, called: &str, who: Who<'_>, subscribed: &[String]) -> bool {
        match &self.filter {
            // Mail is delivered to any of a user's mailboxes: a folder of the address, or a program, says which.
            Filter::Inboxes | Filter::Personal => name.owner() == Some(who.uid),
            Filter::Subscribed => subscribed.binary_search_by(|one| one.as_str().cmp(called)).is_ok(),
            Filter::Mailboxes(_) => self.names.iter().any(|one| one == called),
            Filter::Subtree(_) => self.names.iter().any(|one| is_within(called, one)),
            Filter::SubtreeOne(_) => self.names.iter().any(|one| is_directly_within(called, one)), // RFC 7377 §6
        }
    }
}

/// Whether a name is `above`, or below it.
fn is_within(name: &str, above: &str) -> bool {
    name.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a name is `above`, or directly below it.
fn is_directly_within(name: &str, above: &str) -> bool {
    is_within(name, above) && name[above.len()..].matches('/').count() <= 1
}

/// What is told unasked marks nothing as read (RFC 5465 §5.2 asks clients not to ask for it).
fn only_peek(item: &mut imap_wire::FetchItem) {
    match item {
        imap_wire::FetchItem::Section(section) => section.peek = true,
        imap_wire::FetchItem::Binary(binary) => binary.peek = true,
        _ => {}
    }
}
