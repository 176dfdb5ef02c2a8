//! Which message goes to which host next: the schedule of smtp-deliver.
//!
//! Every next hop, a site, has a line of jobs and a window: how many connections it may have at once. The window begins
//! small, grows with each message that was taken, and falls to one when the site cannot be reached; so a site that hangs
//! holds few threads, and one that is quick gets more. Sites take turns. Lines are bounded; what does not fit stays on disk
//! and comes again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Connections to a site that has not proved itself.
const WINDOW_FIRST: usize = 2;
/// Jobs that wait for one site at most.
const LINE_MAX: usize = 1000;
/// Jobs that wait for all sites together at most.
const WAITING_MAX: usize = 20_000;

struct Site<J> {
    line: VecDeque<J>,
    active: usize,
    window: usize,
    /// Whether it stands in `turns`.
    listed: bool,
}

impl<J> Default for Site<J> {
    fn default() -> Site<J> {
        Site { line: VecDeque::new(), active: 0, window: WINDOW_FIRST, listed: false }
    }
}

struct State<J> {
    sites: HashMap<String, Site<J>>,
    turns: VecDeque<String>,
    waiting: usize,
    /// Threads with an open connection that would like another job of their site.
    lingering: usize,
    stopping: bool,
}

/// The lines of all sites.
pub struct Sites<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
    window_max: usize,
}

impl<J> Sites<J> {
    /// `window_max`: connections to one site at once.
    pub fn new(window_max: usize) -> Sites<J> {
        let state = State {
            sites: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            lingering: 0,
            stopping: false,
        };
        Sites { state: Mutex::new(state), changed: Condvar::new(), window_max: window_max.max(1) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a job at the end of its site's line.
    ///
    /// # Errors
    /// The job, when too many wait already.
    pub fn push(&self, site: &str, job: J) -> Result<(), J> {
        let mut state = self.lock();
        if state.waiting >= WAITING_MAX {
            return Err(job);
        }
        let entry = state.sites.entry(site.to_owned()).or_default();
        if entry.line.len() >= LINE_MAX {
            return Err(job);
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

    /// Waits for a job, of the site whose turn it is. Give the site back with [`Sites::release`]. Nothing at the end.
    pub fn take(&self) -> Option<(String, J)> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(taken) = state.next() {
                return Some(taken);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Another job of a site that the caller holds, waiting up to `patience` for one while nobody else wants the thread.
    pub fn another(&self, site: &str, patience: Duration) -> Option<J> {
        let end = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(job) = state.sites.get_mut(site).and_then(|entry| entry.line.pop_front()) {
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
        }
        state.list(site);
        drop(state);
        self.changed.notify_one();
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
            if let Some(job) = entry.line.pop_front() {
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
        let sites = Sites::new(5);
        for number in 0..10 {
            sites.push("slow", number).unwrap();
        }
        sites.push("quick", 100).unwrap();
        assert_eq!(sites.take(), Some(("slow".into(), 0)));
        assert_eq!(sites.take(), Some(("quick".into(), 100)), "sites take turns");
        assert_eq!(sites.take(), Some(("slow".into(), 1)));
        // The window is full: nobody else of this site until one succeeds.
        sites.push("quick", 101).unwrap();
        assert_eq!(sites.take(), Some(("quick".into(), 101)));
        sites.succeeded("slow");
        assert_eq!(sites.take(), Some(("slow".into(), 2)));
        assert_eq!(sites.another("slow", NOW), Some(3), "over the same connection");
    }

    #[test]
    fn the_line_of_a_dead_site_is_handed_back() {
        let sites = Sites::new(5);
        for number in 0..4 {
            sites.push("dead", number).unwrap();
        }
        assert_eq!(sites.take(), Some(("dead".into(), 0)));
        assert_eq!(sites.unreachable("dead"), [1, 2, 3]);
        sites.release("dead");
        assert!(sites.lock().sites.is_empty());
        assert_eq!(sites.lock().waiting, 0);
        sites.stop();
        assert_eq!(sites.take(), None);
    }

    #[test]
    fn lines_are_bounded() {
        let sites = Sites::new(5);
        for number in 0..LINE_MAX {
            sites.push("a", number).unwrap();
        }
        assert_eq!(sites.push("a", 7), Err(7));
        for number in 0..WAITING_MAX - LINE_MAX {
            sites.push(&format!("site {}", number % 100), number).unwrap();
        }
        assert_eq!(sites.push("b", 8), Err(8));
    }

    #[test]
    fn a_thread_with_a_connection_waits_for_more_and_is_woken() {
        let sites = std::sync::Arc::new(Sites::new(5));
        sites.push("a", 1).unwrap();
        let (site, _) = sites.take().unwrap();
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
