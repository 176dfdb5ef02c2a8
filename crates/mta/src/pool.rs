//! The worker threads of one stage.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

struct State<J> {
    jobs: VecDeque<J>,
    stopping: bool,
}

/// A queue of jobs and the threads that do them, all started at once.
pub struct Pool<J> {
    state: Mutex<State<J>>,
    arrived: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<J: Send + 'static> Pool<J> {
    pub fn new() -> Arc<Pool<J>> {
        Arc::new(Pool {
            state: Mutex::new(State { jobs: VecDeque::new(), stopping: false }),
            arrived: Condvar::new(),
            threads: Mutex::default(),
        })
    }

    /// Starts the threads, named after the module. A job that panics is reported and nothing else.
    pub fn start(
        self: &Arc<Self>,
        module: &str,
        threads: usize,
        work: impl Fn(J) + Send + Sync + 'static,
        panicked: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<()> {
        let shared = Arc::new((work, panicked));
        for number in 1..=threads.max(1) {
            let (pool, shared) = (Arc::clone(self), Arc::clone(&shared));
            let thread = thread::Builder::new().name(format!("{module}-{number}")).spawn(move || {
                while let Some(job) = pool.next() {
                    if catch_unwind(AssertUnwindSafe(|| (shared.0)(job))).is_err() {
                        (shared.1)();
                    }
                }
            })?;
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(())
    }

    fn next(&self) -> Option<J> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .arrived
            .wait_while(state, |state| state.jobs.is_empty() && !state.stopping)
            .unwrap_or_else(PoisonError::into_inner);
        // What waits is on disk: it goes on at the next start.
        if state.stopping { None } else { state.jobs.pop_front() }
    }

    pub fn push(&self, job: J) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).jobs.push_back(job);
        self.arrived.notify_one();
    }

    /// Jobs under way are finished, the others stay on disk.
    pub fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopping = true;
        self.arrived.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}
