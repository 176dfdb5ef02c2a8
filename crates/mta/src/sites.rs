//! Which message goes to which host next: the schedule of smtp-deliver.
//!
//! Every next hop, a site, has a line of jobs and a window: how many connections it may have at once. The window begins
//! small, grows with each message that was taken, falls below what there is when the site takes no further connection, and
//! to one when it cannot be reached; so a site that hangs holds few threads, and one that is quick gets more. Sites take
//! turns. Lines are bounded; what does not fit stays on disk and comes again, the later the more of it there is.
//!
//! Some threads are always there; more come while sites wait for one, and go when they have nothing to do. So it takes as
//! many sites that hang as half the threads there may be to hold up others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Connections to a site that has not proved itself.
const WINDOW_FIRST: usize = 2;
/// Jobs that wait for one site at most.
const LINE_MAX: usize = 1000;
/// Jobs that wait for all sites together at most.
const WAITING_MAX: usize = 20_000;

/// What found no room comes again after so long at the earliest, and no later than that.
const LATER_MIN: Duration = Duration::from_secs(10);
const LATER_MAX: Duration = Duration::from_secs(3600);
/// A second, so many of one site come again at least, and of all.
const AGAIN_A_SECOND: u32 = 100;
const AGAIN_A_SECOND_MAX: u32 = 1000;
/// How far back it counts how many a site takes.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A job that finds no room, and how long it is to stay away.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<J> {
    pub job: J,
    pub pause: Duration,
}

/// When what finds no room comes again: one after the other, and not all together.
#[derive(Default)]
struct Later {
    last: Option<Instant>,
}

impl Later {
    fn next(&mut self, now: Instant, a_second: u32) -> Duration {
        let soonest = now + LATER_MIN;
        let behind = self.last.map(|last| last + Duration::from_secs(1) / a_second.max(1));
        let next = behind.map_or(soonest, |behind| behind.clamp(soonest, now + LATER_MAX));
        self.last = Some(next);
        next - now
    }
}

/// How many jobs a site takes.
struct Pace {
    taken: u32,
    since: Instant,
}

impl Pace {
    fn one_taken(&mut self) {
        self.taken = self.taken.saturating_add(1);
        let past = self.since.elapsed();
        if past > REMEMBERED {
            self.taken /= 2;
            self.since += past / 2;
        }
    }

    /// So many of those who found no room come again in a second: twice as many as it takes, so that its line does not run dry.
    fn again(&self, now: Instant) -> u32 {
        let seconds = u32::try_from(now.saturating_duration_since(self.since).as_secs()).unwrap_or(u32::MAX);
        (self.taken.saturating_mul(2) / seconds.max(1)).clamp(AGAIN_A_SECOND, AGAIN_A_SECOND_MAX)
    }
}

struct Site<J> {
    line: VecDeque<J>,
    active: usize,
    window: usize,
    /// It took a message since it has had connections.
    proved: bool,
    /// Whether it stands in `turns`.
    listed: bool,
    pace: Pace,
    later: Later,
}

impl<J> Default for Site<J> {
    fn default() -> Site<J> {
        Site {
            line: VecDeque::new(),
            active: 0,
            window: WINDOW_FIRST,
            proved: false,
            listed: false,
            pace: Pace { taken: 0, since: Instant::now() },
            later: Later::default(),
        }
    }
}

impl<J> Site<J> {
    fn pop(&mut self) -> Option<J> {
        let job = self.line.pop_front()?;
        self.pace.one_taken();
        Some(job)
    }
}

struct State<J> {
    sites: HashMap<String, Site<J>>,
    turns: VecDeque<String>,
    waiting: usize,
    /// Of what finds no room among all.
    later: Later,
    /// Threads with an open connection that would like another job of their site.
    lingering: usize,
    /// Threads in all, and those that wait in [`Sites::take`].
    threads: usize,
    idle: usize,
    stopping: bool,
}

/// The lines of all sites.
pub struct Sites<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
    window_max: usize,
    threads_max: usize,
}

impl<J> Sites<J> {
    /// `window_max`: connections to one site at once; `threads`: those that are always there, and how many there may be.
    pub fn new(window_max: usize, (threads, threads_max): (usize, usize)) -> Sites<J> {
        let state = State {
            sites: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            later: Later::default(),
            lingering: 0,
            threads,
            idle: 0,
            stopping: false,
        };
        Sites {
            state: Mutex::new(state),
            changed: Condvar::new(),
            window_max: window_max.max(1),
            threads_max,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job at the end of its site's line.
    ///
    /// # Errors
    /// The job, when too many wait already.
    pub fn push(&self, site: &str, job: J) -> Result<(), Full<J>> {
        let mut state = self.lock();
        let now = Instant::now();
        if state.waiting >= WAITING_MAX {
            let pause = state.later.next(now, AGAIN_A_SECOND_MAX);
            return Err(Full { job, pause });
        }
        let entry = state.sites.entry(site.to_owned()).or_default();
        if entry.line.len() >= LINE_MAX {
            let pause = entry.later.next(now, entry.pace.again(now));
            return Err(Full { job, pause });
        }
        entry.line.push_back(job);
        state.waiting += 1;
        state.list(site);
        let lingering = state.lingering > 0;
        drop(state);
        if lingering {
            self.changed.notify_all()
        } else {
            self.changed.notify_one()
        }
        Ok(())
    }

    /// Waits for a job, of the site whose turn it is; no longer than `patience`, if it has an end. Give the site back with
    /// [`Sites::release`]. Nothing at the end, or when there is none: the thread ends then.
    pub fn take(&self, patience: Option<Duration>) -> Option<(String, J)> {
        let end = patience.map(|patience| Instant::now() + patience);
        let mut state = self.lock();
        loop {
            if let Some(taken) = if state.stopping { None } else { state.next() } {
                return Some(taken);
            }
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if state.stopping || left.is_zero() {
                state.threads = state.threads.saturating_sub(1);
                return None;
            }
            state.idle += 1;
            state = match end {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(_) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            state.idle = state.idle.saturating_sub(1);
        }
    }

    /// Whether a site waits and every thread is busy: the caller starts one more, which counts from now on.
    pub fn wants_thread(&self) -> bool {
        let mut state = self.lock();
        let wanted =
            !state.stopping && !state.turns.is_empty() && state.idle == 0 && state.threads < self.threads_max;
        state.threads += usize::from(wanted);
        wanted
    }

    /// A thread that was to be started was not.
    pub fn thread_failed(&self) {
        let mut state = self.lock();
        state.threads = state.threads.saturating_sub(1);
    }

    /// Another job of a site that the caller holds, waiting up to `patience` for one while nobody else wants the thread.
    pub fn another(&self, site: &str, patience: Duration) -> Option<J> {
        let end = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(job) = state.sites.get_mut(site).and_then(Site::pop) {
                state.waiting = state.waiting.saturating_sub(1);
                return Some(job);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || !state.turns.is_empty() {
                return None;
            }
            state.lingering += 1;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.lingering = state.lingering.saturating_sub(1);
        }
    }

    /// A message was taken: the site may have more connections.
    pub fn succeeded(&self, site: &str) {
        let mut state = self.lock();
        let most = self.window_max;
        if let Some(entry) = state.sites.get_mut(site) {
            entry.window = (entry.window + 1).min(most);
            entry.proved = true;
        }
        state.list(site);
        drop(state);
        self.changed.notify_one();
    }

    /// The site, which takes messages over other connections, did not take one more: it has as many as it wants. The job goes
    /// to the front of its line.
    ///
    /// # Errors
    /// The job: there is no other connection, or none that ever took a message.
    pub fn crowded(&self, site: &str, job: J) -> Result<(), J> {
        let mut state = self.lock();
        let Some(entry) = state.sites.get_mut(site).filter(|entry| entry.proved && entry.active > 1) else {
            return Err(job);
        };
        entry.window = entry.active - 1;
        entry.line.push_front(job);
        state.waiting += 1;
        Ok(())
    }

    /// The site cannot be reached: everything that waits for it is handed back, to be deferred.
    pub fn unreachable(&self, site: &str) -> Vec<J> {
        let mut state = self.lock();
        let Some(entry) = state.sites.get_mut(site) else { return Vec::new() };
        entry.window = 1;
        let line: Vec<J> = std::mem::take(&mut entry.line).into();
        state.waiting = state.waiting.saturating_sub(line.len());
        line
    }

    /// The caller does not hold the site any more.
    pub fn release(&self, site: &str) {
        let mut state = self.lock();
        if let Some(entry) = state.sites.get_mut(site) {
            entry.active = entry.active.saturating_sub(1);
            if entry.active == 0 && entry.line.is_empty() {
                state.sites.remove(site);
            }
        }
        state.list(site);
        drop(state);
        self.changed.notify_one();
    }

    /// Jobs under way are finished, the others stay on disk.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }
}

impl<J> State<J> {
    /// Gives a site a turn when it has work and room for it.
    fn list(&mut self, site: &str) {
        if let Some(entry) = self.sites.get_mut(site)
            && !entry.listed
            && !entry.line.is_empty()
            && entry.active < entry.window
        {
            entry.listed = true;
            self.turns.push_back(site.to_owned());
        }
    }

    fn next(&mut self) -> Option<(String, J)> {
        while let Some(site) = self.turns.pop_front() {
            let Some(entry) = self.sites.get_mut(&site) else { continue };
            entry.listed = false;
            if entry.active >= entry.window {
                continue;
            }
            if let Some(job) = entry.pop() {
                entry.active += 1;
                self.waiting = self.waiting.saturating_sub(1);
                self.list(&site);
                return Some((site, job));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_site_that_hangs_holds_only_its_window() {
        let sites = Sites::new(5, (1, 3));
        for number in 0..10 {
            sites.push("slow", number).unwrap();
        }
        sites.push("quick", 100).unwrap();
        assert_eq!(sites.take(None), Some(("slow".into(), 0)));
        assert_eq!(sites.take(None), Some(("quick".into(), 100)), "sites take turns");
        assert_eq!(sites.take(None), Some(("slow".into(), 1)));
        // The window is full: nobody else of this site until one succeeds.
        sites.push("quick", 101).unwrap();
        assert_eq!(sites.take(None), Some(("quick".into(), 101)));
        sites.succeeded("slow");
        assert_eq!(sites.take(None), Some(("slow".into(), 2)));
        assert_eq!(sites.another("slow", NOW), Some(3), "over the same connection");
    }

    #[test]
    fn the_line_of_a_dead_site_is_handed_back() {
        let sites = Sites::new(5, (1, 3));
        for number in 0..4 {
            sites.push("dead", number).unwrap();
        }
        assert_eq!(sites.take(None), Some(("dead".into(), 0)));
        assert_eq!(sites.unreachable("dead"), [1, 2, 3]);
        sites.release("dead");
        assert!(sites.lock().sites.is_empty());
        assert_eq!(sites.lock().waiting, 0);
        sites.stop();
        assert_eq!(sites.take(None), None);
    }

    #[test]
    fn a_site_that_takes_no_further_connection_keeps_those_it_has() {
        let sites = Sites::new(5, (1, 3));
        for number in 0..4 {
            sites.push("busy", number).unwrap();
        }
        let (site, first) = sites.take(None).unwrap();
        assert_eq!(sites.crowded(&site, first), Err(0), "it has no other");
        let (_, second) = sites.take(None).unwrap();
        assert_eq!(sites.crowded(&site, second), Err(1), "it never took a message");
        sites.succeeded(&site);
        let (_, third) = sites.take(None).unwrap();
        assert_eq!(sites.crowded(&site, third), Ok(()));
        sites.release(&site);
        assert_eq!(sites.lock().sites["busy"].window, 2);
        assert_eq!(sites.take(Some(NOW)), None, "no connection beyond those it takes");
        assert_eq!(sites.another(&site, NOW), Some(2), "and nothing is lost");
    }

    #[test]
    fn a_thread_more_is_wanted_only_while_sites_wait_for_one() {
        let sites = std::sync::Arc::new(Sites::new(5, (1, 3)));
        assert!(!sites.wants_thread());
        for site in ["a", "b", "c", "d"] {
            sites.push(site, 1).unwrap();
        }
        assert!(sites.wants_thread() && sites.wants_thread());
        assert!(!sites.wants_thread(), "there are as many as there may be");
        for _ in 0..4 {
            assert!(sites.take(Some(NOW)).is_some());
        }
        assert_eq!(sites.take(Some(NOW)), None);
        assert_eq!(sites.lock().threads, 2, "who had nothing to do has gone");
        let there = sites.clone();
        let waiter = std::thread::spawn(move || there.take(None));
        while sites.lock().idle == 0 {
            std::thread::yield_now();
        }
        sites.push("e", 5).unwrap();
        assert_eq!(waiter.join().unwrap(), Some(("e".into(), 5)));
        assert!(!sites.wants_thread());
    }

    #[test]
    fn lines_are_bounded() {
        let sites = Sites::new(5, (1, 3));
        for number in 0..LINE_MAX {
            sites.push("a", number).unwrap();
        }
        assert_eq!(sites.push("a", 7).unwrap_err().job, 7);
        for number in 0..WAITING_MAX - LINE_MAX {
            sites.push(&format!("site {}", number % 100), number).unwrap();
        }
        assert_eq!(sites.push("b", 8).unwrap_err().job, 8);
    }

    /// What waits for one slow site is not looked at all together and again and again: a hundred a second.
    #[test]
    fn what_finds_no_room_comes_again_one_after_the_other() {
        let sites = Sites::new(5, (1, 3));
        for number in 0..LINE_MAX {
            sites.push("slow", number).unwrap();
        }
        let pauses: Vec<f64> =
            (0..10_000).map(|job| sites.push("slow", job).unwrap_err().pause.as_secs_f64()).collect();
        assert!((9.9..=10.0).contains(&pauses[0]), "{}", pauses[0]);
        let last = pauses[9999];
        assert!((70.0..=110.0).contains(&last), "100 a second, whatever time it took to ask: {last}");
        for _ in 0..400_000 {
            let pause = sites.push("slow", 0).unwrap_err().pause;
            assert!(pause <= LATER_MAX, "{pause:?}");
        }
    }

    #[test]
    fn what_waits_for_a_quick_site_comes_as_fast_as_that_takes_it() {
        let now = Instant::now();
        let second = |number| now + Duration::from_secs(number);
        let quick = Pace { taken: 3000, since: now };
        assert_eq!(quick.again(second(20)), 300);
        assert_eq!(quick.again(second(2)), AGAIN_A_SECOND_MAX);
        assert_eq!(quick.again(second(3000)), AGAIN_A_SECOND);
        let mut later = Later::default();
        assert_eq!(later.next(now, 300), LATER_MIN);
        assert_eq!(later.next(now, 300), LATER_MIN + Duration::from_secs(1) / 300);
        assert_eq!(later.next(second(500), 300), LATER_MIN, "what lies in the past holds up nobody");
    }

    #[test]
    fn a_thread_with_a_connection_waits_for_more_and_is_woken() {
        let sites = std::sync::Arc::new(Sites::new(5, (1, 3)));
        sites.push("a", 1).unwrap();
        let (site, _) = sites.take(None).unwrap();
        let there = sites.clone();
        let waiter = std::thread::spawn(move || there.another("a", Duration::from_secs(60)));
        while sites.lock().lingering == 0 {
            std::thread::yield_now();
        }
        sites.push("a", 2).unwrap();
        assert_eq!(waiter.join().unwrap(), Some(2));
        sites.release(&site);
    }
}
