//! Our end of slog: where a record goes.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use slog::{Drain, KV, Key, Never, OwnedKVList, Record, Serializer};

use crate::file::LogFile;
use crate::line::escape;
use crate::{Level, LogSettings, syslog};

pub(crate) enum Destination {
    Discard,
    /// The program's name.
    Stderr(String),
    Syslog {
        program: String,
        level: AtomicU8,
    },
    File {
        file: Box<LogFile>,
        level: AtomicU8,
    },
}

impl Destination {
    pub fn file(service: &str, program: &str, settings: LogSettings) -> io::Result<Destination> {
        let level = AtomicU8::new(settings.level.number());
        Ok(Destination::File { file: Box::new(LogFile::open(service, program, settings)?), level })
    }

    pub fn syslog(program: &str, level: Level) -> Destination {
        Destination::Syslog { program: program.to_owned(), level: AtomicU8::new(level.number()) }
    }

    /// Whether a line of this level is written at all.
    pub fn takes(&self, level: Level) -> bool {
        match self {
            Destination::Discard => false,
            Destination::Stderr(_) => level <= Level::Warning,
            Destination::Syslog { level: most, .. } | Destination::File { level: most, .. } => {
                level <= Level::of_number(most.load(Ordering::Relaxed))
            }
        }
    }

    pub fn reopen(&self) {
        if let Destination::File { file, .. } = self {
            file.reopen();
        }
    }

    pub fn configure(&self, settings: LogSettings) {
        match self {
            Destination::Discard | Destination::Stderr(_) => {}
            Destination::Syslog { level, .. } => level.store(settings.level.number(), Ordering::Relaxed),
            Destination::File { file, level } => {
                level.store(settings.level.number(), Ordering::Relaxed);
                file.configure(settings);
            }
        }
    }

    /// # Errors
    /// The file's; syslog tells nothing.
    pub fn write(&self, category: &str, level: Level, text: &str) -> io::Result<()> {
        match self {
            Destination::Discard => {}
            Destination::Stderr(program) => {
                let _ = writeln!(io::stderr(), "{program}: {}", escape(text));
            }
            Destination::Syslog { program, .. } => {
                syslog::send(program, level, &format!("{category} {}: {}", level.name(), escape(text)));
            }
            Destination::File { file, .. } => return file.write(category, level, text),
        }
        Ok(())
    }
}

/// The drain. It never fails: see the head of the crate.
pub(crate) struct Ours(pub Arc<Destination>);

impl Drain for Ours {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _context: &OwnedKVList) -> Result<(), Never> {
        let mut found = FindCategory(String::new());
        let _ = record.kv().serialize(record, &mut found);
        let _ = self.0.write(&found.0, Level::of_slog(record.level()), &record.msg().to_string());
        Ok(())
    }
}

struct FindCategory(String);

impl Serializer for FindCategory {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        if key == "category" {
            self.0 = value.to_string();
        }
        Ok(())
    }

    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        if key == "category" {
            value.clone_into(&mut self.0);
        }
        Ok(())
    }
}
