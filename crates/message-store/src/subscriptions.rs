//! `store.sub` in a user's folder: names of the subscribed mailboxes, one a line, sorted, behind a line with their check.

use std::fs;
use std::io;
use std::path::Path;

use commit_journal::SyncLevel;

use crate::{Result, StoreError};

pub const FILE: &str = "store.sub";
/// Subscriptions of one user at most.
const NAMES_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 5_000;

/// The names; a file that does not verify is an error, since an empty list would be taken for the truth.
pub fn read(folder: &Path) -> Result<Vec<String>> {
    let text = match fs::read_to_string(folder.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let (check, names) = text.split_once('\n').unwrap_or((&text, ""));
    if check != check_line(names) {
        return Err(StoreError::Damaged(FILE.into()));
    }
    Ok(names.lines().map(str::to_owned).collect())
}

/// Changes the list, under the user's lock.
pub fn change(folder: &Path, name: &str, subscribed: bool, level: SyncLevel) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        return Err(StoreError::CannotCreate("it is no mailbox name"));
    }
    let mut names = read(folder)?;
    match (names.binary_search_by(|one| one.as_str().cmp(name)), subscribed) {
        (Ok(_), true) | (Err(_), false) => return Ok(()),
        (Err(_), true) if names.len() >= NAMES_MAX => return Err(StoreError::TooBig("10,000 subscriptions")),
        (Err(at), true) => names.insert(at, name.to_owned()),
        (Ok(at), false) => {
            names.remove(at);
        }
    }
    let body: String = names.iter().map(|name| format!("{name}\n")).collect();
    let text = format!("{}\n{body}", check_line(&body));
    if level == SyncLevel::None {
        let new = folder.join(format!("{FILE}.new"));
        fs::write(&new, text)?;
        fs::rename(new, folder.join(FILE))?;
    } else {
        base::replace::durable_replace(&folder.join(FILE), text.as_bytes(), 0o600)?;
    }
    Ok(())
}

fn check_line(names: &str) -> String {
    format!("subscriptions 1 {:08x}", base::crc32(names.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_sorted_once_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a", "b", "Ä/ö"] {
            change(folder.path(), name, true, SyncLevel::None).unwrap();
        }
        change(folder.path(), "b", false, SyncLevel::Data).unwrap();
        change(folder.path(), "c", false, SyncLevel::Data).unwrap();
        assert_eq!(read(folder.path()).unwrap(), ["a", "Ä/ö"]);
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        fs::write(folder.path().join(FILE), text.replace("a\n", "x\n")).unwrap();
        assert!(matches!(read(folder.path()), Err(StoreError::Damaged(_))));
        assert!(change(folder.path(), "a\nb", true, SyncLevel::None).is_err());
    }
}
