//! What is asked of the list: find, create, rename, remove, list.
//!
//! The table has keys of these kinds, and those of `shares.rs`. `n`, the number of the node above (8 bytes, big-endian; 0 is the top), then the
//! component: a mailbox. `c`: the next node number and the last UIDVALIDITY given out, 8 bytes little-endian each.
//! Renaming a tree changes one record; one level is one range.

use heed::{RoTxn, RwTxn};

use crate::database::Table;
use crate::{Acl, Entry, ListError, MailboxList, MailboxName, Result, SpecialUse, shares};

pub(crate) const TOP: u64 = 0;
const COUNTERS: &[u8] = b"c";

/// A mailbox with its name, as [`MailboxList::page`] answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    pub name: MailboxName,
    pub entry: Entry,
    pub has_children: bool,
}

/// What a new mailbox is made of.
#[derive(Clone, Debug)]
pub struct NewEntry<'a> {
    pub special_use: Option<SpecialUse>,
    pub id: u128,
    /// Nothing: a new one, higher than all before.
    pub uid_validity: Option<u32>,
    pub partition: &'a str,
    pub acl: &'a Acl,
}

fn key(above: u64, component: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + component.len());
    key.push(b'n');
    key.extend_from_slice(&above.to_be_bytes());
    key.extend_from_slice(component.as_bytes());
    key
}

fn decode(bytes: &[u8]) -> Result<Entry> {
    Entry::decode(bytes).ok_or_else(|| ListError::Damaged("a record".into()))
}

pub(crate) fn child(txn: &RoTxn<'_>, table: Table, above: u64, component: &str) -> Result<Option<Entry>> {
    table.get(txn, &key(above, component))?.map(decode).transpose()
}

pub(crate) fn lookup(txn: &RoTxn<'_>, table: Table, path: &[&str]) -> Result<Option<Entry>> {
    let mut above = TOP;
    let mut found = None;
    for component in path {
        match child(txn, table, above, component)? {
            Some(entry) => {
                above = entry.node;
                found = Some(entry);
            }
            None => return Ok(None),
        }
    }
    Ok(found)
}

fn has_children(txn: &RoTxn<'_>, table: Table, node: u64) -> Result<bool> {
    let from = key(node, "");
    Ok(table.get_greater_than_or_equal_to(txn, &from)?.is_some_and(|(key, _)| key.starts_with(&from)))
}

/// The next node number, and a UIDVALIDITY higher than all before when one is wanted.
fn count(txn: &mut RwTxn<'_>, table: Table, wants_validity: bool) -> Result<(u64, u32)> {
    let mut words = [1u64, 0];
    if let Some(bytes) = table.get(txn, COUNTERS)? {
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
    }
    let node = words[0].max(1);
    words[0] = node.saturating_add(1);
    if wants_validity {
        let now = u64::try_from(base::clock::unix_seconds()).unwrap_or(0).clamp(1, u64::from(u32::MAX) - 1);
        words[1] = now.max(words[1].saturating_add(1));
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    table.put(txn, COUNTERS, &bytes)?;
    Ok((node, u32::try_from(words[1]).unwrap_or(u32::MAX)))
}

/// The node of `path`, made with placeholders where it is missing.
fn make_path(txn: &mut RwTxn<'_>, table: Table, path: &[&str], partition: &str) -> Result<u64> {
    let mut above = TOP;
    for component in path {
        above = match child(txn, table, above, component)? {
            Some(entry) => entry.node,
            None => {
                let (node, _) = count(txn, table, false)?;
                let entry = Entry {
                    selectable: false,
                    special_use: None,
                    uid_validity: 0,
                    id: 0,
                    partition: partition.into(),
                    node,
                };
                table.put(txn, &key(above, component), &entry.encode())?;
                node
            }
        };
    }
    Ok(above)
}

/// Removes the placeholders of `path` that stand above nothing any more, from the lowest up.
fn prune(txn: &mut RwTxn<'_>, table: Table, path: &[&str]) -> Result<()> {
    for length in (1..=path.len()).rev() {
        match lookup(txn, table, &path[..length])? {
            Some(entry) if !entry.selectable && !has_children(txn, table, entry.node)? => {
                let above = above_of(txn, table, &path[..length])?;
                table.delete(txn, &key(above, path[length - 1]))?;
                shares::removed(txn, table, &entry)?;
            }
            _ => break,
        }
    }
    Ok(())
}

fn above_of(txn: &RoTxn<'_>, table: Table, path: &[&str]) -> Result<u64> {
    match path.split_last() {
        Some((_, [])) | None => Ok(TOP),
        Some((_, up)) => Ok(lookup(txn, table, up)?.ok_or(ListError::NotFound)?.node),
    }
}

impl MailboxList {
    /// What the list knows of `name`, placeholders included.
    ///
    /// # Errors
    /// Damage.
    pub fn find(&self, name: &MailboxName) -> Result<Option<Entry>> {
        self.read(|txn, table| lookup(txn, table, &name.tree_path()))
    }

    /// Adds a mailbox, and placeholders above it where there is nothing. A placeholder becomes a mailbox.
    ///
    /// # Errors
    /// `AlreadyExists`, `Full`, damage.
    pub fn create(&self, name: &MailboxName, new: &NewEntry<'_>) -> Result<Entry> {
        let path = name.tree_path();
        let Some((leaf, up)) = path.split_last() else { return Err(ListError::Impossible("no name")) };
        self.write(|txn, table| {
            let above = make_path(txn, table, up, new.partition)?;
            let here = child(txn, table, above, leaf)?;
            if here.as_ref().is_some_and(|entry| entry.selectable) {
                return Err(ListError::AlreadyExists);
            }
            let (mut node, validity) = count(txn, table, new.uid_validity.is_none())?;
            if let Some(placeholder) = here {
                node = placeholder.node;
            }
            let entry = Entry {
                selectable: true,
                special_use: new.special_use,
                uid_validity: new.uid_validity.unwrap_or(validity),
                id: new.id,
                partition: new.partition.into(),
                node,
            };
            table.put(txn, &key(above, leaf), &entry.encode())?;
            shares::write_acl(txn, table, &path, &entry, new.acl)?;
            Ok(entry)
        })
    }

    /// Gives a listed mailbox other values: a new UIDVALIDITY, another special use.
    ///
    /// # Errors
    /// `NotFound`, damage.
    pub fn update(&self, name: &MailboxName, change: impl Fn(&mut Entry)) -> Result<()> {
        let path = name.tree_path();
        self.write(|txn, table| {
            let above = above_of(txn, table, &path)?;
            let leaf = path.last().copied().unwrap_or_default();
            let mut entry = child(txn, table, above, leaf)?.ok_or(ListError::NotFound)?;
            change(&mut entry);
            table.put(txn, &key(above, leaf), &entry.encode())?;
            Ok(())
        })
    }

    /// Moves a mailbox and all below it: one record.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, `Impossible` when `to` is below `from`.
    pub fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        let (from, to) = (from.tree_path(), to.tree_path());
        if to.starts_with(&from) {
            return Err(if to == from {
                ListError::AlreadyExists
            } else {
                ListError::Impossible("a mailbox cannot be put below itself")
            });
        }
        self.write(|txn, table| {
            let above = above_of(txn, table, &from)?;
            let (leaf, up) = from.split_last().ok_or(ListError::NotFound)?;
            let entry = child(txn, table, above, leaf)?.ok_or(ListError::NotFound)?;
            let (new_leaf, new_up) = to.split_last().ok_or(ListError::NotFound)?;
            let new_above = make_path(txn, table, new_up, &entry.partition)?;
            if child(txn, table, new_above, new_leaf)?.is_some() {
                return Err(ListError::AlreadyExists);
            }
            table.delete(txn, &key(above, leaf))?;
            table.put(txn, &key(new_above, new_leaf), &entry.encode())?;
            shares::moved(txn, table, entry.node, &to)?;
            prune(txn, table, up)
        })
    }

    /// Removes a mailbox. One that stands above others stays as a placeholder (RFC 3501 §6.3.4).
    ///
    /// # Errors
    /// `NotFound`, damage.
    pub fn remove(&self, name: &MailboxName) -> Result<()> {
        let path = name.tree_path();
        self.write(|txn, table| {
            let above = above_of(txn, table, &path)?;
            let (leaf, up) = path.split_last().ok_or(ListError::NotFound)?;
            let entry = child(txn, table, above, leaf)?.ok_or(ListError::NotFound)?;
            if has_children(txn, table, entry.node)? {
                if !entry.selectable {
                    return Err(ListError::NotFound);
                }
                shares::forget_acl(txn, table, &entry)?;
                let placeholder =
                    Entry { selectable: false, special_use: None, uid_validity: 0, id: 0, ..entry };
                table.put(txn, &key(above, leaf), &placeholder.encode())?;
                return Ok(());
            }
            table.delete(txn, &key(above, leaf))?;
            shares::removed(txn, table, &entry)?;
            prune(txn, table, up)
        })
    }

    /// Removes a mailbox and all below it. How many records went.
    ///
    /// # Errors
    /// `NotFound`, damage.
    pub fn remove_tree(&self, name: &MailboxName) -> Result<usize> {
        let path = name.tree_path();
        self.write(|txn, table| {
            let above = above_of(txn, table, &path)?;
            let (leaf, up) = path.split_last().ok_or(ListError::NotFound)?;
            let entry = child(txn, table, above, leaf)?.ok_or(ListError::NotFound)?;
            let mut nodes = vec![entry.node];
            let mut doomed = vec![(key(above, leaf), entry)];
            while let Some(node) = nodes.pop() {
                for item in table.prefix_iter(txn, &key(node, ""))? {
                    let (key, bytes) = item?;
                    let entry = decode(bytes)?;
                    nodes.push(entry.node);
                    doomed.push((key.to_vec(), entry));
                }
            }
            for (key, entry) in &doomed {
                table.delete(txn, key)?;
                shares::removed(txn, table, entry)?;
            }
            prune(txn, table, up)?;
            Ok(doomed.len())
        })
    }

    /// At most `limit` names that start with `prefix` and come after `after`, in the order of [`MailboxName`].
    /// Placeholders are among them, not selectable; `user` itself is not.
    ///
    /// # Errors
    /// Damage.
    pub fn page(&self, prefix: &str, after: Option<&MailboxName>, limit: usize) -> Result<Vec<Found>> {
        let prefix = prefix.strip_prefix('/').unwrap_or(prefix);
        let after = after.map(MailboxName::tree_path).unwrap_or_default();
        self.read(|txn, table| {
            let mut walk = Walk { txn, table, prefix, limit, path: Vec::new(), found: Vec::new() };
            walk.level(TOP, &after)?;
            Ok(walk.found)
        })
    }
}

struct Walk<'a> {
    txn: &'a RoTxn<'a>,
    table: Table,
    prefix: &'a str,
    limit: usize,
    path: Vec<String>,
    found: Vec<Found>,
}

impl Walk<'_> {
    /// All below `node`, whose path is `self.path`; `after` is what was listed before, relative to it.
    fn level(&mut self, node: u64, after: &[&str]) -> Result<()> {
        if self.path.len() > crate::LEVELS_MAX {
            return Err(ListError::Damaged("the tree is too deep".into()));
        }
        let here = self.path.iter().fold(String::new(), |text, component| text + component + "/");
        let rest = self.prefix.strip_prefix(here.as_str()).unwrap_or("");
        let (want, exact) = rest.split_once('/').map_or((rest, false), |(want, _)| (want, true));
        let start = key(node, after.first().copied().unwrap_or("").max(want));
        let range = (std::ops::Bound::Included(start.as_slice()), std::ops::Bound::Unbounded);
        let level = key(node, "");
        for item in self.table.range(self.txn, &range)? {
            let (key, bytes) = item?;
            let Some(component) = key.strip_prefix(level.as_slice()) else { break };
            let component =
                std::str::from_utf8(component).map_err(|_| ListError::Damaged("a name".into()))?.to_owned();
            if !component.starts_with(want) || (exact && component != want) {
                break;
            }
            let entry = decode(bytes)?;
            let seen = after.first() == Some(&component.as_str());
            let below = entry.node;
            let has_children = has_children(self.txn, self.table, below)?;
            self.path.push(component);
            if !seen {
                self.emit(entry, has_children)?;
            }
            if has_children && self.found.len() < self.limit {
                self.level(below, if seen { &after[1..] } else { &[] })?;
            }
            self.path.pop();
            if self.found.len() >= self.limit {
                break;
            }
        }
        Ok(())
    }

    fn emit(&mut self, entry: Entry, has_children: bool) -> Result<()> {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        if path == ["user"] || (matches!(path[..], ["user", _, "INBOX"])) {
            return Ok(());
        }
        let name = MailboxName::from_tree_path(&path).map_err(|_| ListError::Damaged("a name".into()))?;
        if name.as_str().starts_with(self.prefix) && self.found.len() < self.limit {
            self.found.push(Found { name, entry, has_children });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::parse(text).unwrap()
    }

    fn list_with(names: &[&str]) -> (tempfile::TempDir, std::sync::Arc<MailboxList>) {
        let folder = tempfile::tempdir().unwrap();
        let list = MailboxList::open(folder.path(), false).unwrap();
        for text in names {
            let new = NewEntry {
                special_use: None,
                id: 1,
                uid_validity: None,
                partition: "primary",
                acl: &Acl::default(),
            };
            list.create(&name(text), &new).unwrap();
        }
        (folder, list)
    }

    fn names(list: &MailboxList, prefix: &str) -> Vec<String> {
        list.page(prefix, None, 1000).unwrap().iter().map(|found| found.name.to_string()).collect()
    }

    #[test]
    fn pages_of_one_give_the_same_as_one_page() {
        let all =
            ["user/a", "user/a/B", "user/a/B/C", "user/a/INBOX/sub", "user/a/b", "user/ab", "Public/News"];
        let (_folder, list) = list_with(&all);
        let whole = list.page("", None, 1000).unwrap();
        let mut single = Vec::new();
        while let Some(next) =
            list.page("", single.last().map(|found: &Found| &found.name), 1).unwrap().into_iter().next()
        {
            single.push(next);
        }
        assert_eq!(whole, single);
        assert_eq!(
            names(&list, "user/a/"),
            ["user/a/INBOX", "user/a/B", "user/a/B/C", "user/a/INBOX/sub", "user/a/b"]
        );
        assert_eq!(names(&list, "user/a/INB"), ["user/a/INBOX", "user/a/INBOX/sub"]);
        assert_eq!(names(&list, "user/ab"), ["user/ab/INBOX"]);
        assert_eq!(names(&list, "P"), ["Public", "Public/News"]);
    }

    #[test]
    fn renaming_a_tree_takes_what_is_below_along() {
        let (_folder, list) = list_with(&["user/a", "user/a/B", "user/a/B/C", "user/a/D"]);
        let before = list.find(&name("user/a/B/C")).unwrap();
        list.rename(&name("user/a/B"), &name("user/a/X/Y")).unwrap();
        assert_eq!(names(&list, "user/a/X"), ["user/a/X", "user/a/X/Y", "user/a/X/Y/C"]);
        assert_eq!(list.find(&name("user/a/X/Y/C")).unwrap(), before);
        assert!(list.find(&name("user/a/B")).unwrap().is_none());
        assert!(matches!(list.rename(&name("user/a/X"), &name("user/a/X/Z")), Err(ListError::Impossible(_))));
        assert!(matches!(list.rename(&name("user/a/X"), &name("user/a/D")), Err(ListError::AlreadyExists)));
    }

    #[test]
    fn a_removed_mailbox_above_others_stays_as_a_placeholder_until_they_go() {
        let (_folder, list) = list_with(&["user/a", "user/a/B", "user/a/B/C"]);
        list.remove(&name("user/a/B")).unwrap();
        assert!(!list.find(&name("user/a/B")).unwrap().unwrap().selectable);
        list.remove(&name("user/a/B/C")).unwrap();
        assert!(list.find(&name("user/a/B")).unwrap().is_none());
        assert_eq!(list.remove_tree(&name("user/a")).unwrap(), 1);
        assert!(names(&list, "").is_empty());
    }

    #[test]
    fn a_mailbox_made_again_has_a_higher_uid_validity() {
        let (_folder, list) = list_with(&["user/a", "user/a/B"]);
        let first = list.find(&name("user/a/B")).unwrap().unwrap().uid_validity;
        list.remove(&name("user/a/B")).unwrap();
        let new = NewEntry {
            special_use: None,
            id: 2,
            uid_validity: None,
            partition: "primary",
            acl: &Acl::default(),
        };
        assert!(list.create(&name("user/a/B"), &new).unwrap().uid_validity > first);
        assert!(matches!(list.create(&name("user/a/B"), &new), Err(ListError::AlreadyExists)));
    }
}
