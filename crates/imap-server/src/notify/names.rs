//! Which mailboxes the groups mean, and what became of names and subscriptions since the session last looked.

use std::collections::BTreeMap;
use std::sync::Arc;

use imap_wire::command::filter::Filter;
use imap_wire::command::notify::Events;
use message_store::{MailboxName, Rights, StoreError, Watch};

use super::rows::{self, Row};
use super::{Known, Notified, Seen, is_within};
use crate::names::Who;
use crate::refusal::Refusal;
use crate::server::Server;

/// Names that are read from the list at once.
const PAGE: usize = 500;

/// The mailboxes that are meant.
#[derive(Default)]
struct Found {
    /// By id.
    seen: BTreeMap<u128, (MailboxName, Events)>,
    /// The user may know of them, and not look into them.
    closed: Vec<MailboxName>,
}

pub fn subscriptions(server: &Server, who: Who<'_>) -> Result<Vec<String>, Refusal> {
    let mut names = server.store.subscriptions(who.uid)?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Of the annotations of the server, and of the user's about it.
pub fn server_serials(server: &Server, who: Who<'_>) -> Result<(u64, u64), Refusal> {
    let store = &server.store;
    Ok((store.server_annotations()?.serial(), store.user_annotations(who.uid)?.serial()))
}

impl Notified {
    /// The events that are wanted of a mailbox.
    fn events_of(&self, name: &MailboxName, called: &str, who: Who<'_>) -> Events {
        let meant = self.groups.iter().filter(|group| group.has(name, called, who, &self.subscribed));
        meant.fold(Events::NONE, |all, group| all.with(group.events))
    }

    /// Names of others that are meant, by a group or a subscription.
    fn roots(&self, who: Who<'_>) -> Vec<MailboxName> {
        let named = self.groups.iter().flat_map(|group| &group.names);
        let subscribed = self.groups.iter().any(|group| group.filter == Filter::Subscribed);
        let subscribed = self.subscribed.iter().filter(|_| subscribed);
        let mut roots: Vec<MailboxName> = named
            .chain(subscribed)
            .filter_map(|name| who.to_store(name).ok())
            .filter(|name| name.owner() != Some(who.uid))
            .collect();
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    /// Watches of the user's tree, of those of others that are meant, and of the server.
    pub(super) fn watches(&self, server: &Server, who: Who<'_>) -> Vec<Watch> {
        let store = &server.store;
        let mut names: Vec<MailboxName> = MailboxName::inbox(who.uid).into_iter().collect();
        for root in self.roots(who) {
            let is_other = |one: &MailboxName| one.tree_path().get(..2) != root.tree_path().get(..2);
            if names.iter().all(is_other) {
                names.push(root);
            }
        }
        let mut watches: Vec<Watch> = if self.groups.is_empty() {
            Vec::new()
        } else {
            let watch = |name: &MailboxName| {
                let heard = Arc::clone(&self.heard);
                store.watch_tree(name, Box::new(move |what| heard.hear(what)))
            };
            names.iter().map(watch).collect()
        };
        if self.all_events().contains(Events::SERVER_METADATA_CHANGE) {
            let heard = Arc::clone(&self.heard);
            watches.push(store.watch_server(Box::new(move |_| heard.hear_of_server())));
        }
        watches
    }

    /// The selectable mailboxes of which anything is wanted.
    ///
    /// # Errors
    /// `NotificationOverflow` when they are too many.
    fn find(&self, server: &Server, who: Who<'_>) -> Result<Found, Refusal> {
        let most = server.settings().notify_mailboxes_max;
        let mut found = Found::default();
        let own = (!self.groups.is_empty()).then(|| format!("user/{}/", who.uid));
        let roots = self.roots(who).into_iter().map(|root| root.to_string());
        for prefix in own.into_iter().chain(roots) {
            let mut after: Option<MailboxName> = None;
            loop {
                let page = server.store.list(&prefix, after.as_ref(), PAGE)?;
                let is_last = page.len() < PAGE;
                after = page.last().map(|listed| listed.name.clone());
                for listed in page.into_iter().filter(|listed| listed.selectable) {
                    let events = self.events_of(&listed.name, &who.to_client(&listed.name), who);
                    if events.is_empty() {
                        continue;
                    }
                    let rights = server.rights(who, &listed.name)?;
                    if rights.contains(Rights::LOOKUP | Rights::READ) {
                        found.seen.insert(listed.id, (listed.name, events));
                    } else if rights.contains(Rights::LOOKUP) {
                        found.closed.push(listed.name);
                    }
                }
                if found.seen.len() > most || self.subscribed.len() > most {
                    return Err(Refusal::NotificationOverflow);
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Takes up what is there without telling it; rows of what the user may not look into (RFC 5465 §3.1).
    pub(super) fn learn(&mut self, server: &Server, who: Who<'_>) -> Result<Vec<Row>, Refusal> {
        let known = |(id, (name, events))| Known { id, name, events, seen: Seen::default(), serial: 0 };
        let found = self.find(server, who)?;
        self.known = found.seen.into_iter().map(known).collect();
        let closed = found.closed.iter().map(|name| rows::look(server, who, name, false));
        closed.collect()
    }

    /// Compares names and subscriptions with what is known: rows to be told, and mailboxes that are to be looked at.
    pub(super) fn look_at_names(
        &mut self,
        server: &Server,
        who: Who<'_>,
    ) -> Result<(Vec<Row>, Vec<u128>), Refusal> {
        let mut rows = Vec::new();
        let changed = self.look_at_subscriptions(server, who, &mut rows)?;
        let Found { seen: found, closed } = self.find(server, who)?;
        let is_filter = |name: &MailboxName| changed.contains(&who.to_client(name));
        let old: BTreeMap<u128, usize> =
            self.known.iter().zip(0..).map(|(known, at)| (known.id, at)).collect();
        let mut affected = Vec::new();
        let mut renamed = Vec::new();
        let mut fresh = Vec::new();
        let mut known = Vec::with_capacity(found.len());
        for (&id, (name, events)) in &found {
            let (name, events) = (name.clone(), *events);
            let Some(before) = old.get(&id).and_then(|at| self.known.get(*at)) else {
                let mut new = Known { id, events, seen: Seen::default(), serial: 0, name };
                if is_filter(&new.name) || self.own.has(&new.name) {
                    new.take_up(server)?; // it was there before, or is the client's own
                } else if events.contains(Events::MAILBOX_NAME) {
                    affected.push(new.name.clone());
                }
                fresh.push(id);
                known.push(new);
                continue;
            };
            let wants = events.with(before.events).contains(Events::MAILBOX_NAME);
            if before.name != name && wants && !self.own.has(&name) {
                renamed.push((before.name.clone(), name.clone()));
            }
            let mut now = Known { id, name, events, seen: before.seen, serial: before.serial };
            if !before.events.contains(events) {
                now.take_up(server)?; // more is wanted of it from now on
            }
            known.push(now);
        }
        // RFC 5465 §5.9: who lost the right to look into it is told, whatever was asked for.
        let is_told = |gone: &Known| {
            (gone.events.contains(Events::MAILBOX_NAME)
                && !is_filter(&gone.name)
                && !self.own.has(&gone.name))
                || closed.contains(&gone.name)
        };
        let gone = self.known.iter().filter(|known| !found.contains_key(&known.id) && is_told(known));
        affected.extend(gone.map(|known| known.name.clone()));
        self.known = known;
        let told = self.rows_of(server, who, affected, renamed)?;
        rows.extend(told);
        Ok((rows, fresh))
    }

    /// RFC 5465 §5.4: a name that was made or deleted, and the one above it; one that was renamed, without those below it.
    fn rows_of(
        &self,
        server: &Server,
        who: Who<'_>,
        mut affected: Vec<MailboxName>,
        renamed: Vec<(MailboxName, MailboxName)>,
    ) -> Result<Vec<Row>, Refusal> {
        let parents: Vec<MailboxName> = affected
            .iter()
            .filter_map(MailboxName::parent)
            .filter(|parent| self.wants_name(parent) && !parent.is_inbox())
            .collect();
        affected.extend(parents);
        affected.sort_unstable();
        affected.dedup();
        let mut rows = Vec::new();
        for name in affected {
            rows.push(rows::look(server, who, &name, false)?);
        }
        for (old, new) in &renamed {
            let (old_called, new_called) = (&who.to_client(old), &who.to_client(new));
            let goes_along = renamed.iter().any(|(above, to)| {
                let (above, to) = (&who.to_client(above), &who.to_client(to));
                above != old_called
                    && is_within(old_called, above)
                    && new_called.strip_prefix(to.as_str()) == old_called.strip_prefix(above.as_str())
            });
            if !goes_along {
                let mut row = rows::look(server, who, new, false)?;
                row.old_name = Some(old_called.to_owned());
                rows.push(row);
            }
        }
        Ok(rows)
    }

    fn wants_name(&self, name: &MailboxName) -> bool {
        self.known.iter().any(|known| known.name == *name && known.events.contains(Events::MAILBOX_NAME))
    }

    /// Names that were subscribed to, or are not any more; rows of those that are to be told.
    fn look_at_subscriptions(
        &mut self,
        server: &Server,
        who: Who<'_>,
        rows: &mut Vec<Row>,
    ) -> Result<Vec<String>, Refusal> {
        if !self.needs_subscriptions() {
            return Ok(Vec::new());
        }
        let new = subscriptions(server, who)?;
        let only_in = |one: &[String], other: &[String]| -> Vec<String> {
            one.iter().filter(|name| other.binary_search(name).is_err()).cloned().collect()
        };
        let (gone, come) = (only_in(&self.subscribed, &new), only_in(&new, &self.subscribed));
        let of_old: Vec<Events> = gone.iter().map(|name| self.events_of_called(name, who)).collect();
        self.subscribed = new;
        let of_new: Vec<Events> = come.iter().map(|name| self.events_of_called(name, who)).collect();
        let all = gone.iter().zip(of_old).map(|one| (one, false));
        for ((called, events), is_subscribed) in all.chain(come.iter().zip(of_new).map(|one| (one, true))) {
            let Ok(name) = who.to_store(called) else { continue };
            if events.contains(Events::SUBSCRIPTION_CHANGE) && !self.own.has(&name) {
                rows.push(rows::look(server, who, &name, is_subscribed)?);
            }
        }
        if !gone.is_empty() || !come.is_empty() {
            self._watches = self.watches(server, who); // others' trees may have come in
        }
        Ok(gone.into_iter().chain(come).collect())
    }

    fn events_of_called(&self, called: &str, who: Who<'_>) -> Events {
        who.to_store(called).map_or(Events::NONE, |name| self.events_of(&name, called, who))
    }
}

impl Known {
    /// What is there becomes known without being told.
    pub(super) fn take_up(&mut self, server: &Server) -> Result<(), Refusal> {
        let mailbox = match server.store.open_mailbox(&self.name) {
            Err(StoreError::NotFound) => return Ok(()), // the names will tell
            other => other?,
        };
        if self.events.has_any(Events::MESSAGES) {
            self.seen = Seen::from(&mailbox.status()?);
        }
        if self.events.contains(Events::MAILBOX_METADATA_CHANGE) {
            self.serial = mailbox.annotations()?.serial();
        }
        Ok(())
    }
}
