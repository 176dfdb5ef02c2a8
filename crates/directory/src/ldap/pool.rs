//! The connections of a process, shared by its threads: `service.smtp.ldappoolsize` at most (S33).
//!
//! Made on demand. Searches and password checks have connections of their own ([`Purpose`]); both count. A connection is
//! used by one thread at a time. Idle ones are closed when the server has closed them, when a better server is back, or to
//! make room for the other purpose; one that was idle for long is tried before it is trusted. An operation that finds its
//! connection dead is repeated once on another: searches and binds may be (they change nothing).

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// See the head of this file.
pub struct Pool {
    servers: Arc<Servers>,
    size: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    /// Idle ones and those in use.
    open: usize,
    searches: Vec<Connection>,
    checks: Vec<Connection>,
}

impl State {
    fn idle(&mut self, purpose: Purpose) -> &mut Vec<Connection> {
        match purpose {
            Purpose::Searches => &mut self.searches,
            Purpose::PasswordChecks => &mut self.checks,
        }
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
        Pool { servers, size, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Runs one operation on a connection of this purpose.
    ///
    /// # Errors
    /// No server answers, none in time, or the server refuses.
    pub fn with<T>(
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
        let wait_until = Instant::now() + self.servers.connector.settings.search_timeout;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let best = self.servers.best().map_err(DirectoryError::Unavailable)?;
            let mut useless = self.take_useless(&mut state, best);
            if let Some(connection) = state.idle(purpose).pop() {
                drop(state);
                drop(useless);
                let mut lease = Lease::idle(self, purpose, connection);
                if lease.is_good() {
                    return Ok(lease);
                }
                drop(lease);
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let room = state.open < self.size || {
                // One for the other purpose makes room.
                let removed = state.idle(other(purpose)).pop();
                state.open -= usize::from(removed.is_some());
                let found = removed.is_some();
                useless.extend(removed);
                found
            };
            if room {
                state.open += 1;
                drop(state);
                drop(useless); // closed before the new one is opened
                return self.open(purpose);
            }
            let left = wait_until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let why = format!("all {} connections to the LDAP server are busy", self.size);
                return Err(DirectoryError::Unavailable(why));
            }
            (state, _) = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Idle ones that nobody should use: closed by the server, idle for too long, or on a worse server than need be.
    fn take_useless(&self, state: &mut State, best: usize) -> Vec<Connection> {
        let mut useless = Vec::new();
        for purpose in [Purpose::Searches, Purpose::PasswordChecks] {
            let idle = state.idle(purpose);
            for mut connection in std::mem::take(idle) {
                let worse = connection.place != best;
                if worse || connection.is_closed() || connection.last_used.elapsed() > IDLE_MAX {
                    useless.push(connection);
                } else {
                    idle.push(connection);
                }
            }
        }
        state.open -= useless.len();
        useless
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

    /// Connections that are open now; for tests.
    pub fn open_connections(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).open
    }
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

    fn give_back(mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.last_used = Instant::now();
            let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.idle(self.purpose).push(connection);
            drop(state);
            self.pool.freed.notify_one();
            std::mem::forget(self); // the room stays taken
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.connection = None;
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open -= 1;
        drop(state);
        self.pool.freed.notify_one();
    }
}
