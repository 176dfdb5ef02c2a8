//! CAPA: what is offered in this state (RFC 2449 §5).

use connection::{Io, TlsState};
use pop3_wire::answer;

use crate::commands::user::safety;
use crate::session::{Outcome, Session};
use crate::state::State;

pub fn run(session: &Session, io: &mut Io) -> Outcome {
    let mut lines: Vec<&str> = vec!["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"];
    if session.settings.keeps_all {
        lines.push("EXPIRE NEVER"); // RFC 2449 §6.7
    }
    let safety = safety(session, io);
    if safety.says_password {
        lines.push("USER");
    }
    let offered = session.desk.log_ins.mechanisms().on(safety).map(sasl::Mechanism::name);
    let sasl = offered.fold("SASL".to_owned(), |line, name| line + " " + name);
    if sasl.contains(' ') {
        lines.push(&sasl);
    }
    if io.tls == TlsState::Available && !matches!(session.state, State::Transaction { .. }) {
        lines.push("STLS");
    }
    io.output.push(&answer::ok("Capabilities follow"));
    for line in lines {
        io.output.push(format!("{line}\r\n").as_bytes());
    }
    io.output.push(format!("IMPLEMENTATION Mailboat-{}\r\n.\r\n", env!("CARGO_PKG_VERSION")).as_bytes());
    Outcome::Done
}
