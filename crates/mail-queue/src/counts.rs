//! `queue/counts`: for who waits until the queue is empty, how many entries have no files. Two numbers of 64 bits, little-endian:
//! entries committed so far, and entries that are only in memory and in the journal. A mapped file: who reads it sees the
//! numbers of this moment, as long as smtpd runs.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use os::map::SharedMap;

const COMMITTED_AT: usize = 0;
const YOUNG_AT: usize = 8;
const BYTES: u64 = 16;

/// The numbers, or nothing where the file cannot be made.
pub(crate) struct Counts(Option<SharedMap>);

impl Counts {
    /// None is young.
    pub fn begin(queue: &Path) -> Counts {
        let open = || {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).mode(0o600).open(queue.join("counts"))?;
            file.set_len(BYTES)?;
            SharedMap::open(&file, 0)
        };
        let counts = Counts(open().ok());
        if let Some(young) = counts.at(YOUNG_AT) {
            young.store(0, Ordering::SeqCst);
        }
        counts
    }

    fn at(&self, place: usize) -> Option<&AtomicU64> {
        self.0.as_ref()?.u64_at(place)
    }

    pub fn committed(&self) {
        if let Some(committed) = self.at(COMMITTED_AT) {
            committed.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub fn set_young(&self, count: usize) {
        if let Some(young) = self.at(YOUNG_AT) {
            young.store(count as u64, Ordering::SeqCst);
        }
    }
}
