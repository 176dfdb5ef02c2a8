//! Changing `config/local.conf`: lock, read, write a temporary file, sync, rename. Comments stay.

use crate::config::{canonical, quote};
use crate::{Config, ConfigError};
use std::path::Path;

/// Refuses an unknown name and a value out of range; the empty value clears and always fits.
///
/// # Errors
/// Why `setconf` may still force it, or nobody may.
pub fn admit(name: &str, value: &str) -> Result<(), ConfigError> {
    let bare = name.split_once(';').map_or(name, |(bare, _)| bare);
    let entry =
        crate::find(bare).ok_or_else(|| ConfigError::Unknown(name.to_owned(), crate::nearest(bare)))?;
    entry.check(value).map_err(|why| ConfigError::Value(name.to_owned(), why))
}

/// Sets all `changes` at once; an empty value removes the line.
///
/// # Errors
/// The file cannot be locked, read or written; it is unchanged then.
pub fn set(path: &Path, changes: &[(String, String)]) -> Result<(), ConfigError> {
    let told = |why| ConfigError::Read(path.display().to_string(), why);
    let lock = base::replace::lock_file(&path.with_extension("conf.lock")).map_err(told)?;
    #[allow(clippy::incompatible_msrv)]
    lock.lock().map_err(told)?;
    let old = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(why) => return Err(told(why)),
    };
    Config::from_text(&old).map_err(|why| why.in_file(path))?;
    let names: Vec<String> = changes.iter().map(|(name, _)| canonical(name)).collect();
    let named = |line: &str| line.split_once('=').map(|(name, _)| canonical(name.trim()));
    let mut text = String::with_capacity(old.len());
    for line in old
        .lines()
        .filter(|line| line.trim_start().starts_with('#') || named(line).is_none_or(|n| !names.contains(&n)))
    {
        text.push_str(line);
        text.push('\n');
    }
    for (at, (name, (_, value))) in names.iter().zip(changes).enumerate() {
        let later = names.iter().skip(at.saturating_add(1)).any(|other| other == name);
        if !value.is_empty() && !later {
            text.push_str(&format!("{name} = {}\n", quote(value)));
        }
    }
    base::replace::durable_replace(path, text.as_bytes(), 0o640).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_writers_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.conf");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for n in 0..5 {
                        set(path, &[(format!("local.w{writer}.n{n}"), "1".into())]).unwrap();
                    }
                });
            }
        });
        assert_eq!(Config::read(&path).unwrap().iter().count(), 20);
    }

    #[test]
    fn a_misspelt_name_is_refused_with_the_nearest() {
        let refused = admit("service.imap.idletimout", "40").unwrap_err().to_string();
        assert!(refused.contains("service.imap.idletimeout"), "{refused}");
        assert!(admit("service.smtp.port", "70000").unwrap_err().to_string().contains("0 to 65535"));
    }
}
