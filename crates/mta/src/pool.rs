//! The worker threads of one stage.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

struct State<J> {
    jobs: VecDeque<J>,
    /// Threads that wait until the line is shorter.
    outside: usize,
    stopping: bool,
}

/// A queue of jobs and the threads that do them, all started at once.
pub struct Pool<J> {
    state: Mutex<State<J>>,
    arrived: Condvar,
    taken: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<J: Send + 'static> Pool<J> {
    pub fn new() -> Arc<Pool<J>> {
        Arc::new(Pool {
            state: Mutex::new(State { jobs: VecDeque::new(), outside: 0, stopping: false }),
            arrived: Condvar::new(),
            taken: Condvar::new(),
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
        if state.stopping {
            return None;
        }
        if state.outside > 0 {
            self.taken.notify_all();
        }
        state.jobs.pop_front()
    }

    /// Waits until fewer than `most` jobs are in line, or the end has come.
    pub fn wait_for_room(&self, most: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.jobs.len() >= most && !state.stopping {
            state.outside += 1;
            state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.outside = state.outside.saturating_sub(1);
        }
    }

    /// Puts a job at the end of the line.
    ///
    /// # Errors
    /// The job, when `most` are in line.
    pub fn try_push(&self, job: J, most: usize) -> Result<(), J> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.jobs.len() >= most {
            return Err(job);
        }
        state.jobs.push_back(job);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    pub fn push(&self, job: J) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).jobs.push_back(job);
        self.arrived.notify_one();
    }

    /// Jobs under way are finished, the others stay on disk.
    pub fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopping = true;
        self.arrived.notify_all();
        self.taken.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn who_fills_a_line_waits_for_room_in_it() {
        let pool = Pool::new();
        (0..3).for_each(|number| pool.push(number));
        pool.wait_for_room(4);
        assert_eq!(pool.try_push(4, 3), Err(4));
        let (told, waited) = mpsc::channel();
        let line = pool.clone();
        let waiter = thread::spawn(move || {
            line.wait_for_room(3);
            told.send(()).unwrap();
        });
        assert_eq!(waited.try_recv(), Err(mpsc::TryRecvError::Empty), "the line is full");
        assert_eq!(pool.next(), Some(0));
        waited.recv().unwrap();
        waiter.join().unwrap();
        let line = pool.clone();
        let waiter = thread::spawn(move || line.wait_for_room(0));
        pool.stop();
        waiter.join().unwrap();
    }
}
