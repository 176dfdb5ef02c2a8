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
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

pub use definition::{Counter, DEFINITIONS, Definition, Group, Kind, SERVICES};
pub use file::{SLOTS, counter_file};
pub use reading::Reading;

use file::OwnSlot;

/// Of a process that has no slot.
static OWN: [AtomicU64; DEFINITIONS.len()] = [const { AtomicU64::new(0) }; DEFINITIONS.len()];
static SLOT: OnceLock<OwnSlot> = OnceLock::new();

#[inline]
fn word(counter: Counter) -> &'static AtomicU64 {
    let own = &OWN[counter as usize];
    SLOT.get().and_then(|slot| slot.word(counter)).unwrap_or(own)
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
    let count = word(now).fetch_add(1, Ordering::Relaxed).saturating_add(1);
    word(most).fetch_max(count, Ordering::Relaxed);
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
    SLOT.set(slot).map_err(|_| io::Error::from(io::ErrorKind::AlreadyExists))?;
    for definition in DEFINITIONS {
        let before = OWN[definition.counter as usize].swap(0, Ordering::Relaxed);
        add(definition.counter, before);
    }
    set(Counter::StartTime, u64::try_from(base::clock::unix_seconds()).unwrap_or(0));
    Ok(told)
}
