//! HELO and EHLO: who the client is, and what is offered (RFC 5321 §4.1.1.1).

use connection::{Io, TlsState};
use smtp_wire::Reply;

use crate::commands::auth;
use crate::replies;
use crate::session::Session;
use crate::state::{Client, State};

/// The greatest number that LIMITS can tell.
const LIMIT_MAX: u64 = 999_999;

pub fn helo(session: &mut Session, name: String) -> Reply {
    session.state = State::Greeted { client: Client { name, extended: false } };
    Reply::plain(250, session.settings.host_name.clone())
}

/// Also ends a transaction (RFC 5321 §4.1.4).
pub fn ehlo(session: &mut Session, name: String, io: &Io) -> Reply {
    let lmtp = session.is_lmtp(io);
    if !session.settings.allow_ehlo && !lmtp {
        return replies::not_implemented();
    }
    session.state = State::Greeted { client: Client { name, extended: true } };
    let settings = &session.settings;
    let mut reply = Reply::plain(250, settings.host_name.clone())
        .line("PIPELINING")
        .line("8BITMIME")
        .line("ENHANCEDSTATUSCODES");
    if let Some(size) = settings.message_size_max {
        reply = reply.line(format!("SIZE {size}"));
    }
    if settings.allow_chunking {
        reply = reply.line("CHUNKING").line("BINARYMIME");
    }
    if settings.allow_smtputf8 {
        reply = reply.line("SMTPUTF8"); // RFC 6531 §3.1; 8BITMIME stands above
    }
    if session.offers_future_release(io) {
        // RFC 4865 §3: the longest interval, and the latest time.
        let seconds = settings.future_release_max.as_secs();
        let latest = base::clock::unix_seconds().saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
        reply = reply.line(format!("FUTURERELEASE {seconds} {}", utc(latest)));
    }
    if settings.do_dsn && !lmtp {
        reply = reply.line("DSN");
    }
    if settings.allow_etrn && !lmtp {
        reply = reply.line("ETRN");
    }
    if let Some(limits) = limits(session) {
        reply = reply.line(limits);
    }
    if io.tls.is_active() {
        reply = reply.line("REQUIRETLS"); // RFC 8689 §2: under TLS only
    }
    if io.tls == TlsState::Available {
        reply = reply.line("STARTTLS");
    }
    if let Some(keyword) = auth::keyword(session, io).filter(|_| !lmtp) {
        reply = reply.line(keyword);
    }
    if session.is_xclient_host {
        reply = reply.line(smtp_wire::xclient::KEYWORD);
    }
    if session.settings.allow_help {
        reply = reply.line("HELP");
    }
    reply
}

/// `date-time` of RFC 3339 §5.6 in UTC.
pub fn utc(second: i64) -> String {
    let time = jiff::Timestamp::from_second(second).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 9422 §3: what a client may send here; it has at most six digits.
fn limits(session: &Session) -> Option<String> {
    let recipients = u64::try_from(session.settings.recipients_max).unwrap_or(u64::MAX);
    let named = [("MAILMAX", u64::from(session.messages_max())), ("RCPTMAX", recipients)];
    let said: String = named
        .iter()
        .filter(|(_, limit)| (1..=LIMIT_MAX).contains(limit))
        .map(|(name, limit)| format!(" {name}={limit}"))
        .collect();
    (!said.is_empty()).then(|| format!("LIMITS{said}"))
}
