//! A table that strangers fill: at most so many entries, each forgotten at its own time. When it is full, the one that
//! would be forgotten next goes first. No call costs more than the entries it removes and a search.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

/// See the head of this file.
pub struct Bounded<V> {
    entries: HashMap<u64, (Instant, V)>,
    /// The same keys by the time at which they are forgotten.
    order: BTreeSet<(Instant, u64)>,
    entries_max: usize,
}

impl<V> Bounded<V> {
    pub fn new(entries_max: usize) -> Bounded<V> {
        Bounded { entries: HashMap::new(), order: BTreeSet::new(), entries_max }
    }

    /// What is known under this key now.
    pub fn at(&self, key: u64, now: Instant) -> Option<&V> {
        self.entries.get(&key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    /// Puts a value in the place of the former one, to be forgotten at `until`.
    pub fn put(&mut self, key: u64, value: V, until: Instant, now: Instant) {
        self.take(key);
        while self.order.first().is_some_and(|(first, _)| *first <= now) || self.is_full() {
            let Some((_, oldest)) = self.order.pop_first() else { return }; // a table for nothing
            self.entries.remove(&oldest);
        }
        if until > now {
            self.order.insert((until, key));
            self.entries.insert(key, (until, value));
        }
    }

    fn take(&mut self, key: u64) {
        if let Some((until, _)) = self.entries.remove(&key) {
            self.order.remove(&(until, key));
        }
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= self.entries_max
    }

    /// Entries that are held.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Never more than the limit, never anything after its time, and everything as long as there is room.
        #[test]
        fn a_table_is_bounded_and_forgets(
            max in 0usize..6,
            steps in prop::collection::vec((0u64..10, 0u64..20, 0u64..4), 0..200),
        ) {
            let begin = Instant::now();
            let at = |second: u64| begin + Duration::from_secs(second);
            let mut now = 0;
            let mut table = Bounded::new(max);
            let mut told: BTreeMap<u64, (u64, usize)> = BTreeMap::new();
            for (number, (key, life, passes)) in steps.into_iter().enumerate() {
                now += passes;
                table.put(key, number, at(now + life), at(now));
                told.insert(key, (now + life, number));
                prop_assert!(table.len() <= max);
                prop_assert_eq!(table.entries.len(), table.order.len());
                let alive = told.values().filter(|(until, _)| *until > now).count();
                for (key, (until, number)) in &told {
                    let found = table.at(*key, at(now)).copied();
                    prop_assert!(found.is_none() || (found == Some(*number) && *until > now));
                    prop_assert!(found.is_some() || *until <= now || alive >= max);
                }
                told.retain(|key, _| table.at(*key, at(now)).is_some());
            }
        }
    }
}
