//! Change notice between processes: one file in `run/`, mapped by all.
//!
//! | at | len | what |
//! |---:|----:|---|
//! | 0 | 8 | how many notices were written so far |
//! | 8 | 8 | the epoch: a random number of stored's, another at each of its starts |
//! | 64 | 32 each | 4096 notices: number + 1 (8; 0 while it is written), mailbox id (16; 0: names), tree (8) |
//!
//! A tree is a user's mailboxes, or those below one public name (`tree_lock.rs`). A notice without a mailbox: names of the
//! tree were made, deleted, renamed or subscribed to, or the user's notes about the server changed.
//!
//! Who changed a mailbox takes the next number, writes its notice, and touches the file, which wakes whoever watches it
//! with inotify. Who fell behind by more than the ring looks at the headers of all it watches. Nothing is registered
//! anywhere, so nothing is left behind by a killed process; the file may be deleted while nothing runs.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use os::map::SharedMap;

const SLOTS: u64 = 4096;
const SLOT_BYTES: usize = 32;
const EPOCH_AT: usize = 8;
const SLOTS_AT: usize = 64;
const BYTES: u64 = SLOTS_AT as u64 + SLOTS * SLOT_BYTES as u64;

pub(crate) struct Ring {
    path: PathBuf,
    open: RwLock<Arc<Open>>,
}

/// The file, as long as it is the one of its name and whole.
struct Open {
    file: File,
    map: SharedMap,
}

impl Open {
    fn at(path: &Path) -> io::Result<Open> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if file.metadata()?.len() < BYTES + 1 {
            os::file::allocate(&file, 0, BYTES + 1)?;
        }
        let map = SharedMap::open(&file, 0)?;
        Ok(Open { file, map })
    }
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Notice {
    /// 0: not of one mailbox.
    pub mailbox: u128,
    pub tree: u64,
}

/// What came since a number.
pub(crate) enum News {
    Notices(Vec<Notice>, u64),
    /// More than the ring holds.
    Behind(u64),
}

impl Ring {
    pub fn open(run_folder: &Path) -> io::Result<Ring> {
        DirBuilder::new().recursive(true).mode(0o700).create(run_folder)?;
        let path = run_folder.join("store.ring");
        let open = RwLock::new(Arc::new(Open::at(&path)?));
        Ok(Ring { path, open })
    }

    /// The file; opened anew when somebody has cut it.
    fn open_file(&self) -> Arc<Open> {
        let open = Arc::clone(&self.open.read().unwrap_or_else(PoisonError::into_inner));
        if !open.map.is_lost() {
            return open;
        }
        let Ok(again) = Open::at(&self.path).map(Arc::new) else { return open };
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&again);
        again
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells everybody.
    pub fn announce(&self, Notice { mailbox, tree }: Notice) {
        let open = self.open_file();
        let Some(count) = open.map.u64_at(0) else { return };
        let number = count.fetch_add(1, Ordering::AcqRel);
        let at = slot_at(number);
        if let Some(mark) = open.map.u64_at(at) {
            mark.store(0, Ordering::Release);
            open.map.write(at + 8, &mailbox.to_le_bytes());
            open.map.write(at + 24, &tree.to_le_bytes());
            mark.store(number.wrapping_add(1), Ordering::Release);
        }
        // A map's change is no event for inotify; a written byte is.
        let _ = open.file.write_at(&[0], BYTES);
    }

    /// A number that changes whenever stored starts; 0 before the first time.
    pub fn epoch(&self) -> u64 {
        self.open_file().map.u64_at(EPOCH_AT).map_or(0, |epoch| epoch.load(Ordering::Acquire))
    }

    /// From now on whatever a map holds may be old: logs are applied once more.
    pub fn begin_epoch(&self, number: u64) {
        if let Some(epoch) = self.open_file().map.u64_at(EPOCH_AT) {
            epoch.store(number, Ordering::Release);
        }
    }

    /// How many notices there were so far.
    pub fn count(&self) -> u64 {
        self.open_file().map.u64_at(0).map_or(0, |count| count.load(Ordering::Acquire))
    }

    /// The notices from `number` on.
    pub fn since(&self, number: u64) -> News {
        let count = self.count();
        if count.wrapping_sub(number) > SLOTS / 2 {
            return News::Behind(count);
        }
        let map = &self.open_file().map;
        let mut notices = Vec::new();
        let mut next = number;
        while next != count {
            let at = slot_at(next);
            let mark = || map.u64_at(at).map_or(0, |mark| mark.load(Ordering::Acquire));
            let (mut id, mut tree) = ([0; 16], [0; 8]);
            let before = mark();
            map.read(at + 8, &mut id);
            map.read(at + 24, &mut tree);
            if before != next.wrapping_add(1) || mark() != before {
                // Being written, or never finished because its writer was killed: everybody is looked at.
                return News::Behind(count);
            }
            let (mailbox, tree) = (u128::from_le_bytes(id), u64::from_le_bytes(tree));
            notices.push(Notice { mailbox, tree });
            next = next.wrapping_add(1);
        }
        News::Notices(notices, count)
    }
}

fn slot_at(number: u64) -> usize {
    SLOTS_AT + (number % SLOTS) as usize * SLOT_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_come_in_order_and_who_falls_behind_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Ring::open(folder.path()).unwrap(), Ring::open(folder.path()).unwrap());
        let start = other.count();
        one.announce(Notice { mailbox: 7, tree: 1 });
        one.announce(Notice { mailbox: 0, tree: 2 });
        let News::Notices(notices, next) = other.since(start) else { panic!("behind") };
        assert_eq!(notices, [Notice { mailbox: 7, tree: 1 }, Notice { mailbox: 0, tree: 2 }]);
        for _ in 0..3000 {
            one.announce(Notice { mailbox: 9, tree: 3 });
        }
        assert!(matches!(other.since(next), News::Behind(_)));
    }
}
