//! STARTTLS (RFC 3207).

use connection::{Io, TlsState};
use smtp_wire::Reply;

use crate::replies;
use crate::session::{Answer, Session};
use crate::state::State;

pub fn run(session: &mut Session, io: &Io) -> Answer {
    match io.tls {
        TlsState::Active { .. } => return Answer::Say(replies::bad_sequence("TLS is active already")),
        TlsState::Unavailable => return Answer::Say(replies::not_implemented()),
        TlsState::Available => {}
    }
    if session.user.is_some() || matches!(session.state, State::InTransaction { .. }) {
        return Answer::Say(replies::bad_sequence("STARTTLS comes before everything else"));
    }
    Answer::StartTls(Reply::new(220, (2, 0, 0), "Ready to start TLS"))
}
