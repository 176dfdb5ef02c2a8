//! Programs that the administrator put there, and nobody else can have changed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use os::file::{How, open_in};
use os::trust;

/// Why a program is not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name leads elsewhere, or nothing of that name is there: the account's fault.
    Name(String),
    /// It could have been changed by others: the administrator's.
    Untrusted(String),
}

/// The path of the program `name` in `folder`. A name is one component, or the folder itself and one component. The
/// folder, those above it and the program must be root's or ours and writable by nobody else; a program is looked at by
/// its descriptor, without following a link. Afterwards only root and we could put another one there.
///
/// # Errors
/// See [`Refusal`].
pub fn program(folder: &Path, name: &str) -> Result<PathBuf, Refusal> {
    let untrusted = |why: String| Refusal::Untrusted(why);
    let bare = name.strip_prefix(&format!("{}/", folder.display())).unwrap_or(name);
    if bare.is_empty() || bare.contains(['/', '\0']) || bare == "." || bare == ".." || bare.starts_with('-') {
        return Err(Refusal::Name(format!(
            "'{}' names no program of {}",
            base::escape(name),
            folder.display()
        )));
    }
    let folder = fs::canonicalize(folder).map_err(|why| untrusted(format!("{}: {why}", folder.display())))?;
    let owners = [0, os::process::own_uid()];
    let data = fs::metadata(&folder).map_err(|why| untrusted(format!("{}: {why}", folder.display())))?;
    trust::check(&folder, &data, &owners)
        .and_then(|()| trust::check_above(&folder, &owners))
        .map_err(untrusted)?;
    let path = folder.join(bare);
    let opened = File::open(&folder).and_then(|folder| open_in(&folder, OsStr::new(bare), How::Look));
    let data = match opened.and_then(|file| file.metadata()) {
        Ok(data) => data,
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            return Err(Refusal::Name(format!("there is no program {}", path.display())));
        }
        Err(why) => return Err(untrusted(format!("{}: {why}", path.display()))),
    };
    if !data.is_file() {
        return Err(untrusted(format!("{} is no regular file", path.display())));
    }
    if data.permissions().mode() & 0o111 == 0 {
        return Err(untrusted(format!("{} is not executable", path.display())));
    }
    trust::check(&path, &data, &owners).map_err(untrusted)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("programs");
        fs::create_dir(&folder).unwrap();
        chmod(&folder, 0o755);
        fs::write(folder.join("sort"), "#!/bin/sh\n").unwrap();
        chmod(&folder.join("sort"), 0o755);
        (temporary, folder)
    }

    #[test]
    fn a_program_of_the_folder_is_found_by_its_name_or_its_path() {
        let (_temporary, folder) = folder();
        let path = fs::canonicalize(&folder).unwrap().join("sort");
        assert_eq!(program(&folder, "sort"), Ok(path.clone()));
        assert_eq!(program(&folder, &format!("{}/sort", folder.display())), Ok(path));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let (temporary, folder) = folder();
        fs::write(temporary.path().join("outside"), "#!/bin/sh\n").unwrap();
        chmod(&temporary.path().join("outside"), 0o755);
        for name in ["", ".", "..", "../outside", "/bin/sh", "sort/", "./sort", "-sort", "a\0b", "none"] {
            assert!(matches!(program(&folder, name), Err(Refusal::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn what_others_can_change_or_what_is_no_program_is_refused() {
        let (temporary, folder) = folder();
        let refused = |name: &str| matches!(program(&folder, name), Err(Refusal::Untrusted(_)));
        symlink("/bin/sh", folder.join("link")).unwrap();
        fs::create_dir(folder.join("folder")).unwrap();
        assert!(refused("link") && refused("folder"));
        let sort = folder.join("sort");
        for mode in [0o775, 0o757, 0o644] {
            chmod(&sort, mode);
            assert!(refused("sort"), "{mode:o}");
        }
        chmod(&sort, 0o755);
        for place in [folder.as_path(), temporary.path()] {
            chmod(place, 0o777);
            assert!(refused("sort"), "{}", place.display());
            chmod(place, 0o755);
        }
        assert!(!refused("sort"));
        if os::process::own_uid() == 0 {
            std::os::unix::fs::chown(&sort, Some(65_534), None).unwrap();
            assert!(refused("sort"), "another user's");
        }
    }
}
