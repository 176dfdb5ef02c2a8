//! Replacing a file so that a crash leaves the old content or the new, never a mixture.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

/// Writes `bytes` to a temporary file beside `path` with permission bits `mode`, syncs it, renames it over `path`, and
/// syncs the folder. When root does it, the file is given to whom the former one belonged, or the folder.
///
/// # Errors
/// Whatever the system says; `path` is then unchanged and the temporary file removed.
pub fn durable_replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let temporary = folder.join(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
    let heir = fs::symlink_metadata(path).or_else(|_| fs::metadata(folder));
    let written = heir
        .and_then(|heir| write_synced(&temporary, bytes, mode, (heir.uid(), heir.gid())))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(folder)?.sync_all()
}

/// Opens, or makes, a file that is only locked. What root makes belongs to whom its folder belongs to.
///
/// # Errors
/// The system's.
pub fn lock_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    if os::process::own_uid() == 0 {
        let folder = fs::metadata(path.parent().unwrap_or(Path::new(".")))?;
        fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(file)
}

/// A folder that only its owner may enter; one that is there stays as it is.
///
/// # Errors
/// The system's.
pub fn private_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn write_synced(path: &Path, bytes: &[u8], mode: u32, heir: (u32, u32)) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    if os::process::own_uid() == 0 {
        fchown(&file, Some(heir.0), Some(heir.1))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}
