//! The head of a request (RFC 9112 §2 to §7): request line and header fields, and what they say of body and connection.

use crate::Bad;
use crate::target::{self, Target};

/// Fields of a header at most.
pub const FIELDS_MAX: usize = 100;
/// Digits of a Content-Length: less than 2^63.
const LENGTH_DIGITS_MAX: usize = 18;

/// The methods that some resource here may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
}

impl Method {
    /// As it is written (RFC 9110 §9: case counts).
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }

    fn named(name: &str) -> Option<Method> {
        [Method::Get, Method::Head, Method::Post, Method::Put, Method::Delete, Method::Options]
            .into_iter()
            .find(|method| method.name() == name)
    }

    /// RFC 9110 §9.2.1.
    pub fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options)
    }
}

/// How the end of the body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    /// So many bytes; not zero.
    Length(u64),
    Chunked,
}

/// A head that can be read in one way only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub method: Method,
    pub target: Target,
    /// HTTP/1.1; else 1.0.
    pub is_1_1: bool,
    /// As the client says it, with its port; empty in HTTP/1.0 perhaps.
    pub host: String,
    /// Names in lower case, in order.
    pub fields: Vec<(String, String)>,
    pub framing: Framing,
    pub keep_alive: bool,
    pub expects_continue: bool,
}

impl Head {
    /// The only value of a field; nothing when it is not there, or more than once.
    pub fn field(&self, name: &'static str) -> Option<&str> {
        let mut found = self.all(name);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// Every value of a field.
    pub fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The media type of the body without its parameters, in lower case (RFC 9110 §8.3.1).
    pub fn media_type(&self) -> String {
        let value = self.field("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// Reads a whole head, its empty line included.
///
/// # Errors
/// See [`Bad`].
pub fn parse(bytes: &[u8]) -> Result<Head, Bad> {
    line_ends(bytes)?;
    let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut room);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Ok(_) => return Err(Bad::Syntax("the head is not whole")),
        Err(why) => return Err(reason(why)),
    }
    let is_1_1 = request.version == Some(1);
    let mut fields = Vec::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        fields.push((field.name.to_ascii_lowercase(), text(field.value)?));
    }
    let method = request.method.and_then(Method::named).ok_or(Bad::Method)?;
    let mut head = Head {
        method,
        target: Target::default(),
        is_1_1,
        host: String::new(),
        fields,
        framing: Framing::None,
        keep_alive: false,
        expects_continue: false,
    };
    head.host = host(&head)?;
    head.target = target_of(&mut head, request.path.unwrap_or_default())?;
    head.framing = framing(&head)?;
    head.keep_alive = keep_alive(&head);
    head.expects_continue = expects_continue(&head)?;
    Ok(head)
}

fn reason(why: httparse::Error) -> Bad {
    match why {
        httparse::Error::TooManyHeaders => Bad::LongHead,
        httparse::Error::Version => Bad::Version,
        httparse::Error::HeaderName => Bad::Syntax("a header field has no proper name"),
        httparse::Error::HeaderValue => Bad::Syntax("a header field has no proper value"),
        httparse::Error::NewLine => Bad::Syntax("a line does not end in CR LF"),
        httparse::Error::Token => Bad::Syntax("the request line has no proper form"),
        httparse::Error::Status => Bad::Syntax("this is no request"),
    }
}

/// Every line ends in CR LF and neither stands elsewhere (RFC 9112 §2.2 lets servers be lenient; it is how requests are
/// smuggled), and no line begins with a blank (obs-fold, RFC 9112 §5.2).
fn line_ends(bytes: &[u8]) -> Result<(), Bad> {
    for (at, byte) in bytes.iter().enumerate() {
        let wrong = match byte {
            b'\n' => at == 0 || bytes[at - 1] != b'\r',
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            0 => true,
            _ => false,
        };
        if wrong {
            return Err(Bad::Syntax("a line does not end in CR LF, or a NUL is in it"));
        }
        if *byte == b'\n' && matches!(bytes.get(at + 1), Some(b' ' | b'\t')) {
            return Err(Bad::Syntax("a header field is folded"));
        }
    }
    Ok(())
}

/// A field's value: UTF-8, else every byte a character of its own (RFC 9110 §5.5 has them opaque). Without what could mean
/// something to a terminal or another parser.
fn text(value: &[u8]) -> Result<String, Bad> {
    if value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
        return Err(Bad::Syntax("a header field has no proper value"));
    }
    Ok(match std::str::from_utf8(value) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => value.iter().map(|byte| char::from(*byte)).collect::<String>().trim().to_owned(),
    })
}

/// RFC 9112 §3.2: exactly one, though HTTP/1.0 needs none.
fn host(head: &Head) -> Result<String, Bad> {
    match head.all("host").count() {
        0 if head.is_1_1 => Err(Bad::Syntax("there is no Host")),
        0 => Ok(String::new()),
        1 => {
            let host = head.field("host").unwrap_or_default();
            if !target::is_authority(host) {
                return Err(Bad::Syntax("the Host has no proper form"));
            }
            Ok(host.to_ascii_lowercase())
        }
        _ => Err(Bad::Syntax("there are several Hosts")),
    }
}

/// Absolute form is taken (RFC 9112 §3.2.2), if it names the same host: a proxy might have looked at the other one.
fn target_of(head: &mut Head, raw: &str) -> Result<Target, Bad> {
    if raw == "*" && head.method == Method::Options {
        return Ok(Target { path: "*".to_owned(), segments: Vec::new(), query: None });
    }
    let absolute = ["http://", "https://"].into_iter().find_map(|scheme| {
        let start = raw.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &raw[scheme.len()..])
    });
    let Some(rest) = absolute else { return Target::parse(raw) };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !target::is_authority(authority) || authority.is_empty() {
        return Err(Bad::Syntax("the address has no proper host"));
    }
    if head.is_1_1 && !authority.eq_ignore_ascii_case(&head.host) {
        return Err(Bad::Syntax("Host and address name two hosts"));
    }
    head.host = authority.to_ascii_lowercase();
    if path.starts_with('/') { Target::parse(path) } else { Target::parse(&format!("/{path}")) }
}

/// RFC 9112 §6.1 and §6.3. Both lengths, or one of them twice, is an attempt at smuggling.
fn framing(head: &Head) -> Result<Framing, Bad> {
    let (codings, lengths) = (head.all("transfer-encoding").count(), head.all("content-length").count());
    if codings > 0 && lengths > 0 {
        return Err(Bad::Syntax("Transfer-Encoding and Content-Length together"));
    }
    if codings > 1 || lengths > 1 {
        return Err(Bad::Syntax("the length of the body is said twice"));
    }
    if let Some(coding) = head.field("transfer-encoding") {
        if !head.is_1_1 {
            return Err(Bad::Syntax("HTTP/1.0 has no Transfer-Encoding"));
        }
        return if coding.eq_ignore_ascii_case("chunked") { Ok(Framing::Chunked) } else { Err(Bad::Coding) };
    }
    let Some(length) = head.field("content-length") else { return Ok(Framing::None) };
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(Bad::Syntax("the Content-Length is no number"));
    }
    if length.len() > LENGTH_DIGITS_MAX {
        return Err(Bad::LongBody);
    }
    match length.parse() {
        Ok(0) => Ok(Framing::None),
        Ok(length) => Ok(Framing::Length(length)),
        Err(_) => Err(Bad::LongBody),
    }
}

/// RFC 9112 §9.3. HTTP/1.0 connections end with their answer.
fn keep_alive(head: &Head) -> bool {
    let closes = |value: &str| value.split(',').any(|option| option.trim().eq_ignore_ascii_case("close"));
    head.is_1_1 && !head.all("connection").any(closes)
}

/// RFC 9110 §10.1.1; not for HTTP/1.0.
fn expects_continue(head: &Head) -> Result<bool, Bad> {
    let mut expects = false;
    for value in head.all("expect") {
        if !value.eq_ignore_ascii_case("100-continue") {
            return Err(Bad::Expectation);
        }
        expects = head.is_1_1 && head.framing != Framing::None;
    }
    Ok(expects)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(fields: &str) -> Result<Head, Bad> {
        parse(format!("GET /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes())
    }

    fn status(bytes: &str) -> u16 {
        parse(bytes.as_bytes()).map_or_else(Bad::status, |_| 200)
    }

    #[test]
    fn a_plain_request_is_read() {
        let head = parse(
            b"POST /jmap/api?x=1 HTTP/1.1\r\nHost: Mail.example.org:8080\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 12\r\nConnection: close, te\r\nExpect: 100-Continue\r\n\r\n",
        )
        .unwrap();
        assert_eq!((head.method, head.host.as_str()), (Method::Post, "mail.example.org:8080"));
        assert_eq!(head.target.segments, ["jmap", "api"]);
        assert_eq!(head.media_type(), "application/json");
        assert_eq!(
            (head.framing, head.keep_alive, head.expects_continue),
            (Framing::Length(12), false, true)
        );
        assert!(get("").unwrap().keep_alive);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (fields, status) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
            ("Content-Length: 5, 5\r\n", 400),
            ("Content-Length: +5\r\n", 400),
            ("Content-Length: -5\r\n", 400),
            ("Content-Length: 0x5\r\n", 400),
            ("Content-Length: 5 5\r\n", 400),
            ("Content-Length:\r\n", 400),
            ("Content-Length: 99999999999999999999\r\n", 413),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
            ("Transfer-Encoding: identity\r\n", 501),
            ("Transfer-Encoding: gzip, chunked\r\n", 501),
            ("Transfer-Encoding: chunked, identity\r\n", 501),
            ("Transfer-Encoding: xchunked\r\n", 501),
            ("Transfer-Encoding:\u{b}chunked\r\n", 400),
            ("Transfer-Encoding : chunked\r\n", 400),
            ("Content-Length : 5\r\n", 400),
            ("X: a\r\n folded\r\n", 400),
            ("X: a\r\n\tfolded\r\n", 400),
            ("X: a\nY: b\r\n", 400),
            ("X: a\rY: b\r\n", 400),
            ("X: a\0\r\n", 400),
            ("X: a\u{7f}\r\n", 400),
            (": nameless\r\n", 400),
            ("X\r\n", 400),
            ("X(: a\r\n", 400),
            ("Host: other\r\n", 400),
            ("Expect: 200-ok\r\n", 417),
        ] {
            assert_eq!(get(fields).map_or_else(Bad::status, |_| 200), status, "{fields:?}");
        }
    }

    #[test]
    fn request_lines_that_are_none() {
        for (line, expected) in [
            ("GET / HTTP/1.1", 200),
            ("get / HTTP/1.1", 501),
            ("PATCH / HTTP/1.1", 501),
            ("TRACE / HTTP/1.1", 501),
            ("CONNECT h:1 HTTP/1.1", 501),
            ("GET / HTTP/2.0", 505),
            ("GET / HTTP/1.2", 505),
            ("GET / HTTP/0.9", 505),
            ("GET /", 400),
            ("GET  / HTTP/1.1", 400),
            (" GET / HTTP/1.1", 400),
            ("GET / HTTP/1.1 ", 400),
            ("GET / http/1.1", 505),
            ("GET a HTTP/1.1", 400),
            ("GET * HTTP/1.1", 400),
            ("OPTIONS * HTTP/1.1", 200),
            ("GET http://h/a HTTP/1.1", 200),
            ("GET HTTPS://H?x HTTP/1.1", 200),
            ("GET http://other/a HTTP/1.1", 400),
            ("GET http://user@h/a HTTP/1.1", 400),
            ("GET ftp://h/a HTTP/1.1", 400),
        ] {
            let status = status(&format!("{line}\r\nHost: h\r\n\r\n"));
            assert_eq!(status, expected, "{line:?}");
        }
    }

    #[test]
    fn a_host_is_needed_once() {
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.0\r\n\r\n"), 200);
        for host in ["h/x", "h x", "h\"", "<script>", "a@b", "h:80:80", "[::1", "h:x"] {
            assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), 400, "{host}");
        }
        for host in ["", "localhost", "127.0.0.1:8080", "[::1]:80", "a-b.example_1"] {
            assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), 200, "{host}");
        }
    }

    #[test]
    fn http_1_0_ends_with_its_answer_and_has_no_chunks() {
        let head = parse(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
        assert!(!head.keep_alive);
        assert_eq!(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    }

    #[test]
    fn too_many_fields_are_too_many() {
        assert_eq!(get(&"X: y\r\n".repeat(FIELDS_MAX - 1)).unwrap().fields.len(), FIELDS_MAX);
        assert_eq!(get(&"X: y\r\n".repeat(FIELDS_MAX)), Err(Bad::LongHead));
    }

    #[test]
    fn a_field_that_is_there_twice_has_no_one_value() {
        let head = get("X-Once: a\r\nX-Twice: a\r\nX-Twice: b\r\n").unwrap();
        assert_eq!((head.field("x-once"), head.field("x-twice")), (Some("a"), None));
        assert_eq!(head.all("x-twice").collect::<Vec<_>>(), ["a", "b"]);
    }
}
