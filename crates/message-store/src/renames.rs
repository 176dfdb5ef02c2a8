//! Renames that are under way: the list and the folder change one after the other, and a crash must not part them.
//!
//! Before anything moves, `rename-<id>` in the store's list folder says what is meant, durably; when all is done it goes.
//! Who locks one of the trees and finds it finishes it (`tree_lock.rs`), stored at its start all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mailbox_list::MailboxName;

use crate::Result;

/// One intention.
pub struct Pending {
    path: PathBuf,
    pub from: MailboxName,
    pub to: MailboxName,
}

const PREFIX: &str = "rename-";

/// Writes the intention down.
pub fn begin(list_folder: &Path, id: u128, from: &MailboxName, to: &MailboxName) -> Result<Pending> {
    let path = list_folder.join(format!("{PREFIX}{id:032x}"));
    let pid = std::process::id();
    base::replace::durable_replace(&path, format!("{pid}\n{from}\n{to}\n").as_bytes(), 0o600)?;
    Ok(Pending { path, from: from.clone(), to: to.clone() })
}

impl Pending {
    /// It is done, or given up.
    pub fn end(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// What was left.
pub fn all(list_folder: &Path) -> Result<Vec<Pending>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(list_folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let text = match fs::read_to_string(entry.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue, // done meanwhile
            other => other?,
        };
        let mut lines = text.lines().skip(1); // the process, for who reads it
        let mut name = || lines.next().and_then(|line| MailboxName::parse(line).ok());
        match (name(), name()) {
            (Some(from), Some(to)) => found.push(Pending { path: entry.path(), from, to }),
            _ => fs::remove_file(entry.path())?, // durable_replace makes no torn file: somebody else's
        }
    }
    Ok(found)
}
