//! AUTH (RFC 5034).

use connection::Io;
use directory::{Authentication, Choice, Service};
use pop3_wire::answer;

use crate::commands::refuse;
use crate::commands::user::{proceed, safety};
use crate::session::{Outcome, Session};
use crate::state::State;

/// AUTH alone lists the mechanisms (RFC 1734's clients ask so).
pub fn list(session: &Session, io: &mut Io) -> Outcome {
    io.output.push(&answer::ok("Mechanisms follow"));
    for mechanism in session.desk.log_ins.mechanisms().on(Service::Pop, safety(session, io)) {
        io.output.push(format!("{}\r\n", mechanism.name()).as_bytes());
    }
    io.output.push(b".\r\n");
    Outcome::Done
}

pub fn begin(session: &mut Session, mechanism: &str, initial: Option<&[u8]>, io: &mut Io) -> Outcome {
    if !matches!(session.state, State::Authorization { .. }) {
        return refuse("You are logged in already", io);
    }
    let safety = safety(session, io);
    let log_ins = &session.desk.log_ins;
    let mechanism = match log_ins.mechanisms().named(Service::Pop, mechanism, safety) {
        Choice::Offered(mechanism) => mechanism,
        Choice::Unknown if log_ins.mechanisms().on(Service::Pop, safety).next().is_some() => {
            return refuse("Mechanism not supported", io);
        }
        Choice::Unsafe | Choice::Unknown => return refuse("[AUTH] Encryption is required first", io),
    };
    let (authentication, progress) = Authentication::begin(log_ins, Service::Pop, mechanism, initial, io);
    proceed(session, Box::new(authentication), progress, io)
}

pub fn respond(session: &mut Session, line: &[u8], io: &mut Io) -> Outcome {
    match std::mem::replace(&mut session.state, State::Authorization { user: None }) {
        State::Authenticating { mut authentication } => {
            let progress = authentication.respond(&session.desk.log_ins, line, io);
            proceed(session, authentication, progress, io)
        }
        other => {
            session.state = other;
            refuse("No response was expected", io)
        }
    }
}
