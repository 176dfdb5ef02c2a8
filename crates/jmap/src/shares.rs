//! Mailboxes of others in which a user was given something (RFC 4314): further accounts, one for each owner, and one for what
//! belongs to nobody (RFC 8620 §1.6.2).
//!
//! An account of its own, and not further mailboxes of the user's account: a message that both have is then two emails, each with
//! its own keywords and rights. The id of another user's is that user's uid, as the user's own is; of nobody's it is [`PUBLIC`].
//! What may be done is looked up in the access control lists at each method call, so that a change of them is in force at once. \Seen is
//! each reader's own there (`message_store::SeenBy`), as IMAP has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use directory::Found;
use message_store::{ANYONE, GROUP, Listed, MailboxName, Rights, Side, StoreError};

use crate::{Jmap, Who};

/// The account of mailboxes that belong to nobody.
pub const PUBLIC: &str = "_public";
/// Mailboxes of one side that one identifier is given; where it is given more, none of them are seen.
const GIVEN_MAX: usize = 20_000;
/// Accounts of others that a session object names.
const ACCOUNTS_MAX: usize = 200;
/// Groups that are asked for at once.
const GROUPS_PAGE: usize = 100;
/// How long the list of accounts holds where it only tells that the session object is another.
const KEPT: Duration = Duration::from_secs(1);
/// Users whose list is kept.
const KEPT_MAX: usize = 10_000;

/// What IMAP calls the mailboxes of nobody, and of others: subscriptions are by these names.
const SHARED: &str = "Shared Folders";

/// Whose mailboxes an account has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The user's who asks.
    #[default]
    Own,
    User(String),
    /// Nobody's.
    Public,
}

/// Whose mailboxes, and who asks for them.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    pub who: &'a Who,
    pub owner: &'a Owner,
}

impl<'a> Scope<'a> {
    /// The user's own.
    pub fn own(who: &'a Who) -> Scope<'a> {
        Scope { who, owner: &Owner::Own }
    }

    /// The id of the account.
    pub fn account_id(self) -> &'a str {
        match self.owner {
            Owner::Own => &self.who.uid,
            Owner::User(uid) => uid,
            Owner::Public => PUBLIC,
        }
    }

    pub fn is_own(self) -> bool {
        *self.owner == Owner::Own
    }

    /// What stands in front of the names of its mailboxes in the store.
    pub fn prefix(self) -> String {
        match self.owner {
            Owner::Own => format!("user/{}/", self.who.uid),
            Owner::User(uid) => format!("user/{uid}/"),
            Owner::Public => String::new(),
        }
    }

    /// What the user calls a mailbox where subscriptions are kept.
    pub fn subscription(self, name: &MailboxName) -> String {
        match self.owner {
            Owner::Own => name.as_str().strip_prefix(&self.prefix()).unwrap_or(name.as_str()).to_owned(),
            Owner::User(_) => format!("{SHARED}/User/{}", name.as_str().trim_start_matches("user/")),
            Owner::Public => format!("{SHARED}/{name}"),
        }
    }
}

/// A mailbox of another's that the user sees, and what the user may do there.
pub struct Given {
    pub listed: Listed,
    pub rights: Rights,
}

/// A list of owners, and since when it holds.
type OwnersSince = (Instant, Arc<Vec<Owner>>);

/// Lists of owners, by uid.
#[derive(Default)]
pub struct Kept(Mutex<HashMap<String, OwnersSince>>);

fn owner_of(name: &MailboxName) -> Owner {
    name.owner().map_or(Owner::Public, |uid| Owner::User(uid.to_owned()))
}

impl Jmap {
    /// The owner that an account id names; nothing when there is nothing of that owner's that the user sees.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn owner(&self, who: &Who, account: &str) -> Result<Option<Owner>, StoreError> {
        if account == who.uid {
            return Ok(Some(Owner::Own));
        }
        let owner = if account == PUBLIC { Owner::Public } else { Owner::User(account.to_owned()) };
        let names = self.given_names(who)?;
        for name in names.into_iter().filter(|name| owner_of(name) == owner) {
            if self.given(who, &name)?.is_some() {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// Whose mailboxes the user sees, beside their own; sorted.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn owners(&self, who: &Who) -> Result<Vec<Owner>, StoreError> {
        let mut owners: Vec<Owner> = Vec::new();
        for name in self.given_names(who)? {
            let owner = owner_of(&name);
            // A user of this uid shares nothing here: the account is what everybody knows by the id.
            let is_known = owner != Owner::User(PUBLIC.to_owned());
            if is_known
                && owners.len() < ACCOUNTS_MAX
                && !owners.contains(&owner)
                && self.given(who, &name)?.is_some()
            {
                owners.push(owner);
            }
        }
        owners.sort_unstable();
        Ok(owners)
    }

    /// The same as it was a moment ago; none when it cannot be told.
    pub(crate) fn owners_kept(&self, who: &Who) -> Arc<Vec<Owner>> {
        let kept = || self.kept_owners.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, owners)) = kept().get(&who.uid) {
            if since.elapsed() < KEPT {
                return Arc::clone(owners);
            }
        }
        let owners = Arc::new(self.owners(who).unwrap_or_default());
        let mut kept = kept();
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (since, _)| since.elapsed() < KEPT);
        }
        if kept.len() < KEPT_MAX {
            kept.insert(who.uid.clone(), (Instant::now(), Arc::clone(&owners)));
        }
        owners
    }

    /// The mailboxes of one owner that the user sees, by name.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn given_of(&self, who: &Who, owner: &Owner) -> Result<Vec<Given>, StoreError> {
        let mut found = Vec::new();
        for name in self.given_names(who)?.into_iter().filter(|name| owner_of(name) == *owner) {
            found.extend(self.given(who, &name)?);
        }
        Ok(found)
    }

    /// A mailbox with what the user may do there; nothing when it is not seen.
    fn given(&self, who: &Who, name: &MailboxName) -> Result<Option<Given>, StoreError> {
        let there = self.store.list(name.as_str(), None, 1)?.into_iter().next();
        let Some(listed) = there.filter(|listed| listed.name == *name && listed.selectable) else {
            return Ok(None);
        };
        let rights = self.rights(who, listed.id)?;
        Ok(rights.has_any(Rights::LOOKUP).then_some(Given { listed, rights }))
    }

    fn rights(&self, who: &Who, id: u128) -> Result<Rights, StoreError> {
        let acl = self.store.acl_of(id)?;
        let directory = self.directory.as_ref();
        Ok(acl.rights(&who.uid, |group| self.memberships.is_member(directory, group, &who.uid)))
    }

    /// Whether the user may make a mailbox of this name, another's: `k` on the nearest above it (RFC 4314 §4).
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn may_create(&self, who: &Who, name: &MailboxName) -> Result<bool, StoreError> {
        let Some(above) = self.store.nearest_above(name)? else { return Ok(false) };
        Ok(self.given(who, &above)?.is_some_and(|given| given.rights.contains(Rights::CREATE)))
    }

    /// What the user may have been given, without their own: names, sorted.
    fn given_names(&self, who: &Who) -> Result<Vec<MailboxName>, StoreError> {
        let mut names: Vec<MailboxName> = Vec::new();
        let mut take = |identifier: &str| -> Result<(), StoreError> {
            for side in [Side::Users, Side::Public] {
                names.extend(self.store.given_to(identifier, side, GIVEN_MAX)?.unwrap_or_default());
            }
            Ok(())
        };
        take(&who.uid)?;
        take(ANYONE)?;
        let mut after = None;
        loop {
            let groups = self.store.given_groups(after.as_deref(), GROUPS_PAGE)?;
            for group in &groups {
                let is = self.memberships.is_member(self.directory.as_ref(), group, &who.uid);
                if is == Some(true) {
                    take(&format!("{GROUP}{group}"))?;
                }
            }
            match groups.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        names.retain(|name| name.owner() != Some(&who.uid));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// What people call the owner of an account.
    pub(crate) fn name_of(&self, owner: &Owner) -> String {
        match owner {
            Owner::Own => String::new(),
            Owner::Public => SHARED.to_owned(),
            Owner::User(uid) => match self.directory.by_uid(uid) {
                Ok(Found::One(entry)) => {
                    let name = entry.attributes.get("cn").and_then(|names| names.first());
                    name.cloned().unwrap_or_else(|| entry.mail.clone())
                }
                _ => uid.clone(),
            },
        }
    }
}
