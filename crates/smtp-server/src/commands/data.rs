//! DATA: the content, up to CR LF . CR LF (RFC 5321 §4.1.1.4).

use connection::Io;
use smtp_wire::{Decoder, Reply};

use crate::refusals;
use crate::replies;
use crate::session::{Answer, Session};
use crate::state::State;

pub fn begin(session: &mut Session, io: &Io) -> Answer {
    if io.more_input {
        // RFC 2920 §3.1: DATA ends a group. Content before 354 would be run as commands if DATA were refused.
        return Answer::Last(replies::too_early());
    }
    match &session.state {
        State::InTransaction { transaction, .. } if transaction.receiving.is_some() => {
            session.state.reset(); // a refused message leaves nothing of its transaction
            return Answer::Say(replies::bad_sequence("BDAT was begun, begin anew")); // RFC 3030 §2
        }
        State::InTransaction { transaction, .. } if transaction.recipients.is_empty() => {
            return Answer::Say(replies::bad_sequence("No valid recipients"));
        }
        State::InTransaction { transaction, .. } if transaction.binary => {
            return Answer::Say(replies::bad_sequence("BINARYMIME comes by BDAT")); // RFC 3030 §3
        }
        State::InTransaction { .. } => {}
        _ => return Answer::Say(replies::bad_sequence("Say MAIL and RCPT first")),
    }
    let State::InTransaction { client, transaction } = std::mem::replace(&mut session.state, State::Closing)
    else {
        return Answer::Last(replies::shutting_down(&session.settings.host_name));
    };
    match session.begin_content(&client, &transaction, Decoder::data(), io) {
        Ok(receiving) => {
            session.state = State::InData { client, transaction, receiving: Box::new(receiving) };
            Answer::Content(Reply::plain(354, "End data with <CR><LF>.<CR><LF>"))
        }
        Err(reply) => {
            session.state = State::Greeted { client };
            let from = refusals::path(transaction.sender.as_ref());
            session.note_refusal(&reply, from, refusals::all(&transaction.recipients), io);
            Answer::Say(reply)
        }
    }
}

/// The end of data was read: what comes of it.
pub fn end(session: &mut Session, io: &mut Io) -> Answer {
    match std::mem::replace(&mut session.state, State::Closing) {
        State::InData { client, transaction, receiving } => {
            session.conclude_content(client, *transaction, *receiving, false, io)
        }
        other => {
            session.state = other;
            Answer::Say(replies::bad_sequence("No content was expected"))
        }
    }
}
