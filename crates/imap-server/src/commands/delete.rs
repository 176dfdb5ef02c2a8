//! DELETE (RFC 3501 §6.3.4). A user's own INBOX cannot be deleted; a mailbox with others below it can.

use message_store::{MailboxName, Store};

use crate::names::Who;
use crate::refusal::Refusal;

/// The name of what was deleted.
pub fn run(store: &Store, who: Who<'_>, name: &str) -> Result<MailboxName, Refusal> {
    let name = who.to_store(name)?;
    if name.is_inbox() && !(who.is_admin && name.owner() != Some(who.uid)) {
        return Err(Refusal::Cannot("INBOX cannot be deleted"));
    }
    store.delete(&name)?;
    Ok(name)
}
