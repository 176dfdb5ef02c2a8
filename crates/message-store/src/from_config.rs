//! The store's settings out of the configuration, the same for every daemon and tool.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use commit_journal::{SyncLevel, SyncLevels};
use mailbox_list::Acl;
use server_config::parameters::store;
use server_config::{Config, Instance};

use crate::{StoreSettings, Wait};

/// How long a change waits for another process.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a daemon waits for stored at its start (S163).
const STORED_TIMEOUT: Duration = Duration::from_secs(60);

impl StoreSettings {
    /// What the configuration says. The daemons wait for stored; stored itself and the tools set `wait` to
    /// [`Wait::No`].
    pub fn from_config(config: &Config, instance: &Instance) -> StoreSettings {
        let default_partition = config.get(&store::DEFAULT_PARTITION);
        let mut partitions = BTreeMap::new();
        let set = config.iter().filter_map(|(name, _)| {
            name.strip_prefix("store.partition.").and_then(|rest| rest.strip_suffix(".path"))
        });
        for name in set.chain([default_partition.as_str()]) {
            partitions.insert(name.to_owned(), partition_path(config, instance, name));
        }
        StoreSettings {
            list_folder: instance.mboxlist_dir(),
            partitions,
            default_partition,
            run_folder: instance.run_dir(),
            last_access_folder: instance.last_access_dir(),
            stored_log: instance.log_dir("store").join("store"),
            sync: SyncLevels::inherit(|stem| level(config, stem)),
            list_sync: config.get(&store::DB_TXN_SYNC) != 1,
            lock_timeout: LOCK_TIMEOUT,
            wait: Wait::ForStored(STORED_TIMEOUT),
            journal_folder: instance.store_dir().join("journal"),
            queue_journal: instance.queue_dir().join("journal"),
            journal_bytes: u64::try_from(config.get(&store::JOURNAL_SIZE)).unwrap_or(0),
            enforce_quota: config.get(&store::QUOTA_ENFORCEMENT),
            text_index: config.get(&store::TEXT_INDEX),
            default_acl: Acl::parse(&config.get(&store::DEFAULT_ACL)),
        }
    }
}

fn partition_path(config: &Config, instance: &Instance, name: &str) -> PathBuf {
    let set = config.get_in(&store::PARTITION_PATH, name);
    if set.is_empty() { instance.store_dir().join("partition").join(name) } else { instance.root().join(set) }
}

fn level(config: &Config, stem: &str) -> Option<SyncLevel> {
    let parameter = match stem {
        "" => &store::SYNC_LEVEL,
        "index" => &store::INDEX_SYNC_LEVEL,
        "cache" => &store::CACHE_SYNC_LEVEL,
        "user" => &store::USER_SYNC_LEVEL,
        "subscribe" => &store::SUBSCRIBE_SYNC_LEVEL,
        "expunge" => &store::EXPUNGE_SYNC_LEVEL,
        "message" => &store::MESSAGE_SYNC_LEVEL,
        "quota" => &store::QUOTA_SYNC_LEVEL,
        _ => return None,
    };
    SyncLevel::from_number(config.get(parameter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_levels_come_from_their_parameters() {
        let text = "store.partition.second.path = /disk2\nlocal.store.synclevel = 2\nlocal.store.indexsynclevel = 0\n";
        let config = Config::from_text(text).unwrap();
        let settings = StoreSettings::from_config(&config, &Instance::new("/i"));
        assert_eq!(settings.partitions["primary"], PathBuf::from("/i/store/partition/primary"));
        assert_eq!(settings.partitions["second"], PathBuf::from("/disk2"));
        assert_eq!((settings.sync.message, settings.sync.index), (SyncLevel::Full, SyncLevel::None));
        assert!(settings.list_sync);
    }
}
