//! BDAT: the content in chunks of a length that is told (RFC 3030 §2).
//!
//! A chunk that cannot be taken is read all the same, since it is on its way; the refusal follows it.

use connection::Io;
use smtp_wire::{Decoder, Reply};

use crate::refusals;
use crate::replies;
use crate::session::{Answer, Session};
use crate::state::{Chunk, Client, State, Transaction};

/// Bytes of a refused chunk that are read; a client that announces more is sent away.
const REFUSED_CHUNK_MAX: u64 = 64 << 20;
/// A chunk below this size is small unless it is the last one, and a message has so many of them at most.
const SMALL_CHUNK_BYTES: u64 = 1024;
const SMALL_CHUNKS_MAX: u32 = 1000;

pub fn begin(session: &mut Session, size: u64, last: bool, io: &Io) -> Answer {
    if size < SMALL_CHUNK_BYTES && !last && has_too_many_small_chunks(session) {
        return Answer::Last(replies::too_many_small_chunks(&session.settings.host_name));
    }
    let refusal = refusal(session, size);
    if refusal.is_some() && size > REFUSED_CHUNK_MAX {
        return Answer::Last(refusal.unwrap_or_else(replies::too_big));
    }
    let (client, transaction) = match std::mem::replace(&mut session.state, State::Closing) {
        State::InTransaction { client, transaction } => (client, transaction),
        State::Greeted { client } => (client, Box::default()),
        _ => (Client { name: String::new(), extended: false }, Box::<Transaction>::default()),
    };
    let mut chunk = Chunk { size, last, refused: refusal };
    let mut transaction = transaction;
    if chunk.refused.is_none() && transaction.receiving.is_none() {
        let decoder = if transaction.binary { Decoder::binary() } else { Decoder::chunks() };
        match session.begin_content(&client, &transaction, decoder, io) {
            Ok(receiving) => transaction.receiving = Some(Box::new(receiving)),
            Err(reply) => chunk.refused = Some(reply),
        }
    }
    session.state = State::InChunk { client, transaction, chunk };
    Answer::Chunk(size)
}

/// Counts a small chunk: each costs as much as a large one.
fn has_too_many_small_chunks(session: &mut Session) -> bool {
    let State::InTransaction { transaction, .. } = &mut session.state else { return false };
    transaction.small_chunks = transaction.small_chunks.saturating_add(1);
    transaction.small_chunks > SMALL_CHUNKS_MAX
}

fn refusal(session: &Session, size: u64) -> Option<Reply> {
    if !session.settings.allow_chunking {
        return Some(replies::not_implemented());
    }
    match &session.state {
        State::InTransaction { transaction, .. } if transaction.recipients.is_empty() => {
            Some(replies::bad_sequence("No valid recipients"))
        }
        State::InTransaction { .. } => {
            let max = session.settings.message_size_max;
            max.is_some_and(|max| size > max).then(replies::too_big)
        }
        _ => Some(replies::bad_sequence("Say MAIL and RCPT first")),
    }
}

/// A piece of the chunk. The answer when it was the last one.
pub fn piece(session: &mut Session, bytes: &[u8], is_last: bool, io: &mut Io) -> Option<Answer> {
    let State::InChunk { transaction, chunk, .. } = &mut session.state else {
        return Some(Answer::Last(replies::bad_sequence("No content was expected")));
    };
    if let (None, Some(receiving)) = (&chunk.refused, &mut transaction.receiving) {
        receiving.take(bytes);
    }
    is_last.then(|| end(session, io))
}

fn end(session: &mut Session, io: &mut Io) -> Answer {
    let State::InChunk { client, mut transaction, chunk } =
        std::mem::replace(&mut session.state, State::Closing)
    else {
        return Answer::Say(replies::bad_sequence("No content was expected"));
    };
    let greeted = !client.name.is_empty();
    let back = |client: Client| if greeted { State::Greeted { client } } else { State::Connected };
    if let Some(refusal) = chunk.refused {
        session.state = back(client); // a refused chunk ends the transaction
        let from = refusals::path(transaction.sender.as_ref());
        session.note_refusal(&refusal, from, refusals::all(&transaction.recipients), io);
        let count = transaction.recipients.len();
        if chunk.last && count > 0 && session.is_lmtp(io) {
            return Answer::Each(vec![refusal; count]); // RFC 2033 §4.3
        }
        return Answer::Say(refusal);
    }
    if !chunk.last {
        session.state = State::InTransaction { client, transaction };
        return Answer::Say(Reply::new(250, (2, 0, 0), format!("{} octets received", chunk.size)));
    }
    match transaction.receiving.take() {
        Some(receiving) => session.conclude_content(client, *transaction, *receiving, true, io),
        None => {
            session.state = State::Greeted { client };
            Answer::Say(replies::bad_sequence("No content was begun"))
        }
    }
}
