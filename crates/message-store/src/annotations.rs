//! Annotations: named values that clients keep beside a mailbox, beside a user, and beside the server (RFC 5464). The bytes
//! are in `docs/formats/store-tree.md`.
//!
//! A file has all of one place. It is replaced as a whole under a lock, so a crash leaves the old one or the new one. Each
//! change has the next serial number and marks what it changed with it, what was removed too, so that who knew the file at
//! a number can tell what is new.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use commit_journal::SyncLevel;
use mailbox_list::MailboxName;
use os::lock::{Mode, OfdLock};

use crate::mailbox::{Mailbox, open_lock_file};
use crate::ring::Notice;
use crate::store::Store;
use crate::watch::SERVER_TREE;
use crate::{Result, StoreError};

/// In a mailbox's folder: the annotations of the mailbox.
pub(crate) const OF_MAILBOX: &str = "store.met";
/// In a user's folder: what the user notes about the server.
pub(crate) const OF_USER: &str = "store.usr";
/// In the folder of the mailbox list: what all are told about the server.
pub(crate) const OF_SERVER: &str = "server.met";
/// In `run/`: who changes the server's has it locked.
const SERVER_LOCK: &str = "server.met.lck";
/// Byte of a user's lock file that who changes the user's has.
const USER_BYTE: u32 = 3;
/// Names and values of one file, in bytes.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Of those, what one user may have who is not the mailbox's owner, and all such users together: whoever may only read
/// must not leave the owner without room.
const VISITOR_BYTES_MAX: usize = FILE_BYTES_MAX / 4;
const VISITORS_BYTES_MAX: usize = FILE_BYTES_MAX / 2;
/// Removed ones that are remembered, the latest.
const REMOVED_MAX: usize = 100;

/// One named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// `/private/comment`, as it was written first; letters in any case mean the same.
    pub entry: String,
    /// The uid of whom it is; empty when it is shared.
    pub owner: String,
    /// Nothing: it was removed.
    pub value: Option<Vec<u8>>,
    /// Of the change that made it so.
    pub serial: u64,
}

/// What a file has, ascending by entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    serial: u64,
    all: Vec<Annotation>,
}

/// A value that is set, or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAnnotation {
    pub entry: String,
    pub owner: String,
    pub value: Option<Vec<u8>>,
}

impl NewAnnotation {
    /// What makes these in another place.
    pub fn all_of(annotations: &Annotations) -> Vec<NewAnnotation> {
        let new = |(one, value): (&Annotation, &[u8])| NewAnnotation {
            entry: one.entry.clone(),
            owner: one.owner.clone(),
            value: Some(value.to_vec()),
        };
        annotations.all().map(new).collect()
    }
}

/// Why annotations are not changed.
#[derive(Debug)]
pub enum AnnotateError {
    /// There would be more, or more bytes, than may be.
    TooMany,
    Store(StoreError),
}

impl std::fmt::Display for AnnotateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AnnotateError::TooMany => f.write_str("there are annotations enough"),
            AnnotateError::Store(error) => write!(f, "{error}"),
        }
    }
}

impl<E: Into<StoreError>> From<E> for AnnotateError {
    fn from(error: E) -> AnnotateError {
        AnnotateError::Store(error.into())
    }
}

impl Annotations {
    /// Of the last change.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The value of an entry; `owner` is empty for a shared one.
    pub fn get(&self, owner: &str, entry: &str) -> Option<&[u8]> {
        let at = self.find(owner, entry).ok()?;
        self.all[at].value.as_deref()
    }

    /// Those with a value, ascending by entry.
    pub fn all(&self) -> impl Iterator<Item = (&Annotation, &[u8])> {
        self.all.iter().filter_map(|one| Some((one, one.value.as_deref()?)))
    }

    /// Those that changed behind this serial number, removed ones too.
    pub fn since(&self, serial: u64) -> impl Iterator<Item = &Annotation> {
        self.all.iter().filter(move |one| one.serial > serial)
    }

    fn find(&self, owner: &str, entry: &str) -> std::result::Result<usize, usize> {
        let key = key(owner, entry);
        self.all.binary_search_by(|one| self::key(&one.owner, &one.entry).cmp(&key))
    }

    /// Makes changes, all or none of them; `each_max`: so many of one owner at most; `host`: whose the place is, who may
    /// fill it. Whether anything is other than before.
    ///
    /// # Errors
    /// `TooMany`.
    fn change(
        &mut self,
        changes: &[NewAnnotation],
        each_max: usize,
        host: Option<&str>,
    ) -> std::result::Result<bool, AnnotateError> {
        let mut new = self.clone();
        new.serial += 1;
        let mut is_changed = false;
        for change in changes {
            is_changed |= new.put(change);
        }
        let is_over = |owner: &str| {
            new.count(owner) > each_max.max(self.count(owner))
                || is_visitor(owner, host)
                    && grows_over(self, &new, VISITOR_BYTES_MAX, &|one| one.owner == owner)
        };
        if changes.iter().any(|change| is_over(&change.owner))
            || grows_over(self, &new, VISITORS_BYTES_MAX, &|one| is_visitor(&one.owner, host))
            || grows_over(self, &new, FILE_BYTES_MAX, &|_| true)
        {
            return Err(AnnotateError::TooMany);
        }
        if is_changed {
            new.forget_removed();
            *self = new;
        }
        Ok(is_changed)
    }

    fn put(&mut self, change: &NewAnnotation) -> bool {
        let serial = self.serial;
        match self.find(&change.owner, &change.entry) {
            Ok(at) if self.all[at].value == change.value => return false,
            Ok(at) => {
                let one = &mut self.all[at];
                (one.value, one.serial) = (change.value.clone(), serial);
            }
            Err(_) if change.value.is_none() => return false,
            Err(at) => {
                let NewAnnotation { entry, owner, value } = change.clone();
                self.all.insert(at, Annotation { entry, owner, value, serial });
            }
        }
        true
    }

    fn count(&self, owner: &str) -> usize {
        self.all().filter(|(one, _)| one.owner == owner).count()
    }

    fn bytes(&self, is_counted: &dyn Fn(&Annotation) -> bool) -> usize {
        let counted = self.all().filter(|(one, _)| is_counted(one));
        counted.map(|(one, value)| one.entry.len() + one.owner.len() + value.len()).sum()
    }

    fn forget_removed(&mut self) {
        let mut removed: Vec<u64> =
            self.all.iter().filter(|one| one.value.is_none()).map(|one| one.serial).collect();
        if removed.len() > REMOVED_MAX {
            removed.sort_unstable();
            let least = removed[removed.len() - REMOVED_MAX];
            self.all.retain(|one| one.value.is_some() || one.serial >= least);
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for one in &self.all {
            let length = one.value.as_ref().map_or("-".to_owned(), |value| value.len().to_string());
            let mut line = String::new();
            let _ = writeln!(line, "{}\t{}\t{}\t{length}", one.serial, one.owner, one.entry);
            body.extend_from_slice(line.as_bytes());
            if let Some(value) = &one.value {
                body.extend_from_slice(value);
                body.push(b'\n');
            }
        }
        let mut bytes = format!("{}\n", self.head(&body)).into_bytes();
        bytes.append(&mut body);
        bytes
    }

    fn head(&self, body: &[u8]) -> String {
        let checked = [self.serial.to_string().as_bytes(), b"\n", body].concat();
        format!("annotations 1 {} {:08x}", self.serial, base::crc32(&checked))
    }

    fn decode(bytes: &[u8]) -> Option<Annotations> {
        let (head, body) = line(bytes)?;
        let serial = head.strip_prefix("annotations 1 ")?.split(' ').next()?.parse().ok()?;
        let mut annotations = Annotations { serial, all: Vec::new() };
        if head != annotations.head(body) {
            return None;
        }
        let mut rest = body;
        while !rest.is_empty() {
            let (head, behind) = line(rest)?;
            let mut fields = head.split('\t');
            let mut field = || fields.next().map(str::to_owned);
            let (serial, owner, entry, length) = (field()?.parse().ok()?, field()?, field()?, field()?);
            let value = if length == "-" {
                rest = behind;
                None
            } else {
                let length: usize = length.parse().ok()?;
                rest = behind.get(length..)?.strip_prefix(b"\n")?;
                Some(behind[..length].to_vec())
            };
            annotations.all.push(Annotation { entry, owner, value, serial });
        }
        Some(annotations)
    }
}

/// Whether what is this owner's is a user's who is not at home here.
fn is_visitor(owner: &str, host: Option<&str>) -> bool {
    !owner.is_empty() && host != Some(owner)
}

/// What is there already may stay, and may become less.
fn grows_over(
    old: &Annotations,
    new: &Annotations,
    bytes_max: usize,
    is_counted: &dyn Fn(&Annotation) -> bool,
) -> bool {
    let bytes = new.bytes(is_counted);
    bytes > bytes_max && bytes > old.bytes(is_counted)
}

fn key(owner: &str, entry: &str) -> (String, String) {
    (entry.to_ascii_lowercase(), owner.to_owned())
}

/// The first line, and what is behind it.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// A file that does not verify is an error: an empty one would be taken for the truth.
fn read(path: &Path) -> Result<Annotations> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Annotations::default()),
        Err(error) => return Err(error.into()),
    };
    Annotations::decode(&bytes).ok_or_else(|| StoreError::Damaged(format!("{}", path.display())))
}

/// Whether the annotations of the mailbox in a folder can be read.
pub(crate) fn verifies(folder: &Path) -> Result<bool> {
    match read(&folder.join(OF_MAILBOX)) {
        Ok(_) => Ok(true),
        Err(StoreError::Damaged(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, annotations: &Annotations, level: SyncLevel) -> Result<()> {
    let bytes = annotations.encode();
    if level != SyncLevel::None {
        return Ok(base::replace::durable_replace(path, &bytes, 0o600)?);
    }
    let new = path.with_extension("new");
    fs::File::create(&new)?.write_all(&bytes)?;
    Ok(fs::rename(new, path)?)
}

/// Changes one file, whose lock the caller has.
fn change(
    path: &Path,
    changes: &[NewAnnotation],
    each_max: usize,
    host: Option<&str>,
    level: SyncLevel,
) -> std::result::Result<bool, AnnotateError> {
    let mut annotations = read(path)?;
    let is_changed = annotations.change(changes, each_max, host)?;
    if is_changed {
        write(path, &annotations, level)?;
    }
    Ok(is_changed)
}

impl Mailbox {
    /// # Errors
    /// `NotFound` when the mailbox was deleted; damage.
    pub fn annotations(&self) -> Result<Annotations> {
        self.header()?;
        read(&self.folder.join(OF_MAILBOX))
    }

    /// Sets and removes annotations, all or none; of one owner there are `each_max` at most.
    ///
    /// # Errors
    /// `TooMany`; those of any change.
    pub fn annotate(
        &self,
        changes: &[NewAnnotation],
        each_max: usize,
    ) -> std::result::Result<(), AnnotateError> {
        // Under the lock of changes: a mailbox that is deleted meanwhile must not leave annotations to the next of its name.
        let _under = self.write()?;
        let level = self.shared.settings.sync.user;
        let name = self.name();
        if change(&self.folder.join(OF_MAILBOX), changes, each_max, name.owner(), level)? {
            self.announce();
        }
        Ok(())
    }

    /// `reconstruct`: annotations that do not verify are put aside. The new name of their file.
    pub(crate) fn put_damaged_annotations_aside(&self) -> Result<Option<String>> {
        let path = self.folder.join(OF_MAILBOX);
        if !matches!(read(&path), Err(StoreError::Damaged(_))) {
            return Ok(None);
        }
        let seconds = base::clock::unix_nanos() / 1_000_000_000;
        let name = format!("{OF_MAILBOX}.damaged-{seconds}");
        fs::rename(path, self.folder.join(&name))?;
        Ok(Some(name))
    }

    /// The annotations of `self` are those of `other` too: INBOX is renamed and stays (RFC 5464 §4.1).
    pub(crate) fn copy_annotations_to(&self, other: &Mailbox) -> Result<()> {
        let annotations = self.annotations()?;
        if annotations.all.is_empty() {
            return Ok(());
        }
        let _under = other.write()?;
        write(&other.folder.join(OF_MAILBOX), &annotations, self.shared.settings.sync.user)
    }
}

impl Store {
    /// What a user notes about the server.
    ///
    /// # Errors
    /// Damage; the system's.
    pub fn user_annotations(&self, uid: &str) -> Result<Annotations> {
        read(&self.user_folder(uid)?.join(OF_USER))
    }

    /// What all are told about the server.
    ///
    /// # Errors
    /// As [`Store::user_annotations`].
    pub fn server_annotations(&self) -> Result<Annotations> {
        read(&self.shared.settings.list_folder.join(OF_SERVER))
    }

    /// Changes the server's annotations and those of users about the server, by their owners; all or none.
    ///
    /// # Errors
    /// `TooMany`; `InUse`; the system's.
    pub fn annotate_server(
        &self,
        uid: &str,
        changes: &[NewAnnotation],
        each_max: usize,
    ) -> std::result::Result<(), AnnotateError> {
        let (private, shared): (Vec<_>, Vec<_>) =
            changes.iter().cloned().partition(|change| !change.owner.is_empty());
        let settings = &self.shared.settings;
        let server = settings.list_folder.join(OF_SERVER);
        let file = Arc::new(base::replace::lock_file(&settings.run_folder.join(SERVER_LOCK))?);
        let _server = match shared.is_empty() {
            true => None,
            false => Some(OfdLock::acquire(&file, 0, Mode::Exclusive, settings.lock_timeout)?),
        };
        if !private.is_empty() {
            // Refused before anything is changed.
            read(&server)?.change(&shared, each_max, None)?;
            let folder = self.user_folder(uid)?;
            let file = open_lock_file(&folder)?;
            let _user = OfdLock::acquire(&file, USER_BYTE, Mode::Exclusive, settings.lock_timeout)?;
            if change(&folder.join(OF_USER), &private, each_max, Some(uid), settings.sync.user)? {
                self.announce_names(&MailboxName::inbox(uid)?);
            }
        }
        if !shared.is_empty() && change(&server, &shared, each_max, None, settings.sync.user)? {
            self.shared.ring.announce(Notice { mailbox: 0, tree: SERVER_TREE });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn new(owner: &str, entry: &str, value: Option<&str>) -> NewAnnotation {
        NewAnnotation { entry: entry.into(), owner: owner.into(), value: value.map(|text| text.into()) }
    }

    #[test]
    fn names_are_compared_in_any_case_and_changes_have_serial_numbers() {
        let mut all = Annotations::default();
        assert!(all.change(&[new("joe", "/private/Comment", Some("a"))], 10, Some("joe")).unwrap());
        assert!(!all.change(&[new("joe", "/PRIVATE/comment", Some("a"))], 10, Some("joe")).unwrap());
        assert!(
            all.change(
                &[new("joe", "/PRIVATE/comment", Some("b")), new("", "/shared/x", None)],
                10,
                Some("joe")
            )
            .unwrap()
        );
        assert_eq!(all.get("joe", "/private/comment"), Some(&b"b"[..]));
        assert_eq!((all.get("amy", "/private/comment"), all.get("", "/private/comment")), (None, None));
        let known = all.serial();
        assert!(all.change(&[new("joe", "/private/comment", None)], 10, Some("joe")).unwrap());
        let changed: Vec<_> = all.since(known).collect();
        assert_eq!(
            (changed.len(), changed[0].entry.as_str(), &changed[0].value),
            (1, "/private/Comment", &None)
        );
        assert_eq!((all.all().count(), all.since(all.serial()).count()), (0, 0));
    }

    #[test]
    fn limits_refuse_everything_and_what_is_there_may_stay() {
        let mut all = Annotations::default();
        let many: Vec<_> = (0..10).map(|n| new("", &format!("/shared/{n}"), Some("x"))).collect();
        all.change(&many, 10, Some("joe")).unwrap();
        let before = all.clone();
        let more = [new("", "/shared/1", Some("y")), new("", "/shared/10", Some("x"))];
        assert!(matches!(all.change(&more, 10, Some("joe")), Err(AnnotateError::TooMany)));
        assert_eq!(all, before);
        all.change(&more[..1], 5, Some("joe")).unwrap(); // the limit was lowered: no new ones, but changes
        let swapped = [new("", "/shared/11", Some("x")), new("", "/shared/1", None)];
        all.change(&swapped, 10, Some("joe")).unwrap();
        assert!(
            all.change(&[new("joe", "/private/1", Some("x"))], 10, Some("joe")).unwrap(),
            "another owner's"
        );
        let big = "x".repeat(FILE_BYTES_MAX);
        assert!(matches!(
            all.change(&[new("joe", "/private/2", Some(&big))], 10, Some("joe")),
            Err(AnnotateError::TooMany)
        ));
    }

    #[test]
    fn who_only_reads_does_not_leave_the_owner_without_room() {
        let mut all = Annotations::default();
        let mut note = |owner: &str, number: usize, bytes: usize| {
            let note = new(owner, &format!("/private/{number}"), Some(&"x".repeat(bytes)));
            all.change(&[note], 1000, Some("joe")).is_ok()
        };
        let chunk = VISITOR_BYTES_MAX / 4;
        let fill = |note: &mut dyn FnMut(&str, usize, usize) -> bool, owner: &str| {
            (0..100).take_while(|number| note(owner, *number, chunk)).count()
        };
        assert_eq!(fill(&mut note, "amy"), 3, "names count too");
        assert!(note("amy", 0, chunk - 1), "less is always taken");
        assert_eq!((fill(&mut note, "bob"), fill(&mut note, "eve")), (3, 1), "all visitors have the half");
        assert!(!note("zoe", 0, chunk) && note("zoe", 0, 10));
        assert_eq!(fill(&mut note, "joe"), 8, "the other half is there for the owner");
    }

    #[test]
    fn only_the_latest_removals_are_remembered() {
        let mut all = Annotations::default();
        for number in 0..=REMOVED_MAX + 5 {
            let entry = format!("/shared/{number}");
            all.change(&[new("", &entry, Some("x"))], 10, Some("joe")).unwrap();
            all.change(&[new("", &entry, None)], 10, Some("joe")).unwrap();
        }
        assert_eq!(all.since(0).count(), REMOVED_MAX);
        assert!(all.since(0).all(|one| one.entry != "/shared/0"));
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        let mut all = Annotations::default();
        all.change(
            &[new("", "/shared/a", Some("x\ny")), new("joe", "/private/b", Some(""))],
            10,
            Some("joe"),
        )
        .unwrap();
        all.change(&[new("", "/shared/a", None)], 10, Some("joe")).unwrap();
        let bytes = all.encode();
        assert_eq!(Annotations::decode(&bytes), Some(all.clone()));
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let read = Annotations::decode(&other);
            assert!(read.is_none(), "bit {bit}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            sets in proptest::collection::vec(("(joe|)", "/[a-c]/[!-~&&[^*%]]{1,9}", proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40))), 0..20)
        ) {
            let mut all = Annotations::default();
            for (owner, entry, value) in sets {
                let change = NewAnnotation { entry: entry.clone(), owner: owner.clone(), value: value.clone() };
                all.change(&[change], 100, Some("joe")).unwrap();
                prop_assert_eq!(all.get(&owner, &entry), value.as_deref());
            }
            prop_assert_eq!(Annotations::decode(&all.encode()), Some(all));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Annotations::decode(&bytes);
            let text = [&b"annotations 1 7 "[..], &bytes].concat();
            let _ = Annotations::decode(&text);
        }
    }
}
