//! AUTH (RFC 5034).

use connection::Io;
use pop3_wire::answer;
use sasl::{Exchange, Mechanism, Step};

use crate::commands::refuse;
use crate::commands::user::{is_safe, log_in};
use crate::session::{Outcome, Session};
use crate::state::State;

/// AUTH alone lists the mechanisms (RFC 1734's clients ask so).
pub fn list(session: &Session, io: &mut Io) -> Outcome {
    io.output.push(&answer::ok("Mechanisms follow"));
    if is_safe(session, io) {
        for mechanism in Mechanism::ALL {
            io.output.push(format!("{}\r\n", mechanism.name()).as_bytes());
        }
    }
    io.output.push(b".\r\n");
    Outcome::Done
}

pub fn begin(session: &mut Session, mechanism: &str, initial: Option<&[u8]>, io: &mut Io) -> Outcome {
    if !matches!(session.state, State::Authorization { .. }) {
        return refuse("You are logged in already", io);
    }
    if !is_safe(session, io) {
        return refuse("[AUTH] Encryption is required first", io);
    }
    let Some(mechanism) = Mechanism::named(mechanism) else {
        return refuse("Mechanism not supported", io);
    };
    let (exchange, step) = Exchange::start(mechanism, initial);
    session.state = State::Authenticating { exchange };
    proceed(session, step, io)
}

pub fn respond(session: &mut Session, line: &[u8], io: &mut Io) -> Outcome {
    let State::Authenticating { exchange } = &mut session.state else {
        return refuse("No response was expected", io);
    };
    let step = exchange.respond(line);
    proceed(session, step, io)
}

fn proceed(session: &mut Session, step: Step, io: &mut Io) -> Outcome {
    if let Step::Challenge(text) = step {
        io.output.push(format!("+ {text}\r\n").as_bytes());
        return Outcome::Done;
    }
    session.state = State::Authorization { user: None };
    match step {
        Step::Credentials { authzid, authcid, password } => {
            if !authzid.is_empty() && !authzid.eq_ignore_ascii_case(&authcid) {
                return refuse("[AUTH] Nobody acts for somebody else here", io);
            }
            log_in(session, &authcid, password, io)
        }
        Step::Cancelled => refuse("Authentication cancelled", io),
        Step::Syntax | Step::Challenge(_) => refuse("Cannot decode the response", io),
    }
}
