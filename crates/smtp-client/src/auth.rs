//! Telling a peer who we are (RFC 4954): PLAIN (RFC 4616), or LOGIN where there is nothing else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::wire::Broken;
use crate::{Credentials, Kind, Refused, Reply, Session};

/// Logs in. The password leaves this machine only under TLS.
pub(crate) fn log_in(session: &mut Session, who: &Credentials, is_loopback: bool) -> Result<(), Refused> {
    let refused = |text: String| Refused::new(Kind::Auth, text);
    if !session.is_tls() && !is_loopback {
        let text = format!("{}: the password would go in the clear, and is not sent", session.peer);
        return Err(refused(text));
    }
    let outcome = if session.offers.auth_plain {
        plain(session, who)
    } else if session.offers.auth_login {
        login(session, who)
    } else {
        return Err(refused(format!("{} offers neither AUTH PLAIN nor AUTH LOGIN", session.peer)));
    };
    let reply = outcome.map_err(|broken| session.broken(&broken))?;
    if reply.is_positive() {
        return Ok(());
    }
    if session.refusal(&reply).is_none() {
        return Err(session.broken(&Broken::Unexpected("AUTH", reply)));
    }
    Err(refused(format!("{} said at AUTH: {reply}", session.peer)))
}

fn plain(session: &mut Session, who: &Credentials) -> Result<Reply, Broken> {
    let initial = STANDARD.encode(format!("\0{}\0{}", who.user, who.password));
    session.ask(&format!("AUTH PLAIN {initial}"), "AUTH", session.timeouts.helo)
}

/// The user's name and the password, each when it is asked for; what the peer asks in is not read.
fn login(session: &mut Session, who: &Credentials) -> Result<Reply, Broken> {
    let limit = session.timeouts.helo;
    let mut reply = session.ask("AUTH LOGIN", "AUTH", limit)?;
    for answer in [&who.user, &who.password] {
        if !reply.is_intermediate() {
            break;
        }
        reply = session.ask(&STANDARD.encode(answer), "AUTH", limit)?;
    }
    Ok(reply)
}
