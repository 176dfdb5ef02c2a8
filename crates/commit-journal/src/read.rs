//! What a journal holds after its writer has ended, however it ended.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use crate::segment::{self, Header, SEGMENTS};

/// The segments that verify, in the order in which they were written.
fn segments(folder: &Path) -> io::Result<Vec<(Header, u32)>> {
    let mut found = Vec::new();
    for number in 1..=SEGMENTS {
        if let Some(header) = segment::header_of(&segment::path(folder, number))? {
            found.push((header, number));
        }
    }
    found.sort_by_key(|(header, _)| header.epoch);
    Ok(found)
}

/// Segments that are there and do not say what they are. A crash leaves none: a segment gets its name when it is whole, and
/// its header is one sector.
///
/// # Errors
/// A segment cannot be read.
pub fn damaged(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for number in 1..=SEGMENTS {
        let path = segment::path(folder, number);
        if path.exists() && segment::header_of(&path)?.is_none() {
            found.push(path);
        }
    }
    Ok(found)
}

/// The epoch that was begun last; 0 when there is no journal. Makes the folder.
pub(crate) fn last_epoch(folder: &Path) -> io::Result<u64> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(segments(folder)?.last().map_or(0, |(header, _)| header.epoch))
}

/// Calls `each` with every whole record in the order in which they were written; none when there is no journal. Nobody may
/// be writing it.
///
/// # Errors
/// A segment cannot be read.
pub fn read(folder: &Path, mut each: impl FnMut(&[u8])) -> io::Result<usize> {
    let mut count = 0;
    for (header, number) in segments(folder)? {
        let bytes = fs::read(segment::path(folder, number))?;
        for (_, payload) in header.records(&bytes) {
            each(payload);
            count += 1;
        }
    }
    Ok(count)
}

/// Makes the segments hold nothing, durably. What they held is durable elsewhere.
///
/// # Errors
/// The system's; doing it again is harmless.
pub fn clear(folder: &Path) -> io::Result<()> {
    let mut epoch = segments(folder)?.last().map_or(0, |(header, _)| header.epoch);
    for (header, number) in segments(folder)? {
        epoch += 1;
        let file = fs::OpenOptions::new().write(true).open(segment::path(folder, number))?;
        file.write_all_at(&Header::new(epoch, header.length).encode(), 0)?;
        os::file::fdatasync(&file)?;
    }
    Ok(())
}

/// Removes the journal.
///
/// # Errors
/// The system's.
pub fn remove(folder: &Path) -> io::Result<()> {
    clear(folder)?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
