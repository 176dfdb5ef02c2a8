//! The mark of a deletion, and what an interrupted one left.
//!
//! A mailbox is marked first, durably; then its entry leaves the list; then its files leave the folder. So a mark without
//! an entry is the rest of a deletion, which nobody must take up; a mark with an entry is a deletion that did not happen.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use commit_journal::{SyncLevel, sync_file};
use mailbox_list::MailboxName;
use os::lock::{Mode, OfdLock};

use crate::header::{Header, MAILBOX_DELETED};
use crate::index::Index;
use crate::layout::{INDEX, LOCK};
use crate::mailbox::{Mailbox, open_lock_file};
use crate::shared::Shared;
use crate::store::{Store, make_folder, random_id};
use crate::{Result, Severity, StoreError, folders};

/// Below a partition: what is being deleted.
const TRASH: &str = "trash";
/// stored may empty the trash while something is being put into it.
const ATTEMPTS: usize = 3;
/// Whoever looks at what is gone does so once; a hundred may.
const REST_ATTEMPTS: usize = 100;

fn header(folder: &Path) -> Option<(Index, Header)> {
    let index = Index::open(&folder.join(INDEX)).ok()?;
    let header = index.header_locked().1?;
    Some((index, header))
}

/// Whether the mailbox in this folder is marked.
pub(crate) fn is_marked(folder: &Path) -> bool {
    header(folder).is_some_and(|(_, header)| header.has(MAILBOX_DELETED))
}

/// Takes the mark away from a mailbox that the list still has; its tree must be locked.
pub(crate) fn unmark(shared: &Shared, folder: &Path, name: &MailboxName, id: u128) -> Result<()> {
    if !is_marked(folder) {
        return Ok(());
    }
    let lock_file = open_lock_file(folder)?;
    let _lock = OfdLock::acquire(&lock_file, 0, Mode::Exclusive, shared.settings.lock_timeout)?;
    if let Some((index, header)) = header(folder).filter(|(_, header)| header.id == id) {
        index.write_header(&Header { flags: header.flags & !MAILBOX_DELETED, ..header });
        shared.count_in(folder, &crate::quota::hint_of(folder), id, crate::quota::usage_of(&header));
        sync_file(index.file(), shared.settings.sync.index)?;
        let text = format!("the deletion of {name} was interrupted; it is undone");
        shared.log.write(Severity::Warning, &text);
    }
    Ok(())
}

impl Mailbox {
    /// Other processes' sessions find the mailbox gone; so does whoever comes after a crash.
    ///
    /// # Errors
    /// `NotFound` when it is marked already; `InUse`; damage.
    pub(crate) fn mark_deleted(&self) -> Result<()> {
        let mut change = self.write()?;
        change.header.flags |= MAILBOX_DELETED;
        change.write_header();
        sync_file(change.index.file(), self.shared.settings.sync.index)?;
        self.announce();
        Ok(())
    }
}

impl Store {
    /// Opens a mailbox of the list that cannot be opened: once nobody is at work in its tree, and what was interrupted there
    /// is put right.
    pub(crate) fn open_healed(&self, name: &MailboxName) -> Result<std::sync::Arc<Mailbox>> {
        let _lock = self.lock_trees(&[name])?;
        let entry = self.selectable(name)?;
        unmark(&self.shared, &self.folder_in(&entry.partition, name)?, name, entry.id)?;
        self.open_listed(name, &entry.partition, entry.id)
    }

    /// Puts a mailbox's own files into its partition's trash; a folder with mailboxes below stays. Where they are now.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn throw_away(&self, partition: &Path, folder: &Path) -> Result<PathBuf> {
        for attempt in 1.. {
            let trash = partition.join(TRASH).join(format!("{:032x}", random_id()?));
            make_folder(&trash, SyncLevel::None)?;
            match move_own_files(folder, &trash) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    let _ = remove_rest(folder); // stays when there are mailboxes below
                    return Ok(trash);
                }
            }
        }
        Err(StoreError::InUse)
    }

    /// Puts a user's folders into the trash of each partition. Where they are now.
    ///
    /// # Errors
    /// The system's; the other partitions' folders are gone all the same.
    pub(crate) fn throw_away_user(&self, inbox: &MailboxName, trash: &mut Vec<PathBuf>) -> Result<()> {
        let mut result = Ok(());
        for (name, partition) in &self.shared.settings.partitions {
            let folder = self.folder_in(name, inbox)?;
            if !folder.exists() {
                continue;
            }
            let bin = partition.join(TRASH);
            let place = bin.join(format!("{:032x}", random_id()?));
            match make_folder(&bin, SyncLevel::None).and_then(|()| fs::rename(&folder, &place)) {
                Ok(()) => trash.push(place),
                Err(error) => result = Err(error.into()),
            }
        }
        result
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
                remove(&entry?.path())?;
                count += 1;
            }
        }
        Ok(count)
    }
}

/// Removes a folder that somebody else may be removing, too.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a folder in which there is nothing, or nothing but a lock file: whoever comes to look at a mailbox that is being
/// deleted leaves one. Whether it is gone.
///
/// # Errors
/// The system's.
pub(crate) fn remove_rest(folder: &Path) -> io::Result<bool> {
    for _ in 0..REST_ATTEMPTS {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => return Ok(true),
        }
        for entry in fs::read_dir(folder)? {
            if entry?.file_name() != LOCK {
                return Ok(false);
            }
        }
        match fs::remove_file(folder.join(LOCK)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(false)
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
