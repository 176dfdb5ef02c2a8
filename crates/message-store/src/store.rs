//! The store as a whole: which mailboxes there are, and opening one.
//!
//! The mailbox list is authoritative: what it does not name cannot be reached (S167). A folder is made before its entry
//! and goes after it, so that a crash leaves a folder too many and never an entry too many.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use commit_journal::SyncLevel;
use mailbox_list::{Entry, Found, MailboxList, MailboxName, NewEntry, SpecialUse};
use os::lock::{Mode, OfdLock};

use crate::list::told;
use crate::mailbox::{Mailbox, open_lock_file};
use crate::rebuild::Reconstructed;
use crate::ring::Ring;
use crate::shared::{Shared, boot_number};
use crate::watch::{Watch, Watchers};
use crate::{Result, StoreError, StoreLog, StoreSettings, UidSet, folders, ready, renames, subscriptions};

/// Byte of a user's lock file that who changes the subscriptions holds.
const SUBSCRIPTIONS_BYTE: u32 = 2;
/// Below a partition: what is being deleted.
const TRASH: &str = "trash";
/// Names of one page of the list at most.
pub const PAGE_MAX: usize = 1000;

/// A store; clones share it.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    watchers: Arc<Watchers>,
    open: Arc<Mutex<HashMap<u128, Weak<Mailbox>>>>,
}

/// A mailbox of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: MailboxName,
    /// False: the name is there only because of mailboxes below it.
    pub selectable: bool,
    pub special_use: Option<SpecialUse>,
    pub partition: String,
    /// Random, for ever (MAILBOXID, RFC 8474).
    pub id: u128,
    pub uid_validity: u32,
    pub has_children: bool,
}

impl From<Found> for Listed {
    fn from(found: Found) -> Listed {
        Listed {
            name: found.name,
            selectable: found.entry.selectable,
            special_use: found.entry.special_use,
            partition: found.entry.partition,
            id: found.entry.id,
            uid_validity: found.entry.uid_validity,
            has_children: found.has_children,
        }
    }
}

impl Store {
    /// Opens the store, after stored said that it may be.
    ///
    /// # Errors
    /// `NotReady`; a folder cannot be made; the list is damaged.
    pub fn open(settings: StoreSettings, log: StoreLog) -> Result<Store> {
        ready::wait(&settings)?;
        for path in settings.partitions.values() {
            make_folder(path, SyncLevel::None)?;
        }
        let list = MailboxList::open(&settings.list_folder, settings.list_sync).map_err(told)?;
        let ring = Ring::open(&settings.run_folder)?;
        let shared = Shared { settings, log, list, ring, boot: boot_number() };
        Ok(Store { shared: Arc::new(shared), watchers: Arc::default(), open: Arc::default() })
    }

    fn partition(&self, name: &str) -> Result<&Path> {
        self.shared
            .settings
            .partitions
            .get(name)
            .map(PathBuf::as_path)
            .ok_or(StoreError::CannotCreate("there is no such partition"))
    }

    pub(crate) fn find(&self, name: &MailboxName) -> Result<Option<Entry>> {
        self.shared.list.find(name).map_err(told)
    }

    fn selectable(&self, name: &MailboxName) -> Result<Entry> {
        self.find(name)?.filter(|entry| entry.selectable).ok_or(StoreError::NotFound)
    }

    fn folder_in(&self, partition: &str, name: &MailboxName) -> Result<PathBuf> {
        folders::folder(self.partition(partition)?, name)
            .ok_or(StoreError::CannotCreate("a level of the name is too long for the disk"))
    }

    /// Makes a mailbox in its parent's partition.
    ///
    /// # Errors
    /// `AlreadyExists`, `CannotCreate`, `NoSpace`.
    pub fn create(&self, name: &MailboxName, special_use: Option<SpecialUse>) -> Result<()> {
        let mut above = name.parent();
        let mut partition = None;
        while let (None, Some(parent)) = (&partition, &above) {
            partition = self.find(parent)?.map(|entry| entry.partition).filter(|name| !name.is_empty());
            above = parent.parent();
        }
        let partition = partition.unwrap_or_else(|| self.shared.settings.default_partition.clone());
        self.create_in(name, special_use, &partition)
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
        if self.find(name)?.is_some_and(|entry| entry.selectable) {
            return Err(StoreError::AlreadyExists);
        }
        if let Some(owner) = name.owner().filter(|_| !name.is_inbox()) {
            self.ensure_user(owner)?;
        }
        let folder = self.folder_in(partition, name)?;
        make_folder(&folder, self.shared.settings.sync.index)?;
        // A folder that somebody put there is taken as it is (S183, S184).
        let identity = Mailbox::read_identity(&folder);
        let id = identity.map_or_else(random_id, |(id, _)| Ok(id))?;
        let uid_validity = identity.map(|(_, validity)| validity).filter(|validity| *validity != 0);
        let entry = self
            .shared
            .list
            .create(name, &NewEntry { special_use, id, uid_validity, partition })
            .map_err(told)?;
        Mailbox::make_files(&self.shared, &folder, entry.id, entry.uid_validity)
    }

    /// Removes a mailbox and its messages. Those below it stay; a user's INBOX takes all of the user's mailboxes along.
    ///
    /// # Errors
    /// `NotFound`; when the list is changed already, what remains on disk goes later.
    pub fn delete(&self, name: &MailboxName) -> Result<()> {
        let entry = self.selectable(name)?;
        let folder = self.folder_in(&entry.partition, name)?;
        let partition = self.partition(&entry.partition)?.to_owned();
        let whole_user = name.is_inbox();
        let below = if whole_user { self.all_below(name)? } else { Vec::new() };
        let mut gone = vec![self.open_mailbox(name)];
        gone.extend(below.iter().map(|listed| self.open_mailbox(&listed.name)));
        if whole_user {
            self.shared.list.remove_tree(name).map_err(told)?;
        } else {
            self.shared.list.remove(name).map_err(told)?;
        }
        for mailbox in gone.into_iter().flatten() {
            let _ = mailbox.mark_deleted(); // damaged, perhaps; it goes all the same
        }
        let trash = partition.join(TRASH).join(format!("{:032x}", random_id()?));
        make_folder(&trash, SyncLevel::None)?;
        if whole_user {
            fs::rename(&folder, trash.join("user"))?;
        } else {
            move_own_files(&folder, &trash)?;
            let _ = fs::remove_dir(&folder); // stays when there are mailboxes below
        }
        Ok(fs::remove_dir_all(&trash)?)
    }

    fn all_below(&self, name: &MailboxName) -> Result<Vec<Listed>> {
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
    /// `NotFound`, `AlreadyExists`, `CannotCreate`.
    pub fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        let entry = self.find(from)?.ok_or(StoreError::NotFound)?;
        if self.find(to)?.is_some() {
            return Err(StoreError::AlreadyExists);
        }
        match (from.is_inbox(), to.is_inbox()) {
            (true, false) => return self.empty_inbox_into(from, to),
            (false, true) => return Err(StoreError::CannotCreate("an INBOX is not renamed to")),
            _ => {}
        }
        let to_path = to.tree_path();
        if to_path.starts_with(&from.tree_path()) {
            return Err(StoreError::CannotCreate("it would be below itself"));
        }
        if let Some(owner) = to.owner().filter(|_| !to.is_inbox()) {
            self.ensure_user(owner)?;
        }
        for partition in self.shared.settings.partitions.keys() {
            self.folder_in(partition, to)?; // refused before anything changes
        }
        let affected = self.all_below(from)?;
        let pending = renames::begin(&self.shared.settings.list_folder, entry.id, from, to)?;
        let moved =
            self.move_folders(from, to).and_then(|()| self.shared.list.rename(from, to).map_err(told));
        if let Err(error) = moved {
            let _ = self.move_folders(to, from);
            let _ = pending.end();
            return Err(error);
        }
        pending.end()?;
        self.rename_open(from, to, entry.id, &affected);
        Ok(())
    }

    fn rename_open(&self, from: &MailboxName, to: &MailboxName, id: u128, affected: &[Listed]) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mailbox = |id: u128| open.get(&id).and_then(Weak::upgrade);
        if let Some(mailbox) = mailbox(id) {
            mailbox.set_name(to.clone());
        }
        for listed in affected {
            let rest = &listed.name.tree_path()[from.tree_path().len()..];
            let name = rest.iter().try_fold(to.clone(), |name, level| name.join(level));
            if let (Some(mailbox), Ok(name)) = (mailbox(listed.id), name) {
                mailbox.set_name(name);
            }
        }
    }

    /// Moves the folders of a mailbox in every partition that has one.
    fn move_folders(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        for partition in self.shared.settings.partitions.keys() {
            let (old, new) = (self.folder_in(partition, from)?, self.folder_in(partition, to)?);
            if !old.exists() {
                continue;
            }
            if let Some(parent) = new.parent() {
                make_folder(parent, self.shared.settings.sync.index)?;
            }
            match fs::rename(&old, &new) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    return Err(StoreError::CannotCreate(
                        "a folder on disk is in the way; see reconstruct -m",
                    ));
                }
                other => other?,
            }
            for folder in [old.parent(), new.parent()].into_iter().flatten() {
                if self.shared.settings.sync.index != SyncLevel::None {
                    os::file::sync_dir(folder)?;
                }
            }
        }
        Ok(())
    }

    fn empty_inbox_into(&self, inbox: &MailboxName, to: &MailboxName) -> Result<()> {
        self.create(to, None)?;
        let (source, target) = (self.open_mailbox(inbox)?, self.open_mailbox(to)?);
        source.move_to(&UidSet::all(), &target)?;
        Ok(())
    }

    /// Finishes the renames of processes that are gone. How many.
    ///
    /// # Errors
    /// The folder of the list cannot be read.
    pub fn finish_renames(&self) -> Result<usize> {
        let mut count = 0;
        for pending in renames::all(&self.shared.settings.list_folder)? {
            if pending.pid != std::process::id() && os::process::is_running(pending.pid) {
                continue;
            }
            let (from, to) = (pending.from.clone(), pending.to.clone());
            let renamed = self.find(&to)?.is_some() && self.find(&from)?.is_none();
            let done = if renamed {
                self.move_folders(&from, &to)
            } else {
                // The list has the old name: the folder goes back to where it says.
                self.move_folders(&to, &from)
            };
            let text = format!(
                "the rename of {from} to {to} was interrupted; it is {}",
                if renamed { "done" } else { "undone" }
            );
            self.shared.log.write(crate::Severity::Warning, &text);
            done?;
            pending.end()?;
            count += 1;
        }
        Ok(count)
    }

    /// Removes what deletions that were interrupted left.
    ///
    /// # Errors
    /// The system's.
    pub fn empty_trash(&self) -> Result<usize> {
        let mut count = 0;
        for partition in self.shared.settings.partitions.values() {
            let Ok(entries) = fs::read_dir(partition.join(TRASH)) else { continue };
            for entry in entries {
                fs::remove_dir_all(entry?.path())?;
                count += 1;
            }
        }
        Ok(count)
    }

    pub fn exists(&self, name: &MailboxName) -> Result<bool> {
        Ok(self.find(name)?.is_some_and(|entry| entry.selectable))
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
        let default = &self.shared.settings.default_partition;
        let known = partition.filter(|name| self.shared.settings.partitions.contains_key(*name));
        match self.create_in(&inbox, None, known.unwrap_or(default)) {
            Err(StoreError::AlreadyExists) => Ok(()), // by somebody else, meanwhile
            other => other,
        }
    }

    /// Mailboxes whose names start with `prefix` and come after `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// Damage of the list.
    pub fn list(&self, prefix: &str, after: Option<&MailboxName>, limit: usize) -> Result<Vec<Listed>> {
        let page = self.shared.list.page(prefix, after, limit.min(PAGE_MAX)).map_err(told)?;
        Ok(page.into_iter().map(Listed::from).collect())
    }

    fn user_folder(&self, uid: &str) -> Result<PathBuf> {
        self.ensure_user(uid)?;
        self.folder_of(&MailboxName::inbox(uid)?)
    }

    fn change_subscription(&self, uid: &str, name: &str, subscribed: bool) -> Result<()> {
        let folder = self.user_folder(uid)?;
        let file = open_lock_file(&folder)?;
        let timeout = self.shared.settings.lock_timeout;
        let _lock = OfdLock::acquire(&file, SUBSCRIPTIONS_BYTE, Mode::Exclusive, timeout)?;
        subscriptions::change(&folder, name, subscribed, self.shared.settings.sync.subscribe)
    }

    /// # Errors
    /// `TooBig`, the system's.
    pub fn subscribe(&self, uid: &str, name: &str) -> Result<()> {
        self.change_subscription(uid, name, true)
    }

    /// # Errors
    /// The system's.
    pub fn unsubscribe(&self, uid: &str, name: &str) -> Result<()> {
        self.change_subscription(uid, name, false)
    }

    /// Names as they were given, sorted.
    ///
    /// # Errors
    /// Damage.
    pub fn subscriptions(&self, uid: &str) -> Result<Vec<String>> {
        subscriptions::read(&self.user_folder(uid)?)
    }

    /// Opens a mailbox; all sessions of this process share it.
    ///
    /// # Errors
    /// `NotFound`, damage that cannot be mended.
    pub fn open_mailbox(&self, name: &MailboxName) -> Result<Arc<Mailbox>> {
        let entry = self.selectable(name)?;
        if let Some(mailbox) = self.opened(entry.id) {
            return Ok(mailbox);
        }
        let folder = self.folder_in(&entry.partition, name)?;
        let mailbox = Mailbox::open(Arc::clone(&self.shared), &folder, name.clone(), entry.id)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = open.get(&entry.id).and_then(Weak::upgrade) {
            return Ok(other); // opened by another thread meanwhile
        }
        if open.len() >= 64 && open.len().is_power_of_two() {
            open.retain(|_, mailbox| mailbox.strong_count() > 0);
        }
        open.insert(entry.id, Arc::downgrade(&mailbox));
        Ok(mailbox)
    }

    fn opened(&self, id: u128) -> Option<Arc<Mailbox>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&id).and_then(Weak::upgrade)
    }

    /// Calls `changed` after each change of the mailbox, by whichever process, until the watch is dropped.
    pub fn watch(&self, mailbox: &Mailbox, changed: Box<dyn Fn() + Send + Sync>) -> Watch {
        self.watchers.add(&self.shared, mailbox.id(), Arc::from(changed))
    }

    /// Where the mailbox is on disk.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn folder_of(&self, name: &MailboxName) -> Result<PathBuf> {
        let entry = self.selectable(name)?;
        self.folder_in(&entry.partition, name)
    }

    /// `reconstruct <folder>`.
    ///
    /// # Errors
    /// `NotFound` when the list does not have it (S167).
    pub fn reconstruct(&self, name: &MailboxName) -> Result<Reconstructed> {
        self.open_mailbox(name)?.reconstruct()
    }

    /// stored, every few seconds and after a child's death.
    ///
    /// # Errors
    /// LMDB's.
    pub fn clear_stale_readers(&self) -> Result<usize> {
        self.shared.list.clear_stale_readers().map_err(told)
    }

    /// stored: recovery is over, the others may open.
    ///
    /// # Errors
    /// The system's.
    pub fn set_ready(&self) -> Result<()> {
        Ok(ready::set(&self.shared.settings.run_folder)?)
    }

    /// # Errors
    /// The system's.
    pub fn clear_ready(&self) -> Result<()> {
        Ok(ready::clear(&self.shared.settings.run_folder)?)
    }
}

pub(crate) fn random_id() -> Result<u128> {
    let mut bytes = [0; 16];
    openssl::rand::rand_bytes(&mut bytes).map_err(|error| StoreError::Io(io::Error::other(error)))?;
    Ok(u128::from_le_bytes(bytes))
}

/// Makes a folder and those above it that are missing, their names durable.
pub(crate) fn make_folder(path: &Path, level: SyncLevel) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut missing = Vec::new();
    let mut above = Some(path);
    while let Some(folder) = above.filter(|folder| !folder.is_dir()) {
        missing.push(folder.to_owned());
        above = folder.parent();
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if level != SyncLevel::None {
        for folder in missing.iter().rev().filter_map(|folder| folder.parent()) {
            os::file::sync_dir(folder)?;
        }
    }
    Ok(())
}

/// Moves everything that belongs to the mailbox itself; sub-folders begin with `=`.
fn move_own_files(folder: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if folders::decode(&name.to_string_lossy()).is_none() {
            fs::rename(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
