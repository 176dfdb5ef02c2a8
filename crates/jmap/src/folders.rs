//! The mailboxes that mail of one's own goes to: `meDraftFolder`, `meSentFolder` (S119, S123), Trash. They are made when they are
//! not there, subscribed, with the special use that they have (RFC 6154), so that every program finds the same ones.
//!
//! // NMS: the first sign-in makes Drafts, Sent and Trash.

use std::io::Write;

use message_store::{Flags, Listed, MailboxName, NewMessage, SpecialUse, Store, StoreError};
use server_log::Category;

use crate::methods::preferences::{Preferences, names_folder};
use crate::{Jmap, Who};

const TRASH: &str = "Trash";
/// Mailboxes that are looked at.
const LISTED_MAX: usize = 10_000;

/// Which of the user's mailboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    Drafts,
    Sent,
    Trash,
}

impl Folder {
    fn special_use(self) -> SpecialUse {
        match self {
            Folder::Drafts => SpecialUse::Drafts,
            Folder::Sent => SpecialUse::Sent,
            Folder::Trash => SpecialUse::Trash,
        }
    }

    fn name(self, preferences: &Preferences) -> &str {
        match self {
            Folder::Drafts => &preferences.draft_folder,
            Folder::Sent => &preferences.sent_folder,
            Folder::Trash => TRASH,
        }
    }
}

impl Jmap {
    /// Makes the mailboxes of mail of one's own what the preferences say; at a sign-in. What fails is logged: mail can be read
    /// all the same.
    pub fn prepare(&self, who: &Who) {
        let preferences = self.preferences(who);
        for folder in [Folder::Drafts, Folder::Sent, Folder::Trash] {
            if let Err(why) = self.folder(who, folder, &preferences) {
                let name = base::escape(folder.name(&preferences));
                self.log.warning(Category::Store, format_args!("{}: {name}: {why}", who.uid));
            }
        }
    }

    /// The mailbox, made or marked when it is not so yet. Where the user has not said which, any that is marked so is it.
    fn folder(
        &self,
        who: &Who,
        folder: Folder,
        preferences: &Preferences,
    ) -> Result<MailboxName, StoreError> {
        self.ensure(who)?;
        let special_use = folder.special_use();
        let marked = marked(&self.store, &who.uid, special_use)?;
        let entry = self.fresh(who);
        let is_chosen = match folder {
            Folder::Drafts => names_folder(&entry, true),
            Folder::Sent => names_folder(&entry, false),
            Folder::Trash => false,
        };
        if let (false, Some(first)) = (is_chosen, marked.first()) {
            return Ok(first.clone());
        }
        let text = folder.name(preferences);
        let name = MailboxName::parse(&format!("user/{}/{text}", who.uid));
        let name = name.map_err(|_| StoreError::CannotCreate("the name is none"))?;
        if name.owner() != Some(&who.uid) || marked.contains(&name) {
            return Ok(name);
        }
        if !self.store.exists(&name)? {
            match self.store.create(&name, None) {
                Err(StoreError::AlreadyExists) => {}
                other => other?,
            }
            self.store.subscribe(&who.uid, text)?;
        }
        if !name.is_inbox() {
            for former in marked {
                self.store.set_special_use(&former, None)?;
            }
            self.store.set_special_use(&name, Some(special_use))?;
        }
        Ok(name)
    }

    /// Puts a message into one of these mailboxes.
    ///
    /// # Errors
    /// `OverQuota` among others; nothing was kept.
    pub fn keep(&self, who: &Who, folder: Folder, message: &[u8]) -> Result<(), StoreError> {
        let name = self.folder(who, folder, &self.preferences(who))?;
        let mut incoming = self.store.open_mailbox(&name)?.begin_append()?;
        incoming.write_all(message)?;
        let flags = if folder == Folder::Drafts { Flags::SEEN | Flags::DRAFT } else { Flags::SEEN };
        let internal_date_ns = base::clock::unix_nanos();
        incoming.finish(NewMessage { flags, keywords: Vec::new(), internal_date_ns })?;
        Ok(())
    }

    /// The user signs out: deleted messages go for good, where `meExpungeOnExit` says so (S124).
    pub fn signed_out(&self, who: &Who) {
        if !self.preferences(who).expunge_on_exit {
            return;
        }
        if let Err(why) = self.expunge(who) {
            self.log.warning(Category::Store, format_args!("{}: not expunged at sign-out: {why}", who.uid));
        }
    }

    /// Expunges what is marked deleted, in every mailbox of the user.
    ///
    /// # Errors
    /// The store's.
    pub fn expunge(&self, who: &Who) -> Result<(), StoreError> {
        for listed in all(&self.store, &who.uid)?.into_iter().filter(|listed| listed.selectable) {
            self.store.open_mailbox(&listed.name)?.expunge(None)?;
        }
        Ok(())
    }
}

fn all(store: &Store, uid: &str) -> Result<Vec<Listed>, StoreError> {
    let prefix = format!("user/{uid}/");
    let mut found: Vec<Listed> = Vec::new();
    loop {
        let page = store.list(&prefix, found.last().map(|listed| &listed.name), LISTED_MAX)?;
        if page.is_empty() || found.len() >= LISTED_MAX {
            return Ok(found);
        }
        found.extend(page);
    }
}

fn marked(store: &Store, uid: &str, special_use: SpecialUse) -> Result<Vec<MailboxName>, StoreError> {
    let all = all(store, uid)?.into_iter();
    Ok(all.filter(|one| one.special_use == Some(special_use)).map(|one| one.name).collect())
}
