//! The answer to one GET (RFC 9112), read no further than its limits.

use std::io::{BufRead, Read};

/// Bytes of the status line and the header together at most.
const HEADER_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of a policy at most; RFC 8461 §3.3 suggests 64 KiB.
pub(crate) const BODY_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a line that says how long a chunk is.
const CHUNK_LINE_MAX: u64 = 256;

/// How long the body is.
enum Length {
    Of(u64),
    Chunked,
    UntilTheEnd,
}

/// The body of a 200 of type text/plain. No other status is good, redirections neither (RFC 8461 §3.3).
///
/// # Errors
/// What is wrong, as one clear clause.
pub(crate) fn body(reader: &mut impl BufRead) -> Result<Vec<u8>, String> {
    let mut left = HEADER_BYTES_MAX;
    let status = line(reader, &mut left)?;
    let mut words = status.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    match words.next() {
        Some("200") if is_http => {}
        Some(code) if is_http && code.len() == 3 => return Err(format!("status {}", base::escape(code))),
        _ => return Err("the answer is not HTTP".into()),
    }
    let (mut length, mut is_text) = (Length::UntilTheEnd, false);
    loop {
        let line = line(reader, &mut left)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or("the answer is not HTTP")?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-type" => {
                let kind = value.split(';').next().unwrap_or("").trim();
                is_text = kind.eq_ignore_ascii_case("text/plain"); // RFC 8461 §3.2
            }
            "content-length" if !matches!(length, Length::Chunked) => {
                length = Length::Of(value.parse().map_err(|_| "its length is no number")?);
            }
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => length = Length::Chunked,
            "transfer-encoding" => return Err("its encoding is not known here".into()),
            _ => {}
        }
    }
    if !is_text {
        return Err("it is not text/plain".into());
    }
    match length {
        Length::Of(length) => exactly(reader, length),
        Length::Chunked => chunks(reader),
        Length::UntilTheEnd => {
            let mut found = Vec::new();
            reader.take(BODY_BYTES_MAX + 1).read_to_end(&mut found).map_err(|why| why.to_string())?;
            if found.len() as u64 > BODY_BYTES_MAX { Err(too_long()) } else { Ok(found) }
        }
    }
}

fn too_long() -> String {
    format!("it has more than {BODY_BYTES_MAX} bytes")
}

fn exactly(reader: &mut impl BufRead, length: u64) -> Result<Vec<u8>, String> {
    if length > BODY_BYTES_MAX {
        return Err(too_long());
    }
    let mut found = Vec::new();
    reader.take(length).read_to_end(&mut found).map_err(|why| why.to_string())?;
    if found.len() as u64 == length { Ok(found) } else { Err("the answer breaks off".into()) }
}

/// RFC 9112 §7.1. What stands behind the last chunk is not read: the connection is closed.
fn chunks(reader: &mut impl BufRead) -> Result<Vec<u8>, String> {
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
        if all.len() as u64 + length > BODY_BYTES_MAX {
            return Err(too_long());
        }
        all.extend(exactly(reader, length)?);
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
    String::from_utf8(bytes).map_err(|_| "the answer is not HTTP".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, String> {
        body(&mut text.as_bytes()).map(|found| String::from_utf8(found).unwrap())
    }

    #[test]
    fn the_body_comes_by_length_by_chunks_and_by_the_end() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n";
        assert_eq!(read(&format!("{head}Content-Length: 3\r\n\r\nabcdef")).as_deref(), Ok("abc"));
        assert_eq!(read(&format!("{head}\r\nabc")).as_deref(), Ok("abc"));
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
        assert_eq!(read(&chunked).as_deref(), Ok("abc"));
    }

    #[test]
    fn everything_else_is_refused() {
        let plain = "Content-Type: text/plain\r\n";
        for (text, why) in [
            ("HTTP/1.1 301 Moved\r\nLocation: https://x/\r\n\r\n".to_owned(), "status 301"),
            (format!("HTTP/1.1 404 No\r\n{plain}\r\n"), "status 404"),
            ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nx".to_owned(), "text/plain"),
            ("HTTP/1.1 200 OK\r\n\r\nx".to_owned(), "text/plain"),
            ("SSH-2.0\r\n".to_owned(), "not HTTP"),
            ("".to_owned(), "breaks off"),
            (format!("HTTP/1.1 200 OK\r\n{plain}Content-Length: 70000\r\n\r\n"), "more than"),
            (format!("HTTP/1.1 200 OK\r\n{plain}Content-Length: 5\r\n\r\nabc"), "breaks off"),
            (format!("HTTP/1.1 200 OK\r\n{plain}\r\n{}", "x".repeat(70_000)), "more than"),
            (format!("HTTP/1.1 200 OK\r\n{plain}Transfer-Encoding: chunked\r\n\r\nfffff\r\n"), "more than"),
            (format!("HTTP/1.1 200 OK\r\n{plain}Transfer-Encoding: chunked\r\n\r\n-1\r\n"), "no length"),
            (format!("HTTP/1.1 200 OK\r\n{plain}Transfer-Encoding: gzip\r\n\r\n"), "encoding"),
            (format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(20_000)), "too long"),
        ] {
            let found = read(&text).unwrap_err();
            assert!(found.contains(why), "{why}: {found}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = body(&mut bytes.as_slice());
            let with_head = [b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes[..]];
            let _ = body(&mut with_head.concat().as_slice());
        }
    }
}
