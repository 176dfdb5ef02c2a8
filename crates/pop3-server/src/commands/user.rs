//! USER and PASS (RFC 1939 §7), and what every kind of log-in ends in.

use std::time::{Duration, SystemTime};

use connection::{Io, TlsState};
use directory::log_ins::{ANSWER_MAX, LATER_AFTER};
use directory::{
    Authentication, BadLogIn, Entry, GoodLogIn, LogIn, LogInPutOff, NoDeputy, Progress, Safety, Service,
    Verdict, authentication, log_line,
};
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

/// A password may be said under TLS of enough bits, or on loopback.
pub fn safety(session: &Session, io: &Io) -> Safety {
    let bits = match io.tls {
        TlsState::Active { bits, .. } => Some(i64::from(bits)),
        _ => None,
    };
    let says_password = match session.settings.plaintext_min_cipher {
        None => bits.is_some() || io.peer.ip().to_canonical().is_loopback(),
        Some(0) => true,
        Some(least) => least > 0 && bits.is_some_and(|bits| bits >= least),
    };
    authentication::safety(io, says_password)
}

/// Every name is accepted: who exists is not told.
pub fn user(session: &mut Session, name: String, io: &mut Io) -> Outcome {
    if !safety(session, io).says_password {
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
            Some(user) => log_in(session, user, Secret::new(password), io),
            None => refuse("Say USER first", io),
        },
        _ => refuse("You are logged in already", io),
    }
}

/// Has the password checked, then opens the maildrop.
fn log_in(session: &mut Session, user: String, password: Secret, io: &mut Io) -> Outcome {
    let log_ins = &session.desk.log_ins;
    let (authentication, progress) =
        Authentication::by_password(log_ins, Service::Pop, "USER", user, password, io);
    proceed(session, Box::new(authentication), progress, io)
}

/// The answer may be there; nothing when it is not.
pub fn look(session: &mut Session, io: &mut Io) -> Option<Outcome> {
    let State::Checking { authentication } = &mut session.state else { return None };
    let progress = authentication.look(&session.desk.log_ins, io)?;
    Some(go_on(session, |_| progress, io))
}

/// The answer did not come.
pub fn give_up(session: &mut Session, io: &mut Io) -> Outcome {
    go_on(session, |authentication| Progress::Done(authentication.give_up()), io)
}

fn go_on(session: &mut Session, progress: impl FnOnce(&Authentication) -> Progress, io: &mut Io) -> Outcome {
    match std::mem::replace(&mut session.state, State::Authorization { user: None }) {
        State::Checking { authentication } => {
            let progress = progress(&authentication);
            proceed(session, authentication, progress, io)
        }
        other => {
            session.state = other;
            Outcome::Done
        }
    }
}

/// The next step of a log-in, by command or by AUTH.
pub fn proceed(
    session: &mut Session,
    authentication: Box<Authentication>,
    progress: Progress,
    io: &mut Io,
) -> Outcome {
    session.state = State::Authorization { user: None };
    match progress {
        Progress::Challenge(text) => {
            io.output.push(format!("+ {text}\r\n").as_bytes());
            session.state = State::Authenticating { authentication };
            Outcome::Done
        }
        Progress::Wait => {
            session.state = State::Checking { authentication };
            Outcome::Wait(ANSWER_MAX)
        }
        Progress::Cancelled => refuse("Authentication cancelled", io),
        Progress::Syntax => refuse("Cannot decode the response", io),
        Progress::Done(verdict) => concluded(session, verdict, io),
    }
}

fn concluded(session: &mut Session, verdict: Verdict, io: &mut Io) -> Outcome {
    let Verdict { log_in, authzid, authcid, method, why } = verdict;
    match log_in {
        LogIn::Accepted(user) if authzid.is_empty() || user.is_named(&authzid) => {
            enter(session, &user, None, method, io)
        }
        LogIn::Accepted(admin) => act_for(session, &admin, &authzid, method, io),
        LogIn::Refused | LogIn::NeedsAppPassword => {
            bad(session, &authcid, why, io);
            failed(session)
        }
        LogIn::Disallowed => not_allowed(session, &authcid, io),
        LogIn::Unavailable(why) => unavailable(session, &why, io),
        LogIn::Busy => {
            put_off(session, &authcid, log_line::TOO_MANY_WAIT, io);
            let text = "[SYS/TEMP] Too many log-ins at the moment, try again later";
            Outcome::Later { text, after: LATER_AFTER, last: false }
        }
        LogIn::TooManyGuesses => {
            put_off(session, &authcid, log_line::TOO_MANY_WRONG, io);
            session.failed_log_ins = session.failed_log_ins.saturating_add(1);
            Outcome::Later {
                text: "[SYS/TEMP] Too many wrong passwords, try again later",
                after: LATER_AFTER,
                last: session.failed_log_ins >= FAILURES_MAX,
            }
        }
    }
}

fn bad(session: &Session, login: &str, why: &str, io: &Io) {
    let line = BadLogIn { peer: io.peer.ip(), login, why, session: io.number };
    line.tell(&session.desk.log);
}

fn put_off(session: &Session, login: &str, why: &str, io: &Io) {
    let line = LogInPutOff(BadLogIn { peer: io.peer.ip(), login, why, session: io.number });
    line.tell(&session.desk.log);
}

fn not_allowed(session: &Session, login: &str, io: &mut Io) -> Outcome {
    bad(session, login, log_line::NOT_ALLOWED, io);
    refuse("[AUTH] This account may not use POP", io) // S109
}

fn unavailable(session: &Session, why: &str, io: &mut Io) -> Outcome {
    session.desk.log.error(Category::Account, format_args!("{why}"));
    refuse("[SYS/TEMP] Cannot check passwords now, try again later", io)
}

/// An administrator opens a user's maildrop (S129).
fn act_for(session: &mut Session, admin: &Entry, name: &str, method: &'static str, io: &mut Io) -> Outcome {
    let by = admin.uid.as_deref().unwrap_or_default();
    let directory = session.desk.log_ins.authenticator().directory().clone();
    match session.settings.deputies.act_for(directory.as_ref(), Service::Pop, by, name, io.peer.ip()) {
        Ok(user) => enter(session, &user, Some(by), method, io),
        Err(NoDeputy::NotPermitted(why)) => {
            bad(session, by, why, io);
            failed(session)
        }
        Err(NoDeputy::NoSuchUser) => {
            bad(session, by, log_line::NOBODY_TO_ACT_FOR, io);
            refuse("[AUTH] There is no such user to act for", io)
        }
        Err(NoDeputy::Disallowed) => not_allowed(session, by, io),
        Err(NoDeputy::Unavailable(why)) => unavailable(session, &why, io),
    }
}

fn enter(
    session: &mut Session,
    user: &Entry,
    by: Option<&str>,
    method: &'static str,
    io: &mut Io,
) -> Outcome {
    let service = service_of(io.role);
    match session.desk.clients.admits_user(user.access_domains(), service, io.peer.ip()) {
        Ok(()) => open(session, user, by, method, io),
        Err(no) => {
            bad(session, user.uid.as_deref().unwrap_or_default(), &no.to_string(), io);
            let text = if no.for_now {
                "[SYS/TEMP] The name of your address cannot be looked up now"
            } else {
                "[AUTH] This account may not use POP from your address" // S136
            };
            refuse(text, io)
        }
    }
}

fn open(
    session: &mut Session,
    entry: &Entry,
    by: Option<&str>,
    method: &'static str,
    io: &mut Io,
) -> Outcome {
    let uid = entry.uid.clone().unwrap_or_default();
    let opened = Maildrop::open(&session.desk.store, &uid, entry.partition.as_deref(), entry.anybody);
    let maildrop = match opened {
        Ok(maildrop) => maildrop,
        Err(StoreError::InUse) => return refuse("[IN-USE] The maildrop is in use by another session", io),
        Err(why) => {
            session.desk.log.error(Category::Store, format_args!("{uid}: {why}"));
            return refuse("[SYS/TEMP] The maildrop cannot be opened now", io);
        }
    };
    // Who acts for others neither waits nor makes them wait; and anybody would make the account's owner wait.
    let least = if by.is_none() && !entry.anybody { session.settings.min_poll } else { Duration::ZERO };
    match maildrop.is_too_soon(least, SystemTime::now()) {
        Ok(false) => {}
        Ok(true) => {
            let (least, peer) = (least.as_secs(), io.peer.ip().to_canonical());
            session.desk.log.notice(
                Category::Account,
                format_args!("{uid} from {peer}: less than {least} seconds after the last log-in"),
            );
            let text = format!("[LOGIN-DELAY] Log in every {least} seconds at most"); // RFC 2449 §8.1.1
            return refuse(&text, io);
        }
        // The limit protects the server: what cannot be written down keeps no mail from its owner.
        Err(why) => session.desk.log.warning(Category::Store, format_args!("{uid}: {why}")),
    }
    let (count, octets) = maildrop.totals();
    let encrypted = io.tls.is_active();
    let line = GoodLogIn { peer: io.peer.ip(), uid: &uid, encrypted, session: io.number, method, by };
    session.desk.log.notice(Category::Account, format_args!("{line}, {count} messages"));
    line.audit(&session.desk.log);
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
