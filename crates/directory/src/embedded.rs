//! The embedded directory: an LDIF file, held in memory with indexes, read again when the file is another.
//!
//! The file is looked at once a second at most, by whoever asks. A file that cannot be read or parsed is logged, once, and
//! the former content stays in use: an editor's slip does not lock everybody out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use server_log::{Category, Log};

use crate::change::{self, ChangeError, Edit};
use crate::dynamic::{Query, URL_ATTRIBUTES, URLS_MAX};
use crate::edit::{self, Attributes};
use crate::entry::{Entry, Kind};
use crate::ldif::{self, Record};
use crate::{Directory, DirectoryError, Found, Result, password};

/// Between two looks at the file.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Names of several entries that the log tells after each reading.
const SHARED_TOLD_MAX: usize = 10;

/// A directory in a file. See the head of this file.
pub struct Embedded {
    path: PathBuf,
    log: Log,
    /// `nestedgroups`: whether the searches of dynamic groups find groups.
    nested_groups: bool,
    content: RwLock<Arc<Content>>,
    looked: Mutex<Looked>,
}

struct Looked {
    at: Instant,
    stamp: Stamp,
    /// The file was not there at the last look.
    missing: bool,
}

/// What tells one state of the file from another.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Stamp {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

struct Person {
    entry: Arc<Entry>,
    passwords: Vec<String>,
    /// A hash of all that the file says of it.
    edition: u64,
}

#[derive(Default)]
struct Content {
    people: Vec<Person>,
    /// Lower case; users only.
    by_uid: BTreeMap<String, Vec<usize>>,
    /// Lower case.
    by_address: HashMap<String, Vec<usize>>,
    by_dn: HashMap<String, usize>,
    /// A password of the scheme that most have, of those that are slow: to check nobody's takes as long.
    usual: Option<String>,
}

impl Embedded {
    /// # Errors
    /// The file cannot be read or is no LDIF; the line that is wrong is named.
    pub fn open(path: &Path, log: Log) -> Result<Embedded> {
        let (content, stamp) = load(path).map_err(DirectoryError::Unusable)?;
        let directory = Embedded {
            path: path.to_owned(),
            log,
            nested_groups: true,
            content: RwLock::new(Arc::new(content)),
            looked: Mutex::new(Looked { at: Instant::now(), stamp, missing: false }),
        };
        directory.tell_shared();
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
        if entry.kind != Kind::Group || urls.is_empty() {
            return Ok(found);
        }
        let told =
            |why: &str| DirectoryError::Unavailable(format!("group {}: {why}", base::escape(&entry.mail)));
        if urls.len() > URLS_MAX {
            return Err(told("it has too many searches"));
        }
        let mut group = Entry::clone(entry);
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

    fn content(&self) -> Arc<Content> {
        if let Ok(looked) = self.looked.try_lock() {
            self.look(looked, LOOK_INTERVAL); // only one thread looks, the others go on with what there is
        }
        self.content.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Applies edits to the entry's record, whatever it holds by now.
    fn edit(
        &self,
        entry: &Entry,
        decide: impl FnOnce(&Record) -> std::result::Result<Attributes, ChangeError>,
    ) -> std::result::Result<(), ChangeError> {
        let mut refusal = None;
        let dn = normal_dn(&entry.dn);
        let changed = edit::change(&self.path, |records| {
            let record = records.iter().find(|record| normal_dn(&record.dn) == dn).ok_or(ChangeError::Stale);
            match record.and_then(decide) {
                Ok(attributes) => Ok(edit::Change::Replace { dn: &entry.dn, attributes }),
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
        looked.stamp = stamp;
        match load(&self.path) {
            Ok((content, stamp)) => {
                let count = content.people.len();
                *self.content.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(content);
                looked.stamp = stamp;
                self.log.notice(Category::Account, format_args!("Directory read again: {count} entries"));
                self.tell_shared();
            }
            Err(why) => self.keep(&why),
        }
    }

    fn keep(&self, why: &str) {
        let text = format_args!("{why}; the former content of the directory stays in use");
        self.log.error(Category::Account, text);
    }

    /// What several entries have is nobody's: mail to such an address waits, such a uid cannot log in.
    fn tell_shared(&self) {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner).clone();
        for shared in content.shared().into_iter().take(SHARED_TOLD_MAX) {
            self.log.error(Category::Account, format_args!("{}: {shared}", self.path.display()));
        }
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = fs::metadata(path)?;
    Ok(Stamp { inode: meta.ino(), bytes: meta.size(), seconds: meta.mtime(), nanoseconds: meta.mtime_nsec() })
}

fn load(path: &Path) -> std::result::Result<(Content, Stamp), String> {
    let told = |why: io::Error| format!("{}: {why}", path.display());
    let stamp = stamp(path).map_err(told)?; // before reading: a change in between is seen at the next look
    let text = fs::read(path).map_err(told)?;
    let records = ldif::parse(&text).map_err(|why| format!("{} {why}", path.display()))?;
    Ok((Content::of(records).map_err(|why| format!("{} {why}", path.display()))?, stamp))
}

impl Content {
    fn of(records: Vec<Record>) -> std::result::Result<Content, ldif::LdifError> {
        let mut content = Content::default();
        let mut lines: HashMap<String, usize> = HashMap::new();
        let mut named: Vec<(usize, Vec<String>)> = Vec::new();
        for record in records {
            let dn = normal_dn(&record.dn);
            if let Some(first) = lines.insert(dn.clone(), record.line) {
                let why = format!("the same dn stands in line {first}");
                return Err(ldif::LdifError { line: record.line, why });
            }
            let edition = edition(&record);
            let (attributes, passwords) = sort_attributes(record.attributes);
            let Some(entry) = Entry::from_attributes(&record.dn, attributes) else { continue };
            let place = content.people.len();
            if let Some(members) = entry.attributes.get("uniquemember").filter(|_| entry.kind == Kind::Group)
            {
                named.push((place, members.clone()));
            }
            content.index(place, &entry, dn);
            content.people.push(Person { entry: Arc::new(entry), passwords, edition });
        }
        content.usual = password::usual(content.people.iter().flat_map(|person| &person.passwords));
        for (group, dns) in named {
            let found: Vec<String> = dns
                .iter()
                .filter_map(|dn| content.by_dn.get(&normal_dn(dn)))
                .map(|place| content.people[*place].entry.mail.clone())
                .collect();
            Arc::make_mut(&mut content.people[group].entry).members.extend(found);
        }
        Ok(content)
    }

    fn index(&mut self, place: usize, entry: &Entry, dn: String) {
        if let (Kind::User, Some(uid)) = (entry.kind, &entry.uid) {
            self.by_uid.entry(uid.to_lowercase()).or_default().push(place);
        }
        for address in entry.addresses() {
            let places = self.by_address.entry(base::idn::comparable(address)).or_default();
            if places.last() != Some(&place) {
                places.push(place);
            }
        }
        self.by_dn.insert(dn, place);
    }

    /// A line for each uid and address that several entries have, by name.
    fn shared(&self) -> Vec<String> {
        let told = |name: &str, places: &[usize]| {
            let dns: Vec<&str> = places.iter().map(|place| self.people[*place].entry.dn.as_str()).collect();
            format!("{} entries have {}: {}", places.len(), base::escape(name), base::escape(&dns.join("; ")))
        };
        let uids = self.by_uid.iter().filter(|(_, places)| places.len() > 1);
        let mut lines: Vec<String> =
            uids.map(|(uid, places)| told(&format!("the uid {uid}"), places)).collect();
        let addresses = self.by_address.iter().filter(|(_, places)| places.len() > 1);
        let mut of_addresses: Vec<String> =
            addresses.map(|(address, places)| told(&format!("the address {address}"), places)).collect();
        of_addresses.sort_unstable();
        lines.append(&mut of_addresses);
        lines
    }

    /// The addresses of what an LDAP URL finds.
    fn search(&self, url: &str, groups: bool) -> std::result::Result<Vec<String>, String> {
        let query = Query::parse(url)?;
        let people = self.people.iter().map(|person| &person.entry);
        let wanted = |entry: &&Arc<Entry>| {
            (groups || entry.kind == Kind::User) && query.finds(&normal_dn(&entry.dn), &entry.attributes)
        };
        Ok(people.filter(wanted).map(|entry| entry.mail.clone()).collect())
    }

    fn found(&self, places: Option<&Vec<usize>>) -> Found {
        match places.map(Vec::as_slice) {
            None | Some([]) => Found::Nobody,
            Some([place]) => Found::One(Arc::clone(&self.people[*place].entry)),
            Some(several) => Found::Several(several.len()),
        }
    }
}

fn edition(record: &Record) -> u64 {
    let mut hash = std::hash::DefaultHasher::new();
    (&record.dn, &record.attributes).hash(&mut hash);
    hash.finish()
}

/// Attributes that hold passwords (RFC 4519 §2.41, RFC 5803).
pub(crate) const PASSWORDS: [&str; 2] = ["userpassword", "authpassword"];

/// Attributes by lower-case name, and the passwords, which are kept apart.
fn sort_attributes(attributes: Vec<(String, Vec<u8>)>) -> (BTreeMap<String, Vec<String>>, Vec<String>) {
    let mut sorted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut passwords = Vec::new();
    for (name, value) in attributes {
        let Ok(value) = String::from_utf8(value) else { continue }; // a photograph
        let name = name.to_ascii_lowercase();
        if PASSWORDS.contains(&name.as_str()) {
            passwords.push(value);
        } else {
            sorted.entry(name).or_default().push(value);
        }
    }
    (sorted, passwords)
}

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
        let exact = content.found(content.by_address.get(&address));
        if !matches!(exact, Found::Nobody) {
            return self.whole(&content, exact);
        }
        // `@domain` as an alternate address takes whatever nobody else has.
        let everything = address.rfind('@').map(|at| &address[at..]);
        self.whole(&content, content.found(everything.and_then(|domain| content.by_address.get(domain))))
    }

    fn addresses_at(&self, url: &str) -> Result<Vec<String>> {
        self.content().search(url, true).map_err(DirectoryError::Unavailable)
    }

    fn by_uid(&self, uid: &str) -> Result<Found> {
        let content = self.content();
        Ok(content.found(content.by_uid.get(&uid.to_lowercase())))
    }

    fn check_password(&self, entry: &Entry, given: &str) -> Result<bool> {
        let content = self.content();
        let person = content.by_dn.get(&normal_dn(&entry.dn)).map(|place| &content.people[*place]);
        let Some(person) = person.filter(|person| !person.passwords.is_empty()) else {
            self.check_nobody(given);
            return Ok(false);
        };
        Ok(person.passwords.iter().any(|stored| password::verify(stored, given)))
    }

    fn check_nobody(&self, given: &str) {
        password::verify_nobody(self.content().usual.as_deref(), given);
    }

    fn stored_passwords(&self, entry: Option<&Entry>) -> Result<Vec<String>> {
        let content = self.content();
        let place = entry.and_then(|entry| content.by_dn.get(&normal_dn(&entry.dn)));
        Ok(place.map(|place| content.people[*place].passwords.clone()).unwrap_or_default())
    }

    fn edition(&self, entry: &Entry) -> Option<u64> {
        let content = self.content();
        let place = content.by_dn.get(&normal_dn(&entry.dn));
        Some(place.map_or(0, |place| content.people[*place].edition))
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
            if edition != Some(self::edition(record)) {
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
        let found =
            content.people.iter().map(|person| &person.entry).filter(|entry| entry.begins_with(&wanted));
        Ok(found.take(limit).cloned().collect())
    }

    fn users(&self, after: Option<&str>, limit: usize) -> Result<Vec<Arc<Entry>>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let content = self.content();
        let from = after.map(str::to_lowercase).map_or(Unbounded, Excluded);
        Ok(content
            .by_uid
            .range((from, Unbounded))
            .take(limit)
            .filter_map(|(_, places)| places.first())
            .map(|place| Arc::clone(&content.people[*place].entry))
            .collect())
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
        let give_up = Instant::now() + Duration::from_secs(20);
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
            directory.content();
            directory.looked.lock().unwrap().stamp.bytes < 30
        });
        assert!(matches!(directory.by_uid("carol").unwrap(), Found::One(_)));
        assert!(Embedded::open(&path, Log::discard()).err().unwrap().to_string().contains("line 2"));
    }

    #[test]
    fn what_several_entries_have_is_told() {
        let twin = FILE.replace("@catchall.test", "A.Smith@example.test");
        let content = Content::of(ldif::parse(twin.as_bytes()).unwrap()).unwrap();
        let told = content.shared();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("2 entries have the address a.smith@example.test: uid=alice"),
            "{told:?}"
        );
        assert!(Content::of(ldif::parse(FILE.as_bytes()).unwrap()).unwrap().shared().is_empty());
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
        let begin = Instant::now();
        for n in (0..100_000).step_by(10) {
            assert!(matches!(directory.by_address(&format!("u{n}@x.test")).unwrap(), Found::One(_)));
        }
        assert!(begin.elapsed() < Duration::from_secs(2), "10,000 look-ups: {:?}", begin.elapsed());
    }
}
