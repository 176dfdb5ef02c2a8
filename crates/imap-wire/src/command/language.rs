//! `language-cmd = "LANGUAGE" *(SP lang-range-quoted)` (RFC 5255 §3.6).

use crate::cursor::{Cursor, Parsed};
use crate::words;

/// Language ranges of one command at most.
const RANGES_MAX: usize = 100;

/// Language ranges as written, the one liked best first; none asks which languages there are.
pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut ranges = Vec::new();
    while cursor.rest().len() > 1 {
        cursor.space()?;
        if ranges.len() == RANGES_MAX {
            return cursor.error("fewer languages");
        }
        let range = if cursor.take(b'*') { b"*".to_vec() } else { words::astring(cursor)? };
        ranges.push(String::from_utf8_lossy(&range).into_owned());
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let read = |text: &[u8]| {
            let mut cursor = Cursor::new(text);
            arguments(&mut cursor).and_then(|read| cursor.end().map(|()| read))
        };
        assert_eq!(read(b"").unwrap(), Vec::<String>::new());
        assert_eq!(read(b" fr \"en-GB\" * {2+}\r\nde").unwrap(), ["fr", "en-GB", "*", "de"]);
        for bad in [&b" (de)"[..], b" de  en", b" \"de"] {
            assert!(read(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
