//! xtext of RFC 3461 §4: printable ASCII but `+` and `=`, or `+HH` with upper-case digits.

/// The decoded bytes, or `None` when the text is not xtext.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(digit(bytes.next()?)? << 4 | digit(bytes.next()?)?),
            b'=' => return None,
            0x21..=0x7e => out.push(byte),
            _ => return None,
        }
    }
    Some(out)
}

/// The xtext of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'+' | b'=' => out.push_str(&format!("+{byte:02X}")),
            0x21..=0x7e => out.push(byte as char),
            _ => out.push_str(&format!("+{byte:02X}")),
        }
    }
    out
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_decodes_to_itself() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).unwrap(), all);
    }

    #[test]
    fn half_escapes_and_lower_case_digits_are_refused() {
        for bad in ["a+b", "+", "+4", "+4g", "+4a", "a=b", "a b"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
