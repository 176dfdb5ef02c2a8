//! Changing a mailbox: the lock, what has to be mended first, and committing a transaction.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};

use base::crash;
use commit_journal::{SyncLevel, sync_file, sync_folder};
use counters::Counter;
use os::lock::OfdLock;

use crate::cache::SEGMENT_BYTES;
use crate::header::Header;
use crate::index::Index;
use crate::journal::Changed;
use crate::layout::{INDEX, KEYWORD_NAME_MAX, KEYWORDS_MAX, LOG, message_folder, message_path};
use crate::log::{self, CHECKPOINT_BYTES, LOG_HEADER_BYTES, LogHeader, Operation};
use crate::mailbox::Mailbox;
use crate::new_files::{NewFiles, sync_files};
use crate::quota::{Room, usage_of};
use crate::record::{Cold, Record};
use crate::usage::UsageFile;
use crate::zones::ZoneMap;
use crate::{Flags, Result, Severity, StoreError};

/// What one process keeps for changing a mailbox, made when it is first needed.
#[derive(Default)]
pub struct Writer {
    pub lock_file: Option<Arc<File>>,
    log: Option<(u64, File)>,
    /// Message folders that are known to be there.
    folders: BTreeSet<String>,
    fenced: bool,
}

/// The right to change a mailbox, everything before being applied. Dropping it gives it back.
pub struct Change<'m> {
    pub mailbox: &'m Mailbox,
    pub index: Arc<Index>,
    pub header: Header,
    /// Behind the last record that was appended.
    next_slot: Option<u32>,
    /// As it was when the log was looked at: a start of stored since then is the next one's affair.
    boot: u64,
    /// Let go before `writer` (fields are dropped in this order): the lock is the opened file's, and the next thread here has
    /// the same file. It would have the lock by this one's, and lose it to this one's end in the middle of its change.
    _lock: OfdLock,
    writer: MutexGuard<'m, Writer>,
    /// Where the mailbox is counted; nothing for a shared one.
    pub usage: Option<Arc<UsageFile>>,
    pub room: Room,
    /// Once records are changed: the map that goes with the header.
    pub zones: Option<ZoneMap>,
}

impl Mailbox {
    /// Takes the lock and mends what a killed process left.
    ///
    /// # Errors
    /// `InUse` after the configured wait, `NotFound` when the mailbox was deleted, `Fenced`, damage.
    pub(crate) fn write(&self) -> Result<Change<'_>> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.fenced {
            return Err(StoreError::Fenced);
        }
        let lock = self.lock_changes(&mut writer)?;
        let (index, finished, header) = self.index_locked()?;
        let boot = self.shared.boot();
        let mut change = Change {
            mailbox: self,
            index,
            header,
            next_slot: None,
            boot,
            writer,
            _lock: lock,
            usage: None,
            room: Room::default(),
            zones: None,
        };
        change.recover(finished)?;
        change.count_in();
        Ok(change)
    }
}

impl Change<'_> {
    /// Applies what the log has and the index has not.
    fn recover(&mut self, finished: bool) -> Result<()> {
        let rebooted = self.header.boot != self.boot;
        let length = self.open_log()?;
        let known = self.header.log_applied;
        if rebooted {
            self.header.log_applied = LOG_HEADER_BYTES; // pages of the map may be old: all is applied again
        }
        let behind = length.saturating_sub(self.header.log_applied);
        if finished && behind == 0 && !rebooted && length == self.header.log_applied {
            return Ok(());
        }
        let Some((_, file)) = &self.writer.log else { return Err(self.mailbox.damaged("the log")) };
        let mut bytes = vec![0; usize::try_from(behind).map_err(|_| StoreError::TooBig("the log"))?];
        file.read_exact_at(&mut bytes, self.header.log_applied)?;
        let mut transactions = Vec::new();
        let mut new = 0;
        let (mut rest, mut last) = (bytes.as_slice(), bytes.as_slice());
        while let Some((operations, used)) = log::read(rest) {
            new += usize::from(length - rest.len() as u64 >= known);
            transactions.push(operations);
            (last, rest) = (rest, &rest[used..]);
        }
        if new > 0 && !transactions.last().is_some_and(|one| self.has_files_of(one)) {
            transactions.pop();
            (new, rest) = (new - 1, last);
        }
        let end = length - rest.len() as u64;
        self.sync_found(&transactions, new)?;
        self.index.begin_write();
        for operations in &transactions {
            self.make_room_for(operations)?;
            self.apply(operations, rebooted);
        }
        self.header.log_applied = end;
        if !rest.is_empty() {
            self.cut_log(end, rest)?;
        }
        self.header.boot = self.boot;
        self.count_anew();
        self.finish_header();
        self.tell_recovered(new);
        Ok(())
    }

    /// Whether the files that a transaction appends are there. Only the last one of a log can be one that nobody was told
    /// of; when a power cut took its files, it did not happen.
    fn has_files_of(&self, operations: &[Operation]) -> bool {
        appended(operations).all(|record| {
            let path = message_path(&self.mailbox.folder, record.uid);
            fs::metadata(path).is_ok_and(|file| file.len() == u64::from(record.size))
        })
    }

    /// The last `new` transactions, whose writer was killed, may not be on stable storage yet, and who finds them applied
    /// believes that they are: the queue lets its own copy go.
    fn sync_found(&mut self, transactions: &[Vec<Operation>], new: usize) -> Result<()> {
        if transactions.is_empty() {
            return Ok(());
        }
        let (folder, settings) = (&self.mailbox.folder, self.mailbox.shared.settings.sync);
        let uids = |found: &[Vec<Operation>]| -> BTreeSet<u32> {
            found.iter().flat_map(|operations| appended(operations)).map(|record| record.uid).collect()
        };
        let new = uids(&transactions[transactions.len().saturating_sub(new)..]);
        let there = |path: &PathBuf| path.exists();
        let files: Vec<PathBuf> =
            new.into_iter().map(|uid| message_path(folder, uid)).filter(there).collect();
        let folders: BTreeSet<String> = uids(transactions).into_iter().map(message_folder).collect();
        let mut folders = folders.iter().map(|name| folder.join(name)).filter(there);
        let synced = sync_files(folder, &files, settings.message)
            .and_then(|()| folders.try_for_each(|path| sync_folder(&path, settings.message)))
            .and_then(|()| self.sync_log());
        synced.map_err(|error| self.fence(&error))
    }

    fn tell_recovered(&self, applied: usize) {
        let (name, log) = (self.mailbox.name(), &self.mailbox.shared.log);
        if applied > 0 {
            let text =
                format!("{name}: {applied} transactions of the log were applied after an interruption");
            log.write(Severity::Notice, &text);
        }
        let damaged = (0..self.header.slots).filter(|slot| self.index.record_once(*slot).is_none()).count();
        if damaged > 0 {
            let text = format!("{name}: {damaged} records do not verify; reconstruct makes them anew");
            log.write(Severity::Error, &text);
        }
    }

    /// No more changes from this process: whether the last one is on stable storage is not known.
    fn fence(&mut self, error: &io::Error) -> StoreError {
        self.writer.fenced = true;
        let text = format!("{}: a sync failed: {error}; no more changes from here", self.mailbox.name());
        self.mailbox.shared.log.write(Severity::Error, &text);
        StoreError::Fenced
    }

    /// Whether the last commit failed in a way that leaves it open whether it happened.
    pub fn is_in_doubt(&self) -> bool {
        self.writer.fenced
    }

    /// What stands behind the last whole transaction did not happen. When whole ones follow it is damage and kept aside.
    fn cut_log(&mut self, end: u64, rest: &[u8]) -> Result<()> {
        let folder = &self.mailbox.folder;
        if log::another_follows(rest) {
            let aside = format!("{LOG}.damaged-{}", base::clock::unix_seconds());
            fs::copy(folder.join(LOG), folder.join(&aside))?;
            let text =
                format!("{}: a transaction of the log is damaged; kept as {aside}", self.mailbox.name());
            self.mailbox.shared.log.write(Severity::Error, &text);
        }
        if let Some((_, file)) = &self.writer.log {
            file.set_len(end)?;
        }
        Ok(())
    }

    /// Opens the log that goes with the index. Its length.
    fn open_log(&mut self) -> Result<u64> {
        if let Some((generation, file)) = &self.writer.log {
            let meta = file.metadata()?;
            // One without a name was replaced by a checkpoint that did not come as far as the index.
            if *generation == self.header.log_generation && meta.nlink() > 0 {
                return Ok(meta.len());
            }
        }
        self.find_log()?;
        let Some((_, file)) = &self.writer.log else { return Err(self.mailbox.damaged("the log")) };
        Ok(file.metadata()?.len())
    }

    fn find_log(&mut self) -> Result<()> {
        let path = self.mailbox.folder.join(LOG);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.begin_log("is missing"),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = [0; LOG_HEADER_BYTES as usize];
        let header = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| LogHeader::decode(&bytes));
        let generation = match header {
            Some(header) if header.id == self.mailbox.id => header.generation,
            _ => return self.begin_log("does not verify"),
        };
        if generation == self.header.log_generation.wrapping_add(1) {
            // A checkpoint put a new log in place and was interrupted: the index was synced before.
            self.header.log_generation = generation;
            self.header.log_applied = LOG_HEADER_BYTES;
            self.index.write_header(&self.header);
        } else if generation.wrapping_add(1) == self.header.log_generation {
            // A rebuild put a new index in place and was interrupted: it holds what this log tells.
            return self.new_log();
        } else if generation != self.header.log_generation {
            return self.begin_log("belongs to another index");
        }
        self.writer.log = Some((generation, file));
        Ok(())
    }

    /// A new log in place of one that cannot be used; what is in the index is all there is.
    fn begin_log(&mut self, why: &str) -> Result<()> {
        let folder = &self.mailbox.folder;
        let aside = format!("{LOG}.damaged-{}", base::clock::unix_seconds());
        let _ = fs::rename(folder.join(LOG), folder.join(aside));
        let text = format!("{}: the log {why}; a new one is begun", self.mailbox.name());
        self.mailbox.shared.log.write(Severity::Error, &text);
        self.count_anew();
        self.new_log()
    }

    /// Puts an empty log of the next generation in place, the index being synced first.
    pub fn new_log(&mut self) -> Result<()> {
        let level = self.mailbox.shared.settings.sync.index;
        self.finish_header();
        sync_file(self.index.file(), level)?;
        let log =
            self.writer.log.as_ref().filter(|(generation, _)| *generation == self.header.log_generation);
        let log = log.map(|(_, file)| file);
        crate::second_copy::keep(&self.mailbox.folder, &self.header, &self.index, log, level)?;
        let generation = self.header.log_generation.wrapping_add(1);
        let log_header =
            LogHeader { id: self.mailbox.id, uid_validity: self.header.uid_validity, generation };
        let first = self.first_operations();
        self.verify_index()?;
        let file = write_log(&self.mailbox.folder, &log_header, &first, level)?;
        self.header.log_generation = generation;
        self.header.log_applied = file.metadata()?.len();
        self.index.write_header(&self.header);
        self.writer.log = Some((generation, file));
        Ok(())
    }

    /// The log stays as long as the index does not hold what it tells.
    ///
    /// # Errors
    /// The index was cut while it was in use.
    pub fn verify_index(&self) -> Result<()> {
        if self.index.is_lost() { Err(self.mailbox.damaged("the index was cut")) } else { Ok(()) }
    }

    /// What a log begins with, so that it can tell even when the index is lost.
    fn first_operations(&self) -> Vec<Operation> {
        let names = self.index.keywords(self.header.keywords).into_iter().enumerate();
        let mut operations: Vec<Operation> =
            names.map(|(bit, name)| Operation::Keyword(bit as u8, name)).collect();
        operations.push(Operation::Next {
            uid_next: self.header.uid_next,
            highest_modseq: self.header.highest_modseq,
        });
        operations
    }

    fn make_room_for(&mut self, operations: &[Operation]) -> Result<()> {
        let new = operations.iter().filter(|operation| matches!(operation, Operation::Append(..))).count();
        let new = u32::try_from(new).map_err(|_| StoreError::TooBig("a transaction"))?;
        let slots =
            self.header.slots.checked_add(new).ok_or(StoreError::TooBig("a mailbox of 2^32 messages"))?;
        if new > 0 && !self.index.make_room(slots)? {
            self.index = self.mailbox.reopen_index()?;
        }
        Ok(())
    }

    /// Writes final states into the records; the header follows.
    fn apply(&mut self, operations: &[Operation], rebooted: bool) {
        for operation in operations {
            match operation {
                Operation::Append(record, cold) => self.apply_append(record, cold, rebooted),
                Operation::Flags(record) => {
                    self.apply_record(record);
                }
                Operation::Expunge(record, at) => {
                    if let Some(slot) = self.apply_record(record) {
                        if let Some(cold) = self.index.cold(slot) {
                            self.index.write_cold(slot, &Cold { expunged_at: *at, ..cold });
                        }
                    }
                }
                Operation::Keyword(bit, name) => {
                    self.index.write_keyword(usize::from(*bit), name);
                    self.header.keywords =
                        self.header.keywords.max(u32::from(*bit) + 1).min(KEYWORDS_MAX as u32);
                }
                Operation::Unlinked(uid) => {
                    if let Ok(slot) = self.index.slot_of_locked(*uid, self.header.slots) {
                        let mut record = self.index.record(slot);
                        record.flags |= Flags::UNLINKED;
                        self.apply_record(&record);
                    }
                }
                Operation::Next { uid_next, highest_modseq } => {
                    self.header.uid_next = self.header.uid_next.max(*uid_next);
                    self.header.highest_modseq = self.header.highest_modseq.max(*highest_modseq);
                }
            }
        }
    }

    fn apply_append(&mut self, record: &Record, cold: &Cold, rebooted: bool) {
        let Some(slot) = self.slot_for(record.uid, rebooted) else { return };
        self.next_slot = Some(slot + 1);
        let mut there = None;
        if slot == self.header.slots {
            self.header.slots += 1;
        } else {
            let old = self.index.record_once(slot).unwrap_or(Record::DAMAGED);
            if is_later(&old, record) {
                if self.index.cold_once(slot).is_none_or(|known| known.uid != cold.uid) {
                    self.index.write_cold(slot, cold);
                }
                return;
            }
            there = Some(old);
        }
        self.index.write_cold(slot, cold);
        self.index.write_record(slot, record);
        self.count(slot, there.as_ref(), record);
        self.header.uid_next = self.header.uid_next.max(record.uid.saturating_add(1));
        self.header.highest_modseq = self.header.highest_modseq.max(record.modseq);
    }

    /// The slot for a record that is appended; none when a compaction removed it since.
    ///
    /// A slot that cannot be read is nobody's. After a power cut it may be this record's, whose page was not written, and
    /// is taken, in the order of the log; at any other time the record goes to the end, where sessions look for it.
    fn slot_for(&mut self, uid: u32, rebooted: bool) -> Option<u32> {
        let slots = self.header.slots;
        // The usual case in a replay: the slot behind the last one.
        if let Some(hint) = self.next_slot.filter(|hint| rebooted && *hint < slots) {
            match self.index.record_once(hint) {
                Some(record) if record.uid == uid => return Some(hint),
                None if hint > 0 && self.index.record_once(hint - 1).is_some_and(|one| one.uid < uid) => {
                    return Some(hint);
                }
                _ => {}
            }
        }
        let place = match self.index.slot_of_locked(uid, slots) {
            Ok(slot) => return Some(slot),
            Err(place) => place,
        };
        match self.index.readable_from(place, slots) {
            None if rebooted => Some(place),
            None => Some(slots),
            Some((next, _)) if rebooted && next > place => Some(place),
            Some(_) => None,
        }
    }

    fn apply_record(&mut self, record: &Record) -> Option<u32> {
        let slot = self.index.slot_of_locked(record.uid, self.header.slots).ok()?;
        let old = self.index.record(slot);
        if is_later(&old, record) {
            return Some(slot);
        }
        self.index.write_record(slot, record);
        self.count(slot, Some(&old), record);
        self.header.highest_modseq = self.header.highest_modseq.max(record.modseq);
        Some(slot)
    }

    /// Makes a transaction durable, with the files it brings, applies it, tells everybody.
    ///
    /// # Errors
    /// Nothing has happened then; but after a failed sync it is not known whether ([`Change::is_in_doubt`]), and the mailbox
    /// takes no changes from this process any more.
    pub fn commit(&mut self, operations: &[Operation], files: &NewFiles<'_>) -> Result<()> {
        self.check_room(operations)?;
        self.make_room_for(operations)?;
        let start = self.header.log_applied;
        let bytes = log::encode(operations);
        if !self.commit_by_journal(&bytes, appended_bytes(operations), files)? {
            self.commit_by_syncs(&bytes, files)?;
        }
        self.load_zones();
        self.index.begin_write();
        self.apply(operations, false);
        self.header.log_applied = start + bytes.len() as u64;
        self.header.boot = self.boot;
        self.finish_header();
        if self.header.log_applied >= CHECKPOINT_BYTES {
            if let Err(error) = self.new_log() {
                let text = format!("{}: checkpoint: {error}", self.mailbox.name());
                self.mailbox.shared.log.write(Severity::Warning, &text);
                self.writer.log = None; // the new one may be in place already
            }
        }
        count(operations);
        self.mailbox.announce();
        Ok(())
    }

    /// Writes the transaction to the log, and a record of it to the journal of this process, and waits for that. False when
    /// there is no journal, or no room in it: nothing has happened then.
    ///
    /// The log first: what stands in a journal stands in the log, whatever process dies, so a place in it never gets another
    /// transaction that a replay would have to choose from.
    fn commit_by_journal(&mut self, bytes: &[u8], appended: u64, files: &NewFiles<'_>) -> Result<bool> {
        let (mailbox, offset) = (self.mailbox, self.header.log_applied);
        let journal = &mailbox.shared.journal;
        if journal.journal().is_none() {
            return Ok(false);
        }
        let Some(contents) = files.read(&mailbox.folder, appended, bytes.len())? else { return Ok(false) };
        let changed = Changed {
            mailbox: mailbox.id,
            generation: self.header.log_generation,
            offset,
            transaction: bytes,
            files: contents.iter().map(|(uid, bytes)| (*uid, bytes.content())).collect(),
        };
        self.write_to_log(bytes)?;
        crash::step("store: log written");
        let Some(record) = journal.append(&changed) else {
            if let Some((_, file)) = &self.writer.log {
                file.set_len(offset)?;
            }
            return Ok(false);
        };
        crash::step("store: record written");
        if record.commit().is_err() {
            // The journal has stopped. The record may be there, so its transaction must stay where it is.
            let level = mailbox.shared.settings.sync;
            let synced = files.sync(&mailbox.folder, level.message).and_then(|()| self.sync_log());
            synced.map_err(|error| self.fence(&error))?;
        }
        crash::step("store: record synced");
        Ok(true)
    }

    fn commit_by_syncs(&mut self, bytes: &[u8], files: &NewFiles<'_>) -> Result<()> {
        files.sync(&self.mailbox.folder, self.mailbox.shared.settings.sync.message)?;
        self.write_to_log(bytes)?;
        if let Err(error) = self.sync_log() {
            if let Some((_, file)) = &self.writer.log {
                let _ = file.set_len(self.header.log_applied);
            }
            return Err(self.fence(&error));
        }
        Ok(())
    }

    fn write_to_log(&self, bytes: &[u8]) -> Result<()> {
        let Some((_, file)) = &self.writer.log else { return Err(self.mailbox.damaged("the log")) };
        file.write_all_at(bytes, self.header.log_applied).map_err(|error| {
            let _ = file.set_len(self.header.log_applied);
            error.into()
        })
    }

    fn sync_log(&self) -> io::Result<()> {
        match &self.writer.log {
            Some((_, file)) => sync_file(file, self.mailbox.shared.settings.sync.index),
            None => Ok(()),
        }
    }

    /// Room in the log for these, so that committing them meets no full disk.
    ///
    /// # Errors
    /// `NoSpace`.
    pub fn reserve(&self, operations: &[Operation]) -> Result<()> {
        let Some((_, file)) = &self.writer.log else { return Err(self.mailbox.damaged("the log")) };
        let length = log::encode(operations).len() as u64;
        Ok(os::file::reserve(file, self.header.log_applied, length)?)
    }

    /// The next modification sequence number.
    pub fn next_modseq(&self) -> u64 {
        self.header.highest_modseq.saturating_add(1)
    }

    /// The bit of each keyword, and the operations that make those that are new.
    ///
    /// # Errors
    /// `TooBig` when there would be more than 64, or a name is too long.
    pub fn keyword_bits(&self, names: &[String]) -> Result<(u64, Vec<Operation>)> {
        let mut known = self.index.keywords(self.header.keywords);
        let mut bits = 0;
        let mut operations = Vec::new();
        for name in names {
            let place = known.iter().position(|one| one.eq_ignore_ascii_case(name));
            let bit = match place {
                Some(bit) => bit,
                None if name.len() > KEYWORD_NAME_MAX || name.is_empty() => {
                    return Err(StoreError::TooBig("a keyword of 63 bytes"));
                }
                None if known.len() >= KEYWORDS_MAX => {
                    return Err(StoreError::TooBig("64 keywords of a mailbox"));
                }
                None => {
                    operations.push(Operation::Keyword(known.len() as u8, name.clone()));
                    known.push(name.clone());
                    known.len() - 1
                }
            };
            bits |= 1 << bit;
        }
        Ok((bits, operations))
    }

    /// The folder of a UID's file, made when it is missing; its name.
    pub fn message_folder(&mut self, uid: u32) -> Result<String> {
        let name = message_folder(uid);
        if !self.writer.folders.contains(&name) {
            make_message_folder(&self.mailbox.folder, &name, self.mailbox.shared.settings.sync.message)?;
            self.writer.folders.insert(name.clone());
        }
        Ok(name)
    }

    /// The cache segment that is being written; the next one when it is full.
    pub fn cache_segment(&mut self) -> u32 {
        let full = self
            .mailbox
            .segments
            .length(&self.mailbox.folder, self.header.cache_segment)
            .is_ok_and(|length| length >= SEGMENT_BYTES);
        if full && self.header.cache_segment < 99 {
            self.header.cache_segment += 1;
        }
        self.header.cache_segment
    }

    /// What the mailbox holds now, for the quota of its owner.
    fn count_in(&mut self) {
        let mailbox = self.mailbox;
        let usage = usage_of(&self.header);
        self.usage = mailbox.shared.count_in(&mailbox.folder, &mailbox.counted_in, mailbox.id, usage);
    }

    /// Writes the header. The quota is told before the header is whole: who is killed between leaves it to be done again.
    fn finish_header(&mut self) {
        self.index.begin_write();
        self.count_in();
        if let Some(zones) = &self.zones {
            self.index.write_zones(zones, &self.header);
        }
        self.index.write_header(&self.header);
    }

    /// Changes the header only, in the map: what may be lost.
    pub fn write_header(&mut self) {
        self.index.write_header(&self.header);
    }

    /// Another file is the log now, or the folder's content is another: what is kept open is let go.
    pub fn forget_files(&mut self) {
        self.writer.log = None;
        self.writer.folders.clear();
    }
}

/// What a transaction came to, for `counterutil`.
fn count(operations: &[Operation]) {
    counters::add(Counter::Appends, appended(operations).count() as u64);
    counters::add(Counter::AppendedBytes, appended_bytes(operations));
    let expunged = operations.iter().filter(|operation| matches!(operation, Operation::Expunge(..)));
    counters::add(Counter::Expunges, expunged.count() as u64);
}

/// The records that a transaction appends.
fn appended(operations: &[Operation]) -> impl Iterator<Item = &Record> {
    operations.iter().filter_map(|operation| match operation {
        Operation::Append(record, _) => Some(record),
        _ => None,
    })
}

/// Bytes of the messages that a transaction appends.
fn appended_bytes(operations: &[Operation]) -> u64 {
    appended(operations).map(|record| u64::from(record.size)).sum()
}

/// Whether a record was changed again since: when the log is applied once more, sessions must not see it go back.
fn is_later(there: &Record, record: &Record) -> bool {
    there.uid == record.uid && there.modseq > record.modseq
}

/// Makes `NN` when it is missing.
pub(crate) fn make_message_folder(folder: &Path, name: &str, level: SyncLevel) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder.join(name)) {
        Ok(()) => sync_folder(folder, level),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes a log beside the old one, syncs it, and puts it in place.
pub fn write_log(
    folder: &Path,
    header: &LogHeader,
    operations: &[Operation],
    level: SyncLevel,
) -> io::Result<File> {
    let new = folder.join(format!("{LOG}.new"));
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(&log::encode(operations));
    file.write_all_at(&bytes, 0)?;
    sync_file(&file, level)?;
    fs::rename(&new, folder.join(LOG))?;
    if level != SyncLevel::None {
        os::file::sync_dir(folder)?;
    }
    Ok(file)
}

/// Puts an index in place of the one that has the name.
pub fn install_index(folder: &Path, new: &Path, level: SyncLevel) -> io::Result<()> {
    fs::rename(new, folder.join(INDEX))?;
    if level == SyncLevel::None { Ok(()) } else { os::file::sync_dir(folder) }
}
