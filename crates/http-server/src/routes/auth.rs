//! What a user sees and does of their own sign-ins. The sign-in itself is in `sign_in.rs`.

use http_wire::cookie;
use serde_json::{Value, json};
use server_log::{Action, Category};

use crate::session::Desk;
use crate::web_sessions::{Deed, WebSession, shown};
use crate::{Request, Response, Visitor};

/// Deeds that are shown.
const DEEDS_MAX: usize = 50;

/// The name of the cookie: with TLS one that only this host can set (RFC 6265bis §4.1.3.2).
pub fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-mailboat" } else { "mailboat" }
}

/// What the page knows of who is signed in.
pub fn about(visitor: &Visitor, expires: i64) -> Value {
    let name = ["cn", "displayname"].iter().find_map(|name| visitor.entry.attributes.get(*name)?.first());
    let token = visitor.session.as_ref().map_or("", |session| &session.token);
    json!({
        "uid": visitor.uid,
        "name": name.unwrap_or(&visitor.uid),
        "email": visitor.entry.mail,
        "language": visitor.entry.language,
        "token": token,
        "expires": expires,
    })
}

fn signed_in(request: &Request) -> Option<(&Visitor, &WebSession)> {
    let visitor = request.visitor.as_deref()?;
    Some((visitor, visitor.session.as_ref()?))
}

fn no_session() -> Response {
    Response::problem(400, "no-session", "this request is signed in by itself, not by a session")
}

/// `GET /auth/session`: `null` for who has not signed in, or not any more. A page asks it first, and a refusal would stand in
/// the browser's log of errors.
pub fn session(_desk: &Desk, request: &Request) -> Response {
    if request.visitor.is_none() {
        return Response::json(200, &Value::Null);
    }
    let Some((visitor, session)) = signed_in(request) else { return no_session() };
    let expires = request.settings.session.end(session.record.begun, base::clock::unix_seconds());
    Response::json(200, &about(visitor, expires))
}

/// `POST /auth/sign-out`
pub fn sign_out(desk: &Desk, request: &Request) -> Response {
    let Some((visitor, session)) = signed_in(request) else { return no_session() };
    if let Err(why) = desk.sessions.end(&visitor.uid, &session.id) {
        return unwritten(desk, &visitor.uid, &why);
    }
    desk.streams.look_again(&visitor.uid);
    note(desk, request, "signed-out");
    desk.jmap.signed_out(&crate::routes::jmap::who(visitor, request));
    let name = cookie_name(request.client.is_secure);
    Response::empty(204)
        .with("Set-Cookie", cookie::set(name, "", request.client.is_secure))
        .with("Clear-Site-Data", "\"cache\"")
}

/// `GET /auth/sessions`
pub fn sessions(desk: &Desk, request: &Request) -> Response {
    let Some(visitor) = request.visitor.as_deref() else { return no_session() };
    if visitor.entry.limited {
        return limited();
    }
    let current = visitor.session.as_ref().map(|session| session.id.as_str());
    let shown = |session: WebSession| {
        json!({
            "id": session.id,
            "begun": session.record.begun,
            "used": session.used,
            "address": session.record.peer.to_string(),
            "agent": session.record.agent,
            "current": current == Some(&session.id),
        })
    };
    let found = desk.sessions.of_user(&visitor.uid, request.settings.session);
    Response::json(200, &json!({ "sessions": found.into_iter().map(shown).collect::<Vec<_>>() }))
}

/// `POST /auth/sessions/revoke`: `{"id": "..."}`, or `{"id": "others"}`.
pub fn revoke(desk: &Desk, request: &Request) -> Response {
    let Some(visitor) = request.visitor.as_deref() else { return no_session() };
    if visitor.entry.limited {
        return limited();
    }
    let current = visitor.session.as_ref().map(|session| session.id.as_str());
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let Some(id) = body.get("id").and_then(Value::as_str) else {
        return Response::problem(400, "syntax", "an id is wanted, or \"others\"");
    };
    let ended = match id {
        "others" => desk.sessions.end_others(&visitor.uid, current),
        id => desk.sessions.end(&visitor.uid, id).map(usize::from),
    };
    match ended {
        Ok(0) if id != "others" => Response::plain_problem(404, "there is no such session"),
        Ok(count) => {
            desk.streams.look_again(&visitor.uid);
            note(desk, request, "revoked");
            Response::json(200, &json!({ "ended": count }))
        }
        Err(why) => unwritten(desk, &visitor.uid, &why),
    }
}

/// `GET /auth/activity`
pub fn activity(desk: &Desk, request: &Request) -> Response {
    let Some(visitor) = request.visitor.as_deref() else { return no_session() };
    if visitor.entry.limited {
        return limited();
    }
    let value = |deed: Deed| {
        let Deed { at, what, peer, agent, times } = deed;
        json!({ "at": at, "what": what, "address": peer, "agent": agent, "times": times })
    };
    let deeds: Vec<Value> =
        shown(desk.sessions.deeds(&visitor.uid), DEEDS_MAX).into_iter().map(value).collect();
    Response::json(200, &json!({ "activity": deeds }))
}

/// A password for one program is for mail.
fn limited() -> Response {
    Response::problem(403, "not-allowed", "not by an app password: sign in to the web mail")
}

fn note(desk: &Desk, request: &Request, what: &str) {
    let Some(visitor) = request.visitor.as_deref() else { return };
    let (ip, agent) = (request.client.ip, crate::msc::said_agent(request));
    desk.log.notice(
        Category::Account,
        format_args!(
            "{what}: [{ip}] {} web session {} (session {})",
            visitor.uid,
            visitor.label(),
            request.number
        ),
    );
    if what == "revoked" {
        let (from, session) = (ip.to_string(), request.number.to_string());
        let fields = [("user", visitor.uid.as_str()), ("from", &from), ("session", &session)];
        desk.log.audit(Action::Revocation, &fields);
    }
    if let Err(why) = desk.sessions.note(&visitor.uid, what, ip, agent) {
        desk.log.warning(Category::Account, format_args!("{}: {why}", visitor.uid));
    }
}

fn unwritten(desk: &Desk, uid: &str, why: &std::io::Error) -> Response {
    desk.log.error(Category::Account, format_args!("the sessions of {uid} cannot be changed: {why}"));
    Response::plain_problem(503, "it cannot be written down now, try again later")
}
