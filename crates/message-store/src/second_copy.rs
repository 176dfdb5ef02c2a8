//! `store.fl`: every record of a mailbox a second time, as of the last checkpoint, so that the loss of `store.idx` costs no
//! flags, no dates and no UIDVALIDITY. The table is in `docs/formats/store.md`.
//!
//! A checkpoint ends a log; before it goes, its transactions are added here. Once what was added is more than the records
//! themselves would take, the file is written anew from the index. So each byte of a log is written twice more at most, and
//! a mailbox whose log never filled has no such file: its log tells everything.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use commit_journal::{SyncLevel, sync_file};

use crate::header::Header;
use crate::index::Index;
use crate::log::{self, LOG_HEADER_BYTES, LogHeader, Operation};
use crate::record::{Cold, Record};

pub const FILE: &str = "store.fl";
/// Bytes of one record in a transaction of the file.
const RECORD_BYTES: u64 = 129;
/// Below this length the file is added to, whatever it holds.
const ADD_BYTES_MIN: u64 = 4 << 20;
/// Records of one transaction.
const BATCH: usize = 500;
/// Bytes of the log that are copied at once.
const PIECE_BYTES: usize = 64 << 10;

/// Before the log of `header` is replaced: what it tells is told here, too, durably. `log` is nothing when it was lost.
///
/// # Errors
/// The system's. The log must stay then: it alone tells.
pub fn keep(
    folder: &Path,
    header: &Header,
    index: &Index,
    log: Option<&File>,
    level: SyncLevel,
) -> io::Result<()> {
    if let (Some(log), Some((file, length))) = (log, continued(folder, header)) {
        let added = header.log_applied.saturating_sub(LOG_HEADER_BYTES);
        let anew = LOG_HEADER_BYTES + u64::from(header.slots) * RECORD_BYTES;
        if length + added <= (anew * 2).max(ADD_BYTES_MIN) {
            return add(folder, &file, length, log, header, level);
        }
    }
    let records =
        (0..header.slots).filter_map(|slot| Some((index.record_once(slot)?, index.cold_once(slot)?)));
    let is_whole = || match index.is_lost() {
        true => Err(io::Error::other("the index was cut, or cannot be read, while it was copied")),
        false => Ok(()),
    };
    write(folder, header, header.log_generation, &index.keywords(header.keywords), records, is_whole, level)
}

/// The file, when it tells everything up to the log of this header; and its length.
fn continued(folder: &Path, header: &Header) -> Option<(File, u64)> {
    let file = OpenOptions::new().read(true).write(true).open(folder.join(FILE)).ok()?;
    let mut bytes = [0; LOG_HEADER_BYTES as usize];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let known = LogHeader::decode(&bytes)?;
    // The same log again: a checkpoint that did not come as far as the new log.
    let is_next = known.generation == header.log_generation
        || known.generation.wrapping_add(1) == header.log_generation;
    let length = file.metadata().ok()?.len();
    (known.id == header.id && is_next).then_some((file, length))
}

/// Adds a log's transactions. The header is written last: were it lost, the next checkpoint would write all anew.
fn add(
    folder: &Path,
    file: &File,
    length: u64,
    log: &File,
    header: &Header,
    level: SyncLevel,
) -> io::Result<()> {
    let copied = copy(log, LOG_HEADER_BYTES, header.log_applied, file, length);
    if let Err(error) = copied {
        let _ = file.set_len(length);
        return Err(error);
    }
    let synced = sync_file(file, level)
        .and_then(|()| file.write_all_at(&log_header(header, header.log_generation), 0));
    if synced.is_err() {
        let _ = fs::remove_file(folder.join(FILE)); // what of it is on the disk is not known
    }
    synced
}

fn copy(from: &File, mut at: u64, end: u64, to: &File, mut place: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        from.read_exact_at(&mut piece[..length], at)?;
        to.write_all_at(&piece[..length], place)?;
        at += length as u64;
        place += length as u64;
    }
    Ok(())
}

fn log_header(header: &Header, generation: u64) -> [u8; LOG_HEADER_BYTES as usize] {
    LogHeader { id: header.id, uid_validity: header.uid_validity, generation }.encode()
}

/// Writes the file anew: everything that is told by logs up to this generation.
///
/// `is_whole` is asked when all records were taken, before the new file is in the place of the old one.
///
/// # Errors
/// The system's, and that of `is_whole`; the old file stays.
pub fn write(
    folder: &Path,
    header: &Header,
    generation: u64,
    keywords: &[String],
    records: impl Iterator<Item = (Record, Cold)>,
    is_whole: impl FnOnce() -> io::Result<()>,
    level: SyncLevel,
) -> io::Result<()> {
    let new = folder.join(format!("{FILE}.new"));
    let written = fill(&new, header, generation, keywords, records, level).and_then(|()| is_whole());
    let done = written.and_then(|()| fs::rename(&new, folder.join(FILE)));
    if done.is_err() {
        let _ = fs::remove_file(&new);
    }
    done
}

fn fill(
    new: &Path,
    header: &Header,
    generation: u64,
    keywords: &[String],
    records: impl Iterator<Item = (Record, Cold)>,
    level: SyncLevel,
) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(new)?;
    let mut out = BufWriter::with_capacity(PIECE_BYTES, &file);
    out.write_all(&log_header(header, generation))?;
    let names = keywords.iter().enumerate();
    let mut batch: Vec<Operation> = names
        .map(|(bit, name)| Operation::Keyword(u8::try_from(bit).unwrap_or(u8::MAX), name.clone()))
        .collect();
    batch.push(Operation::Next { uid_next: header.uid_next, highest_modseq: header.highest_modseq });
    for (record, cold) in records {
        batch.push(Operation::Append(record, cold));
        if batch.len() >= BATCH {
            out.write_all(&log::encode(&batch))?;
            batch.clear();
        }
    }
    if !batch.is_empty() {
        out.write_all(&log::encode(&batch))?;
    }
    out.flush()?;
    drop(out);
    sync_file(&file, level)
}

/// A mailbox without messages needs none.
pub fn remove(folder: &Path) {
    let _ = fs::remove_file(folder.join(FILE));
}
