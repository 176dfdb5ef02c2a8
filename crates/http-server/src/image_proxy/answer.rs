//! A host's answer to one GET (RFC 9112), read no further than its limits.

use std::io::{BufRead, Read};

/// Bytes of the status line and the header together.
const HEADER_BYTES_MAX: u64 = 32 << 10;
/// Bytes of an image.
pub const BODY_BYTES_MAX: u64 = 10 << 20;
/// Bytes of a line that says how long a chunk is.
const CHUNK_LINE_MAX: u64 = 256;

/// What a host said.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Body(Vec<u8>),
    Redirect(String),
}

enum Length {
    Of(u64),
    Chunked,
    UntilTheEnd,
}

/// The body of a 200, or where another answer leads.
///
/// # Errors
/// What is wrong, as one clause.
pub fn read(reader: &mut impl BufRead) -> Result<Answer, &'static str> {
    let mut left = HEADER_BYTES_MAX;
    let status = line(reader, &mut left)?;
    let mut words = status.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let code: u16 =
        words.next().filter(|_| is_http).and_then(|word| word.parse().ok()).ok_or("it is not HTTP")?;
    let (mut length, mut location) = (Length::UntilTheEnd, None);
    loop {
        let line = line(reader, &mut left)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or("it is not HTTP")?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" if !matches!(length, Length::Chunked) => {
                length = Length::Of(value.parse().map_err(|_| "its length is no number")?);
            }
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => length = Length::Chunked,
            "transfer-encoding" | "content-encoding" if !value.eq_ignore_ascii_case("identity") => {
                return Err("its encoding is not known here");
            }
            "location" => location = Some(value.to_owned()),
            _ => {}
        }
    }
    match (code, location) {
        (301 | 302 | 303 | 307 | 308, Some(location)) => Ok(Answer::Redirect(location)),
        (200, _) => body(reader, &length).map(Answer::Body),
        _ => Err("there is no image"),
    }
}

fn body(reader: &mut impl BufRead, length: &Length) -> Result<Vec<u8>, &'static str> {
    match length {
        Length::Of(length) => exactly(reader, *length),
        Length::Chunked => chunks(reader),
        Length::UntilTheEnd => {
            let mut found = Vec::new();
            reader.take(BODY_BYTES_MAX + 1).read_to_end(&mut found).map_err(|_| "it breaks off")?;
            if found.len() as u64 > BODY_BYTES_MAX { Err("it is too long") } else { Ok(found) }
        }
    }
}

fn exactly(reader: &mut impl BufRead, length: u64) -> Result<Vec<u8>, &'static str> {
    if length > BODY_BYTES_MAX {
        return Err("it is too long");
    }
    let mut found = Vec::new();
    reader.take(length).read_to_end(&mut found).map_err(|_| "it breaks off")?;
    if found.len() as u64 == length { Ok(found) } else { Err("it breaks off") }
}

/// RFC 9112 §7.1. What stands behind the last chunk is not read: the connection is closed.
fn chunks(reader: &mut impl BufRead) -> Result<Vec<u8>, &'static str> {
    let mut all = Vec::new();
    loop {
        let mut left = CHUNK_LINE_MAX;
        let head = line(reader, &mut left)?;
        let digits = head.split(';').next().unwrap_or("").trim();
        let is_number =
            (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let length =
            u64::from_str_radix(digits, 16).ok().filter(|_| is_number).ok_or("a chunk has no length")?;
        if length == 0 {
            return Ok(all);
        }
        if all.len() as u64 + length > BODY_BYTES_MAX {
            return Err("it is too long");
        }
        all.extend(exactly(reader, length)?);
        if !line(reader, &mut left)?.is_empty() {
            return Err("a chunk is longer than it says");
        }
    }
}

/// The next line without its end.
fn line(reader: &mut impl BufRead, left: &mut u64) -> Result<String, &'static str> {
    let mut bytes = Vec::new();
    reader.take(*left).read_until(b'\n', &mut bytes).map_err(|_| "it breaks off")?;
    *left = left.saturating_sub(bytes.len() as u64);
    if bytes.pop() != Some(b'\n') {
        return Err(if *left == 0 { "its header is too long" } else { "it breaks off" });
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| "it is not HTTP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_to_their_end_and_no_further() {
        let said = |text: &str| read(&mut text.as_bytes());
        let body = |text: &str| Ok(Answer::Body(text.as_bytes().to_vec()));
        assert_eq!(said("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc"), body("ab"));
        assert_eq!(said("HTTP/1.0 200 OK\n\nabc"), body("abc"));
        assert_eq!(
            said("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
            body("abc")
        );
        assert_eq!(said("HTTP/1.1 302 F\r\nLocation: /x\r\n\r\n"), Ok(Answer::Redirect("/x".into())));
        for wrong in [
            "",
            "HTTP/1.1 404 N\r\n\r\n",
            "HTTP/1.1 302 F\r\n\r\n",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
            "HTTP/1.1 200 OK\r\nbad\r\n\r\n",
        ] {
            assert!(said(wrong).is_err(), "{wrong}");
        }
        assert!(said(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(40_000))).is_err());
    }
}
