//! `reconstruct -m`: the mailbox list against the folders on disk (S162, S165, S166).

use std::fs;
use std::path::Path;

use mailbox_list::{MailboxName, NewEntry};

use crate::list::told;
use crate::mailbox::Mailbox;
use crate::store::{Listed, PAGE_MAX, Store, random_id};
use crate::{Result, deletion, folders};

/// Deeper folders are not looked at.
const DEPTH_MAX: usize = 20;

/// Found by [`Store::rebuild_list`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RebuiltList {
    pub found: usize,
    pub added: usize,
    pub without_folder: usize,
    /// Without a folder, and in the list still: nothing at all is in their partition, which may not be mounted.
    pub away: usize,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// On disk and not in the list; it is now.
    Added(MailboxName),
    /// In the list and not on disk; it is not any more.
    Removed(MailboxName),
    /// Its access control list was another in the list than on disk; it is as on disk now.
    Access(MailboxName),
}

/// What of the store is compared: everything, a partition, a user's mailboxes (`reconstruct -m -p -u`).
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub partition: Option<String>,
    /// A uid.
    pub user: Option<String>,
}

impl Scope {
    fn has_partition(&self, name: &str) -> bool {
        self.partition.as_deref().is_none_or(|one| one == name)
    }

    /// Mailboxes on disk below a partition's folder.
    pub(crate) fn walk(&self, partition: &Path, on_disk: &mut Vec<(MailboxName, String)>) -> Result<()> {
        let Some(uid) = &self.user else { return walk(partition, &mut Vec::new(), on_disk) };
        let inbox = MailboxName::inbox(uid)?;
        let Some(folder) = folders::folder(partition, &inbox) else { return Ok(()) };
        let mut levels = inbox.tree_path().iter().map(|level| (*level).to_owned()).collect();
        walk(&folder, &mut levels, on_disk)
    }
}

impl Store {
    /// Adds to the list what is on disk, removes from it what is not. May run while the store is used.
    ///
    /// # Errors
    /// A folder cannot be read; the list cannot be written.
    pub fn rebuild_list(&self, tell: impl FnMut(&Difference)) -> Result<RebuiltList> {
        self.rebuild_list_of(&Scope::default(), tell)
    }

    /// The same for a part of the store.
    ///
    /// # Errors
    /// As [`Store::rebuild_list`]; there is no such partition.
    pub fn rebuild_list_of(&self, scope: &Scope, mut tell: impl FnMut(&Difference)) -> Result<RebuiltList> {
        let mut done = RebuiltList::default();
        if let Some(partition) = &scope.partition {
            self.partition(partition)?;
        }
        for (partition, path) in self.shared.settings.partitions.clone() {
            if !scope.has_partition(&partition) {
                continue;
            }
            let mut on_disk = Vec::new();
            scope.walk(&path, &mut on_disk)?;
            for (name, folder) in on_disk {
                done.found += 1;
                if self.adopt(&name, Path::new(&folder), &partition)? {
                    done.added += 1;
                    tell(&Difference::Added(name));
                } else if self.mend_acl(&name, Path::new(&folder))? {
                    tell(&Difference::Access(name));
                }
            }
        }
        (done.without_folder, done.away) = self.drop_entries_without_folder(scope, &mut tell)?;
        Ok(done)
    }

    /// The same for what lies below one mailbox, nothing being removed: `reconstruct -r <mailbox>` (S184).
    ///
    /// # Errors
    /// As [`Store::rebuild_list`].
    pub fn adopt_below(&self, name: &MailboxName, mut tell: impl FnMut(&Difference)) -> Result<usize> {
        let mut count = 0;
        for (partition, path) in self.shared.settings.partitions.clone() {
            let Some(folder) = folders::folder(&path, name) else { continue };
            let levels: Vec<String> = name.tree_path().iter().map(|level| (*level).to_owned()).collect();
            let mut on_disk = Vec::new();
            walk(&folder, &mut levels.clone(), &mut on_disk)?;
            for (below, folder) in on_disk {
                if self.adopt(&below, Path::new(&folder), &partition)? {
                    count += 1;
                    tell(&Difference::Added(below));
                }
            }
        }
        Ok(count)
    }

    /// Puts a folder into the list. Whether it was not there.
    fn adopt(&self, name: &MailboxName, folder: &Path, partition: &str) -> Result<bool> {
        if self.find(name)?.is_some_and(|entry| entry.selectable) {
            return Ok(false);
        }
        let _lock = self.lock_trees(&[name])?;
        let is_listed = self.find(name)?.is_some_and(|entry| entry.selectable);
        if is_listed || !folder.is_dir() {
            return Ok(false); // made, renamed or deleted meanwhile
        }
        if deletion::is_marked(folder) {
            self.clear_away(name, partition)?; // deleted, and not to come back
            return Ok(false);
        }
        let usual = folders::folder(&self.shared.settings.partitions[partition], name);
        if let Some(usual) = usual.filter(|usual| usual != folder && !usual.exists()) {
            fs::rename(folder, usual)?; // the guide's spelling becomes ours
        }
        self.distrust_usage(name);
        let identity = Mailbox::read_identity(folder);
        let id = identity.map_or_else(random_id, |(id, _)| Ok(id))?;
        let uid_validity = identity.map(|(_, validity)| validity).filter(|validity| *validity != 0);
        let acl = self.found_acl(folder, name)?;
        let new = NewEntry { special_use: None, id, uid_validity, partition, acl: &acl };
        self.shared.list.create(name, &new).map_err(told)?;
        Ok(true)
    }

    /// Also when its partition is not among those of the configuration.
    fn has_folder(&self, listed: &Listed) -> bool {
        let root = self.shared.settings.partitions.get(&listed.partition);
        root.and_then(|root| folders::folder(root, &listed.name)).is_none_or(|folder| folder.is_dir())
    }

    /// Whether nothing at all is in a partition.
    fn is_away(&self, partition: &str) -> bool {
        let root = self.shared.settings.partitions.get(partition);
        root.is_some_and(|root| fs::read_dir(root).map_or(true, |mut entries| entries.next().is_none()))
    }

    fn drop_entries_without_folder(
        &self,
        scope: &Scope,
        tell: &mut impl FnMut(&Difference),
    ) -> Result<(usize, usize)> {
        let (mut count, mut away) = (0, 0);
        let mut after: Option<MailboxName> = None;
        let prefix = scope.user.as_ref().map_or(String::new(), |uid| format!("user/{uid}/"));
        loop {
            let page = self.list(&prefix, after.as_ref(), PAGE_MAX)?;
            let Some(last) = page.last() else { return Ok((count, away)) };
            after = Some(last.name.clone());
            for listed in page.iter().filter(|listed| listed.selectable) {
                if !scope.has_partition(&listed.partition) || self.has_folder(listed) {
                    continue;
                }
                if self.is_away(&listed.partition) {
                    away += 1;
                    continue;
                }
                // Who is renaming or making it is waited for; only then it is missing.
                let _lock = self.lock_trees(&[&listed.name])?;
                let now = self.find(&listed.name)?;
                if now.is_some_and(|entry| entry.id == listed.id) && !self.has_folder(listed) {
                    self.distrust_usage(&listed.name);
                    self.shared.list.remove(&listed.name).map_err(told)?;
                    tell(&Difference::Removed(listed.name.clone()));
                    count += 1;
                }
            }
        }
    }
}

/// Every mailbox below a folder whose levels are known.
fn walk(folder: &Path, levels: &mut Vec<String>, found: &mut Vec<(MailboxName, String)>) -> Result<()> {
    if levels.len() > DEPTH_MAX {
        return Ok(());
    }
    if levels.len() == 1 && levels[0] == "user" {
        return walk_users(folder, levels, found);
    }
    let name = MailboxName::parse(&levels.join("/"));
    if let Ok(name) = name {
        if Mailbox::is_here(folder) {
            found.push((name, folder.display().to_string()));
        }
    }
    for (path, level) in levels_in(folder)? {
        levels.push(level);
        walk(&path, levels, found)?;
        levels.pop();
    }
    Ok(())
}

/// Users are spread over `xx/yy`.
fn walk_users(folder: &Path, levels: &mut Vec<String>, found: &mut Vec<(MailboxName, String)>) -> Result<()> {
    for high in hash_folders(folder)? {
        for low in hash_folders(&high)? {
            for (path, level) in levels_in(&low)? {
                levels.push(level);
                walk(&path, levels, found)?;
                levels.pop();
            }
        }
    }
    Ok(())
}

fn hash_folders(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn levels_in(folder: &Path) -> Result<Vec<(std::path::PathBuf, String)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(level) = name.to_str().and_then(folders::decode) {
            if entry.file_type()?.is_dir() {
                found.push((entry.path(), level));
            }
        }
    }
    found.sort();
    Ok(found)
}
