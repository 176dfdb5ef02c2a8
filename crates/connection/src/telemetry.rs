//! Telemetry: what one user's connection says and hears, in a file of its own (S105, S106).
//!
//! The administrator makes the folder `<root>/<uid>`; where there is none, or it cannot be written, nothing is
//! recorded and the session does not notice. Each line of the file is `<` (received) or `>` (sent), the time in
//! seconds since 1970, and one line of protocol.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// What stands in place of credentials.
pub const MASKED: &[u8] = b"<masked>";

/// The record of one connection.
pub struct Tap {
    file: File,
}

impl Tap {
    /// A new file for a connection of `uid`, if there is a folder for it.
    pub fn open(root: &Path, uid: &str) -> Option<Tap> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        if !is_safe_component(uid) {
            return None;
        }
        let folder = root.join(uid);
        if !folder.is_dir() {
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{}.{number}", std::process::id(), base::clock::unix_seconds());
        let file =
            OpenOptions::new().append(true).create_new(true).mode(0o600).open(folder.join(name)).ok()?;
        Some(Tap { file })
    }

    /// Records what was received.
    pub fn received(&mut self, bytes: &[u8]) {
        self.record(b'<', bytes);
    }

    /// Records what was sent.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.record(b'>', bytes);
    }

    fn record(&mut self, direction: u8, bytes: &[u8]) {
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
        let _ = self.file.write_all(&text); // a full disk must not disturb the session
    }
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

    #[test]
    fn each_connection_has_its_own_file_with_marked_lines() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("joe")).unwrap();
        let mut tap = Tap::open(root.path(), "joe").unwrap();
        let _second = Tap::open(root.path(), "joe").unwrap();
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
        assert!(Tap::open(root.path(), "joe").is_none());
        for uid in ["", ".", "..", "../joe", "a/b", "a\nb", "a\0b"] {
            assert!(Tap::open(root.path(), uid).is_none(), "{uid:?}");
        }
    }
}
