//! USER and PASS (RFC 1939 §7), and what every kind of log-in ends in.

use std::time::Duration;

use connection::{Io, TlsState};
use directory::log_ins::{ANSWER_MAX, LATER_AFTER};
use directory::{Answer, Asked, BadLogIn, Entry, GoodLogIn, LogIn, LogInPutOff, Service, log_line};
use message_store::StoreError;
use pop3_wire::answer;
use sasl::Secret;
use server_log::Category;

use crate::commands::refuse;
use crate::maildrop::Maildrop;
use crate::session::{Outcome, Session};
use crate::settings::service_of;
use crate::state::State;

/// Failures after which the connection is closed.
const FAILURES_MAX: u32 = 5;
/// The pause after the first failure; it doubles with each.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// Whether a password may be said on this connection: under TLS of enough bits, or on loopback.
pub fn is_safe(session: &Session, io: &Io) -> bool {
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

/// Every name is accepted: who exists is not told.
pub fn user(session: &mut Session, name: String, io: &mut Io) -> Outcome {
    if !is_safe(session, io) {
        return refuse("[AUTH] Encryption is required first", io);
    }
    match &mut session.state {
        State::Authorization { user } => {
            *user = Some(name);
            io.output.push(&answer::ok("Password?"));
            Outcome::Done
        }
        _ => refuse("You are logged in already", io),
    }
}

pub fn pass(session: &mut Session, password: String, io: &mut Io) -> Outcome {
    match &mut session.state {
        State::Authorization { user } => match user.take() {
            Some(user) => log_in(session, &user, Secret::new(password), io),
            None => refuse("Say USER first", io),
        },
        _ => refuse("You are logged in already", io),
    }
}

/// Has the password checked, then opens the maildrop.
pub fn log_in(session: &mut Session, user: &str, password: Secret, io: &mut Io) -> Outcome {
    let asked = Asked { service: Service::Pop, login: user.to_owned(), password, peer: io.peer.ip() };
    let waker = io.waker();
    match session.desk.log_ins.ask(asked, move || waker.wake()) {
        Answer::Now(log_in) => concluded(session, log_in, user, io),
        Answer::Later(pending) => {
            session.state = State::Checking { user: user.to_owned(), pending };
            Outcome::Wait(ANSWER_MAX)
        }
    }
}

/// The answer may be there; nothing when it is not.
pub fn look(session: &mut Session, io: &mut Io) -> Option<Outcome> {
    let State::Checking { pending, .. } = &session.state else { return None };
    let log_in = pending.take()?;
    Some(answered(session, log_in, io))
}

/// The answer did not come.
pub fn give_up(session: &mut Session, io: &mut Io) -> Outcome {
    answered(session, LogIn::Unavailable("no password could be checked in time".into()), io)
}

fn answered(session: &mut Session, log_in: LogIn, io: &mut Io) -> Outcome {
    let former = std::mem::replace(&mut session.state, State::Authorization { user: None });
    match former {
        State::Checking { user, .. } => concluded(session, log_in, &user, io),
        other => {
            session.state = other;
            Outcome::Done
        }
    }
}

fn concluded(session: &mut Session, log_in: LogIn, user: &str, io: &mut Io) -> Outcome {
    let log = session.desk.log.clone();
    let (peer, number) = (io.peer.ip(), io.number);
    let put_off = |why: &str| {
        let line = LogInPutOff(BadLogIn { peer, login: user, why, session: number });
        log.notice(Category::Account, format_args!("{line}"));
    };
    let bad = |why: &str| {
        let line = BadLogIn { peer, login: user, why, session: number };
        log.notice(Category::Account, format_args!("{line}"));
    };
    match log_in {
        LogIn::Accepted(entry) => {
            let service = service_of(io.role);
            match session.desk.clients.admits_user(entry.access_domains(), service, peer) {
                Ok(()) => open(session, &entry, io),
                Err(no) => {
                    bad(&no.to_string());
                    let text = if no.for_now {
                        "[SYS/TEMP] The name of your address cannot be looked up now"
                    } else {
                        "[AUTH] This account may not use POP from your address" // S136
                    };
                    refuse(text, io)
                }
            }
        }
        LogIn::Refused => {
            bad(log_line::WRONG);
            failed(session)
        }
        LogIn::Disallowed => {
            bad(log_line::NOT_ALLOWED);
            refuse("[AUTH] This account may not use POP", io) // S109
        }
        LogIn::Unavailable(why) => {
            log.error(Category::Account, format_args!("{why}"));
            refuse("[SYS/TEMP] Cannot check passwords now, try again later", io)
        }
        LogIn::Busy => {
            put_off(log_line::TOO_MANY_WAIT);
            let text = "[SYS/TEMP] Too many log-ins at the moment, try again later";
            Outcome::Later { text, after: LATER_AFTER, last: false }
        }
        LogIn::TooManyGuesses => {
            put_off(log_line::TOO_MANY_WRONG);
            session.failed_log_ins = session.failed_log_ins.saturating_add(1);
            Outcome::Later {
                text: "[SYS/TEMP] Too many wrong passwords, try again later",
                after: LATER_AFTER,
                last: session.failed_log_ins >= FAILURES_MAX,
            }
        }
    }
}

fn open(session: &mut Session, entry: &Entry, io: &mut Io) -> Outcome {
    let uid = entry.uid.clone().unwrap_or_default();
    let maildrop = match Maildrop::open(&session.desk.store, &uid, entry.partition.as_deref()) {
        Ok(maildrop) => maildrop,
        Err(StoreError::InUse) => return refuse("[IN-USE] The maildrop is in use by another session", io),
        Err(why) => {
            session.desk.log.error(Category::Store, format_args!("{uid}: {why}"));
            return refuse("[SYS/TEMP] The maildrop cannot be opened now", io);
        }
    };
    let (count, octets) = maildrop.totals();
    let encrypted = matches!(io.tls, TlsState::Active { .. });
    let line = GoodLogIn { peer: io.peer.ip(), uid: &uid, encrypted, session: io.number };
    session.desk.log.notice(Category::Account, format_args!("{line}, {count} messages"));
    io.set_user(&uid);
    session.state = State::Transaction { uid, maildrop: Box::new(maildrop) };
    io.output.push(&answer::ok(&format!("{count} messages ({octets} octets)")));
    Outcome::Done
}

/// A wrong password is answered late, without holding a thread; after a few the connection ends.
fn failed(session: &mut Session) -> Outcome {
    let after = PAUSE_FIRST.saturating_mul(1 << session.failed_log_ins.min(8)).min(PAUSE_MAX);
    session.failed_log_ins = session.failed_log_ins.saturating_add(1);
    Outcome::Later {
        text: "[AUTH] Wrong user name or password", // RFC 3206
        after,
        last: session.failed_log_ins >= FAILURES_MAX,
    }
}
