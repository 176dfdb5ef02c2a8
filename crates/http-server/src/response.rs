//! What the functions of `routes/` answer, and the fields that every response carries.
//!
//! Nothing here can be framed, read or guessed at by pages of others: each response says so itself, whatever it is.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::Settings;
use crate::client::Client;

/// Of the web mail's own pages: no script and no style but our files, no frame but ours, no text that becomes markup.
const SHELL: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; frame-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
/// Of everything that is no page: should a browser show it all the same, nothing in it runs or loads.
const DATA: &str = "default-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox";

/// The content security policy of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The web mail's own page.
    Shell,
    /// Anything else.
    Data,
    /// As given; it may be shown in a frame of ours. For `frame.rs`.
    Frame(String),
}

/// What a response holds.
pub enum Body {
    Empty,
    Static(&'static [u8]),
    Bytes(Vec<u8>),
    /// A range of a file that does not change: first byte and how many.
    File(Arc<File>, u64, u64),
    /// So many bytes, read as they are sent. When there are fewer, the connection ends in the middle.
    Reader(Box<dyn Read + Send>, u64),
}

impl Body {
    /// Bytes of it.
    pub fn length(&self) -> u64 {
        match self {
            Body::Empty => 0,
            Body::Static(bytes) => bytes.len() as u64,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(_, _, length) | Body::Reader(_, length) => *length,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.length())
    }
}

/// How long it may be kept by the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Not at all.
    Never,
    /// Asked for again, by its tag.
    Revalidate,
    /// By the user's own browser, for so many seconds.
    Private(u32),
    /// For ever: its name changes with it.
    Immutable,
}

/// See the module.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Beside those that every response carries.
    pub fields: Vec<(&'static str, String)>,
    pub body: Body,
    pub policy: Policy,
    pub cache: Cache,
    /// Of the request, until the answer is sent.
    pub turn: Option<Box<jmap::Turn>>,
}

impl Response {
    /// Without a body.
    pub fn empty(status: u16) -> Response {
        Response {
            status,
            fields: Vec::new(),
            body: Body::Empty,
            policy: Policy::Data,
            cache: Cache::Never,
            turn: None,
        }
    }

    /// With a body of this media type.
    pub fn of(status: u16, media_type: &str, body: Body) -> Response {
        Response { body, ..Response::empty(status) }.with("Content-Type", media_type)
    }

    pub fn json(status: u16, value: &Value) -> Response {
        Response::of(status, "application/json", Body::Bytes(value.to_string().into_bytes()))
    }

    /// What went wrong (RFC 9457). `kind` is a URN of JMAP, or a word of ours.
    pub fn problem(status: u16, kind: &str, detail: &str) -> Response {
        let value = json!({ "type": kind, "status": status, "detail": detail });
        Response::of(status, "application/problem+json", Body::Bytes(value.to_string().into_bytes()))
    }

    /// `about:blank` in the words of RFC 9457: the status says it all.
    pub fn plain_problem(status: u16, detail: &str) -> Response {
        Response::problem(status, "about:blank", detail)
    }

    pub fn redirect(status: u16, location: &str) -> Response {
        Response::empty(status).with("Location", location)
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.fields.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Response {
        self.policy = policy;
        self
    }

    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Response {
        self.cache = cache;
        self
    }

    /// The request counts as under way until this is sent.
    #[must_use]
    pub fn in_turn(mut self, turn: jmap::Turn) -> Response {
        self.turn = Some(Box::new(turn));
        self
    }

    /// Every field but those of the body's length and the connection.
    pub fn all_fields(&self, client: Option<Client>, settings: &Settings) -> Vec<(&str, String)> {
        let policy = match &self.policy {
            Policy::Shell => SHELL,
            Policy::Data => DATA,
            Policy::Frame(policy) => policy,
        };
        let cache = match self.cache {
            Cache::Never => "no-store".to_owned(),
            Cache::Revalidate => "no-cache".to_owned(),
            Cache::Private(seconds) => format!("private, max-age={seconds}"),
            Cache::Immutable => "public, max-age=31536000, immutable".to_owned(),
        };
        let mut fields: Vec<(&str, String)> =
            self.fields.iter().map(|(name, value)| (*name, value.clone())).collect();
        let mut put = |name, value: &str| fields.push((name, value.to_owned()));
        put("Date", &http_wire::date::format(base::clock::unix_seconds()));
        put("Cache-Control", &cache);
        put("Content-Security-Policy", policy);
        put("X-Content-Type-Options", "nosniff");
        put("Referrer-Policy", "no-referrer");
        put("Cross-Origin-Resource-Policy", "same-origin");
        put("Cross-Origin-Opener-Policy", "same-origin");
        put("X-Frame-Options", if matches!(self.policy, Policy::Frame(_)) { "SAMEORIGIN" } else { "DENY" });
        let seconds = settings.strict_transport.as_secs();
        if seconds > 0 && client.is_some_and(|client| client.is_secure) {
            put("Strict-Transport-Security", &format!("max-age={seconds}"));
        }
        fields
    }
}
