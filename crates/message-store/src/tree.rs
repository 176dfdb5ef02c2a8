//! Making, deleting and renaming mailboxes: the list and the folders, so that neither a crash nor another process parts
//! them.
//!
//! All of it happens under the lock of the tree (`tree_lock.rs`). A folder is made before its entry and goes after it, so
//! that a crash leaves a folder too many and never an entry too many; what is being deleted is marked before
//! (`deletion.rs`), what is being renamed is written down before (`renames.rs`).

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, Weak};

use commit_journal::SyncLevel;
use mailbox_list::{Acl, MailboxName, NewEntry, SpecialUse};

use crate::list::told;
use crate::mailbox::Mailbox;
use crate::renames::{self, Pending};
use crate::store::{Listed, PAGE_MAX, Store, make_folder, random_id};
use crate::tree_lock::TreeLock;
use crate::{Result, Severity, StoreError, acl, deletion, last_access};

impl Store {
    /// Makes a mailbox in its parent's partition.
    ///
    /// # Errors
    /// `AlreadyExists`, `CannotCreate`, `NoSpace`, `InUse`.
    pub fn create(&self, name: &MailboxName, special_use: Option<SpecialUse>) -> Result<()> {
        let lock = self.lock_trees(&[name])?;
        let partition = self.partition_above(name)?;
        self.create_locked(&lock, name, special_use, &partition, None, None)
    }

    /// Changes what a mailbox is for.
    ///
    /// # Errors
    /// `NotFound`, `InUse`.
    pub fn set_special_use(&self, name: &MailboxName, special_use: Option<SpecialUse>) -> Result<()> {
        let _lock = self.lock_trees(&[name])?;
        self.selectable(name)?;
        self.shared.list.update(name, |entry| entry.special_use = special_use).map_err(told)
    }

    /// What a mailbox is for.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn special_use(&self, name: &MailboxName) -> Result<Option<SpecialUse>> {
        Ok(self.selectable(name)?.special_use)
    }

    /// The partition of the nearest mailbox above, or the default one.
    pub(crate) fn partition_above(&self, name: &MailboxName) -> Result<String> {
        let mut above = name.parent();
        while let Some(parent) = above {
            let partition = self.find(&parent)?.map(|entry| entry.partition);
            if let Some(partition) = partition.filter(|name| !name.is_empty()) {
                return Ok(partition);
            }
            above = parent.parent();
        }
        Ok(self.shared.settings.default_partition.clone())
    }

    /// In this partition instead of the parent's or the default one.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn create_in(
        &self,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
        partition: &str,
    ) -> Result<()> {
        let lock = self.lock_trees(&[name])?;
        self.create_locked(&lock, name, special_use, partition, None, None)
    }

    /// `uid_validity`, `acl`: as a backup has them; else of a folder that is there, or new ones.
    pub(crate) fn create_locked(
        &self,
        lock: &TreeLock,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
        partition: &str,
        uid_validity: Option<u32>,
        acl: Option<Acl>,
    ) -> Result<()> {
        if self.find(name)?.is_some_and(|entry| entry.selectable) {
            return Err(StoreError::AlreadyExists);
        }
        if let Some(owner) = name.owner().filter(|_| !name.is_inbox()) {
            self.ensure_inbox(lock, owner, None)?;
        }
        let folder = self.folder_in(partition, name)?;
        self.clear_away(name, partition)?;
        make_folder(&folder, self.shared.settings.sync.index)?;
        // A folder that somebody put there is taken as it is (S183, S184).
        let identity = Mailbox::read_identity(&folder);
        if identity.is_some() {
            self.distrust_usage(name);
        }
        let id = identity.map_or_else(random_id, |(id, _)| Ok(id))?;
        let found = identity.map(|(_, validity)| validity).filter(|validity| *validity != 0);
        let uid_validity = found.or(uid_validity);
        let acl = match (identity, acl) {
            (Some(_), _) => self.found_acl(&folder, name)?,
            (None, Some(acl)) => acl,
            (None, None) => self.inherited_acl(name)?,
        };
        if identity.is_none() {
            acl::write(&folder, &acl)?;
        }
        let new = NewEntry { special_use, id, uid_validity, partition, acl: &acl };
        let entry = self.shared.list.create(name, &new).map_err(told)?;
        Mailbox::make_files(&self.shared, &folder, entry.id, entry.uid_validity)?;
        self.announce_names(name);
        Ok(())
    }

    /// What an interrupted deletion left where a mailbox is to be, and which the list does not have any more.
    pub(crate) fn clear_away(&self, name: &MailboxName, partition: &str) -> Result<()> {
        let folder = self.folder_in(partition, name)?;
        if !deletion::is_marked(&folder) {
            return Ok(());
        }
        let mut trash = Vec::new();
        if name.is_inbox() {
            self.throw_away_user(name, &mut trash)?;
        } else {
            trash.push(self.throw_away(self.partition(partition)?, &folder)?);
        }
        let text = format!("the rest of an interrupted deletion of {name} is removed");
        self.shared.log.write(Severity::Warning, &text);
        Ok(trash.iter().try_for_each(|place| deletion::remove(place))?)
    }

    /// Removes a mailbox and its messages. Those below it stay; a user's INBOX takes all of the user's mailboxes along, in
    /// whichever partitions they are.
    ///
    /// # Errors
    /// `NotFound`, `InUse`; nothing has changed then.
    pub fn delete(&self, name: &MailboxName) -> Result<()> {
        let lock = self.lock_trees(&[name])?;
        let entry = self.selectable(name)?;
        let partition = self.partition(&entry.partition)?;
        let folder = self.folder_in(&entry.partition, name)?;
        let mut doomed = vec![(name.clone(), entry.partition.clone(), entry.id)];
        if name.is_inbox() {
            let below = self.all_below(name)?;
            doomed.extend(below.into_iter().map(|listed| (listed.name, listed.partition, listed.id)));
        }
        self.mark_all(&doomed)?;
        self.release_usage(name.owner(), doomed.iter().map(|(_, _, id)| *id));
        let mut trash = Vec::new();
        let cleared = if name.is_inbox() {
            self.shared.list.remove_tree(name).map_err(told)?;
            self.forget_last_access(name);
            self.throw_away_user(name, &mut trash)
        } else {
            self.shared.list.remove(name).map_err(told)?;
            self.throw_away(partition, &folder).map(|place| trash.push(place))
        };
        drop(lock);
        self.announce_names(name);
        let removed = trash.iter().try_for_each(|place| deletion::remove(place));
        if let Err(error) = cleared.and(removed.map_err(StoreError::from)) {
            // It is deleted; its mark lets nobody take up what is still there.
            let text = format!("{name} is deleted, but not all of its files could be removed: {error}");
            self.shared.log.write(Severity::Warning, &text);
        }
        Ok(())
    }

    fn forget_last_access(&self, inbox: &MailboxName) {
        let Some(uid) = inbox.owner() else { return };
        let done = last_access::forget(&self.shared.settings.last_access_folder, uid);
        self.say_of_last_access(inbox, "stays", done);
    }

    /// Of an account that is renamed.
    fn rename_last_access(&self, from: &MailboxName, to: &MailboxName) {
        let (Some(old), Some(new)) = (from.owner(), to.owner()) else { return };
        if from.is_inbox() && to.is_inbox() {
            let done = last_access::rename(&self.shared.settings.last_access_folder, old, new);
            self.say_of_last_access(from, "stays under this name", done);
        }
    }

    fn say_of_last_access(&self, inbox: &MailboxName, what: &str, done: io::Result<()>) {
        if let Err(why) = done {
            let text = format!("{inbox}: the user's last access {what}: {why}");
            self.shared.log.write(Severity::Warning, &text);
        }
    }

    /// Marks mailboxes as deleted, all or none.
    fn mark_all(&self, doomed: &[(MailboxName, String, u128)]) -> Result<()> {
        for (place, (name, partition, id)) in doomed.iter().enumerate() {
            let marked = self.open_listed(name, partition, *id).and_then(|mailbox| mailbox.mark_deleted());
            if let Err(StoreError::InUse) = marked {
                for (name, partition, id) in &doomed[..place] {
                    let folder = self.folder_in(partition, name)?;
                    deletion::unmark(&self.shared, &folder, name, *id)?;
                }
                return Err(StoreError::InUse);
            }
            // Any other error: marked before, or damaged; it goes all the same.
        }
        Ok(())
    }

    pub(crate) fn all_below(&self, name: &MailboxName) -> Result<Vec<Listed>> {
        let prefix = match name.owner().filter(|_| name.is_inbox()) {
            Some(owner) => format!("user/{owner}/"),
            None => format!("{name}/"),
        };
        let mut all: Vec<Listed> = Vec::new();
        loop {
            let page = self.list(&prefix, all.last().map(|listed| &listed.name), PAGE_MAX)?;
            let is_last = page.len() < PAGE_MAX;
            all.extend(page);
            if is_last {
                all.retain(|listed| listed.selectable && listed.name != *name);
                return Ok(all);
            }
        }
    }

    /// Renames a mailbox and all below it. The messages of an INBOX move to a new mailbox and it stays (RFC 3501 §6.3.5);
    /// from one user's INBOX to another's name, the account is renamed.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, `CannotCreate`, `InUse`.
    pub fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        if from.is_inbox() && !to.is_inbox() {
            return self.empty_inbox_into(from, to);
        }
        let lock = self.lock_trees(&[from, to])?;
        let entry = self.find(from)?.ok_or(StoreError::NotFound)?;
        if self.find(to)?.is_some() {
            return Err(StoreError::AlreadyExists);
        }
        if to.is_inbox() && !from.is_inbox() {
            return Err(StoreError::CannotCreate("an INBOX is not renamed to"));
        }
        let to_path = to.tree_path();
        if to_path.starts_with(&from.tree_path()) {
            return Err(StoreError::CannotCreate("it would be below itself"));
        }
        if let Some(owner) = to.owner().filter(|_| !to.is_inbox()) {
            self.ensure_inbox(&lock, owner, None)?;
        }
        for partition in self.shared.settings.partitions.keys() {
            self.folder_in(partition, to)?; // refused before anything changes
            self.clear_away(to, partition)?;
        }
        let pending = renames::begin(&self.shared.settings.list_folder, entry.id, from, to)?;
        let mut moved = Vec::new();
        let done = self
            .move_folders(from, to, &mut moved)
            .and_then(|()| self.shared.list.rename(from, to).map_err(told));
        if let Err(error) = done {
            // What this rename moved and nothing else; what cannot go back is left to who meets the note.
            if moved.iter().rev().all(|(old, new)| fs::rename(new, old).is_ok()) {
                let _ = pending.end();
            }
            return Err(error);
        }
        self.move_usage(from, to)?;
        self.rename_last_access(from, to);
        pending.end()?;
        self.rename_open(from, to);
        self.announce_names(from);
        self.announce_names(to);
        Ok(())
    }

    /// Of the tree, what this process has open gets its new name; however large the tree is.
    fn rename_open(&self, from: &MailboxName, to: &MailboxName) {
        let open: Vec<Arc<Mailbox>> = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.values().filter_map(Weak::upgrade).collect()
        };
        let from = from.tree_path();
        for mailbox in open {
            let name = mailbox.name();
            let Some(rest) = name.tree_path().strip_prefix(from.as_slice()).map(<[&str]>::to_vec) else {
                continue;
            };
            if let Ok(name) = rest.iter().try_fold(to.clone(), |name, level| name.join(level)) {
                mailbox.set_name(name);
            }
        }
    }

    /// Moves the folders of a mailbox in every partition that has one; `moved` tells which.
    fn move_folders(
        &self,
        from: &MailboxName,
        to: &MailboxName,
        moved: &mut Vec<(PathBuf, PathBuf)>,
    ) -> Result<()> {
        for partition in self.shared.settings.partitions.keys() {
            let (old, new) = (self.folder_in(partition, from)?, self.folder_in(partition, to)?);
            if !old.exists() {
                continue;
            }
            if let Some(parent) = new.parent() {
                make_folder(parent, self.shared.settings.sync.index)?;
            }
            let renamed = match fs::rename(&old, &new) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    match deletion::remove_rest(&new)? {
                        true => fs::rename(&old, &new),
                        false => Err(error),
                    }
                }
                other => other,
            };
            match renamed {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    return Err(StoreError::CannotCreate(
                        "a folder on disk is in the way; see reconstruct -m",
                    ));
                }
                other => other?,
            }
            moved.push((old.clone(), new.clone()));
            for folder in [old.parent(), new.parent()].into_iter().flatten() {
                if self.shared.settings.sync.index != SyncLevel::None {
                    os::file::sync_dir(folder)?;
                }
            }
        }
        Ok(())
    }

    fn empty_inbox_into(&self, inbox: &MailboxName, to: &MailboxName) -> Result<()> {
        self.selectable(inbox)?;
        self.create(to, None)?;
        let (source, target): (Arc<Mailbox>, Arc<Mailbox>) =
            (self.open_mailbox(inbox)?, self.open_mailbox(to)?);
        source.copy_annotations_to(&target)?;
        source.move_all_to(&target)
    }

    /// Finishes the renames, and changes of access control lists, of processes that are gone. How many. One that cannot be finished is said and left.
    ///
    /// # Errors
    /// The folder of the list cannot be read.
    pub fn finish_renames(&self) -> Result<usize> {
        let folder = &self.shared.settings.list_folder;
        let before = renames::all(folder)?;
        let changes = acl::pending(folder)?;
        for (_, name) in &changes {
            if let Err(error) = self.lock_trees(&[name]) {
                let text = format!("a change of the access control list of {name} was interrupted: {error}");
                self.shared.log.write(Severity::Error, &text);
            }
        }
        for pending in &before {
            // Whoever is at it just now is waited for.
            if let Err(error) = self.lock_trees(&[&pending.from, &pending.to]) {
                let text =
                    format!("the rename of {} to {} was interrupted: {error}", pending.from, pending.to);
                self.shared.log.write(Severity::Error, &text);
            }
        }
        let (begun, left) =
            (before.len() + changes.len(), renames::all(folder)?.len() + acl::pending(folder)?.len());
        Ok(begun.saturating_sub(left))
    }

    /// Makes an interrupted rename whole. Nobody else is in its trees, and nobody was since.
    pub(crate) fn finish_rename(&self, pending: Pending) -> Result<()> {
        let (from, to) = (&pending.from, &pending.to);
        let is_renamed = self.find(to)?.is_some() && self.find(from)?.is_none();
        // Without an entry of the new name the folders go back to where the list says.
        let (old, new) = if is_renamed { (from, to) } else { (to, from) };
        for partition in self.shared.settings.partitions.keys() {
            let (old, new) = (self.folder_in(partition, old)?, self.folder_in(partition, new)?);
            if old.exists() && !new.exists() {
                if let Some(parent) = new.parent() {
                    make_folder(parent, self.shared.settings.sync.index)?;
                }
                fs::rename(&old, &new)?;
            }
        }
        if is_renamed {
            self.move_usage(from, to)?;
        }
        let what = if is_renamed { "done" } else { "undone" };
        let text = format!("the rename of {from} to {to} was interrupted; it is {what}");
        self.shared.log.write(Severity::Warning, &text);
        Ok(pending.end()?)
    }

    /// Makes the user's INBOX if there is none (first delivery, first log-in).
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn ensure_user(&self, uid: &str) -> Result<()> {
        self.ensure_user_in(uid, None)
    }

    /// As `ensure_user`, in this partition when it has to be created.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn ensure_user_in(&self, uid: &str, partition: Option<&str>) -> Result<()> {
        let inbox = MailboxName::inbox(uid)?;
        if self.exists(&inbox)? {
            return Ok(());
        }
        let lock = self.lock_trees(&[&inbox])?;
        self.ensure_inbox(&lock, uid, partition)
    }

    fn ensure_inbox(&self, lock: &TreeLock, uid: &str, partition: Option<&str>) -> Result<()> {
        let inbox = MailboxName::inbox(uid)?;
        let default = &self.shared.settings.default_partition;
        let known = partition.filter(|name| self.shared.settings.partitions.contains_key(*name));
        match self.create_locked(lock, &inbox, None, known.unwrap_or(default), None, None) {
            Err(StoreError::AlreadyExists) => Ok(()),
            other => other,
        }
    }
}
