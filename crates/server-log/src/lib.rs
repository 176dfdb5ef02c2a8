//! The log of a service: the original's line or JSON, into rotated files or syslog.
//!
//! `[28/Feb/2000:10:00:00 -0800] host smtpd[10000]: General Notice: text`, one `write(2)` in append mode per line, so
//! that the processes of a service share a file. A log that cannot be written never stops the mail: the line is lost.
//! Text of strangers is escaped ([`line`]). What is logged passes through slog; [`drain`] is our end of it.

mod audit;
mod drain;
mod file;
mod level;
mod line;
mod settings;
mod syslog;

use std::fmt;
use std::io;
use std::sync::Arc;

use slog::Logger;

pub use audit::Action;
pub use level::{Category, Level};
pub use settings::{Format, LogSettings};

use drain::{Destination, Ours};

/// One service's log; clones share it.
#[derive(Clone)]
pub struct Log {
    logger: Logger,
    destination: Arc<Destination>,
    audit: Option<Arc<Destination>>,
}

macro_rules! shortcuts {
    ($($name:ident $level:ident),*) => {
        $(#[doc = concat!("Writes a line of level ", stringify!($level), ".")]
        pub fn $name(&self, category: Category, text: fmt::Arguments<'_>) {
            self.write(category, Level::$level, text);
        })*
    };
}

impl Log {
    /// Opens (or creates) `<folder>/<service>`, or syslog (`logfile.<service>.logtype`).
    ///
    /// # Errors
    /// The folder or the file cannot be made or opened.
    pub fn open(service: &str, program: &str, settings: LogSettings) -> io::Result<Log> {
        Ok(Log::to(if settings.syslog {
            Destination::syslog(program, settings.level)
        } else {
            Destination::file(service, program, settings)?
        }))
    }

    /// Keeps nothing; for tests.
    pub fn discard() -> Log {
        Log::to(Destination::Discard)
    }

    /// Warnings and worse go to standard error; for tools.
    pub fn to_stderr(program: &str) -> Log {
        Log::to(Destination::Stderr(program.to_owned()))
    }

    fn to(destination: Destination) -> Log {
        let destination = Arc::new(destination);
        Log { logger: Logger::root(Ours(Arc::clone(&destination)), slog::o!()), destination, audit: None }
    }

    /// Writes one line if `level` is logged.
    pub fn write(&self, category: Category, level: Level, text: fmt::Arguments<'_>) {
        if !self.destination.takes(level) {
            return;
        }
        let category = category.name();
        match level {
            Level::Critical => slog::crit!(self.logger, "{}", text; "category" => category),
            Level::Error => slog::error!(self.logger, "{}", text; "category" => category),
            Level::Warning => slog::warn!(self.logger, "{}", text; "category" => category),
            Level::Notice => slog::info!(self.logger, "{}", text; "category" => category),
            Level::Information => slog::debug!(self.logger, "{}", text; "category" => category),
            Level::Debug => slog::trace!(self.logger, "{}", text; "category" => category),
        }
    }

    shortcuts!(critical Critical, error Error, warning Warning, notice Notice, information Information, debug Debug);

    /// Opens the file anew, after somebody moved it away.
    pub fn reopen(&self) {
        self.destination.reopen();
        if let Some(audit) = &self.audit {
            audit.reopen();
        }
    }

    /// Takes other limits, level and format from now on (SIGHUP). Folder and kind stay until a restart.
    pub fn configure(&self, settings: LogSettings) {
        self.destination.configure(settings);
    }
}
