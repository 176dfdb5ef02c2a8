//! The folders that mail is in, whose file systems may fill up: the queue and each partition of the store.

use std::path::PathBuf;

use message_store::StoreSettings;
use server_config::{Config, Instance};

/// What the queue is called beside partitions.
pub const QUEUE: &str = "queue";

/// Each by its name: `queue`, then the partitions.
pub fn mail_folders(config: &Config, instance: &Instance) -> Vec<(String, PathBuf)> {
    let partitions = StoreSettings::from_config(config, instance).partitions;
    std::iter::once((QUEUE.to_owned(), instance.queue_dir())).chain(partitions).collect()
}
