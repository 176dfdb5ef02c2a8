//! The threads of inspectors, and the bounded line in front of them.
//!
//! Sessions wait here without a thread. Threads are started when they are needed and end when they are not. A message whose
//! session has gone is not looked at any more.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connection::Waker;
use server_log::Log;

use super::{Case, Fate, Inspectors};

/// How long a thread waits for something to do before it ends.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long a message waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(60);

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
        let mut line = lock(&self.0.line);
        if line.jobs.len() >= limits.line || !self.has_thread(&mut line, limits.threads) {
            return None;
        }
        let answer = Answer::default();
        let patience = inspectors.patience().saturating_add(TURN_MAX);
        line.jobs.push_back(Job { case, inspectors, answer: answer.clone(), waker });
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
            if let Some(job) = line.jobs.pop_front() {
                drop(line);
                self.inspect(job);
                line = lock(&self.line);
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
        let Job { mut case, inspectors, answer, waker } = job;
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
