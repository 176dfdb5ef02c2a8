//! SUBSCRIBE, UNSUBSCRIBE, LSUB: the names a user wants to see (RFC 3501 §6.3.6, §6.3.7, §6.3.9).
//!
//! A mailbox of one's own need not exist to be subscribed to: the subscription outlives it (RFC 3501 §6.3.6). One that is
//! shared must be seen (RFC 4314 §4).

use connection::Output;
use imap_wire::Naming;
use message_store::{Rights, Store};

use crate::answer;
use crate::commands::Progress;
use crate::names::{COST_MAX, Pattern, Who};
use crate::refusal::Refusal;
use crate::server::Server;

/// Adds or takes away a name.
pub fn change(server: &Server, who: Who<'_>, name: &str, subscribe: bool) -> Result<(), Refusal> {
    let full = who.to_store(name.strip_suffix('/').unwrap_or(name))?;
    if subscribe {
        server.may(who, &full, Rights::LOOKUP)?;
    }
    let (store, name) = (&server.store, who.to_client(&full));
    if subscribe {
        store.subscribe(who.uid, &name)?
    } else {
        store.unsubscribe(who.uid, &name)?
    }
    Ok(())
}

/// An LSUB under way.
pub struct Lsub {
    pattern: Pattern,
    /// Sorted by bytes, so that what is below a level stands together.
    subscribed: Vec<String>,
    /// The next to be looked at.
    at: usize,
    /// The levels above the present name that were told.
    told: Vec<String>,
}

impl Lsub {
    /// # Errors
    /// The subscriptions cannot be read.
    pub fn new(store: &Store, who: Who<'_>, pattern: Pattern) -> Result<Lsub, Refusal> {
        let mut subscribed = store.subscriptions(who.uid)?;
        subscribed.sort_unstable();
        subscribed.dedup();
        Ok(Lsub { pattern, subscribed, at: 0, told: Vec::new() })
    }

    /// Writes names that match until the queue is full or others should have their turn; with `%` at the end also the
    /// levels above them, as \Noselect.
    pub fn step(&mut self, naming: Naming, out: &mut Output) -> Progress {
        let mut cost = 0;
        while let Some(name) = self.subscribed.get(self.at) {
            if out.is_full() || cost >= COST_MAX {
                return Progress::More;
            }
            cost += self.pattern.cost(name);
            self.told
                .retain(|level| name.strip_prefix(level.as_str()).is_some_and(|rest| rest.starts_with('/')));
            if self.pattern.matches(name) {
                row(out, "", name, naming);
            } else if self.pattern.as_str().ends_with('%') {
                for (end, _) in name.match_indices('/') {
                    let level = &name[..end];
                    cost += self.pattern.cost(level);
                    let is_new = !self.told.iter().any(|told| told == level)
                        && self.subscribed.binary_search_by(|one| one.as_str().cmp(level)).is_err();
                    if is_new && self.pattern.matches(level) {
                        row(out, "\\Noselect", level, naming);
                        self.told.push(level.to_owned());
                    }
                }
            }
            self.at += 1;
        }
        Progress::Done
    }
}

fn row(out: &mut Output, attributes: &str, name: &str, naming: Naming) {
    out.push(b"* LSUB (");
    out.push(attributes.as_bytes());
    out.push(b") \"/\" ");
    answer::name(out, name, naming);
    out.push(b"\r\n");
}
