//! The threads of inspectors, and the bounded line in front of them.
//!
//! Sessions wait here without a thread. Threads are started when they are needed and end when they are not. A message whose
//! session has gone is not looked at any more.
//!
//! Strangers of one network (IPv4 /24, IPv6 /48) have a quarter of the threads and of the line: one that sends mail of
//! domains whose name servers are silent cannot have all others wait.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::network::of_site;
use connection::Waker;
use server_log::{Category, Log};

use super::{Case, Fate, Inspectors, Origin};

/// How long a thread waits for something to do before it ends.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long a message waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(60);

/// Which part of threads and line a network of strangers may have.
const SHARE: usize = 4;

/// How many messages are inspected at once, and how many more wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub threads: usize,
    pub line: usize,
}

type Answer = Arc<Mutex<Option<(Box<Case>, Fate)>>>;

/// A message that is being inspected. Dropped: nobody wants to know any more, and the message goes.
pub struct Pending {
    answer: Answer,
    /// How long to wait for it.
    pub patience: Duration,
}

impl Pending {
    /// The message and what is to become of it, once it is known.
    pub fn take(&self) -> Option<(Box<Case>, Fate)> {
        lock(&self.answer).take()
    }
}

struct Job {
    /// Of a stranger.
    network: Option<IpAddr>,
    case: Box<Case>,
    inspectors: Inspectors,
    answer: Answer,
    waker: Waker,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Threads that a network may have.
    share: usize,
    /// Messages of each network that are looked at and that wait.
    looked_at: HashMap<IpAddr, usize>,
    waiting: HashMap<IpAddr, usize>,
}

impl Line {
    /// The first whose network has a thread to spare.
    fn next(&mut self) -> Option<Job> {
        let is_free =
            |job: &Job| job.network.is_none_or(|network| count(&self.looked_at, network) < self.share);
        let at = self.jobs.iter().position(is_free)?;
        let job = self.jobs.remove(at)?;
        if let Some(network) = job.network {
            lower(&mut self.waiting, network);
            *self.looked_at.entry(network).or_default() += 1;
        }
        Some(job)
    }
}

fn count(counts: &HashMap<IpAddr, usize>, network: IpAddr) -> usize {
    counts.get(&network).copied().unwrap_or(0)
}

fn lower(counts: &mut HashMap<IpAddr, usize>, network: IpAddr) {
    if let Some(left) = counts.get_mut(&network) {
        *left = left.saturating_sub(1);
        if *left == 0 {
            counts.remove(&network);
        }
    }
}

struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
    log: Log,
}

/// See the head of this file.
pub struct InspectionLine(Arc<Shared>);

impl InspectionLine {
    pub fn new(log: Log) -> InspectionLine {
        InspectionLine(Arc::new(Shared { line: Mutex::default(), changed: Condvar::new(), log }))
    }

    /// Has a message inspected; `waker` is used when that is done. Nothing when too many wait: the message is gone then.
    pub fn push(
        &self,
        case: Box<Case>,
        inspectors: Inspectors,
        limits: Limits,
        waker: Waker,
    ) -> Option<Pending> {
        let network = (case.peer.origin == Origin::Stranger).then(|| of_site(case.peer.address));
        let mut line = lock(&self.0.line);
        line.share = limits.threads.div_ceil(SHARE);
        let waits = network.map_or(0, |network| count(&line.waiting, network));
        let is_full = line.jobs.len() >= limits.line || waits >= limits.line.div_ceil(SHARE);
        if is_full || !self.has_thread(&mut line, limits.threads) {
            return None;
        }
        if let Some(network) = network {
            *line.waiting.entry(network).or_default() += 1;
        }
        let answer = Answer::default();
        let patience = inspectors.patience().saturating_add(TURN_MAX);
        line.jobs.push_back(Job { network, case, inspectors, answer: answer.clone(), waker });
        drop(line);
        self.0.changed.notify_one();
        Some(Pending { answer, patience })
    }

    /// Makes sure that somebody will look at the line.
    fn has_thread(&self, line: &mut Line, max: usize) -> bool {
        if line.idle <= line.jobs.len() && line.threads < max {
            let shared = self.0.clone();
            let started = std::thread::Builder::new().name("inspection".into()).spawn(move || shared.work());
            line.threads = line.threads.saturating_add(usize::from(started.is_ok()));
        }
        line.threads > 0
    }
}

impl Shared {
    /// The life of a thread.
    fn work(&self) {
        let mut line = lock(&self.line);
        loop {
            if let Some(job) = line.next() {
                let network = job.network;
                drop(line);
                if catch_unwind(AssertUnwindSafe(|| self.inspect(job))).is_err() {
                    self.log.critical(Category::General, format_args!("inspection: panic"));
                }
                line = lock(&self.line);
                if let Some(network) = network {
                    lower(&mut line.looked_at, network);
                }
                continue;
            }
            line.idle = line.idle.saturating_add(1);
            let (woken, wait) =
                self.changed.wait_timeout(line, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            line = woken;
            line.idle = line.idle.saturating_sub(1);
            if wait.timed_out() && line.jobs.is_empty() {
                line.threads = line.threads.saturating_sub(1);
                return;
            }
        }
    }

    fn inspect(&self, job: Job) {
        let Job { mut case, inspectors, answer, waker, .. } = job;
        if Arc::strong_count(&answer) == 1 {
            return; // the session is gone
        }
        let fate = case.inspect(&inspectors, &self.log);
        *lock(&answer) = Some((case, fate));
        waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
