//! The lines of `store.seen/=<uid>`. Each ends with a check: ` #` and the CRC-32 of what stands before it.
//!
//! ```text
//! Mailboat-Seen: 1 1795967791 #5f3a09c1      the UIDVALIDITY; of another one the file says nothing
//! + 3 17 1:4,9 #...                          the third change, when the mailbox was at 17: these are seen
//! - 4 17 9 #...                              this one is not seen any more
//! ```
//!
//! A file that was written anew has, between the first line and those that came since:
//!
//! ```text
//! = 3 17 1:4 #...                            seen, and when they became so last
//! ! 4 17 9 #...                              not seen, and when they became so last
//! ~ 4 15,17,17 #...                          how many changes there were, and what the mailbox was at, of the latest
//! ```

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use super::table::Table;
use crate::UidSet;

fn checked(text: &str) -> String {
    format!("{text} #{:08x}\n", base::crc32(text.as_bytes()))
}

/// The text of a line that verifies.
fn unchecked(line: &str) -> Option<&str> {
    let (text, check) = line.rsplit_once(" #")?;
    (check == format!("{:08x}", base::crc32(text.as_bytes()))).then_some(text)
}

pub fn header(uid_validity: u32) -> String {
    checked(&format!("Mailboat-Seen: 1 {uid_validity}"))
}

/// A change, as it is appended.
pub fn change(index: u64, modseq: u64, seen: bool, uids: &UidSet) -> String {
    line(if seen { '+' } else { '-' }, index, modseq, uids.ranges())
}

fn line(sign: char, index: u64, modseq: u64, ranges: &[RangeInclusive<u32>]) -> String {
    let ranges: Vec<String> = ranges
        .iter()
        .map(|range| match range.start() == range.end() {
            true => range.start().to_string(),
            false => format!("{}:{}", range.start(), range.end()),
        })
        .collect();
    checked(&format!("{sign} {index} {modseq} {}", ranges.join(",")))
}

/// Everything that a table says.
pub fn whole(table: &Table, uid_validity: u32) -> String {
    let mut text = header(uid_validity);
    let mut marks: Vec<(u64, u64, RangeInclusive<u32>)> =
        table.marks.iter().map(|(first, mark)| (mark.index, mark.modseq, *first..=mark.last)).collect();
    marks.sort_by_key(|(index, _, range)| (*index, *range.start()));
    for same in marks.chunk_by(|one, other| one.0 == other.0) {
        let (index, modseq) = (same[0].0, same[0].1);
        let uids = UidSet::from_ranges(same.iter().map(|(_, _, range)| range.clone()));
        for (sign, uids) in [('=', uids.common(table.seen())), ('!', uids.without(table.seen()))] {
            if !uids.is_empty() {
                text.push_str(&line(sign, index, modseq, uids.ranges()));
            }
        }
    }
    let steps: Vec<String> = table.steps.iter().map(u64::to_string).collect();
    text.push_str(&checked(&format!("~ {} {}", table.count(), steps.join(","))));
    text
}

/// What the bytes say, and how many of them verify.
pub fn read(bytes: &[u8], uid_validity: u32) -> (Table, usize) {
    let mut table = Table::default();
    let mut verified = 0;
    while let Some(length) = memchr::memchr(b'\n', &bytes[verified..]) {
        let text = std::str::from_utf8(&bytes[verified..verified + length]).ok().and_then(unchecked);
        let is_good = match text {
            Some(text) if verified == 0 => checked(text) == header(uid_validity),
            Some(text) => take(&mut table, text).is_some(),
            None => false,
        };
        if !is_good {
            break;
        }
        verified += length + 1;
    }
    (table, verified)
}

/// Whether a line verifies behind the first.
pub fn another_follows(bytes: &[u8]) -> bool {
    let lines = bytes.split(|byte| *byte == b'\n').skip(1);
    lines.into_iter().any(|line| std::str::from_utf8(line).ok().and_then(unchecked).is_some())
}

fn take(table: &mut Table, text: &str) -> Option<()> {
    let mut words = text.split(' ');
    let sign = words.next()?;
    let index: u64 = words.next()?.parse().ok()?;
    if sign == "~" {
        let steps = words.next()?;
        let steps: Option<VecDeque<u64>> = match steps {
            "" => Some(VecDeque::new()),
            steps => steps.split(',').map(|step| step.parse().ok()).collect(),
        };
        let steps = steps.filter(|steps| steps.len() as u64 <= index)?;
        table.set_steps(index, steps);
        return Some(());
    }
    let modseq: u64 = words.next()?.parse().ok()?;
    let ranges: Option<Vec<RangeInclusive<u32>>> = words.next()?.split(',').map(range).collect();
    let uids = UidSet::from_ranges(ranges?);
    match sign {
        "+" | "-" if index == table.count().checked_add(1)? => table.apply(index, modseq, sign == "+", &uids),
        "=" | "!" => table.mark(index, modseq, sign == "=", &uids),
        _ => return None,
    }
    Some(())
}

fn range(text: &str) -> Option<RangeInclusive<u32>> {
    match text.split_once(':') {
        Some((first, last)) => Some(first.parse().ok()?..=last.parse().ok()?),
        None => text.parse().ok().map(|uid| uid..=uid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_and_a_cut_or_damaged_end_did_not_happen(
            changes in proptest::collection::vec((any::<bool>(), 1u32..50, 0u32..9), 1..30),
            cut in any::<prop::sample::Index>(),
            bit in any::<prop::sample::Index>(),
        ) {
            let mut table = Table::default();
            let mut text = header(7);
            let mut ends = vec![(text.len(), table.clone())];
            for (number, (seen, first, more)) in (1u64..).zip(changes) {
                let uids = UidSet::from_ranges([first..=first + more]);
                text.push_str(&change(number, number / 3, seen, &uids));
                table.apply(number, number / 3, seen, &uids);
                ends.push((text.len(), table.clone()));
            }
            prop_assert_eq!(read(text.as_bytes(), 7), (table.clone(), text.len()));
            prop_assert_eq!(read(text.as_bytes(), 8), (Table::default(), 0));
            let anew = whole(&table, 7);
            prop_assert_eq!(read(anew.as_bytes(), 7), (table, anew.len()));
            let cut = cut.index(text.len());
            let whole_ones = ends.iter().rev().find(|(end, _)| *end <= cut).cloned();
            let (end, before) = whole_ones.unwrap_or((0, Table::default()));
            prop_assert_eq!(read(&text.as_bytes()[..cut], 7), (before, end));
            let mut damaged = text.clone().into_bytes();
            let bit = bit.index(damaged.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
            let (_, verified) = read(&damaged, 7);
            prop_assert!(verified <= bit / 8);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "[-+=!~] [0-9]{0,20} [0-9]{0,20} [0-9:,]{0,12}") {
            read(&bytes, 7);
            read((header(7) + &checked(&text)).as_bytes(), 7);
        }
    }
}
