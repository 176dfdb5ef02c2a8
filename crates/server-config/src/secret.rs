//! Where a secret lies that a parameter names instead of holding it.

use std::path::PathBuf;

use crate::Instance;

/// A file that holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    pub path: PathBuf,
    /// systemd put it there (`LoadCredential=`) and lets nobody else into the folder; the bits for the group are then those of the
    /// mask of an access control list, not of a group.
    pub is_credential: bool,
}

impl SecretFile {
    /// `file:PATH`, below the instance unless it begins with a slash, or `cred:NAME`, a credential of systemd's (systemd.exec(5),
    /// `$CREDENTIALS_DIRECTORY`; without one the path names no file, and that is what is told when it is read). Nothing for other texts.
    pub fn named(text: &str, instance: &Instance) -> Option<SecretFile> {
        if let Some(path) = text.strip_prefix("file:") {
            return Some(SecretFile { path: instance.root().join(path), is_credential: false });
        }
        let name = text.strip_prefix("cred:")?;
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_default();
        Some(SecretFile { path: PathBuf::from(folder).join(name), is_credential: true })
    }

    /// The bits of a mode that make the file too open.
    pub fn too_open(&self) -> u32 {
        if self.is_credential { 0o007 } else { 0o077 }
    }
}
