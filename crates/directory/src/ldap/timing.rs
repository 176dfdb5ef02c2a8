//! How long a refused password takes, so that an unknown user takes as long: who has an account here cannot be told by a
//! clock.
//!
//! A server that finds no entry refuses at once; one that finds it computes the password's hash first. What refusals for
//! real entries took lately is kept, and refusals for nobody are spread over the same times.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Refusals that are remembered.
const KEPT: usize = 16;
/// Nobody waits longer than that; a server that was slow once is not imitated for ever.
const LONGEST: Duration = Duration::from_secs(2);

/// See the head of this file.
#[derive(Default)]
pub struct Refusals {
    lately: Mutex<Lately>,
}

#[derive(Default)]
struct Lately {
    took: Vec<Duration>,
    next: usize,
}

impl Refusals {
    /// A real entry's password was refused after so long.
    pub fn remember(&self, took: Duration) {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        let took = took.min(LONGEST);
        if lately.took.len() < KEPT {
            lately.took.push(took);
        } else {
            let place = lately.next;
            lately.took[place] = took;
            lately.next = (place + 1) % KEPT;
        }
    }

    /// Waits until as long has passed since `begun` as one of the real refusals took.
    pub fn wait_like_one(&self, begun: Instant) {
        let Some(like) = self.any() else { return };
        let left = like.saturating_sub(begun.elapsed());
        if !left.is_zero() {
            thread::sleep(left);
        }
    }

    fn any(&self) -> Option<Duration> {
        let mut byte = [0u8];
        let _ = openssl::rand::rand_bytes(&mut byte); // zero is as good: the first one then
        let lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        let count = lately.took.len();
        (count > 0).then(|| lately.took[usize::from(byte[0]) % count])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_nobody_takes_as_long_as_a_real_one() {
        let refusals = Refusals::default();
        assert_eq!(refusals.any(), None, "nothing is known yet");
        refusals.wait_like_one(Instant::now());
        for _ in 0..40 {
            refusals.remember(Duration::from_millis(30));
        }
        let begun = Instant::now();
        refusals.wait_like_one(begun);
        assert!(begun.elapsed() >= Duration::from_millis(30));
        refusals.remember(Duration::from_secs(1000));
        let lately = refusals.lately.lock().unwrap();
        assert_eq!(lately.took.len(), KEPT);
        assert_eq!(lately.took.iter().max(), Some(&LONGEST));
    }
}
