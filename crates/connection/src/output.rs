//! The output queue of a connection: bytes, or ranges of files, sent in order.
//!
//! A session appends and never waits. When [`Output::is_full`] says so it returns `Next::Resume` and goes on when
//! the queue has drained, so a peer that does not read costs one bounded buffer.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes in memory from which the queue counts as full.
pub const HIGH_WATER_BYTES: usize = 64 * 1024;
/// File ranges from which the queue counts as full (each holds a descriptor).
const FILES_MAX: usize = 16;
/// Piece of a file range that is read at once.
const FILE_PIECE: usize = 64 * 1024;

enum Chunk {
    Bytes(Vec<u8>, usize),
    File { file: Arc<File>, offset: u64, len: u64 },
}

/// What is to be sent, in order.
#[derive(Default)]
pub struct Output {
    chunks: VecDeque<Chunk>,
    memory: usize,
    files: usize,
}

impl Output {
    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.memory += bytes.len();
        if let Some(Chunk::Bytes(buffer, _)) = self.chunks.back_mut() {
            buffer.extend_from_slice(bytes);
            return;
        }
        self.chunks.push_back(Chunk::Bytes(bytes.to_vec(), 0));
    }

    /// Appends a range of a file that never changes. The file is read when it is sent.
    pub fn push_file(&mut self, file: Arc<File>, offset: u64, len: u64) {
        if len == 0 {
            return;
        }
        self.files += 1;
        self.chunks.push_back(Chunk::File { file, offset, len });
    }

    /// Whether nothing is left to send.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether a session should stop appending and return `Next::Resume`.
    pub fn is_full(&self) -> bool {
        self.memory >= HIGH_WATER_BYTES || self.files >= FILES_MAX
    }

    /// Bytes held in memory.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// For connections: the bytes to send first; reads from a file when it is a file's turn.
    ///
    /// # Errors
    /// A file range could not be read, or is shorter than promised: the connection must be closed, since the peer
    /// was told a length.
    pub fn front(&mut self) -> io::Result<&[u8]> {
        if let Some(Chunk::File { file, offset, len }) = self.chunks.front_mut() {
            let want = (*len).min(FILE_PIECE as u64) as usize;
            let mut piece = vec![0; want];
            file.read_exact_at(&mut piece, *offset)?;
            *offset += want as u64;
            *len -= want as u64;
            if *len == 0 {
                self.chunks.pop_front();
                self.files -= 1;
            }
            self.memory += want;
            self.chunks.push_front(Chunk::Bytes(piece, 0));
        }
        match self.chunks.front() {
            Some(Chunk::Bytes(buffer, sent)) => Ok(&buffer[*sent..]),
            _ => Ok(&[]),
        }
    }

    /// For connections: `count` of the bytes given by [`Output::front`] were sent.
    pub fn sent(&mut self, count: usize) {
        let Some(Chunk::Bytes(buffer, sent)) = self.chunks.front_mut() else { return };
        *sent += count;
        self.memory -= count;
        if *sent >= buffer.len() {
            self.chunks.pop_front();
        }
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }

    /// Everything queued, read to the end; for tests.
    ///
    /// # Errors
    /// As [`Output::front`].
    pub fn take_all(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while !self.is_empty() {
            let piece = self.front()?.to_vec();
            self.sent(piece.len());
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_file_ranges_leave_in_order() {
        let path = std::env::temp_dir().join(format!("output-test-{}", std::process::id()));
        std::fs::write(&path, b"0123456789").unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        let mut output = Output::default();
        output.push(b"a ");
        output.push_file(file, 2, 5);
        output.push(b" z");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(output.take_all().unwrap(), b"a 23456 z");
        assert!(output.is_empty());
        assert_eq!(output.memory(), 0);
    }

    #[test]
    fn a_file_shorter_than_promised_is_an_error() {
        let path = std::env::temp_dir().join(format!("output-short-{}", std::process::id()));
        std::fs::write(&path, b"01").unwrap();
        let mut output = Output::default();
        output.push_file(Arc::new(File::open(&path).unwrap()), 0, 5);
        std::fs::remove_file(&path).unwrap();
        assert!(output.front().is_err());
    }
}
