//! MX hosts that did not answer leave the cached list until the domain is looked up again (S58).
// NMS: Tuning Guide, DNS Caching.

use crate::answer::{Mx, Record};
use crate::cache::Outcome;

/// The hosts of `outcome` that have not failed; all of them when all have.
pub(crate) fn remaining(outcome: &Outcome) -> Vec<Mx> {
    let every = all_failed(outcome);
    hosts(outcome).filter(|mx| every || !outcome.failed.contains(&mx.host)).cloned().collect()
}

/// Whether there are hosts and every one has failed (S69).
pub(crate) fn all_failed(outcome: &Outcome) -> bool {
    hosts(outcome).next().is_some() && hosts(outcome).all(|mx| outcome.failed.contains(&mx.host))
}

/// `host` leaves the list; when none would be left, all come back.
pub(crate) fn remove(outcome: &mut Outcome, host: &str) {
    if !hosts(outcome).any(|mx| mx.host == host) || outcome.failed.iter().any(|failed| failed == host) {
        return;
    }
    outcome.failed.push(host.to_owned());
}

fn hosts(outcome: &Outcome) -> impl Iterator<Item = &Mx> {
    outcome.result.iter().flatten().filter_map(|record| match record {
        Record::Mx(mx) => Some(mx),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn outcome() -> Outcome {
        let mx = |preference, host: &str| Record::Mx(Mx { preference, host: host.into() });
        let result = Ok(vec![mx(10, "a.test"), mx(20, "b.test"), mx(20, "c.test")]);
        Outcome { result, secure: false, life: Duration::from_secs(60), failed: Vec::new() }
    }

    fn names(outcome: &Outcome) -> Vec<String> {
        remaining(outcome).into_iter().map(|mx| mx.host).collect()
    }

    #[test]
    fn a_failed_host_is_gone_and_the_last_one_brings_all_back() {
        let mut list = outcome();
        remove(&mut list, "a.test");
        remove(&mut list, "a.test");
        remove(&mut list, "stranger.test");
        assert_eq!(names(&list), ["b.test", "c.test"]);
        remove(&mut list, "c.test");
        assert_eq!(names(&list), ["b.test"]);
        assert!(!all_failed(&list));
        remove(&mut list, "b.test");
        assert!(all_failed(&list));
        assert_eq!(names(&list), ["a.test", "b.test", "c.test"]);
    }
}
