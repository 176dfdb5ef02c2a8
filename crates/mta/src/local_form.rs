//! A message as programs of this host expect it: lines end in LF.

use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::fs::FileExt;

/// Reads a file from its beginning, whoever else reads it.
pub struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl FromStart<'_> {
    pub fn of(file: &File) -> FromStart<'_> {
        FromStart { file, at: 0 }
    }
}

impl Read for FromStart<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(out, self.at)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

/// Reads what `inner` reads with CRLF as LF. A CR that ends no line stays.
pub struct LineFeeds<R> {
    inner: R,
    /// A CR whose next byte has not been seen.
    held: bool,
}

impl<R: BufRead> LineFeeds<R> {
    pub fn new(inner: R) -> LineFeeds<R> {
        LineFeeds { inner, held: false }
    }
}

impl<R: BufRead> Read for LineFeeds<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let given = self.inner.fill_buf()?;
            if given.is_empty() {
                let last = usize::from(std::mem::take(&mut self.held));
                out[..last].fill(b'\r');
                return Ok(last);
            }
            if self.held {
                self.held = false;
                if given[0] != b'\n' {
                    out[0] = b'\r';
                    return Ok(1);
                }
            }
            // Up to the next CR as it is; the CR itself is held back until it is known what follows.
            let end = memchr::memchr(b'\r', given).unwrap_or(given.len());
            let length = end.min(out.len());
            out[..length].copy_from_slice(&given[..length]);
            let holds = length == end && end < given.len();
            self.inner.consume(length + usize::from(holds));
            self.held = holds;
            if length > 0 {
                return Ok(length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::BufReader;

    proptest! {
        #[test]
        fn every_crlf_becomes_a_line_feed(text in "(\r|\n|a|\r\n|b){0,60}", room in 1usize..9, chunk in 1usize..9) {
            let mut reader = LineFeeds::new(BufReader::with_capacity(room, text.as_bytes()));
            let (mut all, mut buffer) = (Vec::new(), vec![0; chunk]);
            loop {
                let count = reader.read(&mut buffer).unwrap();
                if count == 0 {
                    break;
                }
                all.extend_from_slice(&buffer[..count]);
            }
            prop_assert_eq!(String::from_utf8(all).unwrap(), text.replace("\r\n", "\n"));
        }
    }
}
