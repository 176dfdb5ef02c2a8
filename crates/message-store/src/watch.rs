//! Who waits for changes of which mailbox in this process: one thread, one inotify watch, whatever the number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use os::notify::Notify;

use crate::ring::News;
use crate::shared::Shared;

/// How often the thread looks whether the store is still open. Notices do not wait for it.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

type Changed = Arc<dyn Fn() + Send + Sync>;

/// All watchers of one opened store.
#[derive(Default)]
pub(crate) struct Watchers {
    by_mailbox: Mutex<HashMap<u128, Vec<(u64, Changed)>>>,
    number: AtomicU64,
    started: AtomicBool,
}

/// Until dropped.
pub struct Watch {
    watchers: Weak<Watchers>,
    mailbox: u128,
    number: u64,
}

impl Watchers {
    /// `changed` is called, from a thread of the store, after every change of the mailbox in any process.
    pub fn add(self: &Arc<Self>, shared: &Arc<Shared>, mailbox: u128, changed: Changed) -> Watch {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let mut by_mailbox = self.by_mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        by_mailbox.entry(mailbox).or_default().push((number, changed));
        drop(by_mailbox);
        if !self.started.swap(true, Ordering::SeqCst) && !self.start(shared) {
            self.started.store(false, Ordering::SeqCst);
        }
        Watch { watchers: Arc::downgrade(self), mailbox, number }
    }

    fn start(self: &Arc<Self>, shared: &Arc<Shared>) -> bool {
        let from = shared.ring.count();
        let Ok(notify) = Notify::on(shared.ring.path()) else { return false };
        let (shared, watchers) = (Arc::downgrade(shared), Arc::downgrade(self));
        thread::Builder::new()
            .name("store-watch".into())
            .spawn(move || listen(&notify, from, &shared, &watchers))
            .is_ok()
    }

    fn call(&self, mailbox: u128) {
        let called = self
            .by_mailbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&mailbox)
            .map(|watching| watching.iter().map(|(_, changed)| Arc::clone(changed)).collect::<Vec<_>>());
        for changed in called.into_iter().flatten() {
            changed();
        }
    }

    fn call_all(&self) {
        let all: Vec<u128> =
            self.by_mailbox.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        for mailbox in all {
            self.call(mailbox);
        }
    }
}

fn listen(notify: &Notify, mut next: u64, shared: &Weak<Shared>, watchers: &Weak<Watchers>) {
    loop {
        let (Some(store), Some(watchers)) = (shared.upgrade(), watchers.upgrade()) else { return };
        match store.ring.since(next) {
            News::Notices(notices, count) => {
                next = count;
                let mut mailboxes: Vec<u128> = notices.iter().map(|notice| notice.mailbox).collect();
                mailboxes.sort_unstable();
                mailboxes.dedup();
                for mailbox in mailboxes {
                    watchers.call(mailbox);
                }
            }
            News::Behind(count) => {
                next = count;
                watchers.call_all();
            }
        }
        drop((store, watchers));
        if notify.wait(Some(LOOK_INTERVAL)).is_err() {
            return;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(watchers) = self.watchers.upgrade() else { return };
        let mut by_mailbox = watchers.by_mailbox.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watching) = by_mailbox.get_mut(&self.mailbox) {
            watching.retain(|(number, _)| *number != self.number);
            if watching.is_empty() {
                by_mailbox.remove(&self.mailbox);
            }
        }
    }
}
