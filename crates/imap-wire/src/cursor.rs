//! A place in the bytes of one command. Rules of the grammar move it forward or fail where they stand.

use std::fmt;

use crate::mailbox::Naming;

/// What the grammar expected, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Bytes of the command before the trouble.
    pub offset: usize,
    /// A noun phrase: "a mailbox name".
    pub expected: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expected {} at byte {}", self.expected, self.offset)
    }
}

impl std::error::Error for SyntaxError {}

/// A result of the grammar.
pub type Parsed<T> = Result<T, SyntaxError>;

/// The bytes of a command and how far they were read.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    /// Bytes read so far.
    pub offset: usize,
    /// What mailbox names are written in.
    pub naming: Naming,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor::of(bytes, Naming::ModifiedUtf7)
    }

    /// At the beginning of `bytes`, in which mailbox names are written so.
    pub fn of(bytes: &'a [u8], naming: Naming) -> Cursor<'a> {
        Cursor { bytes, offset: 0, naming }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }

    /// The next byte, not taken.
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.offset).copied()
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.offset >= self.bytes.len()
    }

    /// An error at this place.
    pub fn error<T>(&self, expected: &'static str) -> Parsed<T> {
        Err(SyntaxError { offset: self.offset, expected })
    }

    /// Takes `byte` if it is next.
    pub fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.offset += usize::from(next);
        next
    }

    /// Takes `byte`, which must be next.
    pub fn expect(&mut self, byte: u8, expected: &'static str) -> Parsed<()> {
        if self.take(byte) { Ok(()) } else { self.error(expected) }
    }

    /// Takes one space, which must be next.
    pub fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "a space")
    }

    /// Takes what is next as long as `test` holds; may be empty.
    pub fn take_while(&mut self, test: fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|&byte| !test(byte)).unwrap_or(rest.len());
        self.skip(len)
    }

    /// Takes `len` bytes, or what there is.
    pub fn skip(&mut self, len: usize) -> &'a [u8] {
        let rest = self.rest();
        let taken = &rest[..len.min(rest.len())];
        self.offset += taken.len();
        taken
    }

    /// Takes `word` if it is next, in any case, and no letter or digit follows.
    pub fn keyword(&mut self, word: &[u8]) -> bool {
        let rest = self.rest();
        let found = rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            && !rest.get(word.len()).is_some_and(u8::is_ascii_alphanumeric);
        if found {
            self.offset += word.len();
        }
        found
    }

    /// `number`: digits, at most 4294967295 (RFC 3501 §9).
    pub fn number(&mut self) -> Parsed<u32> {
        let start = self.clone();
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        match decimal(digits) {
            Some(number) => Ok(number),
            None => start.error("a number from 0 to 4294967295"),
        }
    }

    /// `mod-sequence-valzer`: digits, at most 2^63 - 1 (RFC 7162 §7).
    pub fn number64(&mut self) -> Parsed<u64> {
        let start = self.clone();
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        let value = digits.iter().try_fold(0u64, |value, digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit.saturating_sub(b'0')))
        });
        match value.filter(|value| !digits.is_empty() && *value <= i64::MAX as u64) {
            Some(value) => Ok(value),
            None => start.error("a number from 0 to 9223372036854775807"),
        }
    }

    /// `nz-number`: a number without zero (RFC 3501 §9). A zero in front is refused too.
    pub fn nz_number(&mut self) -> Parsed<u32> {
        let start = self.clone();
        let leading_zero = self.peek() == Some(b'0');
        match self.number() {
            Ok(number) if number > 0 && !leading_zero => Ok(number),
            _ => start.error("a number from 1 to 4294967295"),
        }
    }

    /// The command must end here. Spaces at its end do no harm.
    pub fn end(&mut self) -> Parsed<()> {
        self.take_while(|byte| byte == b' ');
        if self.is_at_end() { Ok(()) } else { self.error("the end of the command") }
    }
}

/// The value of decimal digits; nothing when there are none or too many.
pub fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(Cursor::new(b"4294967295").number(), Ok(u32::MAX));
        for bad in [&b"4294967296"[..], b"", b"-1", b"99999999999999999999", b"x"] {
            assert!(Cursor::new(bad).number().is_err());
        }
        assert_eq!(Cursor::new(b"9223372036854775807").number64(), Ok(i64::MAX as u64));
        for bad in [&b"9223372036854775808"[..], b"", b"-1", b"99999999999999999999999", b"x"] {
            assert!(Cursor::new(bad).number64().is_err());
        }
        for bad in [&b"0"[..], b"01"] {
            assert!(Cursor::new(bad).nz_number().is_err());
        }
    }

    #[test]
    fn an_error_names_its_place() {
        let mut cursor = Cursor::new(b"ab");
        cursor.skip(1);
        assert_eq!(cursor.space().unwrap_err().to_string(), "Expected a space at byte 1");
    }
}
