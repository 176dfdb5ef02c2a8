//! Push: what the states of the accounts are, and being woken when they may be others (RFC 8620 §7).

use std::sync::Arc;

use message_store::MailboxName;
use serde_json::{Map, Value, json};

use crate::shares::{Owner, Scope};
use crate::state::{EmailState, MailboxState};
use crate::{Jmap, Who};

/// Mailboxes of others that are watched for what the user has seen there; of more, it is told with the next change.
const SEEN_MAX: usize = 200;

/// Until dropped.
pub struct Watch {
    wake: Arc<dyn Fn() + Send + Sync>,
    /// Whose mailboxes, beside the user's own.
    owners: Vec<Owner>,
    _watches: Vec<message_store::Watch>,
}

/// The types that have a state here.
pub const TYPES: [&str; 4] = ["Mailbox", "Email", "Thread", "EmailDelivery"];

/// `StateChange`; no types mean all.
pub fn states(jmap: &Jmap, who: &Who, types: &[&str]) -> Value {
    let mut changed = Map::new();
    changed.insert(who.uid.clone(), Value::Object(states_of(jmap, Scope::own(who), types)));
    for owner in jmap.owners(who).unwrap_or_default() {
        let scope = Scope { who, owner: &owner };
        let states = states_of(jmap, scope, types);
        if !states.is_empty() {
            changed.insert(scope.account_id().to_owned(), Value::Object(states));
        }
    }
    json!({ "@type": "StateChange", "changed": changed })
}

fn states_of(jmap: &Jmap, scope: Scope<'_>, types: &[&str]) -> Map<String, Value> {
    let mut states = Map::new();
    let Ok(account) = jmap.accounts.of(jmap, scope) else { return states };
    let account = account.read();
    let email = EmailState::of(&account).encode();
    for name in TYPES.iter().filter(|name| types.is_empty() || types.contains(name)) {
        let state = match *name {
            "Mailbox" => MailboxState::of(&account).encode(),
            // A client is told of new mail by the state of what it is delivered into (RFC 8621 §1.5).
            "EmailDelivery" => delivery(&account),
            _ => email.clone(),
        };
        states.insert((*name).to_owned(), json!(state));
    }
    states
}

/// Another text once a message came into any mailbox.
fn delivery(account: &crate::account::Inner) -> String {
    let mut nexts: Vec<(u128, usize)> =
        account.mailboxes().map(|(_, view)| (view.listed.id, view.rows.len())).collect();
    nexts.sort_unstable();
    let text: String = nexts.iter().map(|(id, rows)| format!("{id:x} {rows}\n")).collect();
    let digest = openssl::sha::sha256(text.as_bytes());
    base::hex::encode(&digest[..12])
}

/// One entry of the store's table for each owner, however many mailboxes there are, and one for each mailbox of others: what the
/// user sees there is the user's own.
pub fn watch(jmap: &Jmap, who: &Who, wake: impl Fn() + Send + Sync + 'static) -> Watch {
    let owners = jmap.owners(who).unwrap_or_default();
    let mut watch = Watch { wake: Arc::new(wake), owners: Vec::new(), _watches: Vec::new() };
    watch.begin(jmap, who, owners);
    watch
}

impl Watch {
    /// Looks whether the user was given mailboxes of others since, or was taken some.
    pub fn renew(&mut self, jmap: &Jmap, who: &Who) {
        let Ok(owners) = jmap.owners(who) else { return };
        if owners != self.owners {
            self.begin(jmap, who, owners);
        }
    }

    fn begin(&mut self, jmap: &Jmap, who: &Who, owners: Vec<Owner>) {
        let mut watches = Vec::with_capacity(1);
        let mut trees: Vec<MailboxName> = MailboxName::inbox(&who.uid).into_iter().collect();
        let mut seen = 0;
        for owner in &owners {
            for given in jmap.given_of(who, owner).unwrap_or_default() {
                let name = &given.listed.name;
                if !trees.iter().any(|tree| is_of(tree, name)) {
                    trees.push(name.clone());
                }
                let by = jmap.store.open_mailbox(name).and_then(|mailbox| mailbox.seen_by(&who.uid));
                if let (Ok(by), true) = (by, seen < SEEN_MAX) {
                    seen += 1;
                    let wake = Arc::clone(&self.wake);
                    watches.push(jmap.store.watch_seen(&by, Box::new(move || wake())));
                }
            }
        }
        for tree in trees {
            let wake = Arc::clone(&self.wake);
            watches.push(jmap.store.watch_tree(&tree, Box::new(move |_| wake())));
        }
        (self.owners, self._watches) = (owners, watches);
    }
}

/// Whether one watch is good for both.
fn is_of(tree: &MailboxName, name: &MailboxName) -> bool {
    match (tree.owner(), name.owner()) {
        (None, None) => tree.components().next() == name.components().next(),
        (one, other) => one == other,
    }
}
