//! AUTH: who the client is, proved (RFC 4954). Once in a connection (S190).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use connection::{Io, TlsState};
use directory::log_ins::{ANSWER_MAX, LATER_AFTER};
use directory::{
    Authentication, BadLogIn, Choice, Entry, GoodLogIn, LogIn, LogInPutOff, NoDeputy, Progress, Safety,
    Service, Verdict, authentication, log_line,
};
use server_log::{Action, Category};
use smtp_wire::Reply;

use crate::listening::service_of;
use crate::replies;
use crate::session::{Answer, Session};
use crate::state::State;

/// Failures after which the connection is closed.
const FAILURES_MAX: u32 = 5;
/// The pause after the first failure; it doubles with each.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// `AUTH` and the mechanisms that this client may use now; nothing when there are none.
pub fn keyword(session: &Session, io: &Io) -> Option<String> {
    if !session.settings.do_auth || session.user.is_some() {
        return None;
    }
    let offered = session.desk.log_ins.mechanisms().on(Service::Smtp, safety(session, io));
    let names: Vec<&str> = offered.map(sasl::Mechanism::name).collect();
    (!names.is_empty()).then(|| format!("AUTH {}", names.join(" ")))
}

/// A password may be said under TLS of enough bits, or on loopback.
fn safety(session: &Session, io: &Io) -> Safety {
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
    let encryption = || Answer::Say(Reply::new(538, (5, 7, 11), "Encryption is required first"));
    let safety = safety(session, io);
    let log_ins = &session.desk.log_ins;
    let mechanism = match log_ins.mechanisms().named(Service::Smtp, mechanism, safety) {
        Choice::Offered(mechanism) => mechanism,
        Choice::Unsafe => return encryption(),
        Choice::Unknown if !safety.encrypted && keyword(session, io).is_none() => return encryption(),
        Choice::Unknown => return Answer::Say(Reply::new(504, (5, 5, 4), "Mechanism not supported")),
    };
    session.mechanism = Some(mechanism.name());
    let (authentication, progress) = Authentication::begin(log_ins, Service::Smtp, mechanism, initial, io);
    session.state = State::Authenticating { client, authentication: Box::new(authentication) };
    proceed(session, progress, io)
}

/// The client's response to a challenge.
pub fn respond(session: &mut Session, line: &[u8], io: &mut Io) -> Answer {
    let State::Authenticating { authentication, .. } = &mut session.state else {
        return Answer::Say(replies::bad_sequence("No response was expected"));
    };
    let progress = authentication.respond(&session.desk.log_ins, line, io);
    proceed(session, progress, io)
}

/// The answer may be there; nothing when it is not.
pub fn look(session: &mut Session, io: &Io) -> Option<Answer> {
    let State::Checking { authentication, .. } = &mut session.state else { return None };
    let progress = authentication.look(&session.desk.log_ins, io)?;
    Some(proceed(session, progress, io))
}

/// The answer did not come.
pub fn give_up(session: &mut Session, io: &Io) -> Answer {
    let State::Checking { authentication, .. } = &session.state else {
        return Answer::Say(replies::bad_sequence("No response was expected"));
    };
    let verdict = authentication.give_up();
    proceed(session, Progress::Done(verdict), io)
}

/// In the state of an AUTH, which it leaves when that is over.
fn proceed(session: &mut Session, progress: Progress, io: &Io) -> Answer {
    let waits = matches!(progress, Progress::Wait);
    session.state = match std::mem::replace(&mut session.state, State::Closing) {
        State::Authenticating { client, authentication } | State::Checking { client, authentication } => {
            match progress {
                Progress::Challenge(_) => State::Authenticating { client, authentication },
                _ if waits => State::Checking { client, authentication },
                _ => State::Greeted { client },
            }
        }
        other => other,
    };
    match progress {
        Progress::Challenge(text) => Answer::Say(Reply::plain(334, text)),
        Progress::Wait => Answer::Wait(ANSWER_MAX),
        Progress::Cancelled => Answer::Say(Reply::new(501, (5, 7, 0), "Authentication cancelled")),
        Progress::Syntax => Answer::Say(Reply::new(501, (5, 5, 2), "Cannot decode the response")),
        Progress::Done(verdict) => concluded(session, verdict, io),
    }
}

fn concluded(session: &mut Session, verdict: Verdict, io: &Io) -> Answer {
    let Verdict { log_in, authzid, authcid, method, why } = verdict;
    let peer = io.peer.ip();
    match log_in {
        LogIn::Accepted(user) if authzid.is_empty() || user.is_named(&authzid) => {
            enter(session, user, None, method, io)
        }
        LogIn::Accepted(admin) => act_for(session, &admin, &authzid, method, io),
        LogIn::Refused | LogIn::NeedsAppPassword => {
            bad(session, &authcid, why, io);
            failed(session)
        }
        LogIn::Disallowed => {
            bad(session, &authcid, log_line::NOT_ALLOWED, io);
            Answer::Say(not_allowed())
        }
        LogIn::Unavailable(why) => {
            session.desk.log.error(Category::Account, format_args!("{why}"));
            Answer::Say(unavailable())
        }
        LogIn::Busy => {
            put_off(session, &authcid, log_line::TOO_MANY_WAIT, peer, io);
            let reply = Reply::new(454, (4, 3, 0), "Too many log-ins at the moment, try again later");
            Answer::Later { reply, after: LATER_AFTER, last: false }
        }
        LogIn::TooManyGuesses => {
            put_off(session, &authcid, log_line::TOO_MANY_WRONG, peer, io);
            session.failed_log_ins = session.failed_log_ins.saturating_add(1);
            let reply = Reply::new(454, (4, 7, 0), "Too many wrong passwords, try again later");
            Answer::Later { reply, after: LATER_AFTER, last: session.failed_log_ins >= FAILURES_MAX }
        }
    }
}

fn not_allowed() -> Reply {
    Reply::new(535, (5, 7, 1), "This account may not send mail here") // S109
}

fn unavailable() -> Reply {
    Reply::new(454, (4, 7, 0), "Cannot check passwords now, try again later")
}

fn bad(session: &Session, login: &str, why: &str, io: &Io) {
    let line = BadLogIn { peer: io.peer.ip(), login, why, session: io.number };
    line.tell(&session.desk.log);
}

fn put_off(session: &Session, login: &str, why: &str, peer: IpAddr, io: &Io) {
    let line = LogInPutOff(BadLogIn { peer, login, why, session: io.number });
    line.tell(&session.desk.log);
}

/// An administrator sends for a user (S129).
fn act_for(session: &mut Session, admin: &Entry, name: &str, method: &'static str, io: &Io) -> Answer {
    let by = admin.uid.as_deref().unwrap_or_default();
    let directory = session.desk.log_ins.authenticator().directory().clone();
    let found = session.settings.deputies.act_for(directory.as_ref(), Service::Smtp, by, name, io.peer.ip());
    match found {
        Ok(user) => enter(session, user, Some(by), method, io),
        Err(NoDeputy::NotPermitted(why)) => {
            bad(session, by, why, io);
            failed(session)
        }
        Err(NoDeputy::NoSuchUser) => {
            bad(session, by, log_line::NOBODY_TO_ACT_FOR, io);
            Answer::Say(Reply::new(535, (5, 7, 8), "There is no such user to act for"))
        }
        Err(NoDeputy::Disallowed) => {
            bad(session, by, log_line::NOT_ALLOWED, io);
            Answer::Say(not_allowed())
        }
        Err(NoDeputy::Unavailable(why)) => {
            session.desk.log.error(Category::Account, format_args!("{why}"));
            Answer::Say(unavailable())
        }
    }
}

fn enter(session: &mut Session, user: Arc<Entry>, by: Option<&str>, method: &'static str, io: &Io) -> Answer {
    let (peer, service) = (io.peer.ip(), service_of(io.role));
    let uid = user.uid.clone().unwrap_or_default();
    if let Err(no) = session.desk.clients.admits_user(user.access_domains(), service, peer) {
        bad(session, &uid, &no.to_string(), io);
        return Answer::Say(if no.for_now {
            Reply::new(454, (4, 7, 0), "The name of your address cannot be looked up now")
        } else {
            Reply::new(535, (5, 7, 1), "This account may not send mail from your address") // S136
        });
    }
    let encrypted = io.tls.is_active();
    let line = GoodLogIn { peer, uid: &uid, encrypted, session: io.number, method, by };
    line.tell(&session.desk.log);
    session.user = Some(user);
    tell_mail_server(session, by, io);
    Answer::Say(Reply::new(235, (2, 7, 0), "Authentication successful"))
}

/// Who is in is told in both logs if it is as a mail server: an attribute that nobody has, that cannot be read, or that a user has
/// deleted makes one of anybody.
pub(super) fn tell_mail_server(session: &Session, by: Option<&str>, io: &Io) {
    if session.user.is_none() || session.author().is_some() {
        return;
    }
    let uid = session.uid().unwrap_or_default();
    let (from, number) = (io.peer.ip().to_canonical().to_string(), io.number.to_string());
    session.desk.log.notice(
        Category::Account,
        format_args!(
            "login as a mail server: [{from}] {uid} may send as anybody (session {number}): no attribute of \
             service.smtp.negativehostattr is seen in the entry"
        ),
    );
    let mut fields = vec![("user", uid)];
    fields.extend(by.map(|by| ("by", by)));
    fields.extend([("from", from.as_str()), ("session", number.as_str())]);
    session.desk.log.audit(Action::MailServer, &fields);
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
