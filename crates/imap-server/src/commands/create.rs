//! CREATE: a mailbox, with the levels above it (RFC 3501 §6.3.3), for a purpose if asked (RFC 6154 §3).

use connection::Output;
use imap_wire::command::create::Create;
use message_store::{MailboxName, Rights, SpecialUse, StoreError};

use super::list;
use crate::answer;
use crate::names::{self, Who};
use crate::refusal::Refusal;
use crate::server::Server;

/// Names that are read from the list at once.
const PAGE: usize = 1000;

/// A folder whose name says what it is for gets its attribute when it is created.
const WELL_KNOWN: [(&str, SpecialUse); 5] = [
    ("Drafts", SpecialUse::Drafts),
    ("Sent", SpecialUse::Sent),
    ("Trash", SpecialUse::Trash),
    ("Junk", SpecialUse::Junk),
    ("Archive", SpecialUse::Archive),
];

/// The response code: `MAILBOXID (F...)` (RFC 8474 §4.1).
pub fn run(server: &Server, who: Who<'_>, asked: &Create, out: &mut Output) -> Result<String, Refusal> {
    let asked_name = names::named(&asked.mailbox)?;
    let name = &*who.composed(asked_name);
    let special_use = special_use(&asked.uses)?;
    // RFC 3501 §6.3.3: a separator at the end only declares that there will be names below.
    let name = name.strip_suffix('/').unwrap_or(name);
    let full = new_name(server, who, name)?;
    let store = &server.store;
    if full.is_inbox() && full.owner() == Some(who.uid) {
        return Err(Refusal::Store(StoreError::AlreadyExists));
    }
    check_number(server, who, &full, 1)?;
    let special_use = special_use.or_else(|| {
        WELL_KNOWN
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, special_use)| *special_use)
    });
    store.create(&full, special_use)?;
    server.audit_mailbox(who, "created", &full, None);
    if name != asked_name.strip_suffix('/').unwrap_or(asked_name) {
        list::one(server, who, &who.to_client(&full), Some(asked_name), out)?;
    }
    let id = store.open_mailbox(&full)?.id();
    Ok(format!("MAILBOXID ({})", answer::mailbox_id(id)))
}

/// The store's name of a mailbox that the user may make.
///
/// # Errors
/// `NoPermission`; what the user does not see is not told to exist.
pub fn new_name(server: &Server, who: Who<'_>, name: &str) -> Result<MailboxName, Refusal> {
    let full = match who.to_store(name) {
        Err(Refusal::NoSuchMailbox) => return Err(Refusal::NoPermission),
        other => other?,
    };
    if full.owner().is_none() && names::is_below(full.as_str(), "User") {
        return Err(Refusal::NoPermission); // it would be taken for a user's
    }
    server.may_create(who, &full)?;
    if server.store.exists(&full)? && !server.rights(who, &full)?.contains(Rights::LOOKUP) {
        return Err(Refusal::NoPermission);
    }
    Ok(full)
}

/// Whether a user may have so many names more; a rename needs none, but may leave levels behind.
///
/// # Errors
/// `Limit`. Administrators may make as many as they like, and so may whom they let do so among what is nobody's.
pub fn check_number(server: &Server, who: Who<'_>, name: &MailboxName, more: usize) -> Result<(), Refusal> {
    let Some(owner) = name.owner().filter(|_| !who.is_admin) else { return Ok(()) };
    let most = server.settings().mailboxes_max;
    let prefix = format!("user/{owner}/");
    let (mut count, mut after) = (more, None);
    loop {
        let page = server.store.list(&prefix, after.as_ref(), PAGE)?;
        count += page.len();
        if count > most {
            return Err(Refusal::Limit("There are mailboxes enough"));
        }
        let is_last = page.len() < PAGE;
        after = page.into_iter().next_back().map(|listed| listed.name);
        if is_last {
            return Ok(());
        }
    }
}

/// One use per mailbox; more, or one we do not know, is refused (RFC 6154 §3).
fn special_use(uses: &[String]) -> Result<Option<SpecialUse>, Refusal> {
    match uses {
        [] => Ok(None),
        [one] => SpecialUse::parse(one).map(Some).ok_or(Refusal::UseAttr),
        _ => Err(Refusal::UseAttr),
    }
}
