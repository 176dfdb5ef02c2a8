//! ETRN: mail that waits for a domain is tried now (RFC 1985).
//!
//! Only what is deferred can be asked for, so only domains that this host relays for have an answer that matters. A stranger
//! may ask for one domain at a time, and for the same one only every now and then: each time costs attempts to reach it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use smtp_wire::{Node, Reply};

use crate::replies;
use crate::session::Session;
use crate::state::State;

/// Tries what waits for a domain.
pub type Flush = Box<dyn Fn(&str) + Send + Sync>;

/// Between two times that a stranger may ask for the same domain.
const STRANGERS_EVERY: Duration = Duration::from_secs(60);
/// Domains that strangers asked for that are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// Domains that one `@domain` may start.
const BELOW_MAX: usize = 1000;

/// Who waits for what, and when strangers asked.
pub struct Turns {
    flush: Flush,
    asked: Mutex<HashMap<String, Instant>>,
}

impl Turns {
    pub fn new(flush: Flush) -> Turns {
        Turns { flush, asked: Mutex::default() }
    }

    /// Whether a stranger may have this domain tried now; it counts.
    fn may_ask(&self, domain: &str, now: Instant) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.get(domain).is_some_and(|last| now.duration_since(*last) < STRANGERS_EVERY) {
            return false;
        }
        if asked.len() >= REMEMBERED_MAX {
            asked.retain(|_, last| now.duration_since(*last) < STRANGERS_EVERY);
        }
        let has_room = asked.len() < REMEMBERED_MAX;
        if has_room {
            asked.insert(domain.to_owned(), now);
        }
        has_room
    }
}

pub fn run(session: &Session, node: &Node) -> Reply {
    match &session.state {
        State::Greeted { .. } => {}
        State::Connected => return replies::bad_sequence("Say HELO or EHLO first"),
        _ => return replies::bad_sequence("A transaction is open"), // RFC 1985 §5
    }
    match node {
        Node::Domain(domain) => one(session, domain),
        Node::Below(_) if session.is_stranger() => not_allowed("a domain alone, please"),
        Node::Below(top) => all(session, top),
        Node::Queue => not_allowed("queues have no names here"),
    }
}

fn one(session: &Session, domain: &str) -> Reply {
    if !session.desk.queue.has_deferred(domain) {
        return nothing(domain);
    }
    if session.is_stranger() && !session.desk.turns.may_ask(domain, Instant::now()) {
        let text = format!("Unable to queue messages for node {domain}: tried a moment ago");
        return Reply::new(458, (4, 7, 0), text);
    }
    (session.desk.turns.flush)(domain);
    started(domain)
}

fn all(session: &Session, top: &str) -> Reply {
    let ending = format!(".{top}");
    let mut found = Vec::new();
    let read = session.desk.queue.deferred_domains(|domain| {
        if (domain == top || domain.ends_with(&ending)) && found.len() < BELOW_MAX {
            found.push(domain);
        }
    });
    if read.is_err() {
        return Reply::new(458, (4, 3, 0), format!("Unable to queue messages for node @{top}"));
    }
    if found.is_empty() {
        return nothing(top);
    }
    for domain in found {
        (session.desk.turns.flush)(&domain);
    }
    started(top)
}

fn started(node: &str) -> Reply {
    Reply::new(250, (2, 0, 0), format!("OK, queuing for node {node} started"))
}

fn nothing(node: &str) -> Reply {
    Reply::new(251, (2, 0, 0), format!("OK, no messages waiting for node {node}"))
}

fn not_allowed(why: &str) -> Reply {
    Reply::new(459, (4, 7, 0), format!("Node not allowed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_asks_for_the_same_domain_only_now_and_then() {
        let turns = Turns::new(Box::new(|_| {}));
        let now = Instant::now();
        assert!(turns.may_ask("a.test", now) && turns.may_ask("b.test", now));
        assert!(!turns.may_ask("a.test", now + STRANGERS_EVERY / 2));
        assert!(turns.may_ask("a.test", now + STRANGERS_EVERY));
    }

    #[test]
    fn what_strangers_asked_does_not_grow_for_ever() {
        let turns = Turns::new(Box::new(|_| {}));
        let now = Instant::now();
        let asked = (0..REMEMBERED_MAX + 5).filter(|number| turns.may_ask(&number.to_string(), now)).count();
        assert_eq!(asked, REMEMBERED_MAX);
        assert!(turns.may_ask("later", now + STRANGERS_EVERY));
        assert_eq!(turns.asked.lock().unwrap().len(), 1);
    }
}
