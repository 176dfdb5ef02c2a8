//! Who makes, renames or deletes a mailbox has its tree for himself: a user's mailboxes are one tree, shared mailboxes
//! another by their first level.
//!
//! The lock is a byte of `run/store.trees`, freed by the kernel when its holder dies. So whoever gets it knows that a
//! rename which is still written down (see `renames.rs`) was interrupted, and makes it whole before anything else.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use mailbox_list::MailboxName;
use os::lock::{Mode, OfdLock};

use crate::list::told;
use crate::renames::{self, Pending};
use crate::shared::hash;
use crate::store::Store;
use crate::{Result, StoreError, acl};

const FILE: &str = "store.trees";
/// An interrupted rename can bring another tree into it, and that one another.
const ROUNDS_MAX: usize = 16;

/// Held while trees are changed.
pub(crate) struct TreeLock {
    _locks: Vec<OfdLock>,
}

/// The tree in which the mailbox is, as a number.
pub(crate) fn tree_of(name: &MailboxName) -> u64 {
    let path = name.tree_path();
    let levels = if path.first() == Some(&"user") { 2 } else { 1 };
    hash(path[..path.len().min(levels)].join("/").as_bytes())
}

/// The byte of the tree in which the mailbox is.
fn byte(name: &MailboxName) -> u32 {
    tree_of(name) as u32
}

fn bytes(pending: &Pending) -> [u32; 2] {
    [byte(&pending.from), byte(&pending.to)]
}

impl Store {
    /// The trees of these mailboxes; renames in them that were interrupted are finished or undone.
    ///
    /// # Errors
    /// `InUse` when somebody else has one of them all the time; what stands in the way of an interrupted rename.
    pub(crate) fn lock_trees(&self, names: &[&MailboxName]) -> Result<TreeLock> {
        let mut wanted: BTreeSet<u32> = names.iter().map(|name| byte(name)).collect();
        for _ in 0..ROUNDS_MAX {
            let lock = self.acquire_trees(&wanted)?;
            self.shared.list.settle().map_err(told)?; // who had the lock before may have died in the list
            let mut pending = renames::all(&self.shared.settings.list_folder)?;
            pending.retain(|one| bytes(one).iter().any(|byte| wanted.contains(byte)));
            let needed: BTreeSet<u32> = pending.iter().flat_map(bytes).collect();
            if needed.is_subset(&wanted) {
                for one in pending {
                    self.finish_rename(one)?;
                }
                for (note, name) in acl::pending(&self.shared.settings.list_folder)? {
                    if wanted.contains(&byte(&name)) {
                        self.finish_acl(&note, &name)?;
                    }
                }
                return Ok(lock);
            }
            wanted.extend(needed);
        }
        Err(StoreError::InUse)
    }

    /// The tree of this mailbox stands still; what was interrupted in it stays as it is.
    ///
    /// # Errors
    /// `InUse`.
    pub(crate) fn pause_tree(&self, name: &MailboxName) -> Result<TreeLock> {
        self.acquire_trees(&BTreeSet::from([byte(name)]))
    }

    /// In ascending order, so that two who want the same do not wait for each other.
    fn acquire_trees(&self, wanted: &BTreeSet<u32>) -> Result<TreeLock> {
        let settings = &self.shared.settings;
        let path = settings.run_folder.join(FILE);
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let file = Arc::new(file);
        let lock = |byte: &u32| OfdLock::acquire(&file, *byte, Mode::Exclusive, settings.lock_timeout);
        let locks = wanted.iter().map(lock).collect::<std::io::Result<_>>()?;
        Ok(TreeLock { _locks: locks })
    }
}
