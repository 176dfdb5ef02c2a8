//! SUBSCRIBE, UNSUBSCRIBE, LSUB: the names a user wants to see (RFC 3501 §6.3.6, §6.3.7, §6.3.9).
//!
//! A mailbox need not exist to be subscribed to: the subscription outlives it (RFC 3501 §6.3.6).

use std::collections::BTreeSet;

use connection::Output;
use message_store::Store;

use crate::answer;
use crate::names::{Pattern, Who};
use crate::refusal::Refusal;

/// Adds or takes away a name.
pub fn change(store: &Store, who: Who<'_>, name: &str, subscribe: bool) -> Result<(), Refusal> {
    let full = who.to_store(name.strip_suffix('/').unwrap_or(name))?;
    let name = who.to_client(&full);
    if subscribe {
        store.subscribe(who.uid, name)?
    } else {
        store.unsubscribe(who.uid, name)?
    }
    Ok(())
}

/// The subscribed names that match; with `%` at the end also the levels above them, as \Noselect.
pub fn run(store: &Store, who: Who<'_>, pattern: &Pattern, out: &mut Output) -> Result<(), Refusal> {
    let subscribed: BTreeSet<String> = store.subscriptions(who.uid)?.into_iter().collect();
    let mut parents: BTreeSet<&str> = BTreeSet::new();
    for name in &subscribed {
        if pattern.matches(name) {
            row(out, "", name);
            continue;
        }
        if !pattern.as_str().ends_with('%') {
            continue;
        }
        for (at, _) in name.match_indices('/') {
            let parent = &name[..at];
            if !subscribed.contains(parent) && pattern.matches(parent) && parents.insert(parent) {
                row(out, "\\Noselect", parent);
            }
        }
    }
    Ok(())
}

fn row(out: &mut Output, attributes: &str, name: &str) {
    out.push(b"* LSUB (");
    out.push(attributes.as_bytes());
    out.push(b") \"/\" ");
    answer::name(out, name);
    out.push(b"\r\n");
}
