//! RETR and TOP: a message, dot-stuffed, in pieces.
//!
//! Before UTF8 was said no header in UTF-8 is sent (RFC 6856 §2.1): a surrogate message takes the place of the one that has
//! it. LIST gives the size of the message itself.

use std::os::unix::fs::FileExt;

use connection::Io;
use mail_format::{has_utf8_header, surrogate};
use message_store::{MessageFile, StoreError};
use os::map::FileMap;
use pop3_wire::answer;
use pop3_wire::stuffing::{Stuffer, top};
use server_log::Category;

use crate::commands::refuse;
use crate::session::{More, Outcome, Session};
use crate::state::State;

/// What is read of a message at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Of a message, what TOP looks at: header and lines beyond are not shown.
const TOP_BYTES_MAX: u64 = 16 << 20;

/// Messages with headers in UTF-8 that are larger have no surrogate.
const SURROGATE_BYTES_MAX: u64 = 64 << 20;

/// Where a message is read from.
enum Source {
    File(MessageFile),
    Surrogate(Vec<u8>),
}

impl Source {
    fn size(&self) -> u64 {
        match self {
            Source::File(message) => message.size,
            Source::Surrogate(bytes) => bytes.len() as u64,
        }
    }

    fn read(&self, into: &mut [u8], at: u64) -> std::io::Result<()> {
        match self {
            Source::File(message) => message.file.read_exact_at(into, at),
            Source::Surrogate(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX);
                let piece = bytes.get(start..).and_then(|rest| rest.get(..into.len()));
                into.copy_from_slice(piece.ok_or(std::io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

/// A message on its way to the client.
pub struct Sending {
    source: Source,
    at: u64,
    end: u64,
    stuffer: Stuffer,
}

pub fn run(session: &mut Session, number: u32, lines: Option<u32>, io: &mut Io) -> Outcome {
    let State::Transaction { maildrop, uid } = &mut session.state else {
        return refuse("Log in first", io);
    };
    let message = match maildrop.message(number) {
        Ok(message) => message,
        Err(StoreError::NotFound) => return refuse("No such message", io),
        Err(why) => {
            session.desk.log.error(Category::Store, format_args!("{uid}: message {number}: {why}"));
            return refuse("[SYS/TEMP] The message cannot be read now", io);
        }
    };
    let source = if session.utf8 { Ok(Some(Source::File(message))) } else { in_ascii(message) };
    let source = match source {
        Ok(Some(source)) => source,
        Ok(None) => return refuse("[UTF8] The message has a header in UTF-8, say UTF8 first", io),
        Err(_) => return refuse("[SYS/TEMP] The message cannot be read now", io),
    };
    let end = match lines {
        None => source.size(),
        Some(lines) => match top_end(&source, lines) {
            Ok(end) => end,
            Err(_) => return refuse("[SYS/TEMP] The message cannot be read now", io),
        },
    };
    maildrop.retrieved = maildrop.retrieved.saturating_add(u32::from(lines.is_none()));
    io.output.push(&answer::ok(&format!("{} octets", source.size())));
    go_on(session, Box::new(Sending { source, at: 0, end, stuffer: Stuffer::default() }), io)
}

/// The message, or its surrogate; nothing when it needs one and is too large.
fn in_ascii(message: MessageFile) -> std::io::Result<Option<Source>> {
    let made = if message.size <= PIECE_BYTES as u64 {
        let mut bytes = vec![0; usize::try_from(message.size).unwrap_or(PIECE_BYTES)];
        message.file.read_exact_at(&mut bytes, 0)?;
        has_utf8_header(&bytes).then(|| surrogate(&bytes))
    } else {
        let map = FileMap::open(&message.file)?;
        let needs = has_utf8_header(&map);
        if needs && message.size > SURROGATE_BYTES_MAX {
            return Ok(None);
        }
        let made = needs.then(|| surrogate(&map));
        map.verify()?;
        made
    };
    Ok(Some(made.map_or(Source::File(message), Source::Surrogate)))
}

/// Where TOP ends.
fn top_end(source: &Source, lines: u32) -> std::io::Result<u64> {
    let mut looked = PIECE_BYTES as u64;
    loop {
        let length = source.size().min(looked);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        source.read(&mut bytes, 0)?;
        let end = top(&bytes, lines).len() as u64;
        if end < length || length == source.size() || length >= TOP_BYTES_MAX {
            return Ok(end);
        }
        looked = looked.saturating_mul(4);
    }
}

pub fn go_on(session: &mut Session, mut sending: Box<Sending>, io: &mut Io) -> Outcome {
    let mut piece = vec![0; PIECE_BYTES];
    let mut out = Vec::new();
    while sending.at < sending.end {
        if io.output.is_full() {
            session.more = Some(More::Message(sending));
            return Outcome::More;
        }
        let want = usize::try_from(sending.end - sending.at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        if let Err(why) = sending.source.read(&mut piece[..want], sending.at) {
            // The client was told that a message comes: only the end of the connection tells it otherwise.
            session
                .desk
                .log
                .error(Category::Store, format_args!("a message is shorter than its record: {why}"));
            return Outcome::Last;
        }
        out.clear();
        sending.stuffer.push(&piece[..want], &mut out);
        io.output.push(&out);
        sending.at += want as u64;
    }
    out.clear();
    sending.stuffer.finish(&mut out);
    io.output.push(&out);
    Outcome::Done
}
