//! Names that are nobody's, with the password that was said last for each: the same one again within [`AGE_MAX`] costs nothing,
//! as it costs nothing for a user. Else the time of a second try would tell who exists (threat T2).
//!
//! As for a user ([`crate::Authenticator`]) the last wrong password of a name is kept, by a keyed hash, and no other. Bounded: two
//! generations, of which the elder goes when the younger is full, and of a name a keyed hash too, so that long names take no more
//! memory than short ones. Strangers push no user out of the cache of log-ins.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the same wrong password is refused without asking, of users and of strangers.
pub const AGE_MAX: Duration = Duration::from_secs(5);

type Mac = [u8; 32];

#[derive(Default)]
struct Generations {
    young: HashMap<Mac, (Mac, Instant)>,
    old: HashMap<Mac, (Mac, Instant)>,
}

/// See the head of this file.
pub struct Strangers {
    /// Names of a generation.
    count_max: usize,
    generations: Mutex<Generations>,
}

impl Strangers {
    pub fn new(count_max: usize) -> Strangers {
        Strangers { count_max: count_max.max(1), generations: Mutex::default() }
    }

    /// Whether this was the last password for the name, a moment ago; of both the keyed hashes.
    pub fn repeats(&self, name: &Mac, mac: &Mac, now: Instant) -> bool {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let last = generations.young.get(name).or_else(|| generations.old.get(name));
        last.is_some_and(|(last, since)| {
            now.duration_since(*since) < AGE_MAX && openssl::memcmp::eq(last, mac)
        })
    }

    /// The name is nobody's.
    pub fn note(&self, name: Mac, mac: Mac, now: Instant) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= self.count_max {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(name, (mac, now));
    }

    pub fn forget_all(&self) {
        *self.generations.lock().unwrap_or_else(PoisonError::into_inner) = Generations::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_password_of_a_name_is_known_for_a_moment_and_few_names_are() {
        let (strangers, now, mallory) = (Strangers::new(4), Instant::now(), [b'm'; 32]);
        strangers.note(mallory, [1; 32], now);
        assert!(strangers.repeats(&mallory, &[1; 32], now));
        assert!(
            !strangers.repeats(&mallory, &[2; 32], now) && !strangers.repeats(&[b'e'; 32], &[1; 32], now)
        );
        assert!(!strangers.repeats(&mallory, &[1; 32], now + AGE_MAX));
        strangers.note(mallory, [2; 32], now);
        assert!(!strangers.repeats(&mallory, &[1; 32], now), "the last one alone, as of a user");
        for number in 0..100 {
            strangers.note([number; 32], [3; 32], now);
        }
        let generations = strangers.generations.lock().unwrap();
        assert!(generations.young.len() <= 4 && generations.old.len() <= 4);
    }
}
