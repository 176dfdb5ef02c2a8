//! Looking at many messages at once.

use std::num::NonZero;
use std::thread;

/// Fewer are looked at by the thread that asks.
const ALONE_MAX: usize = 5000;
/// Threads at once, the one that asks among them.
const THREADS_MAX: usize = 4;

/// What `find` says of each number below `count`, in order.
pub fn in_parallel<T: Send>(count: usize, find: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if count > ALONE_MAX { processors.min(THREADS_MAX) } else { 1 };
    let share = count.div_ceil(threads).max(1);
    let part = |first: usize| (first..count.min(first + share)).map(&find).collect::<Vec<T>>();
    let part = &part;
    thread::scope(|scope| {
        let others: Vec<_> = (share..count)
            .step_by(share)
            .map(|first| {
                (
                    first,
                    thread::Builder::new().name("jmap-look".into()).spawn_scoped(scope, move || part(first)),
                )
            })
            .collect();
        let mut all = part(0);
        for (first, other) in others {
            // Without a thread for it, or when one broke off, it is done here.
            let found = other.ok().and_then(|thread| thread.join().ok());
            all.extend(found.unwrap_or_else(|| part(first)));
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_found_in_order() {
        for count in [0, 1, ALONE_MAX, ALONE_MAX + 1, 4 * ALONE_MAX + 3] {
            assert_eq!(
                in_parallel(count, |number| number * 2),
                (0..count).map(|number| number * 2).collect::<Vec<_>>()
            );
        }
    }
}
