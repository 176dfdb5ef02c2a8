//! RENAME (RFC 3501 §6.3.5). Of INBOX: its messages move to the new mailbox, INBOX stays and is
//! empty; its annotations are those of both (RFC 5464 §4.1).

use message_store::{Store, StoreError};

use crate::names::Who;
use crate::refusal::Refusal;

pub fn run(store: &Store, who: Who<'_>, from: &str, to: &str) -> Result<(), Refusal> {
    let from = who.to_store(from)?;
    let to = match who.to_store(to) {
        Err(Refusal::NoSuchMailbox) => return Err(Refusal::NoPermission),
        other => other?,
    };
    if to.is_inbox() {
        return Err(Refusal::Store(StoreError::AlreadyExists));
    }
    let is_below = to.as_str().strip_prefix(from.as_str()).is_some_and(|rest| rest.starts_with('/'));
    if is_below && !from.is_inbox() {
        return Err(Refusal::Cannot("A mailbox cannot be put below itself"));
    }
    store.rename(&from, &to)?;
    Ok(())
}
