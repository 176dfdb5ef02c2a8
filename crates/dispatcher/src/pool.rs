//! Worker threads: started when work waits and nobody is free, up to a ceiling; gone after a while without work.
//!
//! A job comes from the queue or follows from an event at a socket. One worker always waits at the sockets while any is
//! free, and a few may: whoever leaves with an event and leaves nobody behind sends for the next. The others rest; the
//! one who rested last is sent for first, so the others can retire, and only one is on its way at any time. So a burst
//! of short jobs does not wake everybody.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use counters::Counter;

use crate::sockets::{Heard, Sockets};

const RETIRE_AFTER: Duration = Duration::from_secs(10);

struct State<J> {
    jobs: VecDeque<J>,
    /// Workers that wait at the sockets.
    waiting: usize,
    resting: Vec<(usize, Thread)>,
    numbers: BTreeSet<usize>,
    /// One was sent for and has not arrived.
    coming: bool,
    /// The bell was rung and not heard.
    rung: bool,
    stopped: bool,
}

/// The queue of jobs and those who do them. `J` is a job, done by the function given to [`Pool::new`].
pub struct Pool<J: Send + 'static> {
    state: Mutex<State<J>>,
    name: &'static str,
    threads_max: usize,
    /// How many may wait at the sockets.
    waiting_max: usize,
    fixed: bool,
    sockets: Sockets,
    /// A worker has ended.
    ended: Condvar,
    claim: Claim<J>,
    work: Worker<J>,
}

/// The job that follows from an event at a socket: of the index and the number of its session, and the bits.
pub type Claim<J> = Box<dyn Fn(usize, u32, u8) -> Option<J> + Send + Sync>;
/// Makes what one worker thread runs for each job; called once in each thread.
pub type Worker<J> = Box<dyn Fn() -> Box<dyn FnMut(J)> + Send + Sync>;

/// Where a worker is in its life.
struct Turn {
    number: usize,
    /// It was sent for and is about to arrive.
    sent_for: bool,
    /// Its last job came from the queue; so the sockets are next.
    queue_had_its_turn: bool,
}

impl<J: Send + 'static> Pool<J> {
    /// A pool of at most `threads_max` threads. `fixed`: they are all started now and stay.
    pub fn new(
        name: &'static str,
        threads_max: usize,
        fixed: bool,
        sockets: Sockets,
        claim: Claim<J>,
        work: Worker<J>,
    ) -> Arc<Pool<J>> {
        let state = State {
            jobs: VecDeque::new(),
            waiting: 0,
            resting: Vec::new(),
            numbers: BTreeSet::new(),
            coming: false,
            rung: false,
            stopped: false,
        };
        let threads_max = threads_max.max(1);
        counters::set(Counter::ThreadLimit, threads_max as u64);
        let waiting_max = thread::available_parallelism().map_or(1, |processors| processors.get() + 1);
        let state = Mutex::new(state);
        let pool = Arc::new(Pool {
            state,
            name,
            threads_max,
            waiting_max,
            fixed,
            sockets,
            ended: Condvar::new(),
            claim,
            work,
        });
        let mut state = pool.lock();
        for _ in 0..if fixed { threads_max } else { 1 } {
            pool.start_one(&mut state, false);
        }
        drop(state);
        pool
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the workers wait.
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Puts jobs at the back of the queue; `jobs` is empty afterwards.
    pub fn push(self: &Arc<Self>, jobs: &mut Vec<J>) {
        if jobs.is_empty() {
            return;
        }
        let mut state = self.lock();
        self.count_waits(&state, jobs.len());
        state.jobs.extend(jobs.drain(..));
        self.send_for_one(&mut state);
    }

    /// Puts one job at the back of the queue.
    pub fn push_one(self: &Arc<Self>, job: J) {
        let mut state = self.lock();
        self.count_waits(&state, 1);
        state.jobs.push_back(job);
        self.send_for_one(&mut state);
    }

    /// Work that comes when everybody is busy, and nobody else can be had.
    fn count_waits(&self, state: &State<J>, jobs: usize) {
        let nobody = state.waiting == 0 && state.resting.is_empty() && !state.coming;
        if nobody && state.numbers.len() >= self.threads_max {
            counters::add(Counter::QueueWaits, jobs as u64);
        }
    }

    /// Workers end when the queue is empty; what waits is still done.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        for (_, thread) in state.resting.drain(..) {
            thread.unpark();
        }
        self.sockets.ring();
    }

    /// Waits until every worker has ended, after [`Pool::stop`], for `most` at most.
    pub fn wait_until_idle(&self, most: Duration) {
        let some = |state: &mut State<J>| !state.numbers.is_empty();
        drop(self.ended.wait_timeout_while(self.lock(), most, some));
    }

    /// Threads that exist now.
    pub fn threads(&self) -> usize {
        self.lock().numbers.len()
    }

    /// Sets the counters of what there is now: those that were lost with their file.
    pub fn count_anew(&self) {
        let state = self.lock();
        let (threads, idle) = (state.numbers.len(), state.waiting + state.resting.len());
        counters::set(Counter::ThreadLimit, self.threads_max as u64);
        counters::set(Counter::Threads, threads as u64);
        counters::set(Counter::BusyThreads, threads.saturating_sub(idle) as u64);
    }

    /// Sees to it that somebody waits at the sockets and that the queue is looked at, as far as there are workers.
    fn send_for_one(self: &Arc<Self>, state: &mut State<J>) {
        if state.coming {
            return;
        }
        if state.waiting > 0 {
            if !state.jobs.is_empty() && !state.rung {
                state.rung = true;
                self.sockets.ring();
            }
        } else if let Some((_, thread)) = state.resting.pop() {
            state.coming = true;
            thread.unpark();
        } else if state.numbers.len() < self.threads_max && !state.stopped {
            state.coming = self.start_one(state, true);
        }
    }

    fn start_one(self: &Arc<Self>, state: &mut State<J>, sent_for: bool) -> bool {
        let number = (1..).find(|number| !state.numbers.contains(number)).unwrap_or(usize::MAX);
        let pool = self.clone();
        let turn = Turn { number, sent_for, queue_had_its_turn: false };
        let started =
            thread::Builder::new().name(format!("{}-{number}", self.name)).spawn(move || pool.run(turn));
        if started.is_ok() {
            state.numbers.insert(number);
            counters::enter(Counter::Threads, Counter::MaxThreads);
        }
        started.is_ok() // else those who exist do the work
    }

    fn run(self: Arc<Self>, mut turn: Turn) {
        let mut work = (self.work)();
        while let Some(job) = self.next(&mut turn) {
            counters::enter(Counter::BusyThreads, Counter::MaxBusyThreads);
            work(job);
            counters::subtract(Counter::BusyThreads, 1);
            counters::add(Counter::Jobs, 1);
        }
        drop(work);
        counters::subtract(Counter::Threads, 1);
        self.lock().numbers.remove(&turn.number);
        self.ended.notify_all();
    }

    /// The next job; `None`: this worker retires.
    fn next(self: &Arc<Self>, turn: &mut Turn) -> Option<J> {
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut turn.sent_for) {
                state.coming = false;
            }
            // Who is busy for long must not keep the others from being heard: queue and sockets take turns.
            if !turn.queue_had_its_turn
                && let Some(job) = state.jobs.pop_front()
            {
                turn.queue_had_its_turn = true;
                self.send_for_one(&mut state);
                return Some(job);
            }
            turn.queue_had_its_turn = false;
            let (heard, job);
            if !state.jobs.is_empty() {
                drop(state);
                (heard, job) = self.listen(Some(Duration::ZERO));
                state = self.lock();
            } else if state.stopped {
                self.sockets.ring(); // for the next who waits
                return None;
            } else if state.waiting < self.waiting_max {
                let alone = state.waiting == 0;
                state.waiting += 1;
                drop(state);
                (heard, job) = self.listen((!self.fixed && !alone).then_some(RETIRE_AFTER));
                state = self.lock();
                state.waiting -= 1;
                let idle = heard == Heard::Nothing && state.jobs.is_empty() && !state.stopped;
                if idle && state.waiting > 0 && !self.fixed {
                    state.numbers.remove(&turn.number);
                    return None;
                }
            } else {
                if self.rest(state, turn) {
                    return None;
                }
                state = self.lock();
                continue;
            }
            if heard == Heard::Bell {
                state.rung = false;
            }
            if job.is_some() {
                self.send_for_one(&mut state);
                return job;
            }
        }
    }

    /// Waits for an event, and takes the job that follows from it, if any.
    fn listen(&self, most: Option<Duration>) -> (Heard, Option<J>) {
        let heard = self.sockets.wait(most);
        let job = match heard {
            Heard::Socket { index, number, bits } => (self.claim)(index, number, bits),
            Heard::Bell | Heard::Nothing => None,
        };
        (heard, job)
    }

    /// Rests until this worker is sent for, or the pool stops. Whether it retires instead.
    fn rest<'a>(&'a self, mut state: MutexGuard<'a, State<J>>, turn: &mut Turn) -> bool {
        state.resting.push((turn.number, thread::current()));
        loop {
            drop(state);
            let since = Instant::now();
            thread::park_timeout(RETIRE_AFTER);
            state = self.lock();
            match state.resting.iter().position(|(resting, _)| *resting == turn.number) {
                None => {
                    turn.sent_for = !state.stopped;
                    return false;
                }
                Some(at) if !self.fixed && since.elapsed() >= RETIRE_AFTER => {
                    state.resting.remove(at);
                    state.numbers.remove(&turn.number);
                    return true;
                }
                Some(_) => {}
            }
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
            Sockets::new().unwrap(),
            Box::new(|_, _, _| None),
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
        let pool: Arc<Pool<()>> = Pool::new(
            "fixed-test",
            4,
            true,
            Sockets::new().unwrap(),
            Box::new(|_, _, _| None),
            Box::new(|| Box::new(|()| {})),
        );
        assert_eq!(pool.threads(), 4);
        pool.stop();
    }
}
