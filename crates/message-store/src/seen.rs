//! What each user has seen in a mailbox that is not the user's: \Seen of one's own, in `store.seen/=<uid>` of the mailbox's
//! folder, a file for each user, so that a thousand readers of one folder do not wait for each other.
//!
//! A change of it has its place among the changes of the mailbox without touching them. The user's modification sequence
//! numbers are those of the mailbox, each raised by how many changes of the user's came before it: a change of \Seen that is
//! the user's i-th and found the mailbox at M has M + i; a record of modseq M has M and how many found the mailbox below M. So
//! they ascend strictly in the order in which things happened, and a client with CONDSTORE or QRESYNC misses nothing (RFC 7162). Who
//! looks reads the mailbox first and then takes the user's lock, who changes takes the lock and then reads the mailbox: no
//! change gets a number that was passed already.
//!
//! The file is lines of text, appended and synced (`local.store.usersynclevel`); the form is in `docs/formats/store-tree.md`.

mod table;
mod text;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use commit_journal::{SyncLevel, sync_file};
use os::lock::{Mode, OfdLock};

use crate::mailbox::{Mailbox, open_lock_file};
use crate::ring::Notice;
use crate::shared::hash;
use crate::store::Store;
use crate::watch::{Place, Watch};
use crate::{Result, Severity, StoreError, UidSet, folders};

pub use table::Table;

/// In a mailbox's folder.
const FOLDER: &str = "store.seen";
/// Bytes of the lock file from here on are locked by who changes a user's file.
const FIRST_BYTE: u32 = 1 << 16;
/// A file is written anew when it is longer, and most of it told again since.
const REWRITE_BYTES: u64 = 64 * 1024;
/// What one user reads is news for that user's sessions only, and not for who watches the tree.
const NO_TREE: u64 = u64::MAX;
/// How exactly a visit is noted.
const VISIT_PRECISION: Duration = Duration::from_secs(600);

/// One user's \Seen in one mailbox; all sessions of this process share it.
pub struct SeenBy {
    mailbox: Arc<Mailbox>,
    file_name: String,
    /// Which byte of the lock file, and which notices, are this user's.
    number: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    table: Arc<Table>,
    /// Inode and length of the file as it was read.
    stamp: (u64, u64),
    /// Bytes when it was written anew.
    written_bytes: u64,
    /// A sync failed: it is not known what is on the disk.
    fenced: bool,
}

/// What a change has come to.
pub struct SeenChange {
    /// Whose \Seen is another now.
    pub changed: UidSet,
    /// Which change of the user's it was.
    pub index: u64,
    pub table: Arc<Table>,
}

/// Those of this process, by uid.
pub(crate) type Readers = Mutex<std::collections::HashMap<String, Weak<SeenBy>>>;

/// A reader of a mailbox that is not the reader's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    pub uid: String,
    pub last: SystemTime,
}

impl Mailbox {
    /// What this user has seen.
    ///
    /// # Errors
    /// The uid is too long for the disk.
    pub fn seen_by(self: &Arc<Mailbox>, uid: &str) -> Result<Arc<SeenBy>> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = readers.get(uid).and_then(Weak::upgrade) {
            return Ok(known);
        }
        if readers.len() >= 64 && readers.len().is_power_of_two() {
            readers.retain(|_, reader| reader.strong_count() > 0);
        }
        let file_name = folders::encode(uid).ok_or(StoreError::CannotCreate("the uid is too long"))?;
        let (mailbox, number) = (Arc::clone(self), hash(uid.as_bytes()));
        let seen = Arc::new(SeenBy { mailbox, file_name, number, state: Mutex::default() });
        readers.insert(uid.to_owned(), Arc::downgrade(&seen));
        Ok(seen)
    }

    /// Who has selected the mailbox, and when last, apart from its owner.
    ///
    /// # Errors
    /// The system's.
    pub fn visitors(&self) -> Result<Vec<Visitor>> {
        let entries = match fs::read_dir(self.folder.join(FOLDER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut visitors = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Some(uid) = entry.file_name().to_str().and_then(folders::decode) else { continue };
            let last = entry.metadata()?.modified()?;
            if last > SystemTime::UNIX_EPOCH {
                visitors.push(Visitor { uid, last });
            }
        }
        visitors.sort_by(|one, other| one.uid.cmp(&other.uid));
        Ok(visitors)
    }

    /// Forgets what those have seen who were here last before then. How many.
    ///
    /// # Errors
    /// The system's.
    pub fn forget_visitors(self: &Arc<Mailbox>, before: SystemTime) -> Result<usize> {
        let mut count = 0;
        for visitor in self.visitors()?.into_iter().filter(|visitor| visitor.last < before) {
            count += usize::from(self.seen_by(&visitor.uid)?.forget(before)?);
        }
        Ok(count)
    }

    /// A file of its own for each lock: one that several threads share would be theirs together.
    fn lock_reader(&self, number: u64, mode: Mode) -> Result<OfdLock> {
        let file = open_lock_file(&self.folder)?;
        let byte = FIRST_BYTE + (number % u64::from(u32::MAX / 2 - FIRST_BYTE)) as u32;
        Ok(OfdLock::acquire(&file, byte, mode, self.lock_timeout())?)
    }
}

impl Store {
    /// Calls `changed` after each change of what this user has seen, by whichever process, until the watch is dropped.
    pub fn watch_seen(&self, seen: &SeenBy, changed: Box<dyn Fn() + Send + Sync>) -> Watch {
        let changed = move |_| changed();
        self.watchers.add(&self.shared, Place::Mailbox(seen.notice_id()), Arc::new(changed))
    }
}

impl SeenBy {
    /// What is seen now. The mailbox's status is read before: see the head of this file.
    ///
    /// # Errors
    /// The system's. A damaged end of the file is not there.
    pub fn table(&self) -> Result<Arc<Table>> {
        let mut state = self.lock();
        let _lock = self.mailbox.lock_reader(self.number, Mode::Shared)?;
        self.read_new(&mut state)?;
        Ok(Arc::clone(&state.table))
    }

    /// Makes messages seen, or not seen; durable when it returns.
    ///
    /// # Errors
    /// Nothing has changed then; after a failed sync it is not known whether, and nothing is changed from this process any
    /// more.
    pub fn change(&self, uids: &UidSet, seen: bool) -> Result<SeenChange> {
        let mut state = self.lock();
        if state.fenced {
            return Err(StoreError::Fenced);
        }
        let _lock = self.mailbox.lock_reader(self.number, Mode::Exclusive)?;
        self.read_new(&mut state)?;
        let changed = if seen { uids.without(state.table.seen()) } else { uids.common(state.table.seen()) };
        let index = state.table.count();
        if changed.is_empty() {
            return Ok(SeenChange { changed, index, table: Arc::clone(&state.table) });
        }
        let modseq = self.mailbox.status()?.highest_modseq; // `NotFound` when the mailbox was deleted
        let line = text::change(index + 1, modseq, seen, &changed);
        self.append(&mut state, &line)?;
        Arc::make_mut(&mut state.table).apply(index + 1, modseq, seen, &changed);
        if state.stamp.1 > REWRITE_BYTES.max(state.written_bytes.saturating_mul(4)) {
            self.write_anew(&mut state)?;
        }
        self.announce();
        Ok(SeenChange { changed, index: index + 1, table: Arc::clone(&state.table) })
    }

    /// The user has selected the mailbox. Not being able to note it is no reason not to read.
    pub fn visited(&self) {
        let path = self.path();
        let is_noted = |meta: fs::Metadata| {
            let age = meta.modified().ok().and_then(|last| last.elapsed().ok());
            age.is_some_and(|age| age < VISIT_PRECISION)
        };
        if fs::metadata(&path).is_ok_and(is_noted) {
            return;
        }
        let mut state = self.lock();
        let Ok(_lock) = self.mailbox.lock_reader(self.number, Mode::Exclusive) else { return };
        if self.read_new(&mut state).is_err() {
            return;
        }
        if state.stamp.1 == 0 {
            let _ = self.append(&mut state, "");
        } else if let Ok(file) = OpenOptions::new().append(true).open(path) {
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// Forgets a user who was here last before then; whether it did. What was seen is not seen any more, which is one more
    /// change of the user's: how many there were has to stay, as numbers that went down would hide from a client of the
    /// user's what changes next. So a small file stays; that its time is the epoch says that this is no reader.
    fn forget(&self, before: SystemTime) -> Result<bool> {
        let mut state = self.lock();
        let _lock = self.mailbox.lock_reader(self.number, Mode::Exclusive)?;
        self.read_new(&mut state)?;
        let path = self.path();
        if !fs::metadata(&path).and_then(|meta| meta.modified()).is_ok_and(|last| last < before) {
            return Ok(false);
        }
        if state.table.count() == 0 {
            fs::remove_file(path)?;
            state.stamp = (0, 0);
            return Ok(true);
        }
        let modseq = self.mailbox.status()?.highest_modseq;
        Arc::make_mut(&mut state.table).forget(modseq);
        self.write_anew(&mut state)?;
        File::open(path)?.set_modified(SystemTime::UNIX_EPOCH)?;
        self.announce();
        Ok(true)
    }

    fn announce(&self) {
        self.mailbox.shared.ring.announce(Notice { mailbox: self.notice_id(), tree: NO_TREE });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self) -> PathBuf {
        self.mailbox.folder.join(FOLDER).join(&self.file_name)
    }

    fn notice_id(&self) -> u128 {
        self.mailbox.id() ^ (u128::from(self.number) << 64 | u128::from(self.number))
    }

    /// Reads what other processes wrote. What does not verify at the end did not happen.
    fn read_new(&self, state: &mut State) -> Result<()> {
        let path = self.path();
        let stamp = match fs::metadata(&path) {
            Ok(meta) => (meta.ino(), meta.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (0, 0),
            Err(error) => return Err(error.into()),
        };
        if stamp == state.stamp {
            return Ok(());
        }
        let bytes = if stamp.1 == 0 { Vec::new() } else { fs::read(&path)? };
        let (table, verified) = text::read(&bytes, self.mailbox.uid_validity());
        if verified < bytes.len() {
            let text = format!(
                "{}: what {} has seen: {} bytes at the end do not verify and do not count",
                self.mailbox.name(),
                base::escape(&self.file_name),
                bytes.len() - verified
            );
            self.mailbox.shared.log.write(Severity::Warning, &text);
            if text::another_follows(&bytes[verified..]) {
                // Damage, and not the torn end of who was killed: what stands behind it is kept aside.
                let aside = format!("damaged-{}-{}", base::clock::unix_seconds(), self.file_name);
                fs::copy(&path, self.mailbox.folder.join(FOLDER).join(aside))?;
            }
        }
        state.table = Arc::new(table);
        state.stamp = (stamp.0, verified as u64);
        Ok(())
    }

    /// Puts a line behind what verifies; an empty one makes the file.
    fn append(&self, state: &mut State, line: &str) -> Result<()> {
        let level = self.mailbox.shared.settings.sync.user;
        let folder = self.mailbox.folder.join(FOLDER);
        let is_new = state.stamp.1 == 0;
        if is_new && make_folder(&folder)? && level != SyncLevel::None {
            os::file::sync_dir(&self.mailbox.folder)?;
        }
        let path = self.path();
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        if file.metadata()?.len() > state.stamp.1 {
            file.set_len(state.stamp.1)?; // of who was killed while writing
        }
        let bytes = match is_new {
            true => text::header(self.mailbox.uid_validity()) + line,
            false => line.to_owned(),
        };
        if let Err(error) = file.write_all_at(bytes.as_bytes(), state.stamp.1) {
            let _ = file.set_len(state.stamp.1);
            return Err(error.into());
        }
        let synced = sync_file(&file, level).and_then(|()| match is_new && level != SyncLevel::None {
            true => os::file::sync_dir(&folder),
            false => Ok(()),
        });
        if let Err(error) = synced {
            return Err(self.fence(state, &file, &error));
        }
        state.stamp = (file.metadata()?.ino(), state.stamp.1 + bytes.len() as u64);
        Ok(())
    }

    fn fence(&self, state: &mut State, file: &File, error: &io::Error) -> StoreError {
        let _ = file.set_len(state.stamp.1);
        state.fenced = true;
        let text = format!("{}: a sync failed: {error}; no more \\Seen from here", self.mailbox.name());
        self.mailbox.shared.log.write(Severity::Error, &text);
        StoreError::Fenced
    }

    /// A shorter file that says the same.
    fn write_anew(&self, state: &mut State) -> Result<()> {
        Arc::make_mut(&mut state.table).fold();
        let text = text::whole(&state.table, self.mailbox.uid_validity());
        base::replace::durable_replace(&self.path(), text.as_bytes(), 0o600)?;
        let meta = fs::metadata(self.path())?;
        state.stamp = (meta.ino(), meta.len());
        state.written_bytes = meta.len();
        Ok(())
    }
}

/// Whether it was not there. The folder above is not made: without it, the mailbox was deleted meanwhile.
fn make_folder(folder: &Path) -> Result<bool> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::NotFound),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_mailboxs_folder_does_not_come_back() {
        let top = tempfile::tempdir().unwrap();
        let mailbox = top.path().join("mailbox");
        assert!(matches!(make_folder(&mailbox.join(FOLDER)), Err(StoreError::NotFound)));
        assert!(!mailbox.exists());
        fs::create_dir(&mailbox).unwrap();
        assert!(make_folder(&mailbox.join(FOLDER)).unwrap());
        assert!(!make_folder(&mailbox.join(FOLDER)).unwrap());
    }
}
