//! Telemetry: what the connections of users say and hear, each in a file of its own (S105, S106).
//!
//! The administrator makes the folder `<root>/<uid>` for one user; where there is none, or it cannot be written, nothing
//! is recorded and the session does not notice. When everybody is recorded, who has no such folder is recorded in
//! one bounded folder ([`everybody`]). Each line of a file is `<` (received) or `>` (sent), the time in seconds since 1970,
//! and one line of protocol.
//!
//! A file is opened for each write: a recorded session that is idle holds no descriptor, and one whose file was taken
//! away records no more.

mod everybody;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use everybody::Everybody;

/// What stands in place of credentials.
pub const MASKED: &[u8] = b"<masked>";

/// The last line of a file that has all it may have.
const FULL: &[u8] = b"- the file is full: what follows is not recorded\n";

/// Whose connections are to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Folder with one folder per user to be recorded.
    pub root: PathBuf,
    /// Everybody else too.
    pub everybody: Option<Bounds>,
}

/// Where everybody is recorded, and how much is kept: what is oldest goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The folder, which is made; its files are `<uid>.<pid>.<seconds since 1970>.<number>`.
    pub folder: PathBuf,
    /// Most files.
    pub files_max: u64,
    /// Most bytes of all of them; a hundredth of it for one.
    pub bytes_max: u64,
}

/// What the connections of one process are recorded with.
pub struct Telemetry {
    root: PathBuf,
    everybody: Option<Arc<Everybody>>,
}

impl Telemetry {
    /// `processes`: how many write into the same folders.
    pub fn new(recording: Recording, processes: usize) -> Telemetry {
        let everybody = recording.everybody.map(|bounds| Arc::new(Everybody::new(bounds, processes)));
        Telemetry { root: recording.root, everybody }
    }

    /// A new file for a connection of `uid`, if it is to be recorded.
    pub fn open(&self, uid: &str) -> Option<Tap> {
        let folder = is_safe_component(uid).then(|| self.root.join(uid)).filter(|folder| folder.is_dir());
        if let Some(folder) = folder {
            let path = create(&folder, "").ok()?;
            return Some(Tap { path, left: u64::MAX, everybody: None });
        }
        let everybody = self.everybody.as_ref()?;
        let path = everybody.create(uid)?;
        Some(Tap { path, left: everybody.file_max(), everybody: Some(everybody.clone()) })
    }
}

/// The record of one connection.
pub struct Tap {
    path: PathBuf,
    /// Bytes that the file may still get; 0: no more is recorded.
    left: u64,
    everybody: Option<Arc<Everybody>>,
}

impl Tap {
    /// Records what was received.
    pub fn received(&mut self, bytes: &[u8]) {
        self.record(b'<', bytes);
    }

    /// Records what was sent.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.record(b'>', bytes);
    }

    fn record(&mut self, direction: u8, bytes: &[u8]) {
        if self.left == 0 {
            return;
        }
        let mut text = lines(direction, bytes);
        let length = text.len() as u64;
        if length.saturating_add(FULL.len() as u64) > self.left {
            text = FULL.to_vec();
            self.left = 0;
        } else if self.everybody.is_some() {
            self.left -= length;
        }
        if append(&self.path, &text).is_err() {
            self.left = 0; // a full disk, or a file that was taken away, must not disturb the session
        }
        if let Some(everybody) = &self.everybody {
            everybody.grew(text.len() as u64);
        }
    }
}

/// A line for each line of `bytes`.
fn lines(direction: u8, bytes: &[u8]) -> Vec<u8> {
    let now = base::clock::unix_nanos();
    let (seconds, millis) = (now.div_euclid(1_000_000_000), now.rem_euclid(1_000_000_000) / 1_000_000);
    let prefix = format!("{}{seconds}.{millis:03} ", char::from(direction));
    let mut text = Vec::with_capacity(bytes.len() + prefix.len() + 1);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        text.extend_from_slice(prefix.as_bytes());
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        text.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        text.push(b'\n');
    }
    text
}

/// A new file `<start><pid>.<seconds since 1970>.<number>`.
fn create(folder: &Path, start: &str) -> io::Result<PathBuf> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (pid, now) = (std::process::id(), base::clock::unix_seconds());
    let path = folder.join(format!("{start}{pid}.{now}.{number}"));
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
    Ok(path)
}

fn append(path: &Path, text: &[u8]) -> io::Result<()> {
    OpenOptions::new().append(true).open(path)?.write_all(text)
}

/// Whether a uid is one harmless component of a path.
fn is_safe_component(uid: &str) -> bool {
    !uid.is_empty()
        && uid.len() <= 255
        && !uid.starts_with('.')
        && !uid.bytes().any(|byte| byte == b'/' || byte < 0x20 || byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(root: &Path) -> Telemetry {
        Telemetry::new(Recording { root: root.to_owned(), everybody: None }, 1)
    }

    #[test]
    fn each_connection_has_its_own_file_with_marked_lines() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("joe")).unwrap();
        let telemetry = single(root.path());
        let mut tap = telemetry.open("joe").unwrap();
        let _second = telemetry.open("joe").unwrap();
        tap.received(b"NOOP");
        tap.sent(b"+OK one\r\n+OK two\r\n");
        let mut texts: Vec<String> = std::fs::read_dir(root.path().join("joe"))
            .unwrap()
            .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        texts.sort();
        assert_eq!(texts.len(), 2);
        assert_eq!(texts[0], "");
        let lines: Vec<&str> = texts[1].lines().collect();
        assert!(lines[0].starts_with('<') && lines[0].ends_with(" NOOP"));
        assert!(lines[1].starts_with('>') && lines[1].ends_with(" +OK one"));
        assert!(lines[2].starts_with('>') && lines[2].ends_with(" +OK two"));
    }

    #[test]
    fn no_folder_no_file() {
        let root = tempfile::tempdir().unwrap();
        let telemetry = single(root.path());
        assert!(telemetry.open("joe").is_none());
        for uid in ["", ".", "..", "../joe", "a/b", "a\nb", "a\0b"] {
            assert!(telemetry.open(uid).is_none(), "{uid:?}");
        }
    }

    #[test]
    fn a_file_that_was_taken_away_is_not_made_again() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("joe")).unwrap();
        let mut tap = single(root.path()).open("joe").unwrap();
        std::fs::remove_dir_all(root.path().join("joe")).unwrap();
        std::fs::create_dir(root.path().join("joe")).unwrap();
        tap.received(b"NOOP");
        assert_eq!(std::fs::read_dir(root.path().join("joe")).unwrap().count(), 0);
    }
}
