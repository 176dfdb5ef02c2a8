//! `reconstruct -o -d FILE`: accounts that have mailboxes and no entry in the directory (S171 to S173).

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::quotacheck::each_user;
use crate::site::{Site, broken, count};

/// Writes one command a line for each orphan, into the file or to `out`. When the directory cannot be asked about anybody,
/// nothing is written: nobody is an orphan because a server is down.
///
/// # Errors
/// One line.
pub fn find(instance: Option<&Path>, file: Option<&Path>, out: &mut dyn Write) -> Result<(), String> {
    let site = Site::open(instance, "reconstruct")?;
    let cannot =
        |why: std::io::Error| file.map_or(why.to_string(), |path| format!("{}: {why}", path.display()));
    // Before the rights are given up: the file is the administrator's.
    let mut fresh = OpenOptions::new();
    fresh.write(true).create(true).truncate(true).mode(0o600);
    let opened = file.map(|path| fresh.open(path));
    let opened = opened.transpose().map_err(cannot)?;
    let store = site.store()?;
    let mut commands = Vec::new();
    each_user(&store, |uid| {
        let entry = site.user(uid).map_err(|why| format!("{}: the directory: {why}", base::escape(uid)))?;
        if entry.is_none() {
            commands.push(command(instance, uid));
        }
        Ok(())
    })?;
    let text: String = commands.concat();
    match opened {
        Some(mut opened) => {
            opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(cannot)?;
            writeln!(out, "{}", count(commands.len(), "orphan")).map_err(broken)
        }
        None => write!(out, "{text}").map_err(broken),
    }
}

/// `mboxutil -d /user/annie/INBOX`, for the same instance.
fn command(instance: Option<&Path>, uid: &str) -> String {
    let at =
        instance.map_or(String::new(), |path| format!("--instance {} ", quoted(&path.to_string_lossy())));
    format!("mboxutil {at}-d {}\n", quoted(&format!("/user/{uid}/INBOX")))
}

/// As sh takes it for one word (POSIX.1-2017, Shell Command Language, 2.2.2).
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._@-+,:".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_for_sh() {
        assert_eq!(command(None, "annie"), "mboxutil -d /user/annie/INBOX\n");
        assert_eq!(command(None, "an nie"), "mboxutil -d '/user/an nie/INBOX'\n");
        assert_eq!(command(None, "a';reboot;'"), "mboxutil -d '/user/a'\\'';reboot;'\\''/INBOX'\n");
        let at = command(Some(Path::new("/var/mail boat")), "annie");
        assert_eq!(at, "mboxutil --instance '/var/mail boat' -d /user/annie/INBOX\n");
    }
}
