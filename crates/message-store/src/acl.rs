//! Access control lists: in the mailbox list, where they are looked at, and in the mailbox's folder (`store.acl`), from which
//! the list can be made anew.
//!
//! A change writes a note (`acl-<id>` in the list's folder) durably, then the file, then the list, and removes the note, all
//! under the lock of the tree. A crash between leaves the note: whoever locks the tree next makes the list what the file
//! says, stored at its start for all. So the two never differ for good, and a change that was interrupted does not come
//! back at the next `reconstruct -m`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mailbox_list::{Acl, AclError, MailboxName, Side};

use crate::list::told;
use crate::ring::Notice;
use crate::store::Store;
use crate::tree_lock::tree_of;
use crate::{Result, Severity, StoreError};

pub const FILE: &str = "store.acl";
const NOTE: &str = "acl-";

impl From<AclError> for StoreError {
    fn from(error: AclError) -> StoreError {
        match error {
            AclError::TooManyEntries => StoreError::TooBig("500 entries of an access control list"),
            AclError::BadIdentifier => StoreError::CannotCreate("it is no identifier"),
        }
    }
}

/// The list of the mailbox in a folder; an empty one when there is none.
///
/// # Errors
/// `Damaged` when it does not verify.
pub(crate) fn read(folder: &Path) -> Result<Acl> {
    match fs::read(folder.join(FILE)) {
        Ok(bytes) => Acl::decode(&bytes).ok_or_else(|| StoreError::Damaged(FILE.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Acl::default()),
        Err(error) => Err(error.into()),
    }
}

/// Puts a list into a folder, durably. An empty one is no file.
pub(crate) fn write(folder: &Path, acl: &Acl) -> io::Result<()> {
    let path = folder.join(FILE);
    if !acl.is_empty() {
        return base::replace::durable_replace(&path, acl.encode().as_bytes(), 0o600);
    }
    match fs::remove_file(&path) {
        Ok(()) => os::file::sync_dir(folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Changes that are under way or were interrupted: the notes and their mailboxes.
pub(crate) fn pending(list_folder: &Path) -> Result<Vec<(PathBuf, MailboxName)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(list_folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(NOTE) {
            continue;
        }
        match fs::read_to_string(entry.path()).map(|text| MailboxName::parse(text.trim_end())) {
            Ok(Ok(name)) => found.push((entry.path(), name)),
            Ok(Err(_)) => fs::remove_file(entry.path())?, // durable_replace makes no torn file: somebody else's
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // done meanwhile
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

impl Store {
    /// Who may do what with a mailbox, apart from its owner and administrators.
    ///
    /// # Errors
    /// `NotFound`, damage of the list.
    pub fn acl(&self, name: &MailboxName) -> Result<Acl> {
        self.acl_of(self.selectable(name)?.id)
    }

    /// The same by the mailbox's id; an empty list when there is no such mailbox.
    ///
    /// # Errors
    /// Damage of the list.
    pub fn acl_of(&self, id: u128) -> Result<Acl> {
        self.shared.list.acl(id).map_err(told)
    }

    /// Changes the list of a mailbox: durable, and in force in every session, when it returns. What it is now.
    ///
    /// # Errors
    /// `NotFound`, `InUse`, `change`'s; nothing has changed then.
    pub fn change_acl(&self, name: &MailboxName, change: impl Fn(&mut Acl) -> Result<()>) -> Result<Acl> {
        let lock = self.lock_trees(&[name])?;
        let entry = self.selectable(name)?;
        let folder = self.folder_in(&entry.partition, name)?;
        let old = self.acl_of(entry.id)?;
        let mut acl = old.clone();
        change(&mut acl)?;
        if acl == old {
            return Ok(acl);
        }
        let note = self.shared.settings.list_folder.join(format!("{NOTE}{:032x}", entry.id));
        base::replace::durable_replace(&note, format!("{name}\n").as_bytes(), 0o600)?;
        base::crash::step("acl: noted");
        write(&folder, &acl)?;
        base::crash::step("acl: in the folder");
        self.shared.list.set_acl(name, entry.id, &acl).map_err(told)?;
        base::crash::step("acl: in the list");
        fs::remove_file(&note)?;
        drop(lock);
        self.announce_acl(name, entry.id);
        self.announce_to_given(&old, &acl);
        Ok(acl)
    }

    /// Whoever idles in it may see less, or more; for whoever watches its tree it may be there, or not any more.
    fn announce_acl(&self, name: &MailboxName, id: u128) {
        self.shared.ring.announce(Notice { mailbox: id, tree: tree_of(name) });
        self.announce_names(name);
    }

    /// Whoever was given something, or was taken it, may not watch the owner's tree: such users are told in their own.
    fn announce_to_given(&self, old: &Acl, new: &Acl) {
        let users = old.entries().chain(new.entries()).map(|(identifier, _)| identifier);
        let changed = users.filter(|user| old.of(user) != new.of(user));
        for user in changed.collect::<std::collections::BTreeSet<&str>>() {
            if let Ok(inbox) = MailboxName::inbox(user.strip_prefix('-').unwrap_or(user)) {
                self.announce_names(&inbox);
            }
        }
    }

    /// Under the lock of the tree: the list of mailboxes becomes what the file of an interrupted change says.
    pub(crate) fn finish_acl(&self, note: &Path, name: &MailboxName) -> Result<()> {
        match self.selectable(name) {
            Ok(entry) => {
                self.take_acl_from(&self.folder_in(&entry.partition, name)?, name, entry.id)?;
            }
            Err(StoreError::NotFound) => {} // deleted since
            Err(error) => return Err(error),
        }
        let text = format!("a change of the access control list of {name} was interrupted; it is finished");
        self.shared.log.write(Severity::Warning, &text);
        match fs::remove_file(note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Makes list and file the same: as the file says; when that is damaged, as the list says. Whether the list changed.
    fn take_acl_from(&self, folder: &Path, name: &MailboxName, id: u128) -> Result<bool> {
        let listed = self.acl_of(id);
        match (read(folder), listed) {
            (Ok(acl), Ok(listed)) if acl == listed => Ok(false),
            (Ok(acl), _) => {
                self.shared.list.set_acl(name, id, &acl).map_err(told)?;
                self.announce_acl(name, id);
                Ok(true)
            }
            (Err(StoreError::Damaged(_)), Ok(listed)) => {
                let text = format!("{name}: {FILE} is damaged; it is written anew from the mailbox list");
                self.shared.log.write(Severity::Error, &text);
                write(folder, &listed)?;
                Ok(false)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// `reconstruct`: as [`Store::take_acl_from`], and a file that is lost is written from the list.
    pub(crate) fn mend_acl(&self, name: &MailboxName, folder: &Path) -> Result<bool> {
        let listed = self.selectable(name).and_then(|entry| self.acl_of(entry.id));
        if let (Ok(there), Ok(listed)) = (read(folder), listed) {
            if there == listed {
                return Ok(false); // the usual case, without the lock
            }
        }
        let _lock = self.lock_trees(&[name])?;
        let entry = match self.selectable(name) {
            Err(StoreError::NotFound) => return Ok(false),
            other => other?,
        };
        if !folder.join(FILE).exists() {
            write(folder, &self.acl_of(entry.id)?)?;
            return Ok(false);
        }
        self.take_acl_from(folder, name, entry.id)
    }

    /// The list in a folder that is taken up; one that is damaged gives nobody anything.
    pub(crate) fn found_acl(&self, folder: &Path, name: &MailboxName) -> Result<Acl> {
        match read(folder) {
            Err(StoreError::Damaged(_)) => {
                let text =
                    format!("{name}: {FILE} is damaged; only its owner and administrators have rights");
                self.shared.log.write(Severity::Error, &text);
                Ok(Acl::default())
            }
            other => other,
        }
    }

    /// The nearest mailbox above a name, as clients see the names: nothing is above a user's top folders.
    ///
    /// # Errors
    /// Damage of the list.
    pub fn nearest_above(&self, name: &MailboxName) -> Result<Option<MailboxName>> {
        let mut above = name.visible_parent();
        while let Some(parent) = above {
            if self.exists(&parent)? {
                return Ok(Some(parent));
            }
            above = parent.visible_parent();
        }
        Ok(None)
    }

    /// What a new mailbox begins with: the list of the nearest above it (RFC 4314 §4), a top folder of nobody's the
    /// standard one.
    pub(crate) fn inherited_acl(&self, name: &MailboxName) -> Result<Acl> {
        match (self.nearest_above(name)?, name.owner()) {
            (Some(parent), _) => self.acl(&parent),
            (None, Some(_)) => Ok(Acl::default()),
            (None, None) => self
                .shared
                .settings
                .default_acl
                .clone()
                .ok_or(StoreError::CannotCreate("store.defaultacl is no list of identifiers and rights")),
        }
    }

    /// The mailboxes of one side in which the identifier is given `l`, unsorted; nothing when there are more than `limit`.
    ///
    /// # Errors
    /// Damage of the list.
    pub fn given_to(&self, identifier: &str, side: Side, limit: usize) -> Result<Option<Vec<MailboxName>>> {
        self.shared.list.given_to(identifier, side, limit).map_err(told)
    }

    /// The groups that are given `l` in any mailbox, by their addresses: at most `limit`, those behind `after`.
    ///
    /// # Errors
    /// Damage of the list.
    pub fn given_groups(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        self.shared.list.given_groups(after, limit).map_err(told)
    }
}
