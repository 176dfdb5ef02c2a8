//! The journal: many write records, one sync makes them durable.
//!
//! Who appends writes its record at once, so that kill -9 takes nothing away. Who then waits for it to be durable either
//! syncs the segment, for everybody who has written so far (the leader), or waits for who is doing so; those who come
//! meanwhile are the next batch. The sync itself is the time in which others come. Only behind a batch that many waited for,
//! whoever is back first waits until half as many are, for as long as that sync took at most: they come one after another,
//! and the first one alone would cost all others a sync.
//!
//! What a record stands for is the owner's affair: it says by [`Hold`] whether a record must be kept until what it tells
//! is durable elsewhere, and makes it so when a segment is full ([`Owner::checkpoint`]). That is done by a thread of the
//! journal's own, while the other segment is being written. When both are full nobody waits: [`Journal::append`] refuses,
//! and its caller syncs files of his own.
//!
//! A sync that failed is never repeated: the kernel tells of lost pages once, and then counts them as clean. Everybody in
//! the batch hears of it, and the journal has *stopped*, as it has when a checkpoint fails: no segment is emptied any more
//! before the next start, since what ends the records of one stands in the other. Nothing is taken but what says something
//! about others ([`Hold::Nothing`]), as long as the younger segment can be written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::segment::{self, Header, Medium, PAGE_BYTES, SEGMENTS, encode_record};

/// What nobody waits for is durable this long after it was written.
const LAZY: Duration = Duration::from_secs(1);
/// What is kept only here is put in its place after this time.
const AGE_MAX: Duration = Duration::from_secs(60);
/// A batch of so many who waited is worth a wait before the next.
const MANY: usize = 6;
/// How long others are waited for at most.
const GATHER_MAX: Duration = Duration::from_millis(4);
/// The part of a segment that is left for [`Hold::Nothing`].
const RESERVED_PART: u64 = 32;

/// Where a journal is, and how large.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    pub folder: PathBuf,
    /// Of each of the two segments.
    pub segment_bytes: u64,
}

/// Whose journal it is.
pub trait Owner: Send + Sync {
    /// Makes durable elsewhere what the records of this epoch tell. `held`: some of it is only there; else what was
    /// released before must stay so. Returns when it is.
    ///
    /// # Errors
    /// The system's. The journal has stopped then.
    fn checkpoint(&self, epoch: u64, held: bool) -> io::Result<()>;

    /// The journal has stopped: until the next start every segment is kept as it is. Called once.
    fn stopped(&self, why: &io::Error);

    /// The records of this epoch are no more.
    fn forgotten(&self, epoch: u64);
}

/// How long a record is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Until [`Journal::release`], or until a checkpoint.
    UntilReleased,
    /// Until a checkpoint.
    Always,
    /// It only says something about others. There is always room for it, if need be after a wait, but when the journal has
    /// stopped, or is closed.
    Nothing,
}

/// A record that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    sequence: u64,
    /// The use of the segment in which it is.
    pub epoch: u64,
}

/// Why a record was not written.
#[derive(Debug)]
pub enum Refused {
    /// No room now, or the journal takes nothing any more.
    Full,
    Io(io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Free,
    Active,
    /// To be checkpointed.
    Full,
    /// It is checkpointed just now.
    Emptying,
    /// A write or a sync of it failed: it is written no more.
    Failed,
}

struct Segment {
    number: u32,
    medium: Arc<dyn Medium>,
    header: Header,
    usage: Use,
    tail: u64,
    /// Records that are not released.
    held: u64,
    /// When the first of them was written.
    since: Option<Instant>,
    unsynced: bool,
}

impl Segment {
    fn room(&self, length: u64, limit: u64) -> bool {
        self.tail.saturating_add(length) <= limit
    }

    fn is_used(&self) -> bool {
        self.tail > PAGE_BYTES
    }
}

struct State {
    segments: Vec<Segment>,
    next_epoch: u64,
    /// The last record that was written.
    written: u64,
    /// All up to here are durable, but for those of `failed`.
    settled: u64,
    /// Behind the first, up to the second.
    failed: Vec<(u64, u64)>,
    /// Somebody syncs, or is about to.
    leader: bool,
    /// Threads that wait for a record of theirs.
    waiting: usize,
    /// Those of the last batch, and how long its sync took.
    last_waiting: usize,
    last_took: Duration,
    /// Since when something is written that is not durable.
    unsynced_since: Option<Instant>,
    /// When the keeper looks again if nobody wakes it.
    looks_at: Option<Instant>,
    closing: bool,
    /// See the module.
    stopped: bool,
    /// The records of [`Hold::Nothing`] that are not durable: nobody may be there who would write them again.
    ends: Vec<Vec<u8>>,
    /// Those whose sync failed, until they are written to another segment.
    owed: Vec<Vec<u8>>,
}

struct Shared {
    owner: Box<dyn Owner>,
    state: Mutex<State>,
    /// A batch is settled.
    settled: Condvar,
    /// One more waits.
    arrived: Condvar,
    /// A segment is free, or none will be.
    freed: Condvar,
    /// There is something for the keeper to do.
    work: Condvar,
}

/// What a journal writes to, made of a file of it.
pub type MakeMedium = dyn Fn(fs::File) -> Arc<dyn Medium> + Send + Sync;

/// See the module. Dropping it closes it.
pub struct Journal {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Begins to write. What the segments held before is forgotten: the owner has read it ([`crate::read`]) and made it
    /// durable.
    ///
    /// # Errors
    /// The system's: no room for the segments.
    pub fn open(settings: JournalSettings, owner: Box<dyn Owner>) -> io::Result<Journal> {
        Journal::open_on(settings, owner, Box::new(|file| Arc::new(file)))
    }

    /// As [`Journal::open`], on what `make` makes of the files.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(
        settings: JournalSettings,
        owner: Box<dyn Owner>,
        make: Box<MakeMedium>,
    ) -> io::Result<Journal> {
        let length = settings.segment_bytes.next_multiple_of(PAGE_BYTES).max(8 * PAGE_BYTES);
        let folder = &settings.folder;
        let mut next_epoch = crate::read::last_epoch(folder)?.saturating_add(1);
        let mut segments = Vec::new();
        for number in 1..=SEGMENTS {
            let header = Header::new(next_epoch, length);
            next_epoch += 1;
            let medium = match reuse(folder, number, &header, &make) {
                Ok(Some(medium)) => medium,
                // Of another size, or where the disk does not take it any more.
                Ok(None) | Err(_) => make(segment::create(folder, number, &header)?),
            };
            let usage = if number == 1 { Use::Active } else { Use::Free };
            segments.push(Segment {
                number,
                medium,
                header,
                usage,
                tail: PAGE_BYTES,
                held: 0,
                since: None,
                unsynced: false,
            });
        }
        let state = State {
            segments,
            next_epoch,
            written: 0,
            settled: 0,
            failed: Vec::new(),
            leader: false,
            waiting: 0,
            last_waiting: 0,
            last_took: Duration::ZERO,
            unsynced_since: None,
            looks_at: None,
            closing: false,
            stopped: false,
            ends: Vec::new(),
            owed: Vec::new(),
        };
        let shared = Arc::new(Shared {
            owner,
            state: Mutex::new(state),
            settled: Condvar::new(),
            arrived: Condvar::new(),
            freed: Condvar::new(),
            work: Condvar::new(),
        });
        let kept = shared.clone();
        let keeper = std::thread::Builder::new().name("journal".into()).spawn(move || kept.keep())?;
        Ok(Journal { shared, keeper: Mutex::new(Some(keeper)) })
    }

    /// Writes a record, the concatenation of `parts`. It survives the end of the process from here on, and a power cut from
    /// the return of [`Journal::commit`] on, or a second later.
    ///
    /// # Errors
    /// [`Refused`]; nothing was written then that counts.
    pub fn append(&self, parts: &[&[u8]], hold: Hold) -> Result<Ticket, Refused> {
        self.write_down(parts, hold, true)
    }

    /// As [`Journal::append`], but never waits for room: for who has something that a checkpoint waits for.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_at_once(&self, parts: &[&[u8]], hold: Hold) -> Result<Ticket, Refused> {
        self.write_down(parts, hold, false)
    }

    fn write_down(&self, parts: &[&[u8]], hold: Hold, may_wait: bool) -> Result<Ticket, Refused> {
        let mut record = encode_record(parts);
        let mut state = self.shared.lock();
        let at = loop {
            let at = match state.segment_for(record.len() as u64, hold) {
                Some(at) => at,
                None if may_wait && hold == Hold::Nothing && state.may_be_freed() => {
                    self.shared.work.notify_one();
                    state = self.shared.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                None => {
                    self.shared.work.notify_one(); // a segment may have become full
                    return Err(Refused::Full);
                }
            };
            let Err(error) = state.write(at, &mut record) else { break at };
            // What of it may stand there does not verify.
            state.segments[at].usage = Use::Failed;
            state = self.shared.stop(state, &error);
            if hold != Hold::Nothing {
                return Err(Refused::Io(error));
            }
        };
        let now = Instant::now();
        let segment = &mut state.segments[at];
        if hold != Hold::Nothing {
            segment.held += 1;
            segment.since = segment.since.or(Some(now));
        }
        let epoch = segment.header.epoch;
        let ticket = Ticket { sequence: state.written, epoch };
        if hold == Hold::Nothing {
            state.ends.push(record);
        }
        let due = now + if hold == Hold::Nothing { LAZY } else { AGE_MAX };
        let is_early = state.looks_at.is_none_or(|looks| looks > due);
        let is_full = state.segments.iter().any(|segment| segment.usage == Use::Full);
        drop(state);
        if is_early || is_full {
            self.shared.work.notify_one();
        }
        Ok(ticket)
    }

    /// Returns when the record is on stable storage.
    ///
    /// # Errors
    /// The sync of its batch failed; whether it is there is not known.
    pub fn commit(&self, ticket: Ticket) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.waiting += 1;
        self.shared.arrived.notify_one();
        while state.settled < ticket.sequence {
            state = match state.leader {
                true => self.shared.settled.wait(state).unwrap_or_else(PoisonError::into_inner),
                false => self.shared.gather_and_lead(state),
            };
        }
        state.waiting -= 1;
        let lost = state.failed.iter().any(|(after, to)| (after + 1..=*to).contains(&ticket.sequence));
        if lost { Err(io::Error::other("the sync of the journal failed")) } else { Ok(()) }
    }

    /// A record of [`Hold::UntilReleased`] is not needed any more.
    pub fn release(&self, epoch: u64) {
        let mut state = self.shared.lock();
        if let Some(segment) = state.segments.iter_mut().find(|segment| segment.header.epoch == epoch) {
            segment.held = segment.held.saturating_sub(1);
            if segment.held == 0 {
                segment.since = None;
            }
        }
    }

    /// Puts everything in its place and takes nothing any more. The segments hold nothing then, unless the journal has
    /// stopped: all they hold is durable then, and there for the next start.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        self.shared.freed.notify_all();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            let _ = keeper.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl State {
    /// Where a record of this length goes; the next segment is begun when this one is full.
    fn segment_for(&mut self, length: u64, hold: Hold) -> Option<usize> {
        if self.closing {
            return None;
        }
        let whole = self.segments.first().map_or(0, |segment| segment.header.length);
        let limit = match hold {
            Hold::Nothing => whole,
            _ => whole - whole / RESERVED_PART,
        };
        if length > limit.saturating_sub(PAGE_BYTES) {
            return None;
        }
        if self.stopped {
            return if hold == Hold::Nothing { self.segment_for_end(length) } else { None };
        }
        let active = self.segments.iter().position(|segment| segment.usage == Use::Active);
        if let Some(at) = active.filter(|at| self.segments[*at].room(length, limit)) {
            return Some(at);
        }
        self.begin_next()
    }

    /// Makes a free segment the active one, and the active one full.
    fn begin_next(&mut self) -> Option<usize> {
        let free = self.segments.iter().position(|segment| segment.usage == Use::Free)?;
        for segment in &mut self.segments {
            if segment.usage == Use::Active {
                segment.usage = Use::Full;
            }
        }
        self.segments[free].usage = Use::Active;
        Some(free)
    }

    fn oldest(&self, wanted: impl Fn(&Segment) -> bool) -> Option<usize> {
        let wanted = self.segments.iter().enumerate().filter(|(_, segment)| wanted(segment));
        wanted.min_by_key(|(_, segment)| segment.header.epoch).map(|(at, _)| at)
    }

    /// Where what is said about others goes when the journal has stopped: behind all it is said about. A free segment is
    /// the youngest.
    fn segment_for_end(&self, length: u64) -> Option<usize> {
        let (at, youngest) = self.segments.iter().enumerate().max_by_key(|(_, one)| one.header.epoch)?;
        let can_be_written = matches!(youngest.usage, Use::Active | Use::Free);
        (can_be_written && youngest.room(length, youngest.header.length)).then_some(at)
    }

    /// Writes a record as the next one.
    fn write(&mut self, at: usize, record: &mut [u8]) -> io::Result<()> {
        let segment = &mut self.segments[at];
        segment.header.seal(record, self.written + 1, segment.tail);
        segment.medium.write_at(record, segment.tail)?;
        segment.tail = (segment.tail + record.len() as u64).next_multiple_of(8);
        segment.unsynced = true;
        self.written += 1;
        self.unsynced_since = self.unsynced_since.or_else(|| Some(Instant::now()));
        Ok(())
    }

    /// Writes what was said about others, and whose sync failed, once more, to another segment.
    fn write_owed(&mut self) {
        for mut record in std::mem::take(&mut self.owed) {
            let at = self.segment_for_end(record.len() as u64);
            match at.map(|at| self.write(at, &mut record)) {
                Some(Ok(())) => self.ends.push(record),
                _ => self.owed.push(record),
            }
        }
    }

    fn may_be_freed(&self) -> bool {
        let may = |one: &Segment| one.usage == Use::Emptying || (one.usage == Use::Full && !self.stopped);
        !self.closing && self.segments.iter().any(may)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Shared::lead`], when others who are likely to come had the time to.
    fn gather_and_lead<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let enough = state.last_waiting - state.last_waiting / 4;
        if state.last_waiting >= MANY && state.waiting < enough {
            state.leader = true;
            let until = Instant::now() + (2 * state.last_took).min(GATHER_MAX);
            while state.waiting < enough && !state.closing {
                let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
                else {
                    break;
                };
                let waited = self.arrived.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        self.lead(state)
    }

    /// Syncs for everybody who has written so far.
    fn lead<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        state.leader = true;
        let (from, to) = (state.settled, state.written);
        state.unsynced_since = None;
        let waiting = state.waiting;
        let ends = std::mem::take(&mut state.ends);
        let mut media = Vec::new();
        for (at, segment) in state.segments.iter_mut().enumerate().filter(|(_, one)| one.unsynced) {
            segment.unsynced = false;
            segment.tail = segment.tail.next_multiple_of(PAGE_BYTES); // the next batch, on pages of its own
            media.push((at, segment.usage == Use::Failed, segment.medium.clone()));
        }
        drop(state);
        let (mut failed, mut why) = (Vec::new(), None);
        let begun = Instant::now();
        for (at, failed_before, medium) in media {
            let synced = match failed_before {
                // Written while that sync ran, which may have been told of these pages, too.
                true => Err(io::Error::other("an earlier sync of it failed")),
                false => medium.sync(),
            };
            if let Err(error) = synced {
                failed.push(at);
                why = Some(error);
            }
        }
        let mut state = self.lock();
        (state.leader, state.settled) = (false, to);
        (state.last_waiting, state.last_took) = (waiting, begun.elapsed());
        for at in failed {
            state.segments[at].usage = Use::Failed;
        }
        if let Some(why) = why {
            state.failed.push((from, to));
            state.owed.extend(ends);
            state = self.stop(state, &why);
        }
        self.settled.notify_all();
        state
    }

    /// See the module.
    fn stop<'s>(&'s self, mut state: MutexGuard<'s, State>, why: &io::Error) -> MutexGuard<'s, State> {
        let was_stopped = std::mem::replace(&mut state.stopped, true);
        state.write_owed();
        self.settled.notify_all();
        self.freed.notify_all();
        self.work.notify_one();
        if was_stopped {
            return state;
        }
        drop(state);
        self.owner.stopped(why);
        self.lock()
    }

    /// The keeper: syncs what nobody waits for, empties full segments.
    fn keep(&self) {
        let mut state = self.lock();
        loop {
            if state.closing {
                return self.empty_all(state);
            }
            let now = Instant::now();
            let stopped = state.stopped;
            if let Some(at) = state.oldest(|one| one.usage == Use::Full).filter(|_| !stopped) {
                state = self.empty(state, at);
                continue;
            }
            let lazy = state.unsynced_since.map(|since| since + LAZY);
            if lazy.is_some_and(|due| due <= now) && !state.leader {
                state = self.lead(state);
                continue;
            }
            let old = state.segments.iter().filter(|one| one.usage == Use::Active).find_map(|one| one.since);
            let old = old.map(|since| since + AGE_MAX).filter(|_| !stopped);
            if old.is_some_and(|due| due <= now) && state.begin_next().is_some() {
                continue;
            }
            let due = [lazy, old].into_iter().flatten().filter(|due| *due > now).min();
            state.looks_at = due;
            state = match due {
                Some(due) => {
                    self.work.wait_timeout(state, due - now).unwrap_or_else(PoisonError::into_inner).0
                }
                // A leader is at it.
                None if lazy.is_some() => self.settled.wait(state).unwrap_or_else(PoisonError::into_inner),
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Makes durable elsewhere what a segment holds, and makes it free; stopped, leaves it.
    fn empty<'s>(&'s self, state: MutexGuard<'s, State>, at: usize) -> MutexGuard<'s, State> {
        let number = state.segments[at].number;
        let mut state = self.settle(state, |segment| segment.number == number);
        if state.stopped {
            return state;
        }
        let segment = &mut state.segments[at];
        segment.usage = Use::Emptying;
        let (held, epoch, medium) = (segment.held > 0, segment.header.epoch, segment.medium.clone());
        let length = segment.header.length;
        let header = Header::new(state.next_epoch, length);
        state.next_epoch += 1;
        drop(state);
        let checkpointed = self.owner.checkpoint(epoch, held);
        let emptied = match checkpointed {
            Err(why) => Err((Use::Full, why)),
            Ok(()) => medium
                .write_at(&header.encode(), 0)
                .and_then(|()| medium.sync())
                .map_err(|why| (Use::Failed, why)),
        };
        if emptied.is_ok() {
            self.owner.forgotten(epoch);
        }
        let mut state = self.lock();
        let segment = &mut state.segments[at];
        match emptied {
            Ok(()) => {
                segment.header = header;
                segment.usage = Use::Free;
                (segment.tail, segment.held, segment.since) = (PAGE_BYTES, 0, None);
            }
            Err((usage, why)) => {
                segment.usage = usage;
                state = self.stop(state, &why);
            }
        }
        if !state.closing && !state.segments.iter().any(|one| one.usage == Use::Active) {
            let _ = state.begin_next();
        }
        state.write_owed();
        self.freed.notify_all();
        state
    }

    /// Returns when nothing of these segments is unsynced, and nobody syncs.
    fn settle<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        wanted: impl Fn(&Segment) -> bool,
    ) -> MutexGuard<'s, State> {
        while state.leader || state.segments.iter().any(|one| one.unsynced && wanted(one)) {
            state = match state.leader {
                true => self.settled.wait(state).unwrap_or_else(PoisonError::into_inner),
                false => self.lead(state),
            };
        }
        state
    }

    fn empty_all<'s>(&'s self, mut state: MutexGuard<'s, State>) {
        // The oldest first: what a later one says of its records counts until they are gone.
        while let Some(at) = state.oldest(Segment::is_used).filter(|_| !state.stopped) {
            state = self.empty(state, at);
        }
        drop(self.settle(state, |_| true));
    }
}

/// A segment that is there, made to hold nothing; none when it is of another size.
fn reuse(
    folder: &Path,
    number: u32,
    header: &Header,
    make: &MakeMedium,
) -> io::Result<Option<Arc<dyn Medium>>> {
    let path = segment::path(folder, number);
    if segment::header_of(&path)?.is_none_or(|known| known.length != header.length) {
        return Ok(None);
    }
    let medium = make(fs::OpenOptions::new().read(true).write(true).open(&path)?);
    medium.write_at(&header.encode(), 0)?;
    medium.sync()?;
    Ok(Some(medium))
}

#[cfg(test)]
mod tests;
