//! What transactions tell, without an index: the last word about each message.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use crate::Flags;
use crate::header::Header;
use crate::layout::LOG;
use crate::log::{self, LOG_HEADER_BYTES, LogHeader, Operation};
use crate::record::{Cold, Record};

#[derive(Default)]
pub struct Told {
    /// By UID; the cold record when the message was appended here.
    pub records: HashMap<u32, (Record, Option<Cold>)>,
    unlinked: HashSet<u32>,
    /// By bit.
    pub keywords: Vec<(u8, String)>,
    /// What of the log cannot be as it is.
    pub differences: Vec<String>,
    /// Transactions, or a torn end, behind what the index has applied; or a checkpoint that was interrupted.
    is_behind: bool,
}

impl Told {
    /// By the log that goes with this index header.
    pub fn by_log(folder: &Path, header: &Header) -> Told {
        let mut told = Told::default();
        let bytes = match fs::read(folder.join(LOG)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return told.differing(format!("{LOG} is missing"));
            }
            Err(error) => return told.differing(format!("{LOG}: {error}")),
        };
        let Some(first) = LogHeader::decode(&bytes) else {
            return told.differing(format!("the header of {LOG} does not verify"));
        };
        if first.id != header.id {
            return told.differing(format!("{LOG} is another mailbox's"));
        }
        if first.generation.wrapping_add(1) == header.log_generation {
            told.is_behind = true; // a rebuild put its index in place and was interrupted
            return told;
        }
        let begun = first.generation == header.log_generation.wrapping_add(1); // a checkpoint was interrupted
        if !begun && first.generation != header.log_generation {
            return told.differing(format!("{LOG} goes with another index"));
        }
        let applied = if begun { LOG_HEADER_BYTES } else { header.log_applied };
        told.is_behind = begun;
        told.transactions(&bytes, applied);
        told
    }

    fn differing(mut self, what: String) -> Told {
        self.differences.push(what);
        self
    }

    fn transactions(&mut self, bytes: &[u8], applied: u64) {
        let mut at = LOG_HEADER_BYTES as usize;
        let applied = usize::try_from(applied).unwrap_or(usize::MAX);
        let mut is_end = at == applied;
        while at < bytes.len() {
            let Some((operations, used)) = log::read(&bytes[at..]) else {
                if at < applied || log::another_follows(&bytes[at..]) {
                    self.differences.push(format!("{LOG}: the transaction at byte {at} does not verify"));
                    return;
                }
                break; // the torn end: it did not happen
            };
            operations.into_iter().for_each(|operation| self.take(operation));
            at += used;
            is_end |= at == applied;
        }
        if !is_end {
            self.differences
                .push(format!("{LOG} has {at} bytes of transactions, the index applied {applied}"));
        }
        self.is_behind |= bytes.len() > applied;
    }

    /// Every whole transaction; how many are not.
    pub fn read(&mut self, mut rest: &[u8]) -> usize {
        let mut damaged = 0;
        while !rest.is_empty() {
            match log::read(rest) {
                Some((operations, used)) => {
                    operations.into_iter().for_each(|operation| self.take(operation));
                    rest = &rest[used..];
                }
                None => {
                    damaged += 1;
                    rest = log::next(rest);
                }
            }
        }
        damaged
    }

    fn take(&mut self, operation: Operation) {
        match operation {
            Operation::Append(record, cold) => {
                self.records.insert(record.uid, (record, Some(cold)));
            }
            Operation::Flags(record) | Operation::Expunge(record, _) => {
                self.records.entry(record.uid).or_insert((record, None)).0 = record;
            }
            Operation::Unlinked(uid) => {
                self.unlinked.insert(uid);
            }
            Operation::Keyword(bit, name) => self.keywords.push((bit, name)),
            Operation::Next { .. } => {}
        }
    }

    /// The mark of a message whose file was unlinked, if these transactions tell of it.
    pub fn unlinked(&self, uid: u32) -> Flags {
        if self.unlinked.contains(&uid) { Flags::UNLINKED } else { Flags::NONE }
    }

    pub fn is_applied(&self) -> bool {
        !self.is_behind
    }

    /// These are followed by others.
    pub fn follow(&mut self, later: Told) {
        for (uid, (record, cold)) in later.records {
            let former = self.records.get(&uid).and_then(|(_, cold)| *cold);
            self.records.insert(uid, (record, cold.or(former)));
        }
        self.unlinked.extend(later.unlinked);
    }

    pub fn into_records(self) -> HashMap<u32, Record> {
        self.records.into_iter().map(|(uid, (record, _))| (uid, record)).collect()
    }
}
