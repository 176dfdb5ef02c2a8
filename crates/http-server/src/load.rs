//! How much a process has on its hands: connections, and bodies of requests and answers in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of bodies that all connections of a process have in memory together.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of answers that one user may leave unread: one of the largest, and others beside it.
const UNSENT_OF_USER_MAX: u64 = 96 * 1024 * 1024;
/// A user with so many bytes unread is not asked to be worked for.
const BEHIND: u64 = 32 * 1024 * 1024;
/// Below so many connections every one is kept.
const SMALL: usize = 100;

/// See the module.
#[derive(Debug, Default)]
pub struct Load {
    connections: AtomicUsize,
    body_bytes: AtomicU64,
    /// Bytes of answers that were not sent yet, by uid.
    unsent: Mutex<HashMap<String, u64>>,
}

/// A connection; it counts until it is dropped.
#[derive(Debug)]
pub struct Counted(Arc<Load>);

/// What a request's body takes, until it is dropped.
#[derive(Debug)]
pub struct Room {
    load: Arc<Load>,
    bytes: u64,
}

/// What an answer takes in memory, until it is dropped.
#[derive(Debug)]
pub struct Unsent {
    room: Room,
    uid: String,
}

impl Load {
    pub fn connection(self: &Arc<Load>) -> Counted {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// Whether there are nearly so many connections that others would wait: then none is kept that has had its answer.
    pub fn is_crowded(&self, most: usize) -> bool {
        most >= SMALL && self.connections.load(Ordering::Relaxed) >= most / 8 * 7
    }

    pub fn room(self: &Arc<Load>) -> Room {
        Room { load: self.clone(), bytes: 0 }
    }

    /// None: the process or the user has too much unsent for so many bytes more.
    pub fn unsent(self: &Arc<Load>, uid: &str, bytes: u64) -> Option<Unsent> {
        let mut room = self.room();
        if !room.take(bytes) {
            return None;
        }
        let mut all = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let of_user = all.get(uid).copied().unwrap_or(0).saturating_add(bytes);
        if of_user > UNSENT_OF_USER_MAX {
            return None;
        }
        all.insert(uid.to_owned(), of_user);
        Some(Unsent { room, uid: uid.to_owned() })
    }

    /// Whether the user leaves answers unread, so that another one may find no room.
    pub fn is_behind(&self, uid: &str) -> bool {
        let all = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(uid).is_some_and(|bytes| *bytes >= BEHIND)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Room {
    /// False: there is no room for so many bytes more.
    pub fn take(&mut self, bytes: u64) -> bool {
        let before = self.load.body_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before.saturating_add(bytes) <= BODY_BYTES_MAX
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.load.body_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        let mut all = self.room.load.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.get(&self.uid).copied().unwrap_or(0).saturating_sub(self.room.bytes);
        if left == 0 {
            all.remove(&self.uid);
        } else {
            all.insert(self.uid.clone(), left);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_counts_no_more() {
        let load = Arc::new(Load::default());
        let all: Vec<Counted> = (0..175).map(|_| load.connection()).collect();
        assert!(load.is_crowded(200) && !load.is_crowded(300) && !load.is_crowded(99));
        drop(all);
        assert!(!load.is_crowded(200));
        let (mut one, mut other) = (load.room(), load.room());
        assert!(one.take(BODY_BYTES_MAX) && !other.take(1));
        drop(one);
        assert!(other.take(1));
    }

    #[test]
    fn answers_that_are_not_read_leave_no_room_for_more() {
        const MIB: u64 = 1024 * 1024;
        let load = Arc::new(Load::default());
        let one = load.unsent("joe", 64 * MIB).unwrap();
        assert!(load.is_behind("joe") && !load.is_behind("amy"));
        assert!(load.unsent("joe", 33 * MIB).is_none(), "of one user");
        let others: Vec<Unsent> =
            ["a", "b", "c"].iter().map(|uid| load.unsent(uid, 64 * MIB).unwrap()).collect();
        assert!(load.unsent("amy", MIB).is_none() && !load.room().take(1), "of all");
        drop(one);
        assert!(!load.is_behind("joe") && load.unsent("amy", 64 * MIB).is_some());
        drop(others);
        assert!(load.unsent.lock().unwrap().is_empty());
    }
}
