//! Listening, and the parent of several worker processes (S100).
//!
//! Workers are executions of the same program with the same arguments; they inherit listening sockets as systemd would
//! pass them (`LISTEN_FDS`). Each has sockets of its own on the same addresses, among which the kernel spreads the
//! connections. The kernel does not know who is full, has died or hangs, so each has the sockets of the others too and,
//! while it has room, looks now and then who waits there. One that dies is replaced, later and later if it dies soon after
//! its start; the parent holds all sockets, so that nobody who waits is sent away meanwhile.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::RawFd;
use std::process::Child;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::serve::{pid_path, write_pid};
use crate::{Listener, Settings};
use server_log::{Category, Log};

/// Connections that wait to be accepted (S5).
pub(crate) const BACKLOG: i32 = 1024;
const BACK_OFF_FIRST: Duration = Duration::from_millis(500);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// A worker that lived so long died of something new.
const STEADY: Duration = Duration::from_secs(60);
/// What workers have beyond their own drain before they are killed.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// How long the workers of a parent that was killed may still have its addresses: they end by themselves, a moment after it.
const FORMER_WORKERS: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why a daemon cannot start: one clear line.
#[derive(Debug)]
pub struct StartError(pub(crate) String);

impl StartError {
    pub(crate) fn new(what: &str, error: &io::Error) -> StartError {
        StartError(format!("{what}: {error}"))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// What this process is to do.
pub enum Role {
    /// Serve on these sockets.
    Serve(Listeners),
    /// It was the parent, and all is over: exit.
    Done,
}

/// The sockets, in the order of the settings.
pub struct Listeners {
    sockets: Vec<TcpListener>,
    /// Those of other workers, in the same order, again and again.
    neighbours: Vec<TcpListener>,
    worker: bool,
}

impl Listeners {
    /// Binds every listener of the settings; [`crate::serve`] begins to listen.
    ///
    /// # Errors
    /// The first address that cannot be listened on.
    pub fn bind(settings: &Settings) -> Result<Listeners, StartError> {
        let bind = |address: SocketAddr| {
            os::net::bind(address)
                .map_err(|error| StartError::new(&format!("cannot listen on {address}"), &error))
        };
        let sockets =
            settings.listeners.iter().map(|listener| bind(listener.address)).collect::<Result<_, _>>()?;
        Ok(Listeners { sockets, neighbours: Vec::new(), worker: false })
    }

    /// A set of listeners for each worker process.
    fn bind_for_workers(settings: &Settings) -> Result<Vec<Vec<TcpListener>>, StartError> {
        let mut sets: Vec<Vec<TcpListener>> = (0..settings.processes).map(|_| Vec::new()).collect();
        let until = Instant::now() + FORMER_WORKERS;
        for Listener { address, .. } in &settings.listeners {
            let listen = || os::net::listen_shared(*address, BACKLOG, settings.processes);
            let sockets = once_free(until, listen)
                .map_err(|error| StartError::new(&format!("cannot listen on {address}"), &error))?;
            for (set, socket) in sets.iter_mut().zip(sockets) {
                set.push(socket);
            }
        }
        Ok(sets)
    }

    /// The sockets that this process was started with, or new ones.
    fn take(settings: &Settings) -> Result<Listeners, StartError> {
        let mut inherited =
            os::net::inherited_listeners().map_err(|error| StartError::new("inherited sockets", &error))?;
        if inherited.is_empty() {
            return Listeners::bind(settings);
        }
        let worker = os::net::worker_number().is_some();
        let (got, want) = (inherited.len(), settings.listeners.len());
        let fits = if worker { want > 0 && got % want == 0 } else { got == want };
        if !fits {
            return Err(StartError(format!("{got} inherited sockets for {want} listeners")));
        }
        let neighbours = inherited.split_off(want);
        let sockets = if worker { inherited } else { by_port(inherited, settings) };
        Ok(Listeners { sockets, neighbours, worker })
    }

    /// Where they listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    pub(crate) fn is_worker(&self) -> bool {
        self.worker
    }

    /// The own ones, and those of other workers.
    pub(crate) fn into_sockets(self) -> (Vec<TcpListener>, Vec<TcpListener>) {
        (self.sockets, self.neighbours)
    }
}

/// Sockets of a service manager, in the order of the listeners with the same port; the others in their own order.
fn by_port(mut sockets: Vec<TcpListener>, settings: &Settings) -> Vec<TcpListener> {
    let port = |socket: &TcpListener| socket.local_addr().map(|address| address.port()).ok();
    let wanted: Vec<Option<u16>> =
        settings.listeners.iter().map(|listener| Some(listener.address.port())).collect();
    let mut places: Vec<Option<TcpListener>> = wanted
        .iter()
        .map(|wanted| sockets.iter().position(|socket| port(socket) == *wanted).map(|at| sockets.remove(at)))
        .collect();
    let mut rest = sockets.into_iter();
    for place in places.iter_mut().filter(|place| place.is_none()) {
        *place = rest.next();
    }
    places.into_iter().flatten().collect()
}

/// Parent of `processes` > 1: binds, starts workers, replaces dead ones, forwards HUP and TERM, returns `Done` at the
/// end. Else: binds (or takes what was inherited) and returns `Serve`. `bound` is called in between, before there are
/// threads or workers: rights that were needed for the ports can be given up then.
///
/// # Errors
/// An address cannot be listened on, or the first workers cannot be started, or `bound` says so.
pub fn supervise(
    settings: &Settings,
    log: &Log,
    bound: impl FnOnce() -> Result<(), String>,
) -> Result<Role, StartError> {
    let _ = os::process::raise_file_limit(); // what there is must do
    let is_worker = os::net::worker_number().is_some();
    if is_worker || settings.processes <= 1 {
        let listeners = Listeners::take(settings)?;
        bound().map_err(StartError)?;
        return Ok(Role::Serve(listeners));
    }
    // Sockets of a service manager are one set, which all workers share.
    let inherited =
        os::net::inherited_listeners().map_err(|error| StartError::new("inherited sockets", &error))?;
    let sets = if inherited.is_empty() {
        Listeners::bind_for_workers(settings)?
    } else if inherited.len() == settings.listeners.len() {
        vec![by_port(inherited, settings)]
    } else {
        let (got, want) = (inherited.len(), settings.listeners.len());
        return Err(StartError(format!("{got} inherited sockets for {want} listeners")));
    };
    bound().map_err(StartError)?;
    let pid_file = pid_path(settings);
    // Before the pid is told: who knows it may send signals.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD])
        .map_err(|error| StartError::new("signals", &error))?;
    write_pid(&pid_file)?;
    let result = Parent::new(settings, log, &sets).and_then(|parent| parent.run(signals));
    let _ = std::fs::remove_file(&pid_file);
    result.map(|()| Role::Done).map_err(|error| StartError::new("worker processes", &error))
}

struct Worker {
    number: usize,
    child: Option<Child>,
    started: Instant,
    back_off: Duration,
    start_at: Instant,
}

struct Parent<'a> {
    settings: &'a Settings,
    log: &'a Log,
    /// One set for each worker, or one for all.
    listeners: Vec<Vec<RawFd>>,
    workers: Vec<Worker>,
    stopping: Option<Instant>,
}

impl<'a> Parent<'a> {
    fn new(settings: &'a Settings, log: &'a Log, sets: &[Vec<TcpListener>]) -> io::Result<Parent<'a>> {
        let now = Instant::now();
        let worker =
            |number| Worker { number, child: None, started: now, back_off: BACK_OFF_FIRST, start_at: now };
        let workers = (1..=settings.processes).map(worker).collect();
        let listeners = sets.iter().map(|set| os::net::raw(set)).collect();
        Ok(Parent { settings, log, listeners, workers, stopping: None })
    }

    fn run(mut self, mut signals: Signals) -> io::Result<()> {
        let mut poll = Poll::new()?;
        poll.registry().register(&mut signals, Token(0), Interest::READABLE)?;
        let mut events = Events::with_capacity(4);
        loop {
            self.start_missing();
            if self.stopping.is_some() && self.workers.iter().all(|worker| worker.child.is_none()) {
                return Ok(());
            }
            match poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let arrived: Vec<i32> = signals.pending().collect();
            for signal in arrived {
                match signal {
                    SIGHUP => {
                        self.log.reopen();
                        self.tell_all(SIGHUP);
                    }
                    SIGCHLD => {}
                    _ => {
                        let grace = self.settings.drain_timeout.saturating_add(KILL_GRACE);
                        self.stopping = Instant::now().checked_add(grace);
                        self.tell_all(SIGTERM);
                    }
                }
            }
            self.reap();
            if self.stopping.is_some_and(|until| until <= Instant::now()) {
                self.tell_all(SIGKILL);
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        if let Some(until) = self.stopping {
            return Some(until.saturating_duration_since(now).max(Duration::from_millis(100)));
        }
        let missing = self.workers.iter().filter(|worker| worker.child.is_none());
        missing.map(|worker| worker.start_at.saturating_duration_since(now)).min()
    }

    fn tell_all(&self, signal: i32) {
        for child in self.workers.iter().filter_map(|worker| worker.child.as_ref()) {
            let _ = os::process::kill(child.id(), signal); // gone already: reaped soon
        }
    }

    fn start_missing(&mut self) {
        let now = Instant::now();
        if self.stopping.is_some() {
            return;
        }
        for worker in
            self.workers.iter_mut().filter(|worker| worker.child.is_none() && worker.start_at <= now)
        {
            let arguments: Vec<_> = std::env::args_os().skip(1).collect();
            let started = std::env::current_exe().and_then(|program| {
                let sockets = sockets_of(worker.number, &self.listeners);
                os::process::spawn_with_listeners(&program, &arguments, &sockets, worker.number)
            });
            match started {
                Ok(child) => {
                    worker.child = Some(child);
                    worker.started = now;
                }
                Err(error) => {
                    let number = worker.number;
                    self.log
                        .error(Category::General, format_args!("worker {number} cannot be started: {error}"));
                    later(worker, now);
                }
            }
        }
    }

    fn reap(&mut self) {
        let now = Instant::now();
        for worker in &mut self.workers {
            let Some(child) = &mut worker.child else { continue };
            let Ok(Some(status)) = child.try_wait() else { continue };
            worker.child = None;
            if self.stopping.is_some() {
                continue;
            }
            let number = worker.number;
            self.log
                .error(Category::General, format_args!("worker {number} ended ({status}) and is replaced"));
            if now.duration_since(worker.started) >= STEADY {
                worker.back_off = BACK_OFF_FIRST;
            }
            later(worker, now);
        }
    }
}

/// Tries again while the address is in use, until then at the longest.
fn once_free<T>(until: Instant, mut listen: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match listen() {
            Err(why) if why.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                std::thread::sleep(LOOK_AGAIN); // paced: nobody tells when an address becomes free
            }
            other => return other,
        }
    }
}

/// The sockets for a worker: its own set, then those of the workers behind it, as many as can be passed.
fn sockets_of(number: usize, sets: &[Vec<RawFd>]) -> Vec<RawFd> {
    let own = number.saturating_sub(1);
    let mut sockets = Vec::new();
    for further in 0..sets.len() {
        let set = &sets[own.saturating_add(further) % sets.len()];
        if further > 0 && sockets.len().saturating_add(set.len()) > os::net::INHERITED_MAX {
            break;
        }
        sockets.extend_from_slice(set);
    }
    sockets
}

fn later(worker: &mut Worker, now: Instant) {
    worker.start_at = now.checked_add(worker.back_off).unwrap_or(now);
    worker.back_off = worker.back_off.saturating_mul(2).min(BACK_OFF_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_still_in_use_is_waited_for_and_nothing_else_is() {
        let fails = |kind: io::ErrorKind, times: usize, until: Instant| {
            let mut asked = 0;
            let result = once_free(until, || {
                asked += 1;
                if asked <= times { Err(io::Error::from(kind)) } else { Ok(()) }
            });
            (result.is_ok(), asked)
        };
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
        assert_eq!(fails(io::ErrorKind::AddrInUse, 2, later), (true, 3));
        assert_eq!(fails(io::ErrorKind::AddrInUse, 2, now), (false, 1), "not for ever");
        assert_eq!(fails(io::ErrorKind::PermissionDenied, 2, later), (false, 1));
    }

    #[test]
    fn a_worker_gets_its_own_sockets_and_those_of_others_behind_them() {
        let sets = [vec![10, 11], vec![20, 21], vec![30, 31]];
        assert_eq!(sockets_of(1, &sets), [10, 11, 20, 21, 30, 31]);
        assert_eq!(sockets_of(3, &sets), [30, 31, 10, 11, 20, 21]);
        assert_eq!(sockets_of(2, &[vec![10]]), [10], "one set for all");
        let many: Vec<Vec<RawFd>> = (0..200).map(|number| vec![number, 1000 + number]).collect();
        let passed = sockets_of(150, &many);
        assert_eq!((passed.len(), passed[0], passed[2]), (256, 149, 150));
        assert!(passed.contains(&0), "it goes around");
    }
}
