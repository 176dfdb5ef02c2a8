//! One-time sign-in addresses: what a portal hands to a user's browser, after an administrator's credential was checked.
//!
//! Each is a small file in `run/web-tickets`, named by the hash of a secret that only the address has (the format is in
//! `docs/formats/web-sessions.md`). Whoever removes the file has used it: so it is good once, in whichever process, and
//! also after a crash. One that nobody used is over after [`LIFETIME`].

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A browser that is sent on comes at once.
pub const LIFETIME: Duration = Duration::from_secs(60);
/// That were not used yet, as each process counts them; an administrator's program that runs wild fills no disk.
const TICKETS_MAX: usize = 10_000;
/// How often those are removed that nobody used.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
const SECRET_BYTES: usize = 32;
const FILE_BYTES_MAX: u64 = 4096;
const FIRST: &str = "mailboat-web-ticket 1";

/// Who may sign in by it, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub uid: String,
    /// The administrator.
    pub by: String,
    /// Seconds since 1970.
    pub expires: i64,
}

/// See the module.
pub struct Tickets {
    root: PathBuf,
    /// When they were counted, and how many there may be by now.
    counted: Mutex<(Option<Instant>, usize)>,
}

impl Tickets {
    /// Those of the instance with this `run/` folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(run_dir: &Path) -> io::Result<Tickets> {
        let root = run_dir.join("web-tickets");
        base::replace::private_folder(&root)?;
        Ok(Tickets { root, counted: Mutex::new((None, 0)) })
    }

    /// A new one: the word that the address ends in.
    ///
    /// # Errors
    /// The system's; `QuotaExceeded` when there are too many.
    pub fn issue(&self, uid: &str, by: &str) -> io::Result<String> {
        self.make_room()?;
        let mut secret = [0; SECRET_BYTES];
        openssl::rand::rand_bytes(&mut secret).map_err(io::Error::other)?;
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let lifetime = i64::try_from(LIFETIME.as_secs()).unwrap_or(0);
        let expires = base::clock::unix_seconds().saturating_add(lifetime);
        let ticket = Ticket { uid: uid.to_owned(), by: by.to_owned(), expires };
        let path = self.path(&secret);
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(ticket.encode().as_bytes()));
        if let Err(why) = written {
            let _ = fs::remove_file(&path);
            return Err(why);
        }
        Ok(secret)
    }

    /// Uses one up. None: it was used, is over, or never was.
    ///
    /// # Errors
    /// The system's; it is not used up then, or nobody can say.
    pub fn redeem(&self, word: &str) -> io::Result<Option<Ticket>> {
        if !URL_SAFE_NO_PAD.decode(word).is_ok_and(|secret| secret.len() == SECRET_BYTES) {
            return Ok(None);
        }
        let path = self.path(word);
        let mut text = String::new();
        let read = fs::File::open(&path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
            .and_then(|_| fs::remove_file(&path));
        match read {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        }
        os::file::sync_dir(&self.root)?; // or it could be used again after a power cut
        let now = base::clock::unix_seconds();
        Ok(Ticket::decode(&text).filter(|ticket| ticket.expires > now))
    }

    /// The secret is as random as its hash: the name tells nothing of it.
    fn path(&self, secret: &str) -> PathBuf {
        let hash = openssl::sha::sha256(secret.as_bytes());
        self.root.join(base::hex::encode(&hash))
    }

    fn make_room(&self) -> io::Result<()> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.0.is_none_or(|when| when.elapsed() >= SWEEP_EVERY) {
            *counted = (Some(Instant::now()), self.sweep());
        }
        if counted.1 >= TICKETS_MAX {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many sign-ins wait to be used"));
        }
        counted.1 += 1;
        Ok(())
    }

    /// Removes those that are over; how many are left. By the time of the file: one that is being written stays.
    fn sweep(&self) -> usize {
        let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(base::clock::unix_seconds()).unwrap_or(0));
        let mut left = 0;
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let written = entry.metadata().and_then(|found| found.modified());
            let is_over = written
                .is_ok_and(|when| now.duration_since(when).is_ok_and(|age| age > LIFETIME + SWEEP_EVERY));
            if is_over {
                let _ = fs::remove_file(entry.path());
            } else {
                left += 1;
            }
        }
        left
    }
}

impl Ticket {
    fn encode(&self) -> String {
        let Ticket { uid, by, expires } = self;
        let text = format!("{FIRST}\nuid {uid}\nby {by}\nexpires {expires}\n");
        format!("{text}crc {:08x}\n", base::crc32(text.as_bytes()))
    }

    /// Nothing when anything is not as it should be.
    fn decode(text: &str) -> Option<Ticket> {
        let (body, sum) = text.split_at(text.rfind("crc ")?);
        let sum = u32::from_str_radix(sum.strip_prefix("crc ")?.strip_suffix('\n')?, 16).ok()?;
        if base::crc32(body.as_bytes()) != sum {
            return None;
        }
        let mut lines = body.lines();
        lines.next().filter(|first| *first == FIRST)?;
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        Some(Ticket { uid: value("uid")?, by: value("by")?, expires: value("expires")?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_for_whom_it_was_made_for() {
        let folder = tempfile::tempdir().unwrap();
        let tickets = Tickets::open(folder.path()).unwrap();
        let others = Tickets::open(folder.path()).unwrap();
        let word = tickets.issue("joe", "boss").unwrap();
        let on_disk = folder.path().join("web-tickets");
        let file = fs::read_dir(&on_disk).unwrap().next().unwrap().unwrap();
        assert!(!file.file_name().to_string_lossy().contains(&word));
        assert!(!fs::read_to_string(file.path()).unwrap().contains(&word), "who reads it cannot use it");
        let ticket = others.redeem(&word).unwrap().unwrap();
        assert_eq!((ticket.uid.as_str(), ticket.by.as_str()), ("joe", "boss"));
        assert_eq!(tickets.redeem(&word).unwrap(), None);
        for wrong in ["", "..", "../web-tickets", &"a".repeat(43), &"a".repeat(5000)] {
            assert_eq!(tickets.redeem(wrong).unwrap(), None, "{wrong}");
        }
    }

    #[test]
    fn of_many_who_have_it_one_gets_in() {
        let folder = tempfile::tempdir().unwrap();
        let tickets = Tickets::open(folder.path()).unwrap();
        let word = tickets.issue("joe", "boss").unwrap();
        let got = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| tickets.redeem(&word).unwrap().is_some())).collect();
            threads.into_iter().map(|one| usize::from(one.join().unwrap())).sum::<usize>()
        });
        assert_eq!(got, 1);
    }

    #[test]
    fn one_that_is_over_or_damaged_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let tickets = Tickets::open(folder.path()).unwrap();
        let old = Ticket { uid: "joe".into(), by: "boss".into(), expires: base::clock::unix_seconds() };
        let word = tickets.issue("joe", "boss").unwrap();
        fs::write(tickets.path(&word), old.encode()).unwrap();
        assert_eq!(tickets.redeem(&word).unwrap(), None);
        let text = old.encode();
        assert_eq!(Ticket::decode(&text), Some(old.clone()));
        for damaged in [&text[1..], &text[..text.len() - 1], &text.replace("joe", "kim"), ""] {
            assert_eq!(Ticket::decode(damaged), None, "{damaged}");
        }
        let forged = Ticket { uid: "joe\nby boss".into(), ..old }.encode();
        assert_ne!(Ticket::decode(&forged).map(|one| one.by).as_deref(), Some("joe"));
    }

    #[test]
    fn there_are_so_many_and_no_more_and_those_that_are_over_go() {
        let folder = tempfile::tempdir().unwrap();
        let tickets = Tickets::open(folder.path()).unwrap();
        let word = tickets.issue("joe", "boss").unwrap();
        let long_ago = UNIX_EPOCH + Duration::from_secs(1000);
        fs::File::open(tickets.path(&word)).unwrap().set_modified(long_ago).unwrap();
        let fresh = tickets.issue("joe", "boss").unwrap();
        *tickets.counted.lock().unwrap() = (None, 0);
        tickets.issue("joe", "boss").unwrap();
        assert!(!tickets.path(&word).exists() && tickets.path(&fresh).exists());
        // However long this takes, they are not counted again.
        *tickets.counted.lock().unwrap() = (Some(Instant::now() + SWEEP_EVERY * 1000), TICKETS_MAX);
        assert_eq!(tickets.issue("joe", "boss").unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
    }
}
