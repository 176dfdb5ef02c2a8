//! XCLIENT: a trusted host says whose connection this really is (Postfix, `XCLIENT_README`). The session begins anew, with
//! a greeting, as that client's: every rule, limit of the session and log line is about it.

use std::net::{IpAddr, Ipv4Addr};

use connection::Io;
use directory::{Found, by_login};
use server_log::Category;
use smtp_wire::Reply;
use smtp_wire::xclient::{self, XClient};

use crate::replies;
use crate::session::{Answer, Session};
use crate::state::{Client, State};

/// How the log-in of such a client is called.
const MECHANISM: &str = "XCLIENT";

pub fn run(session: &mut Session, attributes: &[u8], io: &mut Io) -> Answer {
    if !session.is_xclient_host {
        return Answer::Say(Reply::new(550, (5, 7, 0), "Not for you"));
    }
    if matches!(session.state, State::InTransaction { .. }) {
        return Answer::Say(replies::bad_sequence("A transaction is open"));
    }
    let Some(said) = xclient::parse(attributes) else {
        return Answer::Say(Reply::new(501, (5, 5, 4), "Syntax: XCLIENT attribute=value, values in xtext"));
    };
    let user = match said.login.as_ref().map(|login| find(session, login.as_deref())) {
        Some(Err(refusal)) => return Answer::Say(refusal),
        Some(Ok(user)) => user,
        None => None, // the session begins anew: who logged in before is somebody else
    };
    let host = io.peer.ip().to_canonical();
    take_over(session, &said, io);
    session.mechanism = user.as_ref().map(|_| MECHANISM);
    session.user = user;
    super::auth::tell_mail_server(session, None, io);
    session.desk.log.information(
        Category::Protocol,
        format_args!("session {}: [{host}] speaks for [{}]", io.number, io.peer.ip().to_canonical()),
    );
    Answer::Greet
}

/// The user of a log-in.
fn find(session: &Session, login: Option<&str>) -> Result<Option<std::sync::Arc<directory::Entry>>, Reply> {
    let Some(login) = login else { return Ok(None) };
    match by_login(session.desk.log_ins.authenticator().directory().as_ref(), login) {
        Ok(Found::One(entry)) => Ok(Some(entry)),
        Ok(Found::Nobody | Found::Several(_)) => Err(Reply::new(501, (5, 5, 4), "There is no such LOGIN")),
        Err(_) => Err(replies::directory_down()),
    }
}

fn take_over(session: &mut Session, said: &XClient, io: &mut Io) {
    let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    if let Some(address) = said.address {
        io.peer.set_ip(address.unwrap_or(nowhere));
        io.peer.set_port(0);
        session.known_name = None;
    }
    if let Some(port) = said.port {
        io.peer.set_port(port.unwrap_or(0));
    }
    if let Some(name) = &said.name {
        session.known_name = Some(Box::new(name.clone()));
    }
    if let Some(address) = said.destination {
        io.local.set_ip(address.unwrap_or(nowhere));
    }
    if let Some(port) = said.destination_port {
        io.local.set_port(port.unwrap_or(0));
    }
    session.is_now_from(io.peer.ip());
    session.state = match &said.helo {
        Some(Some(name)) => {
            let extended = said.extended.unwrap_or(true);
            State::Greeted { client: Client { name: name.clone(), extended } }
        }
        _ => State::Connected,
    };
}
