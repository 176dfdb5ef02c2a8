//! Ranges of bytes (RFC 9110 §14).

/// What part of a content is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// No range, or one that may be passed over (RFC 9110 §14.2): another unit, several, or no proper form.
    Whole,
    /// These bytes, `first` to `last`; both are there.
    Part { first: u64, last: u64 },
    /// None of the bytes is there.
    Unsatisfiable,
}

/// The value of `Range` for a content of so many bytes.
pub fn parse(value: &str, size: u64) -> Range {
    part(value, size).unwrap_or(Range::Whole)
}

fn part(value: &str, size: u64) -> Option<Range> {
    let (unit, set) = value.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let number = |text: &str| {
        let plain = !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
        if plain { text.parse::<u64>().ok() } else { None }
    };
    if first.is_empty() {
        let count = number(last)?;
        let first = size.saturating_sub(count);
        return Some(if count == 0 || size == 0 {
            Range::Unsatisfiable
        } else {
            Range::Part { first, last: size - 1 }
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    if first >= size {
        return Some(Range::Unsatisfiable);
    }
    Some(Range::Part { first, last: last.min(size - 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_is_there() {
        let part = |first, last| Range::Part { first, last };
        for (value, expected) in [
            ("bytes=0-9", part(0, 9)),
            ("bytes=90-", part(90, 99)),
            ("bytes=90-500", part(90, 99)),
            ("bytes=-5", part(95, 99)),
            ("bytes=-500", part(0, 99)),
            ("Bytes=5-5", part(5, 5)),
            ("bytes=100-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=9-5", Range::Whole),
            ("bytes=0-1,5-6", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=+1-2", Range::Whole),
            ("rows=1-2", Range::Whole),
            ("bytes", Range::Whole),
            ("bytes=18446744073709551616-", Range::Whole),
        ] {
            assert_eq!(parse(value, 100), expected, "{value}");
        }
        assert_eq!(parse("bytes=0-", 0), Range::Unsatisfiable);
    }
}
