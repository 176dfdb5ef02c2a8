//! The addresses of the original's web mail (X11), for scripts that know them: a thin layer over JMAP.
//!
//! ```text
//! POST login.msc        user=, password= (form or query)    -> 302, Location: /listfolders.msc?sid=...
//! listfolders.msc       sid                                  -> [name, messages, unread] for each mailbox
//! mbox.msc              sid, mbox, start, count, sortby (recv, date, from, to, subject, size), sortorder (R, F)
//! msg.msc               sid, uid, part                       -> a message, or one of its parts
//! cmd.msc               sid, cmd (logout, create, delete, rename, copy, move, flag, unflag, expunge), mbox, uid, ...
//! send.msc              sid, from, to, cc, bcc, subject, text, ... (see `send.rs`)
//! ldap.msc              sid, query                           -> [name, address, source] for each match
//! ```
//! // NMS: addresses and parameters as scripts use them (original.md 6.4). Answers were JavaScript for the client page: each begins
//! with lines `name=value`, a number or a JSON text, and ends with a list. `seen=` and `size=` are such lines. `uid` is what the list
//! of a mailbox says: an opaque word.
//!
//! The session id stands in the address, as these scripts want it. It is safe there as far as it can be: it is got by a POST with
//! the password alone, is 256 random bits, is bound to the client's address as `service.http.ipsecurity` says (S118), ends with
//! `cmd=logout`, `sessiontimeout`, or the password, and is good for these addresses only: the web mail's cookie is none, and it
//! is no cookie. No page of others can make a browser send it, so no token is needed. It is not written to telemetry, and
//! responses forbid to tell the address further.

pub mod command;
pub mod folders;
pub mod mailbox;
pub mod message;
pub mod people;
pub mod send;

use http_wire::target;
use jmap::Who;
use serde_json::{Value, json};

use crate::response::Body;
use crate::routes::jmap::who;
use crate::session::Desk;
use crate::web_sessions::WebSession;
use crate::{Request, Response, sign_in};

/// How the sessions of scripts are told from those of the page.
const AGENT: &str = ".msc ";
/// Capabilities that are used.
const USING: [&str; 4] = [
    "urn:ietf:params:jmap:core",
    "urn:ietf:params:jmap:mail",
    "urn:ietf:params:jmap:submission",
    "urn:x-mailboat:jmap:account",
];

/// Whether a request is to one of these addresses.
pub fn is_script(request: &Request) -> bool {
    request.head.target.segments.first().is_some_and(|path| path.ends_with(".msc"))
}

/// What is noted of who signs in. `by`: the administrator who does it for the user.
pub fn agent(request: &Request, by: Option<&str>) -> String {
    let by = by.map(|by| format!("(by {by}) ")).unwrap_or_default();
    let kind = if is_script(request) { AGENT } else { "" };
    format!("{kind}{by}{}", said_agent(request))
}

/// What the client calls itself, from its first letter or digit on, as a product begins (RFC 9110 §10.1.5): what is put in front of
/// it here, nobody can say themselves.
pub fn said_agent(request: &Request) -> &str {
    let agent = request.head.field("user-agent").unwrap_or_default();
    agent.trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
}

/// Whether a session is good for these addresses, and for no other.
pub fn is_of_script(session: &WebSession) -> bool {
    session.record.agent.starts_with(AGENT.trim_end())
}

/// A sign-in has succeeded.
pub fn signed_in(sid: &str) -> Response {
    let location = format!("/listfolders.msc?sid={}", target::encode(sid));
    Response::of(302, "text/plain", Body::Bytes(b"signed in\n".to_vec())).with("Location", location)
}

/// A value of the form, or of the address.
pub fn value(request: &Request, name: &str) -> Option<String> {
    let is_form = request.head.media_type() == "application/x-www-form-urlencoded";
    let body = if is_form { String::from_utf8_lossy(&request.body) } else { "".into() };
    let in_body = target::form(&body).into_iter().find(|(have, _)| have == name).map(|(_, value)| value);
    in_body.or_else(|| request.query(name))
}

/// The same; nothing when it is empty.
pub fn word(request: &Request, name: &str) -> Option<String> {
    value(request, name).filter(|value| !value.trim().is_empty())
}

/// A request line whose query is not shown: it has the session's id, or a password. Nothing when it is not to these addresses.
pub fn without_secrets(line: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(line);
    let (before, after) = text.split_once('?')?;
    let version = after.rsplit_once(' ')?.1;
    before.ends_with(".msc").then(|| format!("{before}?<masked> {version}").into_bytes())
}

/// Whom a request is from, by the directory.
fn asker(request: &Request) -> Result<Who, Response> {
    let visitor = request.visitor.as_deref().ok_or_else(sign_in::wanted)?;
    Ok(who(visitor, request))
}

/// The responses to method calls; `accountId` is set.
fn ask(desk: &Desk, who: &Who, calls: Vec<(&str, Value)>) -> Result<Vec<Value>, Response> {
    let calls: Vec<Value> = calls
        .into_iter()
        .enumerate()
        .map(|(number, (name, mut arguments))| {
            arguments["accountId"] = json!(who.uid);
            json!([name, arguments, number.to_string()])
        })
        .collect();
    let body = json!({ "using": USING, "methodCalls": calls }).to_string();
    let answer = desk.jmap.request(who, body.as_bytes()).map_err(|why| crate::routes::jmap::problem(&why))?;
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let responses = answer["methodResponses"].as_array().cloned().unwrap_or_default();
    if let Some(error) = responses.iter().find(|one| one[0] == "error") {
        let status = if error[1]["type"] == "serverUnavailable" { 503 } else { 400 };
        return Err(refused(status, &error[1]));
    }
    Ok(responses.into_iter().map(|mut one| one[1].take()).collect())
}

/// The response to one.
fn ask_one(desk: &Desk, who: &Who, name: &str, arguments: Value) -> Result<Value, Response> {
    Ok(ask(desk, who, vec![(name, arguments)])?.into_iter().next().unwrap_or_default())
}

/// An error of JMAP, said to a script.
fn refused(status: u16, error: &Value) -> Response {
    let kind = error["type"].as_str().unwrap_or("serverFail");
    let why = error["description"].as_str().unwrap_or_default();
    answer_with(status, &[("error", json!(kind)), ("reason", json!(why))], None)
}

fn wrong(why: &str) -> Response {
    refused(400, &json!({ "type": "syntax", "description": why }))
}

/// The mailbox that a script calls so, with its counts.
fn mailbox_named(desk: &Desk, who: &Who, name: &str) -> Result<Value, Response> {
    let found = folders::all(desk, who)?.into_iter().find(|one| {
        let own = one["path"].as_str().unwrap_or_default();
        own == name || own.eq_ignore_ascii_case("INBOX") && name.eq_ignore_ascii_case("INBOX")
    });
    found.ok_or_else(|| {
        refused(404, &json!({ "type": "notFound", "description": "there is no such mailbox" }))
    })
}

/// Lines `name=value`, then a list.
fn answer_with(status: u16, lines: &[(&str, Value)], list: Option<(&str, Vec<Value>)>) -> Response {
    let mut text: String = lines.iter().map(|(name, value)| format!("{name}={}\n", script(value))).collect();
    if let Some((name, items)) = list {
        let items: Vec<String> = items.iter().map(script).collect();
        text.push_str(&format!("{name}=[\n{}\n]\n", items.join(",\n")));
    }
    Response::of(status, "text/javascript; charset=utf-8", Body::Bytes(text.into_bytes()))
}

fn answer(lines: &[(&str, Value)], list: Option<(&str, Vec<Value>)>) -> Response {
    answer_with(200, lines, list)
}

/// A value as JavaScript: JSON, with nothing in it that a page could take for markup or a line end.
fn script(value: &Value) -> String {
    let escaped = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    escaped.iter().fold(value.to_string(), |text, (c, with)| text.replace(*c, with))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_script_and_never_markup() {
        let value = json!(["</script><b>&\u{2028}\"\\\n", 1, null]);
        assert_eq!(script(&value), r#"["\u003c/script\u003e\u003cb\u003e\u0026\u2028\"\\\n",1,null]"#);
    }

    #[test]
    fn telemetry_shows_neither_sid_nor_password() {
        let line = b"POST /login.msc?user=a&password=secret HTTP/1.1\r\n";
        assert_eq!(without_secrets(line).unwrap(), b"POST /login.msc?<masked> HTTP/1.1\r\n");
        assert_eq!(without_secrets(b"GET /jmap/session?x=1 HTTP/1.1\r\n"), None);
        assert_eq!(without_secrets(b"GET /mbox.msc HTTP/1.1\r\n"), None);
    }
}
