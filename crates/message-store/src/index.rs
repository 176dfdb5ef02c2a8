//! The mapped index of one mailbox: reading without a lock, writing under it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use os::map::SharedMap;

use crate::header::Header;
use crate::layout::{
    BLOCKS_AT, COLD_BYTES, HEADER_AT, HEADER_BYTES, HOT_BYTES, KEYWORD_BYTES, KEYWORD_NAME_MAX, KEYWORDS_AT,
    KEYWORDS_MAX, RESERVE_BYTES, ZONES_AT, cold_at, hot_at, index_bytes,
};
use crate::record::{Cold, Record};
use crate::zones::{ZONES_HEADER_BYTES, ZoneMap};
use crate::{Flags, Result, StoreError};

/// How often a record that does not verify is read again before it is damage: a writer takes less than a microsecond.
const ATTEMPTS: u32 = 2000;
/// How long somebody who changes the index is waited for: a writer that has to let others run takes much longer than that.
/// Longer in the tests of this file, since the machine under them may stand still for seconds.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 20 } else { 2 });
/// How often the zone map is looked for while somebody writes, before one does without it.
const ZONES_ATTEMPTS: u32 = 200;
const NAP: Duration = Duration::from_micros(100);

/// One generation of an index.
pub struct Index {
    file: File,
    map: SharedMap,
    /// Device and inode of the file.
    identity: (u64, u64),
    /// Its header did not verify, and another was made in its place.
    given_up: AtomicBool,
}

impl Index {
    /// Makes an index file with this header; nothing is synced.
    pub fn create(path: &Path, header: &Header, slots: u32) -> io::Result<Index> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        os::file::allocate(&file, 0, index_bytes(slots.max(1)))?;
        let index = Index::map(file)?;
        index.write_header(header);
        Ok(index)
    }

    /// # Errors
    /// `NotFound`; `Damaged` when it is shorter than an index or its header does not verify.
    pub fn open(path: &Path) -> Result<Index> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let index = Index::map(file)?;
        if index.map.len() < BLOCKS_AT {
            return Err(StoreError::Damaged("store.idx is too short".into()));
        }
        Ok(index)
    }

    fn map(file: File) -> io::Result<Index> {
        let meta = file.metadata()?;
        let length = usize::try_from(meta.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let map = SharedMap::open(&file, length.saturating_mul(2).max(RESERVE_BYTES))?;
        Ok(Index { file, map, identity: (meta.dev(), meta.ino()), given_up: AtomicBool::new(false) })
    }

    /// Whether somebody cut the file, or the disk could not read it, while it was in use here: what cannot be had reads as zeros,
    /// and what is written there is lost.
    pub fn is_lost(&self) -> bool {
        self.map.is_lost()
    }

    /// Whether its header does not verify: who has it open does not get it back.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
    }

    /// Whether what is read of it can be anything.
    pub fn is_unreliable(&self) -> bool {
        self.is_lost() || self.given_up.load(Ordering::Acquire)
    }

    /// Whether the file is the one of this name, and has so many slots: nobody but a rebuild, which says so in the header, removes,
    /// replaces or cuts it.
    pub fn is_in_place(&self, path: &Path, slots: u32) -> bool {
        let is_it = |meta: std::fs::Metadata| {
            (meta.dev(), meta.ino()) == self.identity && meta.len() >= index_bytes(slots)
        };
        !self.is_lost() && std::fs::metadata(path).is_ok_and(is_it)
    }

    pub fn is_same_file(&self, other: &Index) -> bool {
        self.identity == other.identity
    }

    /// The header, as somebody left it whole. Nothing when a writer died in the middle, or it is damaged.
    pub fn header(&self) -> Option<Header> {
        let sequence = self.map.u64_at(0)?;
        let mut bytes = [0; HEADER_BYTES];
        for attempt in 0..ATTEMPTS {
            let before = sequence.load(Ordering::Acquire);
            if before % 2 == 0 && self.map.read(HEADER_AT, &mut bytes) {
                fence(Ordering::Acquire);
                if sequence.load(Ordering::Relaxed) == before {
                    if let Some(header) = Header::decode(&bytes) {
                        return Some(header);
                    }
                }
            }
            rest(attempt);
        }
        None
    }

    /// The header as it stands, for who holds the lock: whether its writer finished, and what it is.
    pub fn header_locked(&self) -> (bool, Option<Header>) {
        let mut bytes = [0; HEADER_BYTES];
        let finished = self.map.u64_at(0).is_some_and(|sequence| sequence.load(Ordering::Acquire) % 2 == 0);
        let header = self.map.read(HEADER_AT, &mut bytes).then(|| Header::decode(&bytes)).flatten();
        (finished, header)
    }

    /// Under the lock.
    pub fn write_header(&self, header: &Header) {
        self.begin_write();
        self.map.write(HEADER_AT, &header.encode());
        if let Some(sequence) = self.map.u64_at(0) {
            sequence.fetch_add(1, Ordering::Release);
        }
    }

    /// Makes the sequence odd: whoever finds it so, after the writer's death, counts anew.
    pub fn begin_write(&self) {
        if let Some(sequence) = self.map.u64_at(0) {
            let now = sequence.load(Ordering::Relaxed);
            if now % 2 == 0 {
                sequence.store(now.wrapping_add(1), Ordering::Relaxed);
                fence(Ordering::Release);
            }
        }
    }

    /// The zone map as of the last change that is whole. Nothing when there is none, or somebody has been writing for long.
    pub fn zones(&self) -> Option<ZoneMap> {
        let sequence = self.map.u64_at(0)?;
        for attempt in 0..ZONES_ATTEMPTS {
            let before = sequence.load(Ordering::Acquire);
            if before % 2 == 0 {
                let (_, header) = self.header_locked();
                let zones = header.as_ref().and_then(|header| self.zones_locked(header));
                fence(Ordering::Acquire);
                if sequence.load(Ordering::Relaxed) == before {
                    return zones;
                }
            }
            rest(attempt);
        }
        None
    }

    /// The zone map as it stands, for who holds the lock; nothing when it is not of this header.
    pub fn zones_locked(&self, header: &Header) -> Option<ZoneMap> {
        let mut bytes = vec![0; ZONES_HEADER_BYTES];
        self.map.read(ZONES_AT, &mut bytes).then_some(())?;
        bytes.resize(ZoneMap::length(&bytes)?, 0);
        self.map.read(ZONES_AT, &mut bytes).then_some(())?;
        ZoneMap::decode(&bytes, header.highest_modseq)
    }

    /// Under the lock, before [`Index::write_header`] of this header.
    pub fn write_zones(&self, zones: &ZoneMap, header: &Header) {
        self.begin_write();
        self.map.write(ZONES_AT, &zones.encode(header.highest_modseq));
    }

    /// A record; [`Record::DAMAGED`] when it cannot be read.
    pub fn record(&self, slot: u32) -> Record {
        if let Some(record) = self.record_once(slot) {
            return record;
        }
        let mut bytes = [0; HOT_BYTES];
        let mut patience = Patience::default();
        loop {
            let before = self.sequence();
            if !self.map.read(hot_at(slot), &mut bytes) && !self.see_growth(slot) {
                return Record::DAMAGED;
            }
            if let Some(record) = Record::decode(&bytes) {
                return record;
            }
            if !patience.waits(before, self.sequence()) {
                return Record::DAMAGED;
            }
        }
    }

    /// Flags and modification sequence in a record, whether it verifies or not: to pass over what is of no interest, at a tenth
    /// of the cost. Whoever finds something of interest reads the record. Nothing outside the file.
    pub fn glance(&self, slot: u32) -> Option<(Flags, u64)> {
        let at = hot_at(slot);
        let word = |at: usize| self.map.u64_at(at).map(|word| u64::from_le(word.load(Ordering::Relaxed)));
        Some((Flags((word(at)? >> 32) as u32), word(at + 8)?))
    }

    /// A cold record, if it can be read.
    pub fn cold(&self, slot: u32) -> Option<Cold> {
        if let Some(cold) = self.cold_once(slot) {
            return Some(cold);
        }
        let mut bytes = [0; COLD_BYTES];
        let mut patience = Patience::default();
        loop {
            let before = self.sequence();
            if !self.map.read(cold_at(slot), &mut bytes) && !self.see_growth(slot) {
                return None;
            }
            if let Some(cold) = Cold::decode(&bytes) {
                return Some(cold);
            }
            if !patience.waits(before, self.sequence()) {
                return None;
            }
        }
    }

    /// Odd while somebody writes; another one when somebody has written.
    fn sequence(&self) -> u64 {
        fence(Ordering::Acquire);
        self.map.u64_at(0).map_or(0, |sequence| sequence.load(Ordering::Acquire))
    }

    /// A record, without waiting for who may be writing it.
    pub fn record_once(&self, slot: u32) -> Option<Record> {
        let mut bytes = [0; HOT_BYTES];
        self.map.read(hot_at(slot), &mut bytes).then(|| Record::decode(&bytes)).flatten()
    }

    /// As [`Index::record_once`].
    pub fn cold_once(&self, slot: u32) -> Option<Cold> {
        let mut bytes = [0; COLD_BYTES];
        self.map.read(cold_at(slot), &mut bytes).then(|| Cold::decode(&bytes)).flatten()
    }

    /// The file may have grown in another process. False when it has not, or beyond what this map can show.
    fn see_growth(&self, slot: u32) -> bool {
        let needed = index_bytes(slot.saturating_add(1));
        let length = self.map.extend(&self.file).unwrap_or(0);
        length as u64 >= needed
    }

    /// Whether slots up to here can be seen through this map, the file having grown. Else it must be opened anew.
    pub fn shows(&self, slots: u32) -> bool {
        let needed = index_bytes(slots);
        self.map.len() as u64 >= needed
            || self.map.extend(&self.file).is_ok_and(|length| length as u64 >= needed)
    }

    /// Makes room for so many slots. False when the map is too small and the index must be opened anew.
    ///
    /// # Errors
    /// `StorageFull`; nothing has changed then.
    pub fn make_room(&self, slots: u32) -> io::Result<bool> {
        let needed = index_bytes(slots);
        if self.file.metadata()?.len() < needed {
            os::file::allocate(&self.file, 0, needed)?;
        }
        Ok(self.shows(slots))
    }

    /// Under the lock.
    pub fn write_record(&self, slot: u32, record: &Record) {
        self.map.write(hot_at(slot), &record.encode());
    }

    /// Under the lock.
    pub fn write_cold(&self, slot: u32, cold: &Cold) {
        self.map.write(cold_at(slot), &cold.encode());
    }

    /// The slot of a UID, or the slot where it would be.
    pub fn slot_of(&self, uid: u32, slots: u32) -> std::result::Result<u32, u32> {
        let readable = |slot| Some(self.record(slot)).filter(|record| *record != Record::DAMAGED);
        search(uid, slots, |slot| readable(slot).map(|record| record.uid))
    }

    /// As [`Index::slot_of`], for who holds the lock: nobody writes, so what cannot be read is damaged.
    pub fn slot_of_locked(&self, uid: u32, slots: u32) -> std::result::Result<u32, u32> {
        search(uid, slots, |slot| self.record_once(slot).map(|record| record.uid))
    }

    /// Under the lock: the first slot from `slot` on whose record can be read, and its UID.
    pub fn readable_from(&self, slot: u32, end: u32) -> Option<(u32, u32)> {
        first_readable(slot, end, |slot| self.record_once(slot).map(|record| record.uid))
    }

    /// Names of the keywords, by bit.
    pub fn keywords(&self, count: u32) -> Vec<String> {
        (0..(count as usize).min(KEYWORDS_MAX))
            .map(|bit| {
                let mut bytes = [0; KEYWORD_BYTES];
                self.map.read(KEYWORDS_AT + bit * KEYWORD_BYTES, &mut bytes);
                let length = usize::from(bytes[0]).min(KEYWORD_NAME_MAX);
                String::from_utf8_lossy(&bytes[1..=length]).into_owned()
            })
            .collect()
    }

    /// Under the lock.
    pub fn write_keyword(&self, bit: usize, name: &str) {
        let mut bytes = [0; KEYWORD_BYTES];
        let name = &name.as_bytes()[..name.len().min(KEYWORD_NAME_MAX)];
        bytes[0] = name.len() as u8;
        bytes[1..=name.len()].copy_from_slice(name);
        if bit < KEYWORDS_MAX {
            self.map.write(KEYWORDS_AT + bit * KEYWORD_BYTES, &bytes);
        }
    }

    pub fn file(&self) -> &File {
        &self.file
    }
}

/// With bytes that do not verify: they are damaged when nobody writes, and still do not verify after many looks. While somebody
/// writes, or died in the middle, that cannot be said, however often one looks.
#[derive(Default)]
struct Patience {
    /// Looks while nobody wrote.
    quiet: u32,
    /// Looks while somebody did.
    busy: u32,
    since: Option<Instant>,
}

impl Patience {
    /// Whether to look again, after a pause; told of [`Index::sequence`] before and after a look.
    fn waits(&mut self, before: u64, after: u64) -> bool {
        if before == after && before % 2 == 0 {
            self.quiet += 1;
            rest(self.quiet);
            return self.quiet < ATTEMPTS;
        }
        self.busy += 1;
        if self.busy < ATTEMPTS {
            rest(self.busy);
            return true;
        }
        std::thread::sleep(NAP);
        self.since.get_or_insert_with(Instant::now).elapsed() < PATIENCE
    }
}

/// Binary search among slots that ascend by UID, some of which cannot be read.
fn search(uid: u32, slots: u32, read: impl Fn(u32) -> Option<u32>) -> std::result::Result<u32, u32> {
    let (mut low, mut high) = (0, slots);
    while low < high {
        let middle = low + (high - low) / 2;
        match first_readable(middle, high, &read) {
            Some((slot, at)) if at == uid => return Ok(slot),
            Some((slot, at)) if at < uid => low = slot + 1,
            _ => high = middle, // larger, or nothing readable from here on
        }
    }
    Err(low)
}

fn first_readable(slot: u32, end: u32, read: impl Fn(u32) -> Option<u32>) -> Option<(u32, u32)> {
    (slot..end).find_map(|slot| read(slot).map(|uid| (slot, uid)))
}

fn rest(attempt: u32) {
    if attempt % 64 == 63 {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;

    fn index() -> (tempfile::TempDir, Index) {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::create(&folder.path().join("store.idx"), &Header::default(), 4).unwrap();
        (folder, index)
    }

    fn record(uid: u32) -> Record {
        Record { uid, flags: Flags::SEEN, ..Record::DAMAGED }
    }

    /// A writer that has to wait in the middle of a record, for longer than any number of looks takes.
    #[test]
    fn a_record_under_a_slow_writer_is_no_damage() {
        let (_folder, index) = index();
        index.write_record(1, &record(7));
        index.begin_write();
        let good = record(8).encode();
        let mut torn = good;
        torn[0] ^= 0xff;
        index.map.write(hot_at(1), &torn);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| index.record(1));
            std::thread::sleep(Duration::from_millis(300));
            index.map.write(hot_at(1), &good);
            index.write_header(&Header::default());
            assert_eq!(reader.join().unwrap(), record(8));
        });
    }

    #[test]
    fn a_record_that_nobody_writes_is_damaged_at_once() {
        let (_folder, index) = index();
        let mut torn = record(8).encode();
        torn[0] ^= 0xff;
        index.map.write(hot_at(1), &torn);
        let start = Instant::now();
        assert_eq!(index.record(1), Record::DAMAGED);
        assert!(start.elapsed() < PATIENCE);
        // Nor is a dead writer waited for without end.
        index.begin_write();
        assert_eq!(index.record(1), Record::DAMAGED);
    }
}
