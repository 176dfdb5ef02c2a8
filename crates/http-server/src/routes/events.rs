//! Push: `GET /jmap/events?types=..&closeafter=..&ping=..` (RFC 8620 §7.3), server-sent events over a chunked body.
//!
//! An open stream is a value of a few hundred bytes and a watch in the store's table. It holds no thread; the store wakes it
//! when something of the account changed, its own silence when a ping is due.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use connection::Waker;
use jmap::{Watch, Who};
use serde_json::Value;

use crate::request::Request;
use crate::routes::jmap::who;
use crate::session::Desk;
use crate::visitor::{self, NotIn, Visitor};
use crate::web_sessions::Lifetime;
use crate::{Response, sign_in};

/// Streams of one user in one process.
const OF_USER_MAX: usize = 50;
/// Seconds between pings that a client may ask for; others become the nearest.
const PING_MIN: u64 = 5;
const PING_MAX: u64 = 900;
/// How often a stream without pings looks whether its sign-in still holds.
const LOOK_EVERY: Duration = Duration::from_secs(300);

/// Streams by user, each with a number.
type Table = HashMap<String, Vec<(u64, Waker)>>;

/// The streams of a process.
#[derive(Default)]
pub struct Streams(Arc<Mutex<Table>>);

/// Counts until it is dropped.
struct Place {
    table: Arc<Mutex<Table>>,
    uid: String,
    number: u64,
}

impl Streams {
    fn place(&self, uid: &str, waker: Waker) -> Option<Place> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_user = table.entry(uid.to_owned()).or_default();
        if of_user.len() >= OF_USER_MAX {
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        of_user.push((number, waker));
        Some(Place { table: Arc::clone(&self.0), uid: uid.to_owned(), number })
    }

    /// A sign-in of the user has ended: their streams look whether it was theirs. Those of other processes do so at their
    /// next event or ping.
    pub fn look_again(&self, uid: &str) {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, waker) in table.get(uid).into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_user) = table.get_mut(&self.uid) {
            of_user.retain(|(number, _)| *number != self.number);
            if of_user.is_empty() {
                table.remove(&self.uid);
            }
        }
    }
}

/// An open stream.
pub struct Stream {
    who: Who,
    visitor: Arc<Visitor>,
    lifetime: Lifetime,
    /// What was stored of the password of who said it with the request.
    mark: Option<[u8; 32]>,
    /// Empty: all.
    types: Vec<String>,
    /// It ends with the first change.
    closes: bool,
    /// Zero: none.
    ping: Duration,
    /// The states that the client knows.
    known: String,
    watch: Watch,
    _place: Place,
}

/// What is to be sent, and whether the stream goes on.
pub struct Events {
    pub text: String,
    pub last: bool,
}

/// Opens a stream, with what is to be said at once.
///
/// # Errors
/// The response: the query is wrong, or there are too many.
pub fn open(desk: &Desk, request: &Request, waker: Waker) -> Result<(Stream, Events), Response> {
    let visitor = request.visitor.clone().ok_or_else(sign_in::wanted)?;
    let wrong = |why| Response::plain_problem(400, why);
    let types = request.query("types").unwrap_or_else(|| "*".to_owned());
    let types: Vec<String> =
        types.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let all = types.is_empty() || types.iter().any(|name| name == "*");
    let closes = match request.query("closeafter").as_deref() {
        None | Some("" | "no") => false,
        Some("state") => true,
        Some(_) => return Err(wrong("closeafter is state or no")),
    };
    let ping = match request.query("ping").as_deref() {
        None | Some("" | "0") => 0,
        Some(text) => {
            let seconds: u64 = text.parse().map_err(|_| wrong("ping is a number of seconds"))?;
            seconds.clamp(PING_MIN, PING_MAX)
        }
    };
    let place = desk.streams.place(&visitor.uid, waker.clone()).ok_or_else(|| {
        Response::plain_problem(429, "too many streams of this user").with("Retry-After", "30")
    })?;
    let mark = match visitor.session {
        Some(_) => None,
        None => {
            let directory = desk.log_ins.authenticator().directory();
            Some(visitor::mark(directory.as_ref(), &visitor.entry).map_err(|_| sign_in::unavailable())?)
        }
    };
    let who = who(&visitor, request);
    let watch = desk.jmap.watch(&who, move || waker.wake()); // before the states are read: none is missed
    let mut stream = Stream {
        who,
        visitor,
        lifetime: request.settings.session,
        mark,
        types: if all { Vec::new() } else { types },
        closes,
        ping: Duration::from_secs(ping),
        known: request.head.field("last-event-id").unwrap_or_default().to_owned(),
        watch,
        _place: place,
    };
    let (states, id) = stream.states(desk);
    // Who closes after a state has read it somewhere else just now; a client that comes back is told what it missed.
    let told =
        if stream.closes { !stream.known.is_empty() && stream.known != id } else { stream.known != id };
    stream.known = id;
    let text = if told { stream.event(&states) } else { ":\n\n".to_owned() };
    let last = told && stream.closes;
    Ok((stream, Events { text, last }))
}

impl Stream {
    /// Silence after which [`Stream::silent`] is to be called.
    pub fn silence(&self) -> Duration {
        if self.ping.is_zero() { LOOK_EVERY } else { self.ping }
    }

    /// Something may have changed: nothing to say when it has not.
    pub fn look(&mut self, desk: &Desk) -> Option<Events> {
        if !self.holds(desk) {
            return Some(Events { text: String::new(), last: true });
        }
        self.watch.renew(&desk.jmap, &self.who);
        let (states, id) = self.states(desk);
        if id == self.known {
            return None;
        }
        self.known = id;
        Some(Events { text: self.event(&states), last: self.closes })
    }

    /// Nothing was said for a while.
    pub fn silent(&self, desk: &Desk) -> Events {
        let text = if self.ping.is_zero() {
            String::new()
        } else {
            format!("event: ping\ndata: {{\"interval\":{}}}\n\n", self.ping.as_secs())
        };
        Events { text, last: !self.holds(desk) }
    }

    /// Whether who listens could still ask: as at a request, but that listening is no use of the session.
    fn holds(&self, desk: &Desk) -> bool {
        let directory = desk.log_ins.authenticator().directory().clone();
        let (visitor, entries) = (&self.visitor, &desk.entries);
        if let Some(mark) = &self.mark {
            return visitor::listens_on(&visitor.uid, mark, directory.as_ref(), entries);
        }
        let Some(session) = desk.sessions.find(&visitor.cookie, self.lifetime) else { return false };
        let found = visitor::entry_of(&visitor.cookie, &session, &desk.sessions, directory.as_ref(), entries);
        !matches!(found, Err(NotIn::SignIn))
    }

    /// The states of the types that are wanted, and a name for them.
    fn states(&self, desk: &Desk) -> (Value, String) {
        let types: Vec<&str> = self.types.iter().map(String::as_str).collect();
        let states = desk.jmap.states(&self.who, &types);
        let digest = openssl::sha::sha256(states.to_string().as_bytes());
        let id = base::hex::encode(&digest[..12]);
        (states, id)
    }

    fn event(&self, states: &Value) -> String {
        format!("event: state\nid: {}\ndata: {states}\n\n", self.known)
    }
}
