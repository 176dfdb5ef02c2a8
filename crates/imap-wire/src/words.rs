//! The small words of the grammar: tag, atom, astring, string (RFC 3501 §9), and strings as they are sent.

use crate::cursor::{Cursor, Parsed, decimal};

/// Longest tag accepted.
const TAG_MAX: usize = 255;

/// `ATOM-CHAR`
pub fn is_atom_char(byte: u8) -> bool {
    is_astring_char(byte) && byte != b']'
}

/// `ASTRING-CHAR = ATOM-CHAR / resp-specials`
pub fn is_astring_char(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}

/// `tag = 1*<any ASTRING-CHAR except "+">`
pub fn tag<'a>(cursor: &mut Cursor<'a>) -> Parsed<&'a [u8]> {
    let start = cursor.clone();
    let tag = cursor.take_while(|byte| is_astring_char(byte) && byte != b'+');
    let ended = cursor.is_at_end() || cursor.peek() == Some(b' ');
    if tag.is_empty() || tag.len() > TAG_MAX || !ended {
        return start.error("a tag");
    }
    Ok(tag)
}

/// `atom = 1*ATOM-CHAR`
pub fn atom<'a>(cursor: &mut Cursor<'a>) -> Parsed<&'a [u8]> {
    match cursor.take_while(is_atom_char) {
        b"" => cursor.error("an atom"),
        atom => Ok(atom),
    }
}

/// `astring = 1*ASTRING-CHAR / string`
pub fn astring(cursor: &mut Cursor<'_>) -> Parsed<Vec<u8>> {
    match cursor.take_while(is_astring_char) {
        b"" => string(cursor),
        word => Ok(word.to_vec()),
    }
}

/// `nstring = string / nil`
pub fn nstring(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<u8>>> {
    if cursor.keyword(b"NIL") { Ok(None) } else { string(cursor).map(Some) }
}

/// `string = quoted / literal`
pub fn string(cursor: &mut Cursor<'_>) -> Parsed<Vec<u8>> {
    match cursor.peek() {
        Some(b'"') => quoted(cursor),
        Some(b'{') => literal(cursor).map(<[u8]>::to_vec),
        _ => cursor.error("a string"),
    }
}

/// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`; only `\"` and `\\` are escapes. Bytes above 127 pass, for UTF-8 names and
/// search texts of clients that quote them; CR, LF and NUL do not.
fn quoted(cursor: &mut Cursor<'_>) -> Parsed<Vec<u8>> {
    cursor.expect(b'"', "a quoted string")?;
    let mut text = Vec::new();
    loop {
        text.extend_from_slice(cursor.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0)));
        match cursor.peek() {
            Some(b'"') => {
                cursor.skip(1);
                return Ok(text);
            }
            Some(b'\\') => {
                cursor.skip(1);
                match cursor.peek() {
                    Some(byte @ (b'"' | b'\\')) => text.push(byte),
                    _ => return cursor.error("\\\" or \\\\"),
                }
                cursor.skip(1);
            }
            _ => return cursor.error("the end of a quoted string"),
        }
    }
}

/// `literal = "{" number ["+"] "}" CRLF *CHAR8` with its bytes in place; no NUL (RFC 3501 §4.3, RFC 7888).
fn literal<'a>(cursor: &mut Cursor<'a>) -> Parsed<&'a [u8]> {
    let start = cursor.clone();
    let bytes = counted(cursor)?;
    if memchr::memchr(0, bytes).is_some() {
        return start.error("a literal without NUL");
    }
    Ok(bytes)
}

/// `literal8 = "~{" number ["+"] "}" CRLF *OCTET` (RFC 3516 §7)
pub fn literal8<'a>(cursor: &mut Cursor<'a>) -> Parsed<&'a [u8]> {
    cursor.expect(b'~', "a binary literal")?;
    counted(cursor)
}

/// `"{" number ["+"] "}" CRLF` and so many bytes.
fn counted<'a>(cursor: &mut Cursor<'a>) -> Parsed<&'a [u8]> {
    let start = cursor.clone();
    cursor.expect(b'{', "a literal")?;
    let size = decimal(cursor.take_while(|byte| byte.is_ascii_digit()));
    cursor.take(b'+');
    let framed = cursor.take(b'}') && cursor.take(b'\r') && cursor.take(b'\n');
    let Some(size) = size.filter(|_| framed) else { return start.error("a literal") };
    let bytes = cursor.skip(usize::try_from(size).unwrap_or(usize::MAX));
    if bytes.len() as u64 != u64::from(size) {
        return start.error("the bytes of a literal");
    }
    Ok(bytes)
}

/// An astring of printable ASCII without separators, as names of header fields are (RFC 5322 §2.2).
pub fn field_name(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let start = cursor.clone();
    let name = astring(cursor)?;
    if name.is_empty() || !name.iter().all(|byte| matches!(byte, 0x21..=0x7e) && *byte != b':') {
        return start.error("the name of a header field");
    }
    String::from_utf8(name).or_else(|_| start.error("the name of a header field"))
}

/// `text` as it can stand in a response: a quoted string, or a literal when it cannot be quoted.
pub fn quote(text: &[u8]) -> Vec<u8> {
    quote_if(text.is_ascii(), text)
}

/// The same for clients that asked for UTF-8 in quoted strings (RFC 9755 §3, RFC 9051 §9).
pub fn quote_utf8(text: &str) -> Vec<u8> {
    quote_if(true, text.as_bytes())
}

fn quote_if(quotable: bool, text: &[u8]) -> Vec<u8> {
    if !quotable || text.len() > 1024 || text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        let mut literal = format!("{{{}}}\r\n", text.len()).into_bytes();
        literal.extend_from_slice(text);
        return literal;
    }
    let mut quoted = Vec::with_capacity(text.len() + 2);
    quoted.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut cursor = Cursor::new(bytes);
        astring(&mut cursor).ok().filter(|_| cursor.is_at_end())
    }

    #[test]
    fn strings_have_three_forms() {
        assert_eq!(whole(b"a]b").unwrap(), b"a]b");
        assert_eq!(whole(b"\"a \\\"b\\\\\"").unwrap(), b"a \"b\\");
        assert_eq!(whole(b"{3}\r\na\r\n").unwrap(), b"a\r\n");
        assert_eq!(whole(b"{0+}\r\n").unwrap(), b"");
    }

    #[test]
    fn broken_strings_are_refused() {
        for bad in [
            &b"\"a"[..],
            b"\"a\\x\"",
            b"\"a\rb\"",
            b"\"a\0b\"",
            b"{2}\r\na\0",
            b"{3}\r\nab",
            b"{}\r\n",
            b"{-1}\r\n",
            b"{4294967296}\r\n",
            b"a*",
            b"",
        ] {
            assert_eq!(whole(bad), None, "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn tags_are_narrow() {
        for bad in [&b"+ NOOP"[..], b"* x", b"a%b x", b"( x", b"\"a\" x", b"\x01 x", b"\xe4 x", b" NOOP", b""]
        {
            assert!(tag(&mut Cursor::new(bad)).is_err(), "{bad:?}");
        }
        assert!(tag(&mut Cursor::new(&[b'a'; 256])).is_err());
        assert_eq!(tag(&mut Cursor::new(b"a1 NOOP")), Ok(&b"a1"[..]));
    }

    proptest! {
        #[test]
        fn what_is_quoted_can_be_read(text in proptest::collection::vec(1u8..=255, 0..40)) {
            prop_assert_eq!(whole(&quote(&text)).unwrap(), text);
        }
    }
}
