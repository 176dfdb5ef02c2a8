//! IMAP (RFC 3501): AUTHENTICATE PLAIN with an authorization identity, or LOGIN and PROXYAUTH.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::authenticator::{Authenticator, Security, wipe};
use crate::connection::Connection;
use crate::error::{Error, Result, Status};
use crate::wire::Wire;

/// Untagged lines before an answer, at most.
const LINES_MAX: usize = 1000;

pub fn log_in(server: &Authenticator, port: u16, security: Security, user: &str) -> Result<Connection> {
    let mut wire = Wire::connect(server, port, security)?;
    let greeting = wire.line()?;
    if !greeting.to_ascii_uppercase().starts_with("* OK") {
        return Err(Error::new(Status::Unavailable, &greeting)); // BYE; PREAUTH is somebody else already
    }
    if security == Security::StartTls {
        ask(&mut wire, "s", "STARTTLS".into()).map_err(|why| as_tls(&why))?;
        wire.start_tls(server)?;
    }
    let offered = capabilities(&mut wire)?;
    let can = |name: &str| offered.iter().any(|one| one == name);
    if can("AUTH=PLAIN") {
        plain(&mut wire, server, user, can("SASL-IR"))?;
    } else if !can("LOGINDISABLED") {
        let login = format!("LOGIN {} {}", quoted(&server.administrator)?, quoted(server.password.reveal())?);
        ask(&mut wire, "l", login)?;
        ask(&mut wire, "p", format!("PROXYAUTH {}", quoted(user)?))?;
    } else {
        return Err(Error::new(Status::Tls, "the server wants it before a log-in"));
    }
    Ok(Connection { wire, timeout: server.timeout })
}

fn as_tls(why: &Error) -> Error {
    match why.status {
        Status::Closed | Status::TimedOut => why.clone(),
        _ => Error::new(Status::Tls, &why.to_string()),
    }
}

fn capabilities(wire: &mut Wire) -> Result<Vec<String>> {
    wire.say("c CAPABILITY".into())?;
    let mut found = Vec::new();
    for _ in 0..LINES_MAX {
        let line = wire.line()?.to_ascii_uppercase();
        if let Some(words) = line.strip_prefix("* CAPABILITY ") {
            found = words.split(' ').map(str::to_owned).collect();
        } else if line.starts_with("C ") {
            return Ok(found);
        }
    }
    Err(Error::protocol("capabilities without end"))
}

/// RFC 4616; its initial response on the command's line where that may be (RFC 4959).
fn plain(wire: &mut Wire, server: &Authenticator, user: &str, at_once: bool) -> Result<()> {
    let mut message = format!("{user}\0{}\0{}", server.administrator, server.password.reveal()).into_bytes();
    let response = STANDARD.encode(&message);
    wipe(&mut message);
    if at_once {
        return ask(wire, "a", format!("AUTHENTICATE PLAIN {response}"));
    }
    wire.say("a AUTHENTICATE PLAIN".into())?;
    let line = wire.line()?;
    if !line.starts_with('+') {
        return Err(refusal(&line));
    }
    wire.say(response)?;
    answer(wire, "a")
}

fn ask(wire: &mut Wire, tag: &str, command: String) -> Result<()> {
    let mut line = format!("{tag} ");
    line.push_str(&command);
    wipe(&mut command.into_bytes());
    wire.say(line)?;
    answer(wire, tag)
}

fn answer(wire: &mut Wire, tag: &str) -> Result<()> {
    for _ in 0..LINES_MAX {
        let line = wire.line()?;
        if let Some(rest) = line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
            return if rest.to_ascii_uppercase().starts_with("OK") { Ok(()) } else { Err(refusal(rest)) };
        }
        if line.to_ascii_uppercase().starts_with("* BYE") {
            return Err(Error::new(Status::Closed, &line));
        }
        if line.starts_with('+') {
            return Err(Error::protocol("the server wants more than there is"));
        }
    }
    Err(Error::protocol("lines without end"))
}

/// By the response code (RFC 5530).
fn refusal(text: &str) -> Error {
    let code = text.split_once('[').and_then(|(_, rest)| rest.split([']', ' ']).next()).unwrap_or_default();
    let status = match code.to_ascii_uppercase().as_str() {
        "NOPERM" | "AUTHORIZATIONFAILED" => Status::NotPermitted,
        "CANNOT" | "NONEXISTENT" => Status::NoSuchUser,
        "CONTACTADMIN" => Status::NotAllowed,
        "UNAVAILABLE" | "INUSE" | "LIMIT" | "SERVERBUG" => Status::Unavailable,
        "PRIVACYREQUIRED" => Status::Tls,
        _ => Status::Refused,
    };
    Error::new(status, text)
}

/// A quoted string: what needs a literal cannot be said by LOGIN here.
fn quoted(text: &str) -> Result<String> {
    if !text.is_ascii() {
        return Err(Error::argument("the server offers no way to say this name or password"));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_apart_by_their_codes() {
        for (text, status) in [
            ("NO [AUTHENTICATIONFAILED] no", Status::Refused),
            ("NO [NOPERM] no", Status::NotPermitted),
            ("NO [CANNOT] No such user", Status::NoSuchUser),
            ("NO [CONTACTADMIN] no", Status::NotAllowed),
            ("NO [UNAVAILABLE] later", Status::Unavailable),
            ("NO [PRIVACYREQUIRED] TLS", Status::Tls),
            ("BAD what", Status::Refused),
        ] {
            assert_eq!(refusal(text).status, status, "{text}");
        }
        assert_eq!(quoted("a\"b\\c").unwrap(), "\"a\\\"b\\\\c\"");
        assert!(quoted("\u{e9}").is_err());
    }
}
