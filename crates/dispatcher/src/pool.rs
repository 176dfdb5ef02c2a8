//! Worker threads: started when work waits and nobody is free, up to a ceiling; gone after a while without work.
//!
//! The one who rested last is woken first, so the others can retire. Only one is on its way at any time: whoever
//! takes a job and leaves more behind sends for the next. So a burst of short jobs does not wake everybody.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

const RETIRE_AFTER: Duration = Duration::from_secs(10);

struct State<J> {
    jobs: VecDeque<J>,
    resting: Vec<(usize, Thread)>,
    numbers: BTreeSet<usize>,
    coming: bool,
    stopped: bool,
}

/// The queue of jobs and those who do them. `J` is a job, done by the function given to [`Pool::new`].
pub struct Pool<J: Send + 'static> {
    state: Mutex<State<J>>,
    name: &'static str,
    threads_max: usize,
    fixed: bool,
    work: Worker<J>,
}

/// Makes what one worker thread runs for each job; called once in each thread.
pub type Worker<J> = Box<dyn Fn() -> Box<dyn FnMut(J)> + Send + Sync>;

impl<J: Send + 'static> Pool<J> {
    /// A pool of at most `threads_max` threads. `fixed`: they are all started now and stay.
    pub fn new(name: &'static str, threads_max: usize, fixed: bool, work: Worker<J>) -> Arc<Pool<J>> {
        let state = State {
            jobs: VecDeque::new(),
            resting: Vec::new(),
            numbers: BTreeSet::new(),
            coming: false,
            stopped: false,
        };
        let pool =
            Arc::new(Pool { state: Mutex::new(state), name, threads_max: threads_max.max(1), fixed, work });
        if fixed {
            let mut state = pool.lock();
            for _ in 0..pool.threads_max {
                pool.start_one(&mut state);
            }
        }
        pool
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts jobs at the back of the queue; `jobs` is empty afterwards.
    pub fn push(self: &Arc<Self>, jobs: &mut Vec<J>) {
        if jobs.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.jobs.extend(jobs.drain(..));
        self.send_for_one(&mut state);
    }

    /// Puts one job at the back of the queue.
    pub fn push_one(self: &Arc<Self>, job: J) {
        let mut state = self.lock();
        state.jobs.push_back(job);
        self.send_for_one(&mut state);
    }

    /// Workers end when the queue is empty; what waits is still done.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        for (_, thread) in state.resting.drain(..) {
            thread.unpark();
        }
    }

    /// Threads that exist now.
    pub fn threads(&self) -> usize {
        self.lock().numbers.len()
    }

    fn send_for_one(self: &Arc<Self>, state: &mut State<J>) {
        if state.coming || state.jobs.is_empty() {
            return;
        }
        if let Some((_, thread)) = state.resting.pop() {
            state.coming = true;
            thread.unpark();
        } else if state.numbers.len() < self.threads_max {
            state.coming = self.start_one(state);
        }
    }

    fn start_one(self: &Arc<Self>, state: &mut State<J>) -> bool {
        let number = (1..).find(|number| !state.numbers.contains(number)).unwrap_or(usize::MAX);
        let pool = self.clone();
        let started =
            thread::Builder::new().name(format!("{}-{number}", self.name)).spawn(move || pool.run(number));
        if started.is_ok() {
            state.numbers.insert(number);
        }
        started.is_ok() // else those who exist do the work
    }

    fn run(self: Arc<Self>, number: usize) {
        let mut work = (self.work)();
        let mut first = !self.fixed;
        while let Some(job) = self.next(number, &mut first) {
            work(job);
        }
    }

    /// The next job; `None`: this worker retires.
    fn next(self: &Arc<Self>, number: usize, arrived: &mut bool) -> Option<J> {
        let mut state = self.lock();
        loop {
            if std::mem::take(arrived) {
                state.coming = false;
            }
            if let Some(job) = state.jobs.pop_front() {
                self.send_for_one(&mut state);
                return Some(job);
            }
            if state.stopped {
                state.numbers.remove(&number);
                return None;
            }
            state.resting.push((number, thread::current()));
            let timed_out = loop {
                drop(state);
                let waiting = std::time::Instant::now();
                thread::park_timeout(RETIRE_AFTER);
                state = self.lock();
                let resting = state.resting.iter().position(|(resting, _)| *resting == number);
                match resting {
                    None => break false, // sent for
                    Some(at) if !self.fixed && waiting.elapsed() >= RETIRE_AFTER => {
                        state.resting.remove(at);
                        break true;
                    }
                    Some(_) => {}
                }
            };
            if timed_out {
                state.numbers.remove(&number);
                return None;
            }
            *arrived = !state.stopped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn blocked_workers_make_room_for_more_up_to_the_ceiling() {
        let (started, starts) = mpsc::channel();
        let pool: Arc<Pool<mpsc::Receiver<()>>> = Pool::new(
            "pool-test",
            3,
            false,
            Box::new(move || {
                let started = started.clone();
                Box::new(move |gate: mpsc::Receiver<()>| {
                    started.send(()).unwrap();
                    let _ = gate.recv();
                })
            }),
        );
        let (gates, mut jobs): (Vec<_>, Vec<_>) = (0..10).map(|_| mpsc::channel()).unzip();
        pool.push(&mut jobs);
        for _ in 0..3 {
            starts.recv().unwrap();
        }
        assert_eq!(pool.threads(), 3);
        drop(gates);
        for _ in 3..10 {
            starts.recv().unwrap();
        }
        pool.stop();
    }

    #[test]
    fn a_fixed_pool_starts_at_once() {
        let pool: Arc<Pool<()>> = Pool::new("fixed-test", 4, true, Box::new(|| Box::new(|()| {})));
        assert_eq!(pool.threads(), 4);
        pool.stop();
    }
}
