//! AUTHENTICATE: SASL, with an initial response or without (RFC 3501 §6.2.2, RFC 4959).

use connection::Io;
use directory::{Authentication, Choice, Service};
use imap_wire::command::authenticate::Authenticate;

use super::Outcome;
use super::login::LoggingIn;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::state::State;

pub fn run(
    server: &Server,
    state: &mut State,
    asked: Authenticate,
    tag: &[u8],
    io: &mut Io,
) -> Result<Outcome, Refusal> {
    let safety = server.settings().safety(io);
    let mechanisms = server.log_ins.mechanisms();
    let mechanism = match mechanisms.named(Service::Imap, &asked.mechanism, safety) {
        Choice::Offered(mechanism) => mechanism,
        Choice::Unsafe => return Err(Refusal::PrivacyRequired),
        Choice::Unknown => return Err(Refusal::Mechanism),
    };
    let initial = asked.initial.as_deref();
    let (authentication, progress) =
        Authentication::begin(&server.log_ins, Service::Imap, mechanism, initial, io);
    LoggingIn { tag: tag.into(), authentication }.proceed(server, state, progress, io)
}
