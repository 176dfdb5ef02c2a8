//! The worker threads of one stage.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

struct State<J> {
    jobs: VecDeque<J>,
    /// Threads that wait for a job, and those that are about to.
    idle: usize,
    threads: usize,
    /// How many threads there may be; none before the start and after the end.
    most: usize,
    /// Threads that wait until the line is shorter.
    outside: usize,
    stopping: bool,
}

impl<J> State<J> {
    /// Whether more jobs are in line than threads come for them, and there may be another thread.
    fn is_behind(&self) -> bool {
        self.jobs.len() > self.idle && self.threads < self.most && !self.stopping
    }
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
    /// Adds a thread.
    add: Mutex<Option<Add>>,
}

type Add = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

impl<J: Send + 'static> Pool<J> {
    pub fn new() -> Arc<Pool<J>> {
        Arc::new(Pool {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                idle: 0,
                threads: 0,
                most: 0,
                outside: 0,
                stopping: false,
            }),
            arrived: Condvar::new(),
            taken: Condvar::new(),
            threads: Mutex::default(),
            add: Mutex::default(),
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
        self.lock().most = most.max(least).max(1);
        let (pool, own) = (Arc::downgrade(self), Arc::clone(&crew));
        let add = move || pool.upgrade().map_or(Ok(()), |pool| pool.add(&own));
        *self.add.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(add));
        (0..least.max(1)).try_for_each(|_| self.add(&crew))?;
        // For what was in line before the start.
        let is_behind = || self.lock().is_behind();
        while is_behind() && self.add(&crew).is_ok() {}
        Ok(())
    }

    fn add<W, P>(self: &Arc<Self>, crew: &Arc<Crew<W, P>>) -> io::Result<()>
    where
        W: Fn(J) + Send + Sync + 'static,
        P: Fn() + Send + Sync + 'static,
    {
        // Until the thread is in the list: whoever stops waits for all that are.
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let number = {
            let mut state = self.lock();
            if state.threads >= state.most || state.stopping {
                return Ok(());
            }
            state.threads += 1;
            state.idle += 1;
            state.threads
        };
        let (pool, own) = (Arc::clone(self), Arc::clone(crew));
        let name = format!("{}-{number}", crew.module);
        let thread = thread::Builder::new().name(name).spawn(move || {
            while let Some(job) = pool.next() {
                if catch_unwind(AssertUnwindSafe(|| (own.work)(job))).is_err() {
                    (own.panicked)();
                }
                pool.lock().idle += 1;
            }
        });
        match thread {
            Ok(thread) => {
                threads.push(thread);
                Ok(())
            }
            Err(error) => {
                let mut state = self.lock();
                state.threads -= 1;
                state.idle -= 1;
                Err(error)
            }
        }
    }

    /// Adds a thread when no other comes for what is in line: one that waits behind a job which takes long may wait for as long.
    fn grow(&self) {
        let add = self.add.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let _ = add.map(|add| add()); // without it, the line is longer
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, for a thread that counts as idle.
    fn next(&self) -> Option<J> {
        let state = self.lock();
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
        state.jobs.pop_front()
    }

    /// Waits until fewer than `most` jobs are in line, or the end has come.
    pub fn wait_for_room(&self, most: usize) {
        let mut state = self.lock();
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
        let state = self.lock();
        if state.jobs.len() >= most {
            return Err(job);
        }
        self.put(state, job);
        Ok(())
    }

    pub fn push(&self, job: J) {
        self.put(self.lock(), job);
    }

    fn put(&self, mut state: MutexGuard<'_, State<J>>, job: J) {
        state.jobs.push_back(job);
        let is_behind = state.is_behind();
        drop(state);
        self.arrived.notify_one();
        if is_behind {
            self.grow();
        }
    }

    /// Jobs under way are finished, the others stay on disk.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.arrived.notify_all();
        self.taken.notify_all();
        *self.add.lock().unwrap_or_else(PoisonError::into_inner) = None;
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

    /// Jobs that wait for each other in fours, and come while others are under way or all at once.
    #[test]
    fn more_threads_come_while_jobs_wait_and_no_more_than_there_may_be() {
        for apart in [true, false] {
            let pool = Pool::new();
            let barrier = Arc::new(std::sync::Barrier::new(5));
            let (begun, begin) = mpsc::channel();
            let at = barrier.clone();
            let work = move |number: u32| {
                begun.send(number).unwrap();
                at.wait();
            };
            pool.start_up_to("test", (1, 4), work, || {}).unwrap();
            for number in 0..8 {
                pool.push(number);
                if apart && number < 4 {
                    assert_eq!(begin.recv(), Ok(number), "though all threads are at work");
                }
            }
            barrier.wait(); // with four others
            barrier.wait();
            pool.stop();
            assert_eq!(pool.lock().threads, 4);
        }
    }

    #[test]
    fn what_was_in_line_before_the_start_gets_threads_too() {
        let pool = Pool::new();
        (0..4).for_each(|number| pool.push(number));
        let barrier = Arc::new(std::sync::Barrier::new(5));
        let at = barrier.clone();
        let work = move |_: u32| {
            at.wait();
        };
        pool.start_up_to("test", (1, 4), work, || {}).unwrap();
        barrier.wait();
        pool.stop();
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
        pool.lock().idle += 1; // as one of its threads
        assert_eq!(pool.next(), Some(0));
        waited.recv().unwrap();
        waiter.join().unwrap();
        let line = pool.clone();
        let waiter = thread::spawn(move || line.wait_for_room(0));
        pool.stop();
        waiter.join().unwrap();
    }
}
