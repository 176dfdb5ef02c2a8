//! When each user was last at each service: an empty file for both, whose time of modification it is
//! (`local.enablelastaccess`; `docs/formats/last-access.md`).
//!
//! `last-access/<service>/xx/yy/=<uid>`, spread and named as the folders of users are. Only a log-in makes a file, so there are
//! never more than users who came; a log-out renews what is there, so that who was deleted while connected does not come
//! back. Nothing is synced: a power cut may cost the last minutes, and no mail depends on it. What cannot be written keeps
//! nobody out.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mailbox_list::MailboxName;
use server_config::parameters::local;
use server_config::{Config, Instance};
use server_log::{Category, Log};

use crate::folders;

/// The services, in the order of what is shown.
pub const SERVICES: [&str; 3] = ["imap", "pop", "http"];

/// A file is written so often at most.
const TOUCH_SECONDS: i64 = 60;

/// Seconds since 1970 of the last access to each of [`SERVICES`]; nothing: never.
pub type Times = [Option<i64>; SERVICES.len()];

/// What a daemon notes the accesses to its service in.
pub struct LastAccess {
    folder: PathBuf,
    log: Log,
    /// The last one could not be noted, which is said once.
    failed: AtomicBool,
}

impl LastAccess {
    /// Of this service; nothing where `local.enablelastaccess` is off.
    pub fn from_config(config: &Config, instance: &Instance, service: &str, log: &Log) -> Option<LastAccess> {
        let folder = instance.last_access_dir().join(service);
        let is_kept = config.get(&local::LAST_ACCESS);
        is_kept.then(|| LastAccess { folder, log: log.clone(), failed: AtomicBool::new(false) })
    }

    /// A user has come, or is gone.
    pub fn note(&self, has_come: bool, uid: &str) {
        self.told(renew(&self.folder, uid, has_come));
    }

    fn told(&self, done: io::Result<()>) {
        let Err(why) = done else { return self.failed.store(false, Ordering::Relaxed) };
        if !self.failed.swap(true, Ordering::Relaxed) {
            let folder = self.folder.display();
            self.log.warning(Category::Account, format_args!("{folder}: last access is not noted: {why}"));
        }
    }
}

/// A user's file in a service's folder; nothing for a uid that no mailbox can have.
fn place(folder: &Path, uid: &str) -> Option<PathBuf> {
    MailboxName::inbox(uid).ok()?;
    Some(folder.join(base::hashdir::path(uid)).join(folders::encode(uid)?))
}

fn renew(folder: &Path, uid: &str, makes: bool) -> io::Result<()> {
    let Some(path) = place(folder, uid) else { return Ok(()) };
    let now = base::clock::unix_seconds();
    match last(&path) {
        // Of a clock that was put back: anew.
        Some(then) if (0..TOUCH_SECONDS).contains(&now.saturating_sub(then)) => return Ok(()),
        None if !makes => return Ok(()),
        _ => {}
    }
    match open(&path, makes) {
        Ok(file) => file.set_modified(at(now)),
        Err(why) if why.kind() == ErrorKind::NotFound && !makes => Ok(()),
        Err(why) => Err(why),
    }
}

fn open(path: &Path, makes: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(makes).truncate(false).mode(0o600);
    match (options.open(path), path.parent()) {
        (Err(why), Some(folder)) if makes && why.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            options.open(path)
        }
        (opened, _) => opened,
    }
}

fn last(path: &Path) -> Option<i64> {
    fs::metadata(path).ok().map(|found| found.mtime())
}

fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// When a user was last at each service.
pub fn of_user(root: &Path, uid: &str) -> Times {
    SERVICES.map(|service| last(&place(&root.join(service), uid)?))
}

/// The same of everybody who ever came, by uid.
///
/// # Errors
/// A folder cannot be read.
pub fn of_all(root: &Path) -> io::Result<BTreeMap<String, Times>> {
    let mut all: BTreeMap<String, Times> = BTreeMap::new();
    for (number, service) in SERVICES.iter().enumerate() {
        for above in inside(&root.join(service))? {
            for folder in inside(&above)? {
                for file in inside(&folder)? {
                    let name = file.file_name().and_then(|name| name.to_str());
                    let Some(uid) = name.and_then(folders::decode) else { continue }; // none of ours
                    let times = all.entry(uid).or_default();
                    times[number] = last(&file);
                }
            }
        }
    }
    all.retain(|_, times| times.iter().any(Option::is_some)); // forgotten meanwhile
    Ok(all)
}

/// What is in a folder; nothing in what is none.
fn inside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(why) => Err(why),
    }
}

/// A user's mailboxes are deleted: there is no user of whom it would be told.
///
/// # Errors
/// A file cannot be removed; the others are.
pub(crate) fn forget(root: &Path, uid: &str) -> io::Result<()> {
    let mut done = Ok(());
    for path in SERVICES.iter().filter_map(|service| place(&root.join(service), uid)) {
        match fs::remove_file(path) {
            Err(why) if why.kind() != ErrorKind::NotFound => done = Err(why),
            _ => {}
        }
    }
    done
}

/// An account is renamed: its accesses were those of the new name.
///
/// # Errors
/// As [`forget`]; what is not renamed stays under the former name.
pub(crate) fn rename(root: &Path, from: &str, to: &str) -> io::Result<()> {
    let mut done = Ok(());
    for folder in SERVICES.map(|service| root.join(service)) {
        let (Some(old), Some(new)) = (place(&folder, from), place(&folder, to)) else { continue };
        let Some(then) = last(&old) else { continue };
        let moved = open(&new, true).and_then(|file| file.set_modified(at(then)));
        if let Err(why) = moved.and_then(|()| fs::remove_file(&old)) {
            done = Err(why);
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    const UIDS: [&str; 7] =
        ["joe", "Joe", "joe@example.org", "Jörg Müller", "..a%b+=.", "日本", "a\u{202e}b \\ 'c'"];

    fn modified(root: &Path, service: &str, uid: &str, seconds: i64) {
        let path = place(&root.join(service), uid).unwrap();
        File::open(path).unwrap().set_modified(at(seconds)).unwrap();
    }

    #[test]
    fn every_uid_has_a_file_of_its_own_which_tells_it_again() {
        let root = tempfile::tempdir().unwrap();
        for uid in UIDS {
            renew(&root.path().join("imap"), uid, true).unwrap();
        }
        let all = of_all(root.path()).unwrap();
        let told: Vec<&str> = all.keys().map(String::as_str).collect();
        let mut wanted = UIDS.to_vec();
        wanted.sort_unstable();
        assert_eq!(told, wanted);
        for uid in UIDS {
            let [imap, pop, http] = of_user(root.path(), uid);
            assert!(imap.is_some() && pop.is_none() && http.is_none(), "{uid}");
        }
        for path in [root.path().join("imap"), place(&root.path().join("imap"), "joe").unwrap()] {
            let found = fs::metadata(path).unwrap();
            assert_eq!((found.mode() & 0o077, found.is_dir() || found.len() == 0), (0, true));
        }
    }

    #[test]
    fn what_no_mailbox_can_be_of_has_no_file() {
        let root = tempfile::tempdir().unwrap();
        let long = "x".repeat(256);
        for uid in ["", ".", "..", "a/b", "/", "a\nb", "a\0b", &long] {
            renew(&root.path().join("imap"), uid, true).unwrap();
            assert_eq!(of_user(root.path(), uid), [None; 3], "{uid:?}");
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_touch_a_minute() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("pop");
        let now = base::clock::unix_seconds();
        renew(&folder, "joe", true).unwrap();
        let time = || of_user(root.path(), "joe")[1].unwrap();
        assert!((now..=base::clock::unix_seconds()).contains(&time()), "{now} {}", time());
        // Times that the clock of a loaded machine does not come near to: 60 seconds are far away, and passed.
        for makes in [true, false] {
            let began = std::time::Instant::now();
            let young = base::clock::unix_seconds() - 1;
            modified(root.path(), "pop", "joe", young);
            renew(&folder, "joe", makes).unwrap();
            assert!(time() == young || began.elapsed().as_secs() > 50, "not twice in a minute");
            for other in [now - 61, now - 1_000_000, now + 86_400] {
                modified(root.path(), "pop", "joe", other);
                renew(&folder, "joe", makes).unwrap();
                assert!(time() >= now && time() < now + 43_200, "{other} {}", time());
            }
        }
    }

    #[test]
    fn a_log_out_makes_no_file() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("http");
        renew(&folder, "joe", false).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        renew(&folder, "joe", true).unwrap();
        forget(root.path(), "joe").unwrap();
        renew(&folder, "joe", false).unwrap();
        assert_eq!(of_user(root.path(), "joe"), [None; 3]);
    }

    #[test]
    fn it_goes_with_the_user_and_is_renamed_with_the_account() {
        let root = tempfile::tempdir().unwrap();
        for service in ["imap", "http"] {
            renew(&root.path().join(service), "joe", true).unwrap();
        }
        modified(root.path(), "imap", "joe", 1_000_000);
        rename(root.path(), "joe", "jim@x.org").unwrap();
        assert_eq!(of_user(root.path(), "joe"), [None; 3]);
        let [imap, pop, http] = of_user(root.path(), "jim@x.org");
        assert!(imap == Some(1_000_000) && pop.is_none() && http.is_some());
        rename(root.path(), "nobody", "jim@x.org").unwrap();
        forget(root.path(), "nobody").unwrap();
        forget(root.path(), "jim@x.org").unwrap();
        assert!(of_all(root.path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_ours_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        assert!(of_all(&root.path().join("none")).unwrap().is_empty());
        fs::create_dir_all(root.path().join("imap/00/01")).unwrap();
        for stray in ["imap/notes", "imap/00/notes", "imap/00/01/notes"] {
            fs::write(root.path().join(stray), "x").unwrap();
        }
        assert!(of_all(root.path()).unwrap().is_empty());
    }
}
