//! What a daemon tells the dispatcher: its listeners, its limits, and the service that opens sessions.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::network::Network;
use connection::Accessed;
use connection::telemetry::Recording;
use connection::{Certificates, Io, Session};

use crate::CrowdLimits;

/// What a server crate offers: a session for every connection.
pub trait Service: Send + Sync + 'static {
    /// The session for a connection that was just accepted. Called by a worker thread.
    fn open_session(&self, io: &Io) -> Box<dyn Session>;

    /// SIGHUP, after the certificates were read again. Called by a worker thread.
    fn reload(&self) {}
    /// Sessions have ended: what goes on beside them is brought to its end before this returns.
    fn stop(&self) {}
}

/// How TLS begins on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Plain,
    /// When the client asks for it, if there is a certificate.
    StartTls,
    /// At once.
    Implicit,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// How TLS begins.
    pub tls: TlsMode,
    /// What sessions see as `Io::role`.
    pub role: u16,
}

/// One Unix socket to listen on, in clear. Its mode says who may connect; the limits of networks are not for it, and sessions
/// see port 0 of the loopback address as their peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalListener {
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// What sessions see as `Io::role`.
    pub role: u16,
}

/// Question asked before each accept: how long to wait first (S49).
pub type AcceptDelay = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How one daemon is to be run.
#[derive(Clone)]
pub struct Settings {
    /// The service's name, as in `run/<service>.pid`: "imap".
    pub service: &'static str,
    /// The program's name: "imapd".
    pub program: &'static str,
    /// Where to listen.
    pub listeners: Vec<Listener>,
    /// Unix sockets; of a daemon with one process only.
    pub local: Vec<LocalListener>,
    /// Most worker threads (S98).
    pub max_threads: usize,
    /// Most sessions of one process; above it connections are not accepted (S102). `None`: as many as descriptors.
    pub max_sessions: Option<usize>,
    /// Processes that serve (S100).
    pub processes: usize,
    /// Name of the worker threads: `<thread_name>-1` and so on.
    pub thread_name: &'static str,
    /// All worker threads are started at once and stay (S20).
    pub fixed_threads: bool,
    /// Certificate chain and private key, both PEM files.
    pub certificate: Option<Certificates>,
    /// The protocol's name in ALPN (RFC 7301), if clients say one.
    pub alpn: Option<&'static str>,
    /// Whose sessions are to be recorded, and where (S105).
    pub telemetry: Option<Recording>,
    /// Who is told of users who log in and out.
    pub accessed: Option<Accessed>,
    /// Folder of the pid file.
    pub run_dir: PathBuf,
    /// What one network may do.
    pub crowd: CrowdLimits,
    /// Networks of proxies: each of their connections begins with a header of the PROXY protocol.
    pub proxies: Vec<Network>,
    /// What a client hears whose network has too many connections, line end included.
    pub too_many: &'static str,
    /// Asked before each accept.
    pub accept_delay: Option<AcceptDelay>,
    /// How long a peer may leave its answers unread.
    pub stall_timeout: Duration,
    /// How long sessions may go on after SIGTERM.
    pub drain_timeout: Duration,
}
