//! Received bytes that are not used yet, and the splitting of them into lines.
//!
//! Nothing here grows beyond the line limit. A line that is too long is thrown away as it arrives, in constant memory.

use memchr::memchr;

/// Room for one read.
pub const READ_BYTES: usize = 32 * 1024;
/// Bytes of one over-long line that are thrown away before the connection is given up.
pub const DISCARD_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of the beginning of an over-long line that are kept.
pub const LINE_START_BYTES: usize = 300;

/// What [`Input::next_line`] found. Positions are into the buffer; see [`Input::slice`].
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line without its line end.
    Found { start: usize, end: usize, bare_lf: bool },
    /// The end of an over-long line was reached. [`Input::take_start`] gives its beginning.
    TooLong,
    /// More must be read.
    Incomplete,
    /// The line goes on and on: give the connection up.
    Endless,
}

/// The input buffer of one connection. Its memory is lent by the worker and given back when it is empty.
#[derive(Default)]
pub struct Input {
    /// As long as its capacity is used; `start..end` is filled.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// No LF is between `start` and here.
    scanned: usize,
    /// An LF that was already found, at this position.
    lf: Option<usize>,
    /// Bytes thrown away of a line that is too long.
    discarded: u64,
    discarding: bool,
    /// How the line began that is or was thrown away.
    long_start: Option<Box<[u8]>>,
}

impl Input {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// What waits.
    pub fn waiting(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The bytes at positions given by [`Input::next_line`].
    pub fn slice(&self, start: usize, end: usize) -> &[u8] {
        &self.buffer[start..end]
    }

    /// Takes a buffer for reading, if there is none yet.
    pub fn lend(&mut self, buffer: &mut Vec<u8>) {
        if self.is_empty() && self.buffer.len() < buffer.len() {
            std::mem::swap(&mut self.buffer, buffer);
            self.rewind();
        }
    }

    /// Gives the buffer back, keeping only a copy of what waits.
    pub fn reclaim(&mut self, buffer: &mut Vec<u8>) {
        if self.is_empty() {
            self.rewind();
        }
        if self.buffer.len() < READ_BYTES {
            if self.is_empty() {
                self.buffer = Vec::new();
            }
            return;
        }
        let kept = self.waiting().to_vec();
        *buffer = std::mem::replace(&mut self.buffer, kept);
        self.end -= self.start;
        self.scanned = self.scanned.saturating_sub(self.start);
        self.lf = self.lf.map(|at| at - self.start);
        self.start = 0;
        if buffer.len() > 2 * READ_BYTES {
            *buffer = Vec::new();
        }
    }

    fn rewind(&mut self) {
        (self.start, self.end, self.scanned, self.lf) = (0, 0, 0, None);
    }

    /// Room to read into: at least half a [`READ_BYTES`].
    pub fn room(&mut self) -> &mut [u8] {
        if self.is_empty() {
            self.rewind();
        }
        if self.buffer.len() - self.end < READ_BYTES / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.scanned = self.scanned.saturating_sub(self.start);
            self.lf = self.lf.map(|at| at - self.start);
            self.start = 0;
            if self.buffer.len() - self.end < READ_BYTES / 2 {
                let size = (self.end + READ_BYTES).next_multiple_of(READ_BYTES);
                self.buffer.resize(size.max(self.buffer.len()), 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// `count` bytes were read into the room.
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// Takes up to `count` bytes from the front; returns their positions.
    pub fn take(&mut self, count: usize) -> (usize, usize) {
        let start = self.start;
        self.start = (start + count).min(self.end);
        self.scanned = self.scanned.max(self.start);
        if self.lf.is_some_and(|at| at < self.start) {
            self.lf = None;
        }
        (start, self.start)
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self) {
        self.rewind();
        self.discarding = false;
        self.long_start = None;
    }

    /// Whether a whole line waits. Each byte is looked at once.
    pub fn has_line(&mut self) -> bool {
        self.find_lf().is_some()
    }

    fn find_lf(&mut self) -> Option<usize> {
        if self.lf.is_none() {
            let from = self.scanned.max(self.start);
            self.lf = memchr(b'\n', &self.buffer[from..self.end]).map(|at| from + at);
            self.scanned = self.lf.unwrap_or(self.end);
        }
        self.lf
    }

    /// Takes the next line of at most `limit` bytes.
    pub fn next_line(&mut self, limit: usize) -> Line {
        let Some(lf) = self.find_lf() else {
            return self.without_lf(limit);
        };
        let start = self.start;
        self.start = lf + 1;
        self.lf = None;
        self.scanned = self.start;
        if std::mem::take(&mut self.discarding) {
            return Line::TooLong;
        }
        let bare_lf = lf == start || self.buffer[lf - 1] != b'\r';
        let end = if bare_lf { lf } else { lf - 1 };
        if end - start > limit {
            self.keep_start(start, end.min(start.saturating_add(limit)));
            return Line::TooLong;
        }
        Line::Found { start, end, bare_lf }
    }

    fn keep_start(&mut self, start: usize, end: usize) {
        let end = end.min(start.saturating_add(LINE_START_BYTES));
        self.long_start = Some(self.slice(start, end).into());
    }

    /// The first bytes of the line that was too long, at most [`LINE_START_BYTES`].
    pub fn take_start(&mut self) -> Box<[u8]> {
        self.long_start.take().unwrap_or_default()
    }

    fn without_lf(&mut self, limit: usize) -> Line {
        // One byte more than the limit may still be the CR.
        if !self.discarding && self.len() > limit.saturating_add(1) {
            self.keep_start(self.start, self.start.saturating_add(limit).min(self.end));
            self.discarding = true;
            self.discarded = 0;
        }
        if self.discarding {
            self.discarded = self.discarded.saturating_add(self.len() as u64);
            self.rewind();
            if self.discarded > DISCARD_MAX_BYTES {
                return Line::Endless;
            }
        }
        Line::Incomplete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(input: &mut Input, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = input.room();
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            input.filled(count);
            bytes = &bytes[count..];
        }
    }

    fn line(input: &mut Input, limit: usize) -> Option<(Vec<u8>, bool)> {
        match input.next_line(limit) {
            Line::Found { start, end, bare_lf } => Some((input.slice(start, end).to_vec(), bare_lf)),
            _ => None,
        }
    }

    #[test]
    fn lines_come_out_as_they_went_in_however_they_are_cut() {
        let text = b"one\r\n\r\nthree\n\nfive\r\r\n";
        for cut in 1..text.len() {
            let mut input = Input::default();
            let mut seen = Vec::new();
            for piece in text.chunks(cut) {
                feed(&mut input, piece);
                while let Some(found) = line(&mut input, 100) {
                    seen.push(found);
                }
                let mut spare = Vec::new();
                input.reclaim(&mut spare);
            }
            let expected: Vec<(Vec<u8>, bool)> = vec![
                (b"one".to_vec(), false),
                (b"".to_vec(), false),
                (b"three".to_vec(), true),
                (b"".to_vec(), true),
                (b"five\r".to_vec(), false),
            ];
            assert_eq!(seen, expected, "cut {cut}");
        }
    }

    #[test]
    fn a_line_at_the_limit_is_taken_and_one_byte_more_is_not() {
        for cut in [1, 2, 7, 100] {
            let mut input = Input::default();
            let mut seen = Vec::new();
            for piece in b"12345\r\n123456\r\nok\r\n".chunks(cut) {
                feed(&mut input, piece);
                loop {
                    match input.next_line(5) {
                        Line::Found { start, end, .. } => seen.push(input.slice(start, end).to_vec()),
                        Line::TooLong => {
                            assert_eq!(*input.take_start(), b"12345"[..], "cut {cut}");
                            seen.push(b"too long".to_vec());
                        }
                        other => {
                            assert_eq!(other, Line::Incomplete);
                            break;
                        }
                    }
                }
            }
            assert_eq!(seen, [b"12345".to_vec(), b"too long".to_vec(), b"ok".to_vec()], "cut {cut}");
        }
    }

    #[test]
    fn of_a_long_line_the_beginning_is_kept() {
        for cut in [1, 50, 1000] {
            let mut input = Input::default();
            let mut starts = Vec::new();
            let text = format!("a1 {}\r\nb2 {}\r\n", "x".repeat(5000), "y".repeat(400));
            for piece in text.as_bytes().chunks(cut) {
                feed(&mut input, piece);
                while input.next_line(350) == Line::TooLong {
                    starts.push(input.take_start());
                }
            }
            assert!(starts[0].starts_with(b"a1 xxx") && starts[1].starts_with(b"b2 yyy"), "cut {cut}");
            assert!(starts.iter().all(|start| start.len() == LINE_START_BYTES), "cut {cut}");
        }
    }

    #[test]
    fn an_endless_line_takes_constant_memory_and_is_given_up() {
        let mut input = Input::default();
        let piece = vec![b'x'; READ_BYTES];
        let mut fed = 0_u64;
        loop {
            feed(&mut input, &piece);
            fed += piece.len() as u64;
            assert!(input.buffer.len() <= 4 * READ_BYTES);
            match input.next_line(1000) {
                Line::Incomplete => {}
                Line::Endless => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(fed > DISCARD_MAX_BYTES && fed < DISCARD_MAX_BYTES + 2 * READ_BYTES as u64);
    }

    #[test]
    fn waiting_lines_are_seen_behind_a_taken_one() {
        let mut input = Input::default();
        feed(&mut input, b"a\r\nb\r\nc");
        assert!(line(&mut input, 10).is_some());
        assert!(input.has_line());
        assert!(line(&mut input, 10).is_some());
        assert!(!input.has_line());
        assert_eq!(input.take(10), (6, 7));
        assert!(input.is_empty());
    }

    #[test]
    fn a_line_behind_content_that_holds_line_ends_is_found() {
        let mut input = Input::default();
        feed(&mut input, b"get 3\r\na\nbnext\r\n");
        assert!(line(&mut input, 10).is_some());
        assert!(input.has_line());
        input.take(3);
        assert_eq!(line(&mut input, 10), Some((b"next".to_vec(), false)));
    }
}
