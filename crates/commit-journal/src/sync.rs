//! Making one file, the names in one folder, or whole file systems durable.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::SyncLevel;

/// What was written to `file` is on stable storage when this returns, as far as `level` promises.
///
/// # Errors
/// The system's. A failed sync must not be repeated: the kernel may have thrown the pages away and would then say yes.
pub fn sync_file(file: &File, level: SyncLevel) -> io::Result<()> {
    match level {
        SyncLevel::None => Ok(()),
        SyncLevel::Data => os::file::fdatasync(file),
        SyncLevel::Full => os::file::fsync(file),
    }
}

/// The names in `folder` are on stable storage. At level 1 only where the file system does not commit a new name
/// together with the next `fdatasync` of a file that grew; ext4 and XFS do, and then nothing is done here.
///
/// # Errors
/// As [`sync_file`].
pub fn sync_folder(folder: &Path, level: SyncLevel) -> io::Result<()> {
    match level {
        SyncLevel::None => Ok(()),
        SyncLevel::Data if os::file::names_follow_data(folder) => Ok(()),
        SyncLevel::Data | SyncLevel::Full => os::file::sync_dir(folder),
    }
}

/// All that was written to the file systems of these folders so far is on stable storage, the names of files, too. Each
/// folder was opened before what must not be lost was written, so that no error is missed.
///
/// # Errors
/// As [`sync_file`].
pub fn sync_file_systems<'f>(folders: impl IntoIterator<Item = &'f File>) -> io::Result<()> {
    let mut done = Vec::new();
    for folder in folders {
        let device = folder.metadata()?.dev();
        if !done.contains(&device) {
            os::file::sync_file_system_of(folder)?;
            done.push(device);
        }
    }
    Ok(())
}
