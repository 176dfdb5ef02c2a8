//! What the journals of processes that are gone hold is put in its place: before anybody opens a mailbox, and before a
//! journal is used again.
//!
//! All of it may be done twice, beside others who change mailboxes, and be interrupted anywhere. A place in a log is only
//! ever written with one transaction, and a file with one message, so what is right already is written with the same bytes:
//! after a failed write the kernel counts a page as clean, and it is read from memory although the disk never had it. The
//! mailboxes apply their logs when they are opened, as after any interruption.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use base::crash;
use commit_journal::SyncLevel;
use commit_journal::kinds::accepted_message;
use os::lock::{Mode, OfdLock};

use crate::index::Index;
use crate::journal::{Changed, Content, lock_slot, slots};
use crate::layout::{INDEX, LOG, message_folder, message_path};
use crate::log::{LOG_HEADER_BYTES, LogHeader};
use crate::mailbox::open_lock_file;
use crate::store::{Listed, PAGE_MAX, Store};
use crate::writer::make_message_folder;
use crate::{Result, Severity, StoreError};

/// What was not in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub transactions: usize,
    pub files: usize,
}

/// A change that was read.
struct Change {
    generation: u64,
    offset: u64,
    transaction: Vec<u8>,
    /// Without bytes: a checkpoint made the file durable.
    files: Vec<(u32, Option<Arc<[u8]>>)>,
}

/// By mailbox.
type Changes = BTreeMap<u128, Vec<Change>>;

impl Store {
    /// Puts in its place what the journals hold of all processes that do not run, and of smtpd.
    ///
    /// # Errors
    /// The system's; the journals are as they were.
    pub(crate) fn replay(&self) -> Result<Replayed> {
        let settings = &self.shared.settings;
        let (mut free, mut changes) = (Vec::new(), Changes::new());
        for folder in slots(&settings.journal_folder)? {
            if let Some(lock) = lock_slot(&folder)? {
                let records = self.read_journal(&folder, &mut changes)?;
                free.extend((records > 0).then_some((folder, lock)));
            }
        }
        // smtpd empties it when the queue has what it holds, too.
        self.read_journal(&settings.queue_journal, &mut changes)?;
        let replayed = self.put_in_place(&mut changes)?;
        for (folder, _lock) in &free {
            commit_journal::clear(folder)?;
        }
        Ok(replayed)
    }

    /// As [`Store::replay`], of a slot that is this process's.
    pub(crate) fn replay_slot(&self, folder: &Path) -> Result<()> {
        let mut changes = Changes::new();
        if self.read_journal(folder, &mut changes)? > 0 {
            self.put_in_place(&mut changes)?;
            commit_journal::clear(folder)?;
        }
        Ok(())
    }

    /// All that was written to the partitions so far is durable: before smtpd empties a journal that it finds.
    ///
    /// # Errors
    /// The system's.
    pub fn sync_partitions(&self) -> io::Result<()> {
        commit_journal::sync_file_systems(&self.partition_folders()?)
    }

    fn read_journal(&self, folder: &Path, changes: &mut Changes) -> Result<usize> {
        let is_ours = *folder != *self.shared.settings.queue_journal;
        for path in commit_journal::damaged(folder)?.into_iter().filter(|_| is_ours) {
            let aside = format!("{}.damaged-{}", path.display(), base::clock::unix_seconds());
            fs::rename(&path, &aside)?;
            let text = format!(
                "store journal: {} cannot be read; kept as {aside}. After a power cut, changes of mailboxes that it held may be missing",
                path.display()
            );
            self.shared.log.write(Severity::Error, &text);
        }
        let mut messages: HashMap<Vec<u8>, Arc<[u8]>> = HashMap::new();
        let count = commit_journal::read(folder, |record| {
            if let Some((id, message)) = accepted_message(record) {
                messages.insert(id.to_vec(), message.into());
            } else if let Some(changed) = Changed::decode(record) {
                let bytes = |content| match content {
                    Content::Here(bytes) => Some(bytes.into()),
                    Content::InQueue(id) => messages.get(id).cloned(),
                };
                changes.entry(changed.mailbox).or_default().push(Change {
                    generation: changed.generation,
                    offset: changed.offset,
                    transaction: changed.transaction.to_vec(),
                    files: changed.files.into_iter().map(|(uid, content)| (uid, bytes(content))).collect(),
                });
            }
        })?;
        Ok(count)
    }

    fn put_in_place(&self, changes: &mut Changes) -> Result<Replayed> {
        if changes.is_empty() {
            return Ok(Replayed::default());
        }
        // Before what must not be lost is written, so that no error is missed.
        let folders = self.partition_folders()?;
        self.finish_renames()?;
        let places = self.places_of(changes)?;
        let mut made = Vec::new();
        let replayed = self.write_all(changes, &places, &mut made)?;
        crash::step("store replay: written");
        if commit_journal::sync_file_systems(&folders).is_err() {
            // Perhaps of what was lost before; all is written once more, and a second failure is of that.
            self.write_all(changes, &places, &mut made)?;
            commit_journal::sync_file_systems(&folders)?;
        }
        crash::step("store replay: synced");
        self.remove_again(&places, &made)?;
        if replayed != Replayed::default() {
            let Replayed { transactions, files } = replayed;
            let text =
                format!("store journal: {transactions} transactions and {files} message files were put back");
            self.shared.log.write(Severity::Notice, &text);
        }
        Ok(replayed)
    }

    /// Where these mailboxes are now: by their ids, whatever their names were. What is not in the list is deleted.
    fn places_of(&self, changes: &Changes) -> Result<HashMap<u128, Listed>> {
        let mut places = HashMap::new();
        let mut last = None;
        loop {
            let page = self.list("", last.as_ref(), PAGE_MAX)?;
            let is_last = page.len() < PAGE_MAX;
            last = page.last().map(|listed| listed.name.clone());
            let wanted = page.into_iter().filter(|one| one.selectable && changes.contains_key(&one.id));
            places.extend(wanted.map(|listed| (listed.id, listed)));
            if is_last {
                return Ok(places);
            }
        }
    }

    /// Writes everything; `made` gets the files that were not there.
    fn write_all(
        &self,
        changes: &mut Changes,
        places: &HashMap<u128, Listed>,
        made: &mut Vec<(u128, u32)>,
    ) -> Result<Replayed> {
        let mut replayed = Replayed::default();
        for (id, changes) in changes {
            let Some(listed) = places.get(id) else { continue };
            let folder = self.folder_in(&listed.partition, &listed.name)?;
            if !folder.is_dir() {
                self.tell_missing(listed)?;
                continue;
            }
            let lock_file = open_lock_file(&folder)?;
            let timeout = self.shared.settings.lock_timeout;
            let _lock = OfdLock::acquire(&lock_file, 0, Mode::Exclusive, timeout)?;
            if id_of(&folder).is_some_and(|found| found != *id) {
                continue; // another came to this place meanwhile
            }
            changes.sort_by_key(|change| (change.generation, change.offset));
            for change in changes {
                for (uid, bytes) in &change.files {
                    let Some(bytes) = bytes else { continue };
                    let was_there = restore_file(&folder, *uid, bytes)?;
                    replayed.files += usize::from(was_there != Was::Right);
                    made.extend((was_there == Was::Missing).then_some((*id, *uid)));
                }
                crash::step("store replay: file written");
                replayed.transactions += usize::from(restore_transaction(&folder, *id, change)?);
                crash::step("store replay: log written");
            }
        }
        Ok(replayed)
    }

    /// A mailbox of the list that has no folder. When nothing at all is in its partition, it may be there another time.
    fn tell_missing(&self, listed: &Listed) -> Result<()> {
        let partition = self.partition(&listed.partition)?;
        let is_empty = fs::read_dir(partition)?.next().is_none();
        let what = format!("{}: a journal holds changes of it, and its folder is missing", listed.name);
        if is_empty {
            return Err(StoreError::Damaged(format!(
                "{what}: partition {} ({}) is empty. Is it mounted?",
                listed.partition,
                partition.display()
            )));
        }
        self.shared.log.write(Severity::Error, &what);
        Ok(())
    }

    /// Files that were made although their messages are gone: their names were removed before, perhaps.
    fn remove_again(&self, places: &HashMap<u128, Listed>, made: &[(u128, u32)]) -> Result<()> {
        let mut by_mailbox: BTreeMap<u128, Vec<u32>> = BTreeMap::new();
        for (id, uid) in made {
            by_mailbox.entry(*id).or_default().push(*uid);
        }
        for (id, uids) in by_mailbox {
            let Some(listed) = places.get(&id) else { continue };
            let mailbox = match self.open_listed(&listed.name, &listed.partition, id) {
                Ok(mailbox) => mailbox,
                Err(StoreError::NotFound) => continue, // its deletion was interrupted, which its opening mends
                Err(error) => return Err(error),
            };
            let change = mailbox.write()?;
            for uid in uids {
                let slot = change.index.slot_of_locked(uid, change.header.slots).ok();
                let record = slot.map(|slot| change.index.record(slot));
                if record.is_none_or(|record| record.is_expunged()) {
                    let _ = fs::remove_file(message_path(&mailbox.folder, uid));
                }
            }
        }
        Ok(())
    }
}

/// How a file was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Was {
    Right,
    Wrong,
    Missing,
}

/// In place: where the file has other names, they have it then, too.
fn restore_file(folder: &Path, uid: u32, bytes: &[u8]) -> io::Result<Was> {
    make_message_folder(folder, &message_folder(uid), SyncLevel::None)?;
    let path = message_path(folder, uid);
    let was = match fs::read(&path) {
        Ok(found) if found == bytes => Was::Right,
        Ok(_) => Was::Wrong,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Was::Missing,
        Err(error) => return Err(error),
    };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)?;
    Ok(was)
}

/// Puts the transaction where it was; whether it was not there. A log of a later generation has begun when the index was
/// durable with it.
fn restore_transaction(folder: &Path, id: u128, change: &Change) -> io::Result<bool> {
    let file = match OpenOptions::new().read(true).write(true).open(folder.join(LOG)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    let is_its_log =
        log_header(&file).is_some_and(|header| header.id == id && header.generation == change.generation);
    if !is_its_log {
        return Ok(false);
    }
    let mut found = vec![0; change.transaction.len()];
    let was_there = file.read_exact_at(&mut found, change.offset).is_ok() && found == change.transaction;
    file.write_all_at(&change.transaction, change.offset)?;
    Ok(!was_there)
}

fn log_header(log: &File) -> Option<LogHeader> {
    let mut bytes = [0; LOG_HEADER_BYTES as usize];
    log.read_exact_at(&mut bytes, 0).ok()?;
    LogHeader::decode(&bytes)
}

/// The mailbox whose files are here, as far as they tell.
fn id_of(folder: &Path) -> Option<u128> {
    let index = Index::open(&folder.join(INDEX)).ok().and_then(|index| index.header_locked().1);
    let by_log = || File::open(folder.join(LOG)).ok().and_then(|file| log_header(&file));
    index.map(|header| header.id).or_else(|| by_log().map(|header| header.id))
}
