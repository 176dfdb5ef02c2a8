//! The contract between a connection and the session that runs on it.
//!
//! A worker thread calls [`Session::on_event`] with each thing that happened. The session appends its answer to
//! [`Io::output`] and returns what it wants [`Next`]. Between two calls a session holds no thread and no buffer, so
//! an idle one costs its own size. Sessions may block on disk or directory inside `on_event`, never on the socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{ChannelBindings, ClientCertificate, Output};

/// One protocol session: what a server crate implements.
pub trait Session: Send {
    /// Reacts to one event. After `Event::Closed` the session is dropped and the returned value is ignored.
    fn on_event(&mut self, event: Event<'_>, io: &mut Io) -> Next;
}

/// What happened on a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The connection is accepted (and, with implicit TLS, encrypted): greet.
    Opened,
    /// One line without its CRLF. A line that ended in a bare LF arrives with `bare_lf`.
    Line { line: &'a [u8], bare_lf: bool },
    /// A line was longer than [`Io::line_limit`]; it was read and thrown away up to its LF. `start` is how it began.
    LineTooLong { start: &'a [u8] },
    /// Bytes of the content asked for with [`Next::Content`], in order; `last` closes the content.
    Content { bytes: &'a [u8], last: bool },
    /// Whatever arrived, after [`Next::Stream`]. Say how much was used with [`Io::consumed`]; the rest comes again
    /// with more, or as lines after another `Next`.
    Stream(&'a [u8]),
    /// After [`Next::Resume`]: the output queue has room again.
    Drained,
    /// The handshake asked for with [`Next::StartTls`] is done. Everything known before is to be forgotten.
    TlsStarted,
    /// After [`Next::Compress`]: what the peer sent cannot be decompressed, and nothing more can be read: say so.
    Garbled,
    /// A [`Waker`] of this session was used since the last event (once, however often it was used).
    Woken,
    /// A time limit passed. See [`Io::idle_timeout`], [`Io::deadline`], [`Next::Pause`].
    Timeout(TimeoutKind),
    /// The server is stopping: say goodbye and return [`Next::Close`], or [`Next::Same`] to finish what is under way.
    Draining,
    /// The peer is gone, or the connection failed. Nothing can be sent.
    Closed(CloseReason),
}

/// Which time limit passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutKind {
    /// Nothing was received for [`Io::idle_timeout`].
    Idle,
    /// [`Io::deadline`] was reached.
    Deadline,
    /// The time given with [`Next::Pause`] is over.
    Pause,
}

/// Why a connection ended without the session's asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed its end.
    Peer,
    /// The socket or TLS failed, or plain text was found behind STARTTLS.
    Failed,
    /// The peer did not read its answers for the stall time.
    Stalled,
}

/// What a session wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next line, at most [`Io::line_limit`] bytes.
    Line,
    /// Exactly so many bytes, in pieces. Zero gives one empty, last piece.
    Content(u64),
    /// Whatever arrives, as [`Event::Stream`].
    Stream,
    /// I have more to say: call me with [`Event::Drained`] when the output queue has room.
    Resume,
    /// Send what is queued in clear, then do a TLS handshake. Input that is already there closes the connection
    /// (RFC 3207 §6; nothing sent in clear is ever run under TLS).
    StartTls,
    /// Send what is queued as it is; everything after it, in both directions, is compressed with DEFLATE (RFC 4978), at
    /// this level: 1 is fast, 9 is small. Then lines, as with [`Next::Line`].
    Compress(u8),
    /// Read nothing and call with `Timeout(Pause)` after this time. Holds no thread.
    Pause(Duration),
    /// What was wanted before stays wanted (after `Woken`, `Draining`).
    Same,
    /// Send what is queued, then close.
    Close,
}

/// What TLS a connection has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsState {
    /// No TLS, and none can be started.
    Unavailable,
    /// No TLS yet, but `Next::StartTls` works.
    Available,
    /// Encrypted: protocol ("TLSv1.3"), cipher name, secret bits.
    Active { protocol: &'static str, cipher: String, bits: u32 },
}

impl TlsState {
    /// Whether the connection is encrypted.
    pub fn is_active(&self) -> bool {
        matches!(self, TlsState::Active { .. })
    }
}

/// Something that can be told to call a session with [`Event::Woken`].
pub trait WakeTarget: Send + Sync {
    /// Wakes the session that has this token; ignored when it is gone.
    fn wake(&self, token: u64);
}

/// Wakes one session from any thread. Cheap to clone; outliving the session is harmless.
#[derive(Clone)]
pub struct Waker {
    target: Arc<dyn WakeTarget>,
    token: u64,
}

impl Waker {
    /// A waker for the session known to `target` as `token`.
    pub fn new(target: Arc<dyn WakeTarget>, token: u64) -> Waker {
        Waker { target, token }
    }

    /// Has the session called with [`Event::Woken`] soon.
    pub fn wake(&self) {
        self.target.wake(self.token);
    }
}

struct Nobody;

impl WakeTarget for Nobody {
    fn wake(&self, _token: u64) {}
}

/// A session's side of its connection.
pub struct Io {
    /// What is to be sent.
    pub output: Output,
    /// The peer's address.
    pub peer: SocketAddr,
    /// Our address.
    pub local: SocketAddr,
    /// The listener's role, as the service gave it (for example: 25, 587 or 465).
    pub role: u16,
    /// Number of this session in its process, for logs.
    pub number: u64,
    /// TLS of this connection. Kept up to date by the connection.
    pub tls: TlsState,
    /// Whether [`Next::Compress`] was asked for. Kept up to date by the connection.
    pub is_compressed: bool,
    /// What a log-in can be bound to, until somebody is logged in.
    pub channel_bindings: Option<Box<ChannelBindings>>,
    /// Who the client is by its certificate, until somebody is logged in.
    pub client_certificate: Option<Box<ClientCertificate>>,
    /// Longest line accepted, without its CRLF, in bytes. The session may change it at any time.
    pub line_limit: usize,
    /// Silence after which `Timeout(Idle)` comes. Starts anew with every byte received and every event returned from.
    pub idle_timeout: Duration,
    /// Moment at which `Timeout(Deadline)` comes, once.
    pub deadline: Option<Instant>,
    /// Bytes received and sent so far (plain text: neither TLS records nor compressed).
    pub bytes_in: u64,
    /// See `bytes_in`.
    pub bytes_out: u64,
    /// True when complete input is waiting behind the present event (a pipelined command).
    pub more_input: bool,
    /// Who is logged in, for telemetry and last access; set with [`Io::set_user`], taken away with [`Io::forget_user`].
    pub user: Option<String>,
    /// While true, input lines go to telemetry as `<masked>` (credentials).
    pub mask_input: bool,
    /// What is sent goes to telemetry as `<masked>` (a new credential), until all of it is sent: then this is false again.
    pub mask_output: bool,
    /// While true, input does not go to telemetry by itself: the session says what does ([`Io::record`]).
    pub records_itself: bool,
    pub(crate) record: Vec<u8>,
    /// Who was logged in until now, and is not any more; until the connection has taken notice.
    pub(crate) former_user: Option<String>,
    consumed: usize,
    waker: Waker,
}

impl Io {
    /// A new connection's side, as a dispatcher makes it.
    pub fn new(
        peer: SocketAddr,
        local: SocketAddr,
        role: u16,
        number: u64,
        tls: TlsState,
        waker: Waker,
    ) -> Io {
        Io {
            output: Output::default(),
            peer,
            local,
            role,
            number,
            tls,
            is_compressed: false,
            channel_bindings: None,
            client_certificate: None,
            line_limit: 8192,
            idle_timeout: Duration::from_secs(600),
            deadline: None,
            bytes_in: 0,
            bytes_out: 0,
            more_input: false,
            user: None,
            mask_input: false,
            mask_output: false,
            records_itself: false,
            record: Vec::new(),
            former_user: None,
            consumed: 0,
            waker,
        }
    }

    /// A connection that leads nowhere, for tests of sessions with plain values.
    pub fn for_test() -> Io {
        let address = SocketAddr::from(([127, 0, 0, 1], 40000));
        Io::new(address, address, 0, 1, TlsState::Available, Waker::new(Arc::new(Nobody), 0))
    }

    /// A handle by which other threads wake this session.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Says how much of an `Event::Stream` was used. Not called: all of it.
    pub fn consumed(&mut self, bytes: usize) {
        self.consumed = bytes;
    }

    /// For connections: prepares for a `Stream` of `len` bytes.
    pub fn expect_consumption(&mut self, len: usize) {
        self.consumed = len;
    }

    /// For connections: how much of the last `Stream` was used.
    pub fn taken(&self) -> usize {
        self.consumed
    }

    /// Names the user of this session: from now on telemetry is written if the administrator asked for it (S105).
    pub fn set_user(&mut self, uid: &str) {
        if self.user.as_deref() != Some(uid) {
            self.forget_user();
        }
        self.former_user.take_if(|former| former == uid);
        self.user = Some(uid.to_owned());
        self.client_certificate = None;
        self.channel_bindings = None; // an idle session keeps nothing that it has no more use for
    }

    /// Nobody is logged in any more: what comes is of nobody, or of somebody else.
    pub fn forget_user(&mut self) {
        let user = self.user.take();
        if self.former_user.is_none() {
            self.former_user = user;
        }
    }

    /// For sessions that set [`Io::records_itself`]: what telemetry is to show as received, if it is written.
    pub fn record(&mut self, bytes: &[u8]) {
        self.record.extend_from_slice(bytes);
    }
}
