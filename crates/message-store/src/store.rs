//! The store as a whole: which mailboxes there are, and opening one.
//!
//! The mailbox list is authoritative: what it does not name cannot be reached (S167). How it is changed is in `tree.rs`.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use commit_journal::SyncLevel;
use mailbox_list::{Entry, Found, MailboxList, MailboxName, SpecialUse};
use os::lock::{Mode, OfdLock};

use crate::journal::ProcessJournal;
use crate::list::told;
use crate::mailbox::{Mailbox, open_lock_file};
use crate::readable::ToldOf;
use crate::rebuild::{Method, Progress, Reconstructed};
use crate::ring::{Notice, Ring};
use crate::shared::{Shared, system_number};
use crate::tree_lock::tree_of;
use crate::usage::Usages;
use crate::watch::{Event, Place, SERVER_TREE, Watch, Watchers};
use crate::{Result, StoreError, StoreLog, StoreSettings, Wait, folders, ready, subscriptions};

/// Byte of a user's lock file that who changes the subscriptions holds.
const SUBSCRIPTIONS_BYTE: u32 = 2;
/// Names of one page of the list at most.
pub const PAGE_MAX: usize = 1000;

/// A store; clones share it.
#[derive(Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) open: Arc<Mutex<HashMap<u128, Weak<Mailbox>>>>,
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
        ready::wait(&settings, &log)?;
        for path in settings.partitions.values() {
            make_folder(path, SyncLevel::None)?;
        }
        let list = MailboxList::open(&settings.list_folder, settings.list_sync).map_err(told)?;
        let ring = Ring::open(&settings.run_folder)?;
        let usages = Usages::default();
        let is_first = !ready::is_set(&settings.run_folder);
        if is_first {
            begin_epoch(&ring)?; // stored does not run, so nobody has looked after the store since it did
        }
        let journal = ProcessJournal::default();
        let (system, told_of) = (system_number(), ToldOf::default());
        let shared = Shared { settings, log, list, ring, usages, journal, told_of, system };
        let store = Store { shared: Arc::new(shared), watchers: Arc::default(), open: Arc::default() };
        if is_first && store.shared.settings.wait == Wait::No {
            store.replay()?; // a daemon has waited for who did it
        }
        Ok(store)
    }

    pub(crate) fn partition(&self, name: &str) -> Result<&Path> {
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

    pub(crate) fn selectable(&self, name: &MailboxName) -> Result<Entry> {
        self.find(name)?.filter(|entry| entry.selectable).ok_or(StoreError::NotFound)
    }

    pub(crate) fn folder_in(&self, partition: &str, name: &MailboxName) -> Result<PathBuf> {
        folders::folder(self.partition(partition)?, name)
            .ok_or(StoreError::CannotCreate("a level of the name is too long for the disk"))
    }

    pub fn exists(&self, name: &MailboxName) -> Result<bool> {
        Ok(self.find(name)?.is_some_and(|entry| entry.selectable))
    }

    /// Mailboxes whose names start with `prefix` and come after `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// Damage of the list.
    pub fn list(&self, prefix: &str, after: Option<&MailboxName>, limit: usize) -> Result<Vec<Listed>> {
        let page = self.shared.list.page(prefix, after, limit.min(PAGE_MAX)).map_err(told)?;
        Ok(page.into_iter().map(Listed::from).collect())
    }

    pub(crate) fn user_folder(&self, uid: &str) -> Result<PathBuf> {
        self.ensure_user(uid)?;
        self.folder_of(&MailboxName::inbox(uid)?)
    }

    fn change_subscription(&self, uid: &str, name: &str, subscribed: bool) -> Result<()> {
        let folder = self.user_folder(uid)?;
        let file = open_lock_file(&folder)?;
        let timeout = self.shared.settings.lock_timeout;
        let _lock = OfdLock::acquire(&file, SUBSCRIPTIONS_BYTE, Mode::Exclusive, timeout)?;
        subscriptions::change(&folder, name, subscribed, self.shared.settings.sync.subscribe)?;
        self.announce_names(&MailboxName::inbox(uid)?);
        Ok(())
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

    /// Opens a mailbox; all sessions of this process share it. What an interrupted rename or deletion of it left is put
    /// right first.
    ///
    /// # Errors
    /// `NotFound`, damage that cannot be mended.
    pub fn open_mailbox(&self, name: &MailboxName) -> Result<Arc<Mailbox>> {
        let entry = self.selectable(name)?;
        match self.open_listed(name, &entry.partition, entry.id) {
            Err(StoreError::NotFound) => self.open_healed(name),
            other => other,
        }
    }

    /// As the list says, or not at all.
    pub(crate) fn open_listed(&self, name: &MailboxName, partition: &str, id: u128) -> Result<Arc<Mailbox>> {
        if let Some(mailbox) = self.opened(id) {
            mailbox.header()?; // `NotFound` when it was marked deleted
            if mailbox.name() != *name {
                mailbox.set_name(name.clone()); // renamed by another process
            }
            return Ok(mailbox);
        }
        let folder = self.folder_in(partition, name)?;
        let mailbox = Mailbox::open(Arc::clone(&self.shared), &folder, name.clone(), id)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = open.get(&id).and_then(Weak::upgrade) {
            return Ok(other); // opened by another thread meanwhile
        }
        if open.len() >= 64 && open.len().is_power_of_two() {
            open.retain(|_, mailbox| mailbox.strong_count() > 0);
        }
        open.insert(id, Arc::downgrade(&mailbox));
        Ok(mailbox)
    }

    /// Gives a mailbox that is open the name that the list has now, when another process renamed it or what is above it.
    /// Until the list changes again this costs nothing. One that is in the list no more keeps its last name.
    ///
    /// # Errors
    /// Damage of the list; the system's.
    pub fn follow_name(&self, mailbox: &Mailbox) -> Result<()> {
        let version = self.shared.list.version(); // before the look: a change behind it is another version
        let known = mailbox.named_in.load(Ordering::Acquire);
        if known == version {
            return Ok(());
        }
        let is_its = |name: &MailboxName| -> Result<bool> {
            Ok(self.find(name)?.is_some_and(|entry| entry.selectable && entry.id == mailbox.id()))
        };
        if is_its(&mailbox.name())? {
            // Unless another thread gave it a name meanwhile.
            let _ = mailbox.named_in.compare_exchange(known, version, Ordering::AcqRel, Ordering::Relaxed);
            return Ok(());
        }
        // The folder moves before the list tells so; it is known by descriptor.
        if let Some(name) = self.name_of_folder(mailbox)? {
            if is_its(&name)? {
                mailbox.set_name(name); // to be looked at once more
            }
        }
        Ok(()) // or deleted
    }

    /// The name that belongs to the place where a mailbox's folder is now.
    fn name_of_folder(&self, mailbox: &Mailbox) -> Result<Option<MailboxName>> {
        let folder = std::fs::read_link(&mailbox.folder)?;
        let mut names = self.shared.settings.partitions.values().filter_map(|partition| {
            let name = folders::name(partition, &folder);
            name.or_else(|| folders::name(&partition.canonicalize().ok()?, &folder))
        });
        Ok(names.next())
    }

    pub(crate) fn opened(&self, id: u128) -> Option<Arc<Mailbox>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&id).and_then(Weak::upgrade)
    }

    /// Calls `changed` after each change of the mailbox, by whichever process, until the watch is dropped.
    pub fn watch(&self, mailbox: &Mailbox, changed: Box<dyn Fn() + Send + Sync>) -> Watch {
        let changed = move |_| changed();
        self.watchers.add(&self.shared, Place::Mailbox(mailbox.id()), Arc::new(changed))
    }

    /// The same for all mailboxes of the tree in which this name is or would be, and its names: a user's mailboxes, or those
    /// below one public name. However many mailboxes there are, it costs one entry of a table.
    pub fn watch_tree(&self, name: &MailboxName, changed: Box<dyn Fn(Event) + Send + Sync>) -> Watch {
        self.watchers.add(&self.shared, Place::Tree(tree_of(name)), Arc::from(changed))
    }

    /// The same for what all are told about the server ([`Store::server_annotations`]).
    pub fn watch_server(&self, changed: Box<dyn Fn(Event) + Send + Sync>) -> Watch {
        self.watchers.add(&self.shared, Place::Tree(SERVER_TREE), Arc::from(changed))
    }

    /// Tells every process that something about the names in the tree of this one changed.
    pub fn announce_names(&self, name: &MailboxName) {
        self.shared.ring.announce(Notice { mailbox: 0, tree: tree_of(name) });
    }

    /// The partition that has users' folders although the list has no user's mailbox: the list was lost.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn partition_of_a_lost_list(&self) -> Result<Option<&str>> {
        if !self.list("user/", None, 1)?.is_empty() {
            return Ok(None);
        }
        let inside =
            |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let has_users = |partition: &PathBuf| {
            inside(&partition.join("=user"))
                .flat_map(|one| inside(&one))
                .any(|two| inside(&two).next().is_some())
        };
        let partitions = &self.shared.settings.partitions;
        Ok(partitions.iter().find(|(_, folder)| has_users(folder)).map(|(name, _)| name.as_str()))
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
        self.reconstruct_as(name, Method::default(), &mut |_, _| {})
    }

    /// `reconstruct -f`, `-i`.
    ///
    /// # Errors
    /// As [`Store::reconstruct`].
    pub fn reconstruct_as(
        &self,
        name: &MailboxName,
        method: Method,
        tell: Progress<'_>,
    ) -> Result<Reconstructed> {
        self.distrust_usage(name);
        let done = self.open_mailbox(name)?.reconstruct_as(method, tell)?;
        self.mend_acl(name, &self.folder_of(name)?)?;
        Ok(done)
    }

    /// `reconstruct` of a mailbox whose records and messages are sound: what stands beside them.
    ///
    /// # Errors
    /// As [`Store::reconstruct`].
    pub fn mend_beside(&self, name: &MailboxName) -> Result<()> {
        self.mend_acl(name, &self.folder_of(name)?)?;
        self.open_mailbox(name)?.mend_annotations()
    }

    /// stored, every few seconds and after a child's death: what killed readers hold of the list is let go, what killed
    /// writers had committed is seen.
    ///
    /// # Errors
    /// LMDB's.
    pub fn clear_stale_readers(&self) -> Result<usize> {
        self.shared.list.settle().map_err(told)?;
        self.shared.list.clear_stale_readers().map_err(told)
    }

    /// While the list is written: only what killed readers hold; nobody is waited for.
    ///
    /// # Errors
    /// LMDB's.
    pub fn clear_dead_readers(&self) -> Result<usize> {
        self.shared.list.clear_stale_readers().map_err(told)
    }

    /// stored, before anything else: the others wait, and every log is applied once more, since the disk may have been away.
    ///
    /// # Errors
    /// The system's.
    pub fn begin_recovery(&self) -> Result<()> {
        self.clear_ready()?;
        begin_epoch(&self.shared.ring)
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

fn begin_epoch(ring: &Ring) -> Result<()> {
    ring.begin_epoch(random_id()? as u64);
    Ok(())
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
