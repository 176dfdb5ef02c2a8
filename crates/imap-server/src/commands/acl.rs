//! SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3).
//!
//! Identifiers are users, by uid or address, `anyone`, and `group=<address>`; with a `-` before, rights are taken away.

use std::cell::Cell;

use connection::Output;
use imap_wire::Naming;
use imap_wire::command::acl::{Modification, OfIdentifier, SetAcl};
use message_store::{ANYONE, MailboxName, Rights, StoreError};
use server_log::{Action, Category};

use crate::answer;
use crate::names::{self, Who};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::User;

/// Any of these is needed to be told what one may do (RFC 4314 §4).
const ANY: &str = "lrikxa";

/// Gives an identifier rights, or takes some away.
pub fn set(server: &Server, user: &User, asked: &SetAcl) -> Result<(), Refusal> {
    let rights = Rights::parse(&asked.rights).ok_or(Refusal::Syntax("Unknown right"))?;
    let name = administered(server, user.who(), &asked.of)?;
    let identifier = match asked.how {
        // Who is gone from the directory can be taken from the list.
        Modification::Remove => known(server, &asked.of.identifier)?.unwrap_or(asked.of.identifier.clone()),
        _ if rights.is_empty() => known(server, &asked.of.identifier)?.unwrap_or(asked.of.identifier.clone()),
        _ => known(server, &asked.of.identifier)?.ok_or(Refusal::Cannot("No such user or group"))?,
    };
    if name.owner().is_some_and(|owner| identifier.strip_prefix('-').unwrap_or(&identifier) == owner) {
        return Err(Refusal::Cannot("The owner of a mailbox has all rights, always"));
    }
    let is_free = identifier != ANYONE || user.who().is_admin || server.settings().share_with_anyone;
    change(server, user, &name, &identifier, |old| {
        let new = match asked.how {
            Modification::Replace => rights,
            Modification::Add => old | rights,
            Modification::Remove => old & !rights,
        };
        (is_free || old.contains(new)).then_some(new)
    })
}

/// Takes an identifier from the list.
pub fn delete(server: &Server, user: &User, asked: &OfIdentifier) -> Result<(), Refusal> {
    let name = administered(server, user.who(), asked)?;
    let identifier = known(server, &asked.identifier)?.unwrap_or(asked.identifier.clone());
    change(server, user, &name, &identifier, |_| Some(Rights::NONE))
}

/// `* ACL Work alice lrswipkxteacd anyone lrs`
pub fn get(server: &Server, who: Who<'_>, mailbox: &str, out: &mut Output) -> Result<(), Refusal> {
    let name = server.named(who, mailbox, Rights::ADMINISTER)?;
    let acl = server.store.acl(&name).map_err(missing)?;
    out.push(b"* ACL ");
    answer::name(out, mailbox, who.naming);
    let owner = name.owner().map(|owner| (owner, Rights::ALL));
    for (identifier, rights) in owner.into_iter().chain(acl.entries()) {
        out.push(b" ");
        out.push(&imap_wire::quote(identifier.as_bytes()));
        out.push(b" ");
        out.push(rights.told().as_bytes());
    }
    out.push(b"\r\n");
    Ok(())
}

/// `* LISTRIGHTS Work bob "" l r s w i p k x t e a c d`: each right by itself; the owner has all.
pub fn list_rights(
    server: &Server,
    who: Who<'_>,
    asked: &OfIdentifier,
    out: &mut Output,
) -> Result<(), Refusal> {
    let name = administered(server, who, asked)?;
    if !server.store.exists(&name)? {
        return Err(Refusal::NoSuchMailbox);
    }
    out.push(b"* LISTRIGHTS ");
    answer::name(out, names::named(&asked.mailbox)?, who.naming);
    out.push(b" ");
    out.push(&imap_wire::quote(asked.identifier.as_bytes())); // RFC 4314 §3.4: as it was asked for
    let is_owner = name.owner().is_some() && known(server, &asked.identifier)?.as_deref() == name.owner();
    if is_owner {
        out.push(format!(" {}\r\n", Rights::ALL.told()).as_bytes());
        return Ok(());
    }
    out.push(b" \"\"");
    for letter in Rights::ALL.told().chars() {
        out.push(format!(" {letter}").as_bytes());
    }
    out.push(b"\r\n");
    Ok(())
}

/// `* MYRIGHTS Work lrs`
pub fn my_rights(server: &Server, who: Who<'_>, mailbox: &str, out: &mut Output) -> Result<(), Refusal> {
    let name = who.to_store(mailbox)?;
    let rights = server.rights(who, &name)?;
    let any = Rights::parse(ANY.as_bytes()).unwrap_or(Rights::NONE);
    if !rights.has_any(any) || !server.store.exists(&name)? {
        return Err(Refusal::NoSuchMailbox);
    }
    tell_my_rights(rights, mailbox, who.naming, out);
    Ok(())
}

pub fn tell_my_rights(rights: Rights, mailbox: &str, naming: Naming, out: &mut Output) {
    out.push(b"* MYRIGHTS ");
    answer::name(out, mailbox, naming);
    out.push(format!(" {}\r\n", rights.told()).as_bytes());
}

/// The mailbox, which the user may administer. The identifier is looked at after that (RFC 4314 §6).
fn administered(server: &Server, who: Who<'_>, asked: &OfIdentifier) -> Result<MailboxName, Refusal> {
    let identifier = &asked.identifier;
    let name = identifier.strip_prefix('-').unwrap_or(identifier);
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Refusal::Syntax("Not an identifier")); // RFC 4314 §3
    }
    server.named(who, names::named(&asked.mailbox)?, Rights::ADMINISTER)
}

/// The identifier in its canonical form; nothing when there is no such user or group.
fn known(server: &Server, identifier: &str) -> Result<Option<String>, Refusal> {
    let directory = server.log_ins.authenticator().directory();
    directory::identifier::canonical(directory.as_ref(), identifier).map_err(|_| Refusal::Unavailable)
}

/// `becomes`: the rights in the place of those that the identifier has; nothing when only administrators may give them.
fn change(
    server: &Server,
    user: &User,
    name: &MailboxName,
    identifier: &str,
    becomes: impl Fn(Rights) -> Option<Rights>,
) -> Result<(), Refusal> {
    let is_refused = Cell::new(false);
    let changed = server.store.change_acl(name, |acl| match becomes(acl.of(identifier)) {
        Some(rights) => Ok(acl.set(identifier, rights)?),
        None => {
            is_refused.set(true);
            Ok(())
        }
    });
    let acl = changed.map_err(missing)?;
    if is_refused.get() {
        return Err(Refusal::NoAnyone);
    }
    let (by, whom) = (base::escape(&user.uid), base::escape(identifier));
    let mailbox = base::escape(name.as_str());
    let text = format_args!("access control list of {mailbox}: {by} gave {whom} \"{}\"", acl.of(identifier));
    server.log.notice(Category::Account, text);
    let rights = acl.of(identifier).to_string();
    let mut fields = vec![("mailbox", name.as_str()), ("identifier", identifier), ("rights", &rights)];
    fields.push(("user", &user.uid));
    fields.extend(user.proxied_by.as_deref().map(|by| ("by", by)));
    server.log.audit(Action::AccessControl, &fields);
    Ok(())
}

fn missing(error: StoreError) -> Refusal {
    match error {
        StoreError::NotFound => Refusal::NoSuchMailbox,
        other => other.into(),
    }
}
