//! Answers, kept until their time is up (S61).
//!
//! At most so many entries as are configured, each of at most [`ENTRY_BYTES_MAX`]; when it is full, what was not asked
//! for longest goes first. A larger answer, or one whose TTL is 0, is not kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::answer::{Negative, Record};

/// What a stranger may make one entry cost.
pub(crate) const ENTRY_BYTES_MAX: usize = 8192;

/// What was asked: a name in lower case, and the number of the record type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) kind: u16,
}

/// What a look-up came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) result: Result<Vec<Record>, Negative>,
    pub(crate) secure: bool,
    /// How long it may be kept.
    pub(crate) life: Duration,
    /// MX hosts that are not to be tried again before the end of its life (S58).
    pub(crate) failed: Vec<String>,
}

pub(crate) struct Cache {
    entries_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    /// From the entry not asked for longest to the one asked for last.
    by_use: BTreeMap<u64, Key>,
    uses: u64,
}

struct Entry {
    outcome: Arc<Outcome>,
    end: Instant,
    used: u64,
}

impl Cache {
    pub(crate) fn new(entries_max: usize) -> Cache {
        Cache { entries_max, kept: Mutex::default() }
    }

    /// What is kept for `key` and still good at `now`.
    pub(crate) fn find(&self, key: &Key, now: Instant) -> Option<Arc<Outcome>> {
        let mut kept = self.lock();
        let (outcome, end) = kept.entries.get(key).map(|entry| (Arc::clone(&entry.outcome), entry.end))?;
        if end <= now {
            kept.forget(key);
            return None;
        }
        kept.touch(key);
        Some(outcome)
    }

    /// Keeps `outcome` for its life from `now`.
    pub(crate) fn keep(&self, key: &Key, outcome: &Arc<Outcome>, now: Instant) {
        let mut kept = self.lock();
        kept.forget(key);
        let Some(end) = now.checked_add(outcome.life).filter(|end| *end > now) else { return };
        if weight(outcome) > ENTRY_BYTES_MAX {
            return;
        }
        while kept.entries.len() >= self.entries_max {
            let Some(oldest) = kept.by_use.first_key_value().map(|(_, key)| key.clone()) else { return };
            kept.forget(&oldest);
        }
        kept.entries.insert(key.clone(), Entry { outcome: Arc::clone(outcome), end, used: 0 });
        kept.touch(key);
    }

    /// Changes what is kept for `key`, if it is.
    pub(crate) fn change(&self, key: &Key, change: impl FnOnce(&mut Outcome)) {
        if let Some(entry) = self.lock().entries.get_mut(key) {
            change(Arc::make_mut(&mut entry.outcome));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn touch(&mut self, key: &Key) {
        self.uses = self.uses.saturating_add(1);
        if let Some(entry) = self.entries.get_mut(key) {
            self.by_use.remove(&entry.used);
            entry.used = self.uses;
            self.by_use.insert(self.uses, key.clone());
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
        }
    }
}

/// The bytes of strangers in an answer, roughly.
fn weight(outcome: &Outcome) -> usize {
    let record = |record: &Record| match record {
        Record::Mx(mx) => mx.host.len(),
        Record::Address(_) => 0,
        Record::Text(text) => text.len(),
        Record::Tlsa(tlsa) => tlsa.data.len(),
        Record::Name(name) | Record::Canonical(name) => name.len(),
    };
    let records = outcome.result.as_deref().unwrap_or_default();
    records.iter().map(|one| record(one).saturating_add(size_of::<Record>())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { name: name.into(), kind: 16 }
    }

    fn outcome(life: u64, bytes: usize) -> Arc<Outcome> {
        let result = Ok(vec![Record::Text(vec![b'x'; bytes])]);
        Arc::new(Outcome { result, secure: false, life: Duration::from_secs(life), failed: Vec::new() })
    }

    #[test]
    fn an_entry_ends_with_its_life() {
        let cache = Cache::new(10);
        let start = Instant::now();
        cache.keep(&key("a"), &outcome(5, 1), start);
        assert!(cache.find(&key("a"), start + Duration::from_millis(4999)).is_some());
        assert!(cache.find(&key("a"), start + Duration::from_secs(5)).is_none());
        assert!(cache.lock().entries.is_empty() && cache.lock().by_use.is_empty());
    }

    #[test]
    fn a_life_of_nothing_and_a_huge_answer_are_not_kept() {
        let cache = Cache::new(10);
        let now = Instant::now();
        cache.keep(&key("a"), &outcome(0, 1), now);
        cache.keep(&key("b"), &outcome(5, ENTRY_BYTES_MAX), now);
        assert!(cache.lock().entries.is_empty());
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first() {
        let cache = Cache::new(2);
        let now = Instant::now();
        cache.keep(&key("a"), &outcome(5, 1), now);
        cache.keep(&key("b"), &outcome(5, 1), now);
        assert!(cache.find(&key("a"), now).is_some());
        cache.keep(&key("c"), &outcome(5, 1), now);
        assert!(cache.find(&key("b"), now).is_none());
        assert!(cache.find(&key("a"), now).is_some() && cache.find(&key("c"), now).is_some());
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let cache = Cache::new(100);
        let now = Instant::now();
        for n in 0..5000 {
            cache.keep(&key(&format!("host{}", n % 700)), &outcome(5, 1), now);
        }
        let kept = cache.lock();
        assert_eq!((kept.entries.len(), kept.by_use.len()), (100, 100));
    }
}
