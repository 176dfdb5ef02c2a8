//! MESSAGELIMIT and SAVELIMIT: how many messages one command works on, the highest UIDs first (RFC 9738).
//!
//! FETCH, STORE, SEARCH, MOVE and UID EXPUNGE do the last of the messages and say how far down they came; what must be whole or not
//! at all (COPY, APPEND, SORT, THREAD, a page of PARTIAL) is refused.

use std::ops::RangeInclusive;

use crate::refusal::Refusal;
use crate::sequences;
use crate::view::View;

/// Where a command stopped that was meant for more messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    most: u32,
    /// The lowest UID that it came to.
    lowest: u32,
}

impl Cut {
    /// `MESSAGELIMIT 1000 23221`
    pub fn code(self) -> String {
        code(self.most, Some(self.lowest))
    }

    /// The command does not do a part.
    pub fn refusal(self) -> Refusal {
        Refusal::MessageLimit { most: self.most, lowest: Some(self.lowest) }
    }
}

/// The response code; without a UID when none was come to.
pub fn code(most: u32, lowest: Option<u32>) -> String {
    let lowest = lowest.map_or_else(String::new, |uid| format!(" {uid}"));
    format!("MESSAGELIMIT {most}{lowest}")
}

/// Leaves the last `most` of ascending sequence numbers. The UID told is that of the first one left.
pub fn bound(
    ranges: Vec<RangeInclusive<u32>>,
    most: Option<u32>,
    view: &View,
) -> (Vec<RangeInclusive<u32>>, Option<Cut>) {
    let count = sequences::count(&ranges);
    let Some(most) = most.filter(|most| count > u64::from(*most)) else { return (ranges, None) };
    let ranges = sequences::cut(&ranges, count - u64::from(most)..count);
    let first = ranges.first().and_then(|range| view.record(*range.start()));
    let lowest = first.map_or(1, |(_, record)| record.uid);
    (ranges, Some(Cut { most, lowest }))
}
