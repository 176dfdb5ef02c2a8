//! What imsbackup and imsrestore have in common: the stream, and which part of it is meant. The format is in
//! `docs/formats/backup.md`.

pub mod item;
pub mod reader;
pub mod selection;
pub mod tar;
pub mod writer;

use std::time::{Duration, Instant};

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// How far it has come.
pub struct Progress {
    begin: Instant,
    told: Instant,
    pub mailboxes: u64,
    pub messages: u64,
    pub bytes: u64,
}

impl Progress {
    pub fn begin() -> Progress {
        let now = Instant::now();
        Progress { begin: now, told: now, mailboxes: 0, messages: 0, bytes: 0 }
    }

    /// A line now and then.
    pub fn due(&mut self) -> Option<String> {
        if self.told.elapsed() < PROGRESS_EVERY {
            return None;
        }
        self.told = Instant::now();
        Some(self.line())
    }

    pub fn line(&self) -> String {
        let seconds = self.begin.elapsed().as_secs_f64().max(0.001);
        format!(
            "{} mailboxes, {} messages, {:.1} MB, {:.0} messages/s",
            self.mailboxes,
            self.messages,
            self.bytes as f64 / 1e6,
            self.messages as f64 / seconds
        )
    }
}
