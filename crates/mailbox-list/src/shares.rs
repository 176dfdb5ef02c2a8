//! Access control lists in the list of mailboxes, and who is given something by which.
//!
//! Keys beside those of `tree.rs`, numbers big-endian in keys and little-endian in values:
//!
//! | key | value |
//! |---|---|
//! | `r`, id of a mailbox (16) | its access control list, as text ([`Acl`]); none: an empty one |
//! | `a`, an identifier, 0, id of a mailbox (16) | node of the mailbox (8): the identifier is given `l` there |
//! | `p`, a node (8) | the node above it (8), its component: for mailboxes that have a list, and all above them |
//!
//! So the mailboxes that somebody is given are found without looking at the others, and named from their nodes up. They go
//! by node and by id, so renaming a tree is still one record of the tree, and one of `p`.

use heed::{RoTxn, RwTxn};

use crate::acl::{ANYONE, GROUP};
use crate::database::Table;
use crate::tree::{TOP, child, lookup};
use crate::{Acl, Entry, ListError, MailboxList, MailboxName, Result, Rights};

/// Which mailboxes are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Those of users, the user's own included.
    Users,
    /// Those that belong to nobody.
    Public,
}

fn acl_key(id: u128) -> Vec<u8> {
    [&b"r"[..], &id.to_be_bytes()].concat()
}

fn given_prefix(identifier: &str) -> Vec<u8> {
    [b"a", identifier.as_bytes(), b"\0"].concat()
}

fn given_key(identifier: &str, id: u128) -> Vec<u8> {
    [&given_prefix(identifier)[..], &id.to_be_bytes()].concat()
}

fn place_key(node: u64) -> Vec<u8> {
    [&b"p"[..], &node.to_be_bytes()].concat()
}

fn read_acl(txn: &RoTxn<'_>, table: Table, id: u128) -> Result<Acl> {
    match table.get(txn, &acl_key(id))? {
        None => Ok(Acl::default()),
        Some(bytes) => Acl::decode(bytes).ok_or_else(|| ListError::Damaged("an access control list".into())),
    }
}

/// Those whom a list makes see the mailbox.
fn given(acl: &Acl) -> impl Iterator<Item = &str> {
    acl.entries()
        .filter(|(identifier, rights)| !identifier.starts_with('-') && rights.contains(Rights::LOOKUP))
        .map(|(identifier, _)| identifier)
}

/// Puts a list in place of the one that a mailbox has.
pub(crate) fn write_acl(
    txn: &mut RwTxn<'_>,
    table: Table,
    path: &[&str],
    entry: &Entry,
    acl: &Acl,
) -> Result<()> {
    forget_acl(txn, table, entry)?;
    if acl.is_empty() {
        return Ok(());
    }
    table.put(txn, &acl_key(entry.id), acl.encode().as_bytes())?;
    for identifier in given(acl) {
        table.put(txn, &given_key(identifier, entry.id), &entry.node.to_le_bytes())?;
    }
    write_places(txn, table, path)
}

/// Takes the list of a mailbox away.
pub(crate) fn forget_acl(txn: &mut RwTxn<'_>, table: Table, entry: &Entry) -> Result<()> {
    if !entry.selectable || table.get(txn, &acl_key(entry.id))?.is_none() {
        return Ok(());
    }
    // One that is damaged leaves keys that lead to nothing, which whoever follows them passes over.
    let old = read_acl(txn, table, entry.id).unwrap_or_default();
    for identifier in given(&old) {
        table.delete(txn, &given_key(identifier, entry.id))?;
    }
    table.delete(txn, &acl_key(entry.id))?;
    Ok(())
}

/// Remembers where the nodes of a path are.
fn write_places(txn: &mut RwTxn<'_>, table: Table, path: &[&str]) -> Result<()> {
    let mut above = TOP;
    for component in path {
        let Some(entry) = child(txn, table, above, component)? else { return Err(ListError::NotFound) };
        let value = [&above.to_le_bytes()[..], component.as_bytes()].concat();
        table.put(txn, &place_key(entry.node), &value)?;
        above = entry.node;
    }
    Ok(())
}

/// A node is somewhere else now.
pub(crate) fn moved(txn: &mut RwTxn<'_>, table: Table, node: u64, path: &[&str]) -> Result<()> {
    match table.get(txn, &place_key(node))?.is_some() {
        true => write_places(txn, table, path),
        false => Ok(()),
    }
}

/// A node is nowhere any more.
pub(crate) fn removed(txn: &mut RwTxn<'_>, table: Table, entry: &Entry) -> Result<()> {
    forget_acl(txn, table, entry)?;
    table.delete(txn, &place_key(entry.node))?;
    Ok(())
}

/// The components of a node's path.
fn path_of(txn: &RoTxn<'_>, table: Table, mut node: u64) -> Result<Option<Vec<String>>> {
    let mut path = Vec::new();
    while node != TOP {
        let Some((above, component)) =
            table.get(txn, &place_key(node))?.and_then(|bytes| bytes.split_first_chunk::<8>())
        else {
            return Ok(None);
        };
        if path.len() > crate::LEVELS_MAX {
            return Err(ListError::Damaged("the tree is too deep".into()));
        }
        path.push(String::from_utf8(component.to_vec()).map_err(|_| ListError::Damaged("a name".into()))?);
        node = u64::from_le_bytes(*above);
    }
    path.reverse();
    Ok(Some(path))
}

impl MailboxList {
    /// The access control list of a mailbox; an empty one when it has none.
    ///
    /// # Errors
    /// Damage.
    pub fn acl(&self, id: u128) -> Result<Acl> {
        self.read(|txn, table| read_acl(txn, table, id))
    }

    /// Puts another list in place of that of a mailbox.
    ///
    /// # Errors
    /// `NotFound` when the name is not that of the mailbox with this id; damage.
    pub fn set_acl(&self, name: &MailboxName, id: u128, acl: &Acl) -> Result<()> {
        let path = name.tree_path();
        self.write(|txn, table| {
            let entry = lookup(txn, table, &path)?.filter(|entry| entry.selectable && entry.id == id);
            write_acl(txn, table, &path, &entry.ok_or(ListError::NotFound)?, acl)
        })
    }

    /// The mailboxes of one side in which the identifier is given `l`, unsorted; nothing when there are more than `limit`.
    ///
    /// # Errors
    /// Damage.
    pub fn given_to(&self, identifier: &str, side: Side, limit: usize) -> Result<Option<Vec<MailboxName>>> {
        self.read(|txn, table| {
            let mut names = Vec::new();
            for item in table.prefix_iter(txn, &given_prefix(identifier))? {
                let (key, bytes) = item?;
                let node = bytes.try_into().map(u64::from_le_bytes);
                let node = node.map_err(|_| ListError::Damaged("a share".into()))?;
                let Some(path) = path_of(txn, table, node)? else { continue };
                let is_users = path.first().is_some_and(|first| first == "user");
                if is_users != (side == Side::Users) {
                    continue;
                }
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let id = key.last_chunk::<16>().map(|id| u128::from_be_bytes(*id));
                let entry = lookup(txn, table, &path)?;
                if !entry.is_some_and(|entry| entry.selectable && Some(entry.id) == id) {
                    continue;
                }
                if names.len() == limit {
                    return Ok(None);
                }
                let name = MailboxName::from_tree_path(&path);
                names.push(name.map_err(|_| ListError::Damaged("a name".into()))?);
            }
            Ok(Some(names))
        })
    }

    /// The groups that are given `l` in any mailbox, by their addresses: at most `limit`, those behind `after`.
    ///
    /// # Errors
    /// Damage.
    pub fn given_groups(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        let all = [b"a", GROUP.as_bytes()].concat();
        self.read(|txn, table| {
            let mut found: Vec<String> = Vec::new();
            let past = |group: &str| [&all[..], group.as_bytes(), b"\x01"].concat();
            let mut from = after.map_or_else(|| all.clone(), past);
            while let Some((key, _)) = table.get_greater_than_or_equal_to(txn, &from)? {
                let Some(rest) = key.strip_prefix(all.as_slice()).filter(|_| found.len() < limit) else {
                    break;
                };
                let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
                let group = std::str::from_utf8(&rest[..end]);
                let group = group.map_err(|_| ListError::Damaged("a share".into()))?.to_owned();
                from = past(&group);
                found.push(group);
            }
            Ok(found)
        })
    }

    /// Whether everybody is given `l` in some mailbox of this side, or in so many that looking at all is faster.
    ///
    /// # Errors
    /// Damage.
    pub fn is_given_to_anyone(&self, side: Side) -> Result<bool> {
        Ok(self.given_to(ANYONE, side, 0)?.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewEntry;

    fn name(text: &str) -> MailboxName {
        MailboxName::parse(text).unwrap()
    }

    fn create(list: &MailboxList, text: &str, id: u128, acl: &str) {
        let acl = Acl::parse(acl).unwrap();
        let new = NewEntry { special_use: None, id, uid_validity: None, partition: "primary", acl: &acl };
        list.create(&name(text), &new).unwrap();
    }

    fn given(list: &MailboxList, identifier: &str, side: Side) -> Vec<String> {
        let mut names: Vec<String> =
            list.given_to(identifier, side, 100).unwrap().unwrap().iter().map(ToString::to_string).collect();
        names.sort();
        names
    }

    fn keys(list: &MailboxList, first: u8) -> usize {
        list.read(|txn, table| Ok(table.prefix_iter(txn, &[first])?.count())).unwrap()
    }

    #[test]
    fn what_is_shared_is_found_by_who_is_given_it() {
        let folder = tempfile::tempdir().unwrap();
        let list = MailboxList::open(folder.path(), false).unwrap();
        create(&list, "user/amy", 1, "");
        create(&list, "user/amy/Work/2002", 2, "bob lrs -bob s group=g@x l");
        create(&list, "Public/News", 3, "anyone lrs group=g@x l");
        create(&list, "Public/Hidden", 4, "bob rs");
        assert_eq!(given(&list, "bob", Side::Users), ["user/amy/Work/2002"]);
        assert!(given(&list, "bob", Side::Public).is_empty());
        assert_eq!(given(&list, "anyone", Side::Public), ["Public/News"]);
        assert_eq!(list.given_groups(None, 10).unwrap(), ["g@x"]);
        assert!(list.given_groups(Some("g@x"), 10).unwrap().is_empty());
        assert_eq!(list.given_to("anyone", Side::Public, 0).unwrap(), None);
        assert_eq!(list.acl(2).unwrap().of("-bob"), Rights::SEEN);
        assert!(list.acl(1).unwrap().is_empty());
        // Another list in its place.
        list.set_acl(&name("Public/News"), 3, &Acl::parse("bob l").unwrap()).unwrap();
        assert!(given(&list, "anyone", Side::Public).is_empty());
        assert_eq!(given(&list, "bob", Side::Public), ["Public/News"]);
        assert!(matches!(list.set_acl(&name("Public/News"), 9, &Acl::default()), Err(ListError::NotFound)));
        assert!(matches!(list.set_acl(&name("Public"), 0, &Acl::default()), Err(ListError::NotFound)));
    }

    #[test]
    fn renaming_keeps_and_removing_removes() {
        let folder = tempfile::tempdir().unwrap();
        let list = MailboxList::open(folder.path(), false).unwrap();
        create(&list, "user/amy", 1, "");
        create(&list, "user/amy/Work", 2, "");
        create(&list, "user/amy/Work/2002", 3, "bob l");
        create(&list, "user/amy/Work/2002/May", 4, "bob l");
        list.rename(&name("user/amy/Work"), &name("user/amy/Play/Old")).unwrap();
        assert_eq!(
            given(&list, "bob", Side::Users),
            ["user/amy/Play/Old/2002", "user/amy/Play/Old/2002/May"]
        );
        list.rename(&name("user/amy"), &name("user/eve")).unwrap();
        assert_eq!(
            given(&list, "bob", Side::Users),
            ["user/eve/Play/Old/2002", "user/eve/Play/Old/2002/May"]
        );
        list.remove(&name("user/eve/Play/Old/2002")).unwrap();
        assert_eq!(given(&list, "bob", Side::Users), ["user/eve/Play/Old/2002/May"]);
        assert!(list.acl(3).unwrap().is_empty());
        list.remove_tree(&name("user/eve")).unwrap();
        assert!(given(&list, "bob", Side::Users).is_empty());
        assert_eq!((keys(&list, b'a'), keys(&list, b'r'), keys(&list, b'p')), (0, 0, 0));
    }
}
