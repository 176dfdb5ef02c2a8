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

use sasl::scram::Hash;
use sasl::{Claim, Secret};
use server_config::parameters::service;
use server_config::{Config, Instance};
use server_log::{Action, Category, Log};

use crate::authenticator::{Looked, Subject};
use crate::guesses::{self, Guesses, Limits, Turn, Who};
use crate::names::{Names, user_of};
use crate::{
    Authenticator, Code, Entry, Found, LogIn, Mechanisms, SecondFactors, Service, log_line, recovery_codes,
};

/// How long a session should wait for its answer before it gives up: longer than anything here takes.
pub const ANSWER_MAX: Duration = Duration::from_secs(120);
/// How late those are answered who cannot be taken, so that they do not come again at once.
pub const LATER_AFTER: Duration = Duration::from_secs(3);
/// How much these threads give way to those who are in: hashes may keep every processor busy.
const NICE: i32 = 5;
/// Threads when nothing is set, at most.
const THREADS_MAX: usize = 32;

/// Why there is no answer of a thread that did not come to one.
const PANICKED: &str = "the check of a password panicked";

/// How many log-ins are checked and how many wait.
#[derive(Clone, Debug)]
pub struct LogInSettings {
    /// Nothing: as many as the directory can make use of.
    pub threads: Option<usize>,
    pub line_max: usize,
    pub limits: Limits,
    pub mechanisms: Mechanisms,
}

impl LogInSettings {
    /// # Errors
    /// As [`Mechanisms::from_config`].
    pub fn from_config(config: &Config, instance: &Instance) -> Result<LogInSettings, String> {
        let count = |value: i64| usize::try_from(value).unwrap_or(0);
        Ok(LogInSettings {
            threads: Some(count(config.get(&service::LOGIN_THREADS))).filter(|threads| *threads > 0),
            line_max: count(config.get(&service::LOGIN_LINE)).max(1),
            limits: Limits::from_config(config),
            mechanisms: Mechanisms::from_config(config, instance)?,
        })
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
pub enum Answer<T = LogIn> {
    Now(T),
    Later(Pending<T>),
}

type Slot<T> = Arc<Mutex<Option<T>>>;

/// A log-in in the line. Dropped: it is not checked any more, unless it is being checked.
pub struct Pending<T = LogIn>(Slot<T>);

/// Who wants to prove something, while it is under way; or why nobody may just now.
pub(crate) type Candidate = Result<Box<Proving>, LogIn>;

/// What came of a claim, and why somebody is refused, for the log.
pub(crate) type Claimed = (LogIn, &'static str);

/// Somebody whose proof is waited for.
pub(crate) struct Proving {
    pub subject: Subject,
    who: Who,
    /// A turn was taken for it.
    has_turn: bool,
    /// The user had none: the proof was not looked at.
    unseen: bool,
}

impl<T> Pending<T> {
    /// The answer, once it is there.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What is to be found out, and where the answer goes.
enum Job {
    Password { password: Secret, answer: Slot<LogIn> },
    Keys { hash: Hash, answer: Slot<Candidate> },
    Claim { claim: Claim, names: Vec<String>, answer: Slot<Claimed> },
}

impl Job {
    /// The session is gone.
    fn is_abandoned(&self) -> bool {
        match self {
            Job::Password { answer, .. } => Arc::strong_count(answer) == 1,
            Job::Keys { answer, .. } => Arc::strong_count(answer) == 1,
            Job::Claim { answer, .. } => Arc::strong_count(answer) == 1,
        }
    }

    /// Whether it is about the user with the name that was typed. Of a token only the token itself says whose it is, of a
    /// certificate the map, and neither can be guessed.
    fn is_of_user(&self, mechanisms: &Mechanisms, service: Service, login: &str) -> bool {
        match self {
            Job::Password { .. } => !mechanisms.opens_by_name(service, login),
            Job::Keys { .. } => true,
            Job::Claim { claim, .. } => matches!(claim, Claim::Digest { .. }),
        }
    }
}

struct Request {
    service: Service,
    login: String,
    peer: IpAddr,
    job: Job,
    who: Who,
    /// Known where it is.
    known: bool,
    /// It is known, as far as it matters, which user the name means.
    is_named: bool,
    /// Its turn was taken already.
    has_turn: bool,
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
    mechanisms: Mechanisms,
    guesses: Guesses,
    names: Names,
    log: Log,
    line: Mutex<Line>,
    changed: Condvar,
    threads_max: usize,
    line_max: usize,
}

/// See the head of this file.
pub struct LogIns(Arc<Shared>);

impl LogIns {
    /// As the configuration has it. Wrong passwords are counted with all other processes of the instance; when that cannot be,
    /// in this one, and the log says why.
    ///
    /// # Errors
    /// As [`Mechanisms::from_config`].
    pub fn new(
        authenticator: Authenticator,
        config: &Config,
        instance: &Instance,
        log: &Log,
    ) -> Result<LogIns, String> {
        let settings = LogInSettings::from_config(config, instance)?;
        let guesses = Guesses::shared(settings.limits.clone(), &instance.run_dir()).unwrap_or_else(|why| {
            log.warning(
                Category::Account,
                format_args!("wrong passwords are counted by this process alone: {why}"),
            );
            Guesses::own(settings.limits.clone())
        });
        Ok(LogIns::over(authenticator, settings, guesses, log.clone()))
    }

    /// Counting wrong passwords in this process alone.
    pub fn with(authenticator: Authenticator, settings: LogInSettings) -> LogIns {
        let guesses = Guesses::own(settings.limits.clone());
        LogIns::over(authenticator, settings, guesses, Log::discard())
    }

    fn over(authenticator: Authenticator, settings: LogInSettings, guesses: Guesses, log: Log) -> LogIns {
        let useful = authenticator.directory().checks_at_once().min(THREADS_MAX);
        LogIns(Arc::new(Shared {
            authenticator,
            mechanisms: settings.mechanisms,
            guesses,
            names: Names::default(),
            log,
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

    /// What may be used to log in.
    pub fn mechanisms(&self) -> &Mechanisms {
        &self.0.mechanisms
    }

    /// Checks a password without waiting. `tell` is called, by another thread, when the answer of a `Later` is there.
    pub fn ask(&self, asked: Asked, tell: impl FnOnce() + Send + 'static) -> Answer {
        let shared = &self.0;
        let who = shared.guesses.who(asked.peer, &asked.login, Some(asked.password.reveal()));
        let remembered =
            shared.authenticator.remembered(asked.service, &asked.login, asked.password.reveal(), asked.peer);
        if let Some(log_in) = remembered {
            // The password is right, whether it lets in or not: it is no guess.
            if !matches!(log_in, LogIn::Refused | LogIn::NeedsAppPassword) {
                shared.count(&who, &log_in, asked.service, true);
            }
            return Answer::Now(log_in);
        }
        let answer = Slot::default();
        let pending = Pending(answer.clone());
        let job = Job::Password { password: asked.password, answer };
        match self.enter(asked.service, asked.login, asked.peer, job, who, Box::new(tell)) {
            Ok(()) => Answer::Later(pending),
            Err(refusal) => Answer::Now(refusal),
        }
    }

    /// Looks up, without waiting, what a proof of SCRAM is checked with. It takes a turn, as a password would.
    pub(crate) fn ask_for_keys(
        &self,
        service: Service,
        login: &str,
        hash: Hash,
        peer: IpAddr,
        tell: impl FnOnce() + Send + 'static,
    ) -> Answer<Candidate> {
        // A proof does not show which password it is of: each counts as another one.
        let who = self.0.guesses.who(peer, login, None);
        let answer = Slot::default();
        let pending = Pending(answer.clone());
        let job = Job::Keys { hash, answer };
        match self.enter(service, login.to_owned(), peer, job, who, Box::new(tell)) {
            Ok(()) => Answer::Later(pending),
            Err(refusal) => Answer::Now(Err(refusal)),
        }
    }

    /// Looks, without waiting, at what is no password; `names` are those of the client's certificate. It takes a turn, as a password would.
    pub(crate) fn ask_about(
        &self,
        service: Service,
        claim: Claim,
        names: Vec<String>,
        peer: IpAddr,
        tell: impl FnOnce() + Send + 'static,
    ) -> Answer<Claimed> {
        let (login, said) = match &claim {
            // Whose it is only the token itself says for sure.
            Claim::Token { user, token } => (user.clone(), token.reveal().to_owned()),
            Claim::Digest { authcid, digest, .. } => (authcid.clone(), digest.clone()),
            Claim::External { .. } => (names.first().cloned().unwrap_or_default(), String::new()),
            Claim::Anonymous { .. } => ("anonymous".to_owned(), String::new()),
        };
        let who = self.0.guesses.who(peer, &login, Some(&said));
        let answer = Slot::default();
        let pending = Pending(answer.clone());
        match self.enter(service, login, peer, Job::Claim { claim, names, answer }, who, Box::new(tell)) {
            Ok(()) => Answer::Later(pending),
            Err(refusal) => Answer::Now((refusal, log_line::WRONG)),
        }
    }

    /// Whether a proof may be looked at. Others may have guessed wrong since its turn; they must not get more guesses by
    /// opening many connections first and proving afterwards.
    pub(crate) fn may_prove(&self, proving: &Proving) -> bool {
        proving.has_turn || self.0.guesses.arrive(&proving.who, guesses::now()) == Turn::Now
    }

    /// Whether a proof that may be looked at shall be ([`Guesses::may_look`]); else it must be found wrong.
    pub(crate) fn looks_at(&self, proving: &mut Proving, login: &str, peer: IpAddr) -> bool {
        proving.unseen = !self.0.may_look(&proving.who, login, peer);
        !proving.unseen
    }

    /// The proof is wrong, or is said to be.
    pub(crate) fn disproved(&self, proving: &Proving) {
        match proving.unseen {
            true => self.0.guesses.failed_unseen(&proving.who, guesses::now()),
            false => self.0.guesses.failed(&proving.who, guesses::now()),
        }
    }

    /// The proof is right.
    pub(crate) fn proved(&self, proving: &Proving, service: Service) -> LogIn {
        let entry: Option<&Arc<Entry>> = proving.subject.entry.as_ref().filter(|_| proving.subject.has_keys);
        let Some(entry) = entry else { return LogIn::Refused };
        self.0.guesses.succeeded(&proving.who, guesses::now());
        if !entry.password_opens(service) {
            return LogIn::NeedsAppPassword;
        }
        if entry.may_use(service) { LogIn::Accepted(entry.clone()) } else { LogIn::Disallowed }
    }

    /// Looks at the code of somebody whose password was right and who has a second factor: one of the app, or a recovery code,
    /// which is none any more then. Wrong ones count as wrong
    /// passwords do, and with the code only the log-in counts as one that succeeded. It reads and makes a file.
    pub fn check_code(
        &self,
        factors: &SecondFactors,
        entry: &Arc<Entry>,
        login: &str,
        code: &str,
        peer: IpAddr,
    ) -> LogIn {
        let now = guesses::now();
        let guesses = &self.0.guesses;
        let who = guesses.of_user(guesses.who(peer, login, Some(&format!("code {code}"))), &user_of(entry));
        // The password was right: it is no secret any more whose this is.
        if guesses.arrive(&who, now) != Turn::Now || !guesses.may_look(&who, now) {
            return LogIn::TooManyGuesses;
        }
        let found = match recovery_codes::Given::from(code) {
            Some(given) => self.use_recovery_code(entry, &given, peer),
            None => factors.check(entry, code),
        };
        match found {
            Ok(Code::Right) => {
                self.0.guesses.succeeded(&who, now);
                LogIn::Accepted(entry.clone())
            }
            Ok(Code::Wrong | Code::Used) => {
                self.0.guesses.failed(&who, now);
                LogIn::Refused
            }
            Err(why) => LogIn::Unavailable(why),
        }
    }

    fn use_recovery_code(
        &self,
        entry: &Entry,
        given: &recovery_codes::Given,
        peer: IpAddr,
    ) -> Result<Code, String> {
        let uid = entry.uid.as_deref().unwrap_or_default();
        let directory = self.0.authenticator.directory().as_ref();
        let left = match recovery_codes::use_up(directory, uid, given) {
            Ok(Some(left)) => left.to_string(),
            Ok(None) => return Ok(Code::Wrong),
            Err(why) => return Err(format!("a recovery code of {uid} cannot be used up: {why}")),
        };
        let log = &self.0.log;
        log.notice(
            Category::Account,
            format_args!("{uid} [{peer}]: a recovery code was used, {left} are left"),
        );
        let fields =
            [("user", uid), ("from", &peer.to_string()), ("result", "recovery-code"), ("left", &left)];
        log.audit(Action::SecondFactor, &fields);
        Ok(Code::Right)
    }

    /// Puts a request into the line, or says why not.
    fn enter(
        &self,
        service: Service,
        login: String,
        peer: IpAddr,
        job: Job,
        who: Who,
        tell: Box<dyn FnOnce() + Send>,
    ) -> Result<(), LogIn> {
        let (shared, now) = (&self.0, Instant::now());
        let moment = guesses::now();
        let (who, found) = shared.named(who);
        let is_named = found || !job.is_of_user(&shared.mechanisms, service, &login);
        let known = shared.guesses.is_known(&who, moment);
        let turn = match is_named {
            true => shared.guesses.arrive(&who, moment),
            false if shared.guesses.is_put_off_anyway(&who, moment) => Turn::Never,
            false => Turn::Now, // it asks for it when it is known who it is
        };
        if turn == Turn::Never {
            return Err(LogIn::TooManyGuesses);
        }
        let has_turn = turn != Turn::Now;
        let request = Request { service, login, peer, job, who, known, is_named, has_turn, tell };
        let mut line = shared.line();
        if !line.has_room(&request.who, known, shared.line_max) || !self.has_thread(&mut line) {
            return Err(LogIn::Busy);
        }
        line.count(&request.who);
        match turn {
            Turn::After(wait) => line.wait_for_turn(request, now, wait),
            _ => line.push(request),
        }
        drop(line);
        shared.changed.notify_one();
        Ok(())
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

/// Whether the password is right and a code is to follow.
fn awaits_code(log_in: &LogIn, service: Service) -> bool {
    matches!(log_in, LogIn::Accepted(entry) if service == Service::Http && entry.second_factor.is_some() && !entry.limited)
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
        if request.job.is_abandoned() {
            return self.line().uncount(&request.who);
        }
        let mut looked = None;
        if !request.is_named {
            match self.look(&mut request) {
                Ok(found) => looked = Some(found),
                Err(why) => return self.refuse(request, LogIn::Unavailable(why)),
            }
        }
        if !request.has_turn {
            // Others may have guessed wrong since it came into the line.
            let turn = self.guesses.arrive(&request.who, guesses::now());
            match turn {
                Turn::Now => {}
                Turn::After(wait) => {
                    request.has_turn = true;
                    self.line().wait_for_turn(request, Instant::now(), wait);
                    return self.changed.notify_one();
                }
                Turn::Never => return self.refuse(request, LogIn::TooManyGuesses),
            }
        }
        self.check(request, looked.as_ref());
    }

    /// Asks the directory whom the name means; it is who asks from now on.
    fn look(&self, request: &mut Request) -> Result<Looked, String> {
        let look = || self.authenticator.look(&request.login);
        let looked = catch_unwind(AssertUnwindSafe(look)).map_err(|_| PANICKED.to_owned())?;
        let looked = looked.map_err(|why| why.to_string())?;
        let user = match &looked.found {
            Found::One(entry) => Some(user_of(entry)),
            _ => None,
        };
        self.names.note(request.who.name(), user.as_deref(), Instant::now());
        if let Some(user) = user {
            request.who = self.guesses.of_user(request.who.clone(), &user);
        }
        request.is_named = true;
        Ok(looked)
    }

    /// With the user whom the name means, and whether that is known.
    fn named(&self, who: Who) -> (Who, bool) {
        match self.names.known(who.name(), Instant::now()) {
            Some(Some(user)) => (self.guesses.of_user(who, &user), true),
            known => (who, known.is_some()),
        }
    }

    /// As [`Guesses::may_look`]; what is not looked at has a line in the log.
    fn may_look(&self, who: &Who, login: &str, peer: IpAddr) -> bool {
        let may = self.guesses.may_look(who, guesses::now());
        if let Some(user) = who.user().filter(|_| !may) {
            let line = log_line::NotLookedAt { peer, login, user };
            self.log.notice(Category::Account, format_args!("{line}"));
        }
        may
    }

    /// A request whose turn has come.
    fn check(&self, request: Request, looked: Option<&Looked>) {
        let Request { service, login, peer, job, who, has_turn, tell, .. } = request;
        let panicked = || LogIn::Unavailable(PANICKED.into());
        match job {
            Job::Password { password, answer } => {
                let seen = self.may_look(&who, &login, peer);
                let check = || match seen {
                    true => self.log_in(service, &login, password.reveal(), peer, looked),
                    false => self.authenticator.pretend(&login, password.reveal(), looked),
                };
                let log_in = catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|_| panicked());
                self.count(&who, &log_in, service, seen);
                self.answer(&who, &answer, log_in, tell);
            }
            Job::Claim { claim, names, answer } => {
                let seen = !matches!(claim, Claim::Digest { .. }) || self.may_look(&who, &login, peer);
                let look = || self.authenticator.believe(&self.mechanisms, service, &claim, &names, looked);
                let mut claimed = catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| (panicked(), ""));
                if !seen && !matches!(claimed.0, LogIn::Unavailable(_)) {
                    claimed = (LogIn::Refused, log_line::WRONG);
                }
                self.count(&who, &claimed.0, service, seen);
                self.answer(&who, &answer, claimed, tell);
            }
            Job::Keys { hash, answer } => {
                let look = || self.authenticator.scram_keys(&self.mechanisms, &login, hash, looked);
                let candidate = match catch_unwind(AssertUnwindSafe(look)) {
                    Ok(Ok(subject)) => {
                        Ok(Box::new(Proving { subject, who: who.clone(), has_turn, unseen: false }))
                    }
                    Ok(Err(why)) => Err(LogIn::Unavailable(why.to_string())),
                    Err(_) => Err(panicked()),
                };
                self.answer(&who, &answer, candidate, tell);
            }
        }
    }

    /// What came of a log-in whose password was looked at, or not.
    fn count(&self, who: &Who, log_in: &LogIn, service: Service, seen: bool) {
        let now = guesses::now();
        match log_in {
            _ if awaits_code(log_in, service) => {}
            LogIn::Accepted(entry) if who.user().is_none() => {
                self.guesses.succeeded(&self.guesses.of_user(who.clone(), &user_of(entry)), now);
            }
            LogIn::Accepted(_) | LogIn::Disallowed => self.guesses.succeeded(who, now),
            LogIn::Refused | LogIn::NeedsAppPassword if seen => self.guesses.failed(who, now),
            LogIn::Refused | LogIn::NeedsAppPassword => self.guesses.failed_unseen(who, now),
            LogIn::Unavailable(_) | LogIn::Busy | LogIn::TooManyGuesses => {}
        }
    }

    fn refuse(&self, request: Request, refusal: LogIn) {
        match request.job {
            Job::Password { answer, .. } => self.answer(&request.who, &answer, refusal, request.tell),
            Job::Keys { answer, .. } => self.answer(&request.who, &answer, Err(refusal), request.tell),
            Job::Claim { answer, .. } => {
                self.answer(&request.who, &answer, (refusal, log_line::WRONG), request.tell);
            }
        }
    }

    /// By a password; the name of the account for everybody needs none, where the service lets it in.
    fn log_in(
        &self,
        service: Service,
        login: &str,
        password: &str,
        peer: IpAddr,
        looked: Option<&Looked>,
    ) -> LogIn {
        if self.mechanisms.opens_by_name(service, login) {
            let claim = Claim::Anonymous { trace: String::new() };
            return self.authenticator.believe(&self.mechanisms, service, &claim, &[], None).0;
        }
        self.authenticator.log_in_looked(service, login, password, peer, looked)
    }

    fn answer<T>(&self, who: &Who, slot: &Slot<T>, answer: T, tell: Box<dyn FnOnce() + Send>) {
        self.line().uncount(who);
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        tell();
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
