//! What a server answers (RFC 5321 §4.2, RFC 2034), read from bytes in pieces of any size.
//!
//! A peer is a stranger: lines, their number and the whole reply have limits, texts are cleaned before anybody logs
//! or reports them. What is no reply is [`Malformed`]; the session ends with it.

use std::fmt;

/// Bytes of one line at most. RFC 5321 §4.5.3.1.5 says 512; some servers explain themselves at length.
const LINE_BYTES_MAX: usize = 2048;
/// Lines of one reply at most.
const LINES_MAX: usize = 128;
/// Bytes of one reply at most.
const REPLY_BYTES_MAX: usize = 32 * 1024;
/// Bytes of a reply in a text at most.
const TEXT_BYTES_MAX: usize = 500;

/// One whole reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<(u8, u16, u16)>,
    lines: Vec<String>,
}

/// Why bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A line does not begin with a code from 200 to 599 and a blank or hyphen.
    Code,
    /// The lines of one reply have different codes.
    Mixed,
    /// A limit was passed.
    TooLong,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Code => "what it says is no reply of SMTP",
            Malformed::Mixed => "the lines of its reply have different codes",
            Malformed::TooLong => "its reply is too long",
        })
    }
}

impl std::error::Error for Malformed {}

impl Reply {
    /// Three digits, 200 to 599.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The texts of its lines, without the code; control characters are `?`. At least one.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// 2xx.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3xx.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4xx.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced code (RFC 3463) if its class is the reply's; else what RFC 5248 has for the code.
    pub fn status(&self) -> String {
        if let Some((class, subject, detail)) = self.enhanced {
            return format!("{class}.{subject}.{detail}");
        }
        let class = self.code / 100;
        let rest = match self.code {
            421 => "3.2",
            450 | 550 => "2.0",
            451 => "3.0",
            452 => "3.1",
            500 => "5.2",
            501 | 504 => "5.4",
            502 | 503 => "5.1",
            521 | 556 => "3.2",
            530 => "7.0",
            535 => "7.8",
            551 => "1.6",
            552 => "2.2",
            553 => "1.3",
            _ => "0.0",
        };
        format!("{class}.{rest}")
    }

    /// Whether it carried an enhanced code of its own.
    pub fn has_enhanced_code(&self) -> bool {
        self.enhanced.is_some()
    }
}

impl fmt::Display for Reply {
    /// One line: the code, and the texts of all lines. An enhanced code that every line repeats stands once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (at, line) in self.lines.iter().enumerate() {
            let line = match (at, enhanced_code(line, self.code)) {
                (1.., Some((_, length))) => line[length..].trim_start(),
                _ => line.trim_end(),
            };
            if !line.is_empty() {
                text.push(' ');
                text.push_str(line);
            }
        }
        if text.len() > TEXT_BYTES_MAX {
            let end = (0..=TEXT_BYTES_MAX).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0);
            text.truncate(end);
            text.push_str("...");
        }
        write!(f, "{}{text}", self.code)
    }
}

/// Collects bytes until a reply is whole. Begins anew after each reply.
#[derive(Debug, Default)]
pub struct ReplyReader {
    line: Vec<u8>,
    code: Option<u16>,
    lines: Vec<String>,
    bytes: usize,
}

impl ReplyReader {
    /// Takes bytes up to the end of the reply, and adds to `used` how many those were.
    ///
    /// # Errors
    /// What the peer said is no reply; nothing more can be read from it.
    pub fn feed(&mut self, bytes: &[u8], used: &mut usize) -> Result<Option<Reply>, Malformed> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.collect(&rest[..end])?;
            rest = &rest[end + 1..];
            *used += end + 1;
            if let Some(reply) = self.end_line()? {
                return Ok(Some(reply));
            }
        }
        self.collect(rest)?;
        *used += rest.len();
        Ok(None)
    }

    /// Whether nothing of a reply was seen.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty() && self.lines.is_empty()
    }

    fn collect(&mut self, piece: &[u8]) -> Result<(), Malformed> {
        self.bytes = self.bytes.saturating_add(piece.len());
        if self.line.len().saturating_add(piece.len()) > LINE_BYTES_MAX || self.bytes > REPLY_BYTES_MAX {
            return Err(Malformed::TooLong);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Reply>, Malformed> {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let code = code(&line).ok_or(Malformed::Code)?;
        let more = match line.get(3) {
            None | Some(b' ') => false,
            Some(b'-') => true,
            Some(_) => return Err(Malformed::Code),
        };
        if *self.code.get_or_insert(code) != code {
            return Err(Malformed::Mixed);
        }
        if self.lines.len() >= LINES_MAX {
            return Err(Malformed::TooLong);
        }
        self.lines.push(clean(line.get(4..).unwrap_or_default()));
        if more {
            return Ok(None);
        }
        let lines = std::mem::take(&mut self.lines);
        *self = ReplyReader::default();
        let enhanced = lines.first().and_then(|line| enhanced_code(line, code)).map(|(found, _)| found);
        Ok(Some(Reply { code, enhanced, lines }))
    }
}

/// RFC 5321 §4.2 has `%x32-35 %x30-35 %x30-39`; servers say 571 too, so any second digit goes.
fn code(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3)?;
    if !digits.iter().all(u8::is_ascii_digit) || !(b'2'..=b'5').contains(&digits[0]) {
        return None;
    }
    Some(digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')))
}

/// `class "." subject "." detail` (RFC 2034 §4) at the start of `text`, and its length. A code of another class than
/// the reply's is text.
fn enhanced_code(text: &str, code: u16) -> Option<((u8, u16, u16), usize)> {
    let word = text.split(' ').next().unwrap_or("");
    let mut parts = word.split('.');
    let number = |part: Option<&str>| {
        let part = part?;
        let plain = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { part.parse::<u16>().ok() } else { None }
    };
    let (class, subject, detail) = (number(parts.next())?, number(parts.next())?, number(parts.next())?);
    let fits = matches!(class, 2 | 4 | 5) && class == code / 100 && parts.next().is_none();
    if fits { Some(((u8::try_from(class).ok()?, subject, detail), word.len())) } else { None }
}

/// Text that can stand in a log line and in a report.
fn clean(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Option<Reply>, Malformed> {
        ReplyReader::default().feed(bytes, &mut 0)
    }

    fn one(text: &str) -> Reply {
        read(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn several_lines_are_one_reply() {
        let reply = one("550-5.1.1 No such\r\n550-5.1.1 user, says\r\n550 5.1.1 example.org\r\n");
        assert_eq!((reply.code(), reply.lines().len()), (550, 3));
        assert_eq!(reply.to_string(), "550 5.1.1 No such user, says example.org");
        assert_eq!(reply.status(), "5.1.1");
    }

    #[test]
    fn forms_that_servers_use() {
        assert_eq!(one("250\r\n").to_string(), "250");
        assert_eq!(one("250 \r\n").to_string(), "250");
        assert_eq!(one("571 go\n").status(), "5.0.0");
        assert_eq!(one("250-mx\r\n250\r\n").lines(), ["mx", ""]);
    }

    #[test]
    fn a_status_comes_from_the_enhanced_code_or_else_from_the_code() {
        let table = [
            ("550 5.7.26 spf", "5.7.26"),
            ("550 no such user", "5.2.0"),
            ("550 4.2.2 of another class", "5.2.0"),
            ("452 4.5.3 too many", "4.5.3"),
            ("452 too many", "4.3.1"),
            ("554 5.7.1", "5.7.1"),
            ("554 5.7.1.1 no code", "5.0.0"),
            ("554 5.7 no code", "5.0.0"),
            ("554 5.7.1000 no code", "5.0.0"),
            ("421 closing", "4.3.2"),
        ];
        for (line, status) in table {
            assert_eq!(one(&format!("{line}\r\n")).status(), status, "{line}");
        }
    }

    #[test]
    fn what_is_no_reply_is_said_so() {
        let table: &[(&[u8], Malformed)] = &[
            (b"SSH-2.0-OpenSSH\r\n", Malformed::Code),
            (b"\r\n", Malformed::Code),
            (b"25\r\n", Malformed::Code),
            (b"100 go\r\n", Malformed::Code),
            (b"650 go\r\n", Malformed::Code),
            (b"250=go\r\n", Malformed::Code),
            (b"+OK\r\n", Malformed::Code),
            (b"250-a\r\n550 b\r\n", Malformed::Mixed),
            (&[b'2'; LINE_BYTES_MAX + 1], Malformed::TooLong),
        ];
        for (bytes, expected) in table {
            assert_eq!(read(bytes), Err(*expected), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(read(&b"250-x\r\n".repeat(LINES_MAX + 1)), Err(Malformed::TooLong));
        let long = format!("250-{}\r\n", "x".repeat(1000)).repeat(40);
        assert_eq!(read(long.as_bytes()), Err(Malformed::TooLong));
    }

    #[test]
    fn texts_are_cleaned_and_short() {
        assert_eq!(one("550 a\0b\x1b[2Jc\rd\r\n").to_string(), "550 a?b?[2Jc?d");
        let long = one(&format!("550 {}\r\n", "ü".repeat(400)));
        assert!(long.to_string().len() < TEXT_BYTES_MAX + 20 && long.to_string().ends_with("..."));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_read_alike(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'2'), Just(b'5'), Just(b'0'), Just(b' '), Just(b'-'), Just(b'\r'), Just(b'\n'), any::<u8>()],
                0..200),
            cut in 0usize..200)
        {
            let read_all = |pieces: &[&[u8]]| {
                let (mut reader, mut seen) = (ReplyReader::default(), Vec::new());
                for piece in pieces {
                    let mut rest = *piece;
                    while !rest.is_empty() {
                        let mut used = 0;
                        match reader.feed(rest, &mut used) {
                            Ok(Some(reply)) => seen.push(Ok(reply)),
                            Ok(None) => {}
                            Err(why) => {
                                seen.push(Err(why));
                                return seen;
                            }
                        }
                        rest = &rest[used..];
                    }
                }
                seen
            };
            let cut = cut.min(bytes.len());
            prop_assert_eq!(read_all(&[&bytes]), read_all(&[&bytes[..cut], &bytes[cut..]]));
        }

        #[test]
        fn a_reply_that_is_written_is_read_back(
            code in 200u16..600, lines in proptest::collection::vec("[ -~]{0,80}", 1..20), more in "[ -~\r\n]{0,40}")
        {
            let mut text = String::new();
            for (at, line) in lines.iter().enumerate() {
                let mark = if at + 1 == lines.len() { ' ' } else { '-' };
                text.push_str(&format!("{code}{mark}{line}\r\n"));
            }
            let (length, mut used) = (text.len(), 0);
            text.push_str(&more);
            let reply = ReplyReader::default().feed(text.as_bytes(), &mut used).unwrap().unwrap();
            prop_assert_eq!(used, length);
            prop_assert_eq!(reply.code(), code);
            prop_assert_eq!(reply.lines(), lines);
            prop_assert!(!reply.to_string().contains(['\r', '\n']));
        }
    }
}
