//! The worker threads of one stage.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

struct State<J> {
    jobs: VecDeque<J>,
    /// Threads that wait for a job.
    idle: usize,
    /// Threads that were started and have not looked for a job yet.
    starting: usize,
    threads: usize,
    /// No more threads than these.
    most: usize,
    /// Threads that wait until the line is shorter.
    outside: usize,
    stopping: bool,
}

/// What its threads do.
struct Crew<W, P> {
    module: String,
    work: W,
    panicked: P,
}

/// A queue of jobs and the threads that do them.
pub struct Pool<J> {
    state: Mutex<State<J>>,
    arrived: Condvar,
    taken: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Starts one more.
    more: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl<J> State<J> {
    /// Whether more jobs wait than threads do, and there may be one more.
    fn wants_thread(&self) -> bool {
        self.jobs.len() > self.idle + self.starting && self.threads < self.most && !self.stopping
    }
}

impl<J: Send + 'static> Pool<J> {
    pub fn new() -> Arc<Pool<J>> {
        Arc::new(Pool {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                idle: 0,
                starting: 0,
                threads: 0,
                most: 0,
                outside: 0,
                stopping: false,
            }),
            arrived: Condvar::new(),
            taken: Condvar::new(),
            threads: Mutex::default(),
            more: OnceLock::new(),
        })
    }

    /// Starts the threads, named after the module. A job that panics is reported and nothing else.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        self: &Arc<Self>,
        module: &str,
        threads: usize,
        work: impl Fn(J) + Send + Sync + 'static,
        panicked: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<()> {
        self.start_up_to(module, (threads, threads), work, panicked)
    }

    /// As [`Pool::start`], with so many at least and at most: more come, one by one, while jobs wait in line, and stay.
    ///
    /// # Errors
    /// As [`Pool::start`].
    pub fn start_up_to(
        self: &Arc<Self>,
        module: &str,
        (least, most): (usize, usize),
        work: impl Fn(J) + Send + Sync + 'static,
        panicked: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<()> {
        let crew = Arc::new(Crew { module: module.to_owned(), work, panicked });
        self.lock().most = most.max(1);
        let (pool, own) = (Arc::downgrade(self), crew.clone());
        let _ = self.more.set(Box::new(move || {
            if let Some(pool) = pool.upgrade() {
                let _ = pool.add(&own); // without it, the line is longer
            }
        }));
        (0..least.max(1)).try_for_each(|_| self.add(&crew))
    }

    fn add<W, P>(self: &Arc<Self>, crew: &Arc<Crew<W, P>>) -> io::Result<()>
    where
        W: Fn(J) + Send + Sync + 'static,
        P: Fn() + Send + Sync + 'static,
    {
        let number = {
            let mut state = self.lock();
            if state.threads >= state.most || state.stopping {
                return Ok(());
            }
            state.threads += 1;
            state.starting += 1;
            state.threads
        };
        let (pool, own) = (Arc::clone(self), Arc::clone(crew));
        let name = format!("{}-{number}", crew.module);
        let thread = thread::Builder::new().name(name).spawn(move || {
            pool.lock().starting -= 1;
            while let Some((job, is_behind)) = pool.next() {
                if is_behind {
                    let _ = pool.add(&own); // without it, the line is longer
                }
                if catch_unwind(AssertUnwindSafe(|| (own.work)(job))).is_err() {
                    (own.panicked)();
                }
            }
        });
        match thread {
            Ok(thread) => {
                self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
                Ok(())
            }
            Err(error) => {
                let mut state = self.lock();
                state.threads -= 1;
                state.starting -= 1;
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, and whether one more thread is wanted for those behind it.
    fn next(&self) -> Option<(J, bool)> {
        let mut state = self.lock();
        state.idle += 1;
        let mut state = self
            .arrived
            .wait_while(state, |state| state.jobs.is_empty() && !state.stopping)
            .unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        // What waits is on disk: it goes on at the next start.
        if state.stopping {
            return None;
        }
        if state.outside > 0 {
            self.taken.notify_all();
        }
        let job = state.jobs.pop_front()?;
        Some((job, state.wants_thread()))
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
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.jobs.len() >= most {
            return Err(job);
        }
        self.put(state, job);
        Ok(())
    }

    pub fn push(&self, job: J) {
        self.put(self.lock(), job);
    }

    /// All threads may be at something that takes long: who brings the job sees to it that there is one for it.
    fn put(&self, mut state: MutexGuard<'_, State<J>>, job: J) {
        state.jobs.push_back(job);
        let wants_thread = state.wants_thread();
        drop(state);
        self.arrived.notify_one();
        if wants_thread {
            if let Some(more) = self.more.get() {
                more();
            }
        }
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

    /// Each of these jobs waits for all of them.
    #[test]
    fn more_threads_come_while_jobs_wait_and_no_more_than_there_may_be() {
        let pool = Pool::new();
        let barrier = Arc::new(std::sync::Barrier::new(5));
        let (told, done) = mpsc::channel();
        let (at, told) = (barrier.clone(), Mutex::new(told));
        let work = move |_: u32| {
            at.wait();
            told.lock().unwrap().send(()).unwrap();
        };
        pool.start_up_to("test", (1, 4), work, || {}).unwrap();
        (0..8).for_each(|number| pool.push(number));
        for _ in 0..2 {
            barrier.wait(); // with four others
            (0..4).for_each(|_| done.recv().unwrap());
        }
        pool.stop();
        assert_eq!(pool.lock().threads, 4);
    }

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
        assert_eq!(pool.next(), Some((0, false)));
        waited.recv().unwrap();
        waiter.join().unwrap();
        let line = pool.clone();
        let waiter = thread::spawn(move || line.wait_for_room(0));
        pool.stop();
        waiter.join().unwrap();
    }
}
