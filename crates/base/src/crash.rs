//! Named steps at which tests end a process as `kill -9` does. In release builds they are nothing.
//!
//! `MAILBOAT_CRASH_AT=split: message linked` ends the process behind that step; with `#2` at the end, behind its second
//! time. A name stands in the sources once, and `tests/tests/crash_steps.rs` crashes at each.

/// The step with this name was done. A debug build ends here when `MAILBOAT_CRASH_AT` says so.
#[inline]
pub fn step(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::step(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    const SIGKILL: i32 = 9;

    struct At {
        name: String,
        /// Times until the end.
        left: AtomicU32,
    }

    fn at() -> Option<&'static At> {
        static AT: OnceLock<Option<At>> = OnceLock::new();
        AT.get_or_init(|| {
            let text = std::env::var("MAILBOAT_CRASH_AT").ok()?;
            let (name, times) = text.split_once('#').unwrap_or((&text, "1"));
            Some(At { name: name.to_owned(), left: AtomicU32::new(times.parse().ok()?) })
        })
        .as_ref()
    }

    pub fn step(name: &str) {
        let Some(at) = at().filter(|at| at.name == name) else { return };
        if at.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let _ = os::process::kill(std::process::id(), SIGKILL);
            loop {
                std::thread::park();
            }
        }
    }
}
