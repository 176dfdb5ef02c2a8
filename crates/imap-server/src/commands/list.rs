//! LIST: names by pattern, in pages of the mailbox list (RFC 3501 §6.3.8, RFC 3348, RFC 6154); by subscription, with the levels
//! above and with numbers and annotations if asked (RFC 5258, RFC 5819, RFC 9590).

mod shared;

use std::cell::Cell;

use connection::Output;
use imap_wire::command::list::{self as wire, Selection};
use imap_wire::{Naming, StatusItem};
use message_store::{Listed, MailboxName, Rights, Side, Store, StoreError};

use self::shared::{Ask, Shared};
use super::{acl, metadata, status};
use crate::answer;
use crate::commands::Progress;
use crate::names::{COST_MAX, Pattern, Who};
use crate::refusal::Refusal;
use crate::server::Server;

/// Names that are read from the list at once.
const PAGE: usize = 100;
/// Mailboxes below a subscribed one of somebody else that are looked at for one that the user sees.
const CHILDREN_MAX: usize = 1000;

/// A LIST under way.
pub struct List {
    walks: Vec<Walk>,
    /// The walk that is under way.
    at: usize,
    select: Selection,
    tells_subscribed: bool,
    /// What the user may do with each mailbox (RFC 8440).
    tells_rights: bool,
    /// The level above all shared mailboxes was told.
    told_top: Cell<bool>,
    /// Numbers that are told of each mailbox.
    items: Vec<StatusItem>,
    append_bytes_max: u64,
    /// Annotations that are told of each mailbox (RFC 9590).
    entries: Vec<String>,
    naming: Naming,
    /// Sorted by bytes; empty when nobody asked for subscriptions.
    subscribed: Vec<String>,
}

/// One way through the names, and the patterns for it.
struct Walk {
    patterns: Vec<Pattern>,
    names: Names,
}

enum Names {
    /// What is in the mailbox list under `prefix`, behind `after`.
    Stored { prefix: String, after: Option<MailboxName> },
    /// Names as the client says them, there or not, from `at` on.
    Subscribed { names: Vec<String>, at: usize },
    /// What others let the user see, and what belongs to nobody.
    Shared(Box<Shared>),
}

/// What is told about a name.
struct Row<'a> {
    /// Nothing when there is no such mailbox.
    listed: Option<&'a Listed>,
    /// As it is answered.
    name: &'a str,
    /// As the user who asks calls it.
    own: &'a str,
    rights: Rights,
    has_children: bool,
    /// Only one's own have a special use: somebody else's \Sent is not for one's own mail.
    is_own: bool,
}

impl<'a> Row<'a> {
    /// A level that is only above others.
    fn level(name: &'a str) -> Row<'a> {
        Row { listed: None, name, own: name, rights: Rights::NONE, has_children: true, is_own: false }
    }
}

impl List {
    /// Own mailboxes, those that are shared, and, for patterns that begin with `user/`, those of everybody when an
    /// administrator asks.
    ///
    /// # Errors
    /// The subscriptions cannot be read.
    pub fn new(
        store: &Store,
        who: Who<'_>,
        patterns: Vec<Pattern>,
        asked: &wire::List,
        append_bytes_max: u64,
    ) -> Result<List, Refusal> {
        let select = asked.select;
        let tells_subscribed = select.subscribed || asked.returns.subscribed;
        let mut subscribed = if tells_subscribed { store.subscriptions(who.uid)? } else { Vec::new() };
        subscribed.sort_unstable();
        subscribed.dedup();
        let walks = if select.subscribed {
            let names = Names::Subscribed { names: candidates(&subscribed, select.recursive), at: 0 };
            vec![Walk { patterns, names }]
        } else {
            let of_everybody = |pattern: &Pattern| who.is_admin && pattern.as_str().starts_with("user/");
            let (all, own): (Vec<_>, Vec<_>) = patterns.into_iter().partition(of_everybody);
            let walk = |patterns, prefix| Walk { patterns, names: Names::Stored { prefix, after: None } };
            let shared = [Side::Users, Side::Public].into_iter().filter_map(|side| {
                let names = Names::Shared(Box::new(Shared::new(side, who, &own)?));
                Some(Walk { patterns: own.clone(), names })
            });
            let shared: Vec<Walk> = shared.collect();
            let walks = [walk(own, format!("user/{}/", who.uid)), walk(all, "user/".to_owned())];
            let walks = walks.into_iter().filter(|walk| !walk.patterns.is_empty());
            walks.chain(shared).collect()
        };
        let items = asked.returns.status.clone();
        let (entries, naming) = (asked.returns.metadata.clone(), who.naming);
        Ok(List {
            walks,
            at: 0,
            select,
            tells_subscribed,
            tells_rights: asked.returns.my_rights,
            told_top: Cell::new(false),
            items,
            append_bytes_max,
            entries,
            naming,
            subscribed,
        })
    }

    /// Writes names until the queue is full or others should have their turn.
    pub fn step(&mut self, server: &Server, who: Who<'_>, out: &mut Output) -> Result<Progress, Refusal> {
        if out.is_full() {
            return Ok(Progress::More);
        }
        let Some(mut walk) = self.walks.get_mut(self.at).map(std::mem::take) else {
            return Ok(Progress::Done);
        };
        let result = self.walk(&mut walk, server, who, out);
        if let Some(place) = self.walks.get_mut(self.at) {
            *place = walk;
        }
        if matches!(result, Ok(Progress::Done)) {
            self.at += 1;
            return Ok(if self.at < self.walks.len() { Progress::More } else { Progress::Done });
        }
        result
    }

    fn walk(
        &self,
        walk: &mut Walk,
        server: &Server,
        who: Who<'_>,
        out: &mut Output,
    ) -> Result<Progress, Refusal> {
        let store = &server.store;
        let mut cost = 0;
        let patterns = &walk.patterns;
        let mut matches = |name: &str| {
            cost += patterns.iter().map(|pattern| pattern.cost(name)).sum::<usize>();
            (patterns.iter().any(|pattern| pattern.matches(name)), cost >= COST_MAX)
        };
        match &mut walk.names {
            Names::Stored { prefix, after } => {
                let page = store.list(prefix, after.as_ref(), PAGE)?;
                let last_page = page.len() < PAGE;
                for listed in page {
                    if out.is_full() {
                        return Ok(Progress::More); // the next page begins here
                    }
                    let everybody = prefix == "user/";
                    let own = who.to_client(&listed.name);
                    let name = if everybody { listed.name.as_str() } else { &own };
                    let (is_meant, enough) = matches(name);
                    if is_meant && !(self.select.special_use && listed.special_use.is_none()) {
                        let has_children = has_children(store, &listed)?;
                        let (listed, own, rights) = (Some(&listed), own.as_str(), Rights::ALL);
                        let row = Row { listed, name, own, rights, has_children, is_own: true };
                        self.row(server, who, &row, out)?;
                    }
                    *after = Some(listed.name);
                    if enough {
                        return Ok(Progress::More);
                    }
                }
                Ok(if last_page { Progress::Done } else { Progress::More })
            }
            Names::Subscribed { names, at } => {
                while let Some(name) = names.get(*at) {
                    if out.is_full() {
                        return Ok(Progress::More);
                    }
                    *at += 1;
                    let (is_meant, enough) = matches(name);
                    if is_meant {
                        self.subscribed_row(server, who, name, out)?;
                    }
                    if enough {
                        return Ok(Progress::More);
                    }
                }
                Ok(Progress::Done)
            }
            Names::Shared(shared) => shared.step(&Ask { list: self, patterns, server, who }, out),
        }
    }

    /// The responses about a name of the subscriptions, there or not.
    fn subscribed_row(
        &self,
        server: &Server,
        who: Who<'_>,
        name: &str,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        let found = find(server, who, name)?;
        let listed = found.as_ref().map(|(listed, _)| listed);
        let is_own = is_own(who, listed);
        let has_use = is_own && listed.is_some_and(|listed| listed.special_use.is_some());
        if self.select.special_use && !has_use {
            return Ok(());
        }
        let has_children = has_seen_children(server, who, listed)?;
        let rights = found.as_ref().map_or(Rights::NONE, |(_, rights)| *rights);
        self.row(server, who, &Row { listed, name, own: name, rights, has_children, is_own }, out)
    }

    /// The responses about one name.
    fn row(&self, server: &Server, who: Who<'_>, row: &Row<'_>, out: &mut Output) -> Result<(), Refusal> {
        let &Row { listed, name, own, rights, has_children, is_own } = row;
        let mut attributes = attributes(listed, has_children, is_own);
        if self.tells_subscribed && self.subscribed.binary_search_by(|one| one.as_str().cmp(own)).is_ok() {
            attributes.push("\\Subscribed");
        }
        out.push(b"* LIST (");
        out.push(attributes.join(" ").as_bytes());
        out.push(b") \"/\" ");
        answer::name(out, name, self.naming);
        if self.select.recursive && self.is_above_subscribed(own) {
            out.push(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))"); // RFC 5258 §3.5
        }
        out.push(b"\r\n");
        let Some(listed) = listed.filter(|listed| listed.selectable) else { return Ok(()) };
        if self.tells_rights {
            acl::tell_my_rights(rights, name, self.naming, out);
        }
        if !self.items.is_empty() && rights.contains(Rights::READ) {
            self.numbers(server, who, listed, name, out)?;
        }
        if !self.entries.is_empty() && metadata::may_use(rights) {
            metadata::listed(&server.store, who, (&listed.name, name), &self.entries, out)?;
        }
        Ok(())
    }

    /// RFC 5819 §2: nothing is said of a mailbox that went in between.
    fn numbers(
        &self,
        server: &Server,
        who: Who<'_>,
        listed: &Listed,
        name: &str,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        match server.store.open_mailbox(&listed.name) {
            Ok(mailbox) => {
                let reader = who.apart_in(&listed.name);
                status::row(&mailbox, reader, name, self.naming, &self.items, self.append_bytes_max, out)
            }
            Err(StoreError::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a name below this one is subscribed.
    fn is_above_subscribed(&self, name: &str) -> bool {
        let below = format!("{name}/");
        let at = self.subscribed.partition_point(|one| one.as_str() < below.as_str());
        self.subscribed.get(at).is_some_and(|one| one.starts_with(&below))
    }
}

impl Default for Walk {
    fn default() -> Walk {
        Walk { patterns: Vec::new(), names: Names::Subscribed { names: Vec::new(), at: 0 } }
    }
}

/// The subscribed names, with all levels above them if `recursive`; sorted, each once.
fn candidates(subscribed: &[String], recursive: bool) -> Vec<String> {
    let mut names = subscribed.to_vec();
    if recursive {
        let above =
            subscribed.iter().flat_map(|name| name.match_indices('/').map(|(end, _)| name[..end].to_owned()));
        names.extend(above);
        names.sort_unstable();
        names.dedup();
    }
    names
}

/// The response about one mailbox that another command is about, with the name it had if that is not its name (RFC 9051
/// §6.3.2, §6.3.9.7).
pub fn one(
    server: &Server,
    who: Who<'_>,
    name: &str,
    old_name: Option<&str>,
    out: &mut Output,
) -> Result<(), Refusal> {
    let found = find(server, who, name)?;
    let listed = found.as_ref().map(|(listed, _)| listed);
    let mut attributes = attributes(listed, has_seen_children(server, who, listed)?, is_own(who, listed));
    if server.store.subscriptions(who.uid)?.iter().any(|subscribed| subscribed == name) {
        attributes.push("\\Subscribed");
    }
    out.push(b"* LIST (");
    out.push(attributes.join(" ").as_bytes());
    out.push(b") \"/\" ");
    answer::name(out, name, who.naming);
    if let Some(old_name) = old_name {
        answer::old_name(out, old_name, who.naming);
    }
    out.push(b"\r\n");
    Ok(())
}

/// What a name is, apart from subscriptions.
fn attributes(listed: Option<&Listed>, has_children: bool, is_own: bool) -> Vec<&'static str> {
    let children = if has_children { "\\HasChildren" } else { "\\HasNoChildren" };
    let Some(listed) = listed else {
        return if has_children { vec!["\\Noselect", children] } else { vec!["\\NonExistent"] };
    };
    let mut attributes = vec![children];
    if !listed.selectable {
        attributes.push("\\Noselect");
    }
    let special_use = listed.special_use.filter(|_| is_own);
    attributes.extend(special_use.map(|special_use| special_use.attribute()));
    attributes
}

fn is_own(who: Who<'_>, listed: Option<&Listed>) -> bool {
    listed.is_none_or(|listed| who.has_all(&listed.name))
}

/// Whether there are mailboxes below that the user sees.
pub(crate) fn has_seen_children(
    server: &Server,
    who: Who<'_>,
    listed: Option<&Listed>,
) -> Result<bool, Refusal> {
    match listed {
        Some(listed) if who.has_all(&listed.name) => has_children(&server.store, listed),
        Some(listed) => sees_children(server, who, listed),
        None => Ok(false),
    }
}

/// The entry of a name, if there is such a mailbox that this user may see.
fn find(server: &Server, who: Who<'_>, name: &str) -> Result<Option<(Listed, Rights)>, Refusal> {
    let Ok(full) = who.to_store(name) else { return Ok(None) };
    let rights = server.rights(who, &full)?;
    if !rights.contains(Rights::LOOKUP) {
        return Ok(None);
    }
    let first = server.store.list(full.as_str(), None, 1)?.into_iter().next();
    Ok(first.filter(|listed| listed.name == full).map(|listed| (listed, rights)))
}

/// Whether the user sees a mailbox below this one, which is somebody else's.
fn sees_children(server: &Server, who: Who<'_>, listed: &Listed) -> Result<bool, Refusal> {
    let below = server.store.list(&format!("{}/", listed.name), None, CHILDREN_MAX)?;
    for child in below {
        if server.rights(who, &child.name)?.contains(Rights::LOOKUP) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// In the store all mailboxes of a user are below INBOX; for the client only INBOX/... are.
fn has_children(store: &Store, listed: &Listed) -> Result<bool, Refusal> {
    if !listed.name.is_inbox() || !listed.has_children {
        return Ok(listed.has_children);
    }
    Ok(!store.list(&format!("{}/", listed.name.as_str()), None, 1)?.is_empty())
}

/// An empty name asks for the separator and the root of the reference (RFC 3501 §6.3.8).
pub fn root(out: &mut Output) {
    out.push(b"* LIST (\\Noselect) \"/\" \"\"\r\n");
}
