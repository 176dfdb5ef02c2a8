//! Log-ins without holding whoever asks: a line, and a few threads of its own that check passwords.
//!
//! A password that is remembered as right is answered at once. Everything else may hash slowly or wait for a directory, so
//! it goes into the line, and the session is told when its answer is there; a worker of the daemon never waits for it.
//! The line is bounded, one network may take a quarter of it, and those who are known where they are go first. Guessers
//! wait for their turn ([`crate::guesses`]) here too. Who cannot be taken is told to come later. Threads are started when
//! they are needed, as many as the directory can make use of.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sasl::Secret;
use server_config::Config;
use server_config::parameters::service;

use crate::guesses::{Guesses, Limits, Turn, Who};
use crate::{Authenticator, LogIn, Service};

/// How long a session should wait for its answer before it gives up: longer than anything here takes.
pub const ANSWER_MAX: Duration = Duration::from_secs(120);
/// How late those are answered who cannot be taken, so that they do not come again at once.
pub const LATER_AFTER: Duration = Duration::from_secs(3);
/// How much these threads give way to those who are in: hashes may keep every processor busy.
const NICE: i32 = 5;
/// Threads when nothing is set, at most.
const THREADS_MAX: usize = 32;

/// How many log-ins are checked and how many wait.
#[derive(Clone, Debug)]
pub struct LogInSettings {
    /// Nothing: as many as the directory can make use of.
    pub threads: Option<usize>,
    pub line_max: usize,
    pub limits: Limits,
}

impl LogInSettings {
    pub fn from_config(config: &Config) -> LogInSettings {
        let count = |value: i64| usize::try_from(value).unwrap_or(0);
        LogInSettings {
            threads: Some(count(config.get(&service::LOGIN_THREADS))).filter(|threads| *threads > 0),
            line_max: count(config.get(&service::LOGIN_LINE)).max(1),
            limits: Limits::from_config(config),
        }
    }
}

/// What somebody says to be let in.
pub struct Asked {
    pub service: Service,
    /// A uid or an address.
    pub login: String,
    pub password: Secret,
    pub peer: IpAddr,
}

/// What comes of asking.
pub enum Answer {
    Now(LogIn),
    Later(Pending),
}

/// A log-in in the line. Dropped: it is not checked any more, unless it is being checked.
pub struct Pending(Arc<Mutex<Option<LogIn>>>);

impl Pending {
    /// The answer, once it is there.
    pub fn take(&self) -> Option<LogIn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Request {
    asked: Asked,
    who: Who,
    /// Known where it is.
    known: bool,
    /// Its turn was taken already.
    has_turn: bool,
    answer: Arc<Mutex<Option<LogIn>>>,
    tell: Box<dyn FnOnce() + Send>,
}

#[derive(Default)]
struct Line {
    /// Known where they are.
    known: VecDeque<Request>,
    others: VecDeque<Request>,
    /// Who waits for a turn, by its time and a number.
    turns: BTreeMap<(Instant, u64), Request>,
    /// How many of each network are here or being checked.
    by_network: HashMap<u64, usize>,
    number: u64,
    threads: usize,
    idle: usize,
    stopped: bool,
}

struct Shared {
    authenticator: Authenticator,
    guesses: Mutex<Guesses>,
    line: Mutex<Line>,
    changed: Condvar,
    threads_max: usize,
    line_max: usize,
}

/// See the head of this file.
pub struct LogIns(Arc<Shared>);

impl LogIns {
    /// As the configuration has it.
    pub fn new(authenticator: Authenticator, config: &Config) -> LogIns {
        LogIns::with(authenticator, LogInSettings::from_config(config))
    }

    pub fn with(authenticator: Authenticator, settings: LogInSettings) -> LogIns {
        let useful = authenticator.directory().checks_at_once().min(THREADS_MAX);
        LogIns(Arc::new(Shared {
            authenticator,
            guesses: Mutex::new(Guesses::new(settings.limits)),
            line: Mutex::default(),
            changed: Condvar::new(),
            threads_max: settings.threads.unwrap_or(useful).max(1),
            line_max: settings.line_max,
        }))
    }

    /// The directory behind it, and the cache of log-ins.
    pub fn authenticator(&self) -> &Authenticator {
        &self.0.authenticator
    }

    /// Checks a password without waiting. `tell` is called, by another thread, when the answer of a `Later` is there.
    pub fn ask(&self, asked: Asked, tell: impl FnOnce() + Send + 'static) -> Answer {
        let shared = &self.0;
        let now = Instant::now();
        let who = shared.guesses().who(asked.peer, &asked.login, asked.password.reveal());
        let remembered =
            shared.authenticator.remembered(asked.service, &asked.login, asked.password.reveal());
        if let Some(log_in) = remembered {
            shared.guesses().succeeded(&who, now);
            return Answer::Now(log_in);
        }
        let (turn, known) = {
            let mut guesses = shared.guesses();
            (guesses.arrive(&who, now), guesses.is_known(&who, now))
        };
        if turn == Turn::Never {
            return Answer::Now(LogIn::TooManyGuesses);
        }
        let answer = Arc::new(Mutex::new(None));
        let pending = Pending(answer.clone());
        let request =
            Request { asked, who, known, has_turn: turn != Turn::Now, answer, tell: Box::new(tell) };
        let mut line = shared.line();
        if !line.has_room(&who, known, shared.line_max) || !self.has_thread(&mut line) {
            return Answer::Now(LogIn::Busy);
        }
        line.count(&who);
        match turn {
            Turn::After(wait) => line.wait_for_turn(request, now, wait),
            _ => line.push(request),
        }
        drop(line);
        shared.changed.notify_one();
        Answer::Later(pending)
    }

    /// Makes sure that somebody will look at the line.
    fn has_thread(&self, line: &mut Line) -> bool {
        let waiting = line.known.len().saturating_add(line.others.len());
        if line.idle <= waiting && line.threads < self.0.threads_max {
            let shared = self.0.clone();
            let started = std::thread::Builder::new().name("login".into()).spawn(move || shared.work());
            line.threads = line.threads.saturating_add(usize::from(started.is_ok()));
        }
        line.threads > 0
    }
}

impl Drop for LogIns {
    fn drop(&mut self) {
        self.0.line().stopped = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a thread.
    fn work(&self) {
        let _ = os::process::give_way(NICE); // without it they are as quick as the others, and no more
        let mut line = self.line();
        while !line.stopped {
            let now = Instant::now();
            if let Some(request) = line.next(now) {
                drop(line);
                self.handle(request);
                line = self.line();
                continue;
            }
            line.idle = line.idle.saturating_add(1);
            let due = line.turns.first_key_value().map(|((due, _), _)| due.saturating_duration_since(now));
            line = match due {
                None => self.changed.wait(line).unwrap_or_else(PoisonError::into_inner),
                Some(due) => self.changed.wait_timeout(line, due).unwrap_or_else(PoisonError::into_inner).0,
            };
            line.idle = line.idle.saturating_sub(1);
        }
    }

    fn handle(&self, mut request: Request) {
        let who = request.who;
        if Arc::strong_count(&request.answer) == 1 {
            return self.line().uncount(&who); // the session is gone
        }
        if !request.has_turn {
            // Others may have guessed wrong since it came into the line.
            let now = Instant::now();
            let turn = self.guesses().arrive(&who, now);
            match turn {
                Turn::Now => {}
                Turn::After(wait) => {
                    request.has_turn = true;
                    self.line().wait_for_turn(request, now, wait);
                    return self.changed.notify_one();
                }
                Turn::Never => return self.answer(request, LogIn::TooManyGuesses),
            }
        }
        let asked = &request.asked;
        let check = || self.authenticator.log_in(asked.service, &asked.login, asked.password.reveal());
        let log_in = catch_unwind(AssertUnwindSafe(check))
            .unwrap_or_else(|_| LogIn::Unavailable("the check of a password panicked".into()));
        let now = Instant::now();
        match log_in {
            LogIn::Accepted(_) | LogIn::Disallowed => self.guesses().succeeded(&who, now),
            LogIn::Refused => self.guesses().failed(&who, now),
            LogIn::Unavailable(_) | LogIn::Busy | LogIn::TooManyGuesses => {}
        }
        self.answer(request, log_in);
    }

    fn answer(&self, request: Request, log_in: LogIn) {
        self.line().uncount(&request.who);
        *request.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(log_in);
        (request.tell)();
    }
}

impl Line {
    fn has_room(&self, who: &Who, known: bool, line_max: usize) -> bool {
        let taken = if known { self.known.len() } else { self.others.len().saturating_add(self.turns.len()) };
        let of_network =
            who.network().map_or(0, |network| self.by_network.get(&network).copied().unwrap_or(0));
        taken < line_max && of_network < (line_max / 4).max(1)
    }

    fn count(&mut self, who: &Who) {
        if let Some(network) = who.network() {
            let count = self.by_network.entry(network).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn uncount(&mut self, who: &Who) {
        let Some(network) = who.network() else { return };
        if let Some(count) = self.by_network.get_mut(&network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_network.remove(&network);
            }
        }
    }

    fn push(&mut self, request: Request) {
        if request.known { self.known.push_back(request) } else { self.others.push_back(request) }
    }

    fn wait_for_turn(&mut self, request: Request, now: Instant, wait: Duration) {
        self.number = self.number.wrapping_add(1);
        let due = now.checked_add(wait).unwrap_or(now);
        self.turns.insert((due, self.number), request);
    }

    fn next(&mut self, now: Instant) -> Option<Request> {
        while self.turns.first_key_value().is_some_and(|((due, _), _)| *due <= now) {
            let Some((_, request)) = self.turns.pop_first() else { break };
            self.push(request);
        }
        self.known.pop_front().or_else(|| self.others.pop_front())
    }
}
