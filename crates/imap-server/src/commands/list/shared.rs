//! LIST of mailboxes that are not the user's: those that the user sees, as if there were no others (RFC 4314 §4).
//!
//! Few of a million are found by who is given them (`Store::given_to`); the list is walked only when there are many, or for
//! an administrator, who sees all. A level above that is no mailbox, or none that the user sees, is told of only to who asks
//! level by level (RFC 3501 §6.3.8).

use connection::Output;
use message_store::{ANYONE, GROUP, Listed, MailboxName, Rights, Side};

use super::{List, Row};
use crate::commands::Progress;
use crate::names::{COST_MAX, OTHERS, Pattern, SHARED, Who};
use crate::refusal::Refusal;
use crate::server::Server;

/// Names of one side that are gathered; beyond that the list is walked.
const GATHERED_MAX: usize = 20_000;
/// Names that are read from the list at once.
const PAGE: usize = 100;
/// Groups that are asked for at once.
const GROUPS_PAGE: usize = 100;

/// The mailboxes of one side, in order.
pub(super) struct Shared {
    side: Side,
    names: Source,
    /// The last one that was found: what comes next says whether there are some below it.
    found: Option<(Listed, Rights)>,
    /// The levels above the present name that were told, or need not be.
    told: Vec<String>,
}

enum Source {
    /// Not looked for yet.
    Unknown,
    Gathered {
        names: Vec<MailboxName>,
        at: usize,
    },
    /// What is in the list under `prefix`, behind `after`; `page` is what was read of it.
    Walked {
        prefix: String,
        after: Option<MailboxName>,
        page: std::vec::IntoIter<Listed>,
        is_last: bool,
    },
}

/// Who asks for what.
pub(super) struct Ask<'a> {
    pub list: &'a List,
    pub patterns: &'a [Pattern],
    pub server: &'a Server,
    pub who: Who<'a>,
}

/// A mailbox that the user sees.
struct Found<'a> {
    listed: &'a Listed,
    rights: Rights,
    has_children: bool,
}

/// What is next.
enum Next {
    One(Box<(Listed, Rights)>),
    /// Others should have their turn first.
    Later,
    End,
}

impl Shared {
    /// What the patterns can match of one side, if anything.
    pub fn new(side: Side, who: Who<'_>, patterns: &[Pattern]) -> Option<Shared> {
        if side == Side::Users && who.is_admin {
            return None; // for whom they begin with user/
        }
        let top = format!("{}/", if side == Side::Users { OTHERS } else { SHARED });
        let can_match = |pattern: &Pattern| {
            let start = pattern.fixed_start();
            start.starts_with(&top) || top.starts_with(start)
        };
        let meant = patterns.iter().any(can_match);
        meant.then_some(Shared { side, names: Source::Unknown, found: None, told: Vec::new() })
    }

    /// Writes names until the queue is full or others should have their turn.
    pub fn step(&mut self, ask: &Ask<'_>, out: &mut Output) -> Result<Progress, Refusal> {
        if matches!(self.names, Source::Unknown) {
            self.names = self.look(ask)?;
        }
        let mut cost = 0;
        loop {
            if out.is_full() || cost >= COST_MAX {
                return Ok(Progress::More);
            }
            let next = match self.names.next(self.side, ask, &mut cost)? {
                Next::One(one) => Some(*one),
                Next::Later => return Ok(Progress::More),
                Next::End => None,
            };
            let is_last = next.is_none();
            if let Some((listed, rights)) = std::mem::replace(&mut self.found, next) {
                let below = format!("{}/", listed.name);
                let has_children =
                    self.found.as_ref().is_some_and(|(next, _)| next.name.as_str().starts_with(&below));
                let found = Found { listed: &listed, rights, has_children };
                self.tell(ask, &found, &mut cost, out)?;
            }
            if is_last {
                return Ok(Progress::Done);
            }
        }
    }

    /// The responses about one mailbox, and about the levels above it.
    fn tell(
        &mut self,
        ask: &Ask<'_>,
        found: &Found<'_>,
        cost: &mut usize,
        out: &mut Output,
    ) -> Result<(), Refusal> {
        let Ask { list, patterns, who, .. } = *ask;
        let name = who.to_client(&found.listed.name);
        self.told.retain(|level| name.strip_prefix(level.as_str()).is_some_and(|rest| rest.starts_with('/')));
        for (end, _) in name.match_indices('/') {
            let level = &name[..end];
            if self.told.iter().any(|told| told == level) {
                continue;
            }
            *cost += patterns.iter().map(|pattern| pattern.cost(level)).sum::<usize>();
            // Both sides are below one level, which is told with the first that has something.
            let is_told = level == SHARED && list.told_top.replace(true);
            let is_meant =
                patterns.iter().any(|pattern| !pattern.as_str().contains('*') && pattern.matches(level));
            if is_meant && !is_told && !list.select.special_use {
                list.row(ask.server, who, &Row::level(level), out)?;
            }
            self.told.push(level.to_owned());
        }
        *cost += patterns.iter().map(|pattern| pattern.cost(&name)).sum::<usize>();
        if patterns.iter().any(|pattern| pattern.matches(&name)) && !list.select.special_use {
            let Found { listed, rights, has_children } = *found;
            let row =
                Row { listed: Some(listed), name: &name, own: &name, rights, has_children, is_own: false };
            list.row(ask.server, who, &row, out)?;
        }
        self.told.push(name);
        Ok(())
    }

    /// Where the names come from.
    fn look(&self, ask: &Ask<'_>) -> Result<Source, Refusal> {
        let Ask { server, who, .. } = *ask;
        let prefix = self.prefix(ask.patterns);
        let walked = Source::Walked { prefix, after: None, page: Vec::new().into_iter(), is_last: false };
        if who.is_admin {
            return Ok(walked);
        }
        let mut names: Vec<MailboxName> = Vec::new();
        let mut take = |identifier: &str| -> Result<bool, Refusal> {
            let left = GATHERED_MAX.saturating_sub(names.len());
            let given = server.store.given_to(identifier, self.side, left)?;
            Ok(given.map(|given| names.extend(given)).is_some())
        };
        if !take(who.uid)? || !take(ANYONE)? {
            return Ok(walked);
        }
        let directory = server.log_ins.authenticator().directory();
        let mut after = None;
        loop {
            let groups = server.store.given_groups(after.as_deref(), GROUPS_PAGE)?;
            for group in &groups {
                let is_member =
                    server.memberships.is_member(directory.as_ref(), group, who.uid) == Some(true);
                if is_member && !take(&format!("{GROUP}{group}"))? {
                    return Ok(walked);
                }
            }
            match groups.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(Source::Gathered { names, at: 0 })
    }

    /// What every name begins with, in the store, that the patterns can match.
    fn prefix(&self, patterns: &[Pattern]) -> String {
        let (top, in_store) = match self.side {
            Side::Users => (OTHERS, "user/"),
            Side::Public => (SHARED, ""),
        };
        let rest = match patterns {
            [one] => {
                one.fixed_start().strip_prefix(top).and_then(|rest| rest.strip_prefix('/')).unwrap_or("")
            }
            _ => "",
        };
        format!("{in_store}{rest}")
    }
}

impl Source {
    /// The next mailbox that the user sees.
    fn next(&mut self, side: Side, ask: &Ask<'_>, cost: &mut usize) -> Result<Next, Refusal> {
        loop {
            *cost += 1000;
            if *cost >= COST_MAX {
                return Ok(Next::Later);
            }
            match self {
                Source::Unknown => return Ok(Next::End),
                Source::Gathered { names, at } => {
                    let Some(name) = names.get(*at) else { return Ok(Next::End) };
                    *at += 1;
                    let there = ask.server.store.list(name.as_str(), None, 1)?.into_iter().next();
                    if let Some(listed) = there.filter(|listed| listed.name == *name) {
                        if let Some(rights) = seen(&listed, ask)? {
                            return Ok(Next::One(Box::new((listed, rights))));
                        }
                    }
                }
                Source::Walked { prefix, after, page, is_last } => {
                    let Some(listed) = page.next() else {
                        if *is_last {
                            return Ok(Next::End);
                        }
                        let read = ask.server.store.list(prefix, after.as_ref(), PAGE)?;
                        *is_last = read.len() < PAGE;
                        *after = read.last().map(|last| last.name.clone());
                        *page = read.into_iter();
                        continue;
                    };
                    if (side == Side::Users) != listed.name.owner().is_some() {
                        // Behind all users, whatever their names.
                        *after = MailboxName::inbox("\u{10ffff}").ok();
                        (*page, *is_last) = (Vec::new().into_iter(), false);
                    } else if let Some(rights) = seen(&listed, ask)? {
                        return Ok(Next::One(Box::new((listed, rights))));
                    }
                }
            }
        }
    }
}

/// What the user may do with somebody else's mailbox that the user sees.
fn seen(listed: &Listed, ask: &Ask<'_>) -> Result<Option<Rights>, Refusal> {
    if listed.name.owner() == Some(ask.who.uid) {
        return Ok(None);
    }
    let rights = ask.server.rights(ask.who, &listed.name)?;
    Ok(Some(rights).filter(|rights| rights.has_any(Rights::LOOKUP)))
}
