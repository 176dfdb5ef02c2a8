//! `id = "ID" SP (nil / "(" string SP nstring *(SP string SP nstring) ")")` (RFC 2971 §3.1).

use crate::cursor::{Cursor, Parsed};
use crate::words;

/// Pairs at most (RFC 2971 §3.3).
const PAIRS_MAX: usize = 30;

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Vec<(String, Option<String>)>> {
    cursor.space()?;
    if cursor.keyword(b"NIL") {
        return Ok(Vec::new());
    }
    cursor.expect(b'(', "NIL or a list of fields")?;
    let mut pairs = Vec::new();
    while !cursor.take(b')') {
        if !pairs.is_empty() {
            cursor.space()?;
        }
        if pairs.len() == PAIRS_MAX {
            return cursor.error("at most 30 fields");
        }
        let field = String::from_utf8_lossy(&words::string(cursor)?).into_owned();
        cursor.space()?;
        let value = words::nstring(cursor)?.map(|value| String::from_utf8_lossy(&value).into_owned());
        pairs.push((field, value));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        let pairs = arguments(&mut Cursor::new(b" (\"name\" \"mutt\" \"os\" NIL)")).unwrap();
        assert_eq!(pairs, [("name".into(), Some("mutt".into())), ("os".into(), None)]);
        assert_eq!(arguments(&mut Cursor::new(b" NIL")), Ok(Vec::new()));
        assert!(arguments(&mut Cursor::new(b" (\"name\")")).is_err());
    }
}
