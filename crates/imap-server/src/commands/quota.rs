//! GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208; what RFC 2087 says is the same), and the warning of a quota that is nearly
//! used up.
//!
//! All mailboxes of a user have one quota root, `user/<uid>`; shared mailboxes have none. The limits shown are those in
//! force, which change with the next mail that comes (S113).

use connection::Output;
use directory::Found;
use imap_wire::Naming;
use imap_wire::command::quota::SetQuota;
use message_store::{Limits, MailboxName, Quota, Rights, Store};

use crate::answer;
use crate::names::Who;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::User;

/// Octets of one unit of STORAGE (RFC 9208 §5.1).
const UNIT: u64 = 1024;
/// The largest limit there is (RFC 9208 §7: number64).
const LIMIT_MAX: u64 = i64::MAX as u64;

/// `* QUOTA "user/joe" (STORAGE 10 512)`
pub fn get(store: &Store, who: Who<'_>, root: &str, out: &mut Output) -> Result<(), Refusal> {
    let uid = owner(store, who, root)?;
    tell(out, uid, &store.quota(uid)?, who.naming);
    Ok(())
}

/// `* QUOTAROOT INBOX "user/joe"` and the quota of the root. The mailbox need not be there (RFC 9208 §4.1.2).
pub fn get_root(server: &Server, who: Who<'_>, mailbox: &str, out: &mut Output) -> Result<(), Refusal> {
    let store = &server.store;
    let name = server.named(who, mailbox, Rights::READ)?; // RFC 9208 §4.1.2
    out.push(b"* QUOTAROOT ");
    answer::name(out, mailbox, who.naming);
    let uid = name.owner();
    if let Some(uid) = uid {
        out.push(b" ");
        answer::name(out, &format!("user/{uid}"), who.naming);
    }
    out.push(b"\r\n");
    if let Some(uid) = uid {
        tell(out, uid, &store.quota(uid)?, who.naming);
    }
    Ok(())
}

/// Sets the limits of a root until the directory has others: administrators of the store only. What is not named is not
/// limited; nothing named is `()`, and unlimited (S114).
pub fn set(server: &Server, user: &User, asked: &SetQuota, out: &mut Output) -> Result<(), Refusal> {
    if !user.is_admin {
        return Err(Refusal::NoPermission);
    }
    let mut limits = Limits::default();
    for (resource, limit) in &asked.limits {
        match resource.as_str() {
            "STORAGE" => limits.bytes = Some(limit.saturating_mul(UNIT).min(LIMIT_MAX)),
            "MESSAGE" => limits.messages = Some(*limit),
            _ => return Err(Refusal::Cannot("The resources are STORAGE and MESSAGE")),
        }
    }
    let uid = asked.root.strip_prefix("user/").filter(|uid| !uid.contains('/')).ok_or(Refusal::NoSuchRoot)?;
    let entry = match server.log_ins.authenticator().directory().by_uid(uid) {
        Ok(Found::One(entry)) => entry,
        Ok(_) => return Err(Refusal::NoSuchRoot),
        Err(_) => return Err(Refusal::Unavailable),
    };
    let uid = entry.uid.as_deref().unwrap_or(uid);
    server.store.ensure_user_in(uid, entry.partition.as_deref())?;
    let directory = server.settings().quota.limits(entry.quota_bytes, entry.quota_messages);
    server.store.set_limits(uid, limits, directory)?;
    tell(out, uid, &server.store.quota(uid)?, user.enabled.naming());
    Ok(())
}

/// Says, once a session, that the quota of the mailbox's owner is nearly used up, or more than that.
pub fn warn(server: &Server, user: &User, name: &MailboxName, out: &mut Output) {
    let Some(owner) = name.owner().filter(|_| !user.enabled.is_warned()) else { return };
    // Counting that is not possible now is no reason not to select.
    let limited = server.store.limits(owner).is_ok_and(|limits| !limits.is_unlimited());
    let Some(quota) = limited.then(|| server.store.quota(owner).ok()).flatten() else { return };
    let Some(percent) = quota.percent().filter(|percent| *percent >= server.settings().quota.warn_percent)
    else {
        return;
    };
    user.enabled.set_warned();
    let text = format!("The mailboxes of {} are at {percent}% of their quota", base::escape(owner));
    let code = if quota.limits.exceeded_by(quota.usage) { "OVERQUOTA" } else { "ALERT" }; // RFC 9208 §4.3.1
    answer::tagged(out, b"*", "NO", code, &text);
}

/// The user whose root this is, if it is there for who asks.
fn owner<'r>(store: &Store, who: Who<'_>, root: &'r str) -> Result<&'r str, Refusal> {
    let uid = root.strip_prefix("user/").filter(|uid| !uid.contains('/')).ok_or(Refusal::NoSuchRoot)?;
    let inbox = MailboxName::inbox(uid).map_err(|_| Refusal::NoSuchRoot)?;
    let is_visible = who.is_admin || who.uid == uid;
    if is_visible && store.exists(&inbox)? { Ok(uid) } else { Err(Refusal::NoSuchRoot) }
}

/// Only resources with limits are told: without any the list is empty.
fn tell(out: &mut Output, uid: &str, quota: &Quota, naming: Naming) {
    out.push(b"* QUOTA ");
    answer::name(out, &format!("user/{uid}"), naming);
    out.push(b" (");
    let storage =
        quota.limits.bytes.map(|limit| ("STORAGE", quota.usage.bytes.div_ceil(UNIT), limit.div_ceil(UNIT)));
    let message = quota.limits.messages.map(|limit| ("MESSAGE", quota.usage.messages, limit));
    for (place, (resource, used, limit)) in storage.into_iter().chain(message).enumerate() {
        out.push(if place == 0 { b"" } else { b" " });
        out.push(format!("{resource} {used} {limit}").as_bytes());
    }
    out.push(b")\r\n");
}
