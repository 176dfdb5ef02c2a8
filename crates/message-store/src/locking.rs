//! The lock on changes, and whether the index is still the one in force: nobody but us removes, replaces or cuts the files of a
//! mailbox, but an administrator's hand, or a disk that fails, may, while sessions have them open.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, TryLockError};
use std::time::{Duration, Instant};

use os::lock::{Mode, OfdLock};

use crate::header::{Header, MAILBOX_DELETED, SUPERSEDED};
use crate::index::Index;
use crate::layout::INDEX;
use crate::mailbox::{Mailbox, is_whole, open_lock_file};
use crate::writer::Writer;
use crate::{Result, StoreError};

/// Byte of the lock file that who changes the mailbox holds.
const CHANGE_BYTE: u32 = 0;
/// How often, and how long each time, who found the index lost waits for who is changing the mailbox here.
const LOST_WAITS: u32 = 2000;
const LOST_WAIT: Duration = Duration::from_millis(1);
/// How long it is believed without a look that the index is the file of its name.
const LOOK_EVERY_MS: u64 = 1000;

impl Mailbox {
    /// The lock on changes. Of a lock file that somebody removed or replaced, two processes would each have one: its name is looked
    /// at again once it is locked.
    pub(crate) fn lock_changes(&self, writer: &mut Writer) -> Result<OfdLock> {
        loop {
            let lock_file = match &writer.lock_file {
                Some(file) => Arc::clone(file),
                None => {
                    let file = open_lock_file(&self.folder)?;
                    writer.lock_file = Some(Arc::clone(&file));
                    file
                }
            };
            let lock = OfdLock::acquire(&lock_file, CHANGE_BYTE, Mode::Exclusive, self.lock_timeout())?;
            if lock_file.metadata()?.nlink() > 0 {
                return Ok(lock);
            }
            writer.lock_file = None;
        }
    }

    /// The index in force, under the lock; whether its last writer finished.
    pub(crate) fn index_locked(&self) -> Result<(Arc<Index>, bool, Header)> {
        let mut index = self.index();
        let path = self.folder.join(INDEX);
        for attempt in 0..4 {
            let (finished, header) = index.header_locked();
            if header.as_ref().is_some_and(|header| header.has(MAILBOX_DELETED)) && !index.is_lost() {
                return Err(StoreError::NotFound);
            }
            let Some(header) = header.filter(|header| index.is_in_place(&path, header.slots)) else {
                index = self.replace_index(&index)?;
                continue;
            };
            if !header.has(SUPERSEDED) && index.shows(header.slots) {
                return Ok((index, finished, header));
            }
            if header.has(SUPERSEDED) && attempt > 0 {
                // Marked by who was killed before the new one was in place: this one is still the index.
                index.write_header(&Header { flags: header.flags & !SUPERSEDED, ..header });
                continue;
            }
            index = self.reopen_index()?;
        }
        Err(self.damaged("the index cannot be opened"))
    }

    /// Under the lock, in place of an index that is damaged, or is not the one of its name: what somebody else has put there, if
    /// that is sound; else one that is made anew.
    fn replace_index(&self, index: &Index) -> Result<Arc<Index>> {
        if index.header_locked().1.is_none() {
            index.give_up();
        }
        let there = Index::open(&self.folder.join(INDEX));
        if !there.is_ok_and(|there| !there.is_same_file(index) && is_whole(&there, self.id)) {
            crate::rebuild::mend_locked(&self.shared, &self.folder, &self.name(), self.id)?;
            self.announce();
        }
        self.reopen_index()
    }

    /// The index was lost: who takes the lock mends it. Who asks may have the lock, so it is not waited for without end.
    ///
    /// # Errors
    /// Damage; as [`Mailbox::write`].
    pub(crate) fn mend_lost(&self) -> Result<()> {
        for _ in 0..LOST_WAITS {
            if !self.index().is_lost() {
                return Ok(());
            }
            if !self.is_being_changed_here() {
                return self.write().map(drop);
            }
            std::thread::sleep(LOST_WAIT);
        }
        Err(self.damaged("the index was cut"))
    }

    /// Takes up the index that has the name, when it is another file than the open one: at most once a second, so that who only
    /// reads does not for ever read what others do not change any more.
    ///
    /// # Errors
    /// As [`Mailbox::write`].
    pub(crate) fn look_for_index(&self) -> Result<()> {
        let now = now_ms();
        if now.saturating_sub(self.looked.load(Ordering::Relaxed)) < LOOK_EVERY_MS {
            return Ok(());
        }
        self.looked.store(now, Ordering::Relaxed);
        let is_there = self.index().is_in_place(&self.folder.join(INDEX), 0);
        if is_there || self.is_being_changed_here() { Ok(()) } else { self.write().map(drop) }
    }

    /// By another thread of this process, or by the one that asks.
    fn is_being_changed_here(&self) -> bool {
        matches!(self.writer.try_lock(), Err(TryLockError::WouldBlock))
    }
}

/// Milliseconds since the process first asked, and one look's time.
fn now_ms() -> u64 {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let since = BEGIN.get_or_init(Instant::now).elapsed().as_millis();
    u64::try_from(since).unwrap_or(u64::MAX).saturating_add(LOOK_EVERY_MS)
}
