//! xtext of RFC 3461 §4: printable ASCII but `+` and `=`, or `+HH` with upper-case digits; and the two forms of an address
//! of the type `utf-8` (RFC 6533 §3): printable ASCII but `+`, `=` and `\\`, or `\\x{HEX}`, and in one of the forms UTF-8.

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

/// The address that stands in either form of RFC 6533 §3, or `None` when it is none of them. No control characters, which
/// would reach a report or a command line.
pub fn decode_utf8(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let (digits, behind) = rest.strip_prefix("x{")?.split_once('}')?;
                let hex = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
                if !(2..=6).contains(&digits.len()) || !digits.bytes().all(hex) {
                    return None;
                }
                out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                rest = behind;
            }
            '+' | '=' | ' ' => return None,
            c => out.push(c),
        }
    }
    (!out.chars().any(char::is_control)).then_some(out)
}

/// The form of an address that is safe everywhere (`utf-8-addr-xtext`).
pub fn encode_utf8(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        match c {
            '+' | '=' | '\\' => out.push_str(&format!("\\x{{{:02X}}}", u32::from(c))),
            '\u{21}'..='\u{7e}' => out.push(c),
            c => out.push_str(&format!("\\x{{{:02X}}}", u32::from(c))),
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
    fn an_address_in_utf8_has_a_form_in_ascii() {
        let address = "jürgen+\\ x@例え.test";
        let ascii = encode_utf8(address);
        assert_eq!(ascii, r"j\x{FC}rgen\x{2B}\x{5C}\x{20}x@\x{4F8B}\x{3048}.test");
        assert_eq!(decode_utf8(&ascii).as_deref(), Some(address));
        assert_eq!(decode_utf8("jürgen@例え.test").as_deref(), Some("jürgen@例え.test"));
        for bad in
            [r"\x{fc}", r"\x{D800}", r"\x{0A}", r"\xFC", r"\x{1}", r"\x{1234567}", "a+b", "a=b", "\u{85}"]
        {
            assert_eq!(decode_utf8(bad), None, "{bad}");
        }
    }

    #[test]
    fn half_escapes_and_lower_case_digits_are_refused() {
        for bad in ["a+b", "+", "+4", "+4g", "+4a", "a=b", "a b"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
