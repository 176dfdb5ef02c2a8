//! What was done with an account at the web mail, for its owner to look at: a short text file beside the sessions.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::record::short;
use super::{WebSessions, lock, make_folder, user_key};

/// Bytes of the file from which its older half is dropped.
const BYTES_MAX: u64 = 16 * 1024;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// Seconds since 1970.
    pub at: i64,
    /// `signed-in`, `refused`, `signed-out`, `revoked`.
    pub what: String,
    pub peer: String,
    pub agent: String,
}

impl WebSessions {
    /// Notes a deed. Of users that there are only: others could fill the disk.
    ///
    /// # Errors
    /// The system's.
    pub fn note(&self, uid: &str, what: &str, peer: IpAddr, agent: &str) -> io::Result<()> {
        let folder = self.root.join(user_key(uid));
        make_folder(&folder)?;
        let path = folder.join("activity");
        let _lock = lock(&folder)?;
        cut(&path)?;
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let line = format!("{} {what} {peer} {}\n", base::clock::unix_seconds(), short(agent));
        file.write_all(line.as_bytes())
    }

    /// The deeds that are still noted, the newest first.
    pub fn deeds(&self, uid: &str) -> Vec<Deed> {
        let text = fs::read_to_string(self.root.join(user_key(uid)).join("activity")).unwrap_or_default();
        let mut found: Vec<Deed> = text.lines().filter_map(deed).collect();
        found.reverse();
        found
    }
}

fn deed(line: &str) -> Option<Deed> {
    let mut words = line.splitn(4, ' ');
    let mut next = || words.next().map(str::to_owned);
    Some(Deed { at: next()?.parse().ok()?, what: next()?, peer: next()?, agent: next().unwrap_or_default() })
}

/// Drops the older half of a file that is too long.
fn cut(path: &Path) -> io::Result<()> {
    if fs::metadata(path).map_or(0, |found| found.len()) < BYTES_MAX {
        return Ok(());
    }
    let text = fs::read_to_string(path)?;
    let half = text.len() / 2;
    let from = text.bytes().skip(half).position(|byte| byte == b'\n').map_or(text.len(), |at| half + at + 1);
    base::replace::durable_replace(path, &text.as_bytes()[from..], 0o600)
}
