//! `authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")]` (RFC 3501 §6.2.2, RFC 4959).

use crate::cursor::{Cursor, Parsed};
use crate::words;

/// An authentication begins.
#[derive(Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// In upper case.
    pub mechanism: String,
    /// The initial response as written: base64, or `=` for an empty one.
    pub initial: Option<Vec<u8>>,
}

impl std::fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticate").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

pub(super) fn arguments(cursor: &mut Cursor<'_>) -> Parsed<Authenticate> {
    cursor.space()?;
    let mechanism = String::from_utf8_lossy(words::atom(cursor)?).to_ascii_uppercase();
    if cursor.rest().len() < 2 {
        return Ok(Authenticate { mechanism, initial: None });
    }
    cursor.space()?;
    let initial =
        cursor.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    if initial.is_empty() {
        return cursor.error("an initial response in base64");
    }
    Ok(Authenticate { mechanism, initial: Some(initial.to_vec()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_response_may_be_missing_or_empty() {
        let read = |text: &[u8]| arguments(&mut Cursor::new(text)).map(|one| (one.mechanism, one.initial));
        assert_eq!(read(b" plain"), Ok(("PLAIN".into(), None)));
        assert_eq!(read(b" PLAIN ="), Ok(("PLAIN".into(), Some(b"=".to_vec()))));
        assert_eq!(read(b" PLAIN AGE="), Ok(("PLAIN".into(), Some(b"AGE=".to_vec()))));
        assert!(read(b" PLAIN !x").is_err());
    }
}
