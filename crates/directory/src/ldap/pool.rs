//! The connections of a process, shared by its threads: `service.smtp.ldappoolsize` at most (S33).
//!
//! Made on demand. Searches and password checks have connections of their own ([`Purpose`]); both count. A connection is
//! used by one thread at a time. When all are in use a caller waits for one of its purpose; if there is none of it, or the
//! wait is long and more wait for those it has than for the others, one of the other purpose is closed for it: one, and the
//! next a while later, so that the shares follow the load without a connection being made for each call. Idle ones are
//! closed when the server has closed them, when a better server is back, or when they were idle for long; one that was idle
//! for less is tried before it is trusted. An operation that finds its connection dead is repeated once on another: searches
//! and binds may be (they change nothing), and so may changes ([`super::changes`]), which say what is to be there
//! afterwards.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use counters::Counter;

use super::connection::{Connection, Purpose};
use super::runtime::Failure;
use super::servers::Servers;
use crate::{DirectoryError, Result};

/// Idle for so long, a connection is tried before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(30);
/// Idle for so long, it is closed.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Attempts of one operation.
const ATTEMPTS: usize = 2;
/// After so long a wait, and so long after the last time, a connection of the other purpose is closed. On a machine that is too
/// slow for its load all wait so long, and new connections would make it slower still.
const PATIENCE: Duration = Duration::from_millis(300);

/// See the head of this file.
pub struct Pool {
    servers: Arc<Servers>,
    size: usize,
    state: Mutex<State>,
    /// One for each purpose.
    freed: [Condvar; 2],
}

#[derive(Default)]
struct State {
    searches: Share,
    checks: Share,
    /// When one was closed last for the other purpose.
    changed: Option<Instant>,
}

/// The connections of one purpose.
#[derive(Default)]
struct Share {
    /// Idle ones and those in use.
    open: usize,
    idle: Vec<Connection>,
    waiting: usize,
    /// Those of the waiting for whom one of the other purpose shall be closed.
    claims: usize,
}

impl State {
    fn of(&mut self, purpose: Purpose) -> &mut Share {
        match purpose {
            Purpose::Searches => &mut self.searches,
            Purpose::PasswordChecks => &mut self.checks,
        }
    }

    fn open(&self) -> usize {
        self.searches.open + self.checks.open
    }

    /// Whether a connection of the other purpose is worth more here, where so many wait: there is none, or each of them is
    /// waited for by twice as many, and the last change was a while ago.
    fn is_short(&mut self, purpose: Purpose, waiting: usize) -> bool {
        let (here, there) = (self.of(purpose).open, self.of(other(purpose)).open);
        let waiting_there = self.of(other(purpose)).waiting;
        let settled = self.changed.is_none_or(|at| at.elapsed() >= PATIENCE);
        here == 0 || settled && waiting * there > 2 * waiting_there * here
    }
}

fn other(purpose: Purpose) -> Purpose {
    match purpose {
        Purpose::Searches => Purpose::PasswordChecks,
        Purpose::PasswordChecks => Purpose::Searches,
    }
}

impl Pool {
    pub fn new(servers: Arc<Servers>) -> Pool {
        let size = servers.connector.settings.pool_size;
        Pool { servers, size, state: Mutex::default(), freed: Default::default() }
    }

    /// Runs one operation on a connection of this purpose.
    ///
    /// # Errors
    /// No server answers, none in time, or the server refuses.
    pub fn with<T>(
        &self,
        purpose: Purpose,
        operation: impl FnMut(&mut Connection) -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        counters::add(Counter::Searches, 1);
        self.attempts(purpose, operation).inspect_err(|_| counters::add(Counter::DirectoryFailures, 1))
    }

    fn attempts<T>(
        &self,
        purpose: Purpose,
        mut operation: impl FnMut(&mut Connection) -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        let mut attempt = 1;
        loop {
            let mut lease = self.take(purpose)?;
            let done = operation(lease.connection()?);
            let why = match done {
                Ok(value) => {
                    lease.give_back();
                    return Ok(value);
                }
                Err(why @ Failure::Refused { .. }) => {
                    lease.give_back();
                    return Err(DirectoryError::Unavailable(why.to_string()));
                }
                Err(why) => why,
            };
            // An old connection may have died alone; a new one, or silence, tells of the server.
            if lease.fresh || matches!(why, Failure::TimedOut(_)) {
                self.servers.mark_down(lease.place, &why);
            }
            drop(lease);
            if attempt == ATTEMPTS {
                return Err(DirectoryError::Unavailable(why.to_string()));
            }
            attempt += 1;
        }
    }

    fn take(&self, purpose: Purpose) -> Result<Lease<'_>> {
        let begun = Instant::now();
        let wait_max = self.servers.connector.settings.search_timeout;
        let mut state = self.lock();
        loop {
            let best = self.servers.best().map_err(DirectoryError::Unavailable)?;
            let useless = take_useless(&mut state, best);
            if let Some(connection) = state.of(purpose).idle.pop() {
                drop(state);
                drop(useless);
                let mut lease = Lease::idle(self, purpose, connection);
                if lease.is_good() {
                    return Ok(lease);
                }
                drop(lease);
                state = self.lock();
                continue;
            }
            let waited = begun.elapsed();
            let waiting = state.of(purpose).waiting + 1;
            let patient =
                state.of(purpose).open > 0 && (waited < PATIENCE || !state.is_short(purpose, waiting));
            let full = state.open() >= self.size;
            let given_up = if full && !patient { state.of(other(purpose)).idle.pop() } else { None };
            if given_up.is_some() {
                state.of(other(purpose)).open -= 1;
                state.changed = Some(Instant::now());
            }
            if !full || given_up.is_some() {
                state.of(purpose).open += 1;
                drop(state);
                drop((useless, given_up)); // closed before the new one is opened
                return self.open(purpose);
            }
            if waited >= wait_max {
                let why = format!("all {} connections to the LDAP server are busy", self.size);
                return Err(DirectoryError::Unavailable(why));
            }
            let look_again = if waited < PATIENCE { PATIENCE } else { waited + PATIENCE };
            let limit = if patient { look_again.min(wait_max) } else { wait_max };
            state = self.wait(state, purpose, limit.saturating_sub(waited), !patient);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(
        &self,
        mut state: MutexGuard<'s, State>,
        purpose: Purpose,
        limit: Duration,
        claim: bool,
    ) -> MutexGuard<'s, State> {
        let share = state.of(purpose);
        share.waiting += 1;
        share.claims += usize::from(claim);
        let freed = &self.freed[purpose as usize];
        let (mut state, _) = freed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner);
        let share = state.of(purpose);
        share.waiting -= 1;
        share.claims -= usize::from(claim);
        state
    }

    /// Something has become free: an idle connection of this purpose, or room for one of any.
    fn tell(&self, mut state: MutexGuard<'_, State>, purpose: Purpose) {
        let first = if state.of(purpose).waiting > 0 { purpose } else { other(purpose) };
        drop(state);
        self.freed[first as usize].notify_one();
    }

    /// A new connection, to the best server that can be reached. The room for it is counted already.
    fn open(&self, purpose: Purpose) -> Result<Lease<'_>> {
        let mut lease = Lease { pool: self, purpose, connection: None, place: 0, fresh: true };
        loop {
            let place = self.servers.best().map_err(DirectoryError::Unavailable)?;
            match self.servers.connector.connect(place, purpose) {
                Ok(connection) => {
                    lease.place = place;
                    lease.connection = Some(connection);
                    return Ok(lease);
                }
                Err(why) => self.servers.mark_down(place, &why),
            }
        }
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.lock().open()
    }
}

/// Idle ones that nobody should use: closed by the server, idle for too long, or on a worse server than need be.
fn take_useless(state: &mut State, best: usize) -> Vec<Connection> {
    let mut useless = Vec::new();
    for purpose in [Purpose::Searches, Purpose::PasswordChecks] {
        let share = state.of(purpose);
        for mut connection in std::mem::take(&mut share.idle) {
            let worse = connection.place != best;
            if worse || connection.is_closed() || connection.last_used.elapsed() > IDLE_MAX {
                share.open -= 1;
                useless.push(connection);
            } else {
                share.idle.push(connection);
            }
        }
    }
    useless
}

/// A connection in use; closed when it is dropped without being given back.
struct Lease<'p> {
    pool: &'p Pool,
    purpose: Purpose,
    connection: Option<Connection>,
    place: usize,
    fresh: bool,
}

impl<'p> Lease<'p> {
    fn idle(pool: &'p Pool, purpose: Purpose, connection: Connection) -> Lease<'p> {
        Lease { pool, purpose, place: connection.place, connection: Some(connection), fresh: false }
    }

    fn connection(&mut self) -> Result<&mut Connection> {
        self.connection.as_mut().ok_or_else(|| DirectoryError::Unavailable("no connection".into()))
    }

    /// Whether it may be used: not idle for long, or it answers.
    fn is_good(&mut self) -> bool {
        let limit = self.pool.servers.connector.settings.connect_timeout;
        self.connection.as_mut().is_some_and(|connection| match self.purpose {
            _ if connection.last_used.elapsed() < TRUSTED_FOR => true,
            Purpose::Searches => connection.answers(limit),
            Purpose::PasswordChecks => false, // nothing but binds runs there: a new one is cheap
        })
    }

    /// Back to the idle ones, unless somebody waits for it to be closed.
    fn give_back(mut self) {
        let mut state = self.pool.lock();
        let share = state.of(other(self.purpose));
        let (claims, waiting) = (share.claims, share.waiting);
        if claims > 0 && state.is_short(other(self.purpose), waiting) {
            state.changed = Some(Instant::now());
            return; // dropped
        }
        if let Some(mut connection) = self.connection.take() {
            connection.last_used = Instant::now();
            state.of(self.purpose).idle.push(connection);
            self.pool.tell(state, self.purpose);
            std::mem::forget(self); // the room stays taken
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.connection = None;
        let mut state = self.pool.lock();
        state.of(self.purpose).open -= 1;
        let claimed = state.of(other(self.purpose)).claims > 0;
        self.pool.tell(state, if claimed { other(self.purpose) } else { self.purpose });
    }
}
