//! The head of a response (RFC 9112 §4).

use crate::status::reason;

/// How a response's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many bytes; said for HEAD, too.
    Known(u64),
    Chunked,
    /// It has none (204, 304).
    None,
}

/// Status line and fields, with the empty line. Values with control characters are left out: nothing that comes from
/// elsewhere can add a field.
pub fn head(status: u16, fields: &[(&str, &str)], length: Length, keep_alive: bool) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} {}\r\n", reason(status)).into_bytes();
    let mut put = |name: &str, value: &str| {
        if !value.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            for piece in [name, ": ", value, "\r\n"] {
                bytes.extend_from_slice(piece.as_bytes());
            }
        }
    };
    for (name, value) in fields {
        put(name, value);
    }
    match length {
        Length::Known(count) => put("Content-Length", &count.to_string()),
        Length::Chunked => put("Transfer-Encoding", "chunked"),
        Length::None => {}
    }
    if !keep_alive {
        put("Connection", "close");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// `bytes` as a chunk; none for no bytes, which would be the end.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// RFC 9110 §15.2.1.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_add_a_field() {
        let bytes = head(200, &[("X-A", "b"), ("X-Evil", "a\r\nSet-Cookie: x")], Length::Known(3), false);
        assert_eq!(bytes, b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
        assert_eq!(head(204, &[], Length::None, true), b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(chunk(b"hello world!"), b"c\r\nhello world!\r\n");
        assert!(chunk(b"").is_empty());
    }
}
