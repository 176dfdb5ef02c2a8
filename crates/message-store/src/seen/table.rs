//! What one user has seen of one mailbox, and when which message became seen or not: see the head of `seen.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use crate::UidSet;

/// Changes that are told one by one; older ones count as the last of them.
pub(super) const CHANGES_KEPT: usize = 1000;

/// The last change of some messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark {
    pub last: u32,
    /// Which change of the user's.
    pub index: u64,
    /// What the mailbox was at.
    pub modseq: u64,
}

/// See the head of this file.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Table {
    seen: UidSet,
    /// By the first UID of each range.
    pub(super) marks: BTreeMap<u32, Mark>,
    count: u64,
    /// What the mailbox was at, of the latest changes; ascending.
    pub(super) steps: VecDeque<u64>,
}

impl Table {
    pub fn seen(&self) -> &UidSet {
        &self.seen
    }

    pub fn is_seen(&self, uid: u32) -> bool {
        self.seen.contains(uid)
    }

    /// How many changes there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The highest number of this user's when the mailbox is at `raw`.
    pub fn highest(&self, raw: u64) -> u64 {
        raw.saturating_add(self.count)
    }

    /// This user's number of a message whose record has `raw`.
    pub fn modseq(&self, uid: u32, raw: u64) -> u64 {
        let mark = self.marks.range(..=uid).next_back().map(|(_, mark)| mark);
        let own =
            mark.filter(|mark| mark.last >= uid).map_or(0, |mark| mark.modseq.saturating_add(mark.index));
        self.shown(raw).max(own)
    }

    fn shown(&self, raw: u64) -> u64 {
        let older = self.count.saturating_sub(self.steps.len() as u64);
        raw.saturating_add(older + self.steps.partition_point(|step| *step < raw) as u64)
    }

    /// The highest number of the mailbox's that a client knows of who knows of `shown`.
    pub fn raw(&self, shown: u64) -> u64 {
        let (mut low, mut high) = (0, shown);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.shown(middle) <= shown {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    /// The messages whose last change came behind so many, and which change that was.
    pub fn since(&self, index: u64) -> impl Iterator<Item = (RangeInclusive<u32>, u64)> {
        let later = self.marks.iter().filter(move |(_, mark)| mark.index > index);
        later.map(|(first, mark)| (*first..=mark.last, mark.index))
    }

    /// The next change.
    pub(super) fn apply(&mut self, index: u64, modseq: u64, seen: bool, uids: &UidSet) {
        self.mark(index, modseq, seen, uids);
        self.count = index;
        self.steps.push_back(modseq);
        if self.steps.len() > 2 * CHANGES_KEPT && self.marks.len() > 2 * CHANGES_KEPT {
            self.fold();
        }
        while self.steps.len() > 2 * CHANGES_KEPT {
            self.steps.pop_front();
        }
    }

    pub(super) fn mark(&mut self, index: u64, modseq: u64, seen: bool, uids: &UidSet) {
        self.seen = match seen {
            true => UidSet::from_ranges(self.seen.ranges().iter().chain(uids.ranges()).cloned()),
            false => self.seen.without(uids),
        };
        for range in uids.ranges() {
            self.cut_out(range);
            self.marks.insert(*range.start(), Mark { last: *range.end(), index, modseq });
        }
    }

    /// Removes the marks of a range; what lies beside it stays.
    fn cut_out(&mut self, range: &RangeInclusive<u32>) {
        let (first, last) = (*range.start(), *range.end());
        let touched: Vec<(u32, Mark)> = self
            .marks
            .range(..=last)
            .rev()
            .take_while(|(_, mark)| mark.last >= first)
            .map(|(start, mark)| (*start, *mark))
            .collect();
        for (start, mark) in touched {
            self.marks.remove(&start);
            if start < first {
                self.marks.insert(start, Mark { last: first - 1, ..mark });
            }
            if mark.last > last {
                self.marks.insert(last + 1, mark);
            }
        }
    }

    /// Older changes count as if they had been made with the last of them: a client may be told of them once more, and is
    /// never not told.
    pub(super) fn fold(&mut self) {
        while self.steps.len() > CHANGES_KEPT {
            self.steps.pop_front();
        }
        let Some(modseq) = self.steps.front().copied() else { return };
        let index = self.count - self.steps.len() as u64 + 1;
        let old: Vec<RangeInclusive<u32>> = self
            .marks
            .iter()
            .filter(|(_, mark)| mark.index <= index)
            .map(|(first, mark)| *first..=mark.last)
            .collect();
        self.marks.retain(|_, mark| mark.index > index);
        for range in UidSet::from_ranges(old).ranges() {
            self.marks.insert(*range.start(), Mark { last: *range.end(), index, modseq });
        }
    }

    /// One more change, after which nothing is seen; of those before it the count stays.
    pub(super) fn forget(&mut self, modseq: u64) {
        let seen = std::mem::take(&mut self.seen);
        self.marks.clear();
        self.steps.clear();
        self.apply(self.count + 1, modseq, false, &seen);
    }

    pub(super) fn set_steps(&mut self, count: u64, steps: VecDeque<u64>) {
        (self.count, self.steps) = (count, steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What happens: the mailbox changes a message, or the user its \Seen.
    #[derive(Clone, Debug)]
    enum Event {
        Mailbox(u32),
        User(u32, bool),
    }

    proptest! {
        /// Whoever knows everything up to some moment, and asks for what changed since, is told of every later change.
        #[test]
        fn nothing_is_missed_whenever_a_client_was_here_last(
            events in proptest::collection::vec(
                prop_oneof![(1u32..6).prop_map(Event::Mailbox), (1u32..6, any::<bool>()).prop_map(|(uid, seen)| Event::User(uid, seen))],
                0..60,
            ),
            folds in proptest::collection::vec(any::<bool>(), 60),
        ) {
            let mut table = Table::default();
            let mut raw = 1u64;
            let mut records = [1u64; 7];
            let mut known = vec![(table.highest(raw), 0)];
            let mut touched: Vec<u32> = Vec::new();
            for (event, fold) in events.iter().zip(&folds) {
                match event {
                    Event::Mailbox(uid) => {
                        raw += 1;
                        records[*uid as usize] = raw;
                        touched.push(*uid);
                    }
                    Event::User(uid, seen) => {
                        let index = table.count() + 1;
                        table.apply(index, raw, *seen, &UidSet::single(*uid));
                        prop_assert_eq!(table.is_seen(*uid), *seen);
                        touched.push(*uid);
                    }
                }
                if *fold && table.steps.len() > 3 {
                    // As if only the last three were kept.
                    while table.steps.len() > 3 {
                        table.steps.pop_front();
                    }
                    table.fold();
                }
                prop_assert!(table.highest(raw) > known.last().unwrap().0);
                known.push((table.highest(raw), touched.len()));
            }
            for (highest, so_far) in known {
                for uid in 1..6u32 {
                    let modseq = table.modseq(uid, records[uid as usize]);
                    prop_assert!(modseq <= table.highest(raw));
                    if touched[so_far..].contains(&uid) {
                        prop_assert!(modseq > highest, "{} of {} after {}", modseq, uid, highest);
                        let by_mailbox = records[uid as usize] > table.raw(highest);
                        let by_user = modseq > highest;
                        prop_assert!(by_mailbox || by_user);
                    }
                }
            }
        }
    }

    #[test]
    fn without_changes_the_numbers_are_the_mailboxs() {
        let table = Table::default();
        assert_eq!((table.modseq(7, 40), table.raw(40), table.highest(40)), (40, 40, 40));
    }
}
