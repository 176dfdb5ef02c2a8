//! Proving one mailbox while it is used: index, log, second copy, message files, cache and quota slot against each other.
//!
//! Nothing is changed, and nothing is mended on the way, as every opening of a mailbox would. Message files are listed and
//! read without a lock; then the mailbox's lock is held while index and log are read, and whatever did not fit is looked at
//! once more under it. So what sessions do meanwhile is no difference, and neither is what a killed process may leave (the
//! tables of `docs/formats/store.md`): the next to open the mailbox makes that whole, and here it is a note.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use os::lock::{Mode, OfdLock};
use os::map::FileMap;

use crate::annotations;
use crate::cache::Segments;
use crate::header::{Header, MAILBOX_DELETED, SUPERSEDED};
use crate::index::Index;
use crate::layout::{INDEX, LOG, message_path};
use crate::log::{LOG_HEADER_BYTES, LogHeader};
use crate::mailbox::open_lock_file;
use crate::prepared::Prepared;
use crate::quota::usage_of;
use crate::rebuild::files;
use crate::record::{Cold, Record};
use crate::second_copy;
use crate::shared::Shared;
use crate::store::Listed;
use crate::told::Told;
use crate::zones::ZoneMap;
use crate::{Flags, Result, StoreError};

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Records, transactions, names and sizes of files.
    Records,
    /// Each message, too: whether its bytes are those of its record, its cache and the second copy.
    Contents,
}

/// Something that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub what: String,
    /// The command that mends it; empty when there is none.
    pub repair: String,
}

/// What was found of one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// That are there and not expunged.
    pub messages: u64,
    /// Message files that no record names: of changes that were interrupted, or put there by hand.
    pub without_record: u64,
    /// Cache records that will be computed anew when they are asked for.
    pub uncached: u64,
    pub differences: Vec<Fault>,
    /// What an interruption left, and the next to open the mailbox makes whole.
    pub notes: Vec<String>,
}

impl Verified {
    /// Nothing differs, nothing was interrupted, and each message file has its record.
    pub fn is_sound(&self) -> bool {
        self.differences.is_empty() && self.notes.is_empty() && self.without_record == 0
    }
}

/// Is told of each message that was read, with its size in bytes; may sleep.
pub type Pace<'a> = &'a mut dyn FnMut(u64);

/// `folder` is where the list says that the mailbox is.
///
/// # Errors
/// `InUse` when its lock is not to be had; the system's.
pub(crate) fn mailbox(
    shared: &Shared,
    folder: &Path,
    listed: &Listed,
    depth: Depth,
    pace: Pace<'_>,
) -> Result<Verified> {
    let mut look = Look { shared, folder, listed, depth, found: Verified::default() };
    if !folder.is_dir() {
        look.differs("it has no folder".into(), "reconstruct -m".into());
        return Ok(look.found);
    }
    let suspects = if depth == Depth::Contents { look.read_messages(pace)? } else { HashSet::new() };
    let there = files(folder)?;
    let lock_file = open_lock_file(folder)?;
    let _lock = OfdLock::acquire(&lock_file, 0, Mode::Exclusive, shared.settings.lock_timeout)?;
    look.locked(there, &suspects)?;
    if !annotations::verifies(folder)? {
        look.damage("the annotations do not verify".into());
    }
    Ok(look.found)
}

/// The record knows the former bytes by their checksum, so a restore takes the message for there until it is made anew.
const CHANGED: &str = "its bytes are not those that came in (reconstruct -f takes them as they are; imsrestore then \
                       brings the former ones, if a backup has them)";

struct Look<'a> {
    shared: &'a Shared,
    folder: &'a Path,
    listed: &'a Listed,
    depth: Depth,
    found: Verified,
}

/// What goes over all records under the lock.
struct Sums {
    counted: Header,
    last_uid: u32,
    highest_modseq: u64,
    /// Slots that cannot be read.
    bad: u64,
    inodes: HashSet<u64>,
}

impl Look<'_> {
    fn differs(&mut self, what: String, repair: String) {
        self.found.differences.push(Fault { what, repair });
    }

    fn damage(&mut self, what: String) {
        let repair = format!("reconstruct '{}'", self.listed.name);
        self.differs(what, repair);
    }

    /// Reads each message; the UIDs of those that do not fit, as far as can be told without the lock.
    fn read_messages(&mut self, pace: Pace<'_>) -> Result<HashSet<u32>> {
        let mut suspects = HashSet::new();
        let Ok(index) = Index::open(&self.folder.join(INDEX)) else { return Ok(suspects) };
        let Some(header) = index.header().filter(|header| index.shows(header.slots)) else {
            return Ok(suspects);
        };
        let segments = Segments::default();
        for slot in 0..header.slots {
            let record = index.record(slot);
            let Some(cold) = index.cold(slot).filter(|_| !record.is_expunged()) else { continue };
            if self.contents(&segments, &record, &cold)?.is_some() {
                suspects.insert(record.uid);
            }
            pace(u64::from(record.size));
        }
        self.found.uncached = 0; // counted under the lock
        Ok(suspects)
    }

    /// What is wrong with a message's bytes or its cache record. A file that is missing is somebody else's affair.
    fn contents(
        &mut self,
        segments: &Segments,
        record: &Record,
        cold: &Cold,
    ) -> Result<Option<&'static str>> {
        let file = match File::open(message_path(self.folder, record.uid)).map_err(StoreError::from) {
            Err(StoreError::NotFound) => return Ok(None),
            other => other?,
        };
        let prepared = Prepared::of_file(&file)?;
        if prepared.guid != cold.guid || prepared.size != cold.size {
            return Ok(Some(CHANGED));
        }
        match segments.read(self.folder, cold.cache_position, &cold.guid) {
            Some(content) if content != prepared.cache => {
                return Ok(Some("its cache record is not of these bytes"));
            }
            Some(_) => {}
            None => self.found.uncached += 1,
        }
        let same = (prepared.header_size, prepared.lines, prepared.sent_date)
            == (cold.header_size, cold.lines, cold.sent_date);
        Ok((!same).then_some("its record tells other sizes or dates"))
    }

    /// Everything that needs the mailbox to stand still.
    fn locked(&mut self, there: BTreeMap<u32, (u64, u64)>, suspects: &HashSet<u32>) -> Result<()> {
        let index = match Index::open(&self.folder.join(INDEX)) {
            Ok(index) => index,
            Err(StoreError::NotFound) if there.is_empty() && !self.folder.join(LOG).exists() => {
                self.found.notes.push("its files are not made yet".into());
                return Ok(());
            }
            Err(StoreError::NotFound) => return self.damaged(format!("{INDEX} is missing")),
            Err(StoreError::Damaged(what)) => return self.damaged(what),
            Err(other) => return Err(other),
        };
        let (finished, header) = index.header_locked();
        let Some(header) = header else {
            return match finished {
                true => self.damaged(format!("the header of {INDEX} does not verify")),
                false => self.noted("a header was being written when its writer was killed"),
            };
        };
        if header.has(MAILBOX_DELETED) {
            return self.noted("its deletion was interrupted");
        }
        if header.has(SUPERSEDED) {
            self.found.notes.push("a new index was not put in place".into());
        }
        self.identity(&header);
        if !index.shows(header.slots) {
            return self.damaged(format!("{INDEX} ends before its last record"));
        }
        let told = Told::by_log(self.folder, &header);
        let is_settled = finished && told.is_applied() && header.boot == self.shared.boot();
        if !is_settled {
            self.found.notes.push("its log is to be applied by who opens it".into());
        }
        told.differences.iter().for_each(|what| self.damage(what.clone()));
        if is_settled {
            self.keywords(&index.keywords(header.keywords), &told);
        }
        self.records(&index, &header, told, is_settled, there, suspects)
    }

    fn damaged(&mut self, what: String) -> Result<()> {
        self.damage(what);
        Ok(())
    }

    fn noted(&mut self, what: &str) -> Result<()> {
        self.found.notes.push(what.into());
        Ok(())
    }

    fn identity(&mut self, header: &Header) {
        if header.id != self.listed.id {
            self.damage(format!("{INDEX} is another mailbox's than the list says"));
        }
        if self.listed.uid_validity != 0 && header.uid_validity != self.listed.uid_validity {
            self.damage(format!(
                "its UIDVALIDITY is {}, the list says {}",
                header.uid_validity, self.listed.uid_validity
            ));
        }
    }

    /// Their names have no check of their own; each log begins with all of them.
    fn keywords(&mut self, names: &[String], told: &Told) {
        for (bit, name) in &told.keywords {
            if names.get(usize::from(*bit)) != Some(name) {
                self.damage(format!("keyword {bit} is {name} by the log, and another in {INDEX}"));
            }
        }
    }

    fn records(
        &mut self,
        index: &Index,
        header: &Header,
        mut told: Told,
        is_settled: bool,
        mut there: BTreeMap<u32, (u64, u64)>,
        suspects: &HashSet<u32>,
    ) -> Result<()> {
        let mut sums = Sums {
            counted: Header::default(),
            last_uid: 0,
            highest_modseq: 0,
            bad: 0,
            inodes: HashSet::new(),
        };
        let mut copy = self.second_copy(header, is_settled);
        let segments = Segments::default();
        for slot in 0..header.slots {
            let Some(read) = index.record_once(slot) else {
                sums.bad += 1;
                continue;
            };
            if read.uid <= sums.last_uid {
                self.damage(format!("record {slot}: UID {} does not ascend", read.uid));
            }
            sums.last_uid = sums.last_uid.max(read.uid);
            let (record, cold) = self.one(index.cold_once(slot), slot, read, &mut told, is_settled);
            if let Some(copy) = &mut copy {
                copy.compare(&record, &mut self.found, &self.listed.name.to_string());
            }
            sums.counted.count(&record, 1);
            sums.highest_modseq = sums.highest_modseq.max(record.modseq);
            self.file(&record, &mut there, &mut sums)?;
            if let Some(cold) = cold.filter(|_| suspects.contains(&record.uid) && !record.is_expunged()) {
                if let Some(wrong) = self.contents(&segments, &record, &cold)? {
                    // Only this option reads the bytes again; it takes them as they are.
                    let repair = format!("reconstruct -f '{}'", self.listed.name);
                    self.differs(format!("UID {}: {wrong}", record.uid), repair);
                }
            }
        }
        self.rest_of_log(told, is_settled, &mut there, &mut sums)?;
        self.leftovers(&there, &sums);
        if is_settled && sums.bad == 0 {
            self.counts(header, &sums);
            self.zones(index, header);
            self.quota(header)?;
        }
        Ok(())
    }

    /// A map that is not of this header is made anew by the next change.
    fn zones(&mut self, index: &Index, header: &Header) {
        let records = ZoneMap::of_index(index, header.slots);
        if index.zones_locked(header).is_some_and(|zones| !zones.is_of(&records)) {
            self.damage("the zone map does not tell what the records do".into());
        }
    }

    /// One record as it is, or will be when the log is applied; what differs is told.
    fn one(
        &mut self,
        cold: Option<Cold>,
        slot: u32,
        read: Record,
        told: &mut Told,
        is_settled: bool,
    ) -> (Record, Option<Cold>) {
        let (mut record, mut cold) = (read, cold);
        if let Some((last, made)) = told.records.remove(&read.uid) {
            let last = Record { flags: last.flags | told.unlinked(read.uid), ..last };
            if !is_settled && last.modseq >= read.modseq {
                record = last;
                cold = cold.or(made);
            } else if last != read {
                self.damage(format!("UID {}: the record is not what the log made of it", read.uid));
            }
        }
        match cold {
            None => {
                self.damage(format!("record {slot}: the second half of UID {} does not verify", read.uid))
            }
            Some(cold) if cold.uid != record.uid || cold.size != record.size => {
                self.damage(format!("record {slot}: its halves are of UIDs {} and {}", record.uid, cold.uid));
            }
            Some(_) => {}
        }
        (record, cold)
    }

    /// A message's file, as it was listed, or as it is now.
    fn file(
        &mut self,
        record: &Record,
        there: &mut BTreeMap<u32, (u64, u64)>,
        sums: &mut Sums,
    ) -> Result<()> {
        let listed = there.remove(&record.uid);
        if record.is_expunged() {
            return Ok(()); // it may be there still
        }
        self.found.messages += 1;
        let size = u64::from(record.size);
        let now = match listed.filter(|(listed, _)| *listed == size) {
            Some((_, inode)) => Some((size, inode)),
            None => match fs::metadata(message_path(self.folder, record.uid)).map_err(StoreError::from) {
                Ok(meta) => Some((meta.size(), meta.ino())),
                Err(StoreError::NotFound) => None,
                Err(other) => return Err(other),
            },
        };
        match now {
            None => self.damage(format!("UID {}: its file is missing", record.uid)),
            Some((other, _)) if other != size => {
                self.damage(format!("UID {}: its file has {other} bytes, not {size}", record.uid));
            }
            Some((_, inode)) => {
                sums.inodes.insert(inode);
            }
        }
        Ok(())
    }

    /// What the log tells of messages that no readable record is of.
    fn rest_of_log(
        &mut self,
        told: Told,
        is_settled: bool,
        there: &mut BTreeMap<u32, (u64, u64)>,
        sums: &mut Sums,
    ) -> Result<()> {
        let mut missing: u64 = 0;
        for (uid, (record, made)) in &told.records {
            match (is_settled, made) {
                // A compaction left it out since: the message is gone for good.
                (false, None) => {}
                (false, Some(_)) => {
                    missing += 1;
                    let unlinked = told.unlinked(*uid);
                    self.file(&Record { flags: record.flags | unlinked, ..*record }, there, sums)?;
                }
                (true, _) => self.damage(format!("UID {uid}: the log tells of it, the index has no record")),
            }
        }
        // A slot that cannot be read may be one whose page was not written; the log fills it.
        if sums.bad > missing {
            self.damage(format!("{} records do not verify", sums.bad - missing));
        }
        Ok(())
    }

    fn leftovers(&mut self, there: &BTreeMap<u32, (u64, u64)>, sums: &Sums) {
        for (uid, (_, inode)) in there {
            let is_link = sums.inodes.contains(inode);
            if !is_link && message_path(self.folder, *uid).exists() {
                self.found.without_record += 1;
            }
        }
    }

    fn counts(&mut self, header: &Header, sums: &Sums) {
        let of = |header: &Header| {
            [
                u64::from(header.exists),
                u64::from(header.unseen),
                u64::from(header.deleted),
                u64::from(header.expunged),
                u64::from(header.unlinked),
                header.size_bytes,
            ]
        };
        let names = ["messages", "unseen", "deleted", "expunged", "unlinked", "bytes"];
        for ((name, said), counted) in names.iter().zip(of(header)).zip(of(&sums.counted)) {
            if said != counted {
                self.damage(format!("the header says {said} {name}, there are {counted}"));
            }
        }
        if header.uid_next <= sums.last_uid {
            self.damage(format!("UIDNEXT is {}, the last UID {}", header.uid_next, sums.last_uid));
        }
        if header.highest_modseq < sums.highest_modseq {
            self.damage(format!(
                "HIGHESTMODSEQ is {}, a record has {}",
                header.highest_modseq, sums.highest_modseq
            ));
        }
    }

    /// The slot in the owner's `store.use`, when every slot of it is known to be right.
    fn quota(&mut self, header: &Header) -> Result<()> {
        let Some(root) = crate::usage::root_of(self.folder) else { return Ok(()) };
        let Some(file) = self.shared.usages.get(&root, false)? else { return Ok(()) };
        if file.boot() != self.shared.boot() {
            return Ok(()); // all is counted anew when it is asked for
        }
        let (said, is) = (file.get(header.id), usage_of(header));
        if said != Some(is) {
            let said = said.unwrap_or_default();
            let what = format!(
                "the quota counts {} messages and {} bytes, there are {} and {}",
                said.messages, said.bytes, is.messages, is.bytes
            );
            self.differs(what, format!("reconstruct -q {}", self.listed.name.owner().unwrap_or_default()));
        }
        Ok(())
    }

    /// The second copy: whether it verifies; and, to be held against the index, what it and the log tell together.
    fn second_copy(&mut self, header: &Header, is_settled: bool) -> Option<Copy> {
        let file = File::open(self.folder.join(second_copy::FILE)).ok()?;
        let bytes = FileMap::open(&file).ok()?;
        let Some(first) = LogHeader::decode(&bytes).filter(|first| first.id == header.id) else {
            self.damage(format!("the header of {} does not verify", second_copy::FILE));
            return None;
        };
        let rest = bytes.get(LOG_HEADER_BYTES as usize..).unwrap_or(&[]);
        let mut told = Told::default();
        let damaged = told.read(rest);
        if damaged > 0 {
            self.damage(format!("{damaged} transactions of {} do not verify", second_copy::FILE));
        }
        if first.generation.wrapping_add(1) != header.log_generation {
            self.found.notes.push(format!("{} is written anew by the next checkpoint", second_copy::FILE));
            return None;
        }
        let is_asked = self.depth == Depth::Contents && is_settled && damaged == 0;
        is_asked.then(|| {
            told.follow(Told::by_log(self.folder, header));
            Copy(told.into_records())
        })
    }
}

/// What the second copy and the log tell of each message.
struct Copy(HashMap<u32, Record>);

impl Copy {
    fn compare(&mut self, record: &Record, found: &mut Verified, name: &str) {
        let known = self.0.remove(&record.uid);
        let strip = |record: Record| Record { flags: record.flags & !Flags::UNLINKED, ..record };
        if known.map(strip) != Some(strip(*record)) {
            found.differences.push(Fault {
                what: format!("UID {}: {} tells something else of it", record.uid, second_copy::FILE),
                repair: format!("reconstruct '{name}'"),
            });
        }
    }
}
