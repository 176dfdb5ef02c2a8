//! The counts of today while sessions go on.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{Day, Failed, PolicyType};

/// After this the file of the day is as new as the counts.
const PAUSE: Duration = Duration::from_secs(5);
/// Days that are kept.
const DAYS_MAX: usize = 30;

/// One session, or one that did not come about because of TLS.
#[derive(Clone, Debug)]
pub struct Noted<'a> {
    /// The policy domain: where the mail was going.
    pub domain: &'a str,
    pub policy: PolicyType,
    /// The lines of the policy, and the hosts it names.
    pub strings: &'a [String],
    pub mx_hosts: &'a [String],
    pub failed: Option<Failed>,
}

struct State {
    day: Day,
    changed: bool,
    ended: bool,
}

struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
    waker: Condvar,
}

/// Counts; one for a process. Dropping it writes what is not written yet.
pub struct Tally {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The day of a second since 1970.
fn day_of(second: i64) -> String {
    let stamp = jiff::Timestamp::from_second(second).unwrap_or_default().to_string();
    stamp.get(..10).unwrap_or("1970-01-01").to_owned()
}

impl Tally {
    /// Goes on with what the folder has of today.
    ///
    /// # Errors
    /// The thread that writes cannot be started.
    pub fn open(folder: PathBuf) -> io::Result<Tally> {
        let today = day_of(base::clock::unix_seconds());
        let day = Tally::read(&folder, &today).unwrap_or_else(|| Day::new(&today));
        let state = Mutex::new(State { day, changed: false, ended: false });
        let shared = Arc::new(Shared { folder, state, waker: Condvar::new() });
        let writing = shared.clone();
        let writer = thread::Builder::new().name("tls-report".into()).spawn(move || write_on(&writing))?;
        Ok(Tally { shared, writer: Some(writer) })
    }

    /// Counts a session.
    pub fn note(&self, noted: &Noted<'_>) {
        let today = day_of(base::clock::unix_seconds());
        let mut state = lock(&self.shared);
        if state.day.name != today {
            let over = std::mem::replace(&mut state.day, Day::new(&today));
            let _ = write(&self.shared.folder, &over);
            remove_old(&self.shared.folder);
        }
        if let Some(counts) = state.day.of(noted.domain, noted.policy) {
            counts.say(noted.strings, noted.mx_hosts);
            match &noted.failed {
                None => counts.successes += 1,
                Some(failed) => counts.fail(failed),
            }
        }
        if !std::mem::replace(&mut state.changed, true) {
            self.shared.waker.notify_one();
        }
    }

    /// The counts of a day on disk; nothing when there are none.
    pub fn read(folder: &Path, day: &str) -> Option<Day> {
        if day.is_empty() || !day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return None;
        }
        Day::decode(&fs::read_to_string(folder.join(day)).ok()?)
    }

    /// The days on disk, the oldest first.
    pub fn days(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut days: Vec<String> = names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.len() == 10 && !name.starts_with('.'))
            .collect();
        days.sort();
        days
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        lock(&self.shared).ended = true;
        self.shared.waker.notify_all();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// The life of the thread that writes.
fn write_on(shared: &Shared) {
    let mut state = lock(shared);
    loop {
        state = shared
            .waker
            .wait_while(state, |state| !state.changed && !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        if !state.ended {
            let waited = shared.waker.wait_timeout_while(state, PAUSE, |state| !state.ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let (ended, changed) = (state.ended, std::mem::take(&mut state.changed));
        let day = changed.then(|| state.day.clone());
        drop(state);
        if let Some(day) = day {
            let _ = write(&shared.folder, &day); // counts are no mail: nobody waits for them
        }
        if ended {
            return;
        }
        state = lock(shared);
    }
}

/// Whole or not at all; not synced, since a crash may cost counts.
fn write(folder: &Path, day: &Day) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let temporary = folder.join(format!(".{}.new", day.name));
    fs::write(&temporary, day.encode())?;
    fs::rename(&temporary, folder.join(&day.name))
}

fn remove_old(folder: &Path) {
    let days = Tally::days(folder);
    for day in days.iter().take(days.len().saturating_sub(DAYS_MAX)) {
        let _ = fs::remove_file(folder.join(day));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(failed: Option<Failed>) -> Noted<'static> {
        Noted { domain: "a.test", policy: PolicyType::None, strings: &[], mx_hosts: &[], failed }
    }

    #[test]
    fn counts_are_on_disk_at_the_end_and_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        for round in 1..=2 {
            let tally = Tally::open(folder.path().join("reports")).unwrap();
            tally.note(&noted(None));
            tally.note(&noted(Some(crate::day::tests::failed("validation-failure"))));
            drop(tally);
            let folder = folder.path().join("reports");
            let days = Tally::days(&folder);
            assert_eq!(days.len(), 1);
            let day = Tally::read(&folder, &days[0]).unwrap();
            let counts = &day.policies[&("a.test".to_owned(), PolicyType::None)];
            assert_eq!((counts.successes, counts.failures), (round, round));
        }
    }

    #[test]
    fn only_so_many_days_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..DAYS_MAX as i64 + 3 {
            write(folder.path(), &Day::new(&day_of(number * 86_400))).unwrap();
        }
        remove_old(folder.path());
        let days = Tally::days(folder.path());
        assert_eq!((days.len(), days[0].as_str()), (DAYS_MAX, "1970-01-04"));
        assert_eq!(Tally::read(folder.path(), "../x"), None);
    }
}
