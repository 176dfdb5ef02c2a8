//! Delivery while the client waits, for LMTP (RFC 2033): a message that lies in a file, and is in no queue, goes into mailboxes.
//!
//! It has the same identity as it would have from the queue, so a mailbox that gets it both ways, or by two addresses, has it
//! once. Who is more than a mailbox is left to the queue.

use std::fs::File;
use std::path::Path;

use directory::{Entry as Account, Found, Kind};
use mail_queue::Envelope;
use message_store::{Delivered, Prepared, Source, StoreError};
use server_log::Category;

use crate::mta::Desk;
use crate::stages::account_handler::find;
use crate::stages::mailbox_deliver::{Message, deliver as into_mailbox, marks};
use crate::ways::{self, Way};

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Direct {
    Delivered,
    /// For good: a status (RFC 3463) and why.
    Failed(&'static str, String),
    /// It may work another time.
    Later(&'static str, String),
    /// To be queued: a group, a forwarding, a program, an automatic answer, another host.
    Queue,
}

/// An outcome for each recipient, in their order.
pub fn deliver(desk: &Desk, envelope: &Envelope, path: &Path) -> Vec<Direct> {
    if envelope.hops >= desk.settings.hops_max {
        let looped = Direct::Failed("5.4.6", "too many hops: the message is in a loop".into()); // S44
        return vec![looped; envelope.recipients.len()];
    }
    let prepared = match File::open(path).map_err(StoreError::from).and_then(|file| Prepared::of_file(&file))
    {
        Ok(prepared) => prepared,
        Err(why) => {
            let later = Direct::Later("4.3.0", format!("the message cannot be read: {why}"));
            return vec![later; envelope.recipients.len()];
        }
    };
    let message = Message {
        envelope,
        source: Source::File(path),
        lent: None,
        prepared: &prepared,
        flags: marks(desk, envelope, &prepared),
    };
    envelope.recipients.iter().map(|one| to_one(desk, message, &one.address)).collect()
}

fn to_one(desk: &Desk, message: Message<'_>, address: &str) -> Direct {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Direct::Failed("5.1.3", "the address has no domain".into());
    };
    match find(desk, message.envelope.id.as_str(), local, domain) {
        Err(why) => Direct::Later("4.3.0", why.to_string()),
        Ok((Found::Nobody, _)) => Direct::Failed("5.1.1", "no such user here".into()),
        Ok((Found::Several(count), _)) => {
            Direct::Later("4.3.5", format!("the address of {count} entries of the directory"))
        }
        Ok((Found::One(account), folder)) => to_account(desk, message, &account, folder.as_deref()),
    }
}

fn to_account(desk: &Desk, message: Message<'_>, account: &Account, folder: Option<&str>) -> Direct {
    if account.kind == Kind::User && !account.active {
        return Direct::Failed("5.2.1", "the mailbox is disabled".into());
    }
    if !is_mailbox_alone(desk, message.envelope, account) {
        return Direct::Queue;
    }
    let Some(uid) = account.uid.as_deref() else {
        return Direct::Failed("5.3.0", "the account has no uid".into());
    };
    let id = &message.envelope.id;
    match into_mailbox(desk, message, uid, account, folder) {
        Ok(how) => {
            if desk.settings.mailbox_deliver.log {
                let again = if matches!(how, Delivered::AlreadyThere(_)) { " (was there)" } else { "" };
                desk.log.notice(Category::Protocol, format_args!("mailbox-deliver: {id} to={uid}{again}"));
            }
            Direct::Delivered
        }
        Err(StoreError::OverQuota) => Direct::Failed("5.2.2", "User quota exceeded".into()),
        Err(why @ StoreError::TooBig(_)) => Direct::Failed("5.2.3", why.to_string()),
        Err(why) => {
            desk.log.error(Category::General, format_args!("{id}: {uid}: {why}"));
            Direct::Later("4.2.0", "the mailbox cannot be written now".into())
        }
    }
}

/// Whether all there is to do for this account is to put the message into its mailbox on this host.
fn is_mailbox_alone(desk: &Desk, envelope: &Envelope, account: &Account) -> bool {
    let host = account.mail_host.as_deref().unwrap_or("");
    let here = host.is_empty() || host.eq_ignore_ascii_case(&desk.settings.host_name);
    let ways = ways::of(account, envelope.sender.as_deref(), base::clock::unix_seconds());
    account.kind == Kind::User && here && account.forward.is_empty() && ways == [Way::Mailbox]
}
