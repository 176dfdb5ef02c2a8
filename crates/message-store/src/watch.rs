//! Who waits for changes of which mailbox, or in which tree, in this process: one thread, one inotify watch, whatever the number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use os::notify::Notify;

use crate::ring::{News, Notice};
use crate::shared::Shared;

/// How often the thread looks whether the store is still open. Notices do not wait for it.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// The tree of what all are told about the server; no name has this number.
pub(crate) const SERVER_TREE: u64 = 0;

/// What changed where somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The mailbox with this id.
    Mailbox(u128),
    /// Names were made, deleted, renamed or subscribed to, or the user's notes about the server changed.
    Names,
    /// More than was noted, or what was noted is lost.
    Anything,
}

type Call = Arc<dyn Fn(Event) + Send + Sync>;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Mailbox(u128),
    Tree(u64),
}

/// All watchers of one opened store.
#[derive(Default)]
pub(crate) struct Watchers {
    by_place: Mutex<HashMap<Place, Vec<(u64, Call)>>>,
    number: AtomicU64,
    started: AtomicBool,
}

/// Until dropped.
pub struct Watch {
    watchers: Weak<Watchers>,
    place: Place,
    number: u64,
}

impl Watchers {
    /// `changed` is called, from a thread of the store, after every change there in any process.
    pub fn add(self: &Arc<Self>, shared: &Arc<Shared>, place: Place, changed: Call) -> Watch {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        self.by_place().entry(place).or_default().push((number, changed));
        if !self.started.swap(true, Ordering::SeqCst) && !self.start(shared) {
            self.started.store(false, Ordering::SeqCst);
        }
        Watch { watchers: Arc::downgrade(self), place, number }
    }

    fn by_place(&self) -> MutexGuard<'_, HashMap<Place, Vec<(u64, Call)>>> {
        self.by_place.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn call(&self, place: Place, what: Event) {
        let called = self
            .by_place()
            .get(&place)
            .map(|watching| watching.iter().map(|(_, changed)| Arc::clone(changed)).collect::<Vec<_>>());
        for changed in called.into_iter().flatten() {
            changed(what);
        }
    }

    fn tell(&self, notice: Notice) {
        let Notice { mailbox, tree } = notice;
        if mailbox == 0 {
            return self.call(Place::Tree(tree), Event::Names);
        }
        self.call(Place::Mailbox(mailbox), Event::Mailbox(mailbox));
        self.call(Place::Tree(tree), Event::Mailbox(mailbox));
    }

    fn call_all(&self) {
        let all: Vec<Place> = self.by_place().keys().copied().collect();
        for place in all {
            self.call(place, Event::Anything);
        }
    }
}

fn listen(notify: &Notify, mut next: u64, shared: &Weak<Shared>, watchers: &Weak<Watchers>) {
    loop {
        let (Some(store), Some(watchers)) = (shared.upgrade(), watchers.upgrade()) else { return };
        match store.ring.since(next) {
            News::Notices(mut notices, count) => {
                next = count;
                notices.sort_unstable();
                notices.dedup();
                notices.into_iter().for_each(|notice| watchers.tell(notice));
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
        let mut by_place = watchers.by_place();
        if let Some(watching) = by_place.get_mut(&self.place) {
            watching.retain(|(number, _)| *number != self.number);
            if watching.is_empty() {
                by_place.remove(&self.place);
            }
        }
    }
}
