//! Readers of the mailbox list that were killed keep its old pages alive; they are cleared.

use message_store::Store;
use server_log::{Category, Log};

pub fn run(store: &Store, log: &Log) {
    told(store.clear_stale_readers(), log);
}

/// The same without waiting for who writes.
pub fn look(store: &Store, log: &Log) {
    told(store.clear_dead_readers(), log);
}

fn told(cleared: message_store::Result<usize>, log: &Log) {
    match cleared {
        Ok(0) => {}
        Ok(count) => log.information(Category::Store, format_args!("{count} dead readers cleared")),
        Err(why) => log.error(Category::Store, format_args!("mailbox list: {why}")),
    }
}
