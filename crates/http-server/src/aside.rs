//! Work that waits for others, such as servers on the Internet: it is done by a few threads of its own behind a bounded
//! line, and the session is woken when its response is there. So it never holds a worker.
//!
//! The threads are all users' together, and one user has only some of them: a message whose images are on a host that does not
//! answer keeps that user waiting, and nobody else.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::Response;

/// Threads at most; they come as they are needed.
const THREADS_MAX: usize = 16;
/// What may wait.
const LINE_MAX: usize = 200;
/// Of these, for one user at once: as many as a browser asks one host for.
const OF_USER_MAX: usize = 6;
/// What may wait of one user's.
const OF_USER_LINE_MAX: usize = 50;

type Slot = Arc<Mutex<Option<Response>>>;

/// A response that is being made. Dropped: it is not made any more, unless it has begun.
pub struct Pending(Slot);

impl Pending {
    /// The response, once it is there.
    pub fn take(&self) -> Option<Response> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Job {
    uid: String,
    work: Box<dyn FnOnce() -> Response + Send>,
    slot: Slot,
    tell: Box<dyn FnOnce() + Send>,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    /// Threads at work, by user; none: the user is not there.
    busy: HashMap<String, usize>,
    threads: usize,
    idle: usize,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
}

/// See the module.
#[derive(Default)]
pub struct Aside(Arc<Shared>);

impl Aside {
    /// Has `work` done for a user; `tell` is called when its response is there. Nothing: too much waits.
    pub fn ask(
        &self,
        uid: &str,
        work: impl FnOnce() -> Response + Send + 'static,
        tell: impl FnOnce() + Send + 'static,
    ) -> Option<Pending> {
        let mut line = self.0.line();
        let of_user = line.jobs.iter().filter(|job| job.uid == uid).count();
        if line.jobs.len() >= LINE_MAX || of_user >= OF_USER_LINE_MAX {
            return None;
        }
        if line.idle <= line.jobs.len() && line.threads < THREADS_MAX {
            let shared = self.0.clone();
            let started = std::thread::Builder::new().name("aside".into()).spawn(move || shared.work());
            line.threads += usize::from(started.is_ok());
        }
        if line.threads == 0 {
            return None;
        }
        let slot = Slot::default();
        line.jobs.push_back(Job {
            uid: uid.to_owned(),
            work: Box::new(work),
            slot: slot.clone(),
            tell: Box::new(tell),
        });
        drop(line);
        self.0.changed.notify_one();
        Some(Pending(slot))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.0.line().stopped = true;
        self.0.changed.notify_all();
    }
}

impl Line {
    /// The first job whose user may have one more thread.
    fn next(&mut self) -> Option<Job> {
        let has_room = |job: &Job| self.busy.get(&job.uid).is_none_or(|busy| *busy < OF_USER_MAX);
        let place = self.jobs.iter().position(has_room)?;
        let job = self.jobs.remove(place)?;
        *self.busy.entry(job.uid.clone()).or_default() += 1;
        Some(job)
    }

    fn is_done(&mut self, uid: &str) {
        let Some(busy) = self.busy.get_mut(uid) else { return };
        *busy -= 1;
        if *busy == 0 {
            self.busy.remove(uid);
        }
    }
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut line = self.line();
        while !line.stopped {
            let Some(job) = line.next() else {
                line.idle += 1;
                line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
                line.idle -= 1;
                continue;
            };
            drop(line);
            if Arc::strong_count(&job.slot) > 1 {
                let response = catch_unwind(AssertUnwindSafe(job.work));
                let response = response.unwrap_or_else(|_| Response::plain_problem(500, "it failed"));
                *job.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
                (job.tell)();
            }
            line = self.line();
            line.is_done(&job.uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_response_is_there_when_it_is_told() {
        let aside = Aside::default();
        let (tell, told) = mpsc::channel();
        let again = tell.clone();
        let good = aside.ask("a", || Response::empty(204), move || tell.send(()).unwrap()).unwrap();
        let bad = aside.ask("a", || panic!("on purpose"), move || again.send(()).unwrap()).unwrap();
        told.recv().unwrap();
        told.recv().unwrap();
        assert_eq!(good.take().unwrap().status, 204);
        assert_eq!(bad.take().unwrap().status, 500);
    }

    #[test]
    fn the_line_has_an_end() {
        let aside = Aside::default();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let mut waiting = Vec::new();
        for number in 0..LINE_MAX + THREADS_MAX + 1 {
            let held = held.clone();
            let work = move || {
                let _ = held.lock().unwrap().recv();
                Response::empty(204)
            };
            waiting.push(aside.ask(&number.to_string(), work, || ()));
        }
        assert!(waiting.iter().any(Option::is_none));
        drop(release);
    }

    /// One whose jobs hang has six threads, and a line of their own; what another asks for is done meanwhile.
    #[test]
    fn one_user_does_not_keep_others_waiting() {
        let aside = Aside::default();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let hang = || {
            let held = held.clone();
            aside.ask(
                "slow",
                move || {
                    let _ = held.lock().unwrap().recv();
                    Response::empty(204)
                },
                || (),
            )
        };
        let waiting: Vec<_> = (0..OF_USER_MAX + OF_USER_LINE_MAX).map(|_| hang()).collect();
        assert!(waiting.iter().filter(|one| one.is_some()).count() >= OF_USER_LINE_MAX);
        // Until six have begun there is room for as many more; then there is none.
        assert!((0..OF_USER_MAX + 1).map(|_| hang()).any(|one| one.is_none()));
        let (tell, told) = mpsc::channel();
        let other = aside.ask("other", || Response::empty(204), move || tell.send(()).unwrap()).unwrap();
        told.recv_timeout(std::time::Duration::from_secs(240)).unwrap();
        assert_eq!(other.take().unwrap().status, 204);
        drop(release);
    }
}
