//! Which mailboxes change, for who works behind the changes.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use os::notify::Notify;

use crate::ring::News;
use crate::shared::Shared;
use crate::store::Store;

/// Follows the notices of all processes.
pub struct Follower {
    shared: Arc<Shared>,
    notify: Notify,
    next: u64,
}

/// Mailboxes that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Some of all: there were more notices than are kept.
    Any,
    /// Those with these ids.
    These(BTreeSet<u128>),
}

impl Store {
    /// From now on.
    ///
    /// # Errors
    /// The system has no more watches.
    pub fn follow(&self) -> io::Result<Follower> {
        let shared = Arc::clone(&self.shared);
        let notify = Notify::on(shared.ring.path())?;
        let next = shared.ring.count();
        Ok(Follower { shared, notify, next })
    }
}

impl Follower {
    /// Waits for a change, at most so long; whether there was one.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        if self.shared.ring.count() != self.next {
            return Ok(true);
        }
        self.notify.wait(Some(timeout))
    }

    /// What changed since the last time.
    pub fn take(&mut self) -> Changed {
        match self.shared.ring.since(self.next) {
            News::Notices(notices, next) => {
                self.next = next;
                let mailboxes = notices.iter().map(|notice| notice.mailbox);
                Changed::These(mailboxes.filter(|id| *id != 0).collect()) // 0 is told of names
            }
            News::Behind(next) => {
                self.next = next;
                Changed::Any
            }
        }
    }
}
