//! LOGIN, and what every way to log in ends with: the password is checked, the user's INBOX exists (RFC 3501 §6.2.3).

use std::sync::Arc;
use std::time::Duration;

use connection::{Io, Next};
use directory::log_ins::{ANSWER_MAX, LATER_AFTER};
use directory::{Answer, Asked, BadLogIn, Entry, GoodLogIn, LogIn, LogInPutOff, Pending, Service, log_line};
use imap_wire::command::login::Login;
use sasl::Secret;
use server_log::Category;

use super::{Done, Outcome, capability};
use crate::refusal::Refusal;
use crate::server::Server;
use crate::session::Doing;
use crate::settings::service_of;
use crate::state::{Enabled, State, User};

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
    let attempt = Attempt { tag: tag.into(), login: login.into(), acting_as: String::new() };
    log_in(server, state, attempt, Secret::new(password.into()), io)
}

/// Who wants to be let in.
pub struct Attempt {
    pub tag: Box<[u8]>,
    /// A uid or an address.
    pub login: String,
    /// The user whom an administrator wants to be; empty: nobody else.
    pub acting_as: String,
}

/// A log-in whose password is being checked.
pub struct Checking {
    pub attempt: Attempt,
    pending: Pending,
}

/// An answer that is given after a while.
pub struct HeldBack {
    pub tag: Box<[u8]>,
    pub refusal: Refusal,
}

/// Has a password checked; the state becomes `Authenticated`, or the answer comes later.
pub fn log_in(
    server: &Server,
    state: &mut State,
    attempt: Attempt,
    password: Secret,
    io: &mut Io,
) -> Result<Outcome, Refusal> {
    let login = attempt.login.clone();
    let asked = Asked { service: Service::Imap, login, password, peer: io.peer.ip() };
    let waker = io.waker();
    match server.log_ins.ask(asked, move || waker.wake()) {
        Answer::Now(log_in) => concluded(server, state, &attempt, log_in, io),
        Answer::Later(pending) => {
            let checking = Box::new(Checking { attempt, pending });
            Ok(Outcome::Waiting(Doing::Checking(checking), Next::Pause(ANSWER_MAX)))
        }
    }
}

impl Checking {
    /// What was found out, if that is known.
    pub fn look(&self) -> Option<LogIn> {
        self.pending.take()
    }
}

/// What was found out about a password becomes an answer.
pub fn concluded(
    server: &Server,
    state: &mut State,
    attempt: &Attempt,
    log_in: LogIn,
    io: &mut Io,
) -> Result<Outcome, Refusal> {
    let (session, peer) = (io.number, io.peer.ip());
    let put_off = |why: &str| {
        let line = LogInPutOff(BadLogIn { peer, login: &attempt.login, why, session });
        server.log.notice(Category::Account, format_args!("{line}"));
    };
    let refused = |why: &str| {
        let line = BadLogIn { peer, login: &attempt.login, why, session };
        server.log.notice(Category::Account, format_args!("{line}"));
    };
    let entry = match log_in {
        LogIn::Accepted(entry) => entry,
        LogIn::Refused => {
            refused(log_line::WRONG);
            let earlier = count_failure(state).min(FAILURES_MAX);
            let delay = FIRST_DELAY.saturating_mul(1 << earlier);
            return Ok(hold_back(attempt, Refusal::WrongPassword, delay));
        }
        LogIn::Disallowed => {
            refused(log_line::NOT_ALLOWED);
            return Err(Refusal::Disallowed);
        }
        LogIn::Unavailable(why) => {
            refused(&why);
            return Err(Refusal::Unavailable);
        }
        LogIn::Busy => {
            put_off(log_line::TOO_MANY_WAIT);
            return Ok(hold_back(attempt, Refusal::TooManyLogIns, LATER_AFTER));
        }
        LogIn::TooManyGuesses => {
            put_off(log_line::TOO_MANY_WRONG);
            count_failure(state);
            return Ok(hold_back(attempt, Refusal::TooManyGuesses, LATER_AFTER));
        }
    };
    let service = service_of(io.role);
    if let Err(no) = server.clients.admits_user(entry.access_domains(), service, peer) {
        refused(&no.to_string());
        return Err(if no.for_now { Refusal::Unavailable } else { Refusal::Disallowed }); // S136
    }
    let Some(uid) = entry.uid.clone() else {
        refused("the entry has no uid");
        return Err(Refusal::Disallowed);
    };
    let is_admin = server.settings().is_admin(&uid);
    if ![attempt.login.as_str(), &uid, ""].contains(&attempt.acting_as.as_str()) {
        if !is_admin {
            refused("not an administrator, but wants to act as another user");
            return Err(Refusal::NoPermission);
        }
        let user = super::proxyauth::become_user(server, &uid, &attempt.acting_as, io)?;
        return Ok(enter(server, state, user, io));
    }
    server.store.ensure_user_in(&uid, entry.partition.as_deref())?;
    first_limits(server, &uid, &entry)?;
    let line = GoodLogIn { peer, uid: &uid, encrypted: io.tls.is_active(), session };
    server.log.notice(Category::Account, format_args!("{line}"));
    Ok(enter(server, state, User { uid, is_admin, proxied_by: None, enabled: Enabled::default() }, io))
}

/// Who never got mail has no limits yet; from the first mail on it is mail that brings them (S113).
pub fn first_limits(server: &Server, uid: &str, entry: &Entry) -> Result<(), Refusal> {
    let limits = server.settings().quota.limits(entry.quota_bytes, entry.quota_messages);
    if !limits.is_unlimited() {
        server.store.first_limits(uid, limits)?;
    }
    Ok(())
}

fn enter(server: &Server, state: &mut State, user: User, io: &mut Io) -> Outcome {
    io.set_user(&user.uid);
    *state = State::Authenticated(Arc::new(user));
    let mut done = Done::new("Logged in");
    done.code = format!("CAPABILITY {}", capability::list(state, &server.settings(), io));
    Outcome::Done(done)
}

/// Counts a failure on this connection; how many there were before.
fn count_failure(state: &mut State) -> u32 {
    let State::NotAuthenticated { failures } = state else { return 0 };
    let earlier = *failures;
    *failures = failures.saturating_add(1);
    earlier
}

/// Some answers come late. No thread waits.
fn hold_back(attempt: &Attempt, refusal: Refusal, delay: Duration) -> Outcome {
    let held_back = Box::new(HeldBack { tag: attempt.tag.clone(), refusal });
    Outcome::Waiting(Doing::Refusing(held_back), Next::Pause(delay))
}
