//! `sequence-set`: of sequence numbers, or of UIDs in the UID commands (RFC 3501 §9).

use crate::cursor::{Cursor, Parsed};

/// `seq-number = nz-number / "*"`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// A number, at least 1.
    Number(u32),
    /// `*`: the last one.
    Last,
    /// `$`, which stands alone: what the last SEARCH with SAVE found (RFC 5182 §2.1).
    Saved,
}

/// Ranges as the client wrote them; a single number is a range of one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SequenceSet(pub Vec<(Bound, Bound)>);

/// `seq-number = nz-number / "*"`
fn seq_number(cursor: &mut Cursor<'_>) -> Parsed<Bound> {
    if cursor.take(b'*') {
        return Ok(Bound::Last);
    }
    match cursor.nz_number() {
        Ok(number) => Ok(Bound::Number(number)),
        Err(_) => cursor.clone().error("a number from 1 to 4294967295, or *"),
    }
}

/// `sequence-set = (seq-number / seq-range) *("," sequence-set) / "$"` (RFC 3501 §9, RFC 5182 §5). Neighbours are joined as they are read, so a long
/// list of single numbers costs little.
pub fn sequence_set(cursor: &mut Cursor<'_>) -> Parsed<SequenceSet> {
    if cursor.take(b'$') {
        return Ok(SequenceSet(vec![(Bound::Saved, Bound::Saved)]));
    }
    let mut ranges: Vec<(Bound, Bound)> = Vec::new();
    loop {
        let one = seq_number(cursor)?;
        let other = if cursor.take(b':') { seq_number(cursor)? } else { one };
        match (ranges.last_mut(), one, other) {
            (Some((Bound::Number(low), Bound::Number(high))), Bound::Number(from), Bound::Number(to))
                if *low <= *high && from <= to && (*high).checked_add(1) == Some(from) =>
            {
                *high = to;
            }
            _ => ranges.push((one, other)),
        }
        if !cursor.take(b',') {
            return Ok(SequenceSet(ranges));
        }
    }
}

/// `known-uids = sequence-set` of numbers only: neither `*` nor `$` (RFC 7162 §7). In the order they are written in, each
/// from its lower end.
pub fn known_uids(cursor: &mut Cursor<'_>) -> Parsed<Vec<std::ops::RangeInclusive<u32>>> {
    let start = cursor.clone();
    let mut ranges = Vec::new();
    for bounds in sequence_set(cursor)?.0 {
        match bounds {
            (Bound::Number(one), Bound::Number(other)) => ranges.push(one.min(other)..=one.max(other)),
            _ => return start.error("UIDs without * or $"),
        }
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Bound::{Last, Number};

    #[test]
    fn sets_are_read_and_neighbours_joined() {
        let set = sequence_set(&mut Cursor::new(b"1,2,3:5,9:7,*,4:*")).unwrap();
        assert_eq!(set.0, [(Number(1), Number(5)), (Number(9), Number(7)), (Last, Last), (Number(4), Last)]);
    }

    #[test]
    fn known_uids_are_numbers_only() {
        assert_eq!(known_uids(&mut Cursor::new(b"9:7,1:3")), Ok(vec![7..=9, 1..=3]));
        for bad in [&b"*"[..], b"1:*", b"$", b"0", b""] {
            assert!(known_uids(&mut Cursor::new(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn broken_sets_are_refused() {
        for bad in [b"$,1", b"1,$", b"$:2"] {
            let mut cursor = Cursor::new(bad);
            assert!(sequence_set(&mut cursor).and_then(|_| cursor.end()).is_err(), "{bad:?}");
        }
        for bad in [&b"0"[..], b"0:5", b"4294967296", b"1,,2", b"*:", b"", b"1,", b":1", b"a"] {
            let mut cursor = Cursor::new(bad);
            assert!(sequence_set(&mut cursor).is_err(), "{bad:?}");
        }
    }
}
