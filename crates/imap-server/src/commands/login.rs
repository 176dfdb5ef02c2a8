//! LOGIN, and what every way to log in ends with: the password is checked, the user's INBOX exists (RFC 3501 §6.2.3).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use connection::{Io, Next};
use directory::log_ins::{ANSWER_MAX, LATER_AFTER};
use directory::{
    Authentication, BadLogIn, Entry, GoodLogIn, LogIn, LogInPutOff, Progress, Service, Verdict, log_line,
};
use imap_wire::command::login::Login;
use sasl::Secret;

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
    let password = Secret::new(password.into());
    let (authentication, progress) =
        Authentication::by_password(&server.log_ins, Service::Imap, "LOGIN", login.into(), password, io);
    LoggingIn { tag: tag.into(), authentication }.proceed(server, state, progress, io)
}

/// A log-in under way: it waits for the client's next line, or for its answer.
pub struct LoggingIn {
    pub tag: Box<[u8]>,
    pub authentication: Authentication,
}

/// An answer that is given after a while.
pub struct HeldBack {
    pub tag: Box<[u8]>,
    pub refusal: Refusal,
}

impl LoggingIn {
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
        let progress = self.authentication.respond(&server.log_ins, line, io);
        self.proceed(server, state, progress, io)
    }

    /// What was found out, if that is known.
    pub fn look(&mut self, server: &Server, io: &Io) -> Option<Progress> {
        self.authentication.look(&server.log_ins, io)
    }

    /// The state becomes `Authenticated`, or something is waited for.
    ///
    /// # Errors
    /// As [`LoggingIn::respond`].
    pub fn proceed(
        self,
        server: &Server,
        state: &mut State,
        progress: Progress,
        io: &mut Io,
    ) -> Result<Outcome, Refusal> {
        match progress {
            Progress::Challenge(challenge) => {
                io.output.push(b"+ ");
                io.output.push(challenge.as_bytes());
                io.output.push(b"\r\n");
                io.mask_input = true;
                Ok(Outcome::Waiting(Doing::Authenticating(Box::new(self)), Next::Line))
            }
            Progress::Wait => Ok(Outcome::Waiting(Doing::Checking(Box::new(self)), Next::Pause(ANSWER_MAX))),
            Progress::Cancelled => Err(Refusal::Cancelled),
            Progress::Syntax => Err(Refusal::Syntax("Not a response of this mechanism in base64")),
            Progress::Done(verdict) => concluded(server, state, &self.tag, verdict, io),
        }
    }
}

/// What was found out about somebody becomes an answer.
fn concluded(
    server: &Server,
    state: &mut State,
    tag: &[u8],
    verdict: Verdict,
    io: &mut Io,
) -> Result<Outcome, Refusal> {
    let Verdict { log_in, authzid, authcid, method, why } = verdict;
    let (session, peer) = (io.number, io.peer.ip());
    let put_off = |why: &str| {
        let line = LogInPutOff(BadLogIn { peer, login: &authcid, why, session });
        line.tell(&server.log);
    };
    let refused = |why: &str| {
        let line = BadLogIn { peer, login: &authcid, why, session };
        line.tell(&server.log);
    };
    match log_in {
        LogIn::Accepted(entry) if authzid.is_empty() || entry.is_named(&authzid) => {
            let user = admit(server, &entry, None, method, io)?;
            Ok(enter(server, state, user, io))
        }
        LogIn::Accepted(admin) => {
            let admin = admin.uid.as_deref().unwrap_or_default();
            let user = super::proxyauth::become_user(server, admin, &authzid, method, io)?;
            Ok(enter(server, state, user, io))
        }
        LogIn::Refused | LogIn::NeedsAppPassword => {
            refused(why);
            let earlier = count_failure(state).min(FAILURES_MAX);
            let delay = FIRST_DELAY.saturating_mul(1 << earlier);
            Ok(hold_back(tag, Refusal::WrongPassword, delay))
        }
        LogIn::Disallowed => {
            refused(log_line::NOT_ALLOWED);
            Err(Refusal::Disallowed)
        }
        LogIn::Unavailable(why) => {
            refused(&why);
            Err(Refusal::Unavailable)
        }
        LogIn::Busy => {
            put_off(log_line::TOO_MANY_WAIT);
            Ok(hold_back(tag, Refusal::TooManyLogIns, LATER_AFTER))
        }
        LogIn::TooManyGuesses => {
            put_off(log_line::TOO_MANY_WRONG);
            count_failure(state);
            Ok(hold_back(tag, Refusal::TooManyGuesses, LATER_AFTER))
        }
    }
}

/// A user may come in from where the client is, and gets the INBOX. `by`: the administrator who acts for the user.
///
/// # Errors
/// Not from there (S136), or the store cannot be used now.
pub fn admit(
    server: &Server,
    entry: &Entry,
    by: Option<&str>,
    method: &'static str,
    io: &Io,
) -> Result<User, Refusal> {
    let (session, peer) = (io.number, io.peer.ip());
    let refused = |why: &str| {
        let login = entry.uid.as_deref().unwrap_or(&entry.mail);
        let line = BadLogIn { peer, login, why, session };
        line.tell(&server.log);
    };
    if let Err(no) = server.clients.admits_user(entry.access_domains(), service_of(io.role), peer) {
        refused(&no.to_string());
        return Err(if no.for_now { Refusal::Unavailable } else { Refusal::Disallowed }); // S136
    }
    let Some(uid) = entry.uid.clone() else {
        refused("the entry has no uid");
        return Err(Refusal::Disallowed);
    };
    server.store.ensure_user_in(&uid, entry.partition.as_deref())?;
    first_limits(server, &uid, entry)?;
    let line = GoodLogIn { peer, uid: &uid, encrypted: io.tls.is_active(), session, method, by };
    line.tell(&server.log);
    // A password for one program opens its user's mail and nobody else's.
    let is_admin = server.settings().is_admin(&uid) && !entry.limited;
    let has_jmap = !is_admin && by.is_none() && jmap_admits(server, entry, method, peer);
    Ok(User {
        uid,
        is_admin,
        has_jmap,
        is_anybody: entry.anybody,
        proxied_by: by.map(str::to_owned),
        enabled: Enabled::default(),
    })
}

/// Whether mshttpd would take the same credential of this user from there. A password for one program may be for this one alone, and
/// a certificate is none of HTTP's.
fn jmap_admits(server: &Server, entry: &Entry, method: &str, peer: IpAddr) -> bool {
    let by_password = !matches!(method, "EXTERNAL" | "ANONYMOUS") && !entry.limited;
    let from_there =
        || server.clients.admits_user(entry.access_domains(), base::access::Service::Https, peer);
    by_password && entry.may_use(Service::Http) && from_there().is_ok()
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
    done.code = format!("CAPABILITY {}", capability::list(state, server, io));
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
fn hold_back(tag: &[u8], refusal: Refusal, delay: Duration) -> Outcome {
    let held_back = Box::new(HeldBack { tag: tag.into(), refusal });
    Outcome::Waiting(Doing::Refusing(held_back), Next::Pause(delay))
}
