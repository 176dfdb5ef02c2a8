//! Who is in which group, for access control lists (`group=<address>`), remembered for a minute.
//!
//! A group is looked up once a minute, with the groups among its members, whoever asks; then a check costs nothing. When the
//! directory does not answer, what was known before goes on to hold.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{Directory, Found, Kind};

/// How long what was found holds.
const TIME_TO_LIVE: Duration = Duration::from_secs(60);
/// Groups, and users, that are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// Members of a group, those of the groups in it included. Of a larger one these count.
const MEMBERS_MAX: usize = 1_000_000;
/// Members of a group that are looked up, since they may be groups themselves.
const LOOKUPS_MAX: usize = 1000;

/// Hashes of addresses.
type Addresses = Arc<HashSet<u64>>;

/// See the head of this file.
#[derive(Default)]
pub struct Memberships {
    hasher: RandomState,
    groups: Mutex<HashMap<String, (Instant, Addresses)>>,
    users: Mutex<HashMap<String, (Instant, Addresses)>>,
}

impl Memberships {
    /// Whether the user is in the group with this address; `None` when that is not known.
    pub fn is_member(&self, directory: &dyn Directory, group: &str, uid: &str) -> Option<bool> {
        let members = remembered(&self.groups, group, || self.members(directory, group))?;
        if members.is_empty() {
            return Some(false);
        }
        let own = remembered(&self.users, uid, || self.addresses(directory, uid))?;
        Some(own.iter().any(|address| members.contains(address)))
    }

    fn hash(&self, address: &str) -> u64 {
        self.hasher.hash_one(base::idn::comparable(address))
    }

    fn addresses(&self, directory: &dyn Directory, uid: &str) -> Option<HashSet<u64>> {
        match directory.by_uid(uid).ok()? {
            Found::One(entry) => Some(entry.addresses().map(|address| self.hash(address)).collect()),
            _ => Some(HashSet::new()),
        }
    }

    fn members(&self, directory: &dyn Directory, group: &str) -> Option<HashSet<u64>> {
        let mut found = HashSet::new();
        let mut seen = HashSet::from([self.hash(group)]);
        let mut waiting = vec![group.to_owned()];
        let mut lookups = 0;
        while let Some(address) = waiting.pop() {
            let entry = match directory.by_address(&address).ok()? {
                Found::One(entry) if entry.kind == Kind::Group && entry.has_address(&address) => entry,
                _ => continue, // a user, somebody elsewhere, or a group that is gone
            };
            for member in &entry.members {
                if found.len() >= MEMBERS_MAX {
                    return Some(found);
                }
                found.insert(self.hash(member));
                if lookups < LOOKUPS_MAX && seen.insert(self.hash(member)) {
                    lookups += 1;
                    waiting.push(member.clone());
                }
            }
        }
        Some(found)
    }
}

/// What is known of `key`, found out if it is not, or was so long ago.
fn remembered(
    known: &Mutex<HashMap<String, (Instant, Addresses)>>,
    key: &str,
    find: impl FnOnce() -> Option<HashSet<u64>>,
) -> Option<Addresses> {
    let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
    let former = lock().get(key).map(|(at, addresses)| (*at, Arc::clone(addresses)));
    if let Some((at, addresses)) = &former {
        if at.elapsed() < TIME_TO_LIVE {
            return Some(Arc::clone(addresses));
        }
    }
    let Some(found) = find() else { return former.map(|(_, addresses)| addresses) };
    let found = Arc::new(found);
    let mut known = lock();
    if known.len() >= REMEMBERED_MAX {
        known.retain(|_, (at, _)| at.elapsed() < TIME_TO_LIVE);
    }
    if known.len() >= REMEMBERED_MAX {
        known.clear();
    }
    known.insert(key.to_owned(), (Instant::now(), Arc::clone(&found)));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_any_address_and_through_groups() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.ldif");
        let text = "dn: uid=joe,o=x\nobjectClass: mailRecipient\nuid: joe\nmail: joe@x.test\n\
                    mailAlternateAddress: j.doe@x.test\n\n\
                    dn: uid=amy,o=x\nobjectClass: mailRecipient\nuid: amy\nmail: amy@x.test\n\n\
                    dn: cn=a,o=x\nobjectClass: mailGroup\nmail: a@x.test\nmgrpRFC822MailMember: J.Doe@x.test\n\n\
                    dn: cn=b,o=x\nobjectClass: mailGroup\nmail: b@x.test\nmgrpRFC822MailMember: a@x.test\n\
                    mgrpRFC822MailMember: b@x.test\nuniqueMember: uid=amy,o=x\n";
        std::fs::write(&path, text).unwrap();
        let directory = crate::Embedded::open(&path, server_log::Log::discard()).unwrap();
        let memberships = Memberships::default();
        for (group, uid, expected) in [
            ("a@x.test", "joe", true),
            ("a@x.test", "amy", false),
            ("b@x.test", "joe", true),
            ("b@x.test", "amy", true),
            ("c@x.test", "amy", false),
            ("amy@x.test", "amy", false),
            ("a@x.test", "nobody", false),
        ] {
            let is = memberships.is_member(&directory, group, uid);
            assert_eq!(is, Some(expected), "{group} {uid}");
        }
    }
}
