//! STATUS: numbers of a mailbox that is not selected (RFC 3501 §6.3.10), with SIZE (RFC 8438),
//! HIGHESTMODSEQ (RFC 7162), MAILBOXID (RFC 8474), APPENDLIMIT (RFC 7889), DELETED and DELETED-STORAGE (RFC 9208).

use std::sync::Arc;

use connection::Output;
use imap_wire::Naming;
use imap_wire::StatusItem as Item;
use imap_wire::command::status::Status;
use message_store::{Mailbox, Rights, StoreError};

use crate::answer;
use crate::apart;
use crate::names::{self, Who};
use crate::refusal::Refusal;
use crate::server::Server;

/// `* STATUS name (MESSAGES 231 UIDNEXT 44292)`
pub fn run(
    server: &Server,
    who: Who<'_>,
    asked: &Status,
    append_bytes_max: u64,
    out: &mut Output,
) -> Result<(), Refusal> {
    let name = names::named(&asked.mailbox)?;
    let full = server.named(who, name, Rights::READ)?;
    let mailbox = match server.store.open_mailbox(&full) {
        Err(StoreError::NotFound) => return Err(Refusal::NoSuchMailbox),
        other => other?,
    };
    row(&mailbox, who.apart_in(&full), name, who.naming, &asked.items, append_bytes_max, out)
}

/// The response for one mailbox; `reader` is who has \Seen apart there.
pub fn row(
    mailbox: &Arc<Mailbox>,
    reader: Option<&str>,
    name: &str,
    naming: Naming,
    items: &[Item],
    append_bytes_max: u64,
    out: &mut Output,
) -> Result<(), Refusal> {
    let mut status = mailbox.status()?;
    if let Some(uid) = reader {
        let table = mailbox.seen_by(uid)?.table()?;
        status.highest_modseq = table.highest(status.highest_modseq);
        if items.contains(&Item::Unseen) {
            status.unseen = apart::unseen(mailbox, &table)?;
        }
    }
    out.push(b"* STATUS ");
    answer::name(out, name, naming);
    out.push(b" (");
    for (index, item) in items.iter().enumerate() {
        let (word, value): (&[u8], u64) = match item {
            Item::Messages => (b"MESSAGES ", status.exists.into()),
            Item::Recent => (b"RECENT ", status.recent.into()),
            Item::UidNext => (b"UIDNEXT ", status.uid_next.into()),
            Item::UidValidity => (b"UIDVALIDITY ", mailbox.uid_validity().into()),
            Item::Unseen => (b"UNSEEN ", status.unseen.into()),
            Item::Size => (b"SIZE ", status.size_bytes),
            Item::HighestModSeq => (b"HIGHESTMODSEQ ", status.highest_modseq),
            Item::AppendLimit => (b"APPENDLIMIT ", append_bytes_max),
            Item::Deleted => (b"DELETED ", status.deleted.into()),
            Item::DeletedStorage => (b"DELETED-STORAGE ", mailbox.deleted_bytes()?),
            Item::MailboxId => {
                out.push(if index == 0 { b"" } else { b" " });
                out.push(format!("MAILBOXID ({})", answer::mailbox_id(mailbox.id())).as_bytes());
                continue;
            }
        };
        out.push(if index == 0 { b"" } else { b" " });
        out.push(word);
        answer::digits(out, value);
    }
    out.push(b")\r\n");
    Ok(())
}
