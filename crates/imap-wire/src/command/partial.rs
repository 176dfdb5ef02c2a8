//! `partial-range`: which places of a result are wanted (RFC 9394 §4).

use std::ops::RangeInclusive;

use crate::cursor::{Cursor, Parsed};

/// A page of a result, counted from 1; as the client wrote it, since the response repeats it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Partial {
    one: u32,
    other: u32,
    /// Counted from the last message backwards: `-1:-100`.
    pub from_end: bool,
}

impl Partial {
    /// The places, the smaller one first: 500:400 is the same as 400:500.
    pub fn places(&self) -> RangeInclusive<u32> {
        self.one.min(self.other)..=self.one.max(self.other)
    }

    /// As it was written.
    pub fn text(&self) -> String {
        let sign = if self.from_end { "-" } else { "" };
        format!("{sign}{}:{sign}{}", self.one, self.other)
    }

    /// The places from the beginning of a result of `count` messages, from 0; empty when it does not reach so far.
    pub fn of(&self, count: u64) -> std::ops::Range<u64> {
        let places = self.places();
        let (from, to) = (u64::from(*places.start()), u64::from(*places.end()));
        if self.from_end {
            count.saturating_sub(to)..count.saturating_sub(from - 1)
        } else {
            (from - 1).min(count)..to.min(count)
        }
    }
}

/// `SP partial-range`, where `partial-range = nz-number ":" nz-number / MINUS nz-number ":" MINUS nz-number`.
pub(super) fn partial(cursor: &mut Cursor<'_>) -> Parsed<Partial> {
    cursor.space()?;
    let from_end = cursor.take(b'-');
    let one = cursor.nz_number()?;
    cursor.expect(b':', "a colon and another number")?;
    if from_end {
        cursor.expect(b'-', "a number with a minus, as the first one")?;
    }
    Ok(Partial { one, other: cursor.nz_number()?, from_end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parsed<Partial> {
        let mut cursor = Cursor::new(text.as_bytes());
        let read = partial(&mut cursor)?;
        cursor.end().map(|()| read)
    }

    #[test]
    fn a_page_is_cut_from_either_end() {
        for (text, count, page) in [
            (" 1:2", 5, 0..2),
            (" 2:1", 5, 0..2),
            (" 4:9", 5, 3..5),
            (" 6:9", 5, 5..5),
            (" -1:-2", 5, 3..5),
            (" -2:-1", 5, 3..5),
            (" -5:-9", 5, 0..1),
            (" -6:-9", 5, 0..0),
            (" 1:4294967295", 0, 0..0),
        ] {
            let partial = read(text).unwrap();
            assert_eq!(partial.of(count), page, "{text}");
            assert_eq!(format!(" {}", partial.text()), text);
        }
    }

    #[test]
    fn broken_pages_are_refused() {
        for bad in ["", " ", " 1", " 0:1", " 1:*", " -1:2", " 1:-2", " 1:4294967296", " \"1:2\"", "1:2"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
