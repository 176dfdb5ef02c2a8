//! Proving the store around its mailboxes: the list and the folders both ways, subscriptions, and what renames left.

use std::fs;
use std::path::Path;

use mailbox_list::MailboxName;

use crate::list::told;
use crate::mailbox::Mailbox;
use crate::resync::Scope;
use crate::store::{Listed, Store};
use crate::verify::{self, Depth, Fault, Pace, Verified};
use crate::{Result, deletion, renames, subscriptions};

impl Store {
    /// Proves one mailbox of the list, whatever sessions do meanwhile. Nothing when it was deleted or renamed since.
    ///
    /// # Errors
    /// `InUse` when one of its locks is not to be had; the system's.
    pub fn verify(&self, listed: &Listed, depth: Depth, pace: Pace<'_>) -> Result<Option<Verified>> {
        let folder = self.folder_in(&listed.partition, &listed.name)?;
        let first = verify::mailbox(&self.shared, &folder, listed, depth, pace);
        if first.as_ref().is_ok_and(|found| found.differences.is_empty()) {
            return first.map(Some);
        }
        // It may have been deleted or renamed meanwhile, or be so just now: its tree stands still for the last word.
        let _lock = self.pause_tree(&listed.name)?;
        self.shared.list.settle().map_err(told)?;
        let now = self.find(&listed.name)?;
        let is_there = now.is_some_and(|entry| {
            entry.selectable && (entry.id, &entry.partition) == (listed.id, &listed.partition)
        });
        if !is_there {
            return Ok(None);
        }
        let mut found = verify::mailbox(&self.shared, &folder, listed, depth, pace)?;
        if !folder.is_dir() && self.is_being_renamed(&listed.name)? {
            found.differences.clear();
            found.notes.push("a rename was interrupted; who locks its tree finishes it".into());
        }
        Ok(Some(found))
    }

    /// What the list says of a mailbox.
    ///
    /// # Errors
    /// Damage of the list.
    pub fn listed(&self, name: &MailboxName) -> Result<Option<Listed>> {
        let page = self.list(&name.to_string(), None, 1)?;
        Ok(page.into_iter().find(|listed| listed.selectable && listed.name == *name))
    }

    /// Whether a rename that nobody works at takes it along.
    fn is_being_renamed(&self, name: &MailboxName) -> Result<bool> {
        let path = name.tree_path();
        let pending = renames::all(&self.shared.settings.list_folder)?;
        Ok(pending
            .iter()
            .any(|one| path.starts_with(&one.from.tree_path()) || path.starts_with(&one.to.tree_path())))
    }

    /// Mailboxes that are on disk and not in the list; how many folders were looked at.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn verify_folders(&self, scope: &Scope, mut tell: impl FnMut(&MailboxName, Fault)) -> Result<usize> {
        let mut count = 0;
        for (partition, root) in &self.shared.settings.partitions {
            if scope.partition.as_ref().is_some_and(|one| one != partition) {
                continue;
            }
            let mut on_disk = Vec::new();
            scope.walk(root, &mut on_disk)?;
            count += on_disk.len();
            for (name, folder) in on_disk {
                if !self.is_listed(&name, partition)?
                    && self.is_unlisted(&name, partition, Path::new(&folder))?
                {
                    let what = format!("it is in partition {partition} and not in the list");
                    tell(&name, Fault { what, repair: "reconstruct -m".into() });
                }
            }
        }
        Ok(count)
    }

    fn is_listed(&self, name: &MailboxName, partition: &str) -> Result<bool> {
        Ok(self.find(name)?.is_some_and(|entry| entry.selectable && entry.partition == partition))
    }

    /// The last word, its tree standing still. The rest of a deletion or of a rename is none.
    fn is_unlisted(&self, name: &MailboxName, partition: &str, folder: &Path) -> Result<bool> {
        let _lock = self.pause_tree(name)?;
        self.shared.list.settle().map_err(told)?;
        let is_rest = deletion::is_marked(folder) || self.is_being_renamed(name)?;
        Ok(!is_rest && !self.is_listed(name, partition)? && Mailbox::is_here(folder))
    }

    /// A user's subscriptions.
    ///
    /// # Errors
    /// The user has no INBOX; the system's.
    pub fn verify_subscriptions(&self, inbox: &MailboxName) -> Result<Option<Fault>> {
        let folder = self.folder_of(inbox)?;
        if fs::symlink_metadata(folder.join(subscriptions::FILE)).is_err() {
            return Ok(None);
        }
        Ok(match subscriptions::read(&folder) {
            Err(crate::StoreError::Damaged(_) | crate::StoreError::Io(_)) => Some(Fault {
                what: format!("{} does not verify", folder.join(subscriptions::FILE).display()),
                repair: String::new(),
            }),
            _ => None,
        })
    }
}
