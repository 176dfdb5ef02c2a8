//! POP (RFC 1939): AUTH PLAIN (RFC 5034) with an authorization identity.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::authenticator::{Authenticator, Security, wipe};
use crate::connection::Connection;
use crate::error::{Error, Result, Status};
use crate::wire::Wire;

pub fn log_in(server: &Authenticator, port: u16, security: Security, user: &str) -> Result<Connection> {
    let mut wire = Wire::connect(server, port, security)?;
    let greeting = wire.line()?;
    if !greeting.starts_with("+OK") {
        return Err(Error::new(Status::Unavailable, &greeting));
    }
    if security == Security::StartTls {
        wire.say("STLS".into())?; // RFC 2595 §4
        let line = wire.line()?;
        if !line.starts_with("+OK") {
            return Err(Error::new(Status::Tls, &line));
        }
        wire.start_tls(server)?;
    }
    wire.say("AUTH PLAIN".into())?;
    let line = wire.line()?;
    if !line.starts_with('+') || line.starts_with("+OK") {
        return Err(refusal(&line));
    }
    let mut message = format!("{user}\0{}\0{}", server.administrator, server.password.reveal()).into_bytes();
    let response = STANDARD.encode(&message);
    wipe(&mut message);
    wire.say(response)?;
    let line = wire.line()?;
    if !line.starts_with("+OK") {
        return Err(refusal(&line));
    }
    Ok(Connection { wire, timeout: server.timeout })
}

/// By the response code (RFC 2449 §8, RFC 3206).
fn refusal(line: &str) -> Error {
    let code = line.split_once('[').and_then(|(_, rest)| rest.split(']').next()).unwrap_or_default();
    let status = match code.to_ascii_uppercase().as_str() {
        "SYS/TEMP" | "IN-USE" | "LOGIN-DELAY" | "SYS/PERM" => Status::Unavailable,
        _ => Status::Refused,
    };
    Error::new(status, line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        assert_eq!(refusal("-ERR [AUTH] no").status, Status::Refused);
        assert_eq!(refusal("-ERR no").status, Status::Refused);
        assert_eq!(refusal("-ERR [SYS/TEMP] later").status, Status::Unavailable);
        assert_eq!(refusal("-ERR [IN-USE] locked").status, Status::Unavailable);
    }
}
