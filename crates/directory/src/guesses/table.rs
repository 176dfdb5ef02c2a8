//! The file in which all daemons of the host count (`docs/formats/guesses.md`): three tables of fixed size in memory that they
//! share.
//!
//! There is no lock: each number is one word that is changed by compare-and-swap, so nobody who is killed or stopped in the
//! middle holds up anybody. What two processes do to one slot in the same nanoseconds may lose one of two counts, never
//! more. Times are milliseconds since 1970, since they must hold over a restart; whoever reads one that cannot be, bounds it.
//! Without the file a process counts in memory of its own.

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base::keyed_hash::HashKey;
use os::lock::{Mode, OfdLock};
use os::map::{SharedMap, is_readable};

const MAGIC: u64 = u64::from_le_bytes(*b"mbguess1");
/// Words of the header: one page.
const HEADER_WORDS: usize = 512;
/// Words of the header that its checksum is of; it follows them.
const CHECKED_WORDS: usize = 4;
/// Where the number is that says whether the list of who is never slowed is another.
const GENERATION_AT: usize = 5;
/// Slots that one key may be in.
const BUCKET: usize = 8;
/// A slot that is being taken.
const CLAIMED: u64 = 1;
/// How long a process waits for another one that makes the file.
const MAKING_MAX: Duration = Duration::from_secs(5);
/// Words of a slot that has a name: key, level, next turn, name.
const COUNT_WORDS: usize = 16;
/// Where the name begins: a byte for what it is, one for its length, and the text.
const NAME_AT: usize = 3;
/// Bytes of a name that are kept.
pub const NAME_BYTES_MAX: usize = (COUNT_WORDS - NAME_AT) * 8 - 2;

/// One of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Wrong passwords. The first word is when all of them are forgotten, the second when the next turn is.
    Counts,
    /// Who logged in. The word is until when it counts.
    Known,
    /// Wrong passwords themselves, as good as nothing of them. The word is when one was said last.
    Said,
}

const AREAS: [Area; 3] = [Area::Counts, Area::Known, Area::Said];

impl Area {
    fn words(self) -> usize {
        match self {
            Area::Counts => COUNT_WORDS,
            Area::Known | Area::Said => 2,
        }
    }

    /// Where it begins, in words.
    fn begins(self, slots: usize) -> usize {
        let before = match self {
            Area::Counts => 0,
            Area::Known => Area::Counts.words(),
            Area::Said => Area::Counts.words() + Area::Known.words(),
        };
        HEADER_WORDS + before * slots
    }
}

/// What a slot of [`Area::Counts`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub kind: u8,
    /// At most [`NAME_BYTES_MAX`]: the rest is cut off.
    pub text: Vec<u8>,
}

impl Name {
    /// For areas without names.
    pub fn none() -> Name {
        Name { kind: 0, text: Vec::new() }
    }
}

enum Words {
    Shared(SharedMap),
    Own(Box<[AtomicU64]>),
}

/// See the head of this file.
pub struct Table {
    words: Words,
    /// Of each area; a multiple of [`BUCKET`].
    slots: usize,
    pub key: HashKey,
    /// Stands for a word that is not there; no index leads to it.
    nothing: AtomicU64,
}

/// Where a key's slot is, by its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

impl Table {
    /// The table in this file, with room for `entries_max` in each area. One that is damaged or is not there is made; what one
    /// of another size says is taken over.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, entries_max: usize) -> io::Result<Table> {
        let slots = slots_for(entries_max);
        let _making = making(path)?;
        let former = existing(path)?;
        match former {
            Some(table) if table.slots == slots => Ok(table),
            former => make(path, slots, former.as_ref()),
        }
    }

    /// The table that is in the file now, for who has this one in memory: what it says is taken over when there is none. It is of the
    /// same size, so that every [`Slot`] goes on to be one.
    ///
    /// # Errors
    /// The system's; somebody made one of another size.
    pub fn renewed(&self, path: &Path) -> io::Result<Table> {
        let _making = making(path)?;
        match existing(path)? {
            None => make(path, self.slots, Some(self)),
            Some(table) if table.slots == self.slots => Ok(table),
            Some(_) => Err(io::Error::other("it has another size")),
        }
    }

    /// Whether it is the file of this name, all of it; what a process has for itself always is.
    pub fn is_in_place(&self, path: &Path) -> bool {
        match &self.words {
            Words::Shared(map) => map.is_in_place(path),
            _ => true,
        }
    }

    /// The table in this file, of whatever size; nothing is made or changed. None: there is none.
    ///
    /// # Errors
    /// The system's; it is damaged.
    pub fn present(path: &Path) -> io::Result<Option<Table>> {
        let _making = making(path)?;
        let found = existing(path)?;
        if found.is_none() && path.try_exists()? {
            let what = "is damaged; the next daemon that starts makes another";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(found)
    }

    /// In memory of this process.
    pub fn own(entries_max: usize) -> Table {
        let slots = slots_for(entries_max);
        let words = (0..words_of(slots)).map(|_| AtomicU64::new(0)).collect();
        Table { words: Words::Own(words), slots, key: chance(), nothing: AtomicU64::new(0) }
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        let found = match &self.words {
            Words::Shared(map) => index.checked_mul(8).and_then(|offset| map.u64_at(offset)),
            Words::Own(words) => words.get(index),
        };
        found.unwrap_or(&self.nothing)
    }

    /// Which list of who is never slowed is the present one.
    pub fn generation(&self) -> u64 {
        self.word(GENERATION_AT).load(Ordering::Acquire)
    }

    /// Tells every process that there is another list.
    pub fn next_generation(&self) {
        self.word(GENERATION_AT).fetch_add(1, Ordering::AcqRel);
    }

    /// The slots that a key may be in.
    fn bucket(&self, area: Area, key: u64) -> impl Iterator<Item = Slot> + use<> {
        let buckets = (self.slots / BUCKET) as u64;
        let bucket = if buckets == 0 { 0 } else { usize::try_from(key % buckets).unwrap_or(0) };
        let (begins, width) = (area.begins(self.slots), area.words());
        let count = if buckets == 0 { 0 } else { BUCKET };
        (0..count).map(move |number| Slot(begins + (bucket * BUCKET + number) * width))
    }

    /// Where the key is.
    pub fn find(&self, area: Area, key: u64) -> Option<Slot> {
        let key = usable(key);
        self.bucket(area, key).find(|slot| self.word(slot.0).load(Ordering::Acquire) == key)
    }

    /// Where the key is now, or from now on: in place of what would be forgotten first. Nothing: the table is for nothing.
    pub fn place(&self, area: Area, key: u64, name: impl Fn() -> Name) -> Option<Slot> {
        let key = usable(key);
        loop {
            if let Some(slot) = self.find(area, key) {
                return Some(slot);
            }
            let (slot, former) =
                self.bucket(area, key)
                    .map(|slot| (slot, self.word(slot.0).load(Ordering::Acquire)))
                    .min_by_key(|(slot, held)| {
                        if *held <= CLAIMED { 0 } else { self.first(*slot).load(Ordering::Acquire) }
                    })?;
            let claim =
                self.word(slot.0).compare_exchange(former, CLAIMED, Ordering::AcqRel, Ordering::Acquire);
            if claim.is_err() {
                continue;
            }
            self.first(slot).store(0, Ordering::Release);
            if area == Area::Counts {
                self.second(slot).store(0, Ordering::Release);
                self.write_name(slot, &name());
            }
            // Somebody else may have taken it meanwhile, as they would after a process that was killed here.
            let taken = self.word(slot.0).compare_exchange(CLAIMED, key, Ordering::AcqRel, Ordering::Acquire);
            if taken.is_ok() {
                return Some(slot);
            }
        }
    }

    /// See [`Area`].
    pub fn first(&self, slot: Slot) -> &AtomicU64 {
        self.word(slot.0 + 1)
    }

    /// See [`Area::Counts`].
    pub fn second(&self, slot: Slot) -> &AtomicU64 {
        self.word(slot.0 + 2)
    }

    fn write_name(&self, slot: Slot, name: &Name) {
        let text = &name.text[..name.text.len().min(NAME_BYTES_MAX)];
        let mut bytes = vec![name.kind, text.len() as u8];
        bytes.extend_from_slice(text);
        for number in 0..COUNT_WORDS - NAME_AT {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(bytes.iter().skip(number * 8)) {
                *to = *from;
            }
            self.word(slot.0 + NAME_AT + number).store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
    }

    /// The name in a slot of [`Area::Counts`]. It may be torn: whether it belongs to the key, the reader finds out.
    fn name(&self, slot: Slot) -> Name {
        let words = (NAME_AT..COUNT_WORDS).map(|number| self.word(slot.0 + number).load(Ordering::Relaxed));
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        let length = usize::from(bytes[1]).min(NAME_BYTES_MAX);
        Name { kind: bytes[0], text: bytes[2..2 + length].to_vec() }
    }

    /// Every slot of an area that is taken, with its key.
    pub fn taken(&self, area: Area) -> impl Iterator<Item = (u64, Slot)> + '_ {
        let (begins, width) = (area.begins(self.slots), area.words());
        (0..self.slots).map(move |number| Slot(begins + number * width)).filter_map(|slot| {
            let key = self.word(slot.0).load(Ordering::Acquire);
            (key > CLAIMED).then_some((key, slot))
        })
    }

    /// Every slot that counts wrong passwords, with its key and its name.
    pub fn named(&self) -> impl Iterator<Item = (u64, Name, Slot)> + '_ {
        self.taken(Area::Counts).map(|(key, slot)| (key, self.name(slot), slot))
    }

    /// Forgets what is in a slot, if it is this key's.
    pub fn clear(&self, slot: Slot, key: u64) {
        let _ = self.word(slot.0).compare_exchange(usable(key), 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Takes over what another table says.
    fn take_over(&self, former: &Table) {
        for area in AREAS {
            for (key, slot) in former.taken(area) {
                let name = if area == Area::Counts { former.name(slot) } else { Name::none() };
                let Some(new) = self.place(area, key, || name.clone()) else { return };
                self.first(new).store(former.first(slot).load(Ordering::Acquire), Ordering::Release);
                if area == Area::Counts {
                    self.second(new).store(former.second(slot).load(Ordering::Acquire), Ordering::Release);
                }
            }
        }
        self.word(GENERATION_AT).store(former.generation(), Ordering::Release);
    }
}

/// No key is one of the numbers that mean something else.
fn usable(key: u64) -> u64 {
    key.max(CLAIMED + 1)
}

fn slots_for(entries_max: usize) -> usize {
    entries_max.next_multiple_of(BUCKET)
}

fn words_of(slots: usize) -> usize {
    HEADER_WORDS + AREAS.iter().map(|area| area.words()).sum::<usize>() * slots
}

/// A new key.
fn chance() -> HashKey {
    let random = RandomState::new();
    HashKey(random.hash_one(0), random.hash_one(1))
}

/// Waits until nobody makes the file, and keeps others from it.
fn making(path: &Path) -> io::Result<OfdLock> {
    let lock = Arc::new(base::replace::lock_file(&path.with_extension("lock"))?);
    OfdLock::acquire(&lock, 0, Mode::Exclusive, MAKING_MAX)
}

/// The words of the header.
fn header(slots: usize, key: HashKey) -> [u64; CHECKED_WORDS + 1] {
    let checked = [MAGIC, slots as u64, key.0, key.1];
    [checked[0], checked[1], checked[2], checked[3], u64::from(checksum(&checked))]
}

fn checksum(words: &[u64]) -> u32 {
    base::crc32(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>())
}

/// The table in a file that is whole. None: there is none, or it is damaged.
fn existing(path: &Path) -> io::Result<Option<Table>> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why),
    };
    let mut bytes = [0; (CHECKED_WORDS + 1) * 8];
    if file.read_exact_at(&mut bytes, 0).is_err() {
        return Ok(None);
    }
    let mut words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
    let found: [u64; CHECKED_WORDS + 1] = std::array::from_fn(|_| words.next().unwrap_or(0));
    let slots = usize::try_from(found[1]).unwrap_or(0);
    let key = HashKey(found[2], found[3]);
    let is_whole = found == header(slots, key)
        && slots % BUCKET == 0
        && slots < 1 << 40
        && file.metadata()?.len() == (words_of(slots) * 8) as u64
        && is_readable(&file);
    if !is_whole {
        return Ok(None);
    }
    Ok(Some(Table {
        words: Words::Shared(SharedMap::open(&file, 0)?),
        slots,
        key,
        nothing: AtomicU64::new(0),
    }))
}

/// Writes a new one aside, with all its blocks so that a full disk shows here, and gives it the name.
fn make(path: &Path, slots: usize, former: Option<&Table>) -> io::Result<Table> {
    let aside = path.with_extension("new");
    let _ = fs::remove_file(&aside); // of a process that was killed here
    let made = || {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&aside)?;
        if os::process::own_uid() == 0 {
            let folder = fs::metadata(path.parent().unwrap_or(Path::new(".")))?;
            fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
        }
        os::file::allocate_new(&file, words_of(slots) * 8)?;
        let key = former.map_or_else(chance, |former| former.key);
        let bytes: Vec<u8> = header(slots, key).iter().flat_map(|word| word.to_le_bytes()).collect();
        file.write_all_at(&bytes, 0)?;
        let table = Table {
            words: Words::Shared(SharedMap::open(&file, 0)?),
            slots,
            key,
            nothing: AtomicU64::new(0),
        };
        if let Some(former) = former {
            table.take_over(former);
        }
        fs::rename(&aside, path)?;
        Ok(table)
    };
    made().inspect_err(|_| drop(fs::remove_file(&aside)))
}
