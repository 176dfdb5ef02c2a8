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
/// Steps that the session waits for that tries whether the filter is well again: options, connection, HELO and MAIL.
const TRIAL_STEPS: u32 = 4;
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

    /// Whether the filter is to be asked now. When its rest is over one session tries, and the others wait for what it finds:
    /// so a filter that hangs holds one worker and not all of them.
    ///
    /// # Errors
    /// It rests.
    pub fn admit(&self, now: Instant) -> Result<(), Failure> {
        let mut rests_until = lock(&self.rests_until);
        match *rests_until {
            None => Ok(()),
            Some(until) if now < until => Err(Failure::Resting),
            Some(_) => {
                let trial = self.filter.command_timeout.saturating_mul(TRIAL_STEPS);
                *rests_until = now.checked_add(self.filter.connect_timeout.saturating_add(trial));
                Ok(())
            }
        }
    }

    /// The filter answered as far as MAIL.
    pub fn is_well(&self) {
        *lock(&self.rests_until) = None;
    }

    /// A new connection.
    ///
    /// # Errors
    /// The filter is not there.
    pub fn open(&self) -> Result<Conversation, Failure> {
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
        match failure {
            Failure::Resting => {}
            failure if failure.took_long() => self.rest(Instant::now()),
            _ => self.is_well(), // it costs no time
        }
    }

    fn rest(&self, now: Instant) {
        *lock(&self.rests_until) = now.checked_add(REST);
    }

    /// Whether the filter is known not to care for unknown commands.
    pub fn ignores_unknown(&self) -> bool {
        self.protocol.load(Ordering::Relaxed) & protocol::NO_UNKNOWN != 0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnFailure;
    use base::endpoint::Endpoint;

    #[test]
    fn after_its_rest_a_filter_is_tried_by_one_session() {
        let second = Duration::from_secs(1);
        let service = Service::new(Filter {
            name: "test".into(),
            endpoint: Endpoint::parse("unix:/nowhere").unwrap(),
            connect_timeout: second,
            command_timeout: second,
            message_timeout: second,
            on_failure: OnFailure::TempFail,
            reuse: false,
        });
        let now = Instant::now();
        let asked = |seconds| service.admit(now + second * seconds).is_ok();
        assert!(asked(0) && asked(0));
        service.rest(now);
        assert!(!asked(9));
        assert!(asked(10) && !asked(10) && !asked(14), "one tries");
        assert!(asked(15), "it did not come back; the next one tries");
        service.is_well();
        assert!(asked(15) && asked(15));
        service.rest(now);
        service.failed(&Failure::Resting);
        assert!(!asked(9), "who was not let in says nothing of the filter");
        service.failed(&Failure::Closed);
        assert!(asked(9));
    }
}
