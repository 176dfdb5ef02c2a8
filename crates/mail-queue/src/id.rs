//! Names of messages in the queue: `XXXXXXXX.XXX` (S81).

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use base::base36;

/// Values of four of the five characters behind the second.
const FOUR_RANGE: u64 = 36 * 36 * 36 * 36;
/// Values of the five for messages that come in: the first is not `Z`.
const COUNTER_RANGE: u64 = 35 * FOUR_RANGE;

/// A queue id; always of the legal form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QueueId(String);

impl QueueId {
    /// The next id of this process.
    pub fn next() -> QueueId {
        static COUNTER: OnceLock<AtomicU64> = OnceLock::new();
        static LAST_SECOND: AtomicI64 = AtomicI64::new(0);
        let counter = COUNTER.get_or_init(|| AtomicU64::new(random_start())).fetch_add(1, Ordering::Relaxed);
        let now = base::clock::unix_seconds();
        let second = LAST_SECOND.fetch_max(now, Ordering::Relaxed).max(now); // never back
        QueueId::of(second, counter % COUNTER_RANGE)
    }

    fn of(second: i64, counter: u64) -> QueueId {
        let second = base36::encode(u64::try_from(second).unwrap_or(0), 6);
        let rest = base36::encode(counter, 5);
        QueueId(format!("{second}{}.{}", &rest[..2], &rest[2..]))
    }

    /// The id that is always the same for the same cause: a report is not made twice.
    pub fn derived(second: i64, cause: &str) -> QueueId {
        let hash = cause.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // Behind a `Z`, where no message that comes in is.
        QueueId::of(second, COUNTER_RANGE + (hash ^ (hash >> 29)) % FOUR_RANGE)
    }

    /// Whether it follows from a cause, so that there may be another of this name later.
    pub fn is_derived(&self) -> bool {
        self.0.as_bytes().get(6) == Some(&b'Z')
    }

    /// Reads an id.
    pub fn parse(text: &str) -> Option<QueueId> {
        let (head, tail) = text.split_once('.')?;
        let legal = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        (head.len() == 8 && tail.len() == 3 && legal(head) && legal(tail)).then(|| QueueId(text.to_owned()))
    }

    /// The second at which the message began to come in, or that of the message it was split from.
    pub fn second(&self) -> i64 {
        let second = self.0.get(..6).and_then(base36::decode);
        second.and_then(|second| i64::try_from(second).ok()).unwrap_or(0)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `env-XXXXXXXX.XXX`
    pub fn envelope_name(&self) -> String {
        format!("env-{}", self.0)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somewhere in the first half of the range, another place in each process: ids of a second are in their order, since no process
/// comes to the end of the range within it.
fn random_start() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish() % (COUNTER_RANGE / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_originals_form_and_do_not_repeat() {
        let ids: std::collections::HashSet<QueueId> = (0..10_000).map(|_| QueueId::next()).collect();
        assert_eq!(ids.len(), 10_000);
        for id in ids {
            assert_eq!(QueueId::parse(id.as_str()), Some(id));
        }
        let id = QueueId::of(1_010_485_800, 37);
        assert!(id.as_str().starts_with("GPM7U0") && id.second() == 1_010_485_800);
        assert_eq!(QueueId::derived(1_010_485_800, "x").second(), 1_010_485_800);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for wrong in
            ["", "GPM7U00", "GPM7U000.00", "gpm7u000.000", "../../.etc", "GPM7U000/000", "GPM7U000.000x"]
        {
            assert_eq!(QueueId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_derived_id_is_the_same_for_the_same_cause() {
        assert_eq!(QueueId::derived(5, "a 1"), QueueId::derived(5, "a 1"));
        assert_ne!(QueueId::derived(5, "a 1"), QueueId::derived(5, "a 2"));
        assert!((0..1000).all(|cause| QueueId::derived(cause, &format!("a {cause}")).is_derived()));
        assert!((0..1000).all(|_| !QueueId::next().is_derived()));
    }
}
