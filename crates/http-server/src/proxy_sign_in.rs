//! Signing a user in with an administrator's credential (S141): `login.msc?user=&password=&proxyauth=`, as the original had it,
//! and `POST /auth/proxy`, which gives the address of a page that signs the user's browser in, once.
//!
//! Who may do so for whom is what PROXYAUTH has it (`directory::deputies`). Both names are logged, and the user is shown them.
//!
//! // NMS: `login.msc?user=admin&proxyauth=<uid>&password=<pw>` (original.md 6.4)

use connection::Io;
use directory::{BadLogIn, Deputies, Entry, Found, GoodLogIn, Kind, NoDeputy, Service, log_line};
use serde_json::{Value, json};
use server_log::{Action, Category};

use crate::session::Desk;
use crate::settings::service_of;
use crate::sign_in::{self, Concluded, PAUSE_FIRST, not_allowed, unavailable};
use crate::tickets::{LIFETIME, Ticket};
use crate::{Request, Response, Visitor, msc};

/// Where a portal asks for a user's sign-in.
pub const PATH: &str = "/auth/proxy";
/// What the one-time addresses begin with.
pub const TICKET_PATH: &str = "/auth/ticket/";
/// Bytes of a user's name.
const NAME_BYTES_MAX: usize = 1024;

/// Whom a sign-in is for, if not for the one whose password it says.
pub fn user_of(request: &Request) -> Option<String> {
    let name = if msc::is_script(request) {
        msc::value(request, "proxyauth")?
    } else {
        // An address of its own: a page that signs in for itself cannot be made to sign in for others.
        if !is_portal(request) {
            return None;
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        body.get("for").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Some(name.trim().to_owned())
}

/// Whether the answer is a one-time address.
pub fn is_portal(request: &Request) -> bool {
    request.head.target.segments.iter().map(String::as_str).eq(["auth", "proxy"])
}

/// The password of `admin` is right: the user `name`, if it may be.
pub fn concluded(desk: &Desk, admin: &Entry, name: &str, request: &Request, io: &Io) -> Concluded {
    let by = admin.uid.clone().unwrap_or_default();
    let (ip, deputies) = (request.client.ip, &request.settings.deputies);
    let no = |why: &str| sign_in::bad(desk, &by, why, io);
    let now = |response| Concluded::Refused(response, std::time::Duration::ZERO);
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return now(Response::problem(400, "syntax", "for whom?"));
    }
    let directory = desk.log_ins.authenticator().directory();
    match deputies.act_for(directory.as_ref(), Service::Http, &by, name, ip) {
        Ok(entry) if entry.kind == Kind::User => admit(desk, entry, by.clone(), request, io),
        Err(NoDeputy::NotPermitted(why)) => {
            no(why);
            let text = "only administrators of the store, from their networks, and for none of themselves";
            Concluded::Refused(Response::problem(403, "not-permitted", text), PAUSE_FIRST)
        }
        Ok(_) | Err(NoDeputy::NoSuchUser) => {
            no(log_line::NOBODY_TO_ACT_FOR);
            now(Response::problem(404, "no-such-user", "there is no such user"))
        }
        Err(NoDeputy::Disallowed) => {
            no(log_line::NOT_ALLOWED);
            now(not_allowed())
        }
        Err(NoDeputy::Unavailable(why)) => {
            desk.log.error(Category::Account, format_args!("{why}"));
            now(unavailable())
        }
    }
}

/// The user's own rule of addresses counts for who then is here: a script; the browser is asked when it comes.
fn admit(desk: &Desk, entry: std::sync::Arc<Entry>, by: String, request: &Request, io: &Io) -> Concluded {
    let uid = entry.uid.clone().unwrap_or_default();
    let visitor = Visitor { uid, entry, session: None, cookie: String::new() };
    if is_portal(request) {
        return Concluded::InFor(visitor, by);
    }
    match let_in(desk, &visitor, &by, request, io.number, "WEB") {
        Ok(()) => Concluded::InFor(visitor, by),
        Err(response) => Concluded::Refused(response, std::time::Duration::ZERO),
    }
}

/// The last question, and the line of the log with both names.
fn let_in(
    desk: &Desk,
    visitor: &Visitor,
    by: &str,
    request: &Request,
    number: u64,
    method: &str,
) -> Result<(), Response> {
    let (peer, uid, encrypted) = (request.client.ip, visitor.uid.as_str(), request.client.is_secure);
    if let Err(no) = desk.clients.admits_user(visitor.entry.access_domains(), service_of(encrypted), peer) {
        let line = BadLogIn { peer, login: uid, why: &no.to_string(), session: number };
        line.tell(&desk.log);
        return Err(if no.for_now { unavailable() } else { not_allowed() }); // S136
    }
    let line = GoodLogIn { peer, uid, encrypted, session: number, method, by: Some(by) };
    line.tell(&desk.log);
    Ok(())
}

/// Begins what was asked for: the session of a script, or a one-time address.
pub fn begin(desk: &Desk, visitor: Visitor, by: &str, request: &Request) -> Response {
    if !is_portal(request) {
        return match sign_in::open_session(desk, &visitor, request, Some(by)) {
            Ok((sid, _)) => msc::signed_in(&sid),
            Err(response) => response,
        };
    }
    match desk.tickets.issue(&visitor.uid, by) {
        Ok(word) => {
            let line = format_args!(
                "one-time sign-in: [{}] {} by {by} (session {})",
                request.client.ip, visitor.uid, request.number
            );
            desk.log.notice(Category::Account, line);
            let (from, session) = (request.client.ip.to_string(), request.number.to_string());
            let fields = [("user", visitor.uid.as_str()), ("by", by), ("from", &from), ("session", &session)];
            desk.log.audit(Action::OneTimeSignIn, &fields);
            let about = json!({
                "uid": visitor.uid, "path": format!("{TICKET_PATH}{word}"), "seconds": LIFETIME.as_secs(),
            });
            Response::json(200, &about)
        }
        Err(why) => {
            desk.log.error(Category::Account, format_args!("no one-time sign-in for {}: {why}", visitor.uid));
            unavailable()
        }
    }
}

/// `GET /auth/ticket/{word}`: the user's browser. It is used up whatever comes of it.
pub fn redeem(desk: &Desk, request: &Request) -> Response {
    let word = request.parameters.first().map(String::as_str).unwrap_or_default();
    let ticket = match desk.tickets.redeem(word) {
        Ok(ticket) => ticket,
        Err(why) => {
            desk.log.error(Category::Account, format_args!("a one-time sign-in cannot be used: {why}"));
            return unavailable();
        }
    };
    if !request.client.says_password {
        return sign_in::unsafe_connection(); // whoever listened has seen it
    }
    let Some(ticket) = ticket else { return used_up() };
    let visitor = match user_of_ticket(desk, &ticket, &request.settings.deputies) {
        Ok(visitor) => visitor,
        Err(response) => return response,
    };
    if let Err(response) = let_in(desk, &visitor, &ticket.by, request, request.number, "TICKET") {
        return response;
    }
    match sign_in::open_session(desk, &visitor, request, Some(&ticket.by)) {
        Ok((value, _)) => sign_in::set_cookie(Response::redirect(303, "/"), &value, request),
        Err(response) => response,
    }
}

/// The user, as everybody is now: a minute may have changed who may what.
fn user_of_ticket(desk: &Desk, ticket: &Ticket, deputies: &Deputies) -> Result<Visitor, Response> {
    if !deputies.is_admin(&ticket.by) || deputies.is_admin(&ticket.uid) {
        return Err(not_allowed());
    }
    let directory = desk.log_ins.authenticator().directory();
    let entry = match directory.by_uid(&ticket.uid) {
        Ok(Found::One(entry)) => entry,
        Ok(_) => return Err(used_up()),
        Err(why) => {
            desk.log.error(Category::Account, format_args!("{why}"));
            return Err(unavailable());
        }
    };
    if entry.kind != Kind::User || !entry.may_use(Service::Http) {
        return Err(not_allowed());
    }
    Ok(Visitor { uid: ticket.uid.clone(), entry, session: None, cookie: String::new() })
}

/// A person reads it. The page is not shown: somebody else may be signed in to it.
fn used_up() -> Response {
    let text =
        "This address signs in once, within a minute. Go back to where it came from, and ask for another.\n";
    Response::of(410, "text/plain; charset=utf-8", crate::response::Body::Static(text.as_bytes()))
}

/// A path as logs show it.
pub fn shown(path: &str) -> &str {
    if path.starts_with(TICKET_PATH) { TICKET_PATH } else { path }
}

/// A request line whose one-time address is not shown.
pub fn without_secrets(line: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(line);
    let (before, after) = text.split_once(TICKET_PATH)?;
    let version = after.rsplit_once(' ').map_or("", |(_, version)| version);
    Some(format!("{before}{TICKET_PATH}<masked> {version}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telemetry_shows_no_one_time_address() {
        let shown = without_secrets(b"GET /auth/ticket/secret HTTP/1.1\r\n").unwrap();
        assert_eq!(shown, b"GET /auth/ticket/<masked> HTTP/1.1\r\n");
        assert_eq!(without_secrets(b"GET /auth/session HTTP/1.1\r\n"), None);
    }
}
