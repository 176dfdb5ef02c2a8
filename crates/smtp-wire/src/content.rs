//! The content after DATA (RFC 5321 §4.5.2): dots taken off, the end found, faults counted.
//!
//! Only CR LF . CR LF ends a message. Everything that merely looks like it is text. A bare LF or CR is counted
//! and passed on as CRLF, so nothing that is stored or sent on can look like an end to another server.

/// Where the decoder stands; each name is what was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Text,
    /// A CR that was not given out yet.
    Cr,
    /// A dot at the start of a line, taken off.
    Dot,
    /// That dot and a CR, neither given out.
    DotCr,
}

/// What was wrong with a content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A LF without CR.
    pub bare_lf: bool,
    /// A CR without LF.
    pub bare_cr: bool,
    /// A NUL byte (taken off).
    pub nul: bool,
    /// A byte above 127.
    pub eight_bit: bool,
    /// The longest line, without its CRLF.
    pub longest_line: u64,
}

/// Whether the end was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All bytes were used; the content goes on.
    Open,
    /// The end was found; so many bytes were used, what follows are commands.
    Closed(usize),
}

/// Decodes one content, in pieces of any size.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    dots: bool,
    /// Nothing is looked at but 8-bit bytes.
    binary: bool,
    line: u64,
    faults: Faults,
}

impl Decoder {
    /// For DATA: dots are taken off and the end is found.
    pub fn data() -> Decoder {
        Decoder { state: State::LineStart, dots: true, binary: false, line: 0, faults: Faults::default() }
    }

    /// For BDAT: line ends are made regular, dots mean nothing (RFC 3030 §2).
    pub fn chunks() -> Decoder {
        Decoder { dots: false, ..Decoder::data() }
    }

    /// For BDAT after BODY=BINARYMIME: every byte is content as it stands (RFC 3030 §3).
    pub fn binary() -> Decoder {
        Decoder { dots: false, binary: true, ..Decoder::data() }
    }

    /// What was wrong so far.
    pub fn faults(&self) -> Faults {
        self.faults
    }

    /// Reads `bytes` and appends the content to `out`.
    pub fn decode(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Ending {
        out.reserve(bytes.len());
        if self.binary {
            self.faults.eight_bit |= !bytes.is_ascii();
            out.extend_from_slice(bytes);
            return Ending::Open;
        }
        let mut at = 0;
        while at < bytes.len() {
            if matches!(self.state, State::Text) {
                let run = plain_run(&bytes[at..]);
                if run > 0 {
                    self.text(&bytes[at..at + run], out);
                    at += run;
                    continue;
                }
            }
            let byte = bytes[at];
            at += 1;
            if self.step(byte, out) {
                return Ending::Closed(at);
            }
        }
        Ending::Open
    }

    /// Ends a content of BDAT: a held CR comes out, and the last line gets its CRLF.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.state == State::Cr {
            self.faults.bare_cr = true;
            self.end_line(out);
        }
        if self.state != State::LineStart {
            self.end_line(out);
        }
    }

    fn text(&mut self, run: &[u8], out: &mut Vec<u8>) {
        self.line = self.line.saturating_add(run.len() as u64);
        self.faults.longest_line = self.faults.longest_line.max(self.line);
        if !self.faults.eight_bit && !run.is_ascii() {
            self.faults.eight_bit = true;
        }
        out.extend_from_slice(run);
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.line = 0;
        self.state = State::LineStart;
    }

    /// One byte; true when it closes the content.
    fn step(&mut self, byte: u8, out: &mut Vec<u8>) -> bool {
        match (self.state, byte) {
            (State::Cr, b'\n') => {
                self.end_line(out);
                return false;
            }
            (State::DotCr, b'\n') => return true,
            (State::Cr | State::DotCr, _) => {
                self.faults.bare_cr = true;
                self.end_line(out);
                // A dot after a bare CR starts no line of the wire: it is text, never stuffing.
                self.state = State::Text;
            }
            (State::LineStart, b'.') if self.dots => {
                self.state = State::Dot;
                return false;
            }
            (State::Dot, b'\r') => {
                self.state = State::DotCr;
                return false;
            }
            _ => {}
        }
        match byte {
            b'\r' => self.state = State::Cr,
            b'\n' => {
                self.faults.bare_lf = true;
                self.end_line(out);
                self.state = State::Text;
            }
            0 => {
                self.faults.nul = true;
                self.state = State::Text;
            }
            byte => {
                self.state = State::Text;
                self.text(&[byte], out);
            }
        }
        false
    }
}

fn plain_run(bytes: &[u8]) -> usize {
    memchr::memchr3(b'\r', b'\n', 0, bytes).unwrap_or(bytes.len())
}

/// Appends `content` (CRLF lines) with dots doubled, for sending. `line_start` carries over between pieces and
/// starts as true. The closing `.` line is the caller's.
pub fn stuff(content: &[u8], line_start: &mut bool, out: &mut Vec<u8>) {
    out.reserve(content.len());
    for line in content.split_inclusive(|b| *b == b'\n') {
        if *line_start && line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        *line_start = line.last() == Some(&b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8]) -> (Vec<u8>, Ending, Faults) {
        let mut decoder = Decoder::data();
        let mut out = Vec::new();
        let ending = decoder.decode(bytes, &mut out);
        (out, ending, decoder.faults())
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends_a_message() {
        let table: &[&[u8]] = &[
            b"\n.\n",
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r.\r",
            b"\r.\r\n",
            b"\r\n.\r",
            b"\r.\n",
            b"\n.\r",
            b"\r\n\0.\r\n",
            b"\r\n.\0\r\n",
            b"\r\n.\r\r\n",
            b"\r\n..\r\n",
            b"\r\n. \r\n",
        ];
        for middle in table {
            let mut bytes = b"a".to_vec();
            bytes.extend_from_slice(middle);
            bytes.extend_from_slice(b"RSET\r\n.\r\nQUIT\r\n");
            let (out, ending, _) = whole(&bytes);
            assert_eq!(ending, Ending::Closed(bytes.len() - 6), "{middle:?}");
            assert!(String::from_utf8_lossy(&out).contains("RSET"), "{middle:?}");
        }
    }

    #[test]
    fn a_dot_at_once_is_an_empty_message() {
        assert_eq!(whole(b".\r\n"), (Vec::new(), Ending::Closed(3), Faults::default()));
    }

    #[test]
    fn a_chunk_without_line_end_gets_one() {
        let (mut decoder, mut out) = (Decoder::chunks(), Vec::new());
        decoder.decode(b".a\r\n.\r\nb\r", &mut out);
        decoder.finish(&mut out);
        assert_eq!(out, b".a\r\n.\r\nb\r\n");
    }

    proptest! {
        #[test]
        fn any_split_decodes_alike(bytes in proptest::collection::vec(prop_oneof![
            Just(b'\r'), Just(b'\n'), Just(b'.'), Just(b'a'), Just(0u8), Just(0xe9u8)], 0..60),
            cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let expected = whole(&bytes);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let (mut decoder, mut out, mut from) = (Decoder::data(), Vec::new(), 0);
            let mut ending = Ending::Open;
            for cut in cuts {
                if let Ending::Closed(used) = decoder.decode(&bytes[from..cut], &mut out) {
                    ending = Ending::Closed(from + used);
                    break;
                }
                from = cut;
            }
            prop_assert_eq!((out, ending, decoder.faults()), expected);
        }

        #[test]
        fn what_was_stuffed_decodes_to_itself(lines in proptest::collection::vec("[.a]{0,4}", 0..20)) {
            let content: Vec<u8> = lines.iter().flat_map(|l| format!("{l}\r\n").into_bytes()).collect();
            let (mut wire, mut start) = (Vec::new(), true);
            stuff(&content, &mut start, &mut wire);
            wire.extend_from_slice(b".\r\n");
            let (out, ending, faults) = whole(&wire);
            prop_assert_eq!(out, content);
            prop_assert_eq!(ending, Ending::Closed(wire.len()));
            prop_assert!(!faults.bare_lf && !faults.bare_cr);
        }
    }
}
