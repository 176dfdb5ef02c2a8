//! One filter of the site, for all sessions: whether it is worth asking, and its connections that nobody uses.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::conversation::Conversation;
use crate::settings::Filter;
use crate::wire::protocol;

/// How long a filter is left alone that did not answer in time: each session that asks it would wait as long again.
const REST: Duration = Duration::from_secs(10);
/// Connections kept for the next client, and for how long.
const IDLE_MAX: usize = 16;
const IDLE_TIME: Duration = Duration::from_secs(60);

/// See the head of this file.
pub struct Service {
    pub filter: Filter,
    rests_until: Mutex<Option<Instant>>,
    idle: Mutex<Vec<(Conversation, Instant)>>,
    /// What was agreed upon last; 0 before.
    protocol: AtomicU32,
}

impl Service {
    pub fn new(filter: Filter) -> Service {
        let (rests_until, idle) = (Mutex::new(None), Mutex::new(Vec::new()));
        Service { filter, rests_until, idle, protocol: AtomicU32::new(0) }
    }

    /// A new connection.
    ///
    /// # Errors
    /// The filter is not there, or is not asked now.
    pub fn open(&self) -> Result<Conversation, Failure> {
        if lock(&self.rests_until).is_some_and(|until| Instant::now() < until) {
            return Err(Failure::Resting);
        }
        let conversation = Conversation::open(&self.filter)?;
        self.protocol.store(conversation.protocol(), Ordering::Relaxed);
        Ok(conversation)
    }

    /// A connection that somebody else had, if one is there.
    pub fn take_idle(&self) -> Option<Conversation> {
        let mut idle = lock(&self.idle);
        let fresh = Instant::now().checked_sub(IDLE_TIME);
        idle.retain(|(_, since)| fresh.is_none_or(|fresh| *since > fresh));
        while let Some((conversation, _)) = idle.pop() {
            if conversation.is_quiet() {
                return Some(conversation);
            }
        }
        None
    }

    /// A session needs its connection no more.
    pub fn give_back(&self, mut conversation: Conversation) {
        if !self.filter.reuse || !conversation.at_end {
            return conversation.quit();
        }
        let mut idle = lock(&self.idle);
        if idle.len() >= IDLE_MAX {
            drop(idle);
            return conversation.quit();
        }
        if conversation.quit_client() {
            idle.push((conversation, Instant::now()));
        }
    }

    /// The filter failed; others are spared the wait.
    pub fn failed(&self, failure: &Failure) {
        if failure.took_long() {
            *lock(&self.rests_until) = Instant::now().checked_add(REST);
        }
    }

    /// Whether the filter is known not to care for unknown commands.
    pub fn ignores_unknown(&self) -> bool {
        self.protocol.load(Ordering::Relaxed) & protocol::NO_UNKNOWN != 0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
