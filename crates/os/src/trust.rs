//! Files that nobody but those named can have changed: what is run, or loaded, with the rights of a server.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Whether a file or folder belongs to one of these (uids) and can be written by nobody else.
///
/// # Errors
/// One line: who can have changed it.
pub fn check(path: &Path, data: &Metadata, owners: &[u32]) -> Result<(), String> {
    if !owners.contains(&data.uid()) {
        return Err(format!("{} belongs to another user", path.display()));
    }
    if data.permissions().mode() & 0o022 != 0 {
        return Err(format!("{} can be written by others", path.display()));
    }
    Ok(())
}

/// The same of every folder above a path without links, so that afterwards nobody else can put another file there. In a sticky
/// folder like /tmp nobody can rename what is another's.
///
/// # Errors
/// One line: who can, or the system's.
pub fn check_above(path: &Path, owners: &[u32]) -> Result<(), String> {
    for folder in path.ancestors().skip(1) {
        let data = fs::metadata(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        let is_sticky = data.permissions().mode() & 0o1000 != 0;
        if !(is_sticky && owners.contains(&data.uid())) {
            check(folder, &data, owners)?;
        }
    }
    Ok(())
}
