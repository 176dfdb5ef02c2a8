//! The site's rules of quotas, the same for every daemon and tool.

use std::time::Duration;

use server_config::Config;
use server_config::parameters::store;

use crate::Limits;

/// What the configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaPolicy {
    /// `store.quotaenforcement`: whether what is over a quota is refused.
    pub enforce: bool,
    /// `store.quotagraceperiod`: how long mail may be over before it is.
    pub grace: Duration,
    /// `store.quotawarn`: percent of a quota from which clients are warned.
    pub warn_percent: u64,
    /// `store.defaultmailboxquota`, in bytes, and `store.defaultmessagequota`.
    defaults: [i64; 2],
}

impl QuotaPolicy {
    pub fn from_config(config: &Config) -> QuotaPolicy {
        QuotaPolicy {
            enforce: config.get(&store::QUOTA_ENFORCEMENT),
            grace: config.get(&store::QUOTA_GRACE_PERIOD),
            warn_percent: u64::try_from(config.get(&store::QUOTA_WARN)).unwrap_or(90),
            defaults: [config.get(&store::DEFAULT_MAILBOX_QUOTA), config.get(&store::DEFAULT_MESSAGE_QUOTA)],
        }
    }

    /// The limits of a user for whom the directory says this (mailQuota, and mailMsgQuota or nsmsgNumMsgQuota).
    pub fn limits(&self, bytes: Option<i64>, messages: Option<i64>) -> Limits {
        Limits::of([bytes, messages], self.defaults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_value_comes_before_the_sites() {
        let config =
            Config::from_text("store.defaultmailboxquota = 5000\nstore.quotagraceperiod = 2\n").unwrap();
        let policy = QuotaPolicy::from_config(&config);
        assert_eq!((policy.grace, policy.warn_percent), (Duration::from_secs(7200), 90));
        for (value, limit) in [
            (None, Some(5000)),
            (Some(-2), Some(5000)),
            (Some(-7), Some(5000)),
            (Some(0), None),
            (Some(-1), None),
            (Some(1), Some(1)),
            (Some(i64::MAX), Some(i64::MAX as u64)),
        ] {
            assert_eq!(
                policy.limits(value, value),
                Limits { bytes: limit, messages: limit.filter(|one| *one != 5000) }
            );
        }
        let none = QuotaPolicy::from_config(&Config::from_text("").unwrap());
        assert!(none.limits(None, None).is_unlimited());
    }
}
