//! AUTHENTICATE: SASL PLAIN and LOGIN, with an initial response or without (RFC 3501 §6.2.2, RFC 4959).

use connection::{Io, Next};
use imap_wire::command::authenticate::Authenticate;
use sasl::{Exchange, Mechanism, Step};

use super::{Outcome, login};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::Doing;
use crate::state::State;

/// An exchange that waits for the client's next line.
pub struct Authenticating {
    pub tag: Box<[u8]>,
    exchange: Exchange,
}

pub fn run(
    server: &Server,
    state: &mut State,
    asked: Authenticate,
    tag: &[u8],
    io: &mut Io,
) -> Result<Outcome, Refusal> {
    let Some(mechanism) = Mechanism::named(&asked.mechanism) else { return Err(Refusal::Mechanism) };
    if !server.settings().allows_password(&io.tls, io.peer.ip()) {
        return Err(Refusal::PrivacyRequired);
    }
    let (exchange, step) = Exchange::start(mechanism, asked.initial.as_deref());
    Authenticating { tag: tag.into(), exchange }.after(server, state, step, io)
}

impl Authenticating {
    /// Takes the client's line.
    ///
    /// # Errors
    /// It was cancelled, is not base64, or who logs in is refused.
    pub fn respond(
        mut self,
        server: &Server,
        state: &mut State,
        line: &[u8],
        io: &mut Io,
    ) -> Result<Outcome, Refusal> {
        let step = self.exchange.respond(line);
        self.after(server, state, step, io)
    }

    fn after(self, server: &Server, state: &mut State, step: Step, io: &mut Io) -> Result<Outcome, Refusal> {
        match step {
            Step::Challenge(challenge) => {
                io.output.push(b"+ ");
                io.output.push(challenge.as_bytes());
                io.output.push(b"\r\n");
                io.mask_input = true;
                Ok(Outcome::Waiting(Doing::Authenticating(Box::new(self)), Next::Line))
            }
            Step::Credentials { authzid, authcid, password } => {
                let attempt = login::Attempt { tag: self.tag, login: authcid, acting_as: authzid };
                login::log_in(server, state, attempt, password, io)
            }
            Step::Cancelled => Err(Refusal::Cancelled),
            Step::Syntax => Err(Refusal::Syntax("Not a response of this mechanism in base64")),
        }
    }
}
