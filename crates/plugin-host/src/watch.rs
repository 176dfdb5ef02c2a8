//! The watch over calls: a plug-in that does not come back ends the process, since nothing else ends a thread of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use server_log::{Category, Log};

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(100);

type Calls = Arc<Mutex<HashMap<u64, Instant>>>;

/// See the head of this file.
#[derive(Clone)]
pub struct Watch {
    calls: Calls,
    limit: Duration,
}

impl Watch {
    /// # Errors
    /// There is no thread for it.
    pub fn begin(limit: Duration, log: Log) -> std::io::Result<Watch> {
        let watch = Watch { calls: Calls::default(), limit };
        let calls = watch.calls.clone();
        thread::Builder::new().name("watch".into()).spawn(move || {
            loop {
                thread::sleep(INTERVAL);
                let now = Instant::now();
                if lock(&calls).values().any(|until| *until < now) {
                    log.critical(
                        Category::General,
                        format_args!(
                            "a plug-in did not come back within {} s; the process ends",
                            limit.as_secs()
                        ),
                    );
                    std::process::abort();
                }
            }
        })?;
        Ok(watch)
    }

    /// Something of a plug-in is about to be called.
    pub fn call(&self) -> Call {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let call = Call { watch: self.clone(), number: NEXT.fetch_add(1, Ordering::Relaxed) };
        call.theirs();
        call
    }
}

/// A call under way. Dropped: it has come back.
pub struct Call {
    watch: Watch,
    number: u64,
}

impl Call {
    /// The server works meanwhile.
    pub fn ours(&self) {
        lock(&self.watch.calls).remove(&self.number);
    }

    /// It is the plug-in's turn; its time begins anew.
    pub fn theirs(&self) {
        lock(&self.watch.calls).insert(self.number, Instant::now() + self.watch.limit);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.ours();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
