//! How far it is, how fast, and what is left: a line to standard error every few seconds.

use std::io::Write;
use std::time::{Duration, Instant};

use message_store::MailboxName;

const EVERY: Duration = Duration::from_secs(5);

pub struct Progress {
    begin: Instant,
    told: Instant,
    /// Of the whole run; 0 when nobody counted them.
    pub mailboxes: usize,
    /// Of earlier mailboxes.
    pub messages: usize,
    pub done: usize,
}

impl Progress {
    pub fn new() -> Progress {
        let now = Instant::now();
        Progress { begin: now, told: now, mailboxes: 0, messages: 0, done: 0 }
    }

    pub fn seconds(&self) -> f64 {
        self.begin.elapsed().as_secs_f64().max(0.001)
    }

    /// In the middle of a mailbox.
    pub fn tell(&mut self, name: &MailboxName, done: usize, of: usize, err: &mut dyn Write) {
        if self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        let rate = (self.messages + done) as f64 / self.seconds();
        let left = (of - done) as f64 / rate.max(0.001);
        let mut line = format!("{name}: {done} of {of} messages, {rate:.0} messages/s, {left:.0} s left");
        if self.mailboxes > 0 {
            let share = (self.done as f64 + done as f64 / of.max(1) as f64) / self.mailboxes as f64;
            let left = self.seconds() * (1.0 - share) / share.max(0.000_001);
            line += &format!("; {} of {} mailboxes, {left:.0} s left", self.done, self.mailboxes);
        }
        let _ = writeln!(err, "{line}"); // who looks has gone: the work goes on
    }

    /// Behind a mailbox.
    pub fn done(&mut self, name: &MailboxName, messages: usize, err: &mut dyn Write) {
        self.done += 1;
        self.messages += messages;
        self.tell(name, 0, 0, err);
    }
}
