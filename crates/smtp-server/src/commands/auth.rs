//! AUTH: who the client is, proved (RFC 4954). Once in a connection (S190).

use std::time::Duration;

use connection::{Io, TlsState};
use directory::log_ins::{ANSWER_MAX, LATER_AFTER};
use directory::{Asked, BadLogIn, GoodLogIn, LogIn, LogInPutOff, Service, log_line};
use sasl::{Exchange, Mechanism, Step};
use server_log::Category;
use smtp_wire::Reply;

use crate::listening::service_of;
use crate::replies;
use crate::session::{Answer, Session};
use crate::state::{Checking, State};

/// Failures after which the connection is closed.
const FAILURES_MAX: u32 = 5;
/// The pause after the first failure; it doubles with each.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// Whether a password may be said on this connection: under TLS of enough bits, or on loopback.
pub fn is_offered(session: &Session, io: &Io) -> bool {
    session.settings.do_auth && session.user.is_none() && is_safe(session, io)
}

fn is_safe(session: &Session, io: &Io) -> bool {
    let bits = match io.tls {
        TlsState::Active { bits, .. } => Some(i64::from(bits)),
        _ => None,
    };
    match session.settings.plaintext_min_cipher {
        None => bits.is_some() || io.peer.ip().to_canonical().is_loopback(),
        Some(0) => true,
        Some(least) => least > 0 && bits.is_some_and(|bits| bits >= least),
    }
}

pub fn begin(session: &mut Session, mechanism: &str, initial: Option<&[u8]>, io: &Io) -> Answer {
    if !session.settings.do_auth {
        return Answer::Say(replies::not_implemented());
    }
    if session.user.is_some() {
        return Answer::Say(replies::bad_sequence("You are logged in already")); // RFC 4954 §4
    }
    let client = match &session.state {
        State::Greeted { client } if client.extended => client.clone(),
        State::InTransaction { .. } => return Answer::Say(replies::bad_sequence("A transaction is open")),
        _ => return Answer::Say(replies::bad_sequence("Say EHLO first")),
    };
    if !is_safe(session, io) {
        return Answer::Say(Reply::new(538, (5, 7, 11), "Encryption is required first"));
    }
    let Some(mechanism) = Mechanism::named(mechanism) else {
        return Answer::Say(Reply::new(504, (5, 5, 4), "Mechanism not supported"));
    };
    session.mechanism = Some(mechanism.name());
    let (exchange, step) = Exchange::start(mechanism, initial);
    session.state = State::Authenticating { client, exchange };
    proceed(session, step, io)
}

/// The client's response to a challenge.
pub fn respond(session: &mut Session, line: &[u8], io: &mut Io) -> Answer {
    let State::Authenticating { exchange, .. } = &mut session.state else {
        return Answer::Say(replies::bad_sequence("No response was expected"));
    };
    let step = exchange.respond(line);
    proceed(session, step, io)
}

fn proceed(session: &mut Session, step: Step, io: &Io) -> Answer {
    let (authzid, authcid, password) = match step {
        Step::Challenge(text) => return Answer::Say(Reply::plain(334, text)),
        Step::Cancelled => {
            session.state.reset();
            return Answer::Say(Reply::new(501, (5, 7, 0), "Authentication cancelled"));
        }
        Step::Syntax => {
            session.state.reset();
            return Answer::Say(Reply::new(501, (5, 5, 2), "Cannot decode the response"));
        }
        Step::Credentials { authzid, authcid, password } => (authzid, authcid, password),
    };
    let asked = Asked { service: Service::Smtp, login: authcid.clone(), password, peer: io.peer.ip() };
    let waker = io.waker();
    match session.desk.log_ins.ask(asked, move || waker.wake()) {
        directory::Answer::Now(log_in) => {
            session.state.reset();
            concluded(session, log_in, &authzid, &authcid, io)
        }
        directory::Answer::Later(pending) => match session.state.client().cloned() {
            Some(client) => {
                let checking = Box::new(Checking { authzid, authcid, pending });
                session.state = State::Checking { client, checking };
                Answer::Wait(ANSWER_MAX)
            }
            None => Answer::Say(replies::bad_sequence("Say EHLO first")),
        },
    }
}

/// The answer may be there; nothing when it is not.
pub fn look(session: &mut Session, io: &Io) -> Option<Answer> {
    let State::Checking { checking, .. } = &session.state else { return None };
    let log_in = checking.pending.take()?;
    Some(answered(session, log_in, io))
}

/// The answer did not come.
pub fn give_up(session: &mut Session, io: &Io) -> Answer {
    answered(session, LogIn::Unavailable("no password could be checked in time".into()), io)
}

fn answered(session: &mut Session, log_in: LogIn, io: &Io) -> Answer {
    let names = match &mut session.state {
        State::Checking { checking, .. } => {
            (std::mem::take(&mut checking.authzid), std::mem::take(&mut checking.authcid))
        }
        _ => return Answer::Say(replies::bad_sequence("No response was expected")),
    };
    session.state.reset();
    concluded(session, log_in, &names.0, &names.1, io)
}

fn concluded(session: &mut Session, log_in: LogIn, authzid: &str, authcid: &str, io: &Io) -> Answer {
    let (peer, encrypted) = (io.peer.ip(), matches!(io.tls, TlsState::Active { .. }));
    let log = session.desk.log.clone();
    let put_off = |why: &str| {
        let line = LogInPutOff(BadLogIn { peer, login: authcid, why, session: io.number });
        log.notice(Category::Account, format_args!("{line}"));
    };
    let bad = |why: &str| {
        let line = BadLogIn { peer, login: authcid, why, session: io.number };
        log.notice(Category::Account, format_args!("{line}"));
    };
    match log_in {
        // Nobody acts for somebody else here.
        LogIn::Accepted(user) if authzid.is_empty() || same(&user, authzid) => {
            let service = service_of(io.role);
            if let Err(no) = session.desk.clients.admits_user(user.access_domains(), service, peer) {
                bad(&no.to_string());
                return Answer::Say(if no.for_now {
                    Reply::new(454, (4, 7, 0), "The name of your address cannot be looked up now")
                } else {
                    Reply::new(535, (5, 7, 1), "This account may not send mail from your address") // S136
                });
            }
            let uid = user.uid.as_deref().unwrap_or(authcid);
            let line = GoodLogIn { peer, uid, encrypted, session: io.number };
            log.information(Category::Account, format_args!("{line}"));
            session.user = Some(user);
            Answer::Say(Reply::new(235, (2, 7, 0), "Authentication successful"))
        }
        LogIn::Accepted(_) | LogIn::Refused => {
            bad(log_line::WRONG);
            failed(session)
        }
        LogIn::Disallowed => {
            bad(log_line::NOT_ALLOWED);
            Answer::Say(Reply::new(535, (5, 7, 1), "This account may not send mail here")) // S109
        }
        LogIn::Unavailable(why) => {
            log.error(Category::Account, format_args!("{why}"));
            Answer::Say(Reply::new(454, (4, 7, 0), "Cannot check passwords now, try again later"))
        }
        LogIn::Busy => {
            put_off(log_line::TOO_MANY_WAIT);
            let reply = Reply::new(454, (4, 3, 0), "Too many log-ins at the moment, try again later");
            Answer::Later { reply, after: LATER_AFTER, last: false }
        }
        LogIn::TooManyGuesses => {
            put_off(log_line::TOO_MANY_WRONG);
            session.failed_log_ins = session.failed_log_ins.saturating_add(1);
            let reply = Reply::new(454, (4, 7, 0), "Too many wrong passwords, try again later");
            Answer::Later { reply, after: LATER_AFTER, last: session.failed_log_ins >= FAILURES_MAX }
        }
    }
}

fn same(user: &directory::Entry, name: &str) -> bool {
    user.uid.as_deref().is_some_and(|uid| uid.eq_ignore_ascii_case(name)) || user.has_address(name)
}

/// A wrong password is answered late, without holding a thread; after a few the connection ends.
fn failed(session: &mut Session) -> Answer {
    let after = PAUSE_FIRST.saturating_mul(1 << session.failed_log_ins.min(8)).min(PAUSE_MAX);
    session.failed_log_ins = session.failed_log_ins.saturating_add(1);
    if session.failed_log_ins >= FAILURES_MAX {
        let text = format!("{} Too many wrong passwords", session.settings.host_name);
        return Answer::Later { reply: Reply::new(421, (4, 7, 0), text), after, last: true };
    }
    let reply = Reply::new(535, (5, 7, 8), "Wrong user name or password");
    Answer::Later { reply, after, last: false }
}
