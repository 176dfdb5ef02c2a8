//! Who may do what with which mailbox: the one place that decides it (RFC 4314 §4).
//!
//! The owner of a mailbox and administrators of the store may do everything; others what its access control list gives them,
//! looked up at each command, so that a change of it is in force at once. A mailbox that the user does not see is answered
//! for like one that is not there (RFC 4314 §6).

use connection::Output;
use message_store::{Acl, MailboxName, Rights, StoreError};
use server_log::Action;

use crate::names::Who;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::State;

impl Server {
    /// What the user may do with a mailbox; nothing when there is no such one.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn rights(&self, who: Who<'_>, name: &MailboxName) -> Result<Rights, Refusal> {
        if who.has_all(name) {
            return Ok(held_by(who, Rights::ALL));
        }
        match self.store.acl(name) {
            Ok(acl) => Ok(self.rights_by(who, &acl)),
            Err(StoreError::NotFound) => Ok(Rights::NONE),
            Err(error) => Err(error.into()),
        }
    }

    /// The same for a mailbox that is open: by its id, which stays over renames.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn rights_of_open(&self, who: Who<'_>, name: &MailboxName, id: u128) -> Result<Rights, Refusal> {
        if who.has_all(name) {
            return Ok(held_by(who, Rights::ALL));
        }
        Ok(self.rights_by(who, &self.store.acl_of(id)?))
    }

    /// Looks up what the user may do with the selected mailbox now, by the name that it has now: a mailbox that was moved to
    /// somebody else is not the user's any more.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn refresh(&self, state: &mut State, out: &mut Output) -> Result<(), Refusal> {
        let State::Selected { user, view } = state else { return Ok(()) };
        self.store.follow_name(&view.mailbox)?;
        let (who, name) = (user.who(), view.mailbox.name());
        let is_shared = !who.has_all(&name);
        if !is_shared && !view.is_shared {
            return Ok(());
        }
        let mut rights = self.rights_of_open(who, &name, view.mailbox.id())?;
        if view.apart.is_some() != who.sees_apart(&name) {
            // It was selected as somebody's whose \Seen is another: until it is selected again none is changed.
            rights = rights & !Rights::SEEN;
        }
        view.is_shared = is_shared;
        view.set_rights(rights, out);
        Ok(())
    }

    fn rights_by(&self, who: Who<'_>, acl: &Acl) -> Rights {
        let directory = self.log_ins.authenticator().directory();
        held_by(
            who,
            acl.rights(who.uid, |group| self.memberships.is_member(directory.as_ref(), group, who.uid)),
        )
    }

    /// Whether the user has all of these rights.
    ///
    /// # Errors
    /// `NoPermission`; `NoSuchMailbox` when the user does not see the mailbox, or there is none.
    pub fn may(&self, who: Who<'_>, name: &MailboxName, needed: Rights) -> Result<(), Refusal> {
        let rights = self.rights(who, name)?;
        if rights.contains(needed) {
            return Ok(());
        }
        Err(if rights.has_any(Rights::LOOKUP) { Refusal::NoPermission } else { Refusal::NoSuchMailbox })
    }

    /// The mailbox that the client calls `name`, if the user has these rights.
    ///
    /// # Errors
    /// The name is not legal; as [`Server::may`].
    pub fn named(&self, who: Who<'_>, name: &str, needed: Rights) -> Result<MailboxName, Refusal> {
        let name = who.to_store(name)?;
        self.may(who, &name, needed)?;
        Ok(name)
    }

    /// The mailbox that messages are to go to.
    ///
    /// # Errors
    /// As [`Server::named`]; `TryCreate` instead of `NoSuchMailbox` when the user could make it (RFC 3501 §6.3.11).
    pub fn target(&self, who: Who<'_>, name: &str) -> Result<MailboxName, Refusal> {
        let name = who.to_store(name)?;
        match self.may(who, &name, Rights::INSERT) {
            Ok(()) if who.has_all(&name) && !self.store.exists(&name)? => Err(Refusal::TryCreate),
            Err(Refusal::NoSuchMailbox) if self.may_create(who, &name).is_ok() => Err(Refusal::TryCreate),
            other => other.map(|()| name),
        }
    }

    /// The audit log's line when an administrator made, renamed or deleted a mailbox that is not the administrator's own.
    pub fn audit_mailbox(&self, who: Who<'_>, result: &str, name: &MailboxName, to: Option<&MailboxName>) {
        let owns = |name: &MailboxName| name.owner() == Some(who.uid);
        if !who.is_admin || owns(name) && to.is_none_or(owns) {
            return;
        }
        let mut fields = vec![("result", result), ("mailbox", name.as_str())];
        fields.extend(to.map(|to| ("to", to.as_str())));
        fields.push(("user", who.uid));
        self.log.audit(Action::Mailbox, &fields);
    }

    /// Whether the user may make a mailbox: `k` on the nearest one above (RFC 4314 §4). At the top of what belongs to
    /// nobody, and to somebody else, only administrators.
    ///
    /// # Errors
    /// `NoPermission`, whether there is something above that the user does not see or not.
    pub fn may_create(&self, who: Who<'_>, name: &MailboxName) -> Result<(), Refusal> {
        if who.has_all(name) {
            return Ok(());
        }
        match self.store.nearest_above(name)? {
            Some(above) if self.rights(who, &above)?.contains(Rights::CREATE) => Ok(()),
            _ => Err(Refusal::NoPermission),
        }
    }
}

/// Of these rights, those that a log-in has: who is nobody in particular sees and reads.
fn held_by(who: Who<'_>, rights: Rights) -> Rights {
    if who.is_anybody { rights & (Rights::LOOKUP | Rights::READ) } else { rights }
}
