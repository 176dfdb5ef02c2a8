//! What a user's mailboxes hold, folder by folder, in one small mapped file; and the limits of his quota root.
//!
//! Every partition in which a user has mailboxes has a `store.use` in the user's folder there. It has a slot for each
//! mailbox: how many messages are in it, and how many bytes. Who changes a mailbox sets its slot, to what the index header
//! will say, while the header's sequence is odd: a writer that is killed between the two leaves the sequence odd, and
//! whoever takes the lock next counts the mailbox anew and sets the slot anew. A slot holds a state and no difference, so
//! setting it twice is the same as once, and the sum of the slots is what the user has. The bytes are in
//! `docs/formats/store.md`.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use commit_journal::{SyncLevel, sync_file};
use os::lock::{Mode, OfdLock};
use os::map::SharedMap;

use crate::bytes::{put, u32_at, u64_at};
use crate::{Limits, Usage, folders};

pub(crate) const FILE: &str = "store.use";
const MAGIC: u64 = u64::from_le_bytes(*b"MBUSE\0\0\x01");
const BOOT_AT: usize = 8;
/// Slots that are in use or were.
const END_AT: usize = 16;
/// Two copies of the record; the valid one with the higher number counts.
const RECORDS_AT: [usize; 2] = [64, 192];
const RECORD_BYTES: usize = 64;
const SLOTS_AT: usize = 512;
const SLOT_BYTES: usize = 32;
const BLOCK_BYTES: u64 = 4096;
/// Address space: 32,000 mailboxes before the file must be mapped anew.
const RESERVE_BYTES: usize = 1 << 20;
/// Byte of the file that who gives slots away, or changes the record, holds.
const CHANGE_BYTE: u32 = 0;
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Files that a process keeps open, and how long without looking whether they are still there.
const FILES_MAX: usize = 256;
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The quota of one root: limits, and what is to be remembered of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub limits: Limits,
    /// What the directory said when it was last asked; nothing when it never was.
    pub directory: Option<Limits>,
    /// Since when mail has been over the limits, in seconds since 1970; 0 when it is not.
    pub over_since: i64,
    /// When the user was last told.
    pub noticed: i64,
}

/// One `store.use`, open.
pub(crate) struct UsageFile {
    file: Arc<File>,
    map: SharedMap,
    inode: u64,
    /// Whose it is.
    pub owner: String,
    looked: AtomicU64,
}

impl UsageFile {
    /// # Errors
    /// The system's; `NotFound` when it is not to be made.
    fn open(root: &Path, make: bool) -> io::Result<UsageFile> {
        let path = root.join(FILE);
        let open =
            || OpenOptions::new().read(true).write(true).create(make).truncate(false).mode(0o600).open(&path);
        let mut file = open()?;
        for _ in 0..2 {
            let length = file.metadata()?.len();
            if length < BLOCK_BYTES {
                os::file::allocate(&file, 0, BLOCK_BYTES)?;
            }
            let reserve = usize::try_from(length).unwrap_or(usize::MAX).saturating_mul(2).max(RESERVE_BYTES);
            let map = SharedMap::open(&file, reserve)?;
            let magic = map.u64_at(0).map_or(0, |magic| magic.load(Ordering::Acquire));
            if magic == 0 {
                if let Some(magic) = map.u64_at(0) {
                    magic.store(MAGIC, Ordering::Release);
                }
            }
            if matches!(magic, 0 | MAGIC) {
                let owner = root.file_name().and_then(|name| folders::decode(&name.to_string_lossy()));
                let inode = file.metadata()?.ino();
                let owner = owner.unwrap_or_default();
                return Ok(UsageFile {
                    file: Arc::new(file),
                    map,
                    inode,
                    owner,
                    looked: AtomicU64::new(now()),
                });
            }
            // Not ours, or damaged: everything in it but the limits can be counted again.
            fs::rename(&path, root.join(format!("{FILE}.damaged-{}", base::clock::unix_seconds())))?;
            file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    fn word(&self, at: usize) -> u64 {
        self.map.u64_at(at).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn set_word(&self, at: usize, value: u64) {
        if let Some(word) = self.map.u64_at(at) {
            word.store(value, Ordering::Release);
        }
    }

    /// The start of stored (see `Shared::boot`) since which every slot is known to be right.
    pub fn boot(&self) -> u64 {
        self.word(BOOT_AT)
    }

    pub fn set_boot(&self, boot: u64) {
        self.set_word(BOOT_AT, boot);
    }

    /// Slots up to here may be in use.
    fn end(&self) -> usize {
        let end = usize::try_from(self.word(END_AT)).unwrap_or(0);
        if slot_at(end) > self.map.len() {
            let _ = self.map.extend(&self.file);
        }
        end.min(self.map.len().saturating_sub(SLOTS_AT) / SLOT_BYTES)
    }

    /// Whether all slots can be seen; else the file has to be opened anew.
    fn shows_all(&self) -> bool {
        self.end() as u64 == self.word(END_AT)
    }

    fn id(&self, slot: usize) -> u128 {
        let at = slot_at(slot);
        u128::from(self.word(at + 8)) << 64 | u128::from(self.word(at))
    }

    fn slot_of(&self, id: u128) -> Option<usize> {
        (0..self.end()).find(|slot| self.word(slot_at(*slot)) == id as u64 && self.id(*slot) == id)
    }

    /// What a mailbox's slot says; nothing when it has none.
    pub fn get(&self, id: u128) -> Option<Usage> {
        let at = slot_at(self.slot_of(id)?);
        Some(Usage { messages: self.word(at + 16), bytes: self.word(at + 24) })
    }

    /// Sets a mailbox's slot, which must be its own: under the mailbox's lock. False when it has none.
    fn set(&self, id: u128, usage: Usage) -> bool {
        let Some(slot) = self.slot_of(id) else { return false };
        self.set_word(slot_at(slot) + 16, usage.messages);
        self.set_word(slot_at(slot) + 24, usage.bytes);
        true
    }

    fn lock(&self) -> io::Result<OfdLock> {
        OfdLock::acquire(&self.file, CHANGE_BYTE, Mode::Exclusive, LOCK_TIMEOUT)
    }

    /// Gives the mailbox a slot and sets it.
    fn claim(&self, id: u128, usage: Usage) -> io::Result<()> {
        let _lock = self.exclusively()?;
        if self.set(id, usage) {
            return Ok(());
        }
        let end = self.end();
        let slot = (0..end).find(|slot| self.word(slot_at(*slot)) == 0).unwrap_or(end);
        let needed = slot_at(slot + 1);
        if needed > self.map.len() {
            os::file::allocate(&self.file, 0, (needed as u64).next_multiple_of(BLOCK_BYTES))?;
            if self.map.extend(&self.file)? < needed {
                return Err(io::ErrorKind::WouldBlock.into()); // it must be mapped anew
            }
        }
        let at = slot_at(slot);
        self.set_word(at + 16, usage.messages);
        self.set_word(at + 24, usage.bytes);
        self.set_word(at + 8, (id >> 64) as u64);
        self.set_word(at, id as u64);
        if slot >= end {
            self.set_word(END_AT, slot as u64 + 1);
        }
        Ok(())
    }

    /// A lock belongs to an open file, and threads of one process share this one: it is let go before the threads' own, or the
    /// next thread would lose it in the middle.
    fn exclusively(&self) -> io::Result<(OfdLock, std::sync::MutexGuard<'static, ()>)> {
        static THREADS: Mutex<()> = Mutex::new(());
        let guard = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((self.lock()?, guard))
    }

    fn clear(&self, slot: usize) {
        let at = slot_at(slot);
        for word in [at + 16, at + 24, at + 8, at] {
            self.set_word(word, 0);
        }
    }

    /// The mailbox is not counted here any more: under its lock, or when it can have no writer.
    ///
    /// # Errors
    /// The system's.
    pub fn release(&self, id: u128) -> io::Result<()> {
        let _lock = self.exclusively()?;
        if let Some(slot) = self.slot_of(id) {
            self.clear(slot);
        }
        Ok(())
    }

    /// Only these mailboxes are counted here: under the lock of the tree, so that none is being made. How many others were.
    ///
    /// # Errors
    /// The system's.
    pub fn retain(&self, is_there: impl Fn(u128) -> bool) -> io::Result<usize> {
        let _lock = self.exclusively()?;
        let mut count = 0;
        let mut seen = HashSet::new(); // a power cut can leave an old page beside a new one
        for slot in 0..self.end() {
            let id = self.id(slot);
            if self.word(slot_at(slot)) != 0 && !(is_there(id) && seen.insert(id)) {
                self.clear(slot);
                count += 1;
            }
        }
        Ok(count)
    }

    /// Of all mailboxes that have slots here.
    pub fn sum(&self) -> Usage {
        (0..self.end()).fold(Usage::default(), |sum, slot| {
            let at = slot_at(slot);
            if self.word(at) == 0 {
                return sum;
            }
            sum.plus(Usage { messages: self.word(at + 16), bytes: self.word(at + 24) })
        })
    }

    /// The record, with its number; nothing when there never was one, or it is damaged.
    pub fn record(&self) -> Option<(u64, Record)> {
        for _ in 0..100 {
            let read = RECORDS_AT.map(|at| {
                let mut bytes = [0; RECORD_BYTES];
                self.map.read(at, &mut bytes);
                Record::decode(&bytes)
            });
            fence(Ordering::Acquire);
            if let Some(newest) = read.into_iter().flatten().max_by_key(|(number, _)| *number) {
                return Some(newest);
            }
            if RECORDS_AT.iter().all(|at| self.word(*at) == 0) {
                return None;
            }
        }
        None
    }

    /// Changes the record, for everybody; durable as the level says, unless it says nothing: who finds none has no limits
    /// either. The record as it is now.
    ///
    /// # Errors
    /// The system's; it may be changed nevertheless.
    pub fn change_record(&self, level: SyncLevel, change: impl FnOnce(&mut Record)) -> io::Result<Record> {
        let _lock = self.exclusively()?;
        let (number, old) = self.record().unwrap_or_default();
        let mut new = old;
        change(&mut new);
        if new != old || number == 0 {
            let number = number + 1;
            let at = RECORDS_AT[usize::from(number % 2 == 0)];
            self.map.write(at, &new.encode(number));
            if self.map.is_lost() {
                return Err(io::Error::other("the file of usage was cut while it was in use"));
            }
            if !(old.limits.is_unlimited() && new.limits.is_unlimited()) {
                sync_file(&self.file, level)?;
            }
        }
        Ok(new)
    }
}

impl Record {
    fn encode(&self, number: u64) -> [u8; RECORD_BYTES] {
        let limit = |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let directory = self.directory.unwrap_or_default();
        let values = [
            limit(self.limits.bytes),
            limit(self.limits.messages),
            if self.directory.is_some() { limit(directory.bytes) } else { -2 },
            limit(directory.messages),
            self.over_since,
            self.noticed,
        ];
        let mut bytes = [0; RECORD_BYTES];
        put(&mut bytes, 0, &number.to_le_bytes());
        for (place, value) in values.iter().enumerate() {
            put(&mut bytes, 8 + place * 8, &value.to_le_bytes());
        }
        let crc = base::crc32(&bytes[..RECORD_BYTES - 8]);
        put(&mut bytes, RECORD_BYTES - 8, &crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<(u64, Record)> {
        let number = u64_at(bytes, 0);
        if number == 0 || base::crc32(&bytes[..RECORD_BYTES - 8]) != u32_at(bytes, RECORD_BYTES - 8) {
            return None;
        }
        let value = |place: usize| u64_at(bytes, 8 + place * 8) as i64;
        let limits = |place: usize| Limits {
            bytes: u64::try_from(value(place)).ok(),
            messages: u64::try_from(value(place + 1)).ok(),
        };
        let record = Record {
            limits: limits(0),
            directory: (value(2) != -2).then(|| limits(2)),
            over_since: value(4),
            noticed: value(5),
        };
        Some((number, record))
    }
}

fn slot_at(slot: usize) -> usize {
    SLOTS_AT + slot * SLOT_BYTES
}

fn now() -> u64 {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// The folder of the user in whose tree this one is: the highest of the levels below the two of the hash. Nothing for a
/// shared mailbox, and for one that was removed.
pub(crate) fn root_of(folder: &Path) -> Option<PathBuf> {
    let mut root = folder;
    while root.parent()?.file_name()?.to_str()?.starts_with('=') {
        root = root.parent()?;
    }
    let low = root.parent()?;
    let high = low.parent()?;
    let is_hash = |path: &Path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let is_user = is_hash(low) && is_hash(high) && high.parent()?.file_name()? == "=user";
    let is_level = root.file_name()?.to_str()?.starts_with('=');
    (is_user && is_level && !folder.to_str()?.ends_with(" (deleted)")).then(|| root.to_owned())
}

/// Where a mailbox is, though it is known by descriptor: a rename by another process is seen.
fn real_path(folder: &Path) -> io::Result<PathBuf> {
    if folder.starts_with("/proc/self/fd") { fs::read_link(folder) } else { Ok(folder.to_owned()) }
}

/// The files that this process has open, by the user's folder.
#[derive(Default)]
pub(crate) struct Usages {
    files: Mutex<HashMap<PathBuf, Arc<UsageFile>>>,
}

impl Usages {
    /// The file in a user's folder; nothing when there is none and none is to be made, or the folder is gone.
    ///
    /// # Errors
    /// The system's.
    pub fn get(&self, root: &Path, make: bool) -> io::Result<Option<Arc<UsageFile>>> {
        self.get_looked(root, make, Duration::ZERO)
    }

    /// As [`Usages::get`]; but a file that was looked at within `fresh` is believed to be still the one in this folder. Who
    /// does not look finds what his mailbox's slot is in, if he finds a slot; not what the folder's user has.
    fn get_looked(&self, root: &Path, make: bool, fresh: Duration) -> io::Result<Option<Arc<UsageFile>>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(root) {
            let now = now();
            let is_fresh =
                u128::from(now.saturating_sub(file.looked.load(Ordering::Relaxed))) < fresh.as_millis();
            if (is_fresh || fs::metadata(root.join(FILE)).is_ok_and(|meta| meta.ino() == file.inode))
                && !file.map.is_lost()
                && file.shows_all()
            {
                if !is_fresh {
                    file.looked.store(now, Ordering::Relaxed);
                }
                return Ok(Some(Arc::clone(file)));
            }
            files.remove(root);
        }
        let file = match UsageFile::open(root, make) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if files.len() >= FILES_MAX {
            files.retain(|_, file| Arc::strong_count(file) > 1);
            if files.len() >= FILES_MAX {
                files.clear();
            }
        }
        files.insert(root.to_owned(), Arc::clone(&file));
        Ok(Some(file))
    }

    /// Another file has the name, or none.
    pub fn forget(&self, root: &Path) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).remove(root);
    }

    /// Says what a mailbox holds, to the file of the tree it is in; under the mailbox's lock. `hint` is where the user's
    /// folder was last time. The file; nothing when the mailbox is in no user's tree.
    ///
    /// # Errors
    /// The system's: it is not counted then.
    pub fn keep(
        &self,
        folder: &Path,
        hint: &Mutex<Option<PathBuf>>,
        id: u128,
        usage: Usage,
    ) -> io::Result<Option<Arc<UsageFile>>> {
        let mut hint = hint.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = hint.as_deref() {
            if let Some(file) = self.get_looked(root, false, LOOK_EVERY)? {
                if file.set(id, usage) {
                    return Ok(Some(file));
                }
            }
        }
        *hint = root_of(&real_path(folder)?);
        let Some(root) = hint.as_deref() else { return Ok(None) };
        for _ in 0..2 {
            let Some(file) = self.get(root, true)? else { return Ok(None) };
            match file.claim(id, usage) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.forget(root),
                other => return other.map(|()| Some(file)),
            }
        }
        Err(io::ErrorKind::FileTooLarge.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_folder_is_found_from_any_depth() {
        for (folder, root) in [
            ("/p/=user/ab/cd/=joe", Some("/p/=user/ab/cd/=joe")),
            ("/p/=user/ab/cd/=joe/=+Work/=user/=x", Some("/p/=user/ab/cd/=joe")),
            ("/=p/=user/ab/cd/=joe/=user", Some("/=p/=user/ab/cd/=joe")),
            ("/p/=+Public/=+News", None),
            ("/p/trash/0123", None),
            ("/p/=user/ab/cd/=joe/=+Work (deleted)", None),
            ("/p/=user/ab/cd", None),
            ("/", None),
        ] {
            assert_eq!(root_of(Path::new(folder)), root.map(PathBuf::from), "{folder}");
        }
    }

    #[test]
    fn slots_are_set_released_and_used_again_by_whoever_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("=joe");
        fs::create_dir(&root).unwrap();
        let (one, other) = (UsageFile::open(&root, true).unwrap(), UsageFile::open(&root, false).unwrap());
        assert_eq!(one.owner, "joe");
        for id in 1..=500u128 {
            one.claim(id << 64 | 7, Usage { messages: 1, bytes: id as u64 }).unwrap();
        }
        assert_eq!(other.sum(), Usage { messages: 500, bytes: 500 * 501 / 2 });
        assert!(other.set(500 << 64 | 7, Usage::default()) && !other.set(9, Usage::default()));
        other.release(499 << 64 | 7).unwrap();
        assert_eq!(one.sum(), Usage { messages: 498, bytes: 498 * 499 / 2 });
        one.claim(9, Usage { messages: 3, bytes: 3 }).unwrap();
        assert_eq!(one.word(END_AT), 500, "a free slot is used again");
        one.retain(|id| id == 9).unwrap();
        assert_eq!(other.sum(), Usage { messages: 3, bytes: 3 });
    }

    #[test]
    fn a_torn_record_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("=joe");
        fs::create_dir(&root).unwrap();
        let file = UsageFile::open(&root, true).unwrap();
        assert_eq!(file.record(), None);
        let limits = |bytes| Limits { bytes: Some(bytes), messages: None };
        for bytes in 1..=4 {
            file.change_record(SyncLevel::None, |record| {
                record.limits = limits(bytes);
                record.directory = Some(Limits::default());
                record.over_since = 77;
            })
            .unwrap();
        }
        let (number, record) = file.record().unwrap();
        assert_eq!((number, record.limits, record.over_since), (4, limits(4), 77));
        assert_eq!(record.directory, Some(Limits::default()));
        file.map.write(RECORDS_AT[1] + 9, &[0xee]);
        assert_eq!(file.record().unwrap().1.limits, limits(3));
        file.map.write(RECORDS_AT[0] + 9, &[0xee]);
        assert_eq!(file.record(), None);
    }
}
