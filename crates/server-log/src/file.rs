//! The file of a service's log: `<folder>/<service>`, rotated to `<service>.<sequence>.<seconds>` (X6).
//!
//! Several processes write the same file, each with `O_APPEND`. Who finds it full takes `.lock`, looks whether somebody
//! else rotated meanwhile, and renames. Rotated files beyond `maxlogfiles`, `maxlogsize` or `expirytime` are deleted.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use crate::line::{Line, stamp};
use crate::{Level, LogSettings};

/// Seconds between two looks at the free space.
const SPACE_CHECK_SECONDS: i64 = 5;

/// The log file of one service, as one process sees it.
pub(crate) struct LogFile {
    path: PathBuf,
    program: String,
    open: Mutex<Open>,
}

struct Open {
    settings: LogSettings,
    file: File,
    bytes: u64,
    second: i64,
    stamp: String,
    space_checked: i64,
    disk_full: bool,
    /// A line may have been written in part.
    torn: bool,
}

struct Rotated {
    sequence: u64,
    at: i64,
    bytes: u64,
    path: PathBuf,
}

impl LogFile {
    pub fn open(service: &str, program: &str, settings: LogSettings) -> io::Result<LogFile> {
        fs::create_dir_all(&settings.folder)?;
        let path = settings.folder.join(service);
        let file = append(&path)?;
        let bytes = file.metadata()?.len();
        let open = Open {
            settings,
            file,
            bytes,
            second: i64::MIN,
            stamp: String::new(),
            space_checked: i64::MIN,
            disk_full: false,
            torn: false,
        };
        let log = LogFile { path, program: program.to_owned(), open: Mutex::new(open) };
        let now = base::clock::unix_seconds();
        log.lock().look_at_space(now);
        if bytes == 0 {
            log.lock().begin(program, now);
        }
        Ok(log)
    }

    /// # Errors
    /// The system's, or `StorageFull` below `minfreediskspace`.
    pub fn write(&self, category: &str, level: Level, text: &str) -> io::Result<()> {
        let mut open = self.lock();
        let now = base::clock::unix_seconds();
        if open.second != now || open.bytes >= open.settings.max_file_bytes {
            self.rotate_if_due(&mut open, now);
            open.look_at_space(now);
        }
        open.append(&self.program, now, category, level, text)
    }

    pub fn reopen(&self) {
        self.follow(&mut self.lock());
    }

    pub fn configure(&self, settings: LogSettings) {
        let mut open = self.lock();
        open.second = i64::MIN; // the format of the stamp may be another
        open.settings = settings;
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up the file that now has the name: another process may have rotated.
    fn follow(&self, open: &mut Open) {
        if let Ok(file) = append(&self.path) {
            open.bytes = file.metadata().map_or(0, |meta| meta.len());
            open.file = file;
        }
    }

    fn rotate_if_due(&self, open: &mut Open, now: i64) {
        let Ok(mine) = open.file.metadata() else { return };
        let moved = || !fs::metadata(&self.path).is_ok_and(|named| named.ino() == mine.ino());
        open.bytes = mine.len();
        if moved() {
            return self.follow(open);
        }
        if !open.is_due(&mine, now) {
            return;
        }
        let Ok(lock) = append(&open.settings.folder.join(".lock")) else { return };
        #[allow(clippy::incompatible_msrv)]
        if lock.lock().is_err() {
            return;
        }
        if moved() {
            return self.follow(open);
        }
        let mut kept = self.rotated(open);
        let sequence = kept.last().map_or(1, |last| last.sequence.saturating_add(1));
        let path = PathBuf::from(format!("{}.{sequence}.{now}", self.path.display()));
        if fs::rename(&self.path, &path).is_err() {
            return;
        }
        kept.push(Rotated { sequence, at: now, bytes: open.bytes, path });
        delete_expired(&open.settings, kept, now);
        self.follow(open);
        open.begin(&self.program, now);
    }

    /// The rotated files, oldest first.
    fn rotated(&self, open: &Open) -> Vec<Rotated> {
        let service = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(entries) = fs::read_dir(&open.settings.folder) else { return Vec::new() };
        let mut found: Vec<Rotated> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let (sequence, at) = name.strip_prefix(&service)?.strip_prefix('.')?.split_once('.')?;
                let bytes = entry.metadata().ok()?.len();
                Some(Rotated {
                    sequence: sequence.parse().ok()?,
                    at: at.parse().ok()?,
                    bytes,
                    path: entry.path(),
                })
            })
            .collect();
        found.sort_by_key(|file| file.sequence);
        found
    }
}

impl Open {
    /// The first line of a file.
    fn begin(&mut self, program: &str, now: i64) {
        let _ = self.append(program, now, "General", Level::Notice, &format!("Log created ({now})"));
    }

    fn append(
        &mut self,
        program: &str,
        now: i64,
        category: &str,
        level: Level,
        text: &str,
    ) -> io::Result<()> {
        if self.disk_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let format = self.settings.format;
        if self.second != now {
            self.second = now;
            self.stamp = stamp(now, format);
        }
        let line = Line { stamp: &self.stamp, host: &self.settings.host, program, category, level, text };
        let mut line = line.render(format);
        if self.torn {
            line.insert(0, '\n'); // what was written of the one before is no part of this one
        }
        let written = self.file.write_all(line.as_bytes());
        self.torn = written.is_err();
        if written.is_ok() {
            self.bytes = self.bytes.saturating_add(line.len() as u64);
        }
        written
    }

    fn is_due(&self, file: &Metadata, now: i64) -> bool {
        let born = file
            .created()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(now, |age| i64::try_from(age.as_secs()).unwrap_or(now));
        let old = now.saturating_sub(born) >= self.settings.rollover_seconds;
        self.bytes >= self.settings.max_file_bytes || (old && self.bytes > 0)
    }

    /// Below `minfreediskspace` nothing is logged: the room belongs to the mail.
    fn look_at_space(&mut self, now: i64) {
        if now.saturating_sub(self.space_checked) < SPACE_CHECK_SECONDS {
            return;
        }
        self.space_checked = now;
        let free = os::file::free_space(&self.settings.folder).unwrap_or(u64::MAX);
        self.disk_full = free < self.settings.min_free_bytes;
    }
}

fn append(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn delete_expired(settings: &LogSettings, kept: Vec<Rotated>, now: i64) {
    let mut total = 0u64;
    // The file being written is one of `max_files`.
    for (newer, file) in kept.into_iter().rev().enumerate() {
        total = total.saturating_add(file.bytes);
        let old = now.saturating_sub(file.at) >= settings.expiry_seconds;
        if old || total > settings.max_total_bytes || newer.saturating_add(1) >= settings.max_files {
            let _ = fs::remove_file(file.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Category, Format, Log};

    fn settings(folder: &Path, max: u64) -> LogSettings {
        LogSettings {
            folder: folder.into(),
            host: "host".into(),
            level: Level::Notice,
            format: Format::Text,
            syslog: false,
            max_file_bytes: max,
            max_total_bytes: 1 << 20,
            max_files: 3,
            rollover_seconds: 86400,
            expiry_seconds: 86400,
            min_free_bytes: 0,
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".lock")
            .collect();
        names.sort();
        names
    }

    #[test]
    fn lines_below_the_level_are_not_written_and_a_reload_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open("smtp", "smtpd", settings(folder.path(), 1 << 20)).unwrap();
        log.notice(Category::Account, format_args!("a\r\nb"));
        log.debug(Category::General, format_args!("hidden"));
        log.configure(LogSettings { level: Level::Debug, ..settings(folder.path(), 1 << 20) });
        log.debug(Category::Ldap, format_args!("shown"));
        let text = fs::read_to_string(folder.path().join("smtp")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains(": General Notice: Log created ("), "{text}");
        assert!(lines[1].ends_with(": Account Notice: a\\x0d\\x0ab"), "{text}");
        assert!(lines[2].ends_with(": LDAP Debug: shown"), "{text}");
    }

    /// X6: `maxlogfilesize`, `maxlogfiles`, and the names of the rotated files.
    #[test]
    fn a_full_file_is_rotated_and_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open("smtp", "smtpd", settings(folder.path(), 1024)).unwrap();
        for n in 0..100 {
            log.notice(Category::General, format_args!("line {n}"));
        }
        let names = names(folder.path());
        assert_eq!(names.len(), 3, "{names:?}");
        let sequence = |name: &str| name.split('.').nth(1).unwrap().parse::<u64>().unwrap();
        assert_eq!(sequence(&names[1]).abs_diff(sequence(&names[2])), 1, "{names:?}");
        for name in &names {
            assert!(fs::metadata(folder.path().join(name)).unwrap().len() < 1024 + 200, "{name}");
        }
        assert!(fs::read_to_string(folder.path().join("smtp")).unwrap().ends_with("line 99\n"));
    }

    /// X6: `maxlogsize` and `expirytime`.
    #[test]
    fn rotated_files_beyond_the_total_or_too_old_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let make = |sequence: u64, at: i64, bytes: u64| {
            let path = folder.path().join(format!("smtp.{sequence}.{at}"));
            fs::write(&path, vec![b'x'; bytes as usize]).unwrap();
            Rotated { sequence, at, bytes, path }
        };
        let kept = vec![make(1, 100, 10), make(2, 9000, 600), make(3, 9500, 500), make(4, 9900, 400)];
        let settings = LogSettings {
            max_total_bytes: 1000,
            max_files: 10,
            expiry_seconds: 5000,
            ..settings(folder.path(), 1024)
        };
        delete_expired(&settings, kept, 10_000);
        assert_eq!(names(folder.path()), ["smtp.3.9500", "smtp.4.9900"]);
    }

    #[test]
    fn two_processes_that_share_a_file_lose_no_line_at_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let many = LogSettings { max_files: 1000, ..settings(folder.path(), 2048) };
        let logs: Vec<Log> = (0..4).map(|_| Log::open("imap", "imapd", many.clone()).unwrap()).collect();
        std::thread::scope(|scope| {
            for (writer, log) in logs.iter().enumerate() {
                scope.spawn(move || {
                    for n in 0..200 {
                        log.notice(Category::General, format_args!("writer {writer} line {n}."));
                    }
                });
            }
        });
        let all: String = names(folder.path())
            .iter()
            .map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
            .collect();
        for writer in 0..4 {
            for n in 0..200 {
                assert_eq!(all.matches(&format!("writer {writer} line {n}.\n")).count(), 1);
            }
        }
    }

    #[test]
    fn nothing_is_logged_when_the_disk_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let short = LogSettings { min_free_bytes: u64::MAX, ..settings(folder.path(), 1 << 20) };
        let log = Log::open("pop", "popd", short).unwrap();
        log.notice(Category::General, format_args!("too much"));
        assert!(!fs::read_to_string(folder.path().join("pop")).unwrap().contains("too much"));
    }
}
