//! RETR and TOP: a message, dot-stuffed, in pieces.

use std::os::unix::fs::FileExt;

use connection::Io;
use message_store::{MessageFile, StoreError};
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

/// A message on its way to the client.
pub struct Sending {
    message: MessageFile,
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
    let end = match lines {
        None => message.size,
        Some(lines) => match top_end(&message, lines) {
            Ok(end) => end,
            Err(_) => return refuse("[SYS/TEMP] The message cannot be read now", io),
        },
    };
    maildrop.retrieved = maildrop.retrieved.saturating_add(u32::from(lines.is_none()));
    io.output.push(&answer::ok(&format!("{} octets", message.size)));
    go_on(session, Box::new(Sending { message, at: 0, end, stuffer: Stuffer::default() }), io)
}

/// Where TOP ends.
fn top_end(message: &MessageFile, lines: u32) -> std::io::Result<u64> {
    let mut looked = PIECE_BYTES as u64;
    loop {
        let length = message.size.min(looked);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        message.file.read_exact_at(&mut bytes, 0)?;
        let end = top(&bytes, lines).len() as u64;
        if end < length || length == message.size || length >= TOP_BYTES_MAX {
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
        if let Err(why) = sending.message.file.read_exact_at(&mut piece[..want], sending.at) {
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
