//! Answers: `+OK` and `-ERR`, with response codes (RFC 2449 §8, RFC 3206).

/// `+OK text`, with its line end. Control characters of the text become `?`.
pub fn ok(text: &str) -> Vec<u8> {
    line("+OK", text)
}

/// `-ERR text`; a response code stands in front of the text: `[IN-USE] ...`.
pub fn err(text: &str) -> Vec<u8> {
    line("-ERR", text)
}

fn line(word: &str, text: &str) -> Vec<u8> {
    let mut bytes = word.as_bytes().to_vec();
    if !text.is_empty() {
        bytes.push(b' ');
        bytes.extend(text.bytes().map(|byte| if byte < 0x20 || byte == 0x7f { b'?' } else { byte }));
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_forge_a_line() {
        assert_eq!(ok("a\r\n-ERR b"), b"+OK a??-ERR b\r\n");
        assert_eq!(err(""), b"-ERR\r\n");
    }
}
