//! Making a mailbox's files, and making them anew from whatever is left (S159, S163).
//!
//! The message files say which UIDs there are; flags, dates and modification sequence numbers come from whatever of the
//! index and the log verifies; the UIDVALIDITY from the index, the log, or the mailbox list. Nothing is guessed: a message
//! without a record gets a new one, without flags.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use commit_journal::sync_file;
use mailbox_list::MailboxName;
use os::lock::{Mode, OfdLock};

use crate::cache::Segments;
use crate::header::{Header, MAILBOX_DELETED, SUPERSEDED};
use crate::index::Index;
use crate::layout::{INDEX, LOG, TEXT_INDEX, message_folder};
use crate::log::{self, LOG_HEADER_BYTES, LogHeader, Operation};
use crate::mailbox::{Mailbox, open_lock_file};
use crate::prepared::Prepared;
use crate::quota::{hint_of, usage_of};
use crate::record::{Cold, Record};
use crate::salvage::Salvage;
use crate::second_copy;
use crate::shared::Shared;
use crate::writer::{install_index, write_log};
use crate::zones::ZoneMap;
use crate::{Flags, Result, Severity, StoreError};

/// How a mailbox is reconstructed. The default: what verifies is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Method {
    /// Not what the index says of messages, though it verifies (`reconstruct -i`): its second copy and the log do.
    pub without_index: bool,
    /// Each message is read and held against its record (`reconstruct -f`).
    pub every_message: bool,
}

/// Of `reconstruct`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconstructed {
    /// Messages that are there now.
    pub messages: usize,
    /// Files that no record named.
    pub added: usize,
    /// Records whose files are gone.
    pub lost: usize,
    /// Second links of a message, left by an interrupted delivery: not taken for messages.
    pub passed_over: usize,
    /// Messages whose bytes were not those of their record; only when each is read.
    pub changed: usize,
    /// What of the old files could not be trusted, a line each.
    pub doubts: Vec<String>,
}

/// Is told how many messages are done, and of how many.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);

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
            None => [LOG, second_copy::FILE].iter().find_map(|name| log_identity(&folder.join(name))),
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
        self.reconstruct_as(Method::default(), &mut |_, _| {})
    }

    /// The same, in another way, telling how far it is.
    ///
    /// # Errors
    /// As [`Mailbox::reconstruct`].
    pub fn reconstruct_as(&self, method: Method, tell: Progress<'_>) -> Result<Reconstructed> {
        let mut change = self.write()?; // what the log has is applied first
        let done = rebuild_locked(&self.shared, &self.folder, &self.name(), self.id, method, tell)?;
        change.forget_files();
        drop(change);
        self.reopen_index()?;
        self.forget_text_index();
        self.mend_annotations()?;
        self.announce();
        Ok(done)
    }
}

impl Mailbox {
    /// Annotations that do not verify are put aside.
    pub(crate) fn mend_annotations(&self) -> Result<()> {
        let _under = self.write()?;
        if let Some(name) = self.put_damaged_annotations_aside()? {
            let text = format!("{}: the annotations are damaged; they are in {name} now", self.name());
            self.shared.log.write(Severity::Error, &text);
        }
        Ok(())
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
    let good = Index::open(&folder.join(INDEX)).ok().and_then(|index| {
        let header = index.header_locked().1?;
        Some((index, header))
    });
    if good.is_some_and(|(index, header)| header.id == id && index.shows(header.slots)) {
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
    let done = rebuild_locked(shared, folder, name, id, Method::default(), &mut |_, _| {});
    if done.is_err() && had {
        let _ = fs::remove_file(folder.join(&aside)); // what is still there is tried again, and kept then
    }
    let done = done?;
    let text = format!(
        "{name}: rebuilt: {} messages, {} without a record, {} lost; not trusted: {}",
        done.messages,
        done.added,
        done.lost,
        if done.doubts.is_empty() { "nothing".to_owned() } else { done.doubts.join(", ") }
    );
    shared.log.write(Severity::Warning, &text);
    Ok(())
}

fn rebuild_locked(
    shared: &Shared,
    folder: &Path,
    name: &MailboxName,
    id: u128,
    method: Method,
    tell: Progress<'_>,
) -> Result<Reconstructed> {
    crate::deletion::remove(&folder.join(TEXT_INDEX))?; // what it saw may be put right now
    let mut salvage = Salvage::of(folder, !method.without_index);
    let mut done = Reconstructed { doubts: std::mem::take(&mut salvage.doubts), ..Reconstructed::default() };
    let old = salvage.header.unwrap_or_default();
    let modseq = salvage.highest_modseq.max(old.highest_modseq).saturating_add(1);
    let records = {
        let segments = Segments::default();
        let mut maker = Maker {
            folder,
            modseq,
            segments: &segments,
            segment: old.cache_segment,
            method,
            done: &mut done,
        };
        maker.records_of(files(folder)?, &mut salvage, tell)?
    };
    done.lost = salvage.records.values().filter(|(record, _)| !record.is_expunged()).count();
    let last = records.keys().next_back().copied().unwrap_or(0);
    let uid_next = salvage.uid_next.max(old.uid_next).max(last.saturating_add(1)).max(1);
    let is_other = done.added + done.lost + done.changed > 0;
    let highest_modseq = if is_other { modseq } else { modseq - 1 }.max(1);
    let header = Header {
        flags: 0,
        uid_validity: identity(shared, name, &salvage)?,
        id,
        generation: next_generation(old.generation),
        uid_next,
        recent_from: if old.recent_from == 0 { uid_next } else { old.recent_from.min(uid_next) },
        highest_modseq,
        forgotten_modseq: highest_modseq,
        log_generation: next_generation(salvage.log_generation()),
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

/// Makes the records of a mailbox from its message files and what was salvaged.
struct Maker<'a> {
    folder: &'a Path,
    modseq: u64,
    segments: &'a Segments,
    segment: u32,
    method: Method,
    done: &'a mut Reconstructed,
}

/// Messages between two calls of who is told.
const TELL_EVERY: usize = 1000;

impl Maker<'_> {
    /// Of what was salvaged only that is left whose files are gone.
    fn records_of(
        &mut self,
        found: BTreeMap<u32, (u64, u64)>,
        salvage: &mut Salvage,
        tell: Progress<'_>,
    ) -> Result<BTreeMap<u32, (Record, Cold)>> {
        let mut records = BTreeMap::new();
        let known: HashSet<u64> = found
            .iter()
            .filter(|(uid, _)| salvage.records.contains_key(uid))
            .map(|(_, (_, inode))| *inode)
            .collect();
        for (place, (uid, (size, inode))) in found.iter().enumerate() {
            if place % TELL_EVERY == 0 {
                tell(place, found.len());
            }
            let former = salvage.records.remove(uid);
            if former.is_none() && known.contains(inode) {
                // A link of a delivery that was interrupted and then done again under another UID.
                self.done.passed_over += 1;
                continue;
            }
            records.insert(*uid, self.record_of(*uid, *size, former)?);
        }
        tell(found.len(), found.len());
        Ok(records)
    }

    fn record_of(&mut self, uid: u32, size: u64, former: Option<(Record, Cold)>) -> Result<(Record, Cold)> {
        let is_believed = former.is_some_and(|(record, _)| u64::from(record.size) == size);
        match former {
            Some((record, cold)) if is_believed && !self.method.every_message => {
                self.done.messages += usize::from(!record.is_expunged());
                Ok((record, cold))
            }
            _ => self.read(uid, former, is_believed),
        }
    }

    /// Reads the message; its flags and dates are the former record's, if there is one.
    fn read(
        &mut self,
        uid: u32,
        former: Option<(Record, Cold)>,
        is_believed: bool,
    ) -> Result<(Record, Cold)> {
        let file = File::open(crate::layout::message_path(self.folder, uid))?;
        let prepared = Prepared::of_file(&file)?;
        if let Some((record, cold)) = former.filter(|(_, cold)| is_believed && cold.guid == prepared.guid) {
            self.done.messages += usize::from(!record.is_expunged());
            let kept = self.segments.read(self.folder, cold.cache_position, &cold.guid);
            let cache_position = match kept {
                Some(content) if content == prepared.cache => cold.cache_position,
                _ => self.keep(&prepared)?,
            };
            return Ok((record, Cold { cache_position, ..cold }));
        }
        self.done.messages += 1;
        match is_believed {
            true => self.done.changed += 1,
            false => self.done.added += 1,
        }
        let written = file.metadata()?;
        self.describe(uid, &prepared, &written, former)
    }

    fn keep(&self, prepared: &Prepared) -> Result<u64> {
        let content = std::iter::once((&prepared.guid, prepared.cache.as_slice()));
        let positions = self.segments.append(self.folder, self.segment, content)?;
        Ok(positions.first().copied().unwrap_or(crate::cache::NO_POSITION))
    }

    fn describe(
        &self,
        uid: u32,
        prepared: &Prepared,
        written: &fs::Metadata,
        former: Option<(Record, Cold)>,
    ) -> Result<(Record, Cold)> {
        let written_ns = written.mtime().saturating_mul(1_000_000_000).saturating_add(written.mtime_nsec());
        let (flags, keywords) =
            former.map_or((Flags::NONE, 0), |(record, _)| (record.flags.of_message(), record.keywords));
        let dates = former.map(|(_, cold)| (cold.internal_date_ns, cold.save_date_ns, cold.delivery));
        let (internal_date_ns, save_date_ns, delivery) =
            dates.unwrap_or((written_ns, base::clock::unix_nanos(), 0));
        let record = Record { uid, flags, modseq: self.modseq, keywords, size: prepared.size };
        let cold = Cold {
            uid,
            size: prepared.size,
            internal_date_ns,
            save_date_ns,
            sent_date: prepared.sent_date,
            created_modseq: self.modseq,
            header_size: prepared.header_size,
            lines: prepared.lines,
            guid: prepared.guid,
            delivery,
            cache_position: self.keep(prepared)?,
            expunged_at: 0,
        };
        Ok((record, cold))
    }
}

/// What the first bytes of a log, or of the second copy, say: id and UIDVALIDITY.
fn log_identity(path: &Path) -> Option<(u128, u32)> {
    let mut bytes = [0; LOG_HEADER_BYTES as usize];
    File::open(path).ok()?.read_exact_at(&mut bytes, 0).ok()?;
    LogHeader::decode(&bytes).map(|header| (header.id, header.uid_validity))
}

/// Behind every generation that there was: of logs, since a journal may hold transactions of the last one; of indexes, since a
/// session that has one open finds its messages by their places while the generation is the same. Two may be lost in one second.
fn next_generation(known: u64) -> u64 {
    match known {
        0 => u64::try_from(base::clock::unix_nanos()).unwrap_or(0), // nobody knows
        known => known + 1,
    }
}

/// The UIDVALIDITY, from whoever still knows it; a new one, higher than any before, when nobody does.
fn identity(shared: &Shared, name: &MailboxName, salvage: &Salvage) -> Result<u32> {
    if let Some(validity) = salvage.uid_validity() {
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
    index.write_zones(&ZoneMap::of(records.values().map(|(record, _)| *record)), &header);
    index.write_header(&header);
    sync_file(index.file(), level)?;
    // The second copy before the index: it says no more than the old files did.
    match records.is_empty() {
        true => second_copy::remove(folder),
        false => second_copy::write(
            folder,
            &header,
            header.log_generation.wrapping_sub(1),
            keywords,
            records.values().copied(),
            || Ok(()),
            level,
        )?,
    }
    let log_header =
        LogHeader { id: header.id, uid_validity: header.uid_validity, generation: header.log_generation };
    // Counted before: who is killed here leaves an index that is mended and counted once more.
    shared.count_in(folder, &hint_of(folder), header.id, usage_of(&header));
    // The index first: with it, an old log is known to be told already; the other way the old log's changes would be lost.
    install_index(folder, &new_path, level)?;
    write_log(folder, &log_header, &first, level)?;
    Ok(())
}

/// UIDs, sizes and inodes of the message files. A file in the wrong folder, or with another name, is none.
pub(crate) fn files(folder: &Path) -> io::Result<BTreeMap<u32, (u64, u64)>> {
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
