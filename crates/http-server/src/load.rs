//! How much a process has on its hands: connections, and bodies of requests in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes of request bodies that all connections of a process have in memory together.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Below so many connections every one is kept.
const SMALL: usize = 100;

/// See the module.
#[derive(Debug, Default)]
pub struct Load {
    connections: AtomicUsize,
    body_bytes: AtomicU64,
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

#[cfg(test)]
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
}
