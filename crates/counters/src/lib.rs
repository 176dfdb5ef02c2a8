//! What the daemons count, in memory that they share with who looks at it (`docs/formats/counters.md`).
//!
//! Each process has a slot of words of its own, so counting is one relaxed atomic addition to memory that nobody else
//! writes: no lock, no system call. Before [`attach`], and where there is no file, a process counts in memory of its own, and
//! nothing else is different: counting never fails and never stops anybody.
//!
//! ```text
//! counters::add(Counter::Commands, 1);
//! ```

pub mod alarms;
mod definition;
mod file;
mod reading;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use base::latest::Latest;

pub use definition::{Counter, DEFINITIONS, Definition, Group, Kind, SERVICES};
pub use file::{SLOTS, counter_file};
pub use reading::Reading;

use file::OwnSlot;

/// Of a process that has no slot.
static OWN: [AtomicU64; DEFINITIONS.len()] = [const { AtomicU64::new(0) }; DEFINITIONS.len()];
static SLOT: OnceLock<Latest<OwnSlot>> = OnceLock::new();
/// The second at which this process began to count.
static BEGUN: AtomicU64 = AtomicU64::new(0);
/// When the file is looked at again.
static NEXT_LOOK: Mutex<Option<Instant>> = Mutex::new(None);
/// How often, at most.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same after it could not be had.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

#[inline]
fn word(counter: Counter) -> &'static AtomicU64 {
    let own = &OWN[counter as usize];
    SLOT.get().and_then(|slot| slot.get().word(counter)).unwrap_or(own)
}

/// So many more.
#[inline]
pub fn add(counter: Counter, count: u64) {
    word(counter).fetch_add(count, Ordering::Relaxed);
}

/// So many fewer, of what can be fewer ([`Kind::Now`]). Whoever takes away has added before, in this process.
#[inline]
pub fn subtract(counter: Counter, count: u64) {
    word(counter).fetch_sub(count, Ordering::Relaxed);
}

/// It is this many now.
#[inline]
pub fn set(counter: Counter, value: u64) {
    word(counter).store(value, Ordering::Relaxed);
}

/// One more now; `most` is how many there have been at once. The count.
pub fn enter(now: Counter, most: Counter) -> u64 {
    enter_in(word(now), word(most))
}

fn enter_in(now: &AtomicU64, most: &AtomicU64) -> u64 {
    let count = now.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    // In a file that was cut, those who end take away from nought.
    if i64::try_from(count).is_ok() {
        most.fetch_max(count, Ordering::Relaxed);
    }
    count
}

/// Counts in `folder`'s file from now on, as this service ([`SERVICES`]), what was counted before included. At once for the
/// whole process, before it has threads that count; until it ends.
///
/// What comes of it is a line for the log, or nothing to say. A file that is damaged, or of another version, was put aside.
///
/// # Errors
/// There is no such service, no free slot, no room on the disk; this process counts in memory of its own then. It has a slot
/// already.
pub fn attach(folder: &Path, service: &str) -> io::Result<Option<String>> {
    let number = SERVICES.iter().position(|known| *known == service);
    let number = number.ok_or_else(|| io::Error::other(format!("{service} counts nothing")))?;
    let (slot, told) = OwnSlot::take(folder, number)?;
    SLOT.set(Latest::new(slot)).map_err(|_| io::Error::from(io::ErrorKind::AlreadyExists))?;
    for definition in DEFINITIONS {
        let before = OWN[definition.counter as usize].swap(0, Ordering::Relaxed);
        add(definition.counter, before);
    }
    BEGUN.store(u64::try_from(base::clock::unix_seconds()).unwrap_or(0), Ordering::Relaxed);
    set(Counter::StartTime, BEGUN.load(Ordering::Relaxed));
    Ok(told)
}

/// For who has a moment, as the event loop after a turn: whether the file is still the one that others look at, every few
/// seconds at most. One that was cut, removed or replaced is taken up anew, with what this process has counted.
///
/// What comes of it is a line for the log, or nothing to say. After a line, who knows how many there are now ([`Kind::Now`]) sets it
/// anew: of a slot that was cut, nobody else knows.
///
/// # Errors
/// There is no other file to be had; this process counts where nobody looks, and tries again.
pub fn look(now: Instant) -> io::Result<Option<String>> {
    let Some(slots) = SLOT.get() else { return Ok(None) };
    let Ok(mut next) = NEXT_LOOK.try_lock() else { return Ok(None) };
    if next.is_some_and(|next| now < next) {
        return Ok(None);
    }
    let looked = file::look(slots);
    let is_short = looked.as_ref().err().is_none_or(|why| why.kind() == io::ErrorKind::TimedOut);
    *next = now.checked_add(if is_short { LOOK_EVERY } else { LOOK_AGAIN });
    if let Ok(Some(_)) = &looked {
        set(Counter::StartTime, BEGUN.load(Ordering::Relaxed));
    }
    match looked {
        Err(why) if why.kind() == io::ErrorKind::TimedOut => Ok(None), // somebody else is at it
        looked => looked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_behind_a_cut_is_no_peak() {
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        now.fetch_sub(2, Ordering::Relaxed);
        let counts = [(); 4].map(|()| enter_in(&now, &most));
        assert_eq!((counts, most.into_inner()), ([u64::MAX, 0, 1, 2], 2));
    }
}
