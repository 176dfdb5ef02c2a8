//! HELO and EHLO: who the client is, and what is offered (RFC 5321 §4.1.1.1).

use connection::{Io, TlsState};
use smtp_wire::Reply;

use crate::commands::auth;
use crate::replies;
use crate::session::Session;
use crate::state::{Client, State};

pub fn helo(session: &mut Session, name: String) -> Reply {
    session.state = State::Greeted { client: Client { name, extended: false } };
    Reply::plain(250, session.settings.host_name.clone())
}

/// Also ends a transaction (RFC 5321 §4.1.4).
pub fn ehlo(session: &mut Session, name: String, io: &Io) -> Reply {
    if !session.settings.allow_ehlo {
        return replies::not_implemented();
    }
    session.state = State::Greeted { client: Client { name, extended: true } };
    let settings = &session.settings;
    let mut reply = Reply::plain(250, settings.host_name.clone())
        .line("PIPELINING")
        .line("8BITMIME")
        .line("ENHANCEDSTATUSCODES");
    if let Some(size) = settings.message_size_max {
        reply = reply.line(format!("SIZE {size}"));
    }
    if settings.allow_chunking {
        reply = reply.line("CHUNKING");
    }
    if io.tls == TlsState::Available {
        reply = reply.line("STARTTLS");
    }
    if auth::is_offered(session, io) {
        reply = reply.line("AUTH PLAIN LOGIN");
    }
    if session.settings.allow_help {
        reply = reply.line("HELP");
    }
    reply
}
