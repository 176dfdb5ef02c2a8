//! Takes the bytes of messages into files of the mailbox that they are to be in. Nothing of them is in the mailbox before the
//! whole batch is.

use std::io::{self, Write};
use std::sync::Arc;

use message_store::{Complete, Incoming, Mailbox, StoreError};
use openssl::sha::Sha256;

/// A message whose bytes are all here.
pub struct Taken {
    /// Of the listing.
    pub index: usize,
    pub complete: Complete,
    pub guid: [u8; 16],
    pub size: u64,
}

pub struct Taker<'a> {
    mailbox: &'a Arc<Mailbox>,
    open: Option<(Incoming, Sha256)>,
    last: u8,
    pub taken: Vec<Taken>,
    /// Which could not be read, and why.
    pub failed: Vec<(usize, String)>,
    /// Why nothing more can be taken.
    pub broken: Option<StoreError>,
}

impl<'a> Taker<'a> {
    pub fn new(mailbox: &'a Arc<Mailbox>) -> Taker<'a> {
        Taker { mailbox, open: None, last: 0, taken: Vec::new(), failed: Vec::new(), broken: None }
    }

    fn store<T>(&mut self, done: Result<T, StoreError>) -> io::Result<T> {
        done.map_err(|why| {
            let told = io::Error::other(why.to_string());
            self.broken = Some(why);
            told
        })
    }

    /// A message begins; one that was begun before did not happen.
    ///
    /// # Errors
    /// The store's; `broken` says it too.
    pub fn begin(&mut self) -> io::Result<()> {
        self.open = None;
        self.last = 0;
        let incoming = self.mailbox.begin_append();
        self.open = Some((self.store(incoming)?, Sha256::new()));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some((incoming, hash)) = &mut self.open else { return Ok(()) };
        hash.update(bytes);
        let written = incoming.write_all(bytes).map_err(StoreError::from);
        self.store(written)
    }

    /// As `write`, where lines end in LF alone: they come to end in CRLF, as they do everywhere in the store.
    ///
    /// # Errors
    /// As [`Taker::begin`].
    pub fn write_lines(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut from = 0;
        for at in memchr::memchr_iter(b'\n', bytes) {
            let before = if at == 0 { self.last } else { bytes[at - 1] };
            if before != b'\r' {
                self.write(&bytes[from..at])?;
                self.write(b"\r\n")?;
                from = at + 1;
            }
        }
        self.last = bytes.last().copied().unwrap_or(self.last);
        self.write(&bytes[from..])
    }

    /// The message is whole.
    ///
    /// # Errors
    /// As [`Taker::begin`].
    pub fn end(&mut self, index: usize) -> io::Result<()> {
        let Some((incoming, hash)) = self.open.take() else { return Ok(()) };
        let size = incoming.size();
        let complete = self.store(incoming.complete())?;
        let mut guid = [0; 16];
        guid.copy_from_slice(&hash.finish()[..16]);
        self.taken.push(Taken { index, complete, guid, size });
        Ok(())
    }

    /// The message that was begun does not come.
    pub fn abort(&mut self) {
        self.open = None;
    }

    /// This message cannot be read.
    pub fn fail(&mut self, index: usize, why: impl Into<String>) {
        self.open = None;
        self.failed.push((index, why.into()));
    }

    pub fn has(&self, index: usize) -> bool {
        self.taken.iter().any(|one| one.index == index)
    }
}
