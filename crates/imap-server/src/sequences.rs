//! From the sets that a client writes to the sequence numbers of its view, and a walk along them.

use std::ops::RangeInclusive;

use imap_wire::{Bound, SequenceSet};
use message_store::UidSet;

use crate::refusal::Refusal;
use crate::view::View;

/// The sequence numbers of the view that a set names, sorted and disjoint.
///
/// # Errors
/// A sequence number that does not exist is a syntax error (RFC 3501 §7.1); a UID that does not exist is not.
pub fn resolve(set: &SequenceSet, view: &View, uid: bool) -> Result<Vec<RangeInclusive<u32>>, Refusal> {
    if let [(Bound::Saved, _)] = set.0[..] {
        return Ok(of_uids(view.saved(), view)); // RFC 5182 §2.1: whether UIDs are asked for or not
    }
    let last = if uid { view.last_uid() } else { view.exists() };
    let mut ranges = Vec::with_capacity(set.0.len());
    for (one, other) in &set.0 {
        let value = |bound: &Bound| match bound {
            Bound::Number(number) => *number,
            Bound::Last | Bound::Saved => last,
        };
        let (one, other) = (value(one), value(other));
        let range = one.min(other)..=one.max(other);
        if uid {
            let sequences = view.sequences_of_uids(&range);
            if !sequences.is_empty() {
                ranges.push(sequences);
            }
        } else if *range.start() == 0 || *range.end() > view.exists() {
            return Err(Refusal::Syntax("No such message"));
        } else {
            ranges.push(range);
        }
    }
    Ok(coalesce(ranges))
}

/// The sequence numbers of those of `uids` that are in the view.
pub fn of_uids(uids: &UidSet, view: &View) -> Vec<RangeInclusive<u32>> {
    let sequences = uids.ranges().iter().map(|range| view.sequences_of_uids(range));
    coalesce(sequences.filter(|range| !range.is_empty()).collect())
}

fn coalesce(mut ranges: Vec<RangeInclusive<u32>>) -> Vec<RangeInclusive<u32>> {
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u32>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=(*last.end()).max(*range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// Adds a number to ordered ranges: only what ascends one by one becomes a range (RFC 5267 §3.1).
pub fn append(ranges: &mut Vec<RangeInclusive<u32>>, number: u32) {
    match ranges.last_mut() {
        Some(last) if last.end().checked_add(1) == Some(number) => *last = *last.start()..=number,
        _ => ranges.push(number..=number),
    }
}

/// Numbers in ranges.
pub fn count(ranges: &[RangeInclusive<u32>]) -> u64 {
    ranges.iter().map(|range| u64::from(range.end() - range.start()) + 1).sum()
}

/// What is in both of two lists of sorted, disjoint ranges.
pub fn common(one: &[RangeInclusive<u32>], other: &[RangeInclusive<u32>]) -> Vec<RangeInclusive<u32>> {
    let (mut ones, mut others) = (one.iter().peekable(), other.iter().peekable());
    let mut both = Vec::new();
    while let (Some(a), Some(b)) = (ones.peek(), others.peek()) {
        let (from, to) = (*a.start().max(b.start()), *a.end().min(b.end()));
        if from <= to {
            both.push(from..=to);
        }
        if a.end() <= b.end() {
            ones.next();
        } else {
            others.next();
        }
    }
    both
}

/// The places (from 0) of ordered ranges.
pub fn cut(ranges: &[RangeInclusive<u32>], places: std::ops::Range<u64>) -> Vec<RangeInclusive<u32>> {
    let mut page = Vec::new();
    let mut at = 0u64;
    for range in ranges {
        let len = u64::from(range.end() - range.start()) + 1;
        let (from, to) = (places.start.max(at), places.end.min(at + len));
        if from < to {
            let offset = |place: u64| u32::try_from(place - at).unwrap_or(u32::MAX);
            page.push(range.start() + offset(from)..=range.start() + offset(to - 1));
        }
        at += len;
    }
    page
}

/// Walks resolved ranges one sequence number at a time, so that a command can stop and go on later.
#[derive(Debug)]
pub struct Walk {
    ranges: Vec<RangeInclusive<u32>>,
    range: usize,
    next: u32,
}

impl Walk {
    pub fn new(ranges: Vec<RangeInclusive<u32>>) -> Walk {
        let next = ranges.first().map_or(0, |range| *range.start());
        Walk { ranges, range: 0, next }
    }

    /// The next sequence number, not taken yet.
    pub fn peek(&self) -> Option<u32> {
        self.ranges.get(self.range).map(|_| self.next)
    }

    pub fn advance(&mut self) {
        let Some(range) = self.ranges.get(self.range) else { return };
        if self.next < *range.end() {
            self.next += 1;
        } else {
            self.range += 1;
            self.next = self.ranges.get(self.range).map_or(0, |range| *range.start());
        }
    }

    /// Goes on at this sequence number, or the first behind it; never back.
    pub fn skip_to(&mut self, sequence: u32) {
        while let Some(range) = self.ranges.get(self.range) {
            if sequence <= *range.end() {
                self.next = self.next.max(sequence);
                return;
            }
            self.range += 1;
            self.next = self.ranges.get(self.range).map_or(0, |range| *range.start());
        }
    }

    /// The next `count` sequence numbers, not taken.
    pub fn ahead(&self, count: usize) -> impl Iterator<Item = u32> + '_ {
        let from = self.next;
        self.ranges[self.range.min(self.ranges.len())..]
            .iter()
            .enumerate()
            .flat_map(move |(index, range)| if index == 0 { from..=*range.end() } else { range.clone() })
            .take(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_walk_goes_through_ranges_and_looks_ahead_without_moving() {
        let mut walk = Walk::new(coalesce(vec![7..=8, 1..=2, 2..=3]));
        walk.advance();
        assert_eq!(walk.ahead(10).collect::<Vec<_>>(), [2, 3, 7, 8]);
        let mut all = Vec::new();
        while let Some(sequence) = walk.peek() {
            all.push(sequence);
            walk.advance();
        }
        assert_eq!(all, [2, 3, 7, 8]);
        assert_eq!(walk.ahead(3).count(), 0);
        let mut walk = Walk::new(vec![1..=3, 7..=8]);
        for (to, next) in [(2, Some(2)), (1, Some(2)), (4, Some(7)), (8, Some(8)), (9, None), (1, None)] {
            walk.skip_to(to);
            assert_eq!(walk.peek(), next, "to {to}");
        }
    }

    proptest! {
        #[test]
        fn what_is_common_is_in_both(
            one in proptest::collection::btree_set(1u32..40, 0..30),
            other in proptest::collection::btree_set(1u32..40, 0..30),
        ) {
            let ranges = |numbers: &std::collections::BTreeSet<u32>| {
                let mut ranges = Vec::new();
                numbers.iter().for_each(|number| append(&mut ranges, *number));
                ranges
            };
            let both: Vec<u32> = common(&ranges(&one), &ranges(&other)).into_iter().flatten().collect();
            prop_assert_eq!(count(&ranges(&one)), one.len() as u64);
            prop_assert_eq!(both, one.intersection(&other).copied().collect::<Vec<_>>());
        }

        #[test]
        fn a_page_is_what_a_plain_list_has_there(
            numbers in proptest::collection::vec(1u32..30, 0..40),
            from in 0u64..50,
            len in 0u64..50,
        ) {
            let mut ranges = Vec::new();
            numbers.iter().for_each(|number| append(&mut ranges, *number));
            let page: Vec<u32> = cut(&ranges, from..from + len).into_iter().flatten().collect();
            let expected: Vec<u32> =
                numbers.iter().copied().skip(from as usize).take(len as usize).collect();
            prop_assert_eq!(page, expected);
        }
    }
}
