//! LIST: names by pattern, in pages of the mailbox list (RFC 3501 §6.3.8, RFC 3348, RFC 6154); by subscription, with the levels
//! above and with numbers and annotations if asked (RFC 5258, RFC 5819, RFC 9590).

use connection::Output;
use imap_wire::command::list::{self as wire, Selection};
use imap_wire::{Naming, StatusItem};
use message_store::{Listed, MailboxName, Store, StoreError};

use super::{metadata, status};
use crate::answer;
use crate::commands::Progress;
use crate::names::{COST_MAX, Pattern, Who};
use crate::refusal::Refusal;

/// Names that are read from the list at once.
const PAGE: usize = 100;

/// A LIST under way.
pub struct List {
    walks: Vec<Walk>,
    /// The walk that is under way.
    at: usize,
    select: Selection,
    tells_subscribed: bool,
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
}

impl List {
    /// Own mailboxes, and, for patterns that begin with `user/`, those of everybody when an administrator asks.
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
            let walks = [walk(own, format!("user/{}/", who.uid)), walk(all, "user/".to_owned())];
            walks.into_iter().filter(|walk| !walk.patterns.is_empty()).collect()
        };
        let items = asked.returns.status.clone();
        let (entries, naming) = (asked.returns.metadata.clone(), who.naming);
        Ok(List {
            walks,
            at: 0,
            select,
            tells_subscribed,
            items,
            append_bytes_max,
            entries,
            naming,
            subscribed,
        })
    }

    /// Writes names until the queue is full or others should have their turn.
    pub fn step(&mut self, store: &Store, who: Who<'_>, out: &mut Output) -> Result<Progress, Refusal> {
        if out.is_full() {
            return Ok(Progress::More);
        }
        let Some(mut walk) = self.walks.get_mut(self.at).map(std::mem::take) else {
            return Ok(Progress::Done);
        };
        let result = self.walk(&mut walk, store, who, out);
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
        store: &Store,
        who: Who<'_>,
        out: &mut Output,
    ) -> Result<Progress, Refusal> {
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
                    let name = if everybody { listed.name.as_str() } else { who.to_client(&listed.name) };
                    let (is_meant, enough) = matches(name);
                    if is_meant && !(self.select.special_use && listed.special_use.is_none()) {
                        self.row(store, who, Some(&listed), name, out)?;
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
                        let listed = find(store, who, name)?;
                        let has_use = listed.as_ref().is_some_and(|listed| listed.special_use.is_some());
                        if has_use || !self.select.special_use {
                            self.row(store, who, listed.as_ref(), name, out)?;
                        }
                    }
                    if enough {
                        return Ok(Progress::More);
                    }
                }
                Ok(Progress::Done)
            }
        }
    }

    /// The responses about one name.
    fn row(
        &self,
        store: &Store,
        who: Who<'_>,
        listed: Option<&Listed>,
        name: &str,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        let own = listed.map_or(name, |listed| who.to_client(&listed.name));
        let mut attributes = attributes(store, listed)?;
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
        if !self.items.is_empty() {
            self.numbers(store, listed, name, out)?;
        }
        if !self.entries.is_empty() {
            metadata::listed(store, who, (&listed.name, name), &self.entries, out)?;
        }
        Ok(())
    }

    /// RFC 5819 §2: nothing is said of a mailbox that went in between.
    fn numbers(&self, store: &Store, listed: &Listed, name: &str, out: &mut Output) -> Result<(), Refusal> {
        match store.open_mailbox(&listed.name) {
            Ok(mailbox) => status::row(&mailbox, name, self.naming, &self.items, self.append_bytes_max, out),
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

/// What a name is, apart from subscriptions.
fn attributes(store: &Store, listed: Option<&Listed>) -> Result<Vec<&'static str>, Refusal> {
    let Some(listed) = listed else { return Ok(vec!["\\NonExistent"]) };
    let mut attributes = vec![if has_children(store, listed)? { "\\HasChildren" } else { "\\HasNoChildren" }];
    if !listed.selectable {
        attributes.push("\\Noselect");
    }
    attributes.extend(listed.special_use.map(|special_use| special_use.attribute()));
    Ok(attributes)
}

/// The response about one mailbox that another command is about, with the name it had if that is not its name (RFC 9051
/// §6.3.2, §6.3.9.7).
pub fn one(
    store: &Store,
    who: Who<'_>,
    name: &str,
    old_name: Option<&str>,
    out: &mut Output,
) -> Result<(), Refusal> {
    let listed = find(store, who, name)?;
    let mut attributes = attributes(store, listed.as_ref())?;
    if store.subscriptions(who.uid)?.iter().any(|subscribed| subscribed == name) {
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

/// The entry of a name, if there is such a mailbox that this user may see.
fn find(store: &Store, who: Who<'_>, name: &str) -> Result<Option<Listed>, Refusal> {
    let Ok(full) = who.to_store(name) else { return Ok(None) };
    let first = store.list(full.as_str(), None, 1)?.into_iter().next();
    Ok(first.filter(|listed| listed.name == full))
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
