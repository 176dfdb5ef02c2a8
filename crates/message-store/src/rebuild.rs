//! Making a mailbox's files, and making them anew from whatever is left (S159, S163).
//!
//! The message files say which UIDs there are; flags, dates and modification sequence numbers come from whatever of the
//! index and the log verifies; the UIDVALIDITY from the index, the log, or the mailbox list. Nothing is guessed: a message
//! without a record gets a new one, without flags.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use commit_journal::sync_file;
use mailbox_list::MailboxName;
use os::lock::{Mode, OfdLock};

use crate::cache::Segments;
use crate::header::{Header, MAILBOX_DELETED, SUPERSEDED};
use crate::index::Index;
use crate::layout::{BLOCK_SLOTS, INDEX, LOG, index_bytes, message_folder};
use crate::log::{self, LOG_HEADER_BYTES, LogHeader, Operation};
use crate::mailbox::{Mailbox, open_lock_file};
use crate::prepared::Prepared;
use crate::quota::{hint_of, usage_of};
use crate::record::{Cold, Record};
use crate::shared::Shared;
use crate::writer::{install_index, write_log};
use crate::{Flags, Result, Severity, StoreError};

/// Of `reconstruct`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconstructed {
    /// Messages that are there now.
    pub messages: usize,
    /// Files that no record named.
    pub added: usize,
    /// Records whose files are gone.
    pub lost: usize,
    /// Second links of a message, left by an interrupted delivery: not taken for messages.
    pub passed_over: usize,
}

impl Mailbox {
    /// Makes the files of a new, empty mailbox in a folder that is there.
    pub(crate) fn make_files(shared: &Shared, folder: &Path, id: u128, uid_validity: u32) -> Result<()> {
        let header = Header {
            uid_validity,
            id,
            uid_next: 1,
            recent_from: 1,
            highest_modseq: 1,
            log_generation: 1,
            log_applied: 0,
            boot: shared.boot(),
            ..Header::default()
        };
        let lock_file = open_lock_file(folder)?;
        let _lock = OfdLock::acquire(&lock_file, 0, Mode::Exclusive, shared.settings.lock_timeout)?;
        let there = Index::open(&folder.join(INDEX)).ok().and_then(|index| index.header_locked().1);
        if there.is_some_and(|header| header.id == id && !header.has(MAILBOX_DELETED)) {
            return Ok(()); // whoever opened it first made them, or they were put there
        }
        install(shared, folder, header, &[], &BTreeMap::new())
    }

    /// Id and UIDVALIDITY of the mailbox in a folder, for `reconstruct -m`. Nothing when it has none, or was deleted.
    pub(crate) fn read_identity(folder: &Path) -> Option<(u128, u32)> {
        let index = Index::open(&folder.join(INDEX)).ok().and_then(|index| index.header_locked().1);
        match index {
            Some(header) if header.has(MAILBOX_DELETED) => None,
            Some(header) => Some((header.id, header.uid_validity)),
            None => read_log(folder).0.map(|header| (header.id, header.uid_validity)),
        }
    }

    /// Whether a folder has what makes a mailbox: an index, a log, or messages.
    pub(crate) fn is_here(folder: &Path) -> bool {
        folder.join(INDEX).exists()
            || folder.join(LOG).exists()
            || !files(folder).unwrap_or_default().is_empty()
    }

    /// `reconstruct`: everything anew from the message files and what verifies. Sessions go on in the new generation.
    ///
    /// # Errors
    /// The old files are in force then.
    pub fn reconstruct(&self) -> Result<Reconstructed> {
        let mut change = self.write()?; // what the log has is applied first
        let done = rebuild_locked(&self.shared, &self.folder, &self.name(), self.id)?;
        change.forget_files();
        if let Some(name) = self.put_damaged_annotations_aside()? {
            let text = format!("{}: the annotations are damaged; they are in {name} now", self.name());
            self.shared.log.write(Severity::Error, &text);
        }
        drop(change);
        self.reopen_index()?;
        self.shared.ring.announce(self.id, self.header()?.highest_modseq);
        Ok(done)
    }
}

/// Of `reconstruct -n`: what [`Mailbox::reconstruct`] would find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Whose records and files are right.
    pub messages: usize,
    /// Records that do not verify.
    pub damaged: usize,
    /// Files that no record names.
    pub without_record: usize,
    /// Messages whose file is gone, or has another size.
    pub without_file: usize,
}

impl Inspected {
    pub fn is_sound(&self) -> bool {
        self.damaged + self.without_record + self.without_file == 0
    }
}

impl Mailbox {
    /// Compares records and files, changing nothing.
    ///
    /// # Errors
    /// As any change's; a folder cannot be read.
    pub fn inspect(&self) -> Result<Inspected> {
        let change = self.write()?; // nobody adds or removes meanwhile
        let mut done = Inspected::default();
        let mut found = files(&self.folder)?;
        for slot in 0..change.header.slots {
            let Some(record) = change.index.record_once(slot) else {
                done.damaged += 1;
                continue;
            };
            let size = found.remove(&record.uid).map(|(size, _)| size);
            match record.is_expunged() {
                true => {} // its file may be there still
                false if size != Some(u64::from(record.size)) => done.without_file += 1,
                false if change.index.cold_once(slot).is_none() => done.damaged += 1,
                false => done.messages += 1,
            }
        }
        done.without_record = found.len();
        Ok(done)
    }
}

/// As [`mend_locked`], taking the lock.
pub(crate) fn mend(shared: &Arc<Shared>, folder: &Path, name: &MailboxName, id: u128) -> Result<()> {
    let lock_file = open_lock_file(folder)?;
    let _lock = OfdLock::acquire(&lock_file, 0, Mode::Exclusive, shared.settings.lock_timeout)?;
    // Somebody else may have mended it meanwhile.
    let good = Index::open(&folder.join(INDEX)).ok().and_then(|index| index.header_locked().1);
    if good.is_some_and(|header| header.id == id) {
        return Ok(());
    }
    mend_locked(shared, folder, name, id)
}

/// Puts an index in place of one that is missing or damaged.
pub(crate) fn mend_locked(shared: &Shared, folder: &Path, name: &MailboxName, id: u128) -> Result<()> {
    let aside = format!("{INDEX}.damaged-{}", base::clock::unix_seconds());
    let had = fs::copy(folder.join(INDEX), folder.join(&aside)).is_ok();
    let kept = if had { format!("; kept as {aside}") } else { String::new() };
    shared
        .log
        .write(Severity::Error, &format!("{name}: the index is missing or damaged{kept}; it is rebuilt"));
    let done = rebuild_locked(shared, folder, name, id)?;
    let text = format!(
        "{name}: rebuilt: {} messages, {} without a record, {} lost",
        done.messages, done.added, done.lost
    );
    shared.log.write(Severity::Warning, &text);
    Ok(())
}

/// What could be read.
#[derive(Default)]
struct Salvage {
    records: BTreeMap<u32, (Record, Cold)>,
    keywords: Vec<String>,
    header: Option<Header>,
    log_header: Option<LogHeader>,
    uid_next: u32,
    highest_modseq: u64,
}

fn rebuild_locked(shared: &Shared, folder: &Path, name: &MailboxName, id: u128) -> Result<Reconstructed> {
    let mut salvage = read_index(folder);
    let (log_header, operations) = read_log(folder);
    salvage.log_header = log_header;
    for operation in operations {
        salvage.apply(operation);
    }
    let mut done = Reconstructed::default();
    let segments = Segments::default();
    let old = salvage.header.unwrap_or_default();
    let mut records = BTreeMap::new();
    let found = files(folder)?;
    let modseq = salvage.highest_modseq.max(old.highest_modseq).saturating_add(1);
    let known: HashSet<u64> = found
        .iter()
        .filter(|(uid, _)| salvage.records.contains_key(uid))
        .map(|(_, (_, inode))| *inode)
        .collect();
    for (uid, (size, inode)) in &found {
        if known.contains(inode) && !salvage.records.contains_key(uid) {
            // A link of a delivery that was interrupted and then done again under another UID.
            done.passed_over += 1;
            continue;
        }
        match salvage.records.remove(uid) {
            Some((record, cold)) if u64::from(record.size) == *size => {
                done.messages += usize::from(!record.is_expunged());
                records.insert(*uid, (record, cold));
            }
            former => {
                let made = describe(folder, *uid, modseq, former, &segments, old.cache_segment)?;
                done.messages += 1;
                done.added += 1;
                records.insert(*uid, made);
            }
        }
    }
    done.lost = salvage.records.values().filter(|(record, _)| !record.is_expunged()).count();
    let uid_validity = identity(shared, name, &salvage)?;
    let last = records.keys().next_back().copied().unwrap_or(0);
    let uid_next = salvage.uid_next.max(old.uid_next).max(last.saturating_add(1)).max(1);
    let highest_modseq = if done.added > 0 || done.lost > 0 { modseq } else { modseq - 1 }.max(1);
    let header = Header {
        flags: 0,
        uid_validity,
        id,
        generation: old.generation + 1,
        uid_next,
        recent_from: if old.recent_from == 0 { uid_next } else { old.recent_from.min(uid_next) },
        highest_modseq,
        forgotten_modseq: highest_modseq,
        log_generation: old.log_generation.max(salvage.log_header.map_or(0, |header| header.generation)) + 1,
        boot: shared.boot(),
        cache_segment: old.cache_segment,
        ..Header::default()
    };
    if let Ok(index) = Index::open(&folder.join(INDEX)) {
        if let (_, Some(header)) = index.header_locked() {
            index.write_header(&Header { flags: header.flags | SUPERSEDED, ..header });
        }
    }
    install(shared, folder, header, &salvage.keywords, &records)?;
    Ok(done)
}

/// The UIDVALIDITY, from whoever still knows it; a new one, higher than any before, when nobody does.
fn identity(shared: &Shared, name: &MailboxName, salvage: &Salvage) -> Result<u32> {
    let known = salvage
        .header
        .map(|header| header.uid_validity)
        .or(salvage.log_header.map(|header| header.uid_validity))
        .filter(|validity| *validity != 0);
    if let Some(validity) = known {
        return Ok(validity);
    }
    let listed = shared.list.find(name).map_err(crate::list::told)?;
    let listed = listed.map(|entry| entry.uid_validity).filter(|validity| *validity != 0);
    Ok(listed.unwrap_or_else(|| u32::try_from(base::clock::unix_seconds()).unwrap_or(u32::MAX)))
}

/// Writes index and log and puts them in place.
fn install(
    shared: &Shared,
    folder: &Path,
    mut header: Header,
    keywords: &[String],
    records: &BTreeMap<u32, (Record, Cold)>,
) -> Result<()> {
    let level = shared.settings.sync.index;
    let slots = u32::try_from(records.len()).map_err(|_| StoreError::TooBig("a mailbox of 2^32 messages"))?;
    let new_path = folder.join(format!("{INDEX}.new"));
    let _ = fs::remove_file(&new_path);
    let index = Index::create(&new_path, &header, slots)?;
    for (bit, name) in keywords.iter().enumerate() {
        index.write_keyword(bit, name);
    }
    header.keywords = u32::try_from(keywords.len()).unwrap_or(0);
    header.slots = 0;
    for (record, cold) in records.values() {
        index.write_record(header.slots, record);
        index.write_cold(header.slots, cold);
        header.count(record, 1);
        header.slots += 1;
    }
    let mut first: Vec<Operation> = keywords
        .iter()
        .enumerate()
        .map(|(bit, name)| Operation::Keyword(u8::try_from(bit).unwrap_or(u8::MAX), name.clone()))
        .collect();
    first.push(Operation::Next { uid_next: header.uid_next, highest_modseq: header.highest_modseq });
    header.log_applied = LOG_HEADER_BYTES + log::encode(&first).len() as u64;
    index.write_header(&header);
    sync_file(index.file(), level)?;
    let log_header =
        LogHeader { id: header.id, uid_validity: header.uid_validity, generation: header.log_generation };
    // Counted before: who is killed here leaves an index that is mended and counted once more.
    shared.count_in(folder, &hint_of(folder), header.id, usage_of(&header));
    // The index first: with it, an old log is known to be told already; the other way the old log's changes would be lost.
    install_index(folder, &new_path, level)?;
    write_log(folder, &log_header, &first, level)?;
    Ok(())
}

/// Every record of an index that verifies, whatever its header says.
fn read_index(folder: &Path) -> Salvage {
    let mut salvage = Salvage::default();
    let Ok(index) = Index::open(&folder.join(INDEX)) else { return salvage };
    salvage.header = index.header_locked().1;
    let bytes = index.file().metadata().map_or(0, |meta| meta.len());
    let mut slots = 0u32;
    while index_bytes(slots.saturating_add(BLOCK_SLOTS)) <= bytes {
        slots += BLOCK_SLOTS;
    }
    if let Some(header) = salvage.header {
        slots = slots.min(header.slots);
        salvage.keywords = index.keywords(header.keywords);
        salvage.uid_next = header.uid_next;
        salvage.highest_modseq = header.highest_modseq;
    }
    let mut readable = index;
    for slot in 0..slots {
        if !readable.shows(slot + 1) {
            match Index::open(&folder.join(INDEX)) {
                Ok(again) => readable = again,
                Err(_) => break,
            }
        }
        let record = readable.record_once(slot);
        let cold = readable.cold_once(slot);
        if let (Some(record), Some(cold)) = (record, cold) {
            if record.uid == cold.uid {
                salvage.take(record, cold);
            }
        }
    }
    salvage
}

/// The log's header and every whole transaction.
fn read_log(folder: &Path) -> (Option<LogHeader>, Vec<Operation>) {
    let Ok(bytes) = fs::read(folder.join(LOG)) else { return (None, Vec::new()) };
    // Transactions verify by themselves, whatever became of the header.
    let header = LogHeader::decode(&bytes);
    let mut operations = Vec::new();
    let mut rest = bytes.get(LOG_HEADER_BYTES as usize..).unwrap_or(&[]);
    while !rest.is_empty() {
        match log::read(rest) {
            Some((more, used)) => {
                operations.extend(more);
                rest = &rest[used..];
            }
            None => rest = log::next(rest), // behind damage the next whole one counts
        }
    }
    (header, operations)
}

impl Salvage {
    fn take(&mut self, record: Record, cold: Cold) {
        self.uid_next = self.uid_next.max(record.uid.saturating_add(1));
        self.highest_modseq = self.highest_modseq.max(record.modseq);
        let newer = self.records.get(&record.uid).is_none_or(|(known, _)| known.modseq <= record.modseq);
        if newer {
            self.records.insert(record.uid, (record, cold));
        }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Append(record, cold) => self.take(record, cold),
            Operation::Flags(record) => {
                if let Some((_, cold)) = self.records.get(&record.uid).copied() {
                    self.take(record, cold);
                }
            }
            Operation::Expunge(record, expunged_at) => {
                if let Some((_, cold)) = self.records.get(&record.uid).copied() {
                    self.take(record, Cold { expunged_at, ..cold });
                }
            }
            Operation::Keyword(bit, name) => {
                let bit = usize::from(bit).min(crate::layout::KEYWORDS_MAX - 1);
                if self.keywords.len() <= bit {
                    self.keywords.resize(bit + 1, String::new());
                }
                self.keywords[bit] = name;
            }
            Operation::Unlinked(uid) => {
                if let Some((record, _)) = self.records.get_mut(&uid) {
                    record.flags |= Flags::UNLINKED;
                }
            }
            Operation::Next { uid_next, highest_modseq } => {
                self.uid_next = self.uid_next.max(uid_next);
                self.highest_modseq = self.highest_modseq.max(highest_modseq);
            }
        }
    }
}

/// UIDs, sizes and inodes of the message files. A file in the wrong folder, or with another name, is none.
fn files(folder: &Path) -> io::Result<BTreeMap<u32, (u64, u64)>> {
    let mut found = BTreeMap::new();
    for number in 0..100 {
        let name = format!("{number:02}");
        let entries = match fs::read_dir(folder.join(&name)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let file_name = entry.file_name();
            let uid = file_name
                .to_str()
                .and_then(|text| text.strip_suffix(".msg"))
                .filter(|digits| !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse::<u32>().ok());
            let Some(uid) = uid.filter(|uid| message_folder(*uid) == name) else { continue };
            let meta = entry.metadata()?;
            if meta.is_file() {
                found.insert(uid, (meta.size(), meta.ino()));
            }
        }
    }
    Ok(found)
}

/// A record for a message file. Flags and dates are the former record's, if there is one.
fn describe(
    folder: &Path,
    uid: u32,
    modseq: u64,
    former: Option<(Record, Cold)>,
    segments: &Segments,
    segment: u32,
) -> Result<(Record, Cold)> {
    let file = File::open(crate::layout::message_path(folder, uid))?;
    let meta = file.metadata()?;
    let prepared = Prepared::of_file(&file)?;
    let content = std::iter::once((&prepared.guid, prepared.cache.as_slice()));
    let positions = segments.append(folder, segment, content)?;
    let written_ns = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
    let (flags, keywords) =
        former.map_or((Flags::NONE, 0), |(record, _)| (record.flags & Flags::SYSTEM, record.keywords));
    let dates = former.map(|(_, cold)| (cold.internal_date_ns, cold.save_date_ns, cold.delivery));
    let (internal_date_ns, save_date_ns, delivery) =
        dates.unwrap_or((written_ns, base::clock::unix_nanos(), 0));
    let record = Record { uid, flags, modseq, keywords, size: prepared.size };
    let cold = Cold {
        uid,
        size: prepared.size,
        internal_date_ns,
        save_date_ns,
        sent_date: prepared.sent_date,
        created_modseq: modseq,
        header_size: prepared.header_size,
        lines: prepared.lines,
        guid: prepared.guid,
        delivery,
        cache_position: positions.first().copied().unwrap_or(crate::cache::NO_POSITION),
        expunged_at: 0,
    };
    Ok((record, cold))
}
