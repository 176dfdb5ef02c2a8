//! The journal by which a process makes changes of mailboxes durable: everybody who waits shares one sync.
//!
//! smtpd has one already, the queue's ([`Store::use_journal`]); imapd and popd get one of their own below `store/journal`
//! with the first change ([`Store::begin_own_journal`]); tools have none and sync files. `docs/formats/store.md` says what a
//! record tells, and why nothing is lost or doubled.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use commit_journal::kinds::{CHANGED, ID_BYTES};
use commit_journal::{Hold, Journal, JournalSettings, Owner, Refused, SyncLevel, Ticket};
use os::lock::{Mode, OfdLock};

use crate::bytes::{u32_at, u64_at, u128_at};
use crate::store::Store;
use crate::{Result, Severity, StoreLog, StoreSettings};

/// Bytes of a record at most: a longer change syncs files.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// Journals below `store/journal`, each of one process that runs.
const SLOTS: u32 = 1000;
/// The part of what is free that a journal may take when it is made.
const FREE_PART: u64 = 8;
const LOCK: &str = "lock";

/// A change of a mailbox, as a record tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed<'b> {
    pub mailbox: u128,
    /// Of the log, and where in it.
    pub generation: u64,
    pub offset: u64,
    pub transaction: &'b [u8],
    pub files: Vec<(u32, Content<'b>)>,
}

/// Where the bytes of a message's file stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'b> {
    Here(&'b [u8]),
    /// In the record by which the queue has the message of this id, in the same journal.
    InQueue(&'b [u8]),
}

const HERE: u8 = 0;
const IN_QUEUE: u8 = 1;
const HEAD_BYTES: usize = 1 + 16 + 8 + 8 + 4 + 4;
const FILE_HEAD_BYTES: usize = 4 + 1 + 4;

impl<'b> Changed<'b> {
    /// Kind 1, mailbox 16, log generation 8, offset 8, length of the transaction 4, files 4, transaction; of each file its
    /// UID 4, where its bytes are 1, length 4, bytes or queue id.
    pub fn encode(&self) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        let files = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(self.length());
        bytes.push(CHANGED);
        bytes.extend_from_slice(&self.mailbox.to_le_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&length(self.transaction));
        bytes.extend_from_slice(&files.to_le_bytes());
        bytes.extend_from_slice(self.transaction);
        for (uid, content) in &self.files {
            let (place, content) = match content {
                Content::Here(content) => (HERE, content),
                Content::InQueue(id) => (IN_QUEUE, id),
            };
            bytes.extend_from_slice(&uid.to_le_bytes());
            bytes.push(place);
            bytes.extend_from_slice(&length(content));
            bytes.extend_from_slice(content);
        }
        bytes
    }

    fn length(&self) -> usize {
        let of_file = |content: &Content<'_>| match content {
            Content::Here(bytes) | Content::InQueue(bytes) => FILE_HEAD_BYTES + bytes.len(),
        };
        let files: usize = self.files.iter().map(|(_, content)| of_file(content)).sum();
        HEAD_BYTES + self.transaction.len() + files
    }

    pub fn decode(bytes: &'b [u8]) -> Option<Changed<'b>> {
        let head = bytes.get(..HEAD_BYTES).filter(|head| head[0] == CHANGED)?;
        let (transaction, mut rest) = bytes[HEAD_BYTES..].split_at_checked(u32_at(head, 33) as usize)?;
        let mut files = Vec::new();
        for _ in 0..u32_at(head, 37) {
            let (file, behind) = rest.split_at_checked(FILE_HEAD_BYTES)?;
            let (content, behind) = behind.split_at_checked(u32_at(file, 5) as usize)?;
            rest = behind;
            let content = match file[4] {
                HERE => Content::Here(content),
                IN_QUEUE if content.len() == ID_BYTES => Content::InQueue(content),
                _ => return None,
            };
            files.push((u32_at(file, 0), content));
        }
        Some(Changed {
            mailbox: u128_at(head, 1),
            generation: u64_at(head, 17),
            offset: u64_at(head, 25),
            transaction,
            files,
        })
    }
}

/// A slot below `store/journal` that is this process's.
struct Slot {
    folder: PathBuf,
    _lock: OfdLock,
}

/// The journal of this process, if it has one.
#[derive(Default)]
pub(crate) struct ProcessJournal {
    journal: OnceLock<Arc<Journal>>,
    /// What is to be done with the first change, to get one.
    begin: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    may_begin: AtomicBool,
    slot: OnceLock<Slot>,
}

impl ProcessJournal {
    /// Writes a change down. Nothing when there is no room or no journal: then files are to be synced.
    pub fn append(&self, changed: &Changed<'_>) -> Option<Appended<'_>> {
        if changed.length() > RECORD_BYTES_MAX {
            return None;
        }
        let journal = self.journal()?;
        match journal.append(&[&changed.encode()], Hold::Always) {
            Ok(ticket) => Some(Appended { journal, ticket }),
            Err(Refused::Full | Refused::Io(_)) => None,
        }
    }

    /// With the first change, the journal is begun beside it.
    pub fn journal(&self) -> Option<&Journal> {
        if self.may_begin.swap(false, Ordering::Relaxed) {
            let begin = self.begin.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Making it takes long, and meanwhile files are synced.
            begin.map(|begin| thread::Builder::new().name("journal-begin".into()).spawn(begin));
        }
        self.journal.get().map(|journal| &**journal)
    }

    fn close(&self) {
        self.may_begin.store(false, Ordering::Relaxed);
        if let Some((journal, _)) = self.journal.get().zip(self.slot.get()) {
            journal.close();
        }
    }
}

/// A record that was written.
pub(crate) struct Appended<'j> {
    journal: &'j Journal,
    ticket: Ticket,
}

impl Appended<'_> {
    /// Waits until it is durable.
    ///
    /// # Errors
    /// It is not known whether it is.
    pub fn commit(&self) -> io::Result<()> {
        self.journal.commit(self.ticket)
    }
}

/// Whether changes may be durable by a journal: at any other level than `fdatasync` files are synced as the level says.
pub(crate) fn is_wanted(settings: &StoreSettings) -> bool {
    settings.journal_bytes > 0
        && (settings.sync.index, settings.sync.message) == (SyncLevel::Data, SyncLevel::Data)
}

impl Store {
    /// Changes of mailboxes are made durable by this journal from now on, as far as the levels allow. Its checkpoints sync
    /// the file systems of [`Store::partition_folders`]; who opens it has called [`Store::sync_partitions`] for what was in
    /// it before.
    pub fn use_journal(&self, journal: Arc<Journal>) {
        if is_wanted(&self.shared.settings) {
            let _ = self.shared.journal.journal.set(journal);
        }
    }

    /// Changes of mailboxes are made durable by a journal of this process, which is made with the first of them.
    pub fn begin_own_journal(&self) {
        if !is_wanted(&self.shared.settings) {
            return;
        }
        let store = self.clone();
        let begin = move || {
            if let Err(error) = store.open_own_journal() {
                let text =
                    format!("store/journal cannot be used; files are synced one by one instead: {error}");
                store.shared.log.write(Severity::Warning, &text);
            }
        };
        let own = &self.shared.journal;
        *own.begin.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(begin));
        own.may_begin.store(true, Ordering::Relaxed);
    }

    /// Whether changes are made durable by a journal just now.
    pub fn has_journal(&self) -> bool {
        self.shared.journal.journal.get().is_some()
    }

    /// The journal of this process is emptied and not used any more.
    pub fn close_journal(&self) {
        self.shared.journal.close();
    }

    fn open_own_journal(&self) -> Result<()> {
        let settings = &self.shared.settings;
        let slot = self.free_slot()?;
        let has_one = slot.folder.join("1").exists();
        let free = os::file::free_space(&slot.folder)?;
        if !has_one && free < settings.journal_bytes.saturating_mul(FREE_PART) {
            return Err(io::Error::other("the disk is too small for local.store.journalsize").into());
        }
        self.replay_slot(&slot.folder)?; // of a process that was killed
        let keeper = Keeper { partitions: self.partition_folders()?, log: self.shared.log.clone() };
        let settings =
            JournalSettings { folder: slot.folder.clone(), segment_bytes: settings.journal_bytes / 2 };
        let journal = Journal::open(settings, Box::new(keeper))?;
        let _ = self.shared.journal.slot.set(slot);
        let _ = self.shared.journal.journal.set(Arc::new(journal));
        Ok(())
    }

    /// The first slot that no running process has.
    fn free_slot(&self) -> io::Result<Slot> {
        let settings = &self.shared.settings;
        for number in 1..=SLOTS {
            let folder = settings.journal_folder.join(number.to_string());
            if let Some(lock) = lock_slot(&folder)? {
                return Ok(Slot { folder, _lock: lock });
            }
        }
        Err(io::Error::other("too many processes have one"))
    }

    /// The folders of the partitions, to sync their file systems by.
    ///
    /// # Errors
    /// The system's.
    pub fn partition_folders(&self) -> io::Result<Vec<File>> {
        self.shared.settings.partitions.values().map(File::open).collect()
    }
}

/// Takes a slot unless a running process has it.
pub(crate) fn lock_slot(folder: &Path) -> io::Result<Option<OfdLock>> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(LOCK);
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    OfdLock::try_acquire(&Arc::new(file), 0, Mode::Exclusive)
}

/// The slots that there are.
pub(crate) fn slots(journal_folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(journal_folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_slot = path.file_name().is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok());
        found.extend(Some(path).filter(|_| is_slot));
    }
    Ok(found)
}

/// Who empties an own journal.
struct Keeper {
    /// Of each partition, open from the start: no error is missed.
    partitions: Vec<File>,
    log: StoreLog,
}

impl Owner for Keeper {
    fn checkpoint(&self, _epoch: u64, held: bool) -> io::Result<()> {
        if held { commit_journal::sync_file_systems(&self.partitions) } else { Ok(()) }
    }

    fn stopped(&self, why: &io::Error) {
        let text = format!(
            "store/journal: {why}: nothing is written to it before the next start; files are synced one by one instead. Look after the disk"
        );
        self.log.write(Severity::Error, &text);
    }

    fn forgotten(&self, _epoch: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_a_cut_one_is_none() {
        let changed = Changed {
            mailbox: 1 << 100,
            generation: 7,
            offset: 64,
            transaction: b"transaction",
            files: vec![(3, Content::Here(b"message")), (4, Content::InQueue(b"GPM7U00A.1B2"))],
        };
        let bytes = changed.encode();
        assert_eq!(bytes.len(), changed.length());
        assert_eq!(Changed::decode(&bytes), Some(changed));
        for length in 0..bytes.len() {
            assert_eq!(Changed::decode(&bytes[..length]), None);
        }
    }
}
