//! A name server for tests: records as a zone file has them, misbehaviour on demand, a log of queries to wait on.
//!
//! It answers like a recursive server, aliases followed, by UDP and TCP on one port of a loopback address. A name is
//! known when it, or a name below it, has a record; other names do not exist. The wire format is written out in
//! [`wire`], so that a mistake of the library in the product is not matched by the same mistake here.
//! It ends when it is dropped.

mod server;
pub mod wire;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use crate::instance::PATIENCE;
use wire::Kind;

pub use server::StubDns;

/// What it does with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers.
    Normal,
    /// Takes queries and says nothing.
    Silent,
    /// SERVFAIL to everything.
    ServFail,
    /// REFUSED to everything.
    Refused,
    /// By UDP nothing but the mark that the answer was cut; by TCP the answer.
    Truncated,
    /// By UDP nothing but that mark; TCP connections are closed.
    TruncatedWithoutTcp,
    /// Answers under another id.
    WrongId,
    /// Answers another question.
    WrongQuestion,
    /// Bytes that are no DNS message.
    Garbage,
    /// FORMERR without the question to a query with EDNS, as servers from before 1999 do (RFC 6891 §7).
    WithoutEdns,
    /// Negative answers lack the SOA record.
    WithoutSoa,
    /// Points to other servers instead of answering, as one that does not recurse.
    Referral,
    /// An alias alone, without what it leads to.
    BareAliases,
}

/// One query as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Lower case, no final dot.
    pub name: String,
    /// `MX`, `A` ...; `TYPE99` for what it has no word for.
    pub kind: String,
    pub tcp: bool,
    pub edns: bool,
    pub id: u16,
    pub from: SocketAddr,
}

/// What the answering threads and the test share.
pub(crate) struct Shared {
    state: Mutex<State>,
    asked: Condvar,
}

pub(crate) struct State {
    pub(crate) records: BTreeMap<String, Vec<Stored>>,
    pub(crate) behaviour: Behaviour,
    pub(crate) validates: bool,
    pub(crate) failing: Vec<String>,
    pub(crate) silent_below: Vec<String>,
    pub(crate) negative_ttl: u32,
    pub(crate) ended: bool,
    queries: Vec<Query>,
}

/// A record without its name.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) kind: Kind,
    pub(crate) ttl: u32,
    pub(crate) data: Vec<u8>,
}

impl Shared {
    pub(crate) fn new() -> Shared {
        let state = State {
            records: BTreeMap::new(),
            behaviour: Behaviour::Normal,
            validates: false,
            failing: Vec::new(),
            silent_below: Vec::new(),
            negative_ttl: 60,
            ended: false,
            queries: Vec::new(),
        };
        Shared { state: Mutex::new(state), asked: Condvar::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn note(&self, query: Query) {
        self.lock().queries.push(query);
        self.asked.notify_all();
    }
}

impl StubDns {
    /// A server without records on a free port of 127.0.0.1.
    pub fn start() -> StubDns {
        StubDns::start_at(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// A server with these records: name, type, TTL and data as in a zone file, names without a final dot.
    pub fn with(records: &[(&str, &str, u32, &str)]) -> StubDns {
        let stub = StubDns::start();
        stub.add_all(records);
        stub
    }

    /// One record more. A, AAAA, CNAME, PTR, NS, MX, TXT (the text as it is), TLSA (hexadecimal) and `TYPE<n>` (hexadecimal).
    pub fn add(&self, name: &str, kind: &str, ttl: u32, data: &str) {
        let kind = Kind::named(kind);
        let stored = Stored { kind, ttl, data: wire::data(kind, data) };
        self.shared().lock().records.entry(canonical(name)).or_default().push(stored);
    }

    pub fn add_all(&self, records: &[(&str, &str, u32, &str)]) {
        for (name, kind, ttl, data) in records {
            self.add(name, kind, *ttl, data);
        }
    }

    /// The name loses all its records.
    pub fn remove(&self, name: &str) {
        self.shared().lock().records.remove(&canonical(name));
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.shared().lock().behaviour = behaviour;
    }

    /// Whether it says of answers that it has validated them (the AD bit).
    pub fn validate(&self, validates: bool) {
        self.shared().lock().validates = validates;
    }

    /// SERVFAIL to every question about this name.
    pub fn fail(&self, name: &str) {
        self.shared().lock().failing.push(canonical(name));
    }

    /// Nothing is said to a question about what is below this name.
    pub fn silence_below(&self, name: &str) {
        self.shared().lock().silent_below.push(canonical(name));
    }

    /// How long "there is none" is good for; 60 seconds at first.
    pub fn set_negative_ttl(&self, seconds: u32) {
        self.shared().lock().negative_ttl = seconds;
    }

    /// The address as `service.smtp.dnsservers` has it.
    pub fn parameter(&self) -> String {
        self.address().to_string()
    }

    /// Every query so far.
    pub fn queries(&self) -> Vec<Query> {
        self.shared().lock().queries.clone()
    }

    pub fn forget_queries(&self) {
        self.shared().lock().queries.clear();
    }

    /// How often this was asked.
    pub fn count(&self, name: &str, kind: &str) -> usize {
        count(&self.shared().lock(), name, kind)
    }

    /// Waits until this was asked so often; the test fails when it never is.
    pub fn wait_for_queries(&self, name: &str, kind: &str, times: usize) {
        let give_up = Instant::now() + PATIENCE;
        let mut state = self.shared().lock();
        while count(&state, name, kind) < times {
            let left = give_up.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{name} {kind} was asked {} times, not {times}",
                count(&state, name, kind)
            );
            state = self.shared().asked.wait_timeout(state, left).unwrap().0;
        }
    }
}

fn count(state: &State, name: &str, kind: &str) -> usize {
    let name = canonical(name);
    state.queries.iter().filter(|query| query.name == name && query.kind == kind).count()
}

fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
