//! Push: what the states of an account are, and being woken when they may be others (RFC 8620 §7).

use std::sync::Arc;

use message_store::MailboxName;
use serde_json::{Map, Value, json};

use crate::state::{EmailState, MailboxState};
use crate::{Jmap, Who};

/// Until dropped.
pub struct Watch {
    _watch: Option<message_store::Watch>,
}

/// The types that have a state here.
pub const TYPES: [&str; 4] = ["Mailbox", "Email", "Thread", "EmailDelivery"];

/// `StateChange`; no types mean all.
pub fn states(jmap: &Jmap, who: &Who, types: &[&str]) -> Value {
    let mut changed = Map::new();
    if let Ok(account) = jmap.accounts.of(jmap, who) {
        let account = account.read();
        let email = EmailState::of(&account).encode();
        for name in TYPES.iter().filter(|name| types.is_empty() || types.contains(name)) {
            let state = match *name {
                "Mailbox" => MailboxState::of(&account).encode(),
                // A client is told of new mail by the state of what it is delivered into (RFC 8621 §1.5).
                "EmailDelivery" => delivery(&account),
                _ => email.clone(),
            };
            changed.insert((*name).to_owned(), json!(state));
        }
    }
    json!({ "@type": "StateChange", "changed": { who.uid.as_str(): changed } })
}

/// Another text once a message came into any mailbox.
fn delivery(account: &crate::account::Inner) -> String {
    let mut nexts: Vec<(u128, usize)> =
        account.mailboxes().map(|(_, view)| (view.listed.id, view.rows.len())).collect();
    nexts.sort_unstable();
    let text: String = nexts.iter().map(|(id, rows)| format!("{id:x} {rows}\n")).collect();
    let digest = openssl::sha::sha256(text.as_bytes());
    digest[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One entry of the store's table, however many mailboxes there are.
pub fn watch(jmap: &Jmap, who: &Who, wake: impl Fn() + Send + Sync + 'static) -> Watch {
    let wake = Arc::new(wake);
    let inbox = MailboxName::inbox(&who.uid).ok();
    let watch = inbox.map(|inbox| jmap.store.watch_tree(&inbox, Box::new(move |_| wake())));
    Watch { _watch: watch }
}
