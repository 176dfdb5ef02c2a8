//! Which slots of the index have which sequence numbers: runs of consecutive live slots.
//!
//! A mailbox without holes is one run. A look-up is a binary search over the runs.

/// Consecutive slots; the sequence numbers go on from one run to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    slot: u32,
    /// Number of the first slot, from 1.
    sequence: u32,
    len: u32,
}

/// The live slots of a view, ascending.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    runs: Vec<Run>,
    exists: u32,
}

impl Runs {
    /// The number of slots, which is the last sequence number.
    pub fn exists(&self) -> u32 {
        self.exists
    }

    /// The slot of a sequence number.
    pub fn slot(&self, sequence: u32) -> Option<u32> {
        if sequence == 0 || sequence > self.exists {
            return None;
        }
        let after = self.runs.partition_point(|run| run.sequence <= sequence);
        let run = self.runs.get(after.checked_sub(1)?)?;
        Some(run.slot + (sequence - run.sequence))
    }

    /// The sequence number of a slot, if it is there.
    pub fn sequence(&self, slot: u32) -> Option<u32> {
        let run = self.runs[self.run_of(slot)?];
        let offset = slot - run.slot;
        (offset < run.len).then_some(run.sequence + offset)
    }

    /// The first sequence number whose slot is `slot` or later; one past the last if there is none.
    pub fn sequence_from(&self, slot: u32) -> u32 {
        if let Some(sequence) = self.sequence(slot) {
            return sequence;
        }
        let after = self.runs.partition_point(|run| run.slot <= slot);
        self.runs.get(after).map_or(self.exists.saturating_add(1), |run| run.sequence)
    }

    /// All slots, in the order of their sequence numbers.
    pub fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().flat_map(|run| run.slot..run.slot.saturating_add(run.len))
    }

    /// Sequence numbers and slots from a sequence number on.
    pub fn from(&self, sequence: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let first = self.runs.partition_point(|run| run.sequence.saturating_add(run.len) <= sequence);
        self.runs[first..].iter().flat_map(move |run| {
            let skipped = sequence.saturating_sub(run.sequence);
            (skipped..run.len).map(|offset| (run.sequence + offset, run.slot + offset))
        })
    }

    /// Appends slots; they are greater than all that are there.
    pub fn append(&mut self, slot: u32, len: u32) {
        if len == 0 {
            return;
        }
        match self.runs.last_mut() {
            Some(last) if last.slot + last.len == slot => last.len += len,
            _ => self.runs.push(Run { slot, sequence: self.exists + 1, len }),
        }
        self.exists += len;
    }

    /// Takes slots out, which ascend. Gives the sequence number of each that was there, as it is when those before it
    /// are gone already: what EXPUNGE responses say one after the other. Costs one pass, however many they are.
    pub fn remove(&mut self, slots: &[u32]) -> Vec<u32> {
        let mut removed = Vec::new();
        if slots.is_empty() {
            return removed;
        }
        let mut kept = Runs::default();
        let mut slots = slots.iter().copied().peekable();
        for run in &self.runs {
            let end = run.slot.saturating_add(run.len);
            let mut at = run.slot;
            while let Some(slot) = slots.next_if(|slot| *slot < end) {
                if slot < at {
                    continue;
                }
                kept.append(at, slot - at);
                removed.push(kept.exists + 1);
                at = slot + 1;
            }
            kept.append(at, end - at);
        }
        *self = kept;
        removed
    }

    /// Index of the last run that begins at or before `slot`.
    fn run_of(&self, slot: u32) -> Option<usize> {
        self.runs.partition_point(|run| run.slot <= slot).checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_comes_from_a_number_on_goes_over_holes() {
        let mut runs = Runs::default();
        runs.append(10, 3);
        runs.append(20, 2);
        let all = [(1, 10), (2, 11), (3, 12), (4, 20), (5, 21)];
        for first in 1..=6 {
            assert_eq!(runs.from(first).collect::<Vec<_>>(), all[first as usize - 1..]);
        }
        assert_eq!(runs.from(0).count(), 5);
    }

    #[test]
    fn a_mailbox_without_holes_is_one_run() {
        let mut runs = Runs::default();
        runs.append(0, 1_000_000);
        runs.append(1_000_000, 1);
        assert_eq!((runs.runs.len(), runs.exists()), (1, 1_000_001));
        assert_eq!(runs.slot(1_000_001), Some(1_000_000));
        assert_eq!((runs.slot(0), runs.slot(1_000_002)), (None, None));
    }

    proptest! {
        #[test]
        fn runs_agree_with_a_plain_list(
            live in proptest::collection::vec(any::<bool>(), 0..80),
            gone in proptest::collection::vec(proptest::collection::btree_set(0u32..80, 0..20), 0..5),
        ) {
            let mut runs = Runs::default();
            let mut list = Vec::new();
            for (slot, live) in (0u32..).zip(live) {
                if live {
                    runs.append(slot, 1);
                    list.push(slot);
                }
            }
            for gone in gone {
                let gone: Vec<u32> = gone.into_iter().collect();
                let mut expected = Vec::new();
                for slot in &gone {
                    if let Some(place) = list.iter().position(|one| one == slot) {
                        list.remove(place);
                        expected.push(place as u32 + 1);
                    }
                }
                prop_assert_eq!(runs.remove(&gone), expected);
                prop_assert_eq!(runs.slots().collect::<Vec<_>>(), list.clone());
                for slot in 0..82 {
                    let from = list.iter().filter(|&&one| one < slot).count() as u32 + 1;
                    prop_assert_eq!(runs.sequence_from(slot), from);
                }
                for (sequence, &slot) in (1u32..).zip(&list) {
                    prop_assert_eq!(runs.slot(sequence), Some(slot));
                    prop_assert_eq!(runs.sequence(slot), Some(sequence));
                }
            }
        }
    }
}
