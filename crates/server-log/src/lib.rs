//! The log lines of the suite: the original's form, rotated files.
//!
//! `[28/Feb/2000:10:00:00 -0800] host smtpd[10000]: General Notice: text`, one `write(2)` in append mode per line.

use server_config::{Config, Instance, parameters::local, parameters::logfile};
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    General,
    Ldap,
    Network,
    Account,
    Protocol,
    Stats,
    Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Critical,
    Error,
    Warning,
    Notice,
    Information,
    Debug,
}

impl Level {
    /// The level of this name, in any case.
    pub fn named(name: &str) -> Option<Level> {
        Some(match name.to_ascii_lowercase().as_str() {
            "critical" => Level::Critical,
            "error" => Level::Error,
            "warning" => Level::Warning,
            "notice" => Level::Notice,
            "information" | "informational" => Level::Information,
            "debug" => Level::Debug,
            _ => return None,
        })
    }
}

/// Where a service logs and how much is kept.
#[derive(Clone, Debug)]
pub struct LogSettings {
    pub folder: PathBuf,
    pub host: String,
    pub level: Level,
    pub max_file_bytes: u64,
    pub max_total_bytes: u64,
    pub max_files: usize,
    pub rollover_seconds: i64,
    pub expiry_seconds: i64,
}

impl LogSettings {
    /// The `logfile.<service>.*` parameters.
    pub fn from_config(config: &Config, instance: &Instance, service: &str) -> LogSettings {
        let folder = config.get_in(&logfile::LOG_DIR, service);
        let host = config.get(&local::HOST_NAME);
        let host = if host.is_empty() {
            std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default()
        } else {
            host
        };
        let seconds = |d: std::time::Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        LogSettings {
            folder: if folder.is_empty() { instance.log_dir(service) } else { instance.root().join(folder) },
            host: host.trim().to_owned(),
            level: Level::named(&config.get_in(&logfile::LOG_LEVEL, service)).unwrap_or(Level::Notice),
            max_file_bytes: u64::try_from(config.get_in(&logfile::MAX_LOG_FILE_SIZE, service))
                .unwrap_or(u64::MAX),
            max_total_bytes: u64::try_from(config.get_in(&logfile::MAX_LOG_SIZE, service))
                .unwrap_or(u64::MAX),
            max_files: usize::try_from(config.get_in(&logfile::MAX_LOG_FILES, service)).unwrap_or(1),
            rollover_seconds: seconds(config.get_in(&logfile::ROLLOVER_TIME, service)),
            expiry_seconds: seconds(config.get_in(&logfile::EXPIRY_TIME, service)),
        }
    }
}

/// One service's log; clones share it.
#[derive(Clone)]
pub struct Log(Arc<Sink>);

enum Sink {
    Discard,
    Stderr(String),
    File(Box<FileSink>),
}

struct FileSink {
    path: PathBuf,
    program: String,
    settings: LogSettings,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    bytes: u64,
    second: i64,
    stamp: String,
}

impl Log {
    /// Opens (or creates) `<folder>/<service>`.
    ///
    /// # Errors
    /// The folder or file cannot be made or opened.
    pub fn open(service: &str, program: &str, settings: LogSettings) -> io::Result<Log> {
        std::fs::create_dir_all(&settings.folder)?;
        let path = settings.folder.join(service);
        let file = append(&path)?;
        let bytes = file.metadata()?.len();
        let sink = FileSink {
            path,
            program: program.to_owned(),
            settings,
            open: Mutex::new(Open { file, bytes, second: i64::MIN, stamp: String::new() }),
        };
        if bytes == 0 {
            sink.write(
                Category::General,
                Level::Notice,
                format_args!("Log created ({})", base::clock::unix_seconds()),
            );
        }
        Ok(Log(Arc::new(Sink::File(Box::new(sink)))))
    }
    /// Keeps nothing; for tests.
    pub fn discard() -> Log {
        Log(Arc::new(Sink::Discard))
    }
    /// Warnings and worse go to standard error; for tools.
    pub fn to_stderr(program: &str) -> Log {
        Log(Arc::new(Sink::Stderr(program.to_owned())))
    }
    /// Writes one line if `level` is logged.
    pub fn write(&self, category: Category, level: Level, text: fmt::Arguments<'_>) {
        match &*self.0 {
            Sink::Discard => {}
            Sink::Stderr(program) if level <= Level::Warning => {
                let _ = writeln!(io::stderr(), "{program}: {}", escape(&text.to_string()));
            }
            Sink::Stderr(_) => {}
            Sink::File(sink) if level <= sink.settings.level => sink.write(category, level, text),
            Sink::File(_) => {}
        }
    }
    pub fn critical(&self, category: Category, text: fmt::Arguments<'_>) {
        self.write(category, Level::Critical, text);
    }
    pub fn error(&self, category: Category, text: fmt::Arguments<'_>) {
        self.write(category, Level::Error, text);
    }
    pub fn warning(&self, category: Category, text: fmt::Arguments<'_>) {
        self.write(category, Level::Warning, text);
    }
    pub fn notice(&self, category: Category, text: fmt::Arguments<'_>) {
        self.write(category, Level::Notice, text);
    }
    pub fn information(&self, category: Category, text: fmt::Arguments<'_>) {
        self.write(category, Level::Information, text);
    }
    pub fn debug(&self, category: Category, text: fmt::Arguments<'_>) {
        self.write(category, Level::Debug, text);
    }
    /// Opens the file anew, after SIGHUP.
    pub fn reopen(&self) {
        if let Sink::File(sink) = &*self.0 {
            sink.follow(&mut sink.lock());
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl FileSink {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, category: Category, level: Level, text: fmt::Arguments<'_>) {
        let mut open = self.lock();
        let now = base::clock::unix_seconds();
        if open.second != now {
            open.second = now;
            open.stamp = stamp(now);
            self.rotate_if_due(&mut open, now);
        } else if open.bytes >= self.settings.max_file_bytes {
            self.rotate_if_due(&mut open, now);
        }
        let pid = std::process::id();
        let line = format!(
            "[{}] {} {}[{pid}]: {category:?} {level:?}: {}\n",
            open.stamp,
            self.settings.host,
            self.program,
            escape(&text.to_string())
        );
        let _ = open.file.write_all(line.as_bytes());
        open.bytes = open.bytes.saturating_add(line.len() as u64);
    }

    /// Takes up the file that now has the name: another process may have rotated.
    fn follow(&self, open: &mut Open) {
        if let Ok(file) = append(&self.path) {
            open.bytes = file.metadata().map_or(0, |m| m.len());
            open.file = file;
        }
    }

    fn rotate_if_due(&self, open: &mut Open, now: i64) {
        let Ok(lock) = append(&self.settings.folder.join(".lock")) else { return };
        #[allow(clippy::incompatible_msrv)]
        if lock.lock().is_err() {
            return;
        }
        let same = |a: &std::fs::Metadata| open.file.metadata().is_ok_and(|b| a.ino() == b.ino());
        if !std::fs::metadata(&self.path).is_ok_and(|named| same(&named)) {
            return self.follow(open);
        }
        let Ok(meta) = open.file.metadata() else { return };
        open.bytes = meta.len();
        let born = meta
            .created()
            .ok()
            .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok())
            .map_or(now, |d| i64::try_from(d.as_secs()).unwrap_or(now));
        let old = now.saturating_sub(born) >= self.settings.rollover_seconds;
        if open.bytes < self.settings.max_file_bytes && !(old && open.bytes > 0) {
            return;
        }
        let mut kept = self.rotated();
        let next = kept.last().map_or(1, |(sequence, ..)| sequence.saturating_add(1));
        let name = format!("{}.{next}.{now}", self.path.display());
        if std::fs::rename(&self.path, &name).is_err() {
            return;
        }
        kept.push((next, now, open.bytes, PathBuf::from(name)));
        self.expire(kept, now);
        self.follow(open);
        let created = format!(
            "[{}] {} {}[{}]: General Notice: Log created ({now})\n",
            open.stamp,
            self.settings.host,
            self.program,
            std::process::id()
        );
        let _ = open.file.write_all(created.as_bytes());
        open.bytes = open.bytes.saturating_add(created.len() as u64);
    }

    /// Sequence, time, size and path of the rotated files, oldest first.
    fn rotated(&self) -> Vec<(u64, i64, u64, PathBuf)> {
        let service = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(entries) = std::fs::read_dir(&self.settings.folder) else { return Vec::new() };
        let mut found: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let (sequence, time) = name.strip_prefix(&service)?.strip_prefix('.')?.split_once('.')?;
                Some((sequence.parse().ok()?, time.parse().ok()?, entry.metadata().ok()?.len(), entry.path()))
            })
            .collect();
        found.sort();
        found
    }

    fn expire(&self, kept: Vec<(u64, i64, u64, PathBuf)>, now: i64) {
        let mut total = 0u64;
        for (at, (_, time, bytes, path)) in kept.into_iter().rev().enumerate() {
            total = total.saturating_add(bytes);
            let old = now.saturating_sub(time) >= self.settings.expiry_seconds;
            if old || total > self.settings.max_total_bytes || at.saturating_add(1) >= self.settings.max_files
            {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// The second in UTC (Hinnant's days-to-civil).
fn stamp(now: i64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (now.div_euclid(86400) + 719_468, now.rem_euclid(86400));
    let era = days.div_euclid(146_097);
    let doe = days.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = usize::try_from((mp + 2) % 12).unwrap_or(0);
    let year = yoe + era * 400 + i64::from(month < 2);
    format!("{day:02}/{}/{year:04}:{:02}:{:02}:{:02} +0000", MONTHS[month], second / 3600, second / 60 % 60, second % 60)
}

/// Control characters as `\xNN`, so that no text forges a line.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(safe, "\\x{:02x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path, max: u64) -> LogSettings {
        LogSettings {
            folder: folder.into(),
            host: "host".into(),
            level: Level::Notice,
            max_file_bytes: max,
            max_total_bytes: 1 << 20,
            max_files: 3,
            rollover_seconds: 86400,
            expiry_seconds: 86400,
        }
    }

    #[test]
    fn text_of_a_stranger_cannot_forge_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open("smtp", "smtpd", settings(folder.path(), 1 << 20)).unwrap();
        log.notice(Category::Account, format_args!("a\r\nb"));
        log.debug(Category::General, format_args!("hidden"));
        let text = std::fs::read_to_string(folder.path().join("smtp")).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(
            text.contains("General Notice: Log created (")
                && text.ends_with(": Account Notice: a\\x0d\\x0ab\n"),
            "{text}"
        );
    }

    #[test]
    fn a_full_file_is_rotated_and_few_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open("smtp", "smtpd", settings(folder.path(), 1024)).unwrap();
        for n in 0..100 {
            log.notice(Category::General, format_args!("line {n}"));
        }
        let count =
            std::fs::read_dir(folder.path()).unwrap().flatten().filter(|e| e.file_name() != ".lock").count();
        assert!((2..=3).contains(&count), "{count}");
    }
}
