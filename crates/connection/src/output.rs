//! The output queue of a connection: bytes, or ranges of files, sent in order.
//!
//! A session appends and never waits. When [`Output::is_full`] says so it returns `Next::Resume` and goes on when
//! the queue has drained, so a peer that does not read costs one bounded buffer. What was appended in small pieces
//! leaves in large ones: everything up to the first long file range is one buffer.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes in memory from which the queue counts as full.
pub const HIGH_WATER_BYTES: usize = 64 * 1024;
/// File ranges from which the queue counts as full (each holds a descriptor).
const FILES_MAX: usize = 16;
/// What is sent at once, as far as there is so much; also the piece of a file range that is read at once.
const PIECE: usize = 64 * 1024;

enum Chunk {
    Bytes(Vec<u8>),
    File { file: Arc<File>, offset: u64, len: u64 },
}

/// What is to be sent, in order.
#[derive(Default)]
pub struct Output {
    /// What leaves first.
    head: Vec<u8>,
    /// How much of `head` was sent.
    head_sent: usize,
    /// What follows; begins with a file range unless it is empty or being absorbed.
    rest: VecDeque<Chunk>,
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
        match self.rest.back_mut() {
            None => self.head.extend_from_slice(bytes),
            Some(Chunk::Bytes(buffer)) => buffer.extend_from_slice(bytes),
            Some(Chunk::File { .. }) => self.rest.push_back(Chunk::Bytes(bytes.to_vec())),
        }
    }

    /// Appends a range of a file that never changes. The file is read when it is sent.
    pub fn push_file(&mut self, file: Arc<File>, offset: u64, len: u64) {
        if len == 0 {
            return;
        }
        self.files += 1;
        self.rest.push_back(Chunk::File { file, offset, len });
    }

    /// Whether nothing is left to send.
    pub fn is_empty(&self) -> bool {
        self.memory == 0 && self.files == 0
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
        if !self.rest.is_empty() && self.head.len() - self.head_sent < PIECE / 2 {
            self.head.drain(..self.head_sent);
            self.head_sent = 0;
            while self.head.len() < PIECE && self.absorb()? {}
        }
        Ok(&self.head[self.head_sent..])
    }

    /// Moves bytes from the rest to the head. False when there is no rest.
    fn absorb(&mut self) -> io::Result<bool> {
        match self.rest.front_mut() {
            None => return Ok(false),
            Some(Chunk::Bytes(buffer)) => {
                self.head.append(buffer);
                self.rest.pop_front();
            }
            Some(Chunk::File { file, offset, len }) => {
                let start = self.head.len();
                let room = (PIECE - start) as u64;
                let want = (*len).min(room);
                self.head.resize(start + want as usize, 0);
                if let Err(error) = file.read_exact_at(&mut self.head[start..], *offset) {
                    self.head.truncate(start);
                    return Err(error);
                }
                self.memory += want as usize;
                *offset += want;
                *len -= want;
                if *len == 0 {
                    self.rest.pop_front();
                    self.files -= 1;
                }
            }
        }
        Ok(true)
    }

    /// For connections: `count` of the bytes given by [`Output::front`] were sent.
    pub fn sent(&mut self, count: usize) {
        let count = count.min(self.head.len() - self.head_sent);
        self.head_sent += count;
        self.memory -= count;
        if self.head_sent == self.head.len() {
            self.head.clear();
            self.head_sent = 0;
        }
    }

    /// For connections: gives an empty queue a buffer that others used before, which saves an allocation.
    pub fn lend(&mut self, buffer: &mut Vec<u8>) {
        if self.head.capacity() == 0 && buffer.is_empty() {
            std::mem::swap(&mut self.head, buffer);
        }
    }

    /// For connections: takes the buffer back when nothing is queued, so that an idle connection holds none.
    pub fn reclaim(&mut self, buffer: &mut Vec<u8>) {
        if !self.is_empty() {
            return;
        }
        *buffer = std::mem::take(&mut self.head);
        self.head_sent = 0;
        self.rest = VecDeque::new();
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

    fn file_of(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    #[test]
    fn bytes_and_file_ranges_leave_in_order() {
        let mut output = Output::default();
        output.push(b"a ");
        output.push_file(file_of(b"0123456789"), 2, 5);
        output.push(b" z");
        assert_eq!(output.take_all().unwrap(), b"a 23456 z");
        assert!(output.is_empty());
        assert_eq!(output.memory(), 0);
    }

    #[test]
    fn small_pieces_leave_as_one() {
        let mut output = Output::default();
        output.push(b"a ");
        output.push_file(file_of(b"0123456789"), 2, 5);
        output.push(b" z");
        assert_eq!(output.front().unwrap(), b"a 23456 z");
        output.sent(3);
        assert_eq!(output.front().unwrap(), b"3456 z");
    }

    #[test]
    fn a_long_file_leaves_in_pieces_of_bounded_size() {
        let content: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        let mut output = Output::default();
        output.push(b"{300000}\r\n");
        output.push_file(file_of(&content), 0, 300_000);
        let mut all = Vec::new();
        while !output.is_empty() {
            let piece = output.front().unwrap().to_vec();
            assert!(piece.len() <= 2 * PIECE);
            output.sent(1000.min(piece.len()));
            all.extend_from_slice(&piece[..1000.min(piece.len())]);
        }
        assert_eq!(&all[..10], b"{300000}\r\n");
        assert_eq!(&all[10..], content);
    }

    #[test]
    fn a_file_shorter_than_promised_is_an_error() {
        let mut output = Output::default();
        output.push_file(file_of(b"01"), 0, 5);
        assert!(output.front().is_err());
    }

    #[test]
    fn an_idle_queue_gives_its_buffer_back() {
        let mut lent = Vec::with_capacity(100);
        let mut output = Output::default();
        output.lend(&mut lent);
        output.push(b"hello");
        output.reclaim(&mut lent);
        assert_eq!(lent.capacity(), 0, "something is queued");
        output.sent(5);
        output.reclaim(&mut lent);
        assert_eq!(lent.capacity(), 100);
        assert!(lent.is_empty());
    }
}
