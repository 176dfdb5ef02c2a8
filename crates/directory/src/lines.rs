//! Texts of several lines in one value of an attribute: `$` is a line end, as in a postal address (RFC 4517 §3.3.28), where
//! `\24` is a dollar sign and `\5c` a backslash.
//!
//! // NMS: `mailAutoReplyText` and the signature have `$` for a line end. Its manuals say nothing of a dollar sign in the text;
//! the escapes are those that `mailProgramDeliveryInfo` has (original.md 5.2). Whatever else follows a backslash is text.

/// The text that a value stands for, with `\n` for line ends.
pub fn read(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find(['$', '\\', '\r']) {
        text.push_str(&rest[..at]);
        let from = &rest[at..];
        let (meant, length) = match from.as_bytes() {
            [b'$', ..] => ("\n", 1),
            [b'\r', b'\n', ..] => ("\n", 2),
            [b'\\', b'2', b'4', ..] => ("$", 3),
            [b'\\', b'5', b'c' | b'C', ..] => ("\\", 3),
            _ => (&from[..1], 1),
        };
        text.push_str(meant);
        rest = &from[length..];
    }
    text + rest
}

/// The value that stands for a text.
pub fn written(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' | '\r' => value.push('$'),
            '$' => value.push_str("\\24"),
            '\\' => value.push_str("\\5c"),
            other => value.push(other),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_of_other_programs_are_read() {
        assert_eq!(read("I am away.$Alice"), "I am away.\nAlice");
        assert_eq!(read("C:\\temp costs \\24 5, \\5c, \\2"), "C:\\temp costs $ 5, \\, \\2");
        assert_eq!(read("a\r\nb\nc"), "a\nb\nc");
    }

    proptest! {
        #[test]
        fn a_text_comes_back(text in "(?s).{0,80}") {
            let plain = text.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(read(&written(&text)), plain);
        }
    }
}
