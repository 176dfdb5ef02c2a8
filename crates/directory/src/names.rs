//! Which user a name means that somebody typed, as the directory said within the last minute.
//!
//! Log-ins want to know it before they have their turn ([`crate::guesses`]): with it, what is put off costs the directory
//! nothing. A check of a password asks for itself, so it is none of its business. Names of nobody are kept like those of
//! users, so a stranger's log-in takes the same way. Bounded: two generations, of which the elder goes when the younger is full.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Entry;

/// How long it holds.
const AGE_MAX: Duration = Duration::from_secs(60);
/// Names of a generation.
const COUNT_MAX: usize = 4096;

#[derive(Clone)]
struct Named {
    user: Option<Arc<str>>,
    until: Instant,
}

#[derive(Default)]
struct Generations {
    young: HashMap<u64, Named>,
    old: HashMap<u64, Named>,
}

/// See the head of this file.
#[derive(Default)]
pub struct Names {
    /// Of this process: nobody outside finds two names with one hash.
    hash: RandomState,
    generations: Mutex<Generations>,
}

impl Names {
    /// The user that this name, in lower case, means; `Some(None)` when it is nobody's. `None`: the directory must be asked.
    pub fn known(&self, name: &str, now: Instant) -> Option<Option<Arc<str>>> {
        let hash = self.hash.hash_one(name);
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let found = generations.young.get(&hash).or_else(|| generations.old.get(&hash))?;
        (now < found.until).then(|| found.user.clone())
    }

    /// The directory said so just now.
    pub fn note(&self, name: &str, user: Option<&str>, now: Instant) {
        let Some(until) = now.checked_add(AGE_MAX) else { return };
        let hash = self.hash.hash_one(name);
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= COUNT_MAX {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(hash, Named { user: user.map(Arc::from), until });
    }
}

/// What stands for a user, whichever name was typed: the uid in lower case. No other user's is the same, since it is the name
/// of the mailboxes.
pub fn user_of(entry: &Entry) -> String {
    entry.uid.as_ref().unwrap_or(&entry.mail).to_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_kept_for_a_minute_and_no_more_of_them_than_fit() {
        let (names, now) = (Names::default(), Instant::now());
        assert_eq!(names.known("joe@x.test", now), None);
        names.note("joe@x.test", Some("joe"), now);
        names.note("mallory", None, now);
        assert_eq!(names.known("joe@x.test", now).unwrap().as_deref(), Some("joe"));
        assert_eq!(names.known("mallory", now), Some(None));
        let later = now + AGE_MAX;
        assert_eq!(names.known("joe@x.test", later), None);
        assert_eq!(names.known("mallory", later), None);
        for number in 0..COUNT_MAX * 5 {
            names.note(&format!("stranger{number}"), None, now);
        }
        let generations = names.generations.lock().unwrap();
        assert!(generations.young.len() <= COUNT_MAX && generations.old.len() <= COUNT_MAX);
    }
}
