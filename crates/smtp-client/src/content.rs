//! The content on its way: DATA with dots doubled (RFC 5321 §4.5.2), or BDAT (RFC 3030), from the file through fixed
//! buffers.
//!
//! The one place where content is written. Whatever lies in the file, what leaves has CRLF line ends and no NUL, ends
//! with CRLF, and holds no end of a message but its own: nothing stored can pass for a second message.

use std::io;
use std::time::{Duration, Instant};

use smtp_wire::content::{Decoder, stuff};

use crate::wire::{Broken, moment};
use crate::{Outgoing, Reply, Session};

/// Bytes read from the file at once. What is made of them is at most twice that.
const BLOCK_BYTES: usize = 32 * 1024;
/// Bytes of one BDAT.
const CHUNK_BYTES: u64 = 1 << 20;
/// A peer that takes less than this for each second beyond the limit of one block is given up.
const RATE_BYTES_MIN: u64 = 1024;

/// What goes before the content, and the file from its offset on, block by block.
struct Blocks<'a> {
    message: &'a Outgoing<'a>,
    /// What is left of that which goes before.
    front: &'a [u8],
    at: u64,
    block: Vec<u8>,
}

impl<'a> Blocks<'a> {
    fn of(message: &'a Outgoing<'a>) -> Blocks<'a> {
        Blocks { message, front: message.front, at: message.offset, block: vec![0; BLOCK_BYTES] }
    }

    fn left(&self) -> u64 {
        self.message.size.saturating_sub(self.at).saturating_add(self.front.len() as u64)
    }

    /// At most `most` further bytes; an empty block at the end. A file that is shorter than it should be is an error.
    fn next(&mut self, most: u64) -> io::Result<&[u8]> {
        let wanted = self.left().min(most).min(BLOCK_BYTES as u64);
        let wanted = usize::try_from(wanted).unwrap_or(BLOCK_BYTES);
        if !self.front.is_empty() {
            let (block, rest) = self.front.split_at(wanted.min(self.front.len()));
            self.front = rest;
            return Ok(block);
        }
        let block = &mut self.block[..wanted];
        self.message.content.read_exact_at(block, self.at)?;
        self.at += wanted as u64;
        Ok(block)
    }
}

/// Whether the content can go as it is: CRLF line ends only, the last line ended, no NUL. What is not goes by DATA,
/// which mends it.
pub(crate) fn is_regular(message: &Outgoing<'_>) -> bool {
    let (mut blocks, mut decoder) = (Blocks::of(message), Decoder::chunks());
    let (mut out, mut end) = (Vec::with_capacity(BLOCK_BYTES), [0; 2]);
    loop {
        match blocks.next(u64::MAX) {
            Err(_) => return false,
            Ok([]) => break,
            Ok(block) => {
                for byte in block.iter().rev().take(2).rev() {
                    end = [end[1], *byte];
                }
                out.clear();
                decoder.decode(block, &mut out);
            }
        }
        let faults = decoder.faults();
        if faults.bare_cr || faults.bare_lf || faults.nul {
            return false;
        }
    }
    message.offset >= message.size || end == *b"\r\n"
}

/// Until when the next block must be gone: no longer than `limit` for one, and at a bearable rate for all.
struct Pace {
    begun: Instant,
    limit: Duration,
    sent: u64,
}

impl Pace {
    fn new(limit: Duration) -> Pace {
        Pace { begun: Instant::now(), limit, sent: 0 }
    }

    fn until(&self) -> Instant {
        let all = self.limit.saturating_add(Duration::from_secs(self.sent / RATE_BYTES_MIN));
        moment(self.limit).min(self.begun.checked_add(all).unwrap_or_else(|| moment(all)))
    }
}

impl Session {
    /// Everything behind 354, with the final dot.
    pub(crate) fn send_content(&mut self, message: &Outgoing<'_>) -> Result<(), Broken> {
        let (mut blocks, mut decoder) = (Blocks::of(message), Decoder::chunks());
        let (mut regular, mut out) = (Vec::with_capacity(BLOCK_BYTES), Vec::with_capacity(BLOCK_BYTES * 2));
        let (mut line_start, mut pace) = (true, Pace::new(self.timeouts.data_send));
        self.expect_nothing("DATA")?; // an answer that came early would be taken for the one to the dot
        loop {
            regular.clear();
            out.clear();
            let block = blocks.next(u64::MAX).map_err(Broken::Content)?;
            let is_last = block.is_empty();
            if is_last {
                decoder.finish(&mut regular);
            } else {
                decoder.decode(block, &mut regular);
            }
            stuff(&regular, &mut line_start, &mut out);
            if is_last {
                out.extend_from_slice(b".\r\n");
            }
            self.wire.write(&out, "the content", pace.until())?;
            pace.sent += out.len() as u64;
            if is_last {
                return Ok(());
            }
        }
    }

    /// All BDATs up to the last, whose answer is left to be read. Gives the reply that refused an earlier one.
    pub(crate) fn send_chunks(&mut self, message: &Outgoing<'_>) -> Result<Option<Reply>, Broken> {
        let mut blocks = Blocks::of(message);
        let mut pace = Pace::new(self.timeouts.data_send);
        loop {
            let mut left = blocks.left().min(CHUNK_BYTES);
            let is_last = left == blocks.left();
            let mut out = format!("BDAT {left}{}\r\n", if is_last { " LAST" } else { "" }).into_bytes();
            self.expect_nothing("BDAT")?;
            loop {
                let block = blocks.next(left).map_err(Broken::Content)?;
                left -= block.len() as u64;
                out.extend_from_slice(block);
                self.wire.write(&out, "the content", pace.until())?;
                pace.sent += out.len() as u64;
                out.clear();
                if left == 0 {
                    break;
                }
            }
            if is_last {
                return Ok(None);
            }
            let reply = self.reply("BDAT", moment(self.timeouts.data))?;
            if !reply.is_positive() {
                return Ok(Some(reply));
            }
        }
    }
}
