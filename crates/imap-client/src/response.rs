//! One response of the server, its literals with it (RFC 3501 §7).

use imap_wire::literal::Literal;

use crate::error::{ImapError, Result};
use crate::value::{Value, parse};
use crate::wire::Wire;

/// Bytes of one response at most, literals included; a message's bytes are not kept and do not count.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// As it was read: where `{n}` stands in the text, a literal is meant.
#[derive(Debug, Default)]
pub struct Response {
    pub text: Vec<u8>,
    literals: Vec<Vec<u8>>,
}

/// What happens to a literal whose announcement ends `text`: taken (true), or kept.
pub type Take<'a> = dyn FnMut(&[u8], u64, &mut Wire) -> Result<bool> + 'a;

impl Response {
    /// Reads one.
    ///
    /// # Errors
    /// Those of the connection; `TooBig`.
    pub fn read(wire: &mut Wire, take: &mut Take<'_>) -> Result<Response> {
        let mut response = Response::default();
        let mut kept = 0usize;
        loop {
            let begin = response.text.len();
            wire.line(&mut response.text, RESPONSE_BYTES_MAX.saturating_sub(kept))?;
            let Some((before, literal)) = Literal::split(&response.text[begin..]) else {
                return Ok(response);
            };
            let size = u64::from(literal.size.ok_or(ImapError::TooBig("a literal of 4 GiB"))?);
            let before = begin + before.len();
            if take(&response.text[..before], size, wire)? {
                response.literals.push(Vec::new());
                continue;
            }
            kept = kept.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
            if kept.saturating_add(response.text.len()) > RESPONSE_BYTES_MAX {
                return Err(ImapError::TooBig("a literal of the server"));
            }
            let mut bytes = Vec::new();
            wire.literal(size, &mut |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })?;
            response.literals.push(bytes);
        }
    }

    /// What stands behind the tag, if it has this one.
    pub fn tagged(&self, tag: &str) -> Option<&[u8]> {
        self.text.strip_prefix(tag.as_bytes())?.strip_prefix(b" ")
    }

    /// Its values.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn values(self) -> Result<Vec<Value>> {
        parse(&self.text, self.literals)
    }

    /// What stands behind `* OK`, `* NO`, `* BYE` and the like: the word, and the text.
    pub fn status(&self) -> Option<(String, String)> {
        let text = self.text.strip_prefix(b"* ")?;
        let end = memchr::memchr(b' ', text).unwrap_or(text.len());
        let word = String::from_utf8_lossy(&text[..end]).to_ascii_uppercase();
        let rest = String::from_utf8_lossy(text.get(end + 1..).unwrap_or_default()).into_owned();
        matches!(word.as_str(), "OK" | "NO" | "BAD" | "BYE" | "PREAUTH").then_some((word, rest))
    }
}

/// The number of a response code: `UIDNEXT` in `[UIDNEXT 5] Predicted`.
pub fn code_number(text: &str, name: &str) -> Option<u64> {
    let inner = text.trim_start().strip_prefix('[')?.split(']').next()?;
    let (word, number) = inner.split_once(' ')?;
    word.eq_ignore_ascii_case(name).then(|| number.trim().parse().ok())?
}
