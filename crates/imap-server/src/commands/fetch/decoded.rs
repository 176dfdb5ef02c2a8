//! BINARY and BINARY.SIZE: a part without its transfer encoding (RFC 3516 §4.2, §4.3).
//!
//! A part is read twice: for its size, which stands before the literal, and for its bytes. Either is done piece by piece, so
//! that a part of any size costs one buffer, and others have their turn meanwhile.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use connection::Output;
use mail_format::{Decoder, TransferEncoding};
use message_store::StoreError;

use crate::answer;
use crate::commands::Progress;
use crate::refusal::Refusal;
use crate::sections::Span;

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;
/// Pieces that are counted before others have their turn.
const PIECES_PER_STEP: usize = 16;

/// Where no file has bytes.
const BEYOND: u64 = i64::MAX as u64 / 2;

/// A part on its way to the client.
pub struct Decoded {
    file: Arc<File>,
    encoding: TransferEncoding,
    span: Span,
    /// What of the decoded bytes is wanted: the first, and how many at most.
    wanted: Span,
    /// Only their number.
    size_only: bool,
    decoder: Decoder,
    /// Encoded bytes that were read.
    read: u64,
    /// Decoded bytes that were met.
    met: u64,
    phase: Phase,
}

/// What the part is read for.
enum Phase {
    Counting {
        has_nul: bool,
    },
    /// So many bytes are still promised.
    Pouring {
        left: u64,
    },
}

impl Decoded {
    /// The bytes of `file` in `span`, without `encoding`.
    pub fn new(
        file: Arc<File>,
        span: Span,
        encoding: TransferEncoding,
        partial: Option<(u32, u32)>,
        size_only: bool,
    ) -> Decoded {
        let (offset, len) = partial.map_or((0, u64::MAX), |(origin, count)| (origin.into(), count.into()));
        Decoded {
            file,
            encoding,
            span,
            wanted: Span { offset, len },
            size_only,
            decoder: Decoder::new(encoding),
            read: 0,
            met: 0,
            phase: Phase::Counting { has_nul: false },
        }
    }

    /// Writes the value, or more of it, until the queue is full.
    ///
    /// # Errors
    /// The bytes cannot be read. A value was written all the same: `NIL` or 0; in the middle of one
    /// the connection is ended.
    pub fn step(&mut self, out: &mut Output) -> Result<Progress, Refusal> {
        let result = match self.phase {
            Phase::Counting { .. } => self.count(out),
            Phase::Pouring { .. } => self.pour(out),
        };
        if result.is_err() {
            match self.phase {
                Phase::Counting { .. } => out.push(if self.size_only { b"0" } else { b"NIL" }),
                // The promised length cannot be kept: the end of the connection, as for any file that cannot be read.
                Phase::Pouring { left } => out.push_file(self.file.clone(), BEYOND, left),
            }
        }
        result
    }

    fn count(&mut self, out: &mut Output) -> Result<Progress, Refusal> {
        let Phase::Counting { mut has_nul } = self.phase else { return Ok(Progress::More) };
        for _ in 0..PIECES_PER_STEP {
            let start = self.met;
            let Some(bytes) = self.next()? else {
                return self.counted(has_nul, out);
            };
            has_nul = has_nul || memchr::memchr(0, self.wanted_of(start, &bytes)).is_some();
        }
        self.phase = Phase::Counting { has_nul };
        Ok(Progress::More)
    }

    fn counted(&mut self, has_nul: bool, out: &mut Output) -> Result<Progress, Refusal> {
        if self.size_only {
            answer::digits(out, self.met);
            return Ok(Progress::Done);
        }
        let left = self.met.saturating_sub(self.wanted.offset).min(self.wanted.len);
        if has_nul {
            out.push(b"~"); // literal8
        }
        answer::literal_size(out, left);
        if self.encoding == TransferEncoding::Identity {
            out.push_file(self.file.clone(), self.span.offset.saturating_add(self.wanted.offset), left);
            return Ok(Progress::Done);
        }
        self.decoder = Decoder::new(self.encoding);
        (self.read, self.met) = (0, 0);
        self.phase = Phase::Pouring { left };
        self.pour(out)
    }

    fn pour(&mut self, out: &mut Output) -> Result<Progress, Refusal> {
        while let Phase::Pouring { left: left @ 1.. } = self.phase {
            if out.is_full() {
                return Ok(Progress::More);
            }
            let start = self.met;
            let Some(bytes) = self.next()? else {
                return Err(StoreError::Damaged("a message file is shorter than it was".into()).into());
            };
            let wanted = self.wanted_of(start, &bytes);
            out.push(wanted);
            self.phase = Phase::Pouring { left: left.saturating_sub(wanted.len() as u64) };
        }
        Ok(Progress::Done)
    }

    /// The next decoded bytes, perhaps none; nothing when no more are wanted.
    fn next(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let is_enough = self.met >= self.wanted.offset.saturating_add(self.wanted.len);
        // Behind the last byte there is one turn more, for what the decoder holds.
        if self.read > self.span.len || (is_enough && !self.size_only) {
            return Ok(None);
        }
        let mut decoded = Vec::new();
        let count = (self.span.len - self.read).min(PIECE as u64);
        if count == 0 {
            self.decoder.finish(&mut decoded);
            self.read = self.read.saturating_add(1);
        } else {
            let mut piece = vec![0; usize::try_from(count).unwrap_or(PIECE)];
            self.file
                .read_exact_at(&mut piece, self.span.offset.saturating_add(self.read))
                .map_err(|_| StoreError::Damaged("a message file is shorter than it was".into()))?;
            self.decoder.push(&piece, &mut decoded);
            self.read = self.read.saturating_add(count);
        }
        self.met = self.met.saturating_add(decoded.len() as u64);
        Ok(Some(decoded))
    }

    /// What is wanted of bytes that begin at `start` of the decoded part.
    fn wanted_of<'b>(&self, start: u64, bytes: &'b [u8]) -> &'b [u8] {
        let skipped = self.wanted.offset.saturating_sub(start);
        let behind = self.wanted.offset.saturating_add(self.wanted.len).saturating_sub(start);
        Span { offset: skipped, len: behind.saturating_sub(skipped) }.of(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::Engine;

    use super::*;

    fn all(body: &[u8], encoding: TransferEncoding, partial: Option<(u32, u32)>, size_only: bool) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before").unwrap();
        file.write_all(body).unwrap();
        file.write_all(b"behind").unwrap();
        let span = Span { offset: 6, len: body.len() as u64 };
        let mut decoded = Decoded::new(Arc::new(file), span, encoding, partial, size_only);
        let (mut out, mut sent) = (Output::default(), Vec::new());
        loop {
            let progress = decoded.step(&mut out).unwrap();
            assert!(out.memory() <= 3 * PIECE, "{}", out.memory());
            while !out.is_empty() {
                let bytes = out.front().unwrap().to_vec();
                sent.extend_from_slice(&bytes);
                out.sent(bytes.len());
            }
            if progress == Progress::Done {
                return sent;
            }
        }
    }

    #[test]
    fn a_part_of_any_size_comes_in_bounded_pieces() {
        let content: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8 + 1).collect();
        let encoded = base64::engine::general_purpose::STANDARD.encode(&content);
        let lines: Vec<u8> =
            encoded.as_bytes().chunks(76).flat_map(|line| [line, b"\r\n"].concat()).collect();
        let base64 = TransferEncoding::Base64;
        assert_eq!(all(&lines, base64, None, true), b"3000000");
        assert_eq!(all(&lines, base64, None, false), [b"{3000000}\r\n", &content[..]].concat());
        let middle = [b"{100000}\r\n", &content[1_234_567..1_334_567]].concat();
        assert_eq!(all(&lines, base64, Some((1_234_567, 100_000)), false), middle);
        assert_eq!(
            all(&lines, base64, Some((2_999_999, 5)), false),
            [b"{1}\r\n", &content[2_999_999..]].concat()
        );
        assert_eq!(all(&lines, base64, Some((3_000_000, 5)), false), b"{0}\r\n");
        assert_eq!(
            all(&content, TransferEncoding::Identity, Some((7, 9)), false),
            [b"{9}\r\n", &content[7..16]].concat()
        );
    }

    #[test]
    fn what_holds_nul_is_said_to() {
        assert_eq!(all(b"YQBi", TransferEncoding::Base64, None, false), b"~{3}\r\na\0b");
        assert_eq!(all(b"YQBi", TransferEncoding::Base64, Some((2, 1)), false), b"{1}\r\nb");
        assert_eq!(all(b"YQBi", TransferEncoding::Base64, Some((0, 1)), false), b"{1}\r\na");
        assert_eq!(all(b"a=00b=\r\n", TransferEncoding::QuotedPrintable, None, true), b"3");
        assert_eq!(all(b"", TransferEncoding::Base64, None, false), b"{0}\r\n");
    }

    #[test]
    fn a_file_that_shrank_ends_the_connection() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.write_all_at(&b"QUJD".repeat(60_000), 0).unwrap();
        let span = Span { offset: 0, len: 240_000 };
        let mut decoded = Decoded::new(file.clone(), span, TransferEncoding::Base64, None, false);
        let mut out = Output::default();
        assert_eq!(decoded.step(&mut out).unwrap(), Progress::More);
        file.set_len(0).unwrap();
        while !out.is_empty() {
            let bytes = out.front().unwrap().len();
            out.sent(bytes);
        }
        assert!(decoded.step(&mut out).is_err());
        assert!(out.front().is_err());
        let mut gone = Decoded::new(file, span, TransferEncoding::Base64, None, false);
        let mut out = Output::default();
        assert!(gone.step(&mut out).is_err());
        assert_eq!(out.front().unwrap(), b"NIL");
    }
}
