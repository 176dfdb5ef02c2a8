//! One mailbox: what is read without a lock, and its parts.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use mailbox_list::MailboxName;
use os::lock::{Mode, OfdLock};

use crate::cache::Segments;
use crate::header::{Header, MAILBOX_DELETED, SUPERSEDED};
use crate::index::Index;
use crate::layout::{INDEX, LOCK, message_path};
use crate::prepared::{Cached, Prepared};
use crate::record::{Cold, Record};
use crate::ring::Notice;
use crate::shared::Shared;
use crate::tree_lock::tree_of;
use crate::writer::Writer;
use crate::zones::Zone;
use crate::{Flags, Result, StoreError};

/// How often, and how long each time, a header is waited for that is being written without its lock being asked for.
const HEADER_WAITS: u32 = 2000;
const HEADER_WAIT: Duration = Duration::from_millis(1);

/// Byte of the lock file that who has the maildrop holds (RFC 1939 §3).
const MAILDROP_BYTE: u32 = 1;
/// How often its lock file is opened while somebody replaces it.
const MAILDROP_OPENINGS: u32 = 100;

/// Counts of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub exists: u32,
    pub unseen: u32,
    pub deleted: u32,
    pub uid_next: u32,
    pub highest_modseq: u64,
    pub size_bytes: u64,
    /// Messages not yet announced as \Recent to any session.
    pub recent: u32,
    /// Every expunge after this modseq has its record still; earlier ones may be forgotten (RFC 7162 §3.2.5.1).
    pub forgotten_modseq: u64,
}

/// A message's file. It stays readable though the message is expunged.
pub struct MessageFile {
    pub file: Arc<File>,
    pub size: u64,
}

/// Held by who has the maildrop, until dropped.
pub struct MaildropLock {
    _lock: OfdLock,
    /// Where the last opening is written down.
    file: Arc<File>,
}

impl MaildropLock {
    /// When the maildrop was last opened, as [`MaildropLock::note_opening`] wrote it: whole seconds.
    pub fn opened_before(&self) -> Option<SystemTime> {
        let mut seconds = [0; 8];
        self.file.read_exact_at(&mut seconds, 0).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_le_bytes(seconds)))
    }

    /// Writes down that it is opened now. Nobody waits for the disk: after a power cut it may be forgotten.
    ///
    /// # Errors
    /// The system's.
    pub fn note_opening(&self, now: SystemTime) -> Result<()> {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Ok(self.file.write_all_at(&since.as_secs().to_le_bytes(), 0)?)
    }
}

/// A mailbox, open in this process; all sessions share it.
pub struct Mailbox {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u128,
    name: RwLock<MailboxName>,
    /// The version of the mailbox list in which it had the name; 0: it was not looked at yet.
    pub(crate) named_in: AtomicUsize,
    /// In which it is (`tree_lock.rs`).
    tree: AtomicU64,
    /// The folder itself, wherever it is moved.
    _anchor: File,
    /// A path to the anchor.
    pub(crate) folder: PathBuf,
    index: RwLock<Arc<Index>>,
    /// When it was last looked whether that is the file of its name (`locking.rs`).
    pub(crate) looked: AtomicU64,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) segments: Segments,
    /// Where the folder of the user was when the mailbox was last counted.
    pub(crate) counted_in: Mutex<Option<PathBuf>>,
    /// Who reads it in this process, apart from its owner.
    pub(crate) readers: crate::seen::Readers,
    pub(crate) texts: crate::text_index::Texts,
}

impl Mailbox {
    /// Opens the mailbox in `folder`. An index that is damaged is rebuilt.
    pub(crate) fn open(
        shared: Arc<Shared>,
        folder: &Path,
        name: MailboxName,
        id: u128,
    ) -> Result<Arc<Mailbox>> {
        let anchor = File::open(folder)?;
        if !anchor.metadata()?.is_dir() {
            return Err(StoreError::Damaged(format!("{} is no folder", folder.display())));
        }
        let counted_in = Mutex::new(crate::usage::root_of(folder));
        let folder = PathBuf::from(format!("/proc/self/fd/{}", anchor.as_raw_fd()));
        let index = match Index::open(&folder.join(INDEX)) {
            Ok(index) if is_whole(&index, id) => index,
            Err(StoreError::NotFound) | Err(StoreError::Damaged(_)) | Ok(_) => {
                crate::rebuild::mend(&shared, &folder, &name, id)?;
                Index::open(&folder.join(INDEX))?
            }
            Err(other) => return Err(other),
        };
        let mailbox = Arc::new(Mailbox {
            shared,
            id,
            tree: AtomicU64::new(tree_of(&name)),
            name: RwLock::new(name),
            named_in: AtomicUsize::new(0),
            _anchor: anchor,
            folder,
            index: RwLock::new(Arc::new(index)),
            looked: AtomicU64::new(0),
            writer: Mutex::default(),
            segments: Segments::default(),
            readers: Default::default(),
            counted_in,
            texts: Mutex::default(),
        });
        // What a killed process left is taken care of by whoever comes next.
        if mailbox.needs_recovery() {
            drop(mailbox.write()?);
        }
        mailbox.header()?;
        Ok(mailbox)
    }

    fn needs_recovery(&self) -> bool {
        let (finished, header) = self.index().header_locked();
        let log = fs::metadata(self.folder.join(crate::layout::LOG)).map_or(0, |meta| meta.len());
        !finished
            || header.is_none_or(|header| {
                header.log_applied != log
                    || (header.boot != self.shared.boot() && log > crate::log::LOG_HEADER_BYTES)
            })
    }

    /// Random, for ever.
    pub fn id(&self) -> u128 {
        self.id
    }

    pub fn name(&self) -> MailboxName {
        self.name.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells every process that the mailbox changed.
    pub(crate) fn announce(&self) {
        let tree = self.tree.load(Ordering::Relaxed);
        self.shared.ring.announce(Notice { mailbox: self.id, tree });
    }

    pub(crate) fn set_name(&self, name: MailboxName) {
        self.tree.store(tree_of(&name), Ordering::Relaxed);
        *self.name.write().unwrap_or_else(PoisonError::into_inner) = name;
        self.named_in.store(0, Ordering::Release);
    }

    pub(crate) fn index(&self) -> Arc<Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes up the index that now has the name: a new generation, or more room.
    pub(crate) fn reopen_index(&self) -> Result<Arc<Index>> {
        let index = Arc::new(Index::open(&self.folder.join(INDEX))?);
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&index);
        self.segments.close();
        Ok(index)
    }

    /// The index in force and its header.
    pub(crate) fn current(&self) -> Result<(Arc<Index>, Header)> {
        for attempt in 0..5 {
            let index = self.index();
            let header = index.header();
            if index.is_lost() {
                self.mend_lost()?;
                continue;
            }
            let Some(header) = header else {
                drop(self.write()?); // a writer died in the middle, or it is damaged: who holds the lock mends it
                continue;
            };
            if header.has(MAILBOX_DELETED) {
                return Err(StoreError::NotFound);
            }
            if !header.has(SUPERSEDED) && index.shows(header.slots) {
                return Ok((index, header));
            }
            let other = self.reopen_index()?;
            if attempt > 0 && other.header().is_some_and(|header| header.has(SUPERSEDED)) {
                drop(self.write()?); // waits for who makes the new one, or mends what that left
            }
        }
        Err(self.damaged("the index does not verify, or is superseded and there is no other"))
    }

    pub(crate) fn header(&self) -> Result<Header> {
        self.current().map(|(_, header)| header)
    }

    pub(crate) fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged(format!("{}: {what}", self.name()))
    }

    pub fn uid_validity(&self) -> u32 {
        self.header_at_hand(&self.index()).map_or(0, |header| header.uid_validity)
    }

    /// The header, also while a change is under way, for whom the one of before the change does as well. It takes no lock:
    /// who holds it may ask. A writer that is not given the processor, or waits for a page, can be in the middle for long.
    fn header_at_hand(&self, index: &Index) -> Option<Header> {
        index.header().or_else(|| {
            (0..HEADER_WAITS).find_map(|_| {
                let (_, header) = index.header_locked();
                if header.is_none() {
                    std::thread::sleep(HEADER_WAIT); // it is being copied this moment
                }
                header
            })
        })
    }

    /// Counts, in constant time.
    ///
    /// # Errors
    /// `NotFound` when the mailbox was deleted; damage.
    pub fn status(&self) -> Result<Status> {
        self.look_for_index()?;
        let header = self.header()?;
        Ok(Status {
            exists: header.exists,
            unseen: header.unseen,
            deleted: header.deleted,
            uid_next: header.uid_next,
            highest_modseq: header.highest_modseq,
            size_bytes: header.size_bytes,
            recent: header.uid_next.saturating_sub(header.recent_from),
            forgotten_modseq: header.forgotten(),
        })
    }

    /// Names of the keywords; the position is the bit.
    pub fn keywords(&self) -> Vec<String> {
        let index = self.index();
        let count = self.header_at_hand(&index).map_or(0, |header| header.keywords);
        index.keywords(count)
    }

    /// A view of the records as they are from now on: no copy, no lock.
    ///
    /// # Errors
    /// As [`Mailbox::status`].
    pub fn reader(&self) -> Result<Reader> {
        let (index, header) = self.current()?;
        Ok(Reader { index, slots: header.slots, generation: header.generation })
    }

    /// The message of this UID, expunged or not, as long as its file is there.
    ///
    /// # Errors
    /// `NotFound`, or the system's.
    pub fn open_message(&self, uid: u32) -> Result<MessageFile> {
        let file = File::open(message_path(&self.folder, uid))?;
        let size = file.metadata()?.len();
        Ok(MessageFile { file: Arc::new(file), size })
    }

    /// The whole message of this UID, which has so many bytes by its record: half of one is never given out as a whole.
    ///
    /// # Errors
    /// `NotFound`; `Damaged` when the file has another size; the system's.
    pub fn open_message_of(&self, uid: u32, size: u32) -> Result<MessageFile> {
        let message = self.open_message(uid)?;
        if message.size != u64::from(size) {
            let what = format!("message {uid} has {} bytes, by its record {size}", message.size);
            return Err(self.damaged(&what));
        }
        Ok(message)
    }

    /// ENVELOPE and the like of the message in this slot; computed from its file when the cache has no good record.
    ///
    /// # Errors
    /// `NotFound` when the file is gone; damage.
    pub fn cached(&self, slot: u32) -> Result<Cached> {
        let (index, _) = self.current()?;
        let cold = index.cold(slot).ok_or_else(|| self.damaged(&format!("cold record {slot}")))?;
        self.cached_of(&cold)
    }

    pub(crate) fn cached_of(&self, cold: &Cold) -> Result<Cached> {
        let kept = self.segments.read(&self.folder, cold.cache_position, &cold.guid).and_then(Cached::of);
        match kept {
            Some(cached) => Ok(cached),
            None => {
                let message = self.open_message_of(cold.uid, cold.size)?;
                Cached::of(Prepared::of_file(&message.file)?.cache).ok_or_else(|| self.damaged("the cache"))
            }
        }
    }

    /// The maildrop, for one at a time.
    ///
    /// # Errors
    /// `InUse` at once when somebody has it.
    pub fn lock_maildrop(&self) -> Result<MaildropLock> {
        lock_maildrop_at(&self.folder.join(LOCK), || open_lock_file(&self.folder))
    }

    /// Waits for the lock on changes, at most the configured time.
    pub(crate) fn lock_timeout(&self) -> Duration {
        self.shared.settings.lock_timeout
    }
}

/// Whether it is this mailbox's, and all of its records are in it.
pub(crate) fn is_whole(index: &Index, id: u128) -> bool {
    index.header_locked().1.is_some_and(|header| header.id == id && index.shows(header.slots))
}

/// The lock on the file that has this name once it is locked: of one that was removed or replaced after it was opened, another
/// session would not know.
fn lock_maildrop_at(path: &Path, mut open: impl FnMut() -> io::Result<Arc<File>>) -> Result<MaildropLock> {
    for _ in 0..MAILDROP_OPENINGS {
        let file = open()?;
        let Some(lock) = OfdLock::try_acquire(&file, MAILDROP_BYTE, Mode::Exclusive)? else { break };
        if os::file::has_name(&file, path)? {
            return Ok(MaildropLock { _lock: lock, file });
        }
    }
    Err(StoreError::InUse)
}

pub(crate) fn open_lock_file(folder: &Path) -> io::Result<Arc<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = folder.join(LOCK);
    let file =
        fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    Ok(Arc::new(file))
}

/// Records by slot. See [`Mailbox::reader`].
#[derive(Clone)]
pub struct Reader {
    index: Arc<Index>,
    slots: u32,
    generation: u64,
}

impl Reader {
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// A slot past the end, or one that cannot be read, is `EXPUNGED | DAMAGED`.
    pub fn record(&self, slot: u32) -> Record {
        if slot < self.slots { self.index.record(slot) } else { Record::DAMAGED }
    }

    /// Flags and modification sequence in this slot, unverified, or nothing: a quick look before [`Reader::record`]. What was
    /// changed before the counts of a [`Status`] were read is seen.
    pub fn glance(&self, slot: u32) -> Option<(Flags, u64)> {
        self.index.glance(slot).filter(|_| slot < self.slots)
    }

    /// Stretches of slots, ascending: nothing outside of them was changed after `since`, of what was changed before the counts of
    /// a [`Status`] were read.
    pub fn slots_changed(&self, since: u64) -> Vec<Range<u32>> {
        self.slots_where(|zone| zone.modseq > since)
    }

    /// The same: no record outside of them is of a message that was expunged before then.
    pub fn slots_with_holes(&self) -> Vec<Range<u32>> {
        self.slots_where(|zone| zone.expunged > 0)
    }

    /// The same: every message outside of them had \Seen then.
    pub fn slots_with_unseen(&self) -> Vec<Range<u32>> {
        self.slots_where(|zone| zone.unseen > 0)
    }

    fn slots_where(&self, is_meant: impl Fn(&Zone) -> bool) -> Vec<Range<u32>> {
        match self.index.zones() {
            Some(zones) => zones.slots_where(self.slots, is_meant),
            None => std::iter::once(0..self.slots).collect(),
        }
    }

    /// The slot of a UID, or the slot where it would be.
    pub fn slot_of(&self, uid: u32) -> std::result::Result<u32, u32> {
        self.index.slot_of(uid, self.slots)
    }

    /// Whether the index was cut, or became unreadable, while it was read: what was read since may be wrong.
    pub fn is_lost(&self) -> bool {
        self.index.is_unreliable()
    }

    /// Slots mean the same as long as this is the same.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// # Errors
    /// Damage, or a slot past the end.
    pub fn cold(&self, slot: u32) -> Result<Cold> {
        self.index
            .cold(slot)
            .filter(|_| slot < self.slots)
            .ok_or_else(|| StoreError::Damaged(format!("cold record {slot}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an administrator's hand does between the opening and the locking.
    #[test]
    fn a_maildrop_is_locked_by_the_file_that_has_the_name() {
        let replace = |path: &Path| {
            fs::write(path.with_extension("new"), "").unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        };
        let put_aside = |path: &Path| fs::rename(path, path.with_extension("aside")).unwrap();
        let remove = |path: &Path| fs::remove_file(path).unwrap();
        for harm in [&replace as &dyn Fn(&Path), &put_aside, &remove] {
            let folder = tempfile::tempdir().unwrap();
            let (path, mut harms) = (folder.path().join(LOCK), 0);
            let held = lock_maildrop_at(&path, || {
                let file = open_lock_file(folder.path())?;
                if harms < 2 {
                    harms += 1;
                    harm(&path);
                }
                Ok(file)
            });
            let held = held.unwrap();
            assert_eq!(harms, 2);
            let other = || lock_maildrop_at(&path, || open_lock_file(folder.path()));
            assert!(matches!(other(), Err(StoreError::InUse)), "a second one has it");
            drop(held);
            other().unwrap();
        }
    }

    #[test]
    fn a_lock_file_that_is_replaced_for_ever_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK);
        let locked = lock_maildrop_at(&path, || {
            let file = open_lock_file(folder.path())?;
            fs::remove_file(&path)?;
            Ok(file)
        });
        assert!(matches!(locked, Err(StoreError::InUse)));
    }
}
