//! JSON strings (RFC 8259 §7), for logs and tools that write one object a line.

use std::fmt::Write as _;

/// `text` as a JSON string with its quotes. What could end a line or move a cursor is escaped.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len().saturating_add(2));
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_string_ends_it_or_its_line() {
        assert_eq!(quote("a \"b\" \\ c"), r#""a \"b\" \\ c""#);
        assert_eq!(quote("a\nb\u{1b}[2J\u{2028}"), r#""a\u000ab\u001b[2J\u2028""#);
        assert_eq!(quote("grün"), "\"grün\"");
    }
}
