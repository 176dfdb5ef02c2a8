//! A reply: code, enhanced code (RFC 3463, RFC 2034) and one or more lines of text (RFC 5321 §4.2).

use std::borrow::Cow;
use std::fmt;

/// One reply, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// Enhanced code; `None` for greetings and 3xx replies.
    pub enhanced: Option<(u8, u16, u16)>,
    lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// A reply with an enhanced code such as `(5, 5, 1)`.
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, enhanced: Some(enhanced), lines: vec![text.into()] }
    }

    /// A reply without one: 220, 250 after EHLO, 334, 354.
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, enhanced: None, lines: vec![text.into()] }
    }

    /// Adds one more line.
    #[must_use]
    pub fn line(mut self, text: impl Into<Cow<'static, str>>) -> Reply {
        self.lines.push(text.into());
        self
    }

    /// Whether it is a 4xx or 5xx reply.
    pub fn is_refusal(&self) -> bool {
        self.code >= 400
    }

    /// The bytes to send. Control bytes of texts become `?`, so no text can forge a line.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        for (at, line) in self.lines.iter().enumerate() {
            let mark = if at + 1 == self.lines.len() { ' ' } else { '-' };
            out.extend_from_slice(format!("{:03}{mark}", self.code).as_bytes());
            if let Some((class, subject, detail)) = self.enhanced {
                out.extend_from_slice(format!("{class}.{subject}.{detail} ").as_bytes());
            }
            out.extend(line.bytes().map(|b| if b < 0x20 || b == 0x7f { b'?' } else { b }));
            out.extend_from_slice(b"\r\n");
        }
        out
    }
}

/// As a log has it: one line.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some((class, subject, detail)) = self.enhanced {
            write!(f, " {class}.{subject}.{detail}")?;
        }
        for line in &self.lines {
            let text: String = line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            write!(f, " {text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_carries_the_code_and_only_the_last_a_space() {
        let reply = Reply::plain(250, "host").line("PIPELINING").line("8BITMIME");
        assert_eq!(reply.encode(), b"250-host\r\n250-PIPELINING\r\n250 8BITMIME\r\n");
    }

    #[test]
    fn a_text_cannot_forge_a_line() {
        let reply = Reply::new(550, (5, 1, 1), "no\r\n250 yes");
        assert_eq!(reply.encode(), b"550 5.1.1 no??250 yes\r\n");
        assert_eq!(reply.to_string(), "550 5.1.1 no??250 yes");
    }
}
