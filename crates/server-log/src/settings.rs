//! The `logfile.<service>.*` parameters as plain values.

use std::path::PathBuf;

use server_config::parameters::{local, logfile};
use server_config::{Config, Instance};

use crate::Level;

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The original's line.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where a service logs and how much is kept.
#[derive(Clone, Debug)]
pub struct LogSettings {
    pub folder: PathBuf,
    pub host: String,
    pub level: Level,
    pub format: Format,
    /// To syslog instead of a file.
    pub syslog: bool,
    /// Size at which a new file is begun.
    pub max_file_bytes: u64,
    /// Of all rotated files together.
    pub max_total_bytes: u64,
    pub max_files: usize,
    /// Age at which a new file is begun.
    pub rollover_seconds: i64,
    /// Age at which a rotated file is deleted.
    pub expiry_seconds: i64,
    /// Free bytes of the file system below which nothing is logged.
    pub min_free_bytes: u64,
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
        let bytes = |n: i64| u64::try_from(n).unwrap_or(0);
        let json = config.get_in(&logfile::FORMAT, service).eq_ignore_ascii_case("json");
        LogSettings {
            folder: if folder.is_empty() { instance.log_dir(service) } else { instance.root().join(folder) },
            host: host.trim().to_owned(),
            level: Level::named(&config.get_in(&logfile::LOG_LEVEL, service)).unwrap_or(Level::Notice),
            format: if json { Format::Json } else { Format::Text },
            syslog: config.get_in(&logfile::LOG_TYPE, service).eq_ignore_ascii_case("syslog"),
            max_file_bytes: bytes(config.get_in(&logfile::MAX_LOG_FILE_SIZE, service)),
            max_total_bytes: bytes(config.get_in(&logfile::MAX_LOG_SIZE, service)),
            max_files: usize::try_from(config.get_in(&logfile::MAX_LOG_FILES, service)).unwrap_or(1),
            rollover_seconds: seconds(config.get_in(&logfile::ROLLOVER_TIME, service)),
            expiry_seconds: seconds(config.get_in(&logfile::EXPIRY_TIME, service)),
            min_free_bytes: bytes(config.get_in(&logfile::MIN_FREE_DISK_SPACE, service)),
        }
    }
}
