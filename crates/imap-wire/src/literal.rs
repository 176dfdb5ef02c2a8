//! Whether a line announces a literal, so that the command goes on after it (RFC 3501 §4.3, RFC 7888, RFC 3516 §4.4).

use crate::cursor::decimal;

/// `{12}`, `{12+}`, `~{12}` at the end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Bytes that follow; `None`: a number beyond all limits.
    pub size: Option<u32>,
    /// The client waits for "+" before it sends them.
    pub waits: bool,
    /// It may hold NUL (`literal8`).
    pub binary: bool,
}

impl Literal {
    /// The literal that `line` (without CRLF) announces.
    pub fn at_end(line: &[u8]) -> Option<Literal> {
        Literal::split(line).map(|(_, literal)| literal)
    }

    /// What stands before the announcement, and the announcement.
    pub fn split(line: &[u8]) -> Option<(&[u8], Literal)> {
        let inner = line.strip_suffix(b"}")?;
        let open = memchr::memrchr(b'{', inner)?;
        let number = &inner[open + 1..];
        let (digits, waits) = match number.strip_suffix(b"+") {
            Some(digits) => (digits, false),
            None => (number, true),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None; // not a literal; the grammar refuses a brace anywhere else
        }
        let before = &line[..open];
        let (before, binary) = match before.strip_suffix(b"~") {
            Some(shorter) if shorter.ends_with(b" ") || is_utf8_item(shorter) => (shorter, true),
            _ => (before, false),
        };
        Some((before, Literal { size: decimal(digits), waits, binary }))
    }
}

/// The beginning of `UTF8 (~{12}`, which may be the first part of a message (RFC 6855 §4).
fn is_utf8_item(before: &[u8]) -> bool {
    const ITEM: &[u8] = b"UTF8 (";
    let Some(start) = before.len().checked_sub(ITEM.len()) else { return false };
    let (before, item) = before.split_at(start);
    item.eq_ignore_ascii_case(ITEM) && matches!(before.last(), Some(b' ' | b'('))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_are_found() {
        let literal = |size, waits, binary| Some(Literal { size, waits, binary });
        assert_eq!(Literal::at_end(b"a LOGIN {5}"), literal(Some(5), true, false));
        assert_eq!(Literal::at_end(b"a LOGIN {5+}"), literal(Some(5), false, false));
        assert_eq!(Literal::at_end(b"a APPEND x ~{5+}"), literal(Some(5), false, true));
        assert_eq!(Literal::at_end(b"a LOGIN {4294967296}"), literal(None, true, false));
        for none in [&b"a LOGIN {-1}"[..], b"a LOGIN {}", b"a LOGIN {5", b"a x}", b"", b"}", b"{+}"] {
            assert_eq!(Literal::at_end(none), None);
        }
    }
}
