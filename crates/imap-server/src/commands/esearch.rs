//! ESEARCH: a search in several mailboxes, one response for each that has hits, in UIDs (RFC 7377).
//!
//! The mailboxes are opened one after the other, each as it is then, without being selected: nothing becomes less \Recent. One
//! that is not there, or not for this user, is passed over (§2.1). A search of the selected mailbox only is an ordinary one.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use connection::Output;
use imap_wire::command::filter::Filter;
use imap_wire::{Mailbox, Source};
use message_store::{MailboxName, Rights, Store, StoreError};

use super::search::Search;
use super::search::esearch::{ALL, Gathered};
use super::search::matching::{Flow, Matching};
use super::{Outcome, Progress, Running};
use crate::names::{self, Who};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::{State, User};
use crate::view::View;

/// Names that are read from the list at once.
const PAGE: usize = 100;

/// # Errors
/// SAVE, UPDATE or sequence numbers beyond the selected mailbox (§2.2), no selected mailbox; as [`Matching::new`].
pub fn run(
    server: &Server,
    state: &mut State,
    mut asked: imap_wire::ESearch,
    tag: &[u8],
    out: &mut Output,
) -> Result<Outcome, Refusal> {
    let user = super::user(state)?;
    if asked.search.names_charset && user.enabled.utf8_accept() {
        return Err(Refusal::Syntax("Texts are UTF-8 after ENABLE UTF8=ACCEPT")); // RFC 9755 §3
    }
    let most = server.settings().messages_max;
    if asked.sources.iter().all(|source| *source == Source::Selected) {
        let saves = asked.search.returned.is_some_and(|returned| returned.save);
        let view = super::view(state)?;
        if let Some(returned) = &mut asked.search.returned {
            let is_whole = most.is_none_or(|most| view.exists() <= most);
            let is_possible = !asked.search.key.has_sets() && is_whole;
            super::cancelupdate::check(returned, tag, is_possible, view, out)?;
        }
        let search =
            Search::in_selected(asked.search, view, user.who(), tag, most).inspect_err(|refusal| {
                if saves && !refusal.is_bad() {
                    view.save(Default::default()); // RFC 5182 §2.1
                }
            })?;
        if search.asks_for_modseq() {
            super::enable::condstore(&user, state, out);
        }
        return Ok(super::running(Running::Search(search)));
    }
    let search = ESearch::new(&server.store, state, &user, asked, tag)?;
    Ok(super::running(Running::ESearch(Box::new(search))))
}

/// A search of several mailboxes under way.
pub struct ESearch {
    asked: imap_wire::Search,
    tag: Box<[u8]>,
    targets: VecDeque<Target>,
    /// Ids of the mailboxes that were searched: each is once.
    seen: HashSet<u128>,
    now: Option<Now>,
    /// Messages of the mailboxes that were opened.
    messages: u64,
}

/// Where to look next.
enum Target {
    One(MailboxName),
    /// One that the list has below a name: who does not see it there does not learn of it here.
    Found(MailboxName),
    /// What the list has below a name, behind another.
    Below {
        prefix: String,
        after: Option<MailboxName>,
        directly: bool,
    },
}

/// The mailbox that is being searched.
struct Now {
    view: View,
    matching: Matching,
    gathered: Gathered,
    is_searched: bool,
}

impl ESearch {
    fn new(
        store: &Store,
        state: &mut State,
        user: &User,
        asked: imap_wire::ESearch,
        tag: &[u8],
    ) -> Result<ESearch, Refusal> {
        if asked.search.returned.is_some_and(|returned| returned.save || returned.update) {
            return Err(Refusal::Syntax("SAVE and UPDATE are for the selected mailbox alone"));
        }
        if asked.search.key.has_sets() {
            return Err(Refusal::Syntax("Message numbers and $ are for the selected mailbox alone"));
        }
        let who = user.who();
        let mut targets = VecDeque::new();
        for source in asked.sources {
            match source {
                Source::Selected => targets.push_back(Target::One(super::view(state)?.mailbox.name())),
                Source::Other(Filter::Inboxes) => targets.extend(who.to_store("INBOX").map(Target::One)),
                Source::Other(Filter::Personal) => {
                    targets.push_back(below(format!("user/{}/", who.uid), false))
                }
                Source::Other(Filter::Subscribed) => {
                    let names = store.subscriptions(who.uid)?;
                    targets.extend(names.iter().filter_map(|name| who.to_store(name).ok()).map(Target::One));
                }
                Source::Other(Filter::Mailboxes(list)) => targets.extend(known(&list, who).map(Target::One)),
                Source::Other(Filter::Subtree(list)) => trees(&list, who, false, &mut targets),
                Source::Other(Filter::SubtreeOne(list)) => trees(&list, who, true, &mut targets),
            }
        }
        Ok(ESearch {
            asked: asked.search,
            tag: tag.into(),
            targets,
            seen: HashSet::new(),
            now: None,
            messages: 0,
        })
    }

    /// Looks at the next slice of a mailbox, or for the next mailbox.
    ///
    /// # Errors
    /// As [`Matching::slice`]; damage of the list.
    pub fn step(&mut self, server: &Server, user: &User, out: &mut Output) -> Result<Progress, Refusal> {
        if out.is_full() {
            return Ok(Progress::More);
        }
        let Some(now) = &mut self.now else {
            return match self.targets.pop_front() {
                Some(Target::One(name)) => {
                    self.begin(server, user, &name, Rights::READ).map(|()| Progress::More)
                }
                Some(Target::Found(name)) => {
                    let needed = Rights::LOOKUP | Rights::READ;
                    self.begin(server, user, &name, needed).map(|()| Progress::More)
                }
                Some(Target::Below { prefix, after, directly }) => {
                    self.look_below(&server.store, prefix, after, directly).map(|()| Progress::More)
                }
                None => Ok(Progress::Done),
            };
        };
        if !now.is_searched {
            let gathered = &mut now.gathered;
            let progress = now.matching.slice(&now.view, |message| {
                gathered.found(message.number(true), &message.record, message.score);
                Ok(if gathered.is_enough() { Flow::Pause } else { Flow::On })
            })?;
            now.is_searched = progress == Progress::Done || gathered.is_enough();
            return Ok(Progress::More);
        }
        if now.gathered.tell(&mut now.view, now.matching.asks_for_modseq(), out)? == Progress::Done {
            self.now = None;
        }
        Ok(Progress::More)
    }

    /// Opens the next mailbox, if it is there, the user may read it, and it was not searched yet.
    fn begin(
        &mut self,
        server: &Server,
        user: &User,
        name: &MailboxName,
        needed: Rights,
    ) -> Result<(), Refusal> {
        let rights = server.rights(user.who(), name)?;
        if !rights.contains(needed) {
            return Ok(());
        }
        let mailbox = match server.store.open_mailbox(name) {
            Ok(mailbox) => mailbox,
            Err(StoreError::NotFound) => return Ok(()),
            Err(why) => return Err(why.into()),
        };
        if !self.seen.insert(mailbox.id()) {
            return Ok(());
        }
        let who = user.who();
        let uid_validity = mailbox.uid_validity();
        let seen = who.apart_in(name).map(|uid| mailbox.seen_by(uid)).transpose()?;
        let view = match View::open(Arc::clone(&mailbox), true, rights, seen, user.enabled.clone()) {
            Err(StoreError::NotFound) => return Ok(()), // it was deleted in between
            view => view?,
        };
        let mut matching = Matching::new(self.asked.charset, self.asked.key.clone(), &view)?;
        matching.wants_scores = self.asked.returned.is_some_and(|returned| returned.relevancy);
        self.messages += matching.messages(&view);
        if let Some(most) = server.settings().messages_max.filter(|most| self.messages > u64::from(*most)) {
            return Err(Refusal::MessageLimit { most, lowest: None }); // a UID would not say of which mailbox
        }
        let returned = self.asked.returned.unwrap_or(ALL);
        let gathered = Gathered::new(returned, true, &self.tag).in_mailbox(
            &who.to_client(name),
            who.naming,
            uid_validity,
        );
        self.now = Some(Now { view, matching, gathered, is_searched: false });
        Ok(())
    }

    /// Takes the next page of names; what follows it comes behind them.
    fn look_below(
        &mut self,
        store: &Store,
        prefix: String,
        after: Option<MailboxName>,
        directly: bool,
    ) -> Result<(), Refusal> {
        let page = store.list(&prefix, after.as_ref(), PAGE)?;
        if let Some(last) = page.last().filter(|_| page.len() == PAGE) {
            let after = Some(last.name.clone());
            self.targets.push_front(Target::Below { prefix: prefix.clone(), after, directly });
        }
        for listed in page.into_iter().rev().filter(|listed| listed.selectable) {
            let rest = listed.name.as_str().strip_prefix(&prefix).unwrap_or_default();
            if !(directly && rest.contains('/')) {
                self.targets.push_front(Target::Found(listed.name));
            }
        }
        Ok(())
    }
}

/// Names that this user can say; others are passed over.
fn known<'m>(list: &'m [Mailbox], who: Who<'m>) -> impl Iterator<Item = MailboxName> + 'm {
    list.iter().filter_map(move |mailbox| who.to_store(names::named(mailbox).ok()?).ok())
}

fn trees(list: &[Mailbox], who: Who<'_>, directly: bool, targets: &mut VecDeque<Target>) {
    for name in known(list, who) {
        let prefix = format!("{}/", name.as_str());
        targets.push_back(Target::One(name));
        targets.push_back(below(prefix, directly));
    }
}

fn below(prefix: String, directly: bool) -> Target {
    Target::Below { prefix, after: None, directly }
}
