//! What stored does in passing: unlinking what was expunged, checkpoints, compaction (S146 to S150).

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use commit_journal::sync_file;

use crate::header::{Header, SUPERSEDED};
use crate::index::Index;
use crate::layout::{INCOMING_PREFIX, INDEX, cache_name, message_path};
use crate::log::{LOG_HEADER_BYTES, Operation};
use crate::mailbox::Mailbox;
use crate::new_files::NewFiles;
use crate::record::Cold;
use crate::writer::{Change, install_index};
use crate::zones::ZoneMap;
use crate::{Flags, Result};

/// Messages unlinked between two transactions.
const BATCH: usize = 1000;
/// A compaction pays from so many slots on.
const COMPACT_SLOTS_MIN: u32 = 256;
/// A message that nobody finished is removed after a day.
const INCOMING_AGE_MAX: Duration = Duration::from_secs(86_400);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanedUp {
    pub unlinked: usize,
    pub compacted: bool,
}

impl Mailbox {
    /// Unlinks the files of what was expunged so long ago; compacts when a quarter of the records is dead.
    ///
    /// # Errors
    /// What was unlinked by then stays so.
    pub fn clean_up(&self, older_than: Duration) -> Result<CleanedUp> {
        let mut done = CleanedUp::default();
        let header = self.header()?;
        self.remove_forgotten();
        if header.expunged == header.unlinked {
            return self.compact_if_due(done);
        }
        let age = i64::try_from(older_than.as_nanos()).unwrap_or(i64::MAX);
        let limit = base::clock::unix_nanos().saturating_sub(age);
        let reader = self.reader()?;
        let mut batch = Vec::new();
        for slot in 0..reader.slots() {
            let record = reader.record(slot);
            let is_due = record.is_expunged()
                && !record.flags.contains(Flags::UNLINKED)
                && !record.flags.contains(Flags::DAMAGED)
                && reader.cold(slot).is_ok_and(|cold| cold.expunged_at <= limit);
            if is_due {
                batch.push(record.uid);
            }
            if batch.len() == BATCH {
                done.unlinked += self.unlink(&mut batch)?;
            }
        }
        done.unlinked += self.unlink(&mut batch)?;
        self.compact_if_due(done)
    }

    pub(crate) fn unlink(&self, uids: &mut Vec<u32>) -> Result<usize> {
        let count = uids.len();
        for uid in uids.iter() {
            match fs::remove_file(message_path(&self.folder, *uid)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        if count > 0 {
            let operations: Vec<Operation> = uids.drain(..).map(Operation::Unlinked).collect();
            self.write()?.commit(&operations, &NewFiles::default())?;
        }
        Ok(count)
    }

    /// Messages on their way in whose process was killed.
    fn remove_forgotten(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let is_incoming = entry.file_name().to_string_lossy().starts_with(INCOMING_PREFIX);
            let age =
                entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
            if is_incoming && age.is_some_and(|age| age > INCOMING_AGE_MAX) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn compact_if_due(&self, mut done: CleanedUp) -> Result<CleanedUp> {
        let header = self.header()?;
        if header.slots >= COMPACT_SLOTS_MIN && header.unlinked >= header.slots / 4 {
            self.write()?.compact()?;
            done.compacted = true;
        }
        Ok(done)
    }

    /// The log is applied for good and begins anew.
    ///
    /// # Errors
    /// The system's; the old log stays in force.
    pub fn checkpoint(&self) -> Result<()> {
        let mut change = self.write()?;
        if change.header.log_applied > LOG_HEADER_BYTES {
            change.new_log()?;
        }
        Ok(())
    }

    /// Bytes of the log that a checkpoint would fold in.
    ///
    /// # Errors
    /// As [`Mailbox::status`].
    pub fn log_bytes(&self) -> Result<u64> {
        Ok(self.header()?.log_applied)
    }
}

impl Change<'_> {
    /// Writes a new generation of the index without the records whose files are gone, with a new cache.
    fn compact(&mut self) -> Result<()> {
        let folder = self.mailbox.folder.clone();
        let level = self.mailbox.shared.settings.sync.index;
        let old_segment = self.header.cache_segment;
        let segment = (old_segment + 1) % 100;
        let _ = fs::remove_file(folder.join(cache_name(segment)));
        let mut header = Header { slots: 0, generation: self.header.generation + 1, ..self.header };
        header.cache_segment = segment;
        header.forget_counts();
        let new_path = folder.join(format!("{INDEX}.new"));
        let _ = fs::remove_file(&new_path);
        let index = Index::create(&new_path, &header, self.header.slots)?;
        let written = self.copy_live(&index, &mut header, segment).and_then(|zones| {
            self.verify_index()?;
            index.write_zones(&zones, &header);
            index.write_header(&header);
            Ok(sync_file(index.file(), level)?)
        });
        if let Err(error) = written {
            let _ = fs::remove_file(&new_path);
            return Err(error);
        }
        // From here on whoever has the old one looks again.
        self.header.flags |= SUPERSEDED;
        self.index.write_header(&self.header);
        install_index(&folder, &new_path, level)?;
        self.index = self.mailbox.reopen_index()?;
        self.header = header;
        self.zones = None; // of the old one
        self.new_log()?;
        remove_segments(&folder, segment);
        self.mailbox.announce();
        Ok(())
    }

    fn copy_live(&mut self, index: &Index, header: &mut Header, segment: u32) -> Result<ZoneMap> {
        let mut zones = ZoneMap::default();
        for (bit, name) in self.index.keywords(self.header.keywords).iter().enumerate() {
            index.write_keyword(bit, name);
        }
        for slot in 0..self.header.slots {
            let record = self.index.record(slot);
            let cold = self.index.cold(slot);
            let is_damaged = record.flags.contains(Flags::DAMAGED);
            let Some(cold) = cold.filter(|_| !is_damaged && !record.flags.contains(Flags::UNLINKED)) else {
                // Which message a damaged record was of, and when it went, nobody knows.
                let modseq = if is_damaged { self.header.highest_modseq } else { record.modseq };
                header.forgotten_modseq = header.forgotten_modseq.max(modseq);
                continue;
            };
            let mailbox = self.mailbox;
            let content = mailbox.segments.read(&mailbox.folder, cold.cache_position, &cold.guid);
            let cache_position = match content {
                Some(content) => {
                    let content = std::iter::once((&cold.guid, content.as_slice()));
                    mailbox.segments.append(&mailbox.folder, segment, content)?[0]
                }
                None => crate::cache::NO_POSITION,
            };
            index.write_record(header.slots, &record);
            index.write_cold(header.slots, &Cold { cache_position, ..cold });
            header.count(&record, 1);
            zones.count(header.slots, &record, 1);
            header.slots += 1;
        }
        Ok(zones)
    }
}

/// Removes every segment but this one.
fn remove_segments(folder: &Path, keep: u32) {
    for segment in (0..100).filter(|segment| *segment != keep) {
        let _ = fs::remove_file(folder.join(cache_name(segment)));
    }
}
