//! What is to be tried when. Memory is a schedule of the disk.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use mail_queue::QueueId;

/// What can be due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A message of the control folder.
    Message(QueueId),
    /// The deferred messages of a domain.
    Domain(String),
    /// A look at the whole deferred queue.
    Scan,
    /// A look for what interrupted moves left there.
    Reap,
    /// A look at how long the queue is, for `counterutil`.
    Sample,
}

#[derive(Default)]
struct State {
    waiting: BinaryHeap<Reverse<(i64, Due)>>,
    stopping: bool,
}

/// What is not due yet.
#[derive(Default)]
pub struct Timetable {
    state: Mutex<State>,
    changed: Condvar,
}

impl Timetable {
    /// From this second on.
    pub fn add(&self, second: i64, what: Due) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.push(Reverse((second, what)));
        self.changed.notify_one();
    }

    pub fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopping = true;
        self.changed.notify_all();
    }

    /// Waits for the next that is due; nothing at the end.
    pub fn next(&self) -> Option<Due> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.stopping {
                return None;
            }
            let now = base::clock::unix_seconds();
            let wait = match state.waiting.peek() {
                Some(Reverse((second, _))) if *second <= now => {
                    return state.waiting.pop().map(|Reverse((_, what))| what);
                }
                Some(Reverse((second, _))) => u64::try_from(second - now).unwrap_or(1).clamp(1, 3600),
                None => 3600,
            };
            let waited = self.changed.wait_timeout(state, Duration::from_secs(wait));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Seconds until the next attempt, after so many: a minute, two, four, up to `longest`.
pub fn pause(attempts: u32, longest: Duration) -> i64 {
    let seconds = 60u64.saturating_mul(1 << attempts.min(20)).min(longest.as_secs().max(1));
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// The same, a fifth more or less, so that what was deferred together does not come back together.
pub fn pause_about(attempts: u32, longest: Duration) -> i64 {
    let seconds = pause(attempts, longest);
    let spread = seconds / 5;
    if spread == 0 {
        return seconds;
    }
    let range = u64::try_from(2 * spread + 1).unwrap_or(1);
    let random = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), attempts);
    seconds - spread + i64::try_from(random % range).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_due_first_comes_first() {
        let table = Timetable::default();
        let (early, late) = (Due::Message(QueueId::next()), Due::Domain("x.test".into()));
        table.add(2, late.clone());
        table.add(1, early.clone());
        table.add(i64::MAX, Due::Scan);
        assert_eq!(table.next(), Some(early));
        assert_eq!(table.next(), Some(late));
        table.stop();
        assert_eq!(table.next(), None);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let hour = Duration::from_secs(3600);
        assert_eq!([0, 1, 2, 6, 99].map(|attempts| pause(attempts, hour)), [60, 120, 240, 3600, 3600]);
        assert_eq!(pause(0, Duration::from_secs(5)), 5);
        let about: Vec<i64> = (0..200).map(|_| pause_about(6, hour)).collect();
        assert!(about.iter().all(|seconds| (2880..=4320).contains(seconds)), "{about:?}");
        assert!(about.iter().any(|seconds| *seconds != about[0]));
        assert_eq!(pause_about(0, Duration::from_secs(1)), 1);
    }
}
