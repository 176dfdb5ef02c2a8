//! Where a connection is: in its slot, with a worker, or gone.
//!
//! Workers that hear of it, the event loop and wakers take a connection out of its slot; the worker that drives it puts it
//! back. What happens meanwhile is remembered in the slot, so nobody else is needed for giving back.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base::network::Network;
use connection::driver::TIMER;
use connection::{
    Admission, Admit, Connection, Environment, Io, Outcome, Scratch, TlsState, WakeTarget, Waker, driver,
};
use counters::Counter;
use mio::net::TcpStream;

use crate::crowd::{Crowd, Entry, Origin};
use crate::pool::Pool;
use crate::refreshed::Refreshed;
use crate::serve::LOCAL_PEER;
use crate::shared::Shared;
use crate::{Service, TlsMode};
use server_log::{Category, Log};

/// What a worker is asked to do.
pub enum Job {
    /// Open a session for a socket that was just accepted.
    Open(Arc<Slot>, TcpStream, SocketAddr, TlsMode, u16),
    /// Go on with a connection.
    Drive(Arc<Slot>, Box<Connection>, u8),
    /// SIGHUP.
    Reload,
}

enum Place {
    Here(Box<Connection>),
    Out,
    Gone,
}

struct State {
    place: Place,
    /// What happened while the connection was out.
    pending: u8,
    /// The tick for which the wheel holds a timer.
    armed: u64,
    /// Where the connection comes from, if it is counted.
    origin: Option<Origin>,
}

/// The place of one connection; also what its wakers point to.
pub struct Slot {
    pub index: usize,
    pub number: u64,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

/// No timer is armed.
pub const UNARMED: u64 = u64::MAX;

impl Slot {
    /// A slot whose connection is about to be opened by a worker.
    pub fn new(
        index: usize,
        number: u64,
        shared: Arc<Shared>,
        armed: u64,
        origin: Option<Origin>,
    ) -> Arc<Slot> {
        Arc::new(Slot {
            index,
            number,
            shared,
            state: Mutex::new(State { place: Place::Out, pending: 0, armed, origin }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection is counted there.
    pub fn count(&self, origin: Origin) {
        self.lock().origin = Some(origin);
    }

    /// Where it was counted; once.
    pub fn take_origin(&self) -> Option<Origin> {
        self.lock().origin.take()
    }

    /// `bits` happened: the job that follows from it, if the connection is here and cares.
    pub fn happened(self: &Arc<Self>, bits: u8) -> Option<Job> {
        let mut state = self.lock();
        match std::mem::replace(&mut state.place, Place::Out) {
            Place::Here(connection) if connection.wants() & bits != 0 => {
                drop(state);
                Some(Job::Drive(self.clone(), connection, bits))
            }
            Place::Here(mut connection) => {
                connection.note(bits);
                state.place = Place::Here(connection);
                None
            }
            Place::Out => {
                state.pending |= bits;
                None
            }
            Place::Gone => {
                state.place = Place::Gone;
                None
            }
        }
    }

    /// The wheel's timer for `tick` came. Either the connection is due, or the timer is armed anew (the tick returned).
    pub fn timer_came(self: &Arc<Self>, tick: u64, now: u64) -> (Option<Job>, Option<u64>) {
        let mut state = self.lock();
        if state.armed != tick {
            return (None, None); // a stale one
        }
        state.armed = UNARMED;
        let Place::Here(connection) = &state.place else { return (None, None) }; // armed when given back
        let Some(due) = connection.due().map(|due| self.shared.tick_of(due)) else { return (None, None) };
        if due > now {
            state.armed = due;
            return (None, Some(due));
        }
        drop(state);
        (self.happened(TIMER), None)
    }

    /// Puts a connection back after a drive. `Err`: something happened meanwhile that it waits for.
    fn give_back(&self, mut connection: Box<Connection>) -> Result<(), (Box<Connection>, u8)> {
        let mut state = self.lock();
        let pending = std::mem::take(&mut state.pending);
        if pending & connection.wants() != 0 {
            return Err((connection, pending));
        }
        connection.note(pending);
        let due = connection.due().map_or(UNARMED, |due| self.shared.tick_of(due));
        let arm = due < state.armed;
        if arm {
            state.armed = due;
        }
        state.place = Place::Here(connection);
        drop(state);
        if arm {
            self.shared.arm(self.index, self.number, due);
        }
        Ok(())
    }

    fn gone(&self) {
        self.lock().place = Place::Gone;
        self.shared.finished(self.index);
    }
}

impl WakeTarget for Slot {
    fn wake(&self, _token: u64) {
        // The slot belongs to one connection for ever, so a late waker finds it gone.
        if let Some(slot) = self.shared.own(self) {
            if let Some(job) = slot.happened(driver::WOKEN) {
                self.shared.push_one(job);
            }
        }
    }
}

/// Why a network's connection is refused, for the log.
pub const TOO_MANY: &str = "too many connections from its network, or too fast";

/// The crowd is shared with the event loop.
pub fn lock(crowd: &Mutex<Crowd>) -> MutexGuard<'_, Crowd> {
    crowd.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every worker thread needs.
pub struct Desk {
    pub service: Arc<dyn Service>,
    pub environment: Arc<Environment>,
    pub log: Log,
    pub refreshed: Refreshed,
    pub proxies: Vec<Network>,
    pub crowd: Arc<Mutex<Crowd>>,
    /// What a client hears whose network has too many connections.
    pub too_many: &'static str,
}

impl Desk {
    /// Does one job. A panic ends its connection and nothing else.
    pub fn work(&self, pool: &Arc<Pool<Job>>, job: Job, scratch: &mut Scratch) {
        let (slot, connection, bits) = match job {
            Job::Reload => {
                if catch_unwind(AssertUnwindSafe(|| self.service.reload())).is_err() {
                    self.log
                        .critical(Category::General, format_args!("panic while parameters were read again"));
                    self.refreshed.refused("panic while parameters were read again");
                }
                self.refreshed.done();
                return;
            }
            Job::Drive(slot, connection, bits) => (slot, connection, bits),
            Job::Open(slot, socket, peer, tls, role) => {
                match catch_unwind(AssertUnwindSafe(|| self.open(&slot, socket, peer, tls, role))) {
                    Ok(Some(connection)) => (slot, connection, 0),
                    Ok(None) => return slot.gone(),
                    Err(_) => {
                        self.log.critical(
                            Category::General,
                            format_args!("panic while a session for {peer} began"),
                        );
                        return slot.gone();
                    }
                }
            }
        };
        self.drive(pool, slot, connection, bits, scratch);
    }

    fn open(
        &self,
        slot: &Arc<Slot>,
        socket: TcpStream,
        peer: SocketAddr,
        mode: TlsMode,
        role: u16,
    ) -> Option<Box<Connection>> {
        // A Unix socket has none of this kind.
        let local = match socket.local_addr() {
            Ok(local) => local,
            Err(why) if why.kind() == std::io::ErrorKind::InvalidInput => peer,
            Err(_) => return None,
        };
        let available = mode == TlsMode::StartTls && self.environment.tls.context().is_some();
        let tls = if available { TlsState::Available } else { TlsState::Unavailable };
        let waker = Waker::new(slot.clone(), slot.number);
        let io = Io::new(peer, local, role, slot.number, tls, waker);
        let environment = self.environment.clone();
        if self.is_proxy(peer) {
            let (admit, implicit) = (self.admit(slot), mode == TlsMode::Implicit);
            return Some(Box::new(Connection::behind_proxy(socket, io, admit, environment, implicit)));
        }
        let session = self.service.open_session(&io);
        Some(Box::new(Connection::new(socket, io, session, environment, mode == TlsMode::Implicit)))
    }

    /// Whether connections from there begin with the header of a proxy. Those of a Unix socket do not.
    pub fn is_proxy(&self, peer: SocketAddr) -> bool {
        peer != LOCAL_PEER && self.proxies.iter().any(|network| network.contains(peer.ip()))
    }

    /// What is done when the proxy has said whose connection it is: the client is counted where it comes from.
    fn admit(&self, slot: &Arc<Slot>) -> Admit {
        let (service, log, crowd) = (self.service.clone(), self.log.clone(), self.crowd.clone());
        let (slot, too_many) = (slot.clone(), self.too_many);
        Box::new(move |io, header| {
            let peer = io.peer.ip().to_canonical();
            if let Err(why) = header {
                counters::add(Counter::FailedConnections, 1);
                log.warning(Category::Network, format_args!("refused: [{peer}] {why}"));
                return Admission::Closed("");
            }
            match lock(&crowd).enters(io.peer.ip(), Instant::now()) {
                Entry::Exempt => {}
                Entry::Counted(origin) => slot.count(origin),
                Entry::TooMany { tell } => {
                    counters::add(Counter::FailedConnections, 1);
                    if tell {
                        log.warning(Category::Network, format_args!("refused: [{peer}] {TOO_MANY}"));
                    }
                    return Admission::Closed(too_many);
                }
            }
            Admission::Session(service.open_session(io))
        })
    }

    fn drive(
        &self,
        pool: &Arc<Pool<Job>>,
        slot: Arc<Slot>,
        mut connection: Box<Connection>,
        mut bits: u8,
        scratch: &mut Scratch,
    ) {
        loop {
            match catch_unwind(AssertUnwindSafe(|| connection.drive(bits, scratch))) {
                Ok(Outcome::Wait) => match slot.give_back(connection) {
                    Ok(()) => return,
                    Err((back, pending)) => (connection, bits) = (back, pending),
                },
                Ok(Outcome::Again) => return pool.push_one(Job::Drive(slot, connection, 0)),
                Ok(Outcome::Finished) => break,
                Err(_) => {
                    *scratch = Scratch::default();
                    let (peer, number) = (connection.io().peer, slot.number);
                    self.log.critical(
                        Category::General,
                        format_args!("panic in session {number} with {peer}; the connection is closed"),
                    );
                    break;
                }
            }
        }
        if catch_unwind(AssertUnwindSafe(|| drop(connection))).is_err() {
            self.log.critical(Category::General, format_args!("panic while session {} ended", slot.number));
        }
        slot.gone();
    }
}
