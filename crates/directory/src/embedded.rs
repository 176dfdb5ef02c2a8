//! The embedded directory: an LDIF file, held in memory with indexes, read again when the file is another.
//!
//! The file is looked at every 50 ms at most, by whoever asks; when reading it takes long, more seldom, but once a second. Of a file that differs
//! in few entries only those are read ([`content`]). A file that cannot be read or parsed is logged, once, and
//! the former content stays in use: an editor's slip does not lock everybody out.

mod content;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use server_log::{Category, Log};

use crate::change::{self, ChangeError, Edit};
use crate::dynamic::{URL_ATTRIBUTES, URLS_MAX};
use crate::edit::{self, Attributes};
use crate::entry::{Entry, Kind};
use crate::ldif::{LdifError, Record};
use crate::{Directory, DirectoryError, Found, Result, password};

use content::Content;

/// Between two looks at the file.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// So many times what a reading took passes between two looks: no more of a processor goes into reading a large file that
/// changes all the time.
const LOOK_SHARE: u32 = 4;
/// And that is the longest: a password that was taken back ends soon.
const LOOK_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Names of several entries that the log tells after each reading.
const SHARED_TOLD_MAX: usize = 10;

/// A directory in a file. See the head of this file.
pub struct Embedded {
    path: PathBuf,
    log: Log,
    /// `nestedgroups`: whether the searches of dynamic groups find groups.
    nested_groups: bool,
    content: RwLock<Content>,
    looked: Mutex<Looked>,
}

struct Looked {
    at: Instant,
    stamp: Stamp,
    /// The file was not there at the last look.
    missing: bool,
    /// What was there could not be read: the content is that of a former state.
    broken: bool,
    /// How long the last reading took.
    took: Duration,
}

/// What tells one state of the file from another.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Stamp {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Embedded {
    /// # Errors
    /// The file cannot be read or is no LDIF; the line that is wrong is named.
    pub fn open(path: &Path, log: Log) -> Result<Embedded> {
        let (text, stamp) = read(path).map_err(DirectoryError::Unusable)?;
        let told = |why: LdifError| DirectoryError::Unusable(format!("{} {why}", path.display()));
        let content = Content::load(&text).map_err(told)?;
        let looked =
            Looked { at: Instant::now(), stamp, missing: false, broken: false, took: Duration::ZERO };
        let directory = Embedded {
            path: path.to_owned(),
            log,
            nested_groups: true,
            content: RwLock::new(content),
            looked: Mutex::new(looked),
        };
        directory.tell_shared(directory.content().shared());
        Ok(directory)
    }

    /// Whether groups inside dynamic groups are members (`nestedgroups`).
    #[must_use]
    pub fn nesting_groups(mut self, nested: bool) -> Embedded {
        self.nested_groups = nested;
        self
    }

    /// A group with the members that its searches find. One that cannot be told whole is no answer, as with LDAP.
    fn whole(&self, content: &Content, found: Found) -> Result<Found> {
        let Found::One(entry) = &found else { return Ok(found) };
        let urls = URL_ATTRIBUTES.iter().filter_map(|name| entry.attributes.get(*name));
        let urls: Vec<&String> = urls.flatten().collect();
        let none = Vec::new();
        let named = entry.attributes.get("uniquemember").unwrap_or(&none);
        if entry.kind != Kind::Group || (urls.is_empty() && named.is_empty()) {
            return Ok(found);
        }
        let told =
            |why: &str| DirectoryError::Unavailable(format!("group {}: {why}", base::escape(&entry.mail)));
        if urls.len() > URLS_MAX {
            return Err(told("it has too many searches"));
        }
        let mut group = Entry::clone(entry);
        let named = named.iter().filter_map(|dn| content.by_dn(&normal_dn(dn)));
        group.members.extend(named.map(|person| person.entry.mail.clone()));
        let mut have: HashSet<String> =
            group.members.iter().map(|address| base::idn::comparable(address)).collect();
        for url in urls {
            let addresses = content
                .search(url, self.nested_groups)
                .map_err(|why| told(&format!("{}: {why}", base::escape(url))))?;
            group
                .members
                .extend(addresses.into_iter().filter(|address| have.insert(base::idn::comparable(address))));
        }
        Ok(Found::One(Arc::new(group)))
    }

    /// A line for each uid and address that several entries have.
    pub fn shared_names(&self) -> impl Iterator<Item = String> {
        self.content().shared().into_iter()
    }

    /// What there is, up to date. Nobody asks again, or does anything slow, while this is held: whoever brings the next
    /// state would wait, and everybody behind it.
    fn content(&self) -> RwLockReadGuard<'_, Content> {
        if let Ok(looked) = self.looked.try_lock() {
            let age = looked.took.saturating_mul(LOOK_SHARE).clamp(LOOK_INTERVAL, LOOK_INTERVAL_MAX);
            self.look(looked, age); // only one thread looks, the others go on with what there is
        }
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies edits to the entry's record, whatever it holds by now.
    fn edit(
        &self,
        entry: &Entry,
        decide: impl FnOnce(&Record) -> std::result::Result<Attributes, ChangeError>,
    ) -> std::result::Result<(), ChangeError> {
        let mut refusal = None;
        self.look(self.looked.lock().unwrap_or_else(PoisonError::into_inner), Duration::ZERO);
        let changed = edit::change_one(&self.path, &entry.dn, |record| {
            if self.looked.lock().unwrap_or_else(PoisonError::into_inner).broken {
                return Err(format!("{} cannot be read: it must be mended first", self.path.display()));
            }
            match record.ok_or(ChangeError::Stale).and_then(decide) {
                Ok(attributes) => Ok(attributes),
                Err(why) => {
                    refusal = Some(why.clone());
                    Err(why.to_string())
                }
            }
        });
        if let Some(why) = refusal {
            return Err(why);
        }
        changed.map_err(ChangeError::Unavailable)?;
        self.look(self.looked.lock().unwrap_or_else(PoisonError::into_inner), Duration::ZERO);
        Ok(())
    }

    /// Reads the file again if it is another one than at the last look, which was so long ago.
    fn look(&self, mut looked: MutexGuard<'_, Looked>, age_min: Duration) {
        if looked.at.elapsed() < age_min {
            return;
        }
        looked.at = Instant::now();
        let stamp = match stamp(&self.path) {
            Ok(stamp) => stamp,
            Err(why) => {
                // Told at the second look: an editor may be replacing it.
                if std::mem::replace(&mut looked.missing, true) && looked.stamp != Stamp::default() {
                    looked.stamp = Stamp::default();
                    self.keep(&format!("{}: {why}", self.path.display()));
                }
                return;
            }
        };
        looked.missing = false;
        if stamp == looked.stamp {
            return;
        }
        let begun = Instant::now();
        looked.stamp = stamp;
        match self.read_again() {
            Ok((stamp, shared)) => {
                looked.stamp = stamp;
                looked.broken = false;
                self.tell_shared(shared);
            }
            Err(why) => {
                looked.broken = true;
                self.keep(&why);
            }
        }
        looked.took = begun.elapsed();
        looked.at = Instant::now();
    }

    /// Becomes what the file says now; its stamp, and what several entries have.
    fn read_again(&self) -> std::result::Result<(Stamp, Vec<String>), String> {
        let (text, stamp) = read(&self.path)?;
        // Only this thread writes, so what was compared is what is changed.
        let difference = self.content.read().unwrap_or_else(PoisonError::into_inner).compare(&text);
        let whole = match &difference {
            Some(_) => None,
            None => Some(Content::load(&text).map_err(|why| format!("{} {why}", self.path.display()))?),
        };
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        let mut former = None;
        let shared = match (difference, whole) {
            (Some(difference), _) => content.take(difference),
            (None, Some(whole)) => {
                former = Some(std::mem::replace(&mut *content, whole));
                content.shared()
            }
            (None, None) => Vec::new(),
        };
        let count = content.people().count();
        drop(content);
        drop(former); // takes its time, which nobody waits for
        self.log.notice(Category::Account, format_args!("Directory read again: {count} entries"));
        Ok((stamp, shared))
    }

    fn keep(&self, why: &str) {
        let text = format_args!("{why}; the former content of the directory stays in use");
        self.log.error(Category::Account, text);
    }

    /// What several entries have is nobody's: mail to such an address waits, such a uid cannot log in.
    fn tell_shared(&self, shared: Vec<String>) {
        for shared in shared.into_iter().take(SHARED_TOLD_MAX) {
            self.log.error(Category::Account, format_args!("{}: {shared}", self.path.display()));
        }
    }
}

/// The file, and its stamp from before: a change in between is seen at the next look.
fn read(path: &Path) -> std::result::Result<(Vec<u8>, Stamp), String> {
    let told = |why: io::Error| format!("{}: {why}", path.display());
    let stamp = stamp(path).map_err(told)?;
    Ok((fs::read(path).map_err(told)?, stamp))
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = fs::metadata(path)?;
    Ok(Stamp { inode: meta.ino(), bytes: meta.size(), seconds: meta.mtime(), nanoseconds: meta.mtime_nsec() })
}

/// Attributes that hold passwords (RFC 4519 §2.41, RFC 5803).
pub(crate) const PASSWORDS: [&str; 2] = ["userpassword", "authpassword"];

/// A dn for comparison: lower case, no blanks around its separators.
pub fn normal_dn(dn: &str) -> String {
    let parts: Vec<String> = dn
        .split(',')
        .map(|part| match part.split_once('=') {
            Some((name, value)) => format!("{}={}", name.trim(), value.trim()),
            None => part.trim().to_owned(),
        })
        .collect();
    parts.join(",").to_lowercase()
}

impl Directory for Embedded {
    fn by_address(&self, address: &str) -> Result<Found> {
        let content = self.content();
        let address = base::idn::comparable(address);
        let exact = content.by_address(&address);
        if !matches!(exact, Found::Nobody) {
            return self.whole(&content, exact);
        }
        // `@domain` as an alternate address takes whatever nobody else has.
        let everything = address.rfind('@').map(|at| &address[at..]);
        self.whole(&content, everything.map_or(Found::Nobody, |domain| content.by_address(domain)))
    }

    fn addresses_at(&self, url: &str) -> Result<Vec<String>> {
        self.content().search(url, true).map_err(DirectoryError::Unavailable)
    }

    fn by_uid(&self, uid: &str) -> Result<Found> {
        Ok(self.content().by_uid(&uid.to_lowercase()))
    }

    fn check_password(&self, entry: &Entry, given: &str) -> Result<bool> {
        let stored = self.stored_passwords(Some(entry))?; // nothing is held while it is hashed
        if stored.is_empty() {
            self.check_nobody(given);
            return Ok(false);
        }
        Ok(stored.iter().any(|stored| password::verify(stored, given)))
    }

    fn check_nobody(&self, given: &str) {
        let usual = self.content().usual().map(str::to_owned);
        password::verify_nobody(usual.as_deref(), given);
    }

    fn stored_passwords(&self, entry: Option<&Entry>) -> Result<Vec<String>> {
        let content = self.content();
        let person = entry.and_then(|entry| content.by_dn(&normal_dn(&entry.dn)));
        Ok(person.map(|person| person.passwords.clone()).unwrap_or_default())
    }

    fn edition(&self, entry: &Entry) -> Option<u64> {
        Some(self.content().by_dn(&normal_dn(&entry.dn)).map_or(0, |person| person.edition))
    }

    fn is_at_hand(&self) -> bool {
        true
    }

    fn change(&self, entry: &Entry, edits: &[Edit]) -> std::result::Result<(), ChangeError> {
        change::admit(edits)?;
        self.edit(entry, |record| change::apply(record, edits))
    }

    /// The present one is compared before the file is locked: others do not wait for a slow hash.
    fn change_password(
        &self,
        entry: &Entry,
        present: &str,
        new: &str,
        schemes: &password::Schemes,
    ) -> std::result::Result<(), ChangeError> {
        let edition = self.edition(entry);
        if !self.check_password(entry, present)? {
            return Err(ChangeError::WrongPassword);
        }
        let stored = schemes.store(new).map_err(ChangeError::Unavailable)?;
        self.edit(entry, |record| {
            // Whoever changed the password meanwhile made the present one another.
            if edition != Some(content::edition(record)) {
                return Err(ChangeError::Stale);
            }
            let mut attributes: Attributes = record.attributes.clone();
            let is_one = |name: &str| PASSWORDS.iter().any(|password| password.eq_ignore_ascii_case(name));
            attributes.retain(|(name, _)| !is_one(name));
            attributes
                .extend(stored.iter().map(|value| ("userPassword".to_owned(), value.clone().into_bytes())));
            Ok(attributes)
        })
    }

    fn beginning_with(&self, text: &str, limit: usize) -> Result<Vec<Arc<Entry>>> {
        let wanted = text.trim().to_lowercase();
        let content = self.content();
        let found = content.people().map(|person| &person.entry).filter(|entry| entry.begins_with(&wanted));
        Ok(found.take(limit).cloned().collect())
    }

    fn users(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Entry>>> {
        Ok(self.content().users(after.map(str::to_lowercase), limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "version: 1

dn: uid=alice,ou=People,o=example.test
objectClass: inetOrgPerson
objectClass: nsMessagingServerUser
uid: Alice
cn: Alice
mail: alice@example.test
mailAlternateAddress: a.smith@example.test
mailAlternateAddress: postmaster@example.test
userPassword: {CLEAR}alice-secret

dn: uid=bob, ou=People, o=example.test
objectClass: mailRecipient
uid: bob
mail: Bob@example.test
mailAlternateAddress: @catchall.test

dn: cn=staff,ou=Groups,o=example.test
objectClass: mailGroup
objectClass: groupOfUniqueNames
mail: staff@example.test
mgrpRFC822MailMember: outside@elsewhere.test
uniqueMember: uid=alice,ou=people,o=example.test
uniqueMember: UID=Bob,ou=People,o=example.test
uniqueMember: uid=gone,ou=People,o=example.test
";

    fn directory(text: &str) -> (tempfile::TempDir, Embedded) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.ldif");
        fs::write(&path, text).unwrap();
        let directory = Embedded::open(&path, Log::discard()).unwrap();
        (folder, directory)
    }

    fn one(found: Found) -> Arc<Entry> {
        match found {
            Found::One(entry) => entry,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dynamic_groups_consist_of_what_their_searches_find() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("directory.ldif");
        let group = |name: &str, url: &str| {
            format!(
                "\ndn: cn={name},o=example.test\nobjectClass: mailGroup\nmail: {name}@example.test\n{url}\n"
            )
        };
        let people = "memberURL: ldap:///ou=People,o=example.test?mail?sub?(cn=*)";
        let text = [
            FILE.to_owned(),
            group("people", &format!("{people}\nuniqueMember: uid=bob,ou=People,o=example.test")),
            group("all", "mgrpDeliverTo: ldap:///o=example.test??sub?(|(uid=bob)(mail=people@*))"),
            group("wrong", "memberURL: ldap://other.test/o=example.test"),
        ]
        .concat();
        fs::write(&path, text).unwrap();
        let members =
            |directory: &Embedded, name: &str| match directory.by_address(&format!("{name}@example.test")) {
                Ok(Found::One(group)) => Ok(group.members.clone()),
                Ok(other) => panic!("{other:?}"),
                Err(why) => Err(why.to_string()),
            };
        let directory = Embedded::open(&path, Log::discard()).unwrap();
        assert!(members(&directory, "people").unwrap().contains(&"alice@example.test".to_owned()));
        assert!(members(&directory, "all").unwrap().contains(&"people@example.test".to_owned()));
        assert!(members(&directory, "wrong").unwrap_err().contains("another server"));
        let users_only = directory.nesting_groups(false);
        assert!(!members(&users_only, "all").unwrap().contains(&"people@example.test".to_owned()));
        let found = users_only.addresses_at("ldap:///uid=alice,ou=People,o=example.test").unwrap();
        assert_eq!(found, ["alice@example.test"]);
    }

    #[test]
    fn users_are_found_by_every_name_in_any_case() {
        let (_folder, directory) = directory(FILE);
        assert_eq!(one(directory.by_uid("ALICE").unwrap()).uid.as_deref(), Some("Alice"));
        assert_eq!(one(directory.by_address("A.Smith@Example.TEST").unwrap()).mail, "alice@example.test");
        assert_eq!(one(crate::by_login(&directory, "bob@example.test").unwrap()).uid.as_deref(), Some("bob"));
        assert_eq!(one(directory.by_address("whoever@catchall.test").unwrap()).uid.as_deref(), Some("bob"));
        assert!(matches!(directory.by_address("nobody@example.test").unwrap(), Found::Nobody));
        assert!(matches!(crate::by_login(&directory, "staff@example.test").unwrap(), Found::Nobody));
        assert_eq!(directory.users(None, 10).unwrap().len(), 2);
        assert_eq!(directory.users(Some("alice"), 10).unwrap()[0].uid.as_deref(), Some("bob"));
    }

    #[test]
    fn members_named_by_dn_become_addresses() {
        let (_folder, directory) = directory(FILE);
        let staff = one(directory.by_address("staff@example.test").unwrap());
        assert_eq!(staff.members, ["outside@elsewhere.test", "alice@example.test", "Bob@example.test"]);
    }

    #[test]
    fn an_address_of_two_entries_is_told() {
        let (_folder, directory) = directory(&FILE.replace("@catchall.test", "postmaster@example.test"));
        assert!(matches!(directory.by_address("postmaster@example.test").unwrap(), Found::Several(2)));
    }

    #[test]
    fn passwords_are_checked_and_not_shown() {
        let (_folder, directory) = directory(FILE);
        let alice = one(directory.by_uid("alice").unwrap());
        assert!(directory.check_password(&alice, "alice-secret").unwrap());
        assert!(!directory.check_password(&alice, "Alice-secret").unwrap());
        assert!(!format!("{alice:?}").contains("alice-secret"));
        let bob = one(directory.by_uid("bob").unwrap());
        assert!(!directory.check_password(&bob, "").unwrap(), "no password is no empty password");
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let give_up = Instant::now() + Duration::from_secs(60);
        while !condition() {
            assert!(Instant::now() < give_up);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_is_not_taken() {
        let (folder, directory) = directory(FILE);
        let path = folder.path().join("directory.ldif");
        let carol =
            format!("{FILE}\ndn: uid=carol\nobjectClass: mailRecipient\nuid: carol\nmail: c@example.test\n");
        fs::write(&path, carol).unwrap();
        wait_until(|| matches!(directory.by_uid("carol").unwrap(), Found::One(_)));
        fs::write(&path, "dn: uid=dave\nbroken\n").unwrap();
        wait_until(|| {
            drop(directory.content());
            directory.looked.lock().unwrap().stamp.bytes < 30
        });
        assert!(matches!(directory.by_uid("carol").unwrap(), Found::One(_)));
        assert!(Embedded::open(&path, Log::discard()).err().unwrap().to_string().contains("line 2"));
    }

    #[test]
    fn what_several_entries_have_is_told() {
        let twin = FILE.replace("@catchall.test", "A.Smith@example.test");
        let content = Content::load(twin.as_bytes()).unwrap();
        let told = content.shared();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("2 entries have the address a.smith@example.test: uid=alice"),
            "{told:?}"
        );
        assert!(Content::load(FILE.as_bytes()).unwrap().shared().is_empty());
    }

    #[test]
    fn a_file_that_is_gone_is_told_once_and_what_there_was_stays() {
        let (folder, directory) = directory(FILE);
        let path = folder.path().join("directory.ldif");
        fs::rename(&path, path.with_extension("away")).unwrap();
        wait_until(|| {
            assert!(matches!(directory.by_uid("alice").unwrap(), Found::One(_)));
            directory.looked.lock().unwrap().stamp == Stamp::default()
        });
        fs::write(&path, FILE.replace("uid: bob", "uid: bert")).unwrap();
        wait_until(|| matches!(directory.by_uid("bert").unwrap(), Found::One(_)));
    }

    #[test]
    fn the_same_dn_twice_is_refused_with_both_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.ldif");
        fs::write(&path, "dn: uid=a,o=x\nuid: a\n\ndn: UID=A, o=x\nuid: a\n").unwrap();
        let why = Embedded::open(&path, Log::discard()).err().unwrap().to_string();
        assert!(why.contains("line 4") && why.contains("line 1"), "{why}");
    }

    #[test]
    fn a_hundred_thousand_users_are_found_quickly() {
        use std::fmt::Write as _;
        let mut text = String::new();
        for n in 0..100_000 {
            let _ = write!(
                text,
                "dn: uid=u{n},o=x\nobjectClass: mailRecipient\nuid: u{n}\nmail: u{n}@x.test\n\n"
            );
        }
        let (_folder, directory) = directory(&text);
        // The quickest of several turns: in some of them the machine does something else.
        let turns = (0..10).map(|turn| {
            let begin = Instant::now();
            for n in (turn..100_000).step_by(100) {
                assert!(matches!(directory.by_address(&format!("u{n}@x.test")).unwrap(), Found::One(_)));
            }
            begin.elapsed()
        });
        let quickest = turns.min().unwrap();
        assert!(quickest < Duration::from_secs(2), "1,000 look-ups: {quickest:?}");
    }
}
