//! The time of day, which tests can shift.
//!
//! The environment variable `MAILBOAT_CLOCK_OFFSET` (seconds, may be negative) is added to the system's clock. It is
//! read once, at the first question. Rows that speak of hours and days (S104, S146, S150, X1) are tested with it.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

fn offset_seconds() -> i64 {
    static OFFSET: OnceLock<i64> = OnceLock::new();
    *OFFSET.get_or_init(|| {
        std::env::var("MAILBOAT_CLOCK_OFFSET").ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    })
}

/// Nanoseconds since 1970 UTC.
pub fn unix_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    nanos.saturating_add(offset_seconds().saturating_mul(1_000_000_000))
}

/// Seconds since 1970 UTC.
pub fn unix_seconds() -> i64 {
    unix_nanos().div_euclid(1_000_000_000)
}
