//! LOGIN, and what every way to log in ends with: the password is checked, the user's INBOX exists (RFC 3501 §6.2.3).

use std::sync::Arc;
use std::time::Duration;

use connection::{Io, Next};
use directory::{LogIn, Service};
use imap_wire::command::login::Login;
use server_log::Category;

use super::{Done, Outcome, capability};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::Doing;
use crate::state::{State, User};

/// Wrong passwords until a connection is closed.
pub const FAILURES_MAX: u32 = 5;
/// The first wrong password is answered after this time, each further one after twice the time before.
const FIRST_DELAY: Duration = Duration::from_secs(1);

pub fn run(
    server: &Server,
    state: &mut State,
    asked: &Login,
    tag: &[u8],
    io: &mut Io,
) -> Result<Outcome, Refusal> {
    if !server.settings().allows_password(&io.tls, io.peer.ip()) {
        return Err(Refusal::PrivacyRequired);
    }
    // What is not UTF-8 is nobody's name or password.
    let (login, password) = match (std::str::from_utf8(&asked.user), std::str::from_utf8(&asked.password)) {
        (Ok(user), Ok(password)) => (user, password),
        _ => ("", ""),
    };
    let attempt = Attempt { login, password, acting_as: "", method: "LOGIN" };
    log_in(server, state, &attempt, tag, io)
}

/// What a client says to be let in.
pub struct Attempt<'a> {
    /// A uid or an address.
    pub login: &'a str,
    pub password: &'a str,
    /// The user whom an administrator wants to be; empty: nobody else.
    pub acting_as: &'a str,
    /// For the log.
    pub method: &'static str,
}

/// Checks a password; the state becomes `Authenticated`, or the answer is held back.
pub fn log_in(
    server: &Server,
    state: &mut State,
    attempt: &Attempt<'_>,
    tag: &[u8],
    io: &mut Io,
) -> Result<Outcome, Refusal> {
    let (number, peer, method) = (io.number, io.peer.ip(), attempt.method);
    let shown: String = base::escape(attempt.login).chars().take(100).collect();
    let refused = |why: &str| {
        let text = format_args!("session {number} {method} refused: user {shown} from {peer}: {why}");
        server.log.notice(Category::Account, text);
    };
    let entry = match server.authenticator.log_in(Service::Imap, attempt.login, attempt.password) {
        LogIn::Accepted(entry) => entry,
        LogIn::Refused => {
            refused("wrong user name or password");
            return Ok(hold_back(state, tag));
        }
        LogIn::Disallowed => {
            refused("service not enabled");
            return Err(Refusal::Disallowed);
        }
        LogIn::Unavailable(why) => {
            refused(&why);
            return Err(Refusal::Unavailable);
        }
    };
    let Some(uid) = entry.uid.clone() else {
        refused("the entry has no uid");
        return Err(Refusal::Disallowed);
    };
    let is_admin = server.settings().is_admin(&uid);
    if ![attempt.login, &uid, ""].contains(&attempt.acting_as) {
        if !is_admin {
            refused("not an administrator, but wants to act as another user");
            return Err(Refusal::NoPermission);
        }
        let user = super::proxyauth::become_user(server, &uid, attempt.acting_as, io)?;
        return Ok(enter(server, state, user, io));
    }
    server.store.ensure_user_in(&uid, entry.partition.as_deref())?;
    let encryption = if io.tls.is_active() { "TLS" } else { "plain" };
    let shown = base::escape(&uid);
    let text = format_args!("session {number} {method}: user {shown} from {peer}, {encryption}");
    server.log.notice(Category::Account, text);
    Ok(enter(server, state, User { uid, is_admin, proxied_by: None }, io))
}

fn enter(server: &Server, state: &mut State, user: User, io: &mut Io) -> Outcome {
    io.set_user(&user.uid);
    *state = State::Authenticated(Arc::new(user));
    let mut done = Done::new("Logged in");
    done.code = format!("CAPABILITY {}", capability::list(state, &server.settings(), io));
    Outcome::Done(done)
}

/// A wrong password is answered late. No thread waits.
fn hold_back(state: &mut State, tag: &[u8]) -> Outcome {
    let mut earlier = 0;
    if let State::NotAuthenticated { failures } = state {
        earlier = (*failures).min(FAILURES_MAX);
        *failures = failures.saturating_add(1);
    }
    let delay = FIRST_DELAY.saturating_mul(1 << earlier);
    Outcome::Waiting(Doing::Refusing(tag.into()), Next::Pause(delay))
}
