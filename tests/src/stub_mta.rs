//! Another host's mail server, scripted: what it says at each step, when it is slow, silent or gone.
//!
//! Without rules it is a decent server that takes everything. A rule replaces what it says at a step:
//!
//! ```no_run
//! use black_box::{Act, Step, StubMta};
//! let mx = StubMta::new()
//!     .offers(&["PIPELINING", "8BITMIME"])
//!     .on_text(Step::Rcpt, "<nobody@", &[Act::say("550 5.1.1 no such user")])
//!     .once(Step::Content, &[Act::say("451 4.3.0 not now")])
//!     .start();
//! // ... let something send mail to mx.address() ...
//! let messages = mx.wait_for(2);
//! ```
//!
//! Whether a command was taken follows from the code that was said. Everything the client said is kept.

mod session;

use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openssl::ssl::SslAcceptor;

use crate::Certificate;
use crate::instance::PATIENCE;

/// Where in the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Greeting,
    /// EHLO, HELO, LHLO.
    Hello,
    StartTls,
    /// The answer to the whole AUTH exchange.
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The content has been read: the final dot, or one BDAT. With LMTP once for each recipient, matched by it.
    Content,
    Reset,
    Quit,
    /// Any other command.
    Other,
}

/// What the server does at a step.
#[derive(Clone, Debug)]
pub enum Act {
    /// Lines, separated by `\n`, sent with CRLF.
    Say(String),
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// One byte at a time, so far apart, until they are all sent or the client has gone.
    Drip(Vec<u8>, Duration),
    /// Nothing happens for so long.
    Wait(Duration),
    /// Until the client has sent this text behind what was read so far.
    Await(String),
    /// Nothing happens until the test says [`StubMta::release`].
    Held,
    /// Says and reads nothing until the client has gone or the stub ends.
    Silence,
    /// Closes the connection.
    Close,
}

impl Act {
    /// See [`Act::Say`].
    pub fn say(text: &str) -> Act {
        Act::Say(text.to_owned())
    }
}

/// One message that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The name in EHLO.
    pub hello: String,
    /// The line of MAIL.
    pub mail: String,
    /// The lines of the RCPTs that were taken.
    pub rcpts: Vec<String>,
    /// With dots taken off. Empty when the stub discards it.
    pub content: Vec<u8>,
    /// Bytes of the content.
    pub size: usize,
    /// It came under TLS.
    pub tls: bool,
    /// How many BDATs it came in; 0 for DATA.
    pub chunks: usize,
    /// The number of the connection, from 1.
    pub connection: usize,
}

impl Received {
    /// The address in MAIL.
    pub fn sender(&self) -> String {
        in_angles(&self.mail)
    }

    /// The addresses of the RCPTs that were taken.
    pub fn recipients(&self) -> Vec<String> {
        self.rcpts.iter().map(|line| in_angles(line)).collect()
    }

    /// The content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

fn in_angles(line: &str) -> String {
    let (_, behind) = line.split_once('<').unwrap();
    behind.split_once('>').unwrap().0.to_owned()
}

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Messages in the order of their 250.
    pub received: Vec<Received>,
    /// Every command line of all connections.
    pub commands: Vec<String>,
    /// Connections that were accepted.
    pub connections: usize,
    /// Connections that are open.
    pub open: usize,
    /// The most command lines that the client had sent beyond the one being answered.
    pub ahead_max: usize,
}

#[derive(Clone)]
struct Rule {
    step: Step,
    text: String,
    left: Option<usize>,
    acts: Vec<Act>,
}

struct Shared {
    offers: Vec<String>,
    tls: Option<SslAcceptor>,
    implicit: bool,
    lmtp: bool,
    discards: bool,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Seen>,
    changed: Condvar,
    sockets: Mutex<Vec<TcpStream>>,
    stopping: AtomicBool,
    released: AtomicBool,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.changed.notify_all();
    }

    /// The first rule for this step and line that is not used up.
    fn acts(&self, step: Step, line: &str) -> Option<Vec<Act>> {
        let mut rules = self.rules.lock().unwrap();
        let fits = |rule: &&mut Rule| rule.step == step && line.contains(&rule.text) && rule.left != Some(0);
        let rule = rules.iter_mut().find(fits)?;
        rule.left = rule.left.map(|left| left - 1);
        Some(rule.acts.clone())
    }
}

/// A server that is being described.
pub struct Script {
    address: SocketAddr,
    offers: Vec<String>,
    tls: Option<SslAcceptor>,
    implicit: bool,
    lmtp: bool,
    discards: bool,
    rules: Vec<Rule>,
}

/// A server that runs, until it is dropped.
pub struct StubMta {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl StubMta {
    /// A server on some port of 127.0.0.1 that offers PIPELINING, 8BITMIME, ENHANCEDSTATUSCODES and SIZE.
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> Script {
        Script {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            offers: ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE"].map(str::to_owned).to_vec(),
            tls: None,
            implicit: false,
            lmtp: false,
            discards: false,
            rules: Vec::new(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened so far.
    pub fn seen(&self) -> Seen {
        self.shared.seen().clone()
    }

    /// Adds a rule that comes before all others, while it runs.
    pub fn from_now_on(&self, step: Step, acts: &[Act]) {
        let rule = Rule { step, text: String::new(), left: None, acts: acts.to_vec() };
        self.shared.rules.lock().unwrap().insert(0, rule);
    }

    /// Whoever is held goes on, and nobody is from now on.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
    }

    /// Waits until it has taken so many messages, and gives all of them; the test fails when they do not come.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_until(&format!("{count} messages"), |seen| seen.received.len() >= count).received
    }

    /// Waits until something has happened.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&Seen) -> bool) -> Seen {
        let give_up = Instant::now() + PATIENCE;
        let mut seen = self.shared.seen();
        while !condition(&seen) {
            let left = give_up.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the stub waited in vain for {what}; seen: {seen:?}");
            seen = self.shared.changed.wait_timeout(seen, left).unwrap().0;
        }
        seen.clone()
    }
}

impl Drop for StubMta {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        for socket in self.shared.sockets.lock().unwrap().iter() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)); // wakes accept
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Script {
    /// Listens here instead.
    pub fn at(mut self, address: SocketAddr) -> Script {
        self.address = address;
        self
    }

    /// The lines of the answer to EHLO behind the host's name, instead of the usual ones.
    pub fn offers(mut self, keywords: &[&str]) -> Script {
        self.offers = keywords.iter().map(|keyword| (*keyword).to_owned()).collect();
        self
    }

    /// Offers STARTTLS too, with this certificate. (STARTTLS among the offers without one: it closes after its 220.)
    pub fn tls(mut self, certificate: &Certificate) -> Script {
        self.tls = Some(certificate.acceptor());
        self
    }

    /// TLS from the first byte on, with this certificate (RFC 8314).
    pub fn implicit_tls(mut self, certificate: &Certificate) -> Script {
        self.implicit = true;
        self.tls(certificate)
    }

    /// Speaks LMTP (RFC 2033).
    pub fn lmtp(mut self) -> Script {
        self.lmtp = true;
        self
    }

    /// Counts the bytes of contents and keeps none.
    pub fn discard_content(mut self) -> Script {
        self.discards = true;
        self
    }

    /// Does this every time at a step.
    pub fn on(self, step: Step, acts: &[Act]) -> Script {
        self.on_text(step, "", acts)
    }

    /// Does this at a step when the command's line contains a text.
    pub fn on_text(self, step: Step, text: &str, acts: &[Act]) -> Script {
        self.rule(step, text, None, acts)
    }

    /// Does this the first time at a step; the next rule or the usual reply comes after that.
    pub fn once(self, step: Step, acts: &[Act]) -> Script {
        self.rule(step, "", Some(1), acts)
    }

    fn rule(mut self, step: Step, text: &str, left: Option<usize>, acts: &[Act]) -> Script {
        self.rules.push(Rule { step, text: text.to_owned(), left, acts: acts.to_vec() });
        self
    }

    /// Begins to listen.
    pub fn start(self) -> StubMta {
        let listener = TcpListener::bind(self.address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            offers: self.offers,
            tls: self.tls,
            implicit: self.implicit,
            lmtp: self.lmtp,
            discards: self.discards,
            rules: Mutex::new(self.rules),
            seen: Mutex::default(),
            changed: Condvar::new(),
            sockets: Mutex::default(),
            stopping: AtomicBool::new(false),
            released: AtomicBool::new(false),
        });
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        StubMta { address, shared, acceptor: Some(acceptor) }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut sessions = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        shared.sockets.lock().unwrap().push(stream.try_clone().unwrap());
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        let shared = Arc::clone(shared);
        sessions.push(std::thread::spawn(move || {
            let mut number = 0;
            shared.note(|seen| {
                seen.connections += 1;
                seen.open += 1;
                number = seen.connections;
            });
            session::run(stream, &shared, number);
            shared.note(|seen| seen.open -= 1);
        }));
    }
    for session in sessions {
        let _ = session.join();
    }
}
