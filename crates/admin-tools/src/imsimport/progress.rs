//! How far all users together have come, for the line now and then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub struct Progress {
    begin: Instant,
    users: u64,
    begun: AtomicU64,
    ended: AtomicU64,
    /// Messages of the users that were begun, about.
    expected: AtomicU64,
    /// Of those, looked at.
    passed: AtomicU64,
    taken: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    pub fn begin(users: usize) -> Progress {
        Progress {
            begin: Instant::now(),
            users: users as u64,
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    pub fn user_begins(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub fn user_ends(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// So many messages more than was said before; less, when negative.
    pub fn expect(&self, messages: i64) {
        let add = |now: u64| Some(now.saturating_add_signed(messages));
        let _ = self.expected.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    pub fn pass(&self, messages: u64) {
        self.passed.fetch_add(messages, Ordering::Relaxed);
    }

    pub fn take(&self, messages: u64, bytes: u64) {
        self.taken.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `3 of 10 users, 1234 of about 56000 messages, 45.1 MB taken, 820 messages/s, about 2 min left`
    pub fn line(&self) -> String {
        let get = |one: &AtomicU64| one.load(Ordering::Relaxed);
        let seconds = self.begin.elapsed().as_secs_f64().max(0.001);
        let (begun, passed) = (get(&self.begun).max(1), get(&self.passed));
        // Users who wait for their turn are taken to be as those that had it.
        let all = get(&self.expected) as f64 * self.users.max(1) as f64 / begun as f64;
        let rate = passed as f64 / seconds;
        let left = match rate > 0.0 {
            true => time_left((all - passed as f64).max(0.0) / rate),
            false => "time left not known yet".into(),
        };
        format!(
            "{} of {} users, {passed} of about {all:.0} messages, {:.1} MB taken, {rate:.0} messages/s, {left}",
            get(&self.ended),
            self.users,
            get(&self.bytes) as f64 / 1e6,
        )
    }
}

fn time_left(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("about {seconds:.0} s left"),
        seconds if seconds < 5400.0 => format!("about {:.0} min left", seconds / 60.0),
        seconds => format!("about {:.1} h left", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_who_wait_count_in_the_time_left() {
        let progress = Progress::begin(10);
        progress.user_begins();
        progress.expect(100);
        progress.pass(50);
        let line = progress.line();
        assert!(line.starts_with("0 of 10 users, 50 of about 1000 messages"), "{line}");
        assert_eq!(time_left(7200.0), "about 2.0 h left");
    }
}
