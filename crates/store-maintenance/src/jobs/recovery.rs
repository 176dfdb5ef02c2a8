//! Before anybody else may open the store: interrupted renames are finished, trash is emptied, dead readers cleared (S163).
//!
//! Mailboxes mend themselves when they are opened, by whoever opens them first, so this takes the same time for ten
//! mailboxes and for a million.

use message_store::Store;
use server_log::{Category, Log};

/// # Errors
/// One line: the store cannot be used as it is.
pub fn run(store: &Store, log: &Log) -> Result<(), String> {
    let renames = store.finish_renames().map_err(|why| format!("interrupted renames: {why}"))?;
    let trash = store.empty_trash().map_err(|why| format!("trash: {why}"))?;
    let readers = store.clear_stale_readers().map_err(|why| format!("mailbox list: {why}"))?;
    log.notice(
        Category::Store,
        format_args!(
            "recovery: {renames} renames finished, {trash} deletions finished, {readers} dead readers cleared"
        ),
    );
    Ok(())
}
