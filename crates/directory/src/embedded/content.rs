//! What the file says, with indexes, and how that becomes what the next state of the file says.
//!
//! The file is a row of chunks between empty lines, of which each is one entry, or comments. A chunk is known by a keyed
//! hash of its bytes, so a state that differs in few chunks is taken over by reading those ([`Content::compare`]) and putting
//! their entries in the places of the former ones ([`Content::take`]). Whatever is out of the ordinary (a chunk that
//! cannot be read, a dn that stands twice, many changes) is left to [`Content::load`], which reads everything and says what
//! is wrong in which line.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use crate::dynamic::Query;
use crate::entry::{Entry, Kind};
use crate::ldif::{self, LdifError, Record};
use crate::{Found, password};

use super::{PASSWORDS, normal_dn};

/// New chunks above which everything is read: it is not slower then.
const NEW_CHUNKS_MAX: usize = 2_000;

pub struct Person {
    pub entry: Arc<Entry>,
    pub passwords: Vec<String>,
    /// A hash of all that the file says of it.
    pub edition: u64,
}

/// One record of the file.
struct Place {
    /// In its normal form.
    dn: String,
    /// Nobody: a container, or whatever else gets no mail.
    person: Option<Person>,
}

#[derive(Default)]
pub struct Content {
    /// In the order of the file, but that what is new is at the end; nothing where a record has gone.
    places: Vec<Option<Place>>,
    /// Lower case; users only.
    by_uid: BTreeMap<String, Vec<usize>>,
    /// Lower case.
    by_address: HashMap<String, Vec<usize>>,
    by_dn: HashMap<String, usize>,
    /// The chunks of the file by their hash; those without a record have no place.
    chunks: HashMap<u64, Option<usize>>,
    key: RandomState,
    /// A password of the scheme that most have, of those that are slow: to check nobody's takes as long.
    usual: Option<String>,
    /// Entries that were changed since `usual` was chosen.
    changed: usize,
}

/// How one state of the file differs from the former one.
pub struct Difference {
    /// Chunks that are not there any more.
    gone: Vec<(u64, Option<usize>)>,
    new: Vec<(u64, Option<Record>)>,
}

impl Content {
    /// # Errors
    /// The first line that is wrong.
    pub fn load(text: &[u8]) -> Result<Content, LdifError> {
        let mut content = Content::default();
        let mut lines: Vec<usize> = Vec::new(); // of each place
        for (before, chunk) in ldif::chunks(text) {
            let hash = content.key.hash_one(chunk);
            let at = |why: LdifError| LdifError { line: why.line + before, ..why };
            let record = ldif::parse(chunk).map_err(at)?.pop();
            let place = match record {
                None => None,
                Some(record) => {
                    let (line, dn) = (record.line + before, normal_dn(&record.dn));
                    if let Some(first) = content.by_dn.get(&dn) {
                        let why = format!("the same dn stands in line {}", lines[*first]);
                        return Err(LdifError { line, why });
                    }
                    lines.push(line);
                    Some(content.add(record, dn, None))
                }
            };
            content.chunks.insert(hash, place);
        }
        content.choose_usual();
        Ok(content)
    }

    /// How this text differs from what there is; nothing when everything must be read.
    pub fn compare(&self, text: &[u8]) -> Option<Difference> {
        let mut alive = vec![false; self.places.len()];
        let mut comments = HashSet::new();
        let mut new: Vec<(u64, Option<Record>)> = Vec::new();
        for (_, chunk) in ldif::chunks(text) {
            let hash = self.key.hash_one(chunk);
            match self.chunks.get(&hash) {
                Some(Some(place)) if std::mem::replace(&mut alive[*place], true) => return None,
                Some(Some(_)) => {}
                Some(None) => drop(comments.insert(hash)),
                None if new.len() >= NEW_CHUNKS_MAX => return None,
                None => new.push((hash, ldif::parse(chunk).ok()?.pop())),
            }
        }
        let mut dns = HashSet::new();
        for dn in new.iter().filter_map(|(_, record)| record.as_ref()).map(|record| normal_dn(&record.dn)) {
            let is_taken = self.by_dn.get(&dn).is_some_and(|place| alive[*place]);
            if is_taken || !dns.insert(dn) {
                return None;
            }
        }
        let is_gone = |(hash, place): &(&u64, &Option<usize>)| match place {
            Some(place) => !alive[*place],
            None => !comments.contains(*hash),
        };
        let gone = self.chunks.iter().filter(is_gone).map(|(hash, place)| (*hash, *place)).collect();
        Some(Difference { gone, new })
    }

    /// Becomes what was compared; lines for the names of several entries among those that came.
    pub fn take(&mut self, difference: Difference) -> Vec<String> {
        let mut free: HashMap<String, usize> = HashMap::new();
        for (hash, place) in difference.gone {
            self.chunks.remove(&hash);
            if let Some((dn, place)) = place.and_then(|place| Some((self.remove(place)?, place))) {
                free.insert(dn, place);
            }
        }
        let mut touched: Vec<usize> = Vec::new();
        for (hash, record) in difference.new {
            let place = record.map(|record| {
                let dn = normal_dn(&record.dn);
                let place = free.get(&dn).copied();
                self.add(record, dn, place)
            });
            self.chunks.insert(hash, place);
            touched.extend(place);
        }
        self.changed += touched.len();
        if self.usual.is_none() || self.changed > self.places.len() / 16 {
            self.choose_usual();
        }
        self.shared_among(&touched)
    }

    fn choose_usual(&mut self) {
        self.usual = password::usual(self.people().flat_map(|person| &person.passwords));
        self.changed = 0;
    }

    /// Puts a record, whose dn in its normal form this is, into this place or a new one.
    fn add(&mut self, record: Record, dn: String, place: Option<usize>) -> usize {
        let place = place.unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let edition = edition(&record);
        let (attributes, passwords) = sort_attributes(record.attributes);
        let entry = Entry::from_attributes(&record.dn, attributes).map(Arc::new);
        if let Some(entry) = &entry {
            self.index(place, entry);
        }
        self.by_dn.insert(dn.clone(), place);
        let person = entry.map(|entry| Person { entry, passwords, edition });
        self.places[place] = Some(Place { dn, person });
        place
    }

    fn index(&mut self, place: usize, entry: &Entry) {
        let put = |places: &mut Vec<usize>| {
            // In the order of the places, as if the file had been read whole.
            if let Err(at) = places.binary_search(&place) {
                places.insert(at, place);
            }
        };
        if let (Kind::User, Some(uid)) = (entry.kind, &entry.uid) {
            put(self.by_uid.entry(uid.to_lowercase()).or_default());
        }
        for address in entry.addresses() {
            put(self.by_address.entry(base::idn::comparable(address)).or_default());
        }
    }

    /// Takes the record of this place out of all indexes; its dn.
    fn remove(&mut self, place: usize) -> Option<String> {
        let Place { dn, person } = self.places[place].take()?;
        self.by_dn.remove(&dn);
        let Some(entry) = person.map(|person| person.entry) else { return Some(dn) };
        if let Some(uid) = entry.uid.as_ref().map(|uid| uid.to_lowercase()) {
            if let Some(places) = self.by_uid.get_mut(&uid) {
                places.retain(|one| *one != place);
                if places.is_empty() {
                    self.by_uid.remove(&uid);
                }
            }
        }
        for address in entry.addresses().map(base::idn::comparable) {
            if let Some(places) = self.by_address.get_mut(&address) {
                places.retain(|one| *one != place);
                if places.is_empty() {
                    self.by_address.remove(&address);
                }
            }
        }
        Some(dn)
    }

    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.places.iter().flatten().filter_map(|place| place.person.as_ref())
    }

    fn person_at(&self, place: usize) -> Option<&Person> {
        self.places.get(place)?.as_ref()?.person.as_ref()
    }

    /// The person of this dn, which is in its normal form.
    pub fn by_dn(&self, dn: &str) -> Option<&Person> {
        self.person_at(*self.by_dn.get(dn)?)
    }

    /// Lower case.
    pub fn by_uid(&self, uid: &str) -> Found {
        self.found(self.by_uid.get(uid))
    }

    /// In its comparable form, or `@domain`.
    pub fn by_address(&self, address: &str) -> Found {
        self.found(self.by_address.get(address))
    }

    /// Users behind this uid, in order.
    pub fn users(&self, after: Option<String>, limit: usize) -> Vec<Arc<Entry>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let users = self.by_uid.range((after.map_or(Unbounded, Excluded), Unbounded)).take(limit);
        let first = users.filter_map(|(_, places)| self.person_at(*places.first()?));
        first.map(|person| Arc::clone(&person.entry)).collect()
    }

    pub fn usual(&self) -> Option<&str> {
        self.usual.as_deref()
    }

    fn found(&self, places: Option<&Vec<usize>>) -> Found {
        match places.map(Vec::as_slice) {
            None | Some([]) => Found::Nobody,
            Some([place]) => {
                self.person_at(*place).map_or(Found::Nobody, |person| Found::One(Arc::clone(&person.entry)))
            }
            Some(several) => Found::Several(several.len()),
        }
    }

    /// A line for each uid and address that several entries have, by name.
    pub fn shared(&self) -> Vec<String> {
        let uids = self.by_uid.iter().filter(|(_, places)| places.len() > 1);
        let mut lines: Vec<String> = uids.map(|(uid, places)| self.told("uid", uid, places)).collect();
        let addresses = self.by_address.iter().filter(|(_, places)| places.len() > 1);
        let mut more: Vec<String> =
            addresses.map(|(address, places)| self.told("address", address, places)).collect();
        more.sort_unstable();
        lines.append(&mut more);
        lines
    }

    /// As [`Content::shared`], of the names that the entries of these places have.
    fn shared_among(&self, places: &[usize]) -> Vec<String> {
        let mut lines = std::collections::BTreeSet::new();
        for entry in places.iter().filter_map(|place| self.person_at(*place)).map(|person| &person.entry) {
            let uid = entry.uid.as_ref().map(|uid| uid.to_lowercase()).unwrap_or_default();
            let of_uid = self.by_uid.get(&uid).filter(|places| places.len() > 1);
            lines.extend(of_uid.map(|places| self.told("uid", &uid, places)));
            for address in entry.addresses().map(base::idn::comparable) {
                let of_address = self.by_address.get(&address).filter(|places| places.len() > 1);
                lines.extend(of_address.map(|places| self.told("address", &address, places)));
            }
        }
        lines.into_iter().collect()
    }

    fn told(&self, kind: &str, name: &str, places: &[usize]) -> String {
        let dns = places.iter().filter_map(|place| self.person_at(*place));
        let dns: Vec<&str> = dns.map(|person| person.entry.dn.as_str()).collect();
        let (name, dns) = (base::escape(name), base::escape(&dns.join("; ")));
        format!("{} entries have the {kind} {name}: {dns}", places.len())
    }

    /// The addresses of what an LDAP URL finds.
    pub fn search(&self, url: &str, groups: bool) -> Result<Vec<String>, String> {
        let query = Query::parse(url)?;
        let people =
            self.places.iter().flatten().filter_map(|place| Some((&place.dn, place.person.as_ref()?)));
        let wanted = |(dn, person): &(&String, &Person)| {
            (groups || person.entry.kind == Kind::User) && query.finds(dn, &person.entry.attributes)
        };
        Ok(people.filter(wanted).map(|(_, person)| person.entry.mail.clone()).collect())
    }
}

/// A hash of all that the file says of an entry.
pub fn edition(record: &Record) -> u64 {
    let mut hash = std::hash::DefaultHasher::new();
    (&record.dn, &record.attributes).hash(&mut hash);
    hash.finish()
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What can be seen of a content.
    fn seen(content: &Content) -> BTreeMap<String, String> {
        let of = |person: &Person| format!("{:?} {:?} {}", person.entry, person.passwords, person.edition);
        let mut seen: BTreeMap<String, String> =
            content.people().map(|person| (person.entry.dn.clone(), of(person))).collect();
        for (name, places) in content
            .by_uid
            .iter()
            .map(|(n, p)| (format!("uid {n}"), p))
            .chain(content.by_address.iter().map(|(n, p)| (format!("address {n}"), p)))
        {
            let mut dns: Vec<&str> =
                places.iter().map(|p| content.person_at(*p).unwrap().entry.dn.as_str()).collect();
            dns.sort_unstable();
            seen.insert(name, dns.join(" "));
        }
        seen.insert("dns".into(), content.by_dn.len().to_string());
        seen
    }

    fn text(entries: &[(u8, u8, u8)], comment: bool) -> String {
        let mut text = String::from("version: 1\n\n");
        for (n, address, more) in entries {
            let class = if more % 5 == 0 { "organizationalUnit" } else { "mailRecipient" };
            text += &format!(
                "# of {more}\ndn: uid=u{n},o=x\nobjectClass: {class}\nuid: u{n}\nmail: a{address}@x\ncn: {more}\n\n"
            );
        }
        if comment { text + "# the end\n\n\n# really\n" } else { text }
    }

    proptest! {
        /// Whatever way a state was reached, it is what reading the whole file gives.
        #[test]
        fn a_state_that_was_taken_over_is_the_state_of_the_file(
            states in proptest::collection::vec((
                proptest::collection::btree_map(0u8..12, (0u8..6, 0u8..9), 0..10),
                any::<bool>(),
            ), 1..8),
        ) {
            let mut content = Content::load(b"").unwrap();
            for (entries, comment) in states {
                let entries: Vec<(u8, u8, u8)> = entries.into_iter().map(|(n, (a, m))| (n, a, m)).collect();
                let text = text(&entries, comment);
                let difference = content.compare(text.as_bytes()).unwrap();
                content.take(difference);
                prop_assert_eq!(seen(&content), seen(&Content::load(text.as_bytes()).unwrap()));
            }
        }
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_read_whole() {
        let first = text(&[(1, 1, 1), (2, 2, 2)], false);
        let content = Content::load(first.as_bytes()).unwrap();
        let twice = format!("{first}{}", first.trim_start_matches("version: 1\n\n"));
        assert!(content.compare(twice.as_bytes()).is_none(), "the same chunks twice");
        let other = format!("{first}dn: UID=U1, o=x\nuid: u1\n");
        assert!(content.compare(other.as_bytes()).is_none(), "a dn twice");
        assert!(Content::load(other.as_bytes()).err().unwrap().to_string().contains("line"));
        assert!(content.compare(format!("{first}dn: uid=z,o=x\nbroken\n").as_bytes()).is_none());
    }
}
