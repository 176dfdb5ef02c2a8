//! The message files that a transaction brings into a mailbox, and what makes them durable: the journal, with their bytes in
//! it, or syncs of their own.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use commit_journal::{SyncLevel, sync_file, sync_folder};

use crate::journal::{Content, RECORD_BYTES_MAX};
use crate::layout::{message_folder, message_path};

/// What was written longer ago is on stable storage: every journal is emptied once a minute.
const YOUNG: Duration = Duration::from_secs(600);
/// From so many files on, the whole file system is synced at once.
const ONE_BY_ONE_MAX: usize = 8;

/// How far a file is durable that gets its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// They were written just now, and nothing of them was synced.
    Written,
    /// They were written and synced; the name was not.
    Synced,
    /// Another name of a message of the store, whose bytes may be in a journal only while it is young.
    Linked,
}

/// Where the file comes from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    File(Bytes),
    /// The journal of this process has its bytes, in the record of this id of the queue; else this syncs it, or it is synced
    /// by itself.
    Lent(&'a [u8], Option<&'a dyn Fn() -> io::Result<()>>),
}

/// New files of a transaction, by UID.
#[derive(Default)]
pub(crate) struct NewFiles<'a> {
    files: Vec<(u32, Origin<'a>)>,
}

impl<'a> NewFiles<'a> {
    pub fn add(&mut self, uid: u32, origin: Origin<'a>) {
        self.files.push((uid, origin));
    }

    /// The bytes of all of them, for a record beside so many other bytes. Nothing when they are too many, or the names of
    /// some can only be synced; `bytes` is how many bytes the messages have.
    pub fn read(&self, folder: &Path, bytes: u64, beside: usize) -> io::Result<Option<Vec<(u32, Read<'a>)>>> {
        let is_journaled = |origin: &Origin<'_>| !matches!(origin, Origin::File(Bytes::Synced));
        let is_read = |origin: &Origin<'_>| matches!(origin, Origin::File(Bytes::Written | Bytes::Linked));
        let read_bytes = if self.files.iter().any(|(_, origin)| is_read(origin)) { bytes } else { 0 };
        let fits = read_bytes.saturating_add(beside as u64) <= RECORD_BYTES_MAX as u64;
        if !fits || !self.files.iter().all(|(_, origin)| is_journaled(origin)) {
            return Ok(None);
        }
        let read = |(uid, origin): &(u32, Origin<'a>)| match origin {
            Origin::Lent(id, _) => Ok((*uid, Read::InQueue(id))),
            _ => fs::read(message_path(folder, *uid)).map(|bytes| (*uid, Read::Here(bytes))),
        };
        self.files.iter().map(read).collect::<io::Result<_>>().map(Some)
    }

    /// Syncs the files, and their names where the file system does not commit them with the log: a record whose file is gone
    /// would be worse than a file without a record.
    pub fn sync(&self, folder: &Path, level: SyncLevel) -> io::Result<()> {
        let mut unsynced = Vec::new();
        for (uid, origin) in &self.files {
            let path = message_path(folder, *uid);
            match origin {
                Origin::File(Bytes::Synced) => {}
                Origin::Lent(_, Some(sync)) => sync()?,
                Origin::File(Bytes::Written) | Origin::Lent(_, None) => unsynced.push(path),
                Origin::File(Bytes::Linked) => unsynced.extend(is_young(&path).then_some(path)),
            }
        }
        sync_files(folder, &unsynced, level)?;
        let folders: BTreeSet<String> = self.files.iter().map(|(uid, _)| message_folder(*uid)).collect();
        folders.iter().try_for_each(|name| sync_folder(&folder.join(name), level))
    }
}

/// Bytes for a record.
pub(crate) enum Read<'a> {
    Here(Vec<u8>),
    InQueue(&'a [u8]),
}

impl Read<'_> {
    pub fn content(&self) -> Content<'_> {
        match self {
            Read::Here(bytes) => Content::Here(bytes),
            Read::InQueue(id) => Content::InQueue(id),
        }
    }
}

/// Syncs files of one file system.
pub(crate) fn sync_files(folder: &Path, paths: &[impl AsRef<Path>], level: SyncLevel) -> io::Result<()> {
    match level {
        SyncLevel::None => Ok(()),
        _ if paths.len() > ONE_BY_ONE_MAX => os::file::sync_file_system(folder),
        _ => paths.iter().try_for_each(|path| sync_file(&File::open(path)?, level)),
    }
}

/// A time in the future is of a clock that was set back.
fn is_young(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|meta| meta.modified());
    modified.map_or(true, |time| time.elapsed().map_or(true, |age| age < YOUNG))
}
