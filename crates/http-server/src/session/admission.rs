//! From a head to a request that may be run: check, ask, then read the body.
//!
//! Everything that can be refused by the head alone is refused before a byte of the body is read: the client that is not
//! let in, the address that is not there, who has not signed in, the page of another site, the body that is too long.

use base::access::Verdict;
use connection::{Io, Next};
use http_wire::{Framing, Head, Method, cookie, target};

use super::{Exchange, Session};
use crate::client::{self, Client, Origin};
use crate::router::{self, Access, Found, Run, TOKEN_FIELD, Takes};
use crate::routes::auth::cookie_name;
use crate::settings::service_of;
use crate::visitor::{self, NotIn};
use crate::{Request, Response, Settings, Visitor, msc, proxy_sign_in, sign_in};

/// Bytes of a body of a sign-in and the like, from those who have not signed in.
const STRANGER_BODY_MAX: u64 = 8 * 1024;
/// Bytes of a body that nobody wants, and that is passed over.
const SMALL_BODY_MAX: u64 = 1024;
/// Of what telemetry shows of one body.
const RECORD_BYTES_MAX: usize = 64 * 1024;
/// Fields whose values are passwords, or as good.
const SECRET_FIELDS: [&str; 4] = ["authorization", "cookie", "x-mailboat-token", "proxy-authorization"];

impl Exchange {
    /// Bytes of body that this request may have; nothing: as many as it likes.
    fn limit(&self, settings: &Settings) -> Option<u64> {
        match self.route.takes {
            Takes::Nothing => Some(SMALL_BODY_MAX),
            Takes::Upload => None,
            Takes::Json | Takes::Form | Takes::Script | Takes::Jmap if self.request.visitor.is_none() => {
                Some(STRANGER_BODY_MAX)
            }
            Takes::Json | Takes::Form | Takes::Script => Some(settings.post_bytes_max),
            Takes::Jmap => Some(jmap::limits::MAX_SIZE_REQUEST as u64),
        }
    }

    /// Whether `more` bytes are too many.
    pub fn is_too_long(&self, more: u64, settings: &Settings) -> bool {
        self.limit(settings).is_some_and(|limit| self.received.saturating_add(more) > limit)
    }

    /// The request, for somebody else; what is needed for its answer stays.
    pub fn take_request(&mut self) -> Request {
        let request = &mut self.request;
        let head = Head { fields: Vec::new(), ..request.head.clone() };
        Request {
            head: std::mem::replace(&mut request.head, head),
            parameters: std::mem::take(&mut request.parameters),
            body: std::mem::take(&mut request.body),
            client: request.client,
            visitor: request.visitor.clone(),
            settings: request.settings.clone(),
            number: request.number,
        }
    }
}

impl Session {
    /// A head has come. `recorded`: what telemetry shows of it.
    pub(super) fn admit(&mut self, head: Head, recorded: Vec<u8>, io: &mut Io) -> Next {
        let client = client::of(&head, self.peer.ip(), &io.tls, &self.settings);
        io.peer.set_ip(client.ip);
        if let Some(refusal) = self.not_let_in(client) {
            return self.refuse_head(&head, client, refusal, io);
        }
        let (route, parameters) = match router::find(&head) {
            Found::Route(route, parameters) => (route, parameters),
            Found::OtherMethods(methods) => {
                let refusal = Response::plain_problem(405, "not with this method").with("Allow", methods);
                return self.refuse_head(&head, client, refusal, io);
            }
            Found::Nothing => {
                let refusal = Response::plain_problem(404, "there is nothing here");
                return self.refuse_head(&head, client, refusal, io);
            }
        };
        let origin = client::origin(&head, client);
        let keep_alive = head.keep_alive;
        let expects_continue = head.expects_continue;
        let request = Request {
            head,
            parameters,
            body: Vec::new(),
            client,
            visitor: None,
            settings: self.settings.clone(),
            number: io.number,
        };
        let room = self.desk.load.room();
        let mut exchange = Box::new(Exchange {
            route,
            request,
            sink: None,
            received: 0,
            room,
            keep_alive,
            expects_continue,
        });
        if let Some(refusal) = refuse_origin(&exchange, origin).or_else(|| refuse_connection(&exchange)) {
            return self.answer_early(&exchange, refusal, io);
        }
        let said = match route.access {
            Access::Open => None,
            Access::Visitor | Access::Either => {
                match self.visitor(&exchange.request, route.takes == Takes::Script) {
                    Ok(visitor) => {
                        self.know(&visitor, &recorded, io);
                        exchange.request.visitor = Some(std::sync::Arc::new(visitor));
                        None
                    }
                    Err(Ok(said)) => Some(said),
                    Err(Err(refusal)) => {
                        let head = &exchange.request.head;
                        let token = sign_in::token_in_field(head).filter(|_| route.takes != Takes::Script);
                        let is_stranger = head.field("authorization").is_none() && refusal.status == 401;
                        return match token.map(str::to_owned) {
                            None if is_stranger && route.access == Access::Either => self.check(exchange, io),
                            Some(token) => self.log_in_by_token(exchange, &token, io),
                            None => self.answer_early(&exchange, refusal, io),
                        };
                    }
                }
            }
        };
        match said {
            Some(said) => self.log_in(exchange, said, "BASIC", io),
            None => self.check(exchange, io),
        }
    }

    /// Somebody said name and password with the request, and they are right.
    pub(super) fn let_in(&mut self, mut exchange: Box<Exchange>, visitor: Visitor, io: &mut Io) -> Next {
        self.know(&visitor, &[], io);
        exchange.request.visitor = Some(std::sync::Arc::new(visitor));
        self.check(exchange, io)
    }

    fn know(&mut self, visitor: &Visitor, recorded: &[u8], io: &mut Io) {
        self.is_known = true;
        if io.user.as_deref() != Some(&visitor.uid) {
            io.set_user(&visitor.uid);
        }
        io.record(recorded);
    }

    /// The last questions before the body is read.
    fn check(&mut self, exchange: Box<Exchange>, io: &mut Io) -> Next {
        let refusal = refuse_token(&exchange).or_else(|| refuse_length(&exchange, &self.settings));
        match refusal {
            Some(refusal) => self.answer_early(&exchange, refusal, io),
            None => self.receive(exchange, io),
        }
    }

    fn not_let_in(&mut self, client: Client) -> Option<Response> {
        if self.admitted == Some(client.ip) {
            return None;
        }
        let service = service_of(client.is_secure);
        match self.desk.clients.admits(&self.settings.clients, service, client.ip) {
            Verdict::Allowed => {
                self.admitted = Some(client.ip);
                None
            }
            Verdict::Refused => Some(Response::problem(403, "not-from-here", "no access from your address")),
            Verdict::RefusedForNow => {
                Some(Response::plain_problem(503, "the name of your address cannot be looked up now"))
            }
        }
    }

    fn refuse_head(&mut self, head: &Head, client: Client, refusal: Response, io: &mut Io) -> Next {
        let keep_alive = head.keep_alive && head.framing == Framing::None;
        if keep_alive {
            self.reader.body();
        }
        self.push(Some(client), refusal, head.method == Method::Head, keep_alive, io)
    }

    /// Who asks: by cookie; else what is to be checked, or why nobody may.
    fn visitor(&self, request: &Request, by_sid: bool) -> Result<Visitor, Result<sign_in::Said, Response>> {
        if let Some(value) = request.head.field("authorization").filter(|_| !by_sid) {
            let said = sign_in::said_in_field(value);
            return Err(said.ok_or_else(|| sign_in::challenge(sign_in::wanted())));
        }
        let name = cookie_name(request.client.is_secure);
        let sid = if by_sid { request.query("sid") } else { None };
        let said = if by_sid { sid.as_deref() } else { cookie::value(&request.head, name) };
        let Some(value) = said else { return Err(Err(sign_in::wanted())) };
        let lifetime = self.settings.session;
        let Some(session) = self.desk.sessions.find(value, lifetime) else {
            return Err(Err(sign_in::wanted()));
        };
        if msc::is_of_script(&session) != by_sid {
            return Err(Err(sign_in::wanted())); // neither is good for the other's addresses
        }
        if !client::is_bound(self.settings.binding, session.record.peer, request.client.ip) {
            self.desk.log.warning(
                server_log::Category::Account,
                format_args!(
                    "session of another address: [{}] {} signed in from {} (session {})",
                    request.client.ip, session.record.uid, session.record.peer, request.number
                ),
            );
            return Err(Err(sign_in::wanted())); // S118
        }
        let directory = self.desk.log_ins.authenticator().directory().clone();
        let found =
            visitor::of_session(value, session, &self.desk.sessions, directory.as_ref(), &self.desk.entries);
        found.map_err(|why| {
            Err(match why {
                NotIn::SignIn => sign_in::wanted(),
                NotIn::Unavailable(why) => {
                    self.desk.log.error(server_log::Category::Account, format_args!("{why}"));
                    sign_in::unavailable()
                }
            })
        })
    }
}

/// Pages of other sites get nothing and change nothing; a link to the page itself may stand anywhere.
fn refuse_origin(exchange: &Exchange, origin: Origin) -> Option<Response> {
    let is_page = exchange.route.access == Access::Open && exchange.request.head.method.is_safe();
    let foreign = origin == Origin::Foreign && !is_page;
    foreign.then(|| Response::problem(403, "cross-site", "not from a page of another site"))
}

/// Passwords and sessions do not go over a connection that others can read.
fn refuse_connection(exchange: &Exchange) -> Option<Response> {
    let request = &exchange.request;
    let is_secret = exchange.route.access != Access::Open || matches!(exchange.route.run, Run::SignIn);
    if request.client.says_password {
        return None;
    }
    let port = request.settings.ssl_port;
    if exchange.route.path == "/" && port != 0 && !request.client.is_secure && !request.head.host.is_empty() {
        let host = request.head.host.rsplit_once(':').map_or(request.head.host.as_str(), |(host, port)| {
            if port.contains(']') { request.head.host.as_str() } else { host }
        });
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        return Some(Response::redirect(307, &format!("https://{host}{port}/")));
    }
    is_secret.then(sign_in::unsafe_connection)
}

/// A request by cookie that changes something carries the session's token: only our own page knows it.
fn refuse_token(exchange: &Exchange) -> Option<Response> {
    let request = &exchange.request;
    let session = request.visitor.as_ref()?.session.as_ref()?;
    if request.head.method.is_safe() || matches!(exchange.route.takes, Takes::Form | Takes::Script) {
        return None; // a form's token is in its body; a script's sid is its own
    }
    let said = request.head.field("x-mailboat-token").unwrap_or_default();
    (!is_same(said, &session.token)).then(no_token)
}

fn no_token() -> Response {
    Response::problem(403, "token", "the token of the session is missing or another one")
}

fn is_same(said: &str, token: &str) -> bool {
    !token.is_empty() && said.len() == token.len() && openssl::memcmp::eq(said.as_bytes(), token.as_bytes())
}

/// By what the head says of the body.
fn refuse_length(exchange: &Exchange, settings: &Settings) -> Option<Response> {
    let head = &exchange.request.head;
    if let Framing::Length(length) = head.framing {
        if exchange.is_too_long(length, settings) {
            return Some(too_long(exchange));
        }
    }
    let media_type = head.media_type();
    let fits = match exchange.route.takes {
        Takes::Nothing | Takes::Upload => true,
        Takes::Json | Takes::Jmap => media_type == "application/json",
        Takes::Script if head.framing == Framing::None || head.framing == Framing::Length(0) => true,
        Takes::Form | Takes::Script => {
            matches!(&*media_type, "application/x-www-form-urlencoded" | "multipart/form-data")
        }
    };
    (!fits).then(|| Response::plain_problem(415, "not a body of this type"))
}

fn too_long(exchange: &Exchange) -> Response {
    match exchange.route.takes {
        // RFC 8620 §3.6.1
        Takes::Jmap => Response::json(
            400,
            &serde_json::json!({
                "type": "urn:ietf:params:jmap:error:limit", "limit": "maxSizeRequest", "status": 400,
                "detail": "The request is too large",
            }),
        ),
        _ => Response::plain_problem(413, "the body is too long"),
    }
}

/// By the body itself: the token of a form.
pub(super) fn refuse_body(exchange: &Exchange) -> Option<Response> {
    let request = &exchange.request;
    let session = request.visitor.as_ref()?.session.as_ref()?;
    if exchange.route.takes != Takes::Form {
        return None;
    }
    let in_field = request.head.field("x-mailboat-token").unwrap_or_default();
    let body = String::from_utf8_lossy(&request.body);
    let in_form = if request.head.media_type() == "multipart/form-data" {
        None // such a form says it in the field
    } else {
        target::form(&body).into_iter().find(|(name, _)| name == TOKEN_FIELD).map(|(_, value)| value)
    };
    let said = in_form.as_deref().unwrap_or(in_field);
    (!is_same(said, &session.token)).then(no_token)
}

/// A head without its secrets.
pub(super) fn recorded(head: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(head.len());
    for (number, line) in head.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let masked = || msc::without_secrets(line).or_else(|| proxy_sign_in::without_secrets(line));
        if let Some(line) = (number == 0).then(masked).flatten() {
            shown.extend_from_slice(&line);
            continue;
        }
        let name = line.iter().position(|byte| *byte == b':').map_or(&[][..], |at| &line[..at]);
        if SECRET_FIELDS.iter().any(|secret| name.eq_ignore_ascii_case(secret.as_bytes())) {
            shown.extend_from_slice(name);
            shown.extend_from_slice(b": <masked>\r\n");
        } else {
            shown.extend_from_slice(line);
        }
    }
    shown
}

/// Whether telemetry must not show a response: it brings a session, or its token, or answers a request whose methods make
/// secrets.
pub(super) fn is_secret(exchange: &Exchange, response: &Response) -> bool {
    matches!(exchange.route.run, Run::SignIn)
        || exchange.route.path == "/auth/session"
        || response.fields.iter().any(|(name, _)| *name == "Set-Cookie")
        || jmap::is_secret(&exchange.request.body)
}

/// A body without its secrets: one that may have any is not shown.
pub(super) fn recorded_body(exchange: &Exchange) -> Vec<u8> {
    let body = &exchange.request.body;
    if exchange.sink.is_some() {
        return format!("<{} bytes>\r\n", exchange.received).into_bytes();
    }
    if body.is_empty() {
        return Vec::new();
    }
    if jmap::is_secret(body)
        || matches!(exchange.route.run, Run::SignIn)
        || matches!(exchange.route.takes, Takes::Form | Takes::Script)
    {
        return b"<masked>\r\n".to_vec();
    }
    let mut shown = body[..body.len().min(RECORD_BYTES_MAX)].to_vec();
    shown.extend_from_slice(b"\r\n");
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telemetry_shows_no_secret() {
        let head = b"GET /x HTTP/1.1\r\nHost: h\r\nCookie: a=secret\r\nAUTHORIZATION: Basic secret\r\nX-Mailboat-Token: secret\r\n\r\n";
        let shown = String::from_utf8(recorded(head)).unwrap();
        assert!(
            !shown.contains("secret") && shown.contains("Host: h\r\n") && shown.ends_with("\r\n\r\n"),
            "{shown}"
        );
    }

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(is_same("abc", "abc"));
        for (said, token) in [("", ""), ("abc", ""), ("ab", "abc"), ("abd", "abc"), ("abcd", "abc")] {
            assert!(!is_same(said, token), "{said} {token}");
        }
    }
}
