//! DELETE (RFC 3501 §6.3.4). A user's own INBOX cannot be deleted; a mailbox with others below it can.

use message_store::{MailboxName, Rights};

use crate::names::Who;
use crate::refusal::Refusal;
use crate::server::Server;

/// The name of what was deleted.
pub fn run(server: &Server, who: Who<'_>, name: &str) -> Result<MailboxName, Refusal> {
    let name = server.named(who, name, Rights::DELETE)?;
    if name.is_inbox() && !(who.is_admin && name.owner() != Some(who.uid)) {
        return Err(Refusal::Cannot("INBOX cannot be deleted"));
    }
    server.store.delete(&name)?;
    server.audit_mailbox(who, "deleted", &name, None);
    Ok(name)
}
