//! What can still be read of a mailbox, whatever became of its files: of the index, the log, and the second copy of the
//! records. Each record verifies by itself; of two of the same message the one with the higher modification sequence number
//! counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use os::map::FileMap;

use crate::header::Header;
use crate::index::Index;
use crate::layout::{BLOCK_SLOTS, INDEX, KEYWORDS_MAX, LOG, index_bytes};
use crate::log::{self, LOG_HEADER_BYTES, LogHeader, Operation};
use crate::record::{Cold, Record};
use crate::second_copy;
use crate::{Flags, StoreError};

/// What could be read.
#[derive(Default)]
pub struct Salvage {
    pub records: BTreeMap<u32, (Record, Cold)>,
    pub keywords: Vec<String>,
    /// Of the index, if it verifies.
    pub header: Option<Header>,
    pub log_header: Option<LogHeader>,
    pub copy_header: Option<LogHeader>,
    pub uid_next: u32,
    pub highest_modseq: u64,
    /// What could not be trusted, a line each.
    pub doubts: Vec<String>,
}

impl Salvage {
    /// Everything in a mailbox's folder, under its lock. `with_index` false: of the index only what its header says.
    pub fn of(folder: &Path, with_index: bool) -> Salvage {
        let mut salvage = Salvage::default();
        let index = salvage.open_index(folder);
        salvage.header = index.as_ref().and_then(|index| index.header_locked().1);
        salvage.absorb_copy(folder);
        if let Some(index) = index.filter(|_| with_index) {
            salvage.absorb_index(folder, index);
        }
        salvage.log_header = salvage.absorb_log(folder);
        salvage
    }

    /// The UIDVALIDITY, from whatever of the files knows it.
    pub fn uid_validity(&self) -> Option<u32> {
        let of_log = |header: &Option<LogHeader>| header.map(|header| header.uid_validity);
        let of_index = self.header.map(|header| header.uid_validity);
        let known = [of_index, of_log(&self.log_header), of_log(&self.copy_header)];
        known.into_iter().flatten().find(|validity| *validity != 0)
    }

    /// The highest generation of a log that any of the files knows.
    pub fn log_generation(&self) -> u64 {
        let logs = [self.log_header, self.copy_header].into_iter().flatten().map(|header| header.generation);
        logs.chain(self.header.map(|header| header.log_generation)).max().unwrap_or(0)
    }

    fn open_index(&mut self, folder: &Path) -> Option<Index> {
        match Index::open(&folder.join(INDEX)) {
            Ok(index) => return Some(index),
            Err(StoreError::NotFound) => self.doubts.push(format!("{INDEX} is missing")),
            Err(StoreError::Damaged(what)) => self.doubts.push(what),
            Err(why) => self.doubts.push(format!("{INDEX}: {why}")),
        }
        None
    }

    /// Every record of an index that verifies, whatever its header says.
    fn absorb_index(&mut self, folder: &Path, index: Index) {
        let bytes = index.file().metadata().map_or(0, |meta| meta.len());
        let mut slots = 0u32;
        while index_bytes(slots.saturating_add(BLOCK_SLOTS)) <= bytes {
            slots += BLOCK_SLOTS;
        }
        match self.header {
            Some(header) => {
                if header.slots > slots {
                    self.doubts.push(format!("{INDEX} ends before its last record"));
                }
                slots = slots.min(header.slots);
                self.keywords = index.keywords(header.keywords);
                self.uid_next = self.uid_next.max(header.uid_next);
                self.highest_modseq = self.highest_modseq.max(header.highest_modseq);
            }
            None => self.doubts.push(format!("the header of {INDEX} does not verify")),
        }
        let mut readable = index;
        let mut bad = 0;
        for slot in 0..slots {
            if !readable.shows(slot + 1) {
                match Index::open(&folder.join(INDEX)) {
                    Ok(again) => readable = again,
                    Err(_) => break,
                }
            }
            match (readable.record_once(slot), readable.cold_once(slot)) {
                (Some(record), Some(cold)) if record.uid == cold.uid => self.take(record, cold),
                _ => bad += 1,
            }
        }
        // Without a header nobody knows how many there are.
        if bad > 0 && self.header.is_some() {
            self.doubts.push(format!("{bad} records of {INDEX} do not verify"));
        }
    }

    fn absorb_log(&mut self, folder: &Path) -> Option<LogHeader> {
        let bytes = self.bytes_of(folder, LOG, true)?;
        let header = LogHeader::decode(&bytes);
        if header.is_none() {
            self.doubts.push(format!("the header of {LOG} does not verify"));
        }
        self.absorb(&bytes, LOG);
        header
    }

    /// The second copy, unless it is known to be of another mailbox.
    fn absorb_copy(&mut self, folder: &Path) {
        let Some(bytes) = self.bytes_of(folder, second_copy::FILE, false) else { return };
        let header = LogHeader::decode(&bytes);
        match (header, self.header) {
            (None, _) => self.doubts.push(format!("the header of {} does not verify", second_copy::FILE)),
            (Some(copy), Some(index)) if copy.id != index.id => {
                self.doubts.push(format!("{} is another mailbox's", second_copy::FILE));
                return;
            }
            _ => {}
        }
        self.copy_header = header;
        self.absorb(&bytes, second_copy::FILE);
    }

    fn bytes_of(&mut self, folder: &Path, name: &str, is_expected: bool) -> Option<FileMap> {
        match File::open(folder.join(name)).and_then(|file| FileMap::open(&file)) {
            Ok(bytes) => return Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_expected => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.doubts.push(format!("{name} is missing"));
            }
            Err(error) => self.doubts.push(format!("{name}: {error}")),
        }
        None
    }

    /// Every whole transaction: each verifies by itself, whatever became of the header and of those before it.
    fn absorb(&mut self, bytes: &[u8], name: &str) {
        let mut rest = bytes.get(LOG_HEADER_BYTES as usize..).unwrap_or(&[]);
        let mut damaged = 0;
        while !rest.is_empty() {
            match log::read(rest) {
                Some((operations, used)) => {
                    operations.into_iter().for_each(|operation| self.apply(operation));
                    rest = &rest[used..];
                }
                None => {
                    rest = log::next(rest); // behind damage the next whole one counts
                    damaged += usize::from(!rest.is_empty());
                }
            }
        }
        if damaged > 0 {
            self.doubts.push(format!("{damaged} transactions of {name} do not verify"));
        }
    }

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
                let bit = usize::from(bit).min(KEYWORDS_MAX - 1);
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
