//! An HTTP client that says exactly what a test tells it to.

use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

use crate::Wire;

/// A response.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    pub status: u16,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The value of a field; empty when it is not there.
    pub fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(have, _)| have == name).map_or("", |(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.text()))
    }

    /// The cookie that is set, as it is to be said again: `name=value`.
    pub fn cookie(&self) -> String {
        self.field("set-cookie").split(';').next().unwrap_or_default().to_owned()
    }

    /// The fields that requests of the session have which this began.
    pub fn session_fields(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        let token = self.json()["token"].as_str().unwrap().to_owned();
        format!("Cookie: {}\r\nX-Mailboat-Token: {token}\r\n", self.cookie())
    }
}

/// One connection.
pub struct Http {
    pub wire: Wire,
}

impl Http {
    pub fn open(stream: TcpStream) -> Http {
        Http { wire: Wire::plain(stream) }
    }

    /// As "localhost", trusting the authority in `ca`.
    pub fn tls(stream: TcpStream, ca: &Path) -> Http {
        Http { wire: Wire::tls(stream, ca) }
    }

    /// Sends a request; `fields` are lines with their ends. `Host` is said unless they say it.
    pub fn send(&mut self, method: &str, path: &str, fields: &str, body: &[u8]) {
        let host = if fields.lines().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
            ""
        } else {
            "Host: localhost\r\n"
        };
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let mut bytes = format!("{method} {path} HTTP/1.1\r\n{host}{length}{fields}\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.wire.send(&bytes);
    }

    /// Sends a request and reads its response.
    pub fn ask(&mut self, method: &str, path: &str, fields: &str, body: &[u8]) -> HttpResponse {
        self.send(method, path, fields, body);
        if method == "HEAD" { self.head() } else { self.response() }
    }

    pub fn get(&mut self, path: &str, fields: &str) -> HttpResponse {
        self.ask("GET", path, fields, b"")
    }

    pub fn post_json(&mut self, path: &str, fields: &str, body: &str) -> HttpResponse {
        let fields = format!("Content-Type: application/json\r\n{fields}");
        self.ask("POST", path, &fields, body.as_bytes())
    }

    /// Signs in; the fields that later requests carry, `Cookie` and token.
    pub fn sign_in(&mut self, user: &str, password: &str) -> String {
        self.try_sign_in(user, password, "").session_fields()
    }

    pub fn try_sign_in(&mut self, user: &str, password: &str, fields: &str) -> HttpResponse {
        let body = serde_json::json!({ "user": user, "password": password }).to_string();
        self.post_json("/auth/sign-in", fields, &body)
    }

    /// Status and fields of the next response, without its body.
    pub fn head(&mut self) -> HttpResponse {
        let line = self.wire.line();
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line}"));
        let mut fields = Vec::new();
        loop {
            let line = self.wire.line();
            let Some((name, value)) = line.split_once(':') else {
                assert!(line.is_empty(), "no field: {line}");
                return HttpResponse { status, fields, body: Vec::new() };
            };
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// The next response.
    pub fn response(&mut self) -> HttpResponse {
        let mut response = self.head();
        if matches!(response.status, 100 | 204 | 304) {
            return response;
        }
        if response.field("transfer-encoding") == "chunked" {
            while let Some(chunk) = self.chunk() {
                response.body.extend(chunk);
            }
        } else {
            let length = response.field("content-length").parse().expect("a Content-Length");
            response.body = self.wire.bytes(length);
        }
        response
    }

    /// The next chunk; nothing: it was the last.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.wire.line();
        let size = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("no chunk: {line}"));
        let chunk = self.wire.bytes(size);
        assert_eq!(self.wire.line(), "");
        (size > 0).then_some(chunk)
    }
}
