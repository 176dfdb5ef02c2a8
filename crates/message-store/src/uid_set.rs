//! A set of UIDs: sorted disjoint ranges, `*` already resolved.

use std::ops::RangeInclusive;

/// Sorted, disjoint, coalesced ranges of UIDs.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct UidSet(Vec<RangeInclusive<u32>>);

impl UidSet {
    pub fn new() -> UidSet {
        UidSet::default()
    }

    /// Ranges in any order, overlapping or reversed, become a set. UID 0 exists nowhere and is left out.
    pub fn from_ranges(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> UidSet {
        let mut ranges: Vec<(u32, u32)> = ranges
            .into_iter()
            .map(|range| {
                let (one, other) = range.into_inner();
                (one.min(other).max(1), one.max(other))
            })
            .filter(|(low, high)| low <= high)
            .collect();
        ranges.sort_unstable();
        let mut set: Vec<RangeInclusive<u32>> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match set.last_mut() {
                Some(last) if low <= last.end().saturating_add(1) => {
                    *last = *last.start()..=high.max(*last.end());
                }
                _ => set.push(low..=high),
            }
        }
        UidSet(set)
    }

    /// Every UID there can be.
    pub fn all() -> UidSet {
        UidSet(vec![1..=u32::MAX])
    }

    pub fn single(uid: u32) -> UidSet {
        UidSet::from_ranges([uid..=uid])
    }

    pub fn ranges(&self) -> &[RangeInclusive<u32>] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, uid: u32) -> bool {
        let after = self.0.partition_point(|range| *range.start() <= uid);
        after > 0 && self.0[after - 1].contains(&uid)
    }

    /// What is in both.
    pub fn common(&self, other: &UidSet) -> UidSet {
        let mut both = Vec::new();
        let (mut one, mut two) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(a), Some(b)) = (one.peek(), two.peek()) {
            let (low, high) = ((*a.start()).max(*b.start()), (*a.end()).min(*b.end()));
            if low <= high {
                both.push(low..=high);
            }
            if a.end() <= b.end() {
                one.next();
            } else {
                two.next();
            }
        }
        UidSet(both)
    }

    /// What is in this set only.
    pub fn without(&self, other: &UidSet) -> UidSet {
        let mut gaps = Vec::with_capacity(other.0.len().saturating_add(1));
        let mut next = Some(1u32);
        for range in &other.0 {
            if let (Some(from), Some(to)) = (next, range.start().checked_sub(1)) {
                if from <= to {
                    gaps.push(from..=to);
                }
            }
            next = range.end().checked_add(1);
        }
        if let Some(from) = next {
            gaps.push(from..=u32::MAX);
        }
        self.common(&UidSet(gaps))
    }

    /// Adds a UID greater than all in the set; any other makes the set be sorted again.
    pub fn push(&mut self, uid: u32) {
        match self.0.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(uid) => *last = *last.start()..=uid,
            Some(last) if *last.end() >= uid => {
                let ranges = std::mem::take(&mut self.0);
                *self = UidSet::from_ranges(ranges.into_iter().chain([uid..=uid]));
            }
            _ if uid > 0 => self.0.push(uid..=uid),
            _ => {}
        }
    }
}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> UidSet {
        let mut set = UidSet::new();
        for uid in uids {
            set.push(uid);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sets_are_cut_as_plain_sets_are(
            one in proptest::collection::btree_set(1u32..60, 0..40),
            other in proptest::collection::btree_set(1u32..60, 0..40),
        ) {
            let set = |uids: &std::collections::BTreeSet<u32>| uids.iter().copied().collect::<UidSet>();
            let common: UidSet = one.intersection(&other).copied().collect();
            let without: UidSet = one.difference(&other).copied().collect();
            prop_assert_eq!(set(&one).common(&set(&other)), common);
            prop_assert_eq!(set(&one).without(&set(&other)), without.clone());
            prop_assert_eq!(set(&one).without(&set(&other)).without(&UidSet::new()), without);
            prop_assert!(set(&one).without(&UidSet::all()).is_empty());
        }
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges)] // reversed ranges are what is tested
    fn ranges_are_sorted_and_coalesced() {
        let set = UidSet::from_ranges([9..=7, 1..=3, 4..=4, 8..=20, 0..=0]);
        assert_eq!(set.ranges(), [1..=4, 7..=20]);
        assert!(set.contains(4) && !set.contains(5) && set.contains(20) && !set.contains(21));
        let pushed: UidSet = [5, 6, 2, 0, u32::MAX].into_iter().collect();
        assert_eq!(pushed.ranges(), [2..=2, 5..=6, u32::MAX..=u32::MAX]);
    }
}
