//! What a store is opened with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use commit_journal::SyncLevels;
use mailbox_list::Acl;

/// Whether to wait for stored at [`crate::Store::open`] (S163).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// stored itself, tools, tests.
    No,
    /// At most so long.
    ForStored(Duration),
}

#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// `store/mboxlist`
    pub list_folder: PathBuf,
    /// `store.partition.<name>.path`
    pub partitions: BTreeMap<String, PathBuf>,
    /// `store.defaultpartition`
    pub default_partition: String,
    /// The instance's `run` folder: the change notice ring, `store.ready`.
    pub run_folder: PathBuf,
    /// The instance's `last-access`: what is there of a user goes with the user's mailboxes.
    pub last_access_folder: PathBuf,
    /// stored's log, to be named in the warning.
    pub stored_log: PathBuf,
    pub sync: SyncLevels,
    /// `local.dbtxnsync` is not 1 (S152).
    pub list_sync: bool,
    /// How long a change waits for another process.
    pub lock_timeout: Duration,
    pub wait: Wait,
    /// `store/journal`: the journals of processes that change mailboxes.
    pub journal_folder: PathBuf,
    /// `queue/journal`, in which smtpd's changes stand.
    pub queue_journal: PathBuf,
    /// `local.store.journalsize`, of each; 0 where files are synced one by one.
    pub journal_bytes: u64,
    /// `store.quotaenforcement`: what clients add must fit into their quota.
    pub enforce_quota: bool,
    /// `store.textindex`: searches ask the index of words.
    pub text_index: bool,
    /// `store.defaultacl`: what a public folder at the top begins with; nothing when it cannot be read.
    pub default_acl: Option<Acl>,
}

impl StoreSettings {
    /// Everything below one folder, with the defaults, not waiting for stored.
    pub fn in_folder(folder: &Path) -> StoreSettings {
        StoreSettings {
            list_folder: folder.join("store/mboxlist"),
            partitions: BTreeMap::from([("primary".into(), folder.join("store/partition/primary"))]),
            default_partition: "primary".into(),
            run_folder: folder.join("run"),
            last_access_folder: folder.join("last-access"),
            stored_log: folder.join("log/stored"),
            sync: SyncLevels::default(),
            list_sync: true,
            lock_timeout: Duration::from_secs(5),
            wait: Wait::No,
            journal_folder: folder.join("store/journal"),
            queue_journal: folder.join("queue/journal"),
            journal_bytes: 1 << 20,
            enforce_quota: true,
            text_index: true,
            default_acl: Some(Acl::default()),
        }
    }
}
