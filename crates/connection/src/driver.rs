//! The life of one connection, driven by whichever worker holds it.
//!
//! [`Connection::drive`] goes on until nothing can be done without the peer: it hands every complete input to the
//! session, then sends all answers in as few writes as possible, then reads again. The socket is registered once,
//! edge triggered, for both directions, so readiness is remembered here: a bit is cleared only when an operation
//! found the socket unready, and an operation is tried only when the bit it waits for is set. Under TLS a read may
//! wait for writing and the reverse.
//!
//! Between two drives a connection holds no thread and no buffer, except for what the peer has not read yet and the
//! beginning of a line.

mod preface;
mod reading;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use counters::Counter;
use mio::net::TcpStream;

use crate::compression::{Compression, Deflater};
use crate::input::{Input, READ_BYTES};
use crate::telemetry::{Tap, Telemetry};
use crate::tls::Tls;
use crate::transport::Transport;
use crate::{CloseReason, Event, Io, Next, Session, TimeoutKind};
use preface::Preface;

pub use crate::transport::{READABLE, WRITABLE};
pub use preface::{Admission, Admit};

/// The peer closed its end or the socket has an error; comes with [`READABLE`] and [`WRITABLE`].
pub const HANGUP: u8 = 4;
/// A waker was used.
pub const WOKEN: u8 = 8;
/// The server is stopping.
pub const DRAINING: u8 = 16;
/// [`Connection::due`] may have passed.
pub const TIMER: u8 = 32;
/// The connection must end now.
pub const KILL: u8 = 64;

/// A handshake that takes longer is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// Events after which other connections have their turn.
const TURN_EVENTS: u32 = 64;
/// Bytes received and sent after which other connections have their turn.
const TURN_BYTES: u64 = 256 * 1024;
/// Capacity from which a lent output buffer is not kept by the worker.
const OUTPUT_KEPT_BYTES: usize = 256 * 1024;

/// What a user does with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    LogIn,
    LogOut,
}

/// Told of each log-in, and of each end of what followed, with the user's uid.
pub type Accessed = Arc<dyn Fn(Access, &str) + Send + Sync>;

/// What all connections of a process share.
pub struct Environment {
    /// Certificates.
    pub tls: Tls,
    /// Whose connections are recorded, and where.
    pub telemetry: Option<Telemetry>,
    /// Who is told of users who come and go.
    pub accessed: Option<Accessed>,
    /// How long a peer may leave its answers unread.
    pub stall_timeout: Duration,
}

/// Buffers of a worker, lent to the connection it drives.
pub struct Scratch {
    input: Vec<u8>,
    output: Vec<u8>,
    deflater: Option<Deflater>,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch { input: vec![0; READ_BYTES], output: Vec::with_capacity(4096), deflater: None }
    }
}

/// What is to become of a connection after a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Keep it until one of [`Connection::wants`] happens or [`Connection::due`] passes.
    Wait,
    /// It had its turn and has more to do: to the back of the queue.
    Again,
    /// Drop it.
    Finished,
}

/// What input the session waits for.
#[derive(Clone, Copy)]
enum Want {
    Line,
    Content(u64),
    /// With the number of bytes that the session saw and left.
    Stream(usize),
}

/// What comes before input is looked at.
#[derive(Clone, Copy)]
enum Phase {
    /// A proxy is to say whose connection it is.
    Preface(Instant),
    /// The session is to be told that it is open.
    Opening,
    /// A handshake; `first`: the session does not know of the connection yet.
    Handshake {
        since: Instant,
        first: bool,
    },
    /// Nothing: input is wanted.
    Input,
    Resume,
    Pause(Instant),
    StartTls,
    Compress(u8),
    Close,
    /// All is sent and said; the peer is still sending.
    Linger(Instant),
}

/// Whether the drive goes on.
enum Flow {
    Go,
    Stop(Outcome),
}

/// One accepted connection with its session.
pub struct Connection {
    transport: Transport,
    session: Box<dyn Session>,
    /// What is known of a proxy's header; only in its phase.
    preface: Option<Box<Preface>>,
    io: Io,
    environment: Arc<Environment>,
    compression: Option<Box<Compression>>,
    input: Input,
    want: Want,
    phase: Phase,
    /// Directions in which the socket may be ready.
    ready: u8,
    /// Readiness that the next read waits for; zero: none.
    read_wait: u8,
    /// Readiness that the next write waits for; zero: none.
    write_wait: u8,
    /// WOKEN, DRAINING, TIMER and KILL that were not acted upon yet.
    signals: u8,
    hangup: bool,
    /// The peer closed its end; what is queued is still sent.
    eof: bool,
    tap: Option<Box<Tap>>,
    /// Who is logged in was told, and their telemetry is open, if there is any.
    is_user_known: bool,
    now: Instant,
    active: Instant,
    /// When sending last succeeded or began to wait.
    progress: Instant,
    events_left: u32,
    turn_ends_at: u64,
    lingered: usize,
}

impl Connection {
    /// A connection that was just accepted. `implicit_tls`: the handshake comes first.
    pub fn new(
        socket: TcpStream,
        io: Io,
        session: Box<dyn Session>,
        environment: Arc<Environment>,
        implicit_tls: bool,
    ) -> Connection {
        let now = Instant::now();
        let mut connection = Connection {
            transport: Transport::Plain(socket),
            session,
            preface: None,
            io,
            environment,
            compression: None,
            input: Input::default(),
            want: Want::Line,
            phase: Phase::Opening,
            ready: WRITABLE,
            read_wait: READABLE, // registering with the poll reports what is already there
            write_wait: 0,
            signals: 0,
            hangup: false,
            eof: false,
            tap: None,
            is_user_known: false,
            now,
            active: now,
            progress: now,
            events_left: 0,
            turn_ends_at: 0,
            lingered: 0,
        };
        if implicit_tls {
            connection.begin_tls();
        }
        connection
    }

    /// The handshake comes before the session knows of the connection.
    fn begin_tls(&mut self) {
        self.phase = Phase::Handshake { since: self.now, first: true };
        let context = self.environment.tls.context();
        if !context.is_some_and(|context| self.transport.start_tls(&context)) {
            self.signals |= KILL;
        }
    }

    /// Whether nothing waits for the peer's reading.
    fn is_all_sent(&self) -> bool {
        let packed = self.compression.as_ref().is_some_and(|compression| !compression.packed().is_empty());
        self.io.output.is_empty() && !packed
    }

    /// The session's side, for log lines.
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// The bits that make it worth while to drive this connection.
    pub fn wants(&self) -> u8 {
        let write = if self.is_all_sent() { 0 } else { self.write_wait };
        let bits = match self.phase {
            Phase::Preface(_) => READABLE,
            Phase::Opening => READABLE | WRITABLE,
            Phase::Handshake { .. } => self.read_wait,
            Phase::Close | Phase::StartTls | Phase::Compress(_) | Phase::Resume => write,
            Phase::Linger(_) => READABLE,
            Phase::Pause(_) => write | WOKEN | DRAINING,
            Phase::Input if self.eof || self.io.output.is_full() => write | WOKEN | DRAINING,
            Phase::Input => write | self.read_wait | WOKEN | DRAINING,
        };
        bits | TIMER | KILL
    }

    /// Remembers what happened without acting on it.
    pub fn note(&mut self, bits: u8) {
        self.ready |= bits & (READABLE | WRITABLE);
        self.hangup |= bits & HANGUP != 0;
        self.signals |= bits & (WOKEN | DRAINING | TIMER | KILL);
    }

    /// The moment from which a drive with [`TIMER`] is needed.
    pub fn due(&self) -> Option<Instant> {
        let stall = || self.progress.checked_add(self.environment.stall_timeout);
        let first = match self.phase {
            Phase::Preface(since) => return since.checked_add(preface::TIMEOUT),
            Phase::Handshake { since, .. } => return since.checked_add(HANDSHAKE_TIMEOUT),
            Phase::Linger(until) => return Some(until),
            Phase::Close | Phase::StartTls | Phase::Compress(_) => return stall(),
            Phase::Pause(until) if self.is_all_sent() => Some(until),
            Phase::Pause(until) => stall().map(|stall| stall.min(until)),
            _ if !self.is_all_sent() => stall(),
            _ => self.active.checked_add(self.io.idle_timeout),
        };
        match (first, self.io.deadline) {
            (Some(first), Some(deadline)) => Some(first.min(deadline)),
            (first, deadline) => first.or(deadline),
        }
    }

    /// Goes on with this connection after `bits` happened. The caller owns it meanwhile.
    pub fn drive(&mut self, bits: u8, scratch: &mut Scratch) -> Outcome {
        self.note(bits);
        self.now = Instant::now();
        let (received, sent) = (self.io.bytes_in, self.io.bytes_out);
        self.events_left = TURN_EVENTS;
        self.turn_ends_at = self.moved().saturating_add(TURN_BYTES);
        self.input.lend(&mut scratch.input);
        self.io.output.lend(&mut scratch.output);
        if let Some(compression) = &mut self.compression {
            compression.lend(&mut scratch.deflater);
        }
        let outcome = loop {
            if let Flow::Stop(outcome) = self.step() {
                break outcome;
            }
        };
        counters::add(Counter::BytesReceived, self.io.bytes_in.saturating_sub(received));
        counters::add(Counter::BytesSent, self.io.bytes_out.saturating_sub(sent));
        if self.events_left < TURN_EVENTS {
            self.active = Instant::now();
        }
        self.input.reclaim(&mut scratch.input);
        self.io.output.reclaim(&mut scratch.output);
        if let Some(compression) = &mut self.compression {
            compression.reclaim(&mut scratch.deflater);
        }
        if scratch.input.is_empty() {
            scratch.input = vec![0; READ_BYTES];
        }
        if scratch.output.capacity() > OUTPUT_KEPT_BYTES {
            scratch.output = Vec::new();
        }
        outcome
    }

    fn moved(&self) -> u64 {
        // What is compressed counts beside what it becomes: it is work, even when it becomes nothing.
        let packed = self.compression.as_ref().map_or(0, |compression| compression.bytes_in);
        self.io.bytes_in.saturating_add(self.io.bytes_out).saturating_add(packed)
    }

    fn turn_is_over(&self) -> bool {
        self.events_left == 0 || self.moved() >= self.turn_ends_at
    }

    fn step(&mut self) -> Flow {
        if self.signals & KILL != 0 {
            return self.end(CloseReason::Failed);
        }
        if self.signals & TIMER != 0 {
            if self.due().is_some_and(|due| due <= self.now) {
                return self.expire();
            }
            self.signals &= !TIMER;
        }
        match self.phase {
            Phase::Preface(_) => self.read_preface(),
            Phase::Opening => self.event(Event::Opened, false),
            Phase::Handshake { first, .. } => self.handshake(first),
            Phase::StartTls => self.start_tls(),
            Phase::Compress(level) => self.compress(level),
            Phase::Close => self.close(),
            Phase::Linger(_) => self.linger(),
            Phase::Resume => self.resume(),
            Phase::Pause(_) => self.signal().unwrap_or_else(|| self.pause()),
            Phase::Input => self.signal().unwrap_or_else(|| self.input()),
        }
    }

    /// Tells the session what others want of it, when there is room for its answer.
    fn signal(&mut self) -> Option<Flow> {
        if self.signals & (WOKEN | DRAINING) == 0 || self.io.output.is_full() || self.turn_is_over() {
            return None;
        }
        if self.signals & WOKEN != 0 {
            self.signals &= !WOKEN;
            return Some(self.event(Event::Woken, true));
        }
        self.signals &= !DRAINING;
        Some(self.event(Event::Draining, true))
    }

    /// A time limit has passed.
    fn expire(&mut self) -> Flow {
        let passed = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= self.now);
        match self.phase {
            Phase::Preface(_) => return self.refuse_preface("no PROXY header in time"),
            Phase::Handshake { .. } => return self.end(CloseReason::Failed),
            Phase::Close | Phase::Linger(_) => return Flow::Stop(Outcome::Finished),
            Phase::StartTls | Phase::Compress(_) => return self.end(CloseReason::Stalled),
            _ => {}
        }
        if !self.is_all_sent() && passed(self.progress.checked_add(self.environment.stall_timeout)) {
            return self.end(CloseReason::Stalled);
        }
        if let Phase::Pause(until) = self.phase {
            if until <= self.now {
                return self.event(Event::Timeout(TimeoutKind::Pause), false);
            }
        }
        if passed(self.io.deadline) {
            self.io.deadline = None;
            return self.event(Event::Timeout(TimeoutKind::Deadline), true);
        }
        self.active = self.now;
        self.event(Event::Timeout(TimeoutKind::Idle), true)
    }

    /// Hands an event without input to the session. `aside`: `Next::Same` leaves the phase as it is.
    fn event(&mut self, event: Event<'_>, aside: bool) -> Flow {
        self.io.more_input = self.input.has_line();
        let next = self.session.on_event(event, &mut self.io);
        self.apply(next, aside)
    }

    /// Does what the session wants next.
    fn apply(&mut self, next: Next, aside: bool) -> Flow {
        self.events_left = self.events_left.saturating_sub(1);
        if let Some(former) = self.io.former_user.take() {
            // Nobody is logged in any more, or somebody else; who comes next has a record of their own.
            (self.tap, self.is_user_known) = (None, false);
            self.tell(Access::LogOut, &former);
        }
        if self.io.user.is_some() && !self.is_user_known {
            self.know_user();
        }
        if !self.io.record.is_empty() {
            let said = std::mem::take(&mut self.io.record);
            if let Some(tap) = &mut self.tap {
                tap.received(&said);
            }
        }
        let (phase, want) = match next {
            Next::Same if aside => (self.phase, self.want),
            Next::Same => (Phase::Input, self.want),
            Next::Line => (Phase::Input, Want::Line),
            Next::Content(count) => (Phase::Input, Want::Content(count)),
            Next::Stream => match self.want {
                Want::Stream(seen) => (Phase::Input, Want::Stream(seen)),
                _ => (Phase::Input, Want::Stream(0)),
            },
            Next::Resume => (Phase::Resume, self.want),
            Next::StartTls => (Phase::StartTls, self.want),
            Next::Compress(level) => (Phase::Compress(level), Want::Line),
            Next::Pause(time) => {
                let now = Instant::now();
                (Phase::Pause(now.checked_add(time).unwrap_or(now)), self.want)
            }
            Next::Close => (Phase::Close, self.want),
        };
        (self.phase, self.want) = (phase, want);
        Flow::Go
    }

    fn know_user(&mut self) {
        self.is_user_known = true;
        let Some(user) = &self.io.user else { return };
        self.tell(Access::LogIn, user);
        if let Some(telemetry) = &self.environment.telemetry {
            self.tap = telemetry.open(user).map(Box::new);
        }
    }

    fn tell(&self, access: Access, user: &str) {
        if let Some(accessed) = &self.environment.accessed {
            accessed(access, user);
        }
    }

    /// Ends the connection without the session's asking.
    fn end(&mut self, reason: CloseReason) -> Flow {
        if !matches!(self.phase, Phase::Close | Phase::Linger(_)) {
            let _ = self.session.on_event(Event::Closed(reason), &mut self.io);
        }
        if reason == CloseReason::Peer {
            self.transport.shutdown(false);
        }
        Flow::Stop(Outcome::Finished)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(user) = self.io.user.as_deref().filter(|_| self.is_user_known) {
            self.tell(Access::LogOut, user);
        }
    }
}
