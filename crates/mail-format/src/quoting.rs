//! Text as IMAP sends it: `nstring` (RFC 3501 §9).

/// Bytes of a quoted string at most; longer ones become literals.
const QUOTED_BYTES_MAX: usize = 1000;

/// Appends a quoted string when the bytes allow it, else a literal. NUL cannot be sent at all and becomes `?`.
pub fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    let plain = text.len() <= QUOTED_BYTES_MAX && text.iter().all(|byte| (0x20..0x7f).contains(byte));
    if plain {
        out.push(b'"');
        for byte in text {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
        out.push(b'"');
    } else {
        out.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        out.extend(text.iter().map(|byte| if *byte == 0 { b'?' } else { *byte }));
    }
}

/// The same, `NIL` for nothing.
pub fn push_nstring(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => push_string(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_quoted_is_a_literal() {
        let sent = |text: &[u8]| {
            let mut out = Vec::new();
            push_string(&mut out, text);
            out
        };
        assert_eq!(sent(b"say \"a\\b\""), b"\"say \\\"a\\\\b\\\"\"");
        assert_eq!(sent(b"a\tb"), b"{3}\r\na\tb");
        assert_eq!(sent(b"a\0\xff"), b"{3}\r\na?\xff");
        assert_eq!(sent(b""), b"\"\"");
    }
}
