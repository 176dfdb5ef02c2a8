//! `run/store.ready`: stored has recovered the store, the others may open it (S163).
//!
//! The file names the process, when it was started, and this start of the system, so that what a crash left is not
//! believed: after a power cut, the next stored may well have the same number, and be as many ticks behind the start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::shared::system_number;
use crate::{Result, Severity, StoreError, StoreLog, StoreSettings, Wait};

const POLL: Duration = Duration::from_millis(20);
/// Daemons are started together, so a short wait is not worth a line.
const WARNING_AFTER: Duration = Duration::from_secs(1);

fn file(run_folder: &Path) -> PathBuf {
    run_folder.join("store.ready")
}

/// Clock ticks since the system's start at which a process began (proc(5), field 22).
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

pub fn set(run_folder: &Path) -> io::Result<()> {
    let pid = std::process::id();
    let text = format!("{pid} {} {}\n", start_of(pid).unwrap_or(0), system_number());
    base::replace::durable_replace(&file(run_folder), text.as_bytes(), 0o600)
}

pub fn clear(run_folder: &Path) -> io::Result<()> {
    match fs::remove_file(file(run_folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a stored that runs now has said so.
pub fn is_set(run_folder: &Path) -> bool {
    let Ok(text) = fs::read_to_string(file(run_folder)) else { return false };
    let mut words = text.split_whitespace();
    let (Some(pid), Some(start)) = (words.next(), words.next()) else { return false };
    let pid: u32 = pid.parse().unwrap_or(0);
    let system: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    // 0: of a system that does not say.
    let is_this = system == 0 || [0, system].contains(&system_number());
    is_this && start.parse().ok() == start_of(pid)
}

/// Waits for stored; a warning says so when it is not there soon.
///
/// # Errors
/// `NotReady`, naming stored's log, when it takes longer than the settings allow.
pub fn wait(settings: &StoreSettings, log: &StoreLog) -> Result<()> {
    let Wait::ForStored(patience) = settings.wait else { return Ok(()) };
    let begin = Instant::now();
    let mut told = false;
    while !is_set(&settings.run_folder) {
        if begin.elapsed() >= WARNING_AFTER && !told {
            told = true;
            let why = StoreError::NotReady(settings.stored_log.display().to_string());
            log.write(Severity::Warning, &format!("waiting for stored: {why}"));
        }
        if begin.elapsed() >= patience {
            return Err(StoreError::NotReady(settings.stored_log.display().to_string()));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_runs_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings {
            run_folder: folder.path().to_owned(),
            wait: Wait::ForStored(Duration::from_millis(1)),
            ..StoreSettings::in_folder(folder.path())
        };
        assert!(matches!(wait(&settings, &StoreLog::discard()), Err(StoreError::NotReady(_))));
        set(folder.path()).unwrap();
        wait(&settings, &StoreLog::discard()).unwrap();
        fs::write(file(folder.path()), format!("{} 1\n", std::process::id())).unwrap();
        assert!(!is_set(folder.path()), "another process had this number");
        let text = format!("{} {}", std::process::id(), start_of(std::process::id()).unwrap());
        fs::write(file(folder.path()), &text).unwrap();
        assert!(is_set(folder.path()));
        fs::write(file(folder.path()), format!("{text} {}\n", system_number() ^ 1)).unwrap();
        assert!(!is_set(folder.path()), "it was before the system's last start");
        clear(folder.path()).unwrap();
        clear(folder.path()).unwrap();
    }
}
