//! A command that consists of lines and literals, until it is whole (RFC 3501 §4.3, RFC 7888).
//!
//! Everything a client can make this process hold for one command is counted here: [`Budget`]. Over it the command is
//! refused, and what the client sends without waiting is read and thrown away, up to a bound.

use imap_wire::Literal;

use crate::refusal::Refusal;

/// Bytes of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// One line without its CRLF.
    pub line_bytes_max: usize,
    /// One literal that is an argument.
    pub literal_bytes_max: u64,
    /// All lines and literals together.
    pub command_bytes_max: u64,
    /// Literals of one command, however small.
    pub literals_max: u32,
}

impl Budget {
    /// Strangers have little to say.
    pub const BEFORE_LOGIN: Budget = Budget::of_kibibytes(8, 4, 64, 64);
    pub const AFTER_LOGIN: Budget = Budget::of_kibibytes(64, 64, 256, 1000);

    const fn of_kibibytes(line: usize, literal: u64, command: u64, literals_max: u32) -> Budget {
        Budget {
            line_bytes_max: line * 1024,
            literal_bytes_max: literal * 1024,
            command_bytes_max: command * 1024,
            literals_max,
        }
    }
}

/// Bytes of a refused command that are thrown away before the connection is given up.
pub const DISCARD_BYTES_MAX: u64 = 1024 * 1024;

/// What to do about an announced literal.
#[derive(Debug, PartialEq, Eq)]
pub enum Announced {
    /// Read so many bytes; say "+" first if `invite`.
    Read { bytes: u64, invite: bool },
    /// The client waits and will send nothing: the command is over.
    Over,
    /// More would have to be thrown away than is bearable.
    GiveUp,
}

/// The pieces of one command so far.
#[derive(Default)]
pub struct Gathering {
    /// Lines with their CRLF, and literals.
    pub bytes: Vec<u8>,
    /// Why the command will not be done.
    pub refusal: Option<Refusal>,
    discarded: u64,
    literals: u32,
}

impl Gathering {
    /// A command that is refused already; `start` holds its tag.
    pub fn refused(start: Vec<u8>, refusal: Refusal) -> Gathering {
        Gathering { bytes: start, refusal: Some(refusal), discarded: 0, literals: 0 }
    }

    /// Takes a line, or the rest of one behind a literal.
    pub fn line(&mut self, line: &[u8], budget: &Budget) {
        let literal = Literal::at_end(line).map_or(0, |literal| literal.size.map_or(u64::MAX, u64::from));
        let total = (self.bytes.len() as u64).saturating_add(line.len() as u64);
        if self.refusal.is_some() {
            return;
        }
        if total > budget.command_bytes_max {
            self.refusal = Some(Refusal::CommandTooBig);
            return;
        }
        self.bytes.extend_from_slice(line);
        let with_literal = total.saturating_add(literal);
        if literal <= budget.literal_bytes_max && with_literal > budget.command_bytes_max {
            self.refusal = Some(Refusal::CommandTooBig);
        }
    }

    /// Prepares for an argument that was announced at the end of the last line.
    pub fn argument(&mut self, literal: Literal, budget: &Budget) {
        if self.refusal.is_some() {
            return;
        }
        self.literals = self.literals.saturating_add(1);
        match literal.size {
            _ if self.literals > budget.literals_max => self.refusal = Some(Refusal::CommandTooBig),
            None => self.refusal = Some(Refusal::Syntax("Number of a literal out of range")),
            Some(_) if literal.binary && !self.is_set_metadata() => {
                self.refusal = Some(Refusal::Syntax("No binary literal is allowed here"))
            }
            Some(size) if u64::from(size) > budget.literal_bytes_max => {
                self.refusal = Some(Refusal::LiteralTooBig);
            }
            Some(_) => self.bytes.extend_from_slice(b"\r\n"),
        }
    }

    /// Its values may be binary (RFC 5464 §5).
    pub fn is_set_metadata(&self) -> bool {
        imap_wire::head(&self.bytes).is_ok_and(|head| head.is("SETMETADATA"))
    }

    /// What comes next for an announced literal; at most `discard_max` bytes of a refused command are read.
    pub fn announced(&mut self, literal: Literal, discard_max: u64) -> Announced {
        let bytes = literal.size.map(u64::from);
        if self.refusal.is_none() {
            return Announced::Read { bytes: bytes.unwrap_or(0), invite: literal.waits };
        }
        if literal.waits {
            return Announced::Over;
        }
        match bytes.and_then(|bytes| self.discarded.checked_add(bytes)).filter(|all| *all <= discard_max) {
            Some(all) => {
                self.discarded = all;
                Announced::Read { bytes: bytes.unwrap_or(0), invite: false }
            }
            None => Announced::GiveUp,
        }
    }

    /// Takes a piece of a literal.
    pub fn content(&mut self, bytes: &[u8]) {
        if self.refusal.is_none() {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Budget =
        Budget { line_bytes_max: 100, literal_bytes_max: 10, command_bytes_max: 40, literals_max: 3 };

    fn announce(gathering: &mut Gathering, line: &[u8]) -> Announced {
        let literal = Literal::at_end(line).unwrap();
        gathering.line(line, &SMALL);
        gathering.argument(literal, &SMALL);
        gathering.announced(literal, 1000)
    }

    #[test]
    fn a_command_is_put_together() {
        let mut gathering = Gathering::default();
        assert_eq!(announce(&mut gathering, b"a LOGIN {3}"), Announced::Read { bytes: 3, invite: true });
        gathering.content(b"j");
        gathering.content(b"oe");
        assert_eq!(announce(&mut gathering, b" {1+}"), Announced::Read { bytes: 1, invite: false });
        gathering.content(b"x");
        gathering.line(b"", &SMALL);
        assert_eq!(gathering.bytes, b"a LOGIN {3}\r\njoe {1+}\r\nx");
        assert!(gathering.refusal.is_none());
    }

    #[test]
    fn literals_are_counted_however_small() {
        let mut gathering = Gathering::default();
        for _ in 0..3 {
            assert_eq!(announce(&mut gathering, b"a {0+}"), Announced::Read { bytes: 0, invite: false });
        }
        assert_eq!(announce(&mut gathering, b"a {0}"), Announced::Over);
        assert!(matches!(gathering.refusal, Some(Refusal::CommandTooBig)));
    }

    #[test]
    fn what_is_too_big_is_refused_and_thrown_away_in_bounds() {
        let mut gathering = Gathering::default();
        assert_eq!(announce(&mut gathering, b"a X {11}"), Announced::Over);
        assert!(matches!(gathering.refusal, Some(Refusal::LiteralTooBig)));
        let mut gathering = Gathering::default();
        assert_eq!(announce(&mut gathering, b"a X {11+}"), Announced::Read { bytes: 11, invite: false });
        gathering.content(b"01234567890");
        assert_eq!(gathering.bytes, b"a X {11+}");
        assert_eq!(announce(&mut gathering, b" {990+}"), Announced::GiveUp);
        let mut gathering = Gathering::default();
        assert_eq!(announce(&mut gathering, b"a X {9999999999+}"), Announced::GiveUp);
        let mut gathering = Gathering::default();
        for _ in 0..10 {
            if announce(&mut gathering, b"a {5+}") == Announced::GiveUp {
                break;
            }
            gathering.content(b"12345");
        }
        assert!(matches!(gathering.refusal, Some(Refusal::CommandTooBig)));
        assert!(gathering.bytes.len() <= 40);
    }
}
