//! A content on its way into the queue: decoded, its header looked at, written to the message's file.
//!
//! What goes wrong in the middle is remembered and said at the end of the content, since the client is not listening
//! before; the rest is read and thrown away. Nothing of a refused message stays in the queue.

use std::io::Write;

use mail_queue::{IncomingMessage, Part, Queue, QueueError};
use smtp_wire::{Decoder, Ending, Reply};

use crate::header::{self, HEADER_BYTES_MAX, Header};
use crate::replies;

/// Bytes of a refused content that are read before the connection is given up.
const DISCARDED_BYTES_MAX: u64 = 256 << 20;

/// Bytes of one line. RFC 5321 §4.5.3.1.6 asks for 1000 and many send more; nothing that is meant as text needs this many.
const LINE_BYTES_MAX: u64 = 512 << 10;

/// Bytes of a binary content that are put into text: it is done in memory.
const BINARY_BYTES_MAX: u64 = 32 << 20;

/// Received lines from which a message is refused at once. From `maxmtahops` on the error-handler has it (S44).
const HOPS_MAX: u32 = 200;

/// What the rules of the session say about this content.
pub struct Rules {
    pub size_max: Option<u64>,
    /// It may hold anything (BINARYMIME), and is made text at its end.
    pub binary: bool,
    /// Bare line ends are mended instead of refused: the client is one of ours.
    pub mends_line_ends: bool,
    /// Fields are added that are missing: host name, and the sender's address.
    pub completes_header: Option<(String, Option<String>)>,
    /// Gives another header in the place of this one, if it is to be another.
    pub rewrites_header: Option<Rewrite>,
}

/// See [`Rules::rewrites_header`].
pub type Rewrite = Box<dyn FnOnce(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// See the head of this file.
pub struct Receiving {
    message: Option<IncomingMessage>,
    relay_offset: u64,
    content_offset: u64,
    decoder: Decoder,
    /// The header, until it is whole.
    header: Option<Vec<u8>>,
    searched: usize,
    content_bytes: u64,
    discarded: u64,
    hops: u32,
    failure: Option<Reply>,
    rules: Rules,
    scratch: Vec<u8>,
}

/// What is in the queue's file, ready to be committed.
pub struct Received {
    pub message: IncomingMessage,
    /// Where Return-Path ends.
    pub relay_offset: u64,
    /// Where Received ends and what the client sent begins.
    pub content_offset: u64,
    pub hops: u32,
    pub eight_bit: bool,
    pub content_bytes: u64,
}

impl std::fmt::Debug for Receiving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiving").field("content_bytes", &self.content_bytes).finish_non_exhaustive()
    }
}

impl Receiving {
    /// Begins a message in the queue. `trace` gives, for its id, the line that only local delivery keeps (Return-Path) and
    /// the Received line.
    ///
    /// # Errors
    /// The queue cannot take it.
    pub fn begin(
        queue: &Queue,
        rules: Rules,
        decoder: Decoder,
        trace: impl FnOnce(&str) -> (String, String),
    ) -> Result<Receiving, QueueError> {
        let mut message = queue.begin();
        let (return_path, received) = trace(message.id().as_str());
        message.write_all(return_path.as_bytes())?;
        let relay_offset = message.size();
        message.write_all(received.as_bytes())?;
        Ok(Receiving {
            relay_offset,
            content_offset: message.size(),
            message: Some(message),
            decoder,
            header: Some(Vec::new()),
            searched: 0,
            content_bytes: 0,
            discarded: 0,
            hops: 0,
            failure: None,
            rules,
            scratch: Vec::new(),
        })
    }

    /// Takes what the client sent. `Closed` with the bytes used when the end of data was among them.
    pub fn take(&mut self, bytes: &[u8]) -> Ending {
        let mut content = std::mem::take(&mut self.scratch);
        content.clear();
        let ending = self.decoder.decode(bytes, &mut content);
        self.store(&content);
        if self.failure.is_none() && self.decoder.faults().longest_line > LINE_BYTES_MAX {
            self.fail(replies::content_line_too_long());
        }
        if content.capacity() <= 128 * 1024 {
            self.scratch = content;
        }
        ending
    }

    /// Whether so much was thrown away that the connection is to be given up.
    pub fn is_hopeless(&self) -> bool {
        self.discarded > DISCARDED_BYTES_MAX
    }

    fn store(&mut self, content: &[u8]) {
        self.content_bytes = self.content_bytes.saturating_add(content.len() as u64);
        if self.failure.is_some() {
            self.discarded = self.discarded.saturating_add(content.len() as u64);
            return;
        }
        if self.rules.size_max.is_some_and(|max| self.content_bytes > max) {
            return self.fail(replies::too_big());
        }
        match &mut self.header {
            None => self.write(content),
            Some(header) => {
                header.extend_from_slice(content);
                self.look_for_header_end(false);
            }
        }
    }

    fn look_for_header_end(&mut self, is_end: bool) {
        let Some(header) = &self.header else { return };
        match header::end(header, self.searched) {
            Some(end) => self.header_is_whole(end),
            None if is_end => self.header_is_whole(header.len()),
            None if header.len() > HEADER_BYTES_MAX => self.fail(replies::header_too_big()),
            None => self.searched = header.len(),
        }
    }

    fn header_is_whole(&mut self, end: usize) {
        let Some(content) = self.header.take() else { return };
        let begins = header::is_at_start(&content);
        let header = Header(&content[..if begins { end } else { 0 }]);
        if !header.fits() {
            return self.fail(replies::header_too_big());
        }
        self.hops = header.count("Received");
        if self.hops >= HOPS_MAX {
            return self.fail(replies::loops());
        }
        if let (Some((host, from)), Some(message)) = (&self.rules.completes_header, &self.message) {
            let added = header.missing_fields(message.id().as_str(), host, from.as_deref());
            self.write(added.as_bytes());
        }
        let rewritten =
            self.rules.rewrites_header.take().filter(|_| begins).and_then(|act| act(&content[..end]));
        if let Some(header) = rewritten {
            self.write(&header);
            return self.write(&content[end..]);
        }
        if !begins {
            self.write(b"\r\n"); // all of it is body, and stays apart from the trace lines
        }
        self.write(&content);
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some(message) = &mut self.message else { return };
        if let Err(error) = message.write_all(bytes) {
            self.fail(replies::queue_failed(&error.into()));
        }
    }

    /// The message is refused; its file goes at once.
    fn fail(&mut self, reply: Reply) {
        self.failure = Some(reply);
        self.message = None;
        self.header = None;
    }

    /// The content is whole.
    ///
    /// # Errors
    /// Why it is refused. Nothing is left of it then.
    pub fn finish(mut self, is_chunked: bool) -> Result<Received, Reply> {
        if is_chunked {
            let mut rest = Vec::new();
            self.decoder.finish(&mut rest);
            self.store(&rest);
        }
        if self.failure.is_none() {
            self.look_for_header_end(true);
        }
        let faults = self.decoder.faults();
        if self.failure.is_none() && !self.rules.mends_line_ends && (faults.bare_lf || faults.bare_cr) {
            self.fail(replies::bare_line_ends());
        }
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut message = self.message.ok_or_else(|| replies::queue_failed(&QueueError::NoSpace))?;
        let mut eight_bit = faults.eight_bit;
        if self.rules.binary {
            eight_bit = make_text(&mut message, self.content_offset)?;
        }
        Ok(Received {
            message,
            relay_offset: self.relay_offset,
            content_offset: self.content_offset,
            hops: self.hops,
            eight_bit,
            content_bytes: self.content_bytes,
        })
    }
}

/// Encodes what is binary: mailboxes are read by IMAP and POP, which know lines and no NUL (RFC 3501 §4.3, RFC 1939 §3). Whether
/// the content has 8-bit bytes then.
fn make_text(message: &mut IncomingMessage, content_offset: u64) -> Result<bool, Reply> {
    let failed = |why: QueueError| replies::queue_failed(&why);
    let (size, start) = (message.size(), usize::try_from(content_offset).unwrap_or(usize::MAX));
    let (text, eight_bit) = {
        let whole = message.look().map_err(failed)?;
        let content = whole.get(start..).unwrap_or_default();
        if mail_format::is_text(content) && content.ends_with(b"\r\n") {
            return Ok(!content.is_ascii());
        }
        if size > BINARY_BYTES_MAX {
            return Err(replies::cannot_encode());
        }
        let mut text = mail_format::without_binary(content).ok_or_else(replies::cannot_encode)?;
        if !text.ends_with(b"\r\n") {
            text.extend_from_slice(b"\r\n");
        }
        let eight_bit = !text.is_ascii();
        (text, eight_bit)
    };
    message.rebuild(&[Part::Kept(0..content_offset), Part::New(text)]).map_err(failed)?;
    Ok(eight_bit)
}
