//! Lists of emails that were asked for, filtered and sorted, kept to be asked for again and mended by what changed.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Inner;

/// Emails whose change is remembered one by one.
const LOG_MAX: usize = 20_000;
/// Lists of one account.
const VIEWS_MAX: usize = 24;
/// Emails in all lists of one account: 4 bytes each, or 8.
const VIEW_EMAILS_MAX: usize = 8_000_000;
/// So many changed ones are taken out and put in one by one; more, and a list is made anew.
pub const MENDED_MAX: usize = 512;

/// Which emails changed, by the refresh that saw it.
#[derive(Default)]
pub struct ChangeLog {
    entries: VecDeque<(u64, u32)>,
    /// What changed up to here is not all in it.
    from: u64,
}

impl ChangeLog {
    pub fn begin(&mut self, version: u64) {
        self.from = version;
    }

    pub fn note(&mut self, version: u64, emails: &[u32]) {
        if emails.len() > LOG_MAX {
            self.entries.clear();
            self.from = version;
            return;
        }
        self.entries.extend(emails.iter().map(|email| (version, *email)));
        while self.entries.len() > LOG_MAX {
            if let Some((version, _)) = self.entries.pop_front() {
                self.from = self.from.max(version);
            }
        }
    }

    /// The emails that changed since a version; nothing when that is not known any more.
    pub fn since(&self, version: u64) -> Option<Vec<u32>> {
        if version < self.from {
            return None;
        }
        let start = self.entries.partition_point(|(at, _)| *at <= version);
        let mut emails: Vec<u32> = self.entries.range(start..).map(|(_, email)| *email).collect();
        emails.sort_unstable();
        emails.dedup();
        Some(emails)
    }
}

/// One list.
#[derive(Clone)]
pub struct View {
    pub version: u64,
    /// Emails that pass the filter, in order.
    pub all: Arc<Vec<u32>>,
    /// One for each thread, when that was asked for.
    pub collapsed: Option<Arc<Vec<u32>>>,
}

impl View {
    /// What is answered from.
    pub fn list(&self) -> &Arc<Vec<u32>> {
        self.collapsed.as_ref().unwrap_or(&self.all)
    }

    fn emails(&self) -> usize {
        self.all.len() + self.collapsed.as_ref().map_or(0, |list| list.len())
    }
}

/// The lists of an account; the one that was asked for last is the last.
#[derive(Default)]
pub struct Views {
    kept: Vec<(String, View)>,
}

impl Views {
    /// Takes a list out.
    pub fn take(&mut self, key: &str) -> Option<View> {
        let place = self.kept.iter().position(|(known, _)| known == key)?;
        Some(self.kept.remove(place).1)
    }

    pub fn keep(&mut self, key: String, view: View) {
        self.kept.retain(|(known, _)| *known != key); // another session made it meanwhile
        self.kept.push((key, view));
        let mut sum: usize = self.kept.iter().map(|(_, view)| view.emails()).sum();
        while self.kept.len() > VIEWS_MAX || (sum > VIEW_EMAILS_MAX && self.kept.len() > 1) {
            sum = sum.saturating_sub(self.kept.remove(0).1.emails());
        }
    }
}

impl Inner {
    /// The emails that changed since a version of the account; nothing when that is not known any more.
    pub fn changed_since(&self, version: u64) -> Option<Vec<u32>> {
        self.changes.since(version)
    }

    /// The first email of each thread, in the order of the list (RFC 8621 §4.4.3).
    pub fn collapse(&self, list: &[u32]) -> Vec<u32> {
        let mut seen = vec![false; self.threads.as_ref().map_or(0, super::threads::Threads::len)];
        let is_first = |number: &u32| {
            let thread = self.email(*number).map_or(super::NONE, |email| email.thread);
            match seen.get_mut(thread as usize) {
                Some(seen) => !std::mem::replace(seen, true),
                None => true,
            }
        };
        list.iter().copied().filter(is_first).collect()
    }
}
