//! Entries that are only in memory and in the journal: those that were accepted a moment ago. Most are finished at their first
//! attempt and never become files. What is still there after [`FILED_AFTER`], or has to wait, or is wanted as a file,
//! becomes one: it is *filed*.
//!
//! Their records survive the end of the process, and what is recorded of them is recorded in the journal, before it is
//! believed. So at the next start they become files ([`crate::Queue::recover`]), with all steps.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base::crash;
use commit_journal::Ticket;
use server_log::{Category, Log};

use crate::QueueId;
use crate::counts::Counts;
use crate::journal::QueueJournal;

/// Whoever looks into the folders sees what has been in the queue for this long, and a tick.
pub const FILED_AFTER: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(500);
/// Bytes of messages in memory; beyond them, new ones become files at once.
const BYTES_MAX: usize = 32 << 20;
/// Entries in memory.
const ENTRIES_MAX: usize = 5000;

/// One entry that has, or had, no files.
pub(crate) struct Young {
    id: QueueId,
    size: usize,
    since: Instant,
    state: Mutex<State>,
}

struct State {
    place: Place,
    /// What its files would hold; nothing when it has them.
    body: Arc<[u8]>,
    text: String,
    /// Of the last step that was recorded in the journal.
    ticket: Option<Ticket>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Memory,
    Files,
    Nowhere,
}

impl Young {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its message, while it is in memory.
    pub fn body(&self) -> Option<Arc<[u8]>> {
        let state = self.lock();
        (state.place == Place::Memory).then(|| state.body.clone())
    }

    /// Its envelope's text, while it is in memory.
    pub fn text(&self) -> Option<String> {
        let state = self.lock();
        (state.place == Place::Memory).then(|| state.text.clone())
    }

    /// Whether it is in memory.
    pub fn is_young(&self) -> bool {
        self.lock().place == Place::Memory
    }

    /// Records steps, if it is in memory; the length of the text then. They survive the end of the process.
    ///
    /// # Errors
    /// The journal takes nothing. It is to become a file, which can be appended to.
    pub fn append(&self, journal: &QueueJournal, steps: &str) -> io::Result<Option<u64>> {
        let mut state = self.lock();
        if state.place != Place::Memory {
            return Ok(None);
        }
        state.ticket = Some(journal.steps(&self.id, steps)?);
        state.text.push_str(steps);
        Ok(Some(state.text.len() as u64))
    }

    /// What the last step is to be waited for by; nothing when it is not in memory. Its acceptance was waited for.
    pub fn last_step(&self) -> Option<Option<Ticket>> {
        let state = self.lock();
        (state.place == Place::Memory).then_some(state.ticket)
    }
}

/// All of them.
pub(crate) struct Nursery {
    control: PathBuf,
    messages: PathBuf,
    pub counts: Counts,
    filed_after: Duration,
    log: Log,
    inside: Mutex<Inside>,
    /// There is one, or it is over.
    changed: Condvar,
}

#[derive(Default)]
struct Inside {
    entries: HashMap<QueueId, Arc<Young>>,
    bytes: usize,
    closing: bool,
    /// It was said that they cannot be filed.
    complained: bool,
}

impl Nursery {
    pub fn new(
        queue: &Path,
        control: PathBuf,
        messages: PathBuf,
        filed_after: Duration,
        log: Log,
    ) -> Nursery {
        let counts = Counts::begin(queue);
        Nursery {
            control,
            messages,
            counts,
            filed_after,
            log,
            inside: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn find(&self, id: &QueueId) -> Option<Arc<Young>> {
        self.lock().entries.get(id).cloned()
    }

    /// Takes an entry in, before its record is written. Nothing when there is no room.
    ///
    /// # Errors
    /// `AlreadyExists`: there is one of this name.
    pub fn take(&self, id: &QueueId, text: &str, body: Arc<[u8]>) -> io::Result<Option<Arc<Young>>> {
        let mut inside = self.lock();
        if inside.entries.contains_key(id) || self.control.join(id.envelope_name()).exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let size = body.len();
        let bytes = inside.bytes.saturating_add(size);
        if inside.closing || bytes > BYTES_MAX || inside.entries.len() >= ENTRIES_MAX {
            return Ok(None);
        }
        let state = State { place: Place::Memory, body, text: text.to_owned(), ticket: None };
        let young = Arc::new(Young { id: id.clone(), size, since: Instant::now(), state: Mutex::new(state) });
        inside.bytes = bytes;
        inside.entries.insert(id.clone(), young.clone());
        self.counts.set_young(inside.entries.len());
        if inside.entries.len() == 1 {
            self.changed.notify_one();
        }
        Ok(Some(young))
    }

    fn forget(&self, young: &Young) {
        let mut inside = self.lock();
        if inside.entries.remove(&young.id).is_some() {
            inside.bytes = inside.bytes.saturating_sub(young.size);
            self.counts.set_young(inside.entries.len());
        }
    }

    /// It is done with. Whether it had no files.
    pub fn end(&self, young: &Young) -> bool {
        let was_young = {
            let mut state = young.lock();
            let was_young = state.place == Place::Memory;
            if was_young {
                state.place = Place::Nowhere;
            }
            was_young
        };
        self.forget(young);
        was_young
    }

    /// It has files when this returns, unless it is done with. They are not synced: its record is still there.
    ///
    /// # Errors
    /// The system's; it is in memory still.
    pub fn file(&self, young: &Young) -> io::Result<()> {
        {
            let mut state = young.lock();
            if state.place == Place::Memory {
                self.write(&young.id, &state.body, &state.text)?;
                state.place = Place::Files;
                (state.body, state.text) = (Arc::default(), String::new()); // who waits long needs no memory
            }
        }
        self.forget(young);
        Ok(())
    }

    /// The message first: an envelope never stands alone.
    fn write(&self, id: &QueueId, body: &[u8], text: &str) -> io::Result<()> {
        let message = self.messages.join(id.as_str());
        let temporary = self.control.join(format!("new-{id}"));
        let write = |path: &PathBuf, bytes: &[u8]| {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
            file.write_all(bytes)
        };
        let written = (|| {
            write(&message, body)?;
            crash::step("file: message written");
            write(&temporary, text.as_bytes())?;
            crash::step("file: envelope written");
            os::file::rename_new(&temporary, &self.control.join(id.envelope_name()))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
            let _ = fs::remove_file(&message);
        }
        crash::step("file: envelope named");
        written
    }

    /// All that are there have files when this returns.
    ///
    /// # Errors
    /// The system's: some have none.
    pub fn file_all(&self) -> io::Result<()> {
        self.file_older(Duration::ZERO)
    }

    fn file_older(&self, age: Duration) -> io::Result<()> {
        let old = |young: &&Arc<Young>| young.since.elapsed() >= age;
        let due: Vec<Arc<Young>> = self.lock().entries.values().filter(old).cloned().collect();
        let mut outcome = Ok(());
        for young in due {
            if let Err(why) = self.file(&young) {
                outcome = Err(why);
            }
        }
        outcome
    }

    /// Begins to file what grows old.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn begin(self: &Arc<Nursery>) -> io::Result<JoinHandle<()>> {
        let nursery = self.clone();
        std::thread::Builder::new().name("queue-files".into()).spawn(move || nursery.keep())
    }

    fn keep(&self) {
        loop {
            {
                let mut inside = self.lock();
                while inside.entries.is_empty() && !inside.closing {
                    inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
                }
                if !inside.closing {
                    let waited = self.changed.wait_timeout(inside, TICK);
                    inside = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                if inside.closing {
                    return;
                }
            }
            let outcome = self.file_older(self.filed_after);
            let complained = std::mem::replace(&mut self.lock().complained, outcome.is_err());
            if let Err(why) = outcome.as_ref().map_err(|why| why.to_string()) {
                if !complained {
                    self.log.warning(
                        Category::General,
                        format_args!("queue: accepted messages are in the journal, and cannot be written as files: {why}"),
                    );
                }
            }
        }
    }

    /// Nothing new is taken; what is there becomes files.
    ///
    /// # Errors
    /// Some could not: they are in the journal only.
    pub fn close(&self) -> io::Result<()> {
        self.lock().closing = true;
        self.changed.notify_all();
        self.file_all()
    }
}
