//! RENAME (RFC 3501 §6.3.5). Of INBOX: its messages move to the new mailbox, INBOX stays and is empty.

use message_store::{MailboxName, Store, StoreError};

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
    if from.is_inbox() {
        return empty_inbox(store, &from, &to);
    }
    if to.as_str().strip_prefix(from.as_str()).is_some_and(|rest| rest.starts_with('/')) {
        return Err(Refusal::Cannot("A mailbox cannot be put below itself"));
    }
    store.rename(&from, &to)?;
    Ok(())
}

fn empty_inbox(store: &Store, from: &MailboxName, to: &MailboxName) -> Result<(), Refusal> {
    if !store.exists(from)? {
        return Err(Refusal::NoSuchMailbox);
    }
    store.create(to, None)?;
    let source = store.open_mailbox(from)?;
    let target = store.open_mailbox(to)?;
    source.move_all_to(&target)?;
    Ok(())
}
