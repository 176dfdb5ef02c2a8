//! Readers of the mailbox list that were killed keep its old pages alive; they are cleared.

use message_store::Store;
use server_log::{Category, Log};

pub fn run(store: &Store, log: &Log) {
    match store.clear_stale_readers() {
        Ok(0) => {}
        Ok(count) => log.information(Category::Store, format_args!("{count} dead readers cleared")),
        Err(why) => log.error(Category::Store, format_args!("mailbox list: {why}")),
    }
}
