//! Messages as a multi-line answer: lines end with CR LF, a dot at the start of a line is doubled (RFC 1939 §3).

/// Sends pieces of a message in order; what stands between two pieces is kept here.
#[derive(Clone, Copy, Debug)]
pub struct Stuffer {
    line_start: bool,
    /// The last byte was CR.
    after_cr: bool,
}

impl Default for Stuffer {
    fn default() -> Stuffer {
        Stuffer { line_start: true, after_cr: false }
    }
}

impl Stuffer {
    /// Appends a piece. A bare LF is sent as CR LF.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len() + 64);
        let mut rest = piece;
        while !rest.is_empty() {
            if self.line_start && rest[0] == b'.' {
                out.push(b'.');
            }
            match memchr::memchr(b'\n', rest) {
                Some(at) => {
                    let had_cr = if at == 0 { self.after_cr } else { rest[at - 1] == b'\r' };
                    out.extend_from_slice(&rest[..at]);
                    out.extend_from_slice(if had_cr { b"\n" } else { b"\r\n" });
                    rest = &rest[at + 1..];
                    self.line_start = true;
                    self.after_cr = false;
                }
                None => {
                    out.extend_from_slice(rest);
                    self.line_start = false;
                    self.after_cr = rest.last() == Some(&b'\r');
                    return;
                }
            }
        }
    }

    /// The end: the last line gets its line end, and the dot that closes the answer follows.
    pub fn finish(self, out: &mut Vec<u8>) {
        if !self.line_start {
            out.extend_from_slice(if self.after_cr { b"\n" } else { b"\r\n" });
        }
        out.extend_from_slice(b".\r\n");
    }
}

/// The header and so many lines of the body (TOP).
pub fn top(message: &[u8], lines: u32) -> &[u8] {
    let mut at = 0;
    let mut body_lines = None;
    while at < message.len() {
        if body_lines == Some(lines) {
            return &message[..at];
        }
        let line = &message[at..];
        let end = memchr::memchr(b'\n', line).map_or(line.len(), |end| end + 1);
        body_lines = match body_lines {
            Some(count) => Some(count + 1),
            None if matches!(&line[..end], b"\r\n" | b"\n") => Some(0),
            None => None,
        };
        at += end;
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pieces: &[&[u8]]) -> Vec<u8> {
        let mut stuffer = Stuffer::default();
        let mut out = Vec::new();
        for piece in pieces {
            stuffer.push(piece, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    #[test]
    fn dots_are_doubled_wherever_the_pieces_break() {
        let message = b".a\r\nb.\r\n..c\r\n.\r\nd";
        let whole = sent(&[message]);
        assert_eq!(whole, b"..a\r\nb.\r\n...c\r\n..\r\nd\r\n.\r\n");
        for at in 0..=message.len() {
            assert_eq!(sent(&[&message[..at], &message[at..]]), whole, "{at}");
        }
    }

    #[test]
    fn line_ends_are_made_whole() {
        assert_eq!(sent(&[b"a\nb\r", b"\nc"]), b"a\r\nb\r\nc\r\n.\r\n");
        assert_eq!(sent(&[b""]), b".\r\n");
        assert_eq!(sent(&[b"a\r"]), b"a\r\n.\r\n");
    }

    #[test]
    fn top_gives_the_header_the_empty_line_and_so_many_lines() {
        let message = b"A: b\r\nC: d\r\n\r\none\r\ntwo\r\n";
        assert_eq!(top(message, 0), b"A: b\r\nC: d\r\n\r\n");
        assert_eq!(top(message, 1), b"A: b\r\nC: d\r\n\r\none\r\n");
        assert_eq!(top(message, 9), message);
        assert_eq!(top(b"A: b\r\n", 3), b"A: b\r\n");
    }
}
