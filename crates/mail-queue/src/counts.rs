//! `queue/counts`: for who waits until the queue is empty, how many entries have no files. Two numbers of 64 bits, little-endian:
//! entries committed so far, and entries that are only in memory and in the journal. A mapped file: who reads it sees the
//! numbers of this moment, as long as smtpd runs. One that somebody cuts is made anew with the next number.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base::latest::Latest;
use os::map::SharedMap;

const COMMITTED_AT: usize = 0;
const YOUNG_AT: usize = 8;
const BYTES: u64 = 16;

/// The numbers. Only this process has them where the file cannot be made.
pub(crate) struct Counts {
    path: PathBuf,
    map: Option<Latest<SharedMap>>,
    committed: AtomicU64,
    young: AtomicU64,
}

impl Counts {
    /// None is young.
    pub fn begin(queue: &Path) -> Counts {
        let path = queue.join("counts");
        let map = open(&path).ok();
        let committed = map.as_ref().and_then(|map| map.u64_at(COMMITTED_AT)).map_or(0, load);
        let map = map.map(Latest::new);
        let counts = Counts { path, map, committed: committed.into(), young: 0.into() };
        counts.tell();
        counts
    }

    pub fn committed(&self) {
        self.committed.fetch_add(1, Ordering::SeqCst);
        self.tell();
    }

    pub fn set_young(&self, count: usize) {
        self.young.store(count as u64, Ordering::SeqCst);
        self.tell();
    }

    /// Writes the numbers down, in another map when it is seen by that that the file was cut.
    fn tell(&self) {
        let Some(maps) = &self.map else { return };
        self.write(maps.get());
        if maps.get().is_lost() {
            let renewed = open(&self.path).map(|map| maps.replace(map));
            if matches!(renewed, Ok(Ok(()))) {
                self.write(maps.get());
            }
        }
    }

    fn write(&self, map: &SharedMap) {
        if let Some(committed) = map.u64_at(COMMITTED_AT) {
            committed.fetch_max(load(&self.committed), Ordering::SeqCst);
        }
        if let Some(young) = map.u64_at(YOUNG_AT) {
            young.store(load(&self.young), Ordering::SeqCst);
        }
    }
}

fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::SeqCst)
}

/// The file, as long as it must be.
fn open(path: &Path) -> io::Result<SharedMap> {
    let mut options = OpenOptions::new();
    let file: File = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_len(BYTES)?;
    SharedMap::open(&file, 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn numbers(queue: &Path) -> Vec<u64> {
        let bytes = fs::read(queue.join("counts")).unwrap();
        bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
    }

    #[test]
    fn what_is_counted_stands_in_the_file_also_after_somebody_cut_it() {
        let queue = tempfile::tempdir().unwrap();
        let counts = Counts::begin(queue.path());
        counts.committed();
        counts.committed();
        counts.set_young(2);
        assert_eq!(numbers(queue.path()), [2, 2]);
        for length in [0, 8] {
            OpenOptions::new()
                .write(true)
                .open(queue.path().join("counts"))
                .unwrap()
                .set_len(length)
                .unwrap();
            counts.committed();
            counts.set_young(1);
            if length == 0 {
                assert_eq!(numbers(queue.path()), [3, 1]);
            }
        }
        drop(counts);
        let counts = Counts::begin(queue.path());
        assert_eq!(numbers(queue.path()), [4, 0], "the next process goes on");
        counts.committed();
        assert_eq!(numbers(queue.path()), [5, 0]);
    }
}
