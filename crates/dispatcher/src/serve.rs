//! The event loop of one process: accepts, keeps the timers, obeys signals.
//!
//! It never runs a session: the workers hear themselves what happens at the sockets, see `pool` and `slot`. Above `max_sessions` nothing is accepted: TCP
//! connects, no banner comes (S21, S102), unless another process has room and looks here ([`NEIGHBOURS_EVERY`]).

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use connection::{Environment, Scratch, Telemetry, Tls, driver};
use counters::Counter;
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::crowd::{Crowd, Entry};
use crate::pool::Pool;
use crate::refreshed::Refreshed;
use crate::shared::{Notes, Shared};
use crate::slot::{Desk, Job, Slot, TOO_MANY, lock};
use crate::sockets::Sockets;
use crate::supervise::{BACKLOG, Listeners};
use crate::wheel::Wheel;
use crate::{Listener, LocalListener, Service, Settings, StartError, TlsMode};
use server_log::{Category, Log};

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// Listeners have the tokens below this one.
const LISTENERS_TOP: usize = usize::MAX - 2;
/// Seconds of silence before a keepalive probe (S5).
const KEEPALIVE_SECONDS: u64 = 30;
/// First look at a new connection's time limits.
const FIRST_LOOK: Duration = Duration::from_secs(60);
/// How long accepting rests when descriptors are used up.
const EXHAUSTED_REST: Duration = Duration::from_secs(1);
/// How often a process with room looks at the sockets of the others: who waits there has met one that is full or dead.
const NEIGHBOURS_EVERY: Duration = Duration::from_millis(250);
/// Connections accepted before others have their turn.
const ACCEPT_TURN: usize = 16;
/// What is kept of the descriptors for files.
const FILES_KEPT_PART: u64 = 8;
const FILES_KEPT_MIN: u64 = 64;
const FILES_KEPT_MAX: u64 = 4096;
/// How long sessions have, after the drain, to notice their end.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// What listens.
enum Bell {
    Net(TcpListener),
    Local(UnixListener),
}

impl Bell {
    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Bell::Net(socket) => socket.accept(),
            Bell::Local(socket) => Ok((TcpStream::from_std(os::net::accept_local(socket)?), LOCAL_PEER)),
        }
    }
}

struct Door {
    socket: Bell,
    tls: TlsMode,
    role: u16,
    /// Connections may wait here.
    ready: bool,
}

/// What sessions of a Unix socket see as their peer.
pub(crate) const LOCAL_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Server {
    poll: Poll,
    shared: Arc<Shared>,
    pool: Arc<Pool<Job>>,
    desk: Arc<Desk>,
    settings: Settings,
    log: Log,
    signals: Option<Signals>,
    doors: Vec<Door>,
    /// Sockets of other processes, in the order of the doors, again and again.
    neighbours: Vec<TcpListener>,
    /// When they are looked at.
    look: Instant,
    slots: Vec<Option<Arc<Slot>>>,
    free: Vec<usize>,
    crowd: Arc<Mutex<Crowd>>,
    /// Slots in use.
    sessions: usize,
    number: u64,
    wheel: Wheel<(usize, u64)>,
    /// Nothing is accepted before this moment.
    hold: Option<Instant>,
    /// The delay for the next accept was waited for.
    delayed: bool,
    /// Draining: when the rest is cut off; and when waiting for that ends.
    drain: Option<(Instant, Option<Instant>)>,
    pid_file: Option<PathBuf>,
}

/// Runs until SIGTERM has drained. Writes `run/<service>.pid` when it listens, removes it at the end.
///
/// # Errors
/// A certificate cannot be used, or the system refuses what the loop needs. Nothing is served then.
pub fn serve(
    listeners: Listeners,
    settings: Settings,
    service: Arc<dyn Service>,
    log: Log,
) -> Result<(), StartError> {
    Server::new(listeners, settings, service, log, true)?.run()
}

/// A server in a thread of this process, which does not react to signals; for tests.
pub struct Running {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    pool: Arc<Pool<Job>>,
    thread: Option<JoinHandle<Result<(), StartError>>>,
}

/// Binds the listeners and serves in a thread of its own.
///
/// # Errors
/// As [`serve`], and what binding says.
pub fn start(settings: Settings, service: Arc<dyn Service>, log: Log) -> Result<Running, StartError> {
    let listeners = Listeners::bind(&settings)?;
    let addresses = listeners.addresses();
    let server = Server::new(listeners, settings, service, log, false)?;
    let (shared, pool) = (server.shared.clone(), server.pool.clone());
    let thread = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || server.run())
        .map_err(|error| StartError::new("thread", &error))?;
    Ok(Running { addresses, shared, pool, thread: Some(thread) })
}

impl Running {
    /// Where it listens, in the order of the settings.
    pub fn address(&self, listener: usize) -> SocketAddr {
        self.addresses[listener]
    }

    /// Worker threads that exist now.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Drains, as SIGTERM does, without waiting for the end.
    pub fn drain(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.wake_loop();
    }

    /// Drains and waits for the end.
    pub fn stop(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        self.drain();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A session is a descriptor, and what it does needs some more (S15): connections beyond what the system allows wait, as those
/// above maxsessions do, instead of taking the last descriptors from the sessions that are there.
fn bound_sessions(settings: &mut Settings, files: u64, log: &Log) {
    let kept = (files / FILES_KEPT_PART).clamp(FILES_KEPT_MIN, FILES_KEPT_MAX);
    let room = usize::try_from(files.saturating_sub(kept)).unwrap_or(usize::MAX).max(1);
    if settings.max_sessions.is_none_or(|most| most > room) {
        if let Some(most) = settings.max_sessions {
            log.warning(
                Category::General,
                format_args!(
                    "{files} files may be open at once (ulimit -n): {room} connections are served at a time, and others wait. service.{}.maxsessions is {most}; raise the limit (LimitNOFILE with systemd)",
                    settings.service
                ),
            );
        }
        settings.max_sessions = Some(room);
    }
}

impl Server {
    fn new(
        listeners: Listeners,
        mut settings: Settings,
        service: Arc<dyn Service>,
        log: Log,
        with_signals: bool,
    ) -> Result<Server, StartError> {
        let system = |error: io::Error| StartError::new("event loop", &error);
        if let Ok(files) = os::process::raise_file_limit() {
            bound_sessions(&mut settings, files, &log);
        }
        let tls = Tls::open_for(settings.certificate.clone(), settings.alpn)
            .map_err(|error| StartError(format!("certificate {error}")))?;
        if settings.certificate.is_none() && settings.listeners.iter().any(|l| l.tls == TlsMode::Implicit) {
            return Err(StartError("a listener with TLS needs a certificate: there is no config/certs/server.crt, and local.encryption.certificate names none".to_owned()));
        }
        let poll = Poll::new().map_err(system)?;
        let waker = mio::Waker::new(poll.registry(), WAKER).map_err(system)?;
        let mut signals = None;
        if with_signals {
            let mut all = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(system)?;
            poll.registry().register(&mut all, SIGNALS, Interest::READABLE).map_err(system)?;
            signals = Some(all);
        }
        let pid_file = (with_signals && !listeners.is_worker()).then(|| pid_path(&settings));
        let mut doors = Vec::new();
        let (sockets, neighbours) = listeners.into_sockets();
        for (number, (socket, Listener { tls, role, .. })) in
            sockets.into_iter().zip(settings.listeners.iter().cloned()).enumerate()
        {
            prepare(&socket).map_err(system)?;
            os::net::start_listening(socket.as_fd(), BACKLOG).map_err(system)?;
            let mut socket = TcpListener::from_std(socket);
            poll.registry()
                .register(&mut socket, Token(LISTENERS_TOP - number), Interest::READABLE)
                .map_err(system)?;
            doors.push(Door { socket: Bell::Net(socket), tls, role, ready: true });
        }
        for LocalListener { path, mode, role } in &settings.local {
            let socket = os::net::listen_local(path, *mode, BACKLOG)
                .map_err(|error| StartError::new(&format!("cannot listen on {}", path.display()), &error))?;
            let token = Token(LISTENERS_TOP - doors.len());
            let mut source = SourceFd(&socket.as_raw_fd());
            poll.registry().register(&mut source, token, Interest::READABLE).map_err(system)?;
            doors.push(Door { socket: Bell::Local(socket), tls: TlsMode::Plain, role: *role, ready: true });
        }
        let mut others = Vec::new();
        for socket in neighbours {
            prepare(&socket).map_err(system)?;
            others.push(TcpListener::from_std(socket)); // looked at without being asked
        }
        let origin = Instant::now();
        let shared = Shared::new(origin, waker);
        let environment = Arc::new(Environment {
            tls,
            telemetry: settings
                .telemetry
                .clone()
                .map(|recording| Telemetry::new(recording, settings.processes)),
            accessed: settings.accessed.clone(),
            stall_timeout: settings.stall_timeout,
        });
        let refreshed = Refreshed::new(&settings.run_dir, settings.service);
        let crowd = Arc::new(Mutex::new(Crowd::new(settings.crowd.clone())));
        let desk = Arc::new(Desk {
            service,
            environment,
            log: log.clone(),
            refreshed,
            proxies: settings.proxies.clone(),
            crowd: crowd.clone(),
            too_many: settings.too_many,
        });
        let pool = make_pool(&settings, &shared, &desk).map_err(system)?;
        Ok(Server {
            poll,
            shared,
            pool,
            desk,
            settings,
            log,
            signals,
            doors,
            neighbours: others,
            look: origin,
            slots: Vec::new(),
            free: Vec::new(),
            crowd,
            sessions: 0,
            number: 0,
            wheel: Wheel::new(origin),
            hold: None,
            delayed: false,
            drain: None,
            pid_file,
        })
    }

    fn run(mut self) -> Result<(), StartError> {
        if let Some(path) = &self.pid_file {
            write_pid(path)?;
        }
        let result = self.turn();
        self.pool.stop();
        self.pool.wait_until_idle(LAST_GRACE);
        self.desk.service.stop();
        for local in &self.settings.local {
            let _ = std::fs::remove_file(&local.path);
        }
        if let Some(path) = &self.pid_file {
            let _ = std::fs::remove_file(path);
        }
        result
    }

    fn turn(&mut self) -> Result<(), StartError> {
        let mut events = Events::with_capacity(1024);
        let mut jobs = Vec::new();
        let mut notes = Notes::default();
        let mut due = Vec::new();
        loop {
            let timeout = self.timeout(Instant::now());
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    return Err(StartError::new("event loop", &error));
                }
                _ => {}
            }
            let now = Instant::now();
            self.shared.take_notes(&mut notes);
            for event in &events {
                self.event(event, now, &mut jobs);
            }
            for (index, number, tick) in notes.arm.drain(..) {
                self.wheel.arm(tick, (index, number));
            }
            self.timers(now, &mut due, &mut jobs);
            for index in notes.finished.drain(..) {
                if let Some(origin) = self.slots[index].take().and_then(|slot| slot.take_origin()) {
                    lock(&self.crowd).left(origin);
                }
                self.free.push(index);
                self.sessions = self.sessions.saturating_sub(1);
                counters::subtract(Counter::CurrentConnections, 1);
            }
            if self.shared.stop.load(Ordering::SeqCst) && self.drain.is_none() {
                self.begin_drain(now, &mut jobs);
            }
            if self.is_over(now, &mut jobs) {
                return Ok(());
            }
            self.look_at_certificates(now);
            self.look_at_counters(now);
            self.accept(now, &mut jobs);
            self.look_at_neighbours(now, &mut jobs);
            self.pool.push(&mut jobs);
        }
    }

    /// A certificate that was renewed is taken without being told of.
    fn look_at_certificates(&self, now: Instant) {
        match self.desk.environment.tls.look(now) {
            Ok(false) => {}
            Ok(true) => self.log.notice(Category::Network, format_args!("The certificates were read again")),
            Err(error) => {
                let text = format_args!("certificate {error}; the former one stays in use");
                self.log.error(Category::Network, text);
            }
        }
    }

    /// What this process counts is seen by others, whatever somebody did to the file.
    fn look_at_counters(&self, now: Instant) {
        match counters::look(now) {
            Ok(None) => {}
            Ok(Some(told)) => {
                counters::set(Counter::CurrentConnections, self.sessions as u64);
                self.pool.count_anew();
                self.log.warning(Category::General, format_args!("{told}"));
            }
            Err(why) => {
                let text = format_args!("what this process counts is not seen by counterutil: {why}");
                self.log.warning(Category::General, text);
            }
        }
    }

    fn timeout(&self, now: Instant) -> Option<Duration> {
        let waiting = self.doors.iter().any(|door| door.ready);
        let accepting = (waiting && !self.is_full()).then(|| self.hold.unwrap_or(now));
        let looking = (!self.neighbours.is_empty() && !self.is_full()).then_some(self.look);
        let drain = self.drain.map(|(cut, end)| end.unwrap_or(cut));
        [self.wheel.next(), accepting, looking, drain]
            .into_iter()
            .flatten()
            .min()
            .map(|moment| moment.saturating_duration_since(now))
    }

    fn event(&mut self, event: &mio::event::Event, now: Instant, jobs: &mut Vec<Job>) {
        match event.token() {
            WAKER => {}
            SIGNALS => self.obey_signals(now, jobs),
            Token(index) => {
                if let Some(door) = self.doors.get_mut(LISTENERS_TOP.wrapping_sub(index)) {
                    door.ready = true;
                }
            }
        }
    }

    fn timers(&mut self, now: Instant, due: &mut Vec<(u64, (usize, u64))>, jobs: &mut Vec<Job>) {
        self.wheel.advance(now, due);
        let now = self.wheel.tick_of(now).saturating_sub(1);
        for (tick, (index, number)) in due.drain(..) {
            let Some(slot) = self.slots.get(index).and_then(Option::as_ref) else { continue };
            if slot.number != number {
                continue;
            }
            let (job, again) = slot.timer_came(tick, now);
            jobs.extend(job);
            if let Some(tick) = again {
                self.wheel.arm(tick, (index, number));
            }
        }
    }

    fn obey_signals(&mut self, now: Instant, jobs: &mut Vec<Job>) {
        let arrived: Vec<i32> = self.signals.as_mut().map(|all| all.pending().collect()).unwrap_or_default();
        for signal in arrived {
            match signal {
                SIGHUP => {
                    self.log.reopen();
                    if let Err(error) = self.desk.environment.tls.reload() {
                        let text = format!("certificate {error}; the former one stays in use");
                        self.log.error(Category::Network, format_args!("{text}"));
                        self.desk.refreshed.refused(&text);
                    }
                    jobs.push(Job::Reload);
                }
                _ if self.drain.is_none() => self.begin_drain(now, jobs),
                _ => {}
            }
        }
    }

    /// No more connections; every session hears of it.
    fn begin_drain(&mut self, now: Instant, jobs: &mut Vec<Job>) {
        let cut = now.checked_add(self.settings.drain_timeout).unwrap_or(now);
        self.drain = Some((cut, None));
        self.doors.clear();
        self.neighbours.clear();
        self.shared.tell_finished.store(true, Ordering::SeqCst);
        self.shared.wake_loop(); // for what finished just before
        jobs.extend(self.slots.iter().flatten().filter_map(|slot| slot.happened(driver::DRAINING)));
    }

    /// Whether the drain is done. Cuts off what goes on for too long.
    fn is_over(&mut self, now: Instant, jobs: &mut Vec<Job>) -> bool {
        let Some((cut, end)) = self.drain else { return false };
        if self.sessions == 0 {
            return true;
        }
        match end {
            None if cut <= now => {
                jobs.extend(self.slots.iter().flatten().filter_map(|slot| slot.happened(driver::KILL)));
                self.drain = Some((cut, now.checked_add(LAST_GRACE)));
                false
            }
            Some(end) => end <= now,
            None => false,
        }
    }

    fn is_full(&self) -> bool {
        self.settings.max_sessions.is_some_and(|most| self.sessions >= most)
    }

    fn accept(&mut self, now: Instant, jobs: &mut Vec<Job>) {
        if self.hold.is_some_and(|until| until <= now) {
            self.hold = None;
        }
        for _ in 0..ACCEPT_TURN {
            let Some(at) = self.doors.iter().position(|door| door.ready) else { return };
            if self.hold.is_some() || self.is_full_and_tells() || self.must_delay(now) {
                return;
            }
            match self.doors[at].socket.accept() {
                Ok((socket, peer)) => {
                    self.delayed = false;
                    let (tls, role) = (self.doors[at].tls, self.doors[at].role);
                    jobs.extend(self.admit(socket, peer, tls, role, now));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.doors[at].ready = false,
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    // Out of descriptors or memory; no new edge will come, so ask again later.
                    self.log
                        .warning(Category::Network, format_args!("cannot accept connections now: {error}"));
                    self.hold = now.checked_add(EXHAUSTED_REST);
                }
            }
        }
    }

    /// Takes connections that wait for another process, when this one has room.
    fn look_at_neighbours(&mut self, now: Instant, jobs: &mut Vec<Job>) {
        if self.neighbours.is_empty() || self.look > now || self.hold.is_some() {
            return;
        }
        self.look = now.checked_add(NEIGHBOURS_EVERY).unwrap_or(now);
        let mut left = ACCEPT_TURN;
        for at in 0..self.neighbours.len() {
            while !self.is_full_and_tells() {
                let Ok((socket, peer)) = self.neighbours[at].accept() else { break }; // nobody, or nobody now
                let door = &self.doors[at % self.settings.listeners.len()];
                let (tls, role) = (door.tls, door.role);
                jobs.extend(self.admit(socket, peer, tls, role, now));
                left -= 1;
                if left == 0 {
                    self.look = now; // there may be more
                    return;
                }
            }
        }
    }

    /// Whether there is no room; the worker that makes some then wakes the loop.
    fn is_full_and_tells(&self) -> bool {
        if self.drain.is_some() {
            return true;
        }
        let full = self.is_full();
        if self.shared.tell_finished.swap(full, Ordering::SeqCst) != full && full {
            self.shared.wake_loop(); // for what finished just before
        }
        full
    }

    fn must_delay(&mut self, now: Instant) -> bool {
        let Some(ask) = self.settings.accept_delay.as_ref().filter(|_| !self.delayed) else { return false };
        let delay = ask();
        if delay.is_zero() {
            return false;
        }
        self.delayed = true;
        self.hold = now.checked_add(delay);
        true
    }

    fn admit(
        &mut self,
        mut socket: mio::net::TcpStream,
        peer: SocketAddr,
        tls: TlsMode,
        role: u16,
        now: Instant,
    ) -> Option<Job> {
        let entry = match peer == LOCAL_PEER || self.desk.is_proxy(peer) {
            true => Entry::Exempt, // its client is counted when it is known
            false => lock(&self.crowd).enters(peer.ip(), now),
        };
        let origin = match entry {
            Entry::Exempt => None,
            Entry::Counted(origin) => Some(origin),
            Entry::TooMany { tell } => {
                counters::add(Counter::FailedConnections, 1);
                self.turn_away(&mut socket, peer, tls, tell);
                return None;
            }
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.number += 1;
        let tick = self.wheel.tick_of(now.checked_add(FIRST_LOOK).unwrap_or(now));
        let slot = Slot::new(index, self.number, self.shared.clone(), tick, origin);
        self.shared.remember(&slot);
        if let Err(error) = self.pool.sockets().watch(&socket, index, self.number) {
            self.log.warning(Category::Network, format_args!("connection from {peer} dropped: {error}"));
            self.free.push(index);
            origin.into_iter().for_each(|origin| lock(&self.crowd).left(origin));
            return None;
        }
        self.wheel.arm(tick, (index, self.number));
        self.slots[index] = Some(slot.clone());
        self.sessions += 1;
        counters::add(Counter::Connections, 1);
        counters::enter(Counter::CurrentConnections, Counter::MaxConnections);
        let second = u64::try_from(base::clock::unix_seconds()).unwrap_or(0);
        counters::set(Counter::LastConnection, second);
        Some(Job::Open(slot, socket, peer, tls, role))
    }
}

impl Server {
    /// Its network has too many. A fresh socket takes the line or there is no telling; under TLS nothing can be said.
    fn turn_away(&self, socket: &mut mio::net::TcpStream, peer: SocketAddr, tls: TlsMode, tell: bool) {
        if tls != TlsMode::Implicit {
            let _ = socket.write(self.settings.too_many.as_bytes());
        }
        if tell {
            let peer = peer.ip().to_canonical();
            self.log.warning(Category::Network, format_args!("refused: [{peer}] {TOO_MANY}"));
        }
    }
}

fn make_pool(settings: &Settings, shared: &Arc<Shared>, desk: &Arc<Desk>) -> io::Result<Arc<Pool<Job>>> {
    let (shared_of_workers, desk) = (Arc::downgrade(shared), desk.clone());
    let shared_of_claims = shared_of_workers.clone();
    let claim = Box::new(move |index, number, bits| {
        shared_of_claims.upgrade()?.slot_of(index, number)?.happened(bits)
    });
    let work = Box::new(move || {
        let (shared, desk) = (shared_of_workers.clone(), desk.clone());
        let mut scratch = Scratch::default();
        let work: Box<dyn FnMut(Job)> = Box::new(move |job| {
            let pool = shared.upgrade().and_then(|shared| shared.pool());
            if let Some(pool) = pool {
                desk.work(&pool, job, &mut scratch);
            }
        });
        work
    });
    let (name, most, fixed) = (settings.thread_name, settings.max_threads, settings.fixed_threads);
    let pool = Pool::new(name, most, fixed, Sockets::new()?, claim, work);
    shared.set_pool(pool.clone());
    Ok(pool)
}

/// Options that accepted sockets inherit.
fn prepare(socket: &std::net::TcpListener) -> io::Result<()> {
    os::net::set_keepalive(socket.as_fd(), KEEPALIVE_SECONDS)?;
    os::net::set_nodelay(socket.as_fd())?;
    socket.set_nonblocking(true)
}

/// Errors of accept that concern one connection only (accept(2)).
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

pub(crate) fn pid_path(settings: &Settings) -> PathBuf {
    settings.run_dir.join(format!("{}.pid", settings.service))
}

pub(crate) fn write_pid(path: &std::path::Path) -> Result<(), StartError> {
    let text = format!("{}\n", std::process::id());
    let folder = path.parent().unwrap_or(std::path::Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| base::replace::durable_replace(path, text.as_bytes(), 0o644))
        .map_err(|error| StartError::new(&path.display().to_string(), &error))
}
