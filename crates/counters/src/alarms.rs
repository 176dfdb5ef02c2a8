//! `counter/alarms`: what stored knows of the things that it watches, a line each. Replaced as a whole, durably, so that a
//! restart does not warn again.
//!
//! ```text
//! diskavail primary current=7 low=7 high=93 set=1764500000 over=1 warned=1 lastwarning=1764500000 changed=1764500000 state=1 told=1
//! ```

use std::io;
use std::path::{Path, PathBuf};

/// Things that are watched at most; what is more in the file is passed over.
pub const WATCHED_MAX: usize = 1000;

/// One thing that is watched: a partition, a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// "diskavail"
    pub alarm: String,
    /// "primary"; without blanks.
    pub instance: String,
    /// What it was at the last look; percent or seconds.
    pub current: u64,
    pub low: u64,
    pub high: u64,
    /// When that was, in seconds since 1970, as are the other times; 0 is never.
    pub set: i64,
    /// How often it crossed the threshold.
    pub over: u64,
    /// How many warnings were sent.
    pub warned: u64,
    pub last_warning: i64,
    /// When it last crossed the threshold, in either direction.
    pub changed: i64,
    /// It is beyond the threshold.
    pub is_over: bool,
    /// A mail warned of it, and none has said yet that it is over.
    pub is_told: bool,
}

impl Watched {
    fn line(&self) -> String {
        format!(
            "{} {} current={} low={} high={} set={} over={} warned={} lastwarning={} changed={} state={} told={}\n",
            self.alarm,
            self.instance,
            self.current,
            self.low,
            self.high,
            self.set,
            self.over,
            self.warned,
            self.last_warning,
            self.changed,
            u8::from(self.is_over),
            u8::from(self.is_told)
        )
    }

    fn parse(line: &str) -> Option<Watched> {
        let mut words = line.split_ascii_whitespace();
        let mut found = Watched {
            alarm: words.next()?.to_owned(),
            instance: words.next()?.to_owned(),
            ..Watched::default()
        };
        for word in words {
            let (key, value) = word.split_once('=')?;
            match key {
                "current" => found.current = value.parse().ok()?,
                "low" => found.low = value.parse().ok()?,
                "high" => found.high = value.parse().ok()?,
                "set" => found.set = value.parse().ok()?,
                "over" => found.over = value.parse().ok()?,
                "warned" => found.warned = value.parse().ok()?,
                "lastwarning" => found.last_warning = value.parse().ok()?,
                "changed" => found.changed = value.parse().ok()?,
                "state" => found.is_over = value == "1",
                "told" => found.is_told = value == "1",
                _ => {} // of a later version
            }
        }
        Some(found)
    }
}

/// Percent of `whole` that are free, rounded down; 0 of nothing.
pub fn percent(free: u64, whole: u64) -> u64 {
    let percent = u128::from(free) * 100 / u128::from(whole.max(1));
    u64::try_from(percent.min(100)).unwrap_or(100)
}

/// The file, from the folder of counters.
pub fn alarm_file(folder: &Path) -> PathBuf {
    folder.join("alarms")
}

/// What is known; nothing when there is no file. A line that cannot be read is passed over: its thing is looked at anew.
///
/// # Errors
/// The file may not be read.
pub fn read(folder: &Path) -> io::Result<Vec<Watched>> {
    match std::fs::read(alarm_file(folder)) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            Ok(text.lines().filter_map(Watched::parse).take(WATCHED_MAX).collect())
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(why) => Err(why),
    }
}

/// Replaces what is known.
///
/// # Errors
/// The system's; the file is what it was then.
pub fn write(folder: &Path, all: &[Watched]) -> io::Result<()> {
    let text: String = all.iter().map(Watched::line).collect();
    base::replace::durable_replace(&alarm_file(folder), text.as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nonsense_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), []);
        let one = Watched {
            alarm: "diskavail".into(),
            instance: "primary".into(),
            current: 7,
            last_warning: 9,
            is_over: true,
            is_told: true,
            ..Watched::default()
        };
        write(folder.path(), std::slice::from_ref(&one)).unwrap();
        assert_eq!(read(folder.path()).unwrap(), [one]);
        let mut bytes = std::fs::read(alarm_file(folder.path())).unwrap();
        bytes.extend_from_slice(b"\xff\xfe\nserverresponse\nserverresponse imap current=x\n\nx y later=1\n");
        std::fs::write(alarm_file(folder.path()), bytes).unwrap();
        assert_eq!(read(folder.path()).unwrap().len(), 2);
    }
}
