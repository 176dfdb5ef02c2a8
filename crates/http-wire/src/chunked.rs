//! Bodies in chunks (RFC 9112 §7.1). A chunk's line is taken in its plainest form only: programs differ about all others.

use crate::Bad;

/// Hexadecimal digits of a size at most.
const DIGITS_MAX: usize = 15;

/// `chunk-size [ chunk-ext ]`, without its CR LF. Zero is the last chunk.
///
/// # Errors
/// `Syntax`.
pub fn size(line: &[u8]) -> Result<u64, Bad> {
    const WRONG: Bad = Bad::Syntax("a chunk has no proper size");
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits == 0 || digits > DIGITS_MAX {
        return Err(WRONG);
    }
    let (number, extension) = line.split_at(digits);
    let plain = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\t' || *byte >= 0x80;
    if !(extension.is_empty() || extension[0] == b';') || !extension.iter().all(plain) {
        return Err(WRONG);
    }
    let text = std::str::from_utf8(number).map_err(|_| WRONG)?;
    u64::from_str_radix(text, 16).map_err(|_| WRONG)
}

/// Looks at a line of the trailer section; nothing of it is used.
///
/// # Errors
/// `Syntax`: it is no field.
pub fn trailer(line: &[u8]) -> Result<(), Bad> {
    let name = line.iter().position(|byte| *byte == b':').unwrap_or(0);
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_plain = |byte: &u8| *byte >= 0x20 && *byte != 0x7f || *byte == b'\t';
    if name == 0 || !line[..name].iter().all(is_token) || !line[name..].iter().all(is_plain) {
        return Err(Bad::Syntax("a trailer is no header field"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_form() {
        for (line, expected) in [("0", 0), ("a", 10), ("FF", 255), ("10;x=\"y\"", 16), ("000005", 5)] {
            assert_eq!(size(line.as_bytes()), Ok(expected), "{line}");
        }
        for line in [
            "",
            "x",
            "0x5",
            "-1",
            "+5",
            " 5",
            "5 ",
            "5 ;x",
            "5\t",
            "5,5",
            ";x",
            "5\r",
            "5;\rx",
            "5;a\0",
            "1000000000000000",
        ] {
            assert!(size(line.as_bytes()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn trailers_are_fields() {
        assert!(trailer(b"X-Sum: abc").is_ok());
        for line in [&b""[..], b": x", b"X", b" X: y", b"X : y", b"X: a\rb", b"X: \0"] {
            assert!(trailer(line).is_err(), "{}", line.escape_ascii());
        }
    }
}
