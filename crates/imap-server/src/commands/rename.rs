//! RENAME (RFC 3501 §6.3.5). Of INBOX: its messages move to the new mailbox, INBOX stays and is
//! empty; its annotations are those of both (RFC 5464 §4.1).

use connection::Output;
use message_store::{MailboxName, Rights, Store, StoreError};

use super::{create, list};
use crate::names::Who;
use crate::refusal::Refusal;
use crate::server::Server;

/// The new name of a client that says UTF-8 is composed, and the client is told so (RFC 9051 §6.3.6).
pub fn run(server: &Server, who: Who<'_>, from: &str, to: &str, out: &mut Output) -> Result<(), Refusal> {
    let composed = who.composed(to);
    let old = server.named(who, from, Rights::DELETE)?;
    let name = create::new_name(server, who, &composed)?;
    if old.is_inbox() && !who.has_all(&old) {
        return Err(Refusal::NoPermission); // its messages would go with it, and the user stays
    }
    create::check_number(server, who, &name, 0)?;
    if old.owner() != name.owner() && !who.is_admin {
        give_away(server, who, &old, &name)?;
    }
    rename(&server.store, &old, &name)?;
    server.audit_mailbox(who, "renamed", &old, Some(&name));
    if composed != to {
        list::one(server, who, &who.to_client(&name), Some(from), out)?;
    }
    Ok(())
}

/// A mailbox goes to another owner, and takes all below it along: that is for its owner only, whatever rights others have,
/// for with it they would get what they have no rights to. It has to fit into the quota of who gets it.
fn give_away(server: &Server, who: Who<'_>, old: &MailboxName, name: &MailboxName) -> Result<(), Refusal> {
    if !who.has_all(old) {
        return Err(Refusal::NoPermission);
    }
    Ok(server.store.room_for_tree(old, name)?)
}

fn rename(store: &Store, from: &MailboxName, to: &MailboxName) -> Result<(), Refusal> {
    if to.is_inbox() {
        return Err(Refusal::Store(StoreError::AlreadyExists));
    }
    let is_below = to.as_str().strip_prefix(from.as_str()).is_some_and(|rest| rest.starts_with('/'));
    if is_below && !from.is_inbox() {
        return Err(Refusal::Cannot("A mailbox cannot be put below itself"));
    }
    store.rename(from, to)?;
    Ok(())
}
