//! The web mail: `POST /auth/proxy` gives an address that signs a browser in, once.

use std::io::Read;

use serde_json::Value;

use crate::authenticator::{Authenticator, Security, wipe};
use crate::error::{Error, Result, Status};
use crate::wire::Wire;

/// Lines of a head, and bytes of a body.
const FIELDS_MAX: usize = 100;
const BODY_BYTES_MAX: usize = 64 * 1024;
const TICKET_PATH: &str = "/auth/ticket/";

/// What a browser is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// Whoever has it is the user, once: it goes to the user's browser (303, `Location`), and into no log.
    pub address: String,
    /// For so long, if nobody used it.
    pub seconds: u32,
}

pub fn sign_in(server: &Authenticator, port: u16, security: Security, user: &str) -> Result<SignIn> {
    if security == Security::StartTls {
        return Err(Error::argument("there is no STARTTLS in HTTP"));
    }
    let mut wire = Wire::connect(server, port, security)?;
    let mut password = quoted(server.password.reveal());
    let body = format!(
        "{{\"user\":{},\"password\":{password},\"for\":{}}}",
        quoted(&server.administrator),
        quoted(user)
    );
    wipe(&mut std::mem::take(&mut password).into_bytes());
    let authority = authority(&server.host, port);
    let mut request = format!(
        "POST /auth/proxy HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\nUser-Agent: mailboat-auth\r\n\r\n",
        body.len()
    );
    request.push_str(&body);
    wipe(&mut body.into_bytes());
    let mut bytes = request.into_bytes();
    let sent = std::io::Write::write_all(&mut wire, &bytes);
    wipe(&mut bytes);
    sent?;
    let (status, body) = response(&mut wire)?;
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    if status != 200 {
        return Err(refusal(status, &value));
    }
    let scheme = if security == Security::Tls { "https" } else { "http" };
    let base = server.public_address.clone().unwrap_or_else(|| format!("{scheme}://{authority}"));
    understood(&value, &base).ok_or_else(|| Error::protocol("no address of a sign-in"))
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// As a URL has it: an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == 443 { host } else { format!("{host}:{port}") }
}

/// Nothing when it is not as it should be: a browser must not be sent anywhere else.
fn understood(value: &Value, base: &str) -> Option<SignIn> {
    let path = value.get("path")?.as_str()?;
    let word = path.strip_prefix(TICKET_PATH)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let seconds = u32::try_from(value.get("seconds")?.as_u64()?).ok()?;
    (!word.is_empty() && word.bytes().all(plain))
        .then(|| SignIn { address: format!("{base}{path}"), seconds })
}

/// Status and body.
fn response(wire: &mut Wire) -> Result<(u16, Vec<u8>)> {
    let line = wire.line()?;
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let status = status.ok_or_else(|| Error::protocol("no HTTP"))?;
    let mut length = None;
    for _ in 0..FIELDS_MAX {
        let field = wire.line()?;
        if field.is_empty() {
            let length: usize = length.ok_or_else(|| Error::protocol("a body of no length"))?;
            if length > BODY_BYTES_MAX {
                return Err(Error::protocol("too long a body"));
            }
            let mut body = vec![0; length];
            wire.read_exact(&mut body)?;
            return Ok((status, body));
        }
        if let Some((name, value)) = field.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            }
        }
    }
    Err(Error::protocol("fields without end"))
}

fn refusal(status: u16, problem: &Value) -> Error {
    let word = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = match (status, word("type")) {
        (401, _) => Status::Refused,
        (403, "not-permitted") => Status::NotPermitted,
        (403, "encryption") => Status::Tls,
        (403, _) => Status::NotAllowed,
        (404, "no-such-user") => Status::NoSuchUser,
        (429 | 500..=599, _) => Status::Unavailable,
        _ => Status::Protocol,
    };
    Error::new(kind, &format!("{status} {}", word("detail")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_browser_is_sent_to_the_server_or_nowhere() {
        let of = |path: &str| understood(&json!({ "path": path, "seconds": 60 }), "https://mail.test");
        assert_eq!(
            of("/auth/ticket/ab-_9"),
            Some(SignIn { address: "https://mail.test/auth/ticket/ab-_9".into(), seconds: 60 })
        );
        for wrong in [
            "",
            "/",
            "//evil.test",
            ".evil.test/auth/ticket/a",
            "/auth/ticket/",
            "/auth/ticket/a/../b",
            "/auth/ticket/a\r\n",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(understood(&json!({ "path": "/auth/ticket/a" }), "x"), None);
        assert_eq!(authority("::1", 443), "[::1]");
        assert_eq!(authority("mail.test", 8443), "mail.test:8443");
    }

    #[test]
    fn reasons_are_told_apart() {
        for (status, kind, expected) in [
            (401, "refused", Status::Refused),
            (401, "code-required", Status::Refused),
            (403, "not-permitted", Status::NotPermitted),
            (403, "encryption", Status::Tls),
            (403, "not-allowed", Status::NotAllowed),
            (404, "no-such-user", Status::NoSuchUser),
            (404, "about:blank", Status::Protocol),
            (429, "later", Status::Unavailable),
            (503, "unavailable", Status::Unavailable),
        ] {
            assert_eq!(refusal(status, &json!({ "type": kind })).status, expected, "{status} {kind}");
        }
    }
}
