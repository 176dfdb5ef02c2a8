//! `counter/counter`: a page of header, then slots of [`SLOT_WORDS`] words, one for each process that counts.
//!
//! A slot belongs to its service for ever: when its process is gone, the next one of the service goes on in it, so nothing
//! has to be brought from one place to another, where a crash could lose it or count it twice. Who has a slot holds the lock
//! on its byte of `counter/counter.lock`, which the kernel frees when the process ends, however it ends.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::latest::Latest;
use os::lock::{Mode, OfdLock};
use os::map::{SharedMap, is_readable};

use crate::{Counter, DEFINITIONS, Kind};

const MAGIC: u64 = u64::from_le_bytes(*b"mbcount1");
/// Bytes of the header.
const HEADER_BYTES: usize = 4096;
/// Words of the header that its checksum is of; it follows them.
const CHECKED_WORDS: usize = 4;
/// Words of a slot: a multiple of what processors keep together, so that no two processes write to the same line.
const SLOT_WORDS: usize = 128;
/// Processes that can count, whatever has died.
pub const SLOTS: usize = 1024;
/// Where the number of the service is, from 1; 0 is nobody's.
const SERVICE_AT: usize = 0;
/// Where the counters begin.
const COUNTERS_AT: usize = 8;
const FILE_BYTES: usize = HEADER_BYTES + SLOTS * SLOT_WORDS * 8;
/// How long a process waits for another one that takes a slot.
const TAKING_MAX: Duration = Duration::from_secs(5);
/// The same for one that serves.
const LOOKING_MAX: Duration = Duration::from_millis(200);

const _: () = assert!(COUNTERS_AT + DEFINITIONS.len() <= SLOT_WORDS);

/// The file, from the folder of counters.
pub fn counter_file(folder: &Path) -> PathBuf {
    folder.join("counter")
}

fn lock_path(file: &Path) -> PathBuf {
    file.with_extension("lock")
}

/// Byte 0 is for who takes a slot; these are for who has one.
fn byte_of(slot: usize) -> u32 {
    u32::try_from(slot + 1).unwrap_or(u32::MAX)
}

fn offset(slot: usize, word: usize) -> usize {
    HEADER_BYTES + (slot * SLOT_WORDS + word) * 8
}

/// The slot of this process.
pub(crate) struct OwnSlot {
    map: SharedMap,
    slot: usize,
    /// As its word has it.
    service: u64,
    path: PathBuf,
    locks: Arc<File>,
    held: Arc<OfdLock>,
}

impl OwnSlot {
    /// A slot of this service, or a new one; and what there is to say of the file.
    pub fn take(folder: &Path, service: usize) -> io::Result<(OwnSlot, Option<String>)> {
        OwnSlot::take_within(TAKING_MAX, folder, service)
    }

    fn take_within(most: Duration, folder: &Path, service: usize) -> io::Result<(OwnSlot, Option<String>)> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = counter_file(folder);
        let locks = Arc::new(base::replace::lock_file(&lock_path(&path))?);
        let _taking = OfdLock::acquire(&locks, 0, Mode::Exclusive, most)?;
        let (map, told) = open_or_make(&path)?;
        let service = service as u64 + 1;
        let (slot, held) = free_slot(&map, &locks, service)?;
        let own = OwnSlot { map, slot, service, path, locks, held: Arc::new(held) };
        own.begin();
        Ok((own, told))
    }

    /// Whether the file is the one of its name, all of it.
    fn is_in_place(&self) -> bool {
        self.map.is_in_place(&self.path)
    }

    /// The slot in the file that has the name now, or in another one that is made: the same one, unless the lock on it is of a file
    /// that is gone.
    fn anew(&self) -> io::Result<(OwnSlot, Option<String>)> {
        if !os::file::has_name(&self.locks, &lock_path(&self.path))? {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            let service = usize::try_from(self.service - 1).unwrap_or(usize::MAX);
            return OwnSlot::take_within(LOOKING_MAX, folder, service);
        }
        let _taking = OfdLock::acquire(&self.locks, 0, Mode::Exclusive, LOOKING_MAX)?;
        let (map, told) = open_or_make(&self.path)?;
        let (locks, held) = (Arc::clone(&self.locks), Arc::clone(&self.held));
        let path = self.path.clone();
        let own = OwnSlot { map, slot: self.slot, service: self.service, path, locks, held };
        if let Some(of) = own.map.u64_at(offset(own.slot, SERVICE_AT)) {
            of.store(own.service, Ordering::Release);
        }
        Ok((own, told))
    }

    /// Brings over what was counted in a slot that this process had. What others had of it may stand in this one already, as when an
    /// older file was put back, unless the former was cut: then it began at nought with that.
    fn take_over(&self, former: &OwnSlot) {
        let was_cut = former.map.is_lost();
        for definition in DEFINITIONS {
            let (Some(from), Some(to)) = (former.word(definition.counter), self.word(definition.counter))
            else {
                continue;
            };
            let count = from.swap(0, Ordering::Relaxed);
            match definition.kind {
                Kind::Sum if !was_cut => to.fetch_max(count, Ordering::Relaxed),
                Kind::Sum | Kind::Now => to.fetch_add(count, Ordering::Relaxed),
                Kind::Peak | Kind::Start | Kind::Last => to.fetch_max(count, Ordering::Relaxed),
            };
        }
    }

    pub fn word(&self, counter: Counter) -> Option<&AtomicU64> {
        self.map.u64_at(offset(self.slot, COUNTERS_AT + counter as usize))
    }

    /// What is only true of a process that runs ends with it; sums go on.
    fn begin(&self) {
        for definition in DEFINITIONS {
            let word = self.word(definition.counter);
            if let Some(word) = word.filter(|_| !matches!(definition.kind, Kind::Sum | Kind::Last)) {
                word.store(0, Ordering::Relaxed);
            }
        }
        if let Some(of) = self.map.u64_at(offset(self.slot, SERVICE_AT)) {
            of.store(self.service, Ordering::Release);
        }
    }
}

/// Puts another one in the place of a slot whose file is not the one of its name any more. A line for the log, or nothing to say.
///
/// # Errors
/// There is no other to be had.
pub(crate) fn look(slots: &Latest<OwnSlot>) -> io::Result<Option<String>> {
    let former = slots.get();
    if former.is_in_place() {
        return Ok(None);
    }
    let (own, told) = former.anew()?;
    if slots.replace(own).is_err() {
        return Err(io::Error::other("the file of counters was lost too often"));
    }
    slots.get().take_over(former);
    let path = former.path.display();
    Ok(Some(told.unwrap_or_else(|| format!("{path} was cut, removed or replaced: it is opened anew"))))
}

/// The first slot that this service had and nobody holds; else the first that nobody ever had.
fn free_slot(map: &SharedMap, locks: &Arc<File>, service: u64) -> io::Result<(usize, OfdLock)> {
    for wanted in [service, 0] {
        for slot in (0..SLOTS).filter(|slot| service_of(map, *slot) == wanted) {
            if let Some(held) = OfdLock::try_acquire(locks, byte_of(slot), Mode::Exclusive)? {
                return Ok((slot, held));
            }
        }
    }
    Err(io::Error::other(format!("all {SLOTS} slots are taken")))
}

fn service_of(map: &SharedMap, slot: usize) -> u64 {
    map.u64_at(offset(slot, SERVICE_AT)).map_or(u64::MAX, |word| word.load(Ordering::Acquire))
}

/// What the counters of one slot are.
pub(crate) struct Slot {
    /// As in [`crate::SERVICES`].
    pub service: usize,
    /// A process has it now.
    pub is_live: bool,
    number: usize,
}

/// The file as who looks at it has it.
pub(crate) struct Whole {
    map: SharedMap,
    pub slots: Vec<Slot>,
}

impl Whole {
    /// # Errors
    /// There is none, it is damaged, or may not be opened.
    pub fn open(path: &Path) -> io::Result<Whole> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        if let Some(why) = damage(&file)? {
            let what = format!("{why}; the next daemon that starts makes another");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let map = SharedMap::open(&file, 0)?;
        let locks = OpenOptions::new().read(true).open(lock_path(path)).ok();
        let mut slots = Vec::new();
        for number in 0..SLOTS {
            let Some(service) = service_of(&map, number).checked_sub(1) else { continue };
            let service = usize::try_from(service).unwrap_or(usize::MAX);
            let is_live = match &locks {
                Some(locks) => os::lock::is_held(locks, byte_of(number))?,
                None => false,
            };
            slots.push(Slot { service, is_live, number });
        }
        Ok(Whole { map, slots })
    }

    pub fn word(&self, slot: &Slot, counter: Counter) -> Option<&AtomicU64> {
        self.map.u64_at(offset(slot.number, COUNTERS_AT + counter as usize))
    }

    /// The second since 1970 at which the file was made.
    pub fn made(&self) -> i64 {
        let word = self.map.u64_at(3 * 8).map_or(0, |word| word.load(Ordering::Relaxed));
        i64::try_from(word).unwrap_or(0)
    }
}

/// Maps what is there, or makes it. One that cannot be used is put aside first, in the place of a former one.
fn open_or_make(path: &Path) -> io::Result<(SharedMap, Option<String>)> {
    let mut told = None;
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => match damage(&file)? {
            None => return Ok((SharedMap::open(&file, 0)?, None)),
            Some(why) => told = Some(put_aside(path, why)?),
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        // A folder, or what we may not read; not a file that is only out of reach now.
        Err(why) if matches!(why.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::PermissionDenied) => {
            told = Some(put_aside(path, &why.to_string())?);
        }
        Err(why) => return Err(why),
    }
    Ok((make(path)?, told))
}

fn put_aside(path: &Path, why: &str) -> io::Result<String> {
    let aside = path.with_extension("damaged");
    let _ = fs::remove_dir_all(&aside).or_else(|_| fs::remove_file(&aside));
    fs::rename(path, &aside)?;
    Ok(format!("{} {why}: it was put aside as {}", path.display(), aside.display()))
}

/// What is wrong with a file.
fn damage(file: &File) -> io::Result<Option<&'static str>> {
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(Some("is no file"));
    }
    let mut bytes = [0; (CHECKED_WORDS + 1) * 8];
    if file.read_exact_at(&mut bytes, 0).is_err() {
        return Ok(Some("is cut off"));
    }
    let mut words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
    let found: [u64; CHECKED_WORDS + 1] = std::array::from_fn(|_| words.next().unwrap_or(0));
    let expected = header(found[3]);
    if found[0] != MAGIC {
        return Ok(Some("is no file of counters of this version"));
    }
    if found != expected || meta.len() != FILE_BYTES as u64 || !is_readable(file) {
        return Ok(Some("is damaged"));
    }
    Ok(None)
}

/// The words of the header of a file that was made at this second.
fn header(made: u64) -> [u64; CHECKED_WORDS + 1] {
    let checked = [MAGIC, SLOTS as u64, SLOT_WORDS as u64, made];
    let bytes: Vec<u8> = checked.iter().flat_map(|word| word.to_le_bytes()).collect();
    [checked[0], checked[1], checked[2], checked[3], u64::from(base::crc32(&bytes))]
}

/// Writes a new one aside, with all its blocks so that a full disk shows here, and gives it the name.
fn make(path: &Path) -> io::Result<SharedMap> {
    let aside = path.with_extension("new");
    let _ = fs::remove_file(&aside); // of a process that was killed here
    let made = || {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&aside)?;
        if os::process::own_uid() == 0 {
            let folder = fs::metadata(path.parent().unwrap_or(Path::new(".")))?;
            fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
        }
        os::file::allocate_new(&file, FILE_BYTES)?;
        let now = u64::try_from(base::clock::unix_seconds()).unwrap_or(0);
        let bytes: Vec<u8> = header(now).iter().flat_map(|word| word.to_le_bytes()).collect();
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?; // after a power cut it is whole, or not there
        fs::rename(&aside, path)?;
        SharedMap::open(&file, 0)
    };
    made().inspect_err(|_| drop(fs::remove_file(&aside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(folder: &Path, service: usize) -> OwnSlot {
        OwnSlot::take(folder, service).unwrap().0
    }

    fn sum(folder: &Path, counter: Counter) -> u64 {
        let whole = Whole::open(&counter_file(folder)).unwrap();
        whole.slots.iter().map(|slot| whole.word(slot, counter).unwrap().load(Ordering::Relaxed)).sum()
    }

    #[test]
    fn a_slot_goes_on_with_the_sums_of_who_had_it_and_not_with_what_was_then() {
        let folder = tempfile::tempdir().unwrap();
        let one = slot(folder.path(), 1);
        one.word(Counter::Connections).unwrap().fetch_add(5, Ordering::Relaxed);
        one.word(Counter::CurrentConnections).unwrap().fetch_add(2, Ordering::Relaxed);
        let other = slot(folder.path(), 1);
        other.word(Counter::Connections).unwrap().fetch_add(7, Ordering::Relaxed);
        drop(one);
        let again = slot(folder.path(), 1);
        assert_eq!((again.slot, other.slot), (0, 1));
        again.word(Counter::Connections).unwrap().fetch_add(1, Ordering::Relaxed);
        assert_eq!(sum(folder.path(), Counter::Connections), 13);
        assert_eq!(sum(folder.path(), Counter::CurrentConnections), 0);
        drop(again);
        assert_eq!(slot(folder.path(), 2).slot, 2, "what another service counted stays as it is");
    }

    #[test]
    fn who_runs_is_known_by_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (slot(folder.path(), 0), slot(folder.path(), 0));
        let live = || {
            let whole = Whole::open(&counter_file(folder.path())).unwrap();
            whole.slots.iter().map(|slot| slot.is_live).collect::<Vec<_>>()
        };
        assert_eq!(live(), [true, true]);
        drop(one);
        assert_eq!(live(), [false, true]);
        drop(other);
    }

    #[test]
    fn a_damaged_file_is_put_aside_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = counter_file(folder.path());
        drop(slot(folder.path(), 0));
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[9] ^= 1;
        let mut other_version = whole.clone();
        other_version[7] = b'9';
        for bad in [&b""[..], b"mbcount1", &whole[..5000], &flipped, &other_version, &[0x20; 9999]] {
            fs::write(&path, bad).unwrap();
            assert!(Whole::open(&path).is_err());
            let (_, told) = OwnSlot::take(folder.path(), 0).unwrap();
            assert!(told.unwrap().contains("put aside"));
            assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), bad);
            assert!(Whole::open(&path).is_ok());
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(OwnSlot::take(folder.path(), 0).unwrap().1.is_some());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "the file, its lock, one put aside");
    }

    #[test]
    fn nobody_is_turned_away_before_all_slots_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let all: Vec<OwnSlot> = (0..SLOTS).map(|number| slot(folder.path(), number % 5)).collect();
        assert!(OwnSlot::take(folder.path(), 0).is_err());
        drop(all);
        assert!(OwnSlot::take(folder.path(), 0).is_ok());
    }

    fn add(slots: &Latest<OwnSlot>, counter: Counter, count: u64) {
        slots.get().word(counter).unwrap().fetch_add(count, Ordering::Relaxed);
    }

    /// And what is counted after it.
    type Harm<'h> = (&'h dyn Fn(&Path), u64);

    /// What somebody does to the file while two processes count in it: both go on to be seen.
    #[test]
    fn a_file_that_was_cut_removed_or_replaced_is_taken_up_anew() {
        let cut = |path: &Path, length: u64| {
            OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
        };
        let harms: [Harm<'_>; 4] = [
            (&|path| cut(path, 0), 3),
            // The slots of both are in front of that.
            (&|path| cut(path, (FILE_BYTES / 2) as u64), 13),
            (&|path| fs::remove_file(path).unwrap(), 13),
            (
                &|path| {
                    fs::copy(path, path.with_extension("backup")).unwrap();
                    fs::rename(path.with_extension("backup"), path).unwrap();
                },
                13,
            ),
        ];
        for (harm, expected) in harms {
            let folder = tempfile::tempdir().unwrap();
            let path = counter_file(folder.path());
            let (one, other) = (Latest::new(slot(folder.path(), 1)), Latest::new(slot(folder.path(), 2)));
            add(&one, Counter::Connections, 4);
            add(&other, Counter::Connections, 6);
            assert!(look(&one).unwrap().is_none() && look(&other).unwrap().is_none());
            harm(&path);
            add(&one, Counter::Connections, 1);
            add(&other, Counter::Connections, 1);
            assert!(look(&one).unwrap().is_some() && look(&other).unwrap().is_some());
            add(&other, Counter::Connections, 1);
            assert_eq!(sum(folder.path(), Counter::Connections), expected);
            assert!(look(&one).unwrap().is_none() && look(&other).unwrap().is_none());
            let whole = Whole::open(&path).unwrap();
            assert!(whole.slots.len() == 2 && whole.slots.iter().all(|slot| slot.is_live));
        }
    }

    #[test]
    fn a_slot_whose_lock_is_of_a_file_that_is_gone_is_another_one_in_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = counter_file(folder.path());
        let one = Latest::new(slot(folder.path(), 1));
        add(&one, Counter::Connections, 4);
        fs::remove_file(&path).unwrap();
        fs::remove_file(lock_path(&path)).unwrap();
        let new = slot(folder.path(), 1);
        new.word(Counter::Connections).unwrap().fetch_add(5, Ordering::Relaxed);
        assert!(look(&one).unwrap().is_some());
        assert_eq!((new.slot, one.get().slot), (0, 1));
        assert_eq!(sum(folder.path(), Counter::Connections), 9);
    }
}
