//! A server's answer as its client reads it (RFC 9112), no further than its limits.

use std::io::{BufRead, Read};

/// Bytes of the status line and the header together.
const HEADER_BYTES_MAX: u64 = 32 << 10;
/// Bytes of a line that says how long a chunk is.
const CHUNK_LINE_MAX: u64 = 256;

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, and values, in their order.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first field of this name, which is given in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The media type in lower case, without its parameters.
    pub fn media_type(&self) -> Option<String> {
        let value = self.field("content-type")?;
        Some(value.split(';').next().unwrap_or("").trim().to_ascii_lowercase())
    }
}

enum Length {
    Of(u64),
    Chunked,
    UntilTheEnd,
}

/// The answer to a request by `method` whose body has `body_bytes_max` bytes at most. It must stand as it is: who may be answered
/// in another encoding has to ask for that, and nobody here does.
///
/// # Errors
/// What is wrong, as one clause.
pub fn read(reader: &mut impl BufRead, method: &str, body_bytes_max: u64) -> Result<Answer, String> {
    let mut left = HEADER_BYTES_MAX;
    let status = loop {
        let status = status(&line(reader, &mut left)?)?;
        if !(100..200).contains(&status) {
            break status;
        }
        while !line(reader, &mut left)?.is_empty() {} // RFC 9110 §15.2: an interim response
    };
    let mut fields = Vec::new();
    loop {
        let line = line(reader, &mut left)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(NOT_HTTP)?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = length(&fields)?;
    let body = if method == "HEAD" || matches!(status, 204 | 304) {
        Vec::new()
    } else {
        body(reader, &length, body_bytes_max)?
    };
    Ok(Answer { status, fields, body })
}

const NOT_HTTP: &str = "the answer is not HTTP";

fn status(line: &str) -> Result<u16, String> {
    let mut words = line.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let code = words.next().filter(|code| is_http && code.len() == 3).and_then(|code| code.parse().ok());
    code.filter(|code| *code >= 100).ok_or_else(|| NOT_HTTP.to_owned())
}

/// RFC 9112 §6.3.
fn length(fields: &[(String, String)]) -> Result<Length, String> {
    let mut length = Length::UntilTheEnd;
    for (name, value) in fields {
        match name.as_str() {
            "content-length" if !matches!(length, Length::Chunked) => {
                length = Length::Of(value.parse().map_err(|_| "its length is no number")?);
            }
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => length = Length::Chunked,
            "transfer-encoding" | "content-encoding" if !value.eq_ignore_ascii_case("identity") => {
                return Err("its encoding is not known here".into());
            }
            _ => {}
        }
    }
    Ok(length)
}

fn body(reader: &mut impl BufRead, length: &Length, max: u64) -> Result<Vec<u8>, String> {
    match length {
        Length::Of(length) => exactly(reader, *length, max),
        Length::Chunked => chunks(reader, max),
        Length::UntilTheEnd => {
            let mut found = Vec::new();
            reader.take(max.saturating_add(1)).read_to_end(&mut found).map_err(|why| why.to_string())?;
            if found.len() as u64 > max { Err(too_long(max)) } else { Ok(found) }
        }
    }
}

fn too_long(max: u64) -> String {
    format!("it has more than {max} bytes")
}

fn exactly(reader: &mut impl BufRead, length: u64, max: u64) -> Result<Vec<u8>, String> {
    if length > max {
        return Err(too_long(max));
    }
    let mut found = Vec::new();
    reader.take(length).read_to_end(&mut found).map_err(|why| why.to_string())?;
    if found.len() as u64 == length { Ok(found) } else { Err("the answer breaks off".into()) }
}

/// RFC 9112 §7.1. What stands behind the last chunk is not read: the connection is closed.
fn chunks(reader: &mut impl BufRead, max: u64) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    loop {
        let mut left = CHUNK_LINE_MAX;
        let head = line(reader, &mut left)?;
        let digits = head.split(';').next().unwrap_or("").trim();
        let is_number =
            (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let length = u64::from_str_radix(digits, 16)
            .ok()
            .filter(|_| is_number)
            .ok_or("a chunk of it has no length")?;
        if length == 0 {
            return Ok(all);
        }
        if all.len() as u64 + length > max {
            return Err(too_long(max));
        }
        all.extend(exactly(reader, length, max)?);
        if !line(reader, &mut left)?.is_empty() {
            return Err("a chunk of it is longer than it says".into());
        }
    }
}

/// The next line without its end.
fn line(reader: &mut impl BufRead, left: &mut u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    reader.take(*left).read_until(b'\n', &mut bytes).map_err(|why| why.to_string())?;
    *left = left.saturating_sub(bytes.len() as u64);
    if bytes.pop() != Some(b'\n') {
        return Err(if *left == 0 {
            "its header is too long".into()
        } else {
            "the answer breaks off".into()
        });
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| NOT_HTTP.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn get(text: &str) -> Result<Answer, String> {
        read(&mut text.as_bytes(), "GET", 64 << 10)
    }

    #[test]
    fn answers_are_read_to_their_end_and_no_further() {
        let body = |text: &str| get(text).map(|answer| String::from_utf8(answer.body).unwrap());
        assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc").as_deref(), Ok("ab"));
        assert_eq!(body("HTTP/1.0 200 OK\n\nabc").as_deref(), Ok("abc"));
        let chunked = "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(body(&format!("HTTP/1.1 200 OK\r\n{chunked}")).as_deref(), Ok("abc"));
        assert_eq!(body("HTTP/1.1 204 No\r\nX: y\r\n\r\nabc").as_deref(), Ok(""));
        assert_eq!(
            body("HTTP/1.1 100 Go\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").as_deref(),
            Ok("a")
        );
        let head = read(&mut &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"[..], "HEAD", 1).unwrap();
        assert!(head.body.is_empty());
    }

    #[test]
    fn fields_are_found_by_name_in_any_case() {
        let said = get("HTTP/1.1 302 F\r\nLOCATION: /x\r\nContent-Type: Text/Plain; a=b\r\n\r\n").unwrap();
        assert_eq!((said.status, said.field("location")), (302, Some("/x")));
        assert_eq!(said.media_type().as_deref(), Some("text/plain"));
        assert_eq!(said.field("none"), None);
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, why) in [
            ("", "breaks off"),
            ("SSH-2.0\r\n\r\n", "not HTTP"),
            ("HTTP/1.1 20 OK\r\n\r\n", "not HTTP"),
            ("HTTP/1.1 099 OK\r\n\r\n", "not HTTP"),
            ("HTTP/1.1 200 OK\r\nbad\r\n\r\n", "not HTTP"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "breaks off"),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "no number"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "more than"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "encoding"),
            ("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nx", "encoding"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "no length"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "no length"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", "more than"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "longer"),
        ] {
            let found = get(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(40_000));
        assert!(get(&long).unwrap_err().contains("too long"));
        let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(70_000));
        assert!(get(&long).unwrap_err().contains("more than"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&mut bytes.as_slice(), "GET", 1000);
            let with_head = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]].concat();
            let _ = read(&mut with_head.as_slice(), "GET", 1000);
        }
    }
}
