//! Signing in: a name and a password, said by the page (`POST /auth/sign-in`) or with the request itself (RFC 7617), and what
//! comes of it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connection::Io;
use directory::{BadLogIn, GoodLogIn, Kind, LogIn, LogInPutOff, Verdict, log_line};
use http_wire::{Head, cookie};
use sasl::Secret;
use serde_json::Value;
use server_log::Category;

use crate::request::Request;
use crate::routes::auth::{about, cookie_name};
use crate::session::Desk;
use crate::settings::service_of;
use crate::web_sessions::WebSession;
use crate::{Response, Visitor, msc, proxy_sign_in, visitor};

/// The pause after the first failure of a connection; it doubles with each.
pub(crate) const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(16);
/// Bytes of a name or a password.
const WORD_BYTES_MAX: usize = 1024;

/// A name and a password.
pub struct Said {
    pub login: String,
    pub password: Secret,
}

/// As the page says it, or a script.
pub fn said(request: &Request) -> Option<Said> {
    if !msc::is_script(request) {
        return said_in_body(&request.body);
    }
    let word = |name| msc::value(request, name).filter(|word| word.len() <= WORD_BYTES_MAX);
    let login = word("user").filter(|login| !login.trim().is_empty())?;
    Some(Said { login: login.trim().to_owned(), password: Secret::new(word("password")?) })
}

/// `{"user": "...", "password": "..."}`
pub fn said_in_body(body: &[u8]) -> Option<Said> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let word = |name| value.get(name).and_then(Value::as_str).filter(|word| word.len() <= WORD_BYTES_MAX);
    let login = word("user").map(str::trim).filter(|login| !login.is_empty())?;
    Some(Said { login: login.to_owned(), password: Secret::new(word("password")?.to_owned()) })
}

/// `Authorization: Basic ...`
pub fn said_in_field(value: &str) -> Option<Said> {
    let (scheme, rest) = value.split_once(' ')?;
    let bytes = STANDARD.decode(rest.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(bytes).ok()?;
    let (login, password) = text.split_once(':')?;
    let fits = !login.is_empty() && login.len() <= WORD_BYTES_MAX && password.len() <= WORD_BYTES_MAX;
    fits.then(|| Said { login: login.to_owned(), password: Secret::new(password.to_owned()) })
}

/// `Authorization: Bearer ...` (RFC 6750 §2.1)
pub fn token_in_field(head: &Head) -> Option<&str> {
    let (scheme, token) = head.field("authorization")?.split_once(' ')?;
    let token = token.trim();
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(is_one)).then_some(token)
}

/// The same in the words of OAUTHBEARER (RFC 7628 §3.1), for whomever the token is of.
pub fn token_response(token: &str) -> String {
    STANDARD.encode(format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

/// What comes of a check.
pub enum Concluded {
    In(Visitor),
    /// By the administrator of this name, whose password it was.
    InFor(Visitor, String),
    /// Answered when the pause is over; no thread waits for it.
    Refused(Response, Duration),
}

/// By what name and password were found to be.
pub fn concluded(
    desk: &Desk,
    verdict: Verdict,
    failures: u32,
    is_page: bool,
    request: &Request,
    io: &Io,
) -> Concluded {
    let Verdict { log_in, authcid, method, .. } = verdict;
    let now = |response| Concluded::Refused(response, Duration::ZERO);
    let log_in = match second(desk, log_in, &authcid, is_page, request) {
        Second::Decided(log_in) => log_in,
        Second::Wanted => return now(code_wanted()),
    };
    let needs_app_password = matches!(log_in, LogIn::NeedsAppPassword);
    match log_in {
        LogIn::Accepted(entry) if entry.kind == Kind::User => {
            let Some(uid) = entry.uid.clone() else { return now(refused(is_page)) };
            let service = service_of(request.client.is_secure);
            if let Err(no) = desk.clients.admits_user(entry.access_domains(), service, request.client.ip) {
                bad(desk, &uid, &no.to_string(), io);
                return now(if no.for_now { unavailable() } else { not_allowed() }); // S136
            }
            if let Some(name) = is_page.then(|| proxy_sign_in::user_of(request)).flatten() {
                return proxy_sign_in::concluded(desk, &entry, &name, request, io);
            }
            let line = GoodLogIn {
                peer: request.client.ip,
                uid: &uid,
                encrypted: request.client.is_secure,
                session: io.number,
                method,
                by: None,
            };
            if is_page || io.user.as_deref() != Some(&uid) {
                line.tell(&desk.log);
            }
            Concluded::In(Visitor { uid, entry, session: None, cookie: String::new() })
        }
        LogIn::Accepted(_) | LogIn::Refused | LogIn::NeedsAppPassword => {
            let why = if needs_app_password { log_line::NEEDS_APP_PASSWORD } else { log_line::WRONG };
            bad(desk, &authcid, why, io);
            // Shown to the owner of the account, if there is one.
            desk.refusals.note(&authcid, request.client.ip, msc::said_agent(request));
            let pause = PAUSE_FIRST.saturating_mul(1 << failures.min(8)).min(PAUSE_MAX);
            Concluded::Refused(refused(is_page), pause)
        }
        LogIn::Disallowed => {
            bad(desk, &authcid, log_line::NOT_ALLOWED, io);
            now(not_allowed()) // S109
        }
        LogIn::Unavailable(why) => {
            desk.log.error(Category::Account, format_args!("{why}"));
            now(unavailable())
        }
        LogIn::Busy => {
            put_off(desk, &authcid, log_line::TOO_MANY_WAIT, io);
            now(later("too many sign-ins at the moment, try again later"))
        }
        LogIn::TooManyGuesses => {
            put_off(desk, &authcid, log_line::TOO_MANY_WRONG, io);
            now(later("too many wrong passwords, try again later"))
        }
    }
}

enum Second {
    Decided(LogIn),
    /// The page is to ask for it.
    Wanted,
}

/// The second factor of who has one: a code beside the password, at the page only. A password for one program needs none,
/// and opens no page: what is done there is not for programs.
fn second(desk: &Desk, log_in: LogIn, login: &str, is_page: bool, request: &Request) -> Second {
    let entry = match log_in {
        LogIn::Accepted(entry) => entry,
        other => return Second::Decided(other),
    };
    if entry.limited || entry.second_factor.is_none() {
        return Second::Decided(if entry.limited && is_page {
            LogIn::Refused
        } else {
            LogIn::Accepted(entry)
        });
    }
    if !is_page {
        return Second::Decided(LogIn::NeedsAppPassword);
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    match body.get("code").and_then(Value::as_str).map(str::trim).filter(|code| !code.is_empty()) {
        None => Second::Wanted,
        Some(code) => {
            Second::Decided(desk.log_ins.check_code(&desk.factors, &entry, login, code, request.client.ip))
        }
    }
}

/// Begins the session of the page that signed in.
pub fn begin(desk: &Desk, visitor: Visitor, request: &Request) -> Response {
    let (value, session) = match open_session(desk, &visitor, request, None) {
        Ok(begun) => begun,
        Err(response) => return response,
    };
    if msc::is_script(request) {
        return msc::signed_in(&value);
    }
    let expires = request.settings.session.end(session.record.begun, session.used);
    let visitor = Visitor { session: Some(session), ..visitor };
    set_cookie(Response::json(200, &about(&visitor, expires)), &value, request)
}

/// A response that makes the browser keep a session.
pub fn set_cookie(response: Response, value: &str, request: &Request) -> Response {
    let is_secure = request.client.is_secure;
    response.with("Set-Cookie", cookie::set(cookie_name(is_secure), value, is_secure))
}

/// Begins a session; gives what its owner keeps of it. `by`: an administrator did it for the user, who is shown that.
///
/// # Errors
/// The response: directory or disk do not work.
pub fn open_session(
    desk: &Desk,
    visitor: &Visitor,
    request: &Request,
    by: Option<&str>,
) -> Result<(String, WebSession), Response> {
    let settings = &request.settings;
    let (ip, agent) = (request.client.ip, msc::agent(request, by));
    let agent = agent.as_str();
    let directory = desk.log_ins.authenticator().directory();
    let passwords = match visitor::credentials(directory.as_ref(), &visitor.entry) {
        Ok(passwords) => passwords,
        Err(why) => {
            desk.log.error(Category::Account, format_args!("{why}"));
            return Err(unavailable());
        }
    };
    let begun =
        desk.sessions.begin(&visitor.uid, ip, agent, &passwords, settings.user_sessions, settings.session);
    let begun = match begun {
        Ok(begun) => begun,
        Err(why) => {
            desk.log.error(Category::Account, format_args!("no session for {}: {why}", visitor.uid));
            return Err(unavailable());
        }
    };
    if let Err(why) = desk.sessions.note(&visitor.uid, "signed-in", ip, agent) {
        desk.log.warning(Category::Account, format_args!("{}: {why}", visitor.uid));
    }
    if let Some(kept) = &desk.last_access {
        kept.note(true, &visitor.uid);
    }
    desk.jmap.prepare(&crate::routes::jmap::who(visitor, request));
    Ok(begun)
}

pub(crate) fn bad(desk: &Desk, login: &str, why: &str, io: &Io) {
    let line = BadLogIn { peer: io.peer.ip(), login, why, session: io.number };
    line.tell(&desk.log);
}

fn put_off(desk: &Desk, login: &str, why: &str, io: &Io) {
    let line = LogInPutOff(BadLogIn { peer: io.peer.ip(), login, why, session: io.number });
    line.tell(&desk.log);
}

fn refused(is_page: bool) -> Response {
    let response = Response::problem(401, "refused", "wrong user name or password");
    if is_page { response } else { challenge(response) }
}

/// The password is right: that alone opens nothing.
fn code_wanted() -> Response {
    Response::problem(401, "code-required", "the code of the second factor is wanted")
}

/// A browser must not ask for a password by itself: only who said one already hears of Basic.
pub fn challenge(response: Response) -> Response {
    let basic = "Basic realm=\"Mailboat\", charset=\"UTF-8\"";
    response.with("WWW-Authenticate", basic).with("WWW-Authenticate", "Bearer realm=\"Mailboat\"")
}

/// Nobody has signed in.
pub fn wanted() -> Response {
    Response::problem(401, "sign-in", "sign in first")
}

pub(crate) fn not_allowed() -> Response {
    Response::problem(403, "not-allowed", "this account may not use the web mail, or not from here")
}

/// Neither password nor session can be looked at.
pub fn unavailable() -> Response {
    Response::problem(503, "unavailable", "passwords cannot be checked now, try again later")
        .with("Retry-After", "10")
}

fn later(why: &str) -> Response {
    Response::problem(429, "later", why).with("Retry-After", "10")
}

/// The connection is not safe for passwords and sessions.
pub fn unsafe_connection() -> Response {
    Response::problem(403, "encryption", "encryption is required first: come with https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_password_are_found_or_nothing() {
        let body = |text: &str| {
            said_in_body(text.as_bytes()).map(|said| (said.login, said.password.reveal().to_owned()))
        };
        assert_eq!(body(r#"{"user":" joe ","password":"a b"}"#), Some(("joe".into(), "a b".into())));
        for wrong in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"user":"joe"}"#,
            r#"{"user":1,"password":"x"}"#,
            r#"{"user":"","password":"x"}"#,
        ] {
            assert_eq!(body(wrong), None, "{wrong}");
        }
        let token = |value: &str| {
            let text = format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: {value}\r\n\r\n");
            token_in_field(&http_wire::head::parse(text.as_bytes()).unwrap()).map(str::to_owned)
        };
        assert_eq!(token("bearer a.b-c_d=").as_deref(), Some("a.b-c_d="));
        for wrong in ["Bearer", "Bearer a b", "Bearer a,b", "Basic a", "Bearer a\u{e4}"] {
            assert_eq!(token(wrong), None, "{wrong}");
        }
        let field =
            |text: &str| said_in_field(text).map(|said| (said.login, said.password.reveal().to_owned()));
        assert_eq!(field("Basic am9lOmE6Yg=="), Some(("joe".into(), "a:b".into())));
        for wrong in
            ["", "Basic", "Basic !!", "Bearer am9lOmE6Yg==", "Basic am9l", "Basic OmE=", "Basic /w=="]
        {
            assert_eq!(field(wrong), None, "{wrong}");
        }
    }
}
