//! Who is signed in: one small file for each sign-in, which every process reads at every request.
//!
//! So a sign-in is known to all processes and outlives them, and one that is ended is ended everywhere at once. The format
//! is in `docs/formats/web-sessions.md`. What the browser has is never stored, only its hash: who reads the files cannot
//! be anybody with them.

mod activity;
mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use os::lock::{Mode, OfdLock};

pub use activity::{Deed, shown};
pub use record::Record;

/// Bytes of what the browser has: 256 bits.
const SECRET_BYTES: usize = 32;
/// Hexadecimal digits that name a user's folder.
const USER_DIGITS: usize = 32;
/// Bytes of a session's file at most.
const FILE_BYTES_MAX: u64 = 4096;
/// The time of last use is written so often at most.
const TOUCH_SECONDS: i64 = 60;
/// How long anything here waits for a user's lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// What a browser says to be known again: which user's folder, and the secret whose hash names the file.
struct Cookie<'a> {
    user: &'a str,
    secret: &'a str,
}

impl<'a> Cookie<'a> {
    fn parse(text: &'a str) -> Option<Cookie<'a>> {
        let (user, secret) = text.split_once('.')?;
        let is_user =
            user.len() == USER_DIGITS && user.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let length = URL_SAFE_NO_PAD.decode(secret).ok()?.len();
        (is_user && length == SECRET_BYTES).then_some(Cookie { user, secret })
    }

    fn id(&self) -> String {
        base::hex::encode(&openssl::sha::sha256(self.secret.as_bytes()))
    }
}

/// How long a sign-in holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Without a request.
    pub idle: Duration,
    /// In all, however often it is used.
    pub most: Duration,
}

impl Lifetime {
    /// When one ends that was begun and used last then, in seconds since 1970.
    pub fn end(self, begun: i64, used: i64) -> i64 {
        let after = |from: i64, time: Duration| {
            from.saturating_add(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
        };
        after(used, self.idle).min(after(begun, self.most))
    }
}

/// A sign-in that holds.
#[derive(Clone, Debug)]
pub struct WebSession {
    pub record: Record,
    /// Names the session to its user; it is no secret.
    pub id: String,
    /// Seconds since 1970 of the last request.
    pub used: i64,
    /// What requests that change something must carry: a function of the secret, known to nobody but our own page.
    pub token: String,
}

/// See the module.
#[derive(Clone)]
pub struct WebSessions {
    root: PathBuf,
}

impl WebSessions {
    /// Those of the instance with this `run/` folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(run_dir: &Path) -> io::Result<WebSessions> {
        let root = run_dir.join("web-sessions");
        base::replace::private_folder(&root)?;
        Ok(WebSessions { root })
    }

    /// Begins a session; gives what the browser is to keep. Of those the user has, only `most - 1` used last are left.
    /// `passwords`: what is stored of the user's password, to notice that it is another.
    ///
    /// # Errors
    /// The system's.
    pub fn begin(
        &self,
        uid: &str,
        peer: IpAddr,
        agent: &str,
        passwords: &[String],
        most: usize,
        lifetime: Lifetime,
    ) -> io::Result<(String, WebSession)> {
        let mut secret = [0; SECRET_BYTES];
        openssl::rand::rand_bytes(&mut secret).map_err(io::Error::other)?;
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let user = user_key(uid);
        let cookie = Cookie { user: &user, secret: &secret };
        let now = base::clock::unix_seconds();
        let record = Record::new(uid, now, peer, agent, password_mark(&secret, passwords)?);
        let (folder, id) = (self.root.join(&user), cookie.id());
        base::replace::private_folder(&folder)?;
        let _lock = lock(&folder)?;
        let mut others = self.of_folder(&folder, lifetime);
        others.sort_by_key(|session| std::cmp::Reverse(session.used));
        for old in others.iter().skip(most.saturating_sub(1)) {
            remove(&folder, &old.id)?;
        }
        write_new(&folder, &id, &record.encode())?;
        let token = token(&secret)?;
        Ok((format!("{user}.{secret}"), WebSession { record, id, used: now, token }))
    }

    /// The session of a cookie, if it holds.
    pub fn find(&self, cookie: &str, lifetime: Lifetime) -> Option<WebSession> {
        let cookie = Cookie::parse(cookie)?;
        let id = cookie.id();
        let folder = self.root.join(cookie.user);
        let (record, used) = read(&folder.join(&id))?;
        if user_key(&record.uid) != cookie.user {
            return None; // a file that somebody moved
        }
        let now = base::clock::unix_seconds();
        if is_over(&record, used, now, lifetime) {
            let _ = remove(&folder, &id);
            return None;
        }
        let token = token(cookie.secret).ok()?;
        Some(WebSession { record, id, used, token })
    }

    /// Whether what is stored of the user's password is what it was at the sign-in.
    pub fn has_password(&self, cookie: &str, session: &WebSession, passwords: &[String]) -> bool {
        let Some(cookie) = Cookie::parse(cookie) else { return false };
        password_mark(cookie.secret, passwords).is_ok_and(|mark| mark == session.record.password)
    }

    /// A request was made: the session's time begins anew. Written once a minute.
    pub fn touch(&self, session: &WebSession) {
        let now = base::clock::unix_seconds();
        if now.saturating_sub(session.used) < TOUCH_SECONDS {
            return;
        }
        let path = self.root.join(user_key(&session.record.uid)).join(&session.id);
        if let Ok(file) = File::open(path) {
            let _ = file.set_modified(at(now)); // it then ends a minute earlier
        }
    }

    /// The user's sessions, those used last first.
    pub fn of_user(&self, uid: &str, lifetime: Lifetime) -> Vec<WebSession> {
        let mut found = self.of_folder(&self.root.join(user_key(uid)), lifetime);
        found.sort_by_key(|session| std::cmp::Reverse(session.used));
        found
    }

    /// Ends a session of the user, for good: also after a power cut. False: there is none.
    ///
    /// # Errors
    /// The system's; it may come back then.
    pub fn end(&self, uid: &str, id: &str) -> io::Result<bool> {
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id {
            return Ok(false);
        }
        let folder = self.root.join(user_key(uid));
        if !folder.join(id).exists() {
            return Ok(false); // and no folder is made for nobody
        }
        let _lock = lock(&folder)?; // or who writes it anew could bring it back
        remove(&folder, id)
    }

    /// The session with its record as it is now. None: it has ended.
    pub fn again(&self, session: &WebSession) -> Option<WebSession> {
        let (record, used) = read(&self.root.join(user_key(&session.record.uid)).join(&session.id))?;
        Some(WebSession { record, used, ..session.clone() })
    }

    /// Ends a session that was found to be good no more, unless its record was written anew meanwhile.
    ///
    /// # Errors
    /// As [`WebSessions::end`].
    pub fn end_unchanged(&self, session: &WebSession) -> io::Result<bool> {
        let folder = self.root.join(user_key(&session.record.uid));
        let _lock = lock(&folder)?;
        match self.again(session) {
            Some(now) if now.record == session.record => remove(&folder, &session.id),
            _ => Ok(false),
        }
    }

    /// Ends every session of the user but `kept`; how many. For a changed password, too.
    ///
    /// # Errors
    /// As [`WebSessions::end`].
    pub fn end_others(&self, uid: &str, kept: Option<&str>) -> io::Result<usize> {
        let folder = self.root.join(user_key(uid));
        let mut ended = 0;
        for name in names(&folder).into_iter().filter(|name| kept != Some(name)) {
            ended += usize::from(remove(&folder, &name)?);
        }
        Ok(ended)
    }

    /// The user's password is another, and this session's owner changed it: the others end, this one goes on, unless it was
    /// ended meanwhile.
    ///
    /// # Errors
    /// The system's.
    pub fn password_changed(
        &self,
        cookie: &str,
        session: &WebSession,
        passwords: &[String],
    ) -> io::Result<()> {
        let uid = &session.record.uid;
        let Some(cookie) = Cookie::parse(cookie) else { return self.end_others(uid, None).map(|_| ()) };
        let record = Record { password: password_mark(cookie.secret, passwords)?, ..session.record.clone() };
        let folder = self.root.join(user_key(uid));
        let lock = lock(&folder)?;
        if self.again(session).is_some() {
            write_new(&folder, &session.id, &record.encode())?;
        }
        drop(lock);
        self.end_others(uid, Some(&session.id)).map(|_| ())
    }

    /// Removes what is over; called now and then.
    pub fn sweep(&self, lifetime: Lifetime) {
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            self.of_folder(&entry.path(), lifetime);
        }
    }

    /// The sessions in a user's folder; those that are over are removed.
    fn of_folder(&self, folder: &Path, lifetime: Lifetime) -> Vec<WebSession> {
        let now = base::clock::unix_seconds();
        let mut found = Vec::new();
        for id in names(folder) {
            match read(&folder.join(&id)) {
                Some((record, used)) if !is_over(&record, used, now, lifetime) => {
                    found.push(WebSession { record, id, used, token: String::new() });
                }
                _ => {
                    let _ = remove(folder, &id);
                }
            }
        }
        found
    }
}

fn is_over(record: &Record, used: i64, now: i64, lifetime: Lifetime) -> bool {
    now >= lifetime.end(record.begun, used)
}

fn at(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// The name of a user's folder: nothing of a uid can lead out of it.
fn user_key(uid: &str) -> String {
    base::hex::encode(&openssl::sha::sha256(uid.as_bytes()))[..USER_DIGITS].to_owned()
}

fn keyed(secret: &str, texts: &[&str]) -> io::Result<Vec<u8>> {
    let sign = || {
        let key = PKey::hmac(secret.as_bytes())?;
        let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
        for text in texts {
            signer.update(&(text.len() as u64).to_be_bytes())?;
            signer.update(text.as_bytes())?;
        }
        signer.sign_to_vec()
    };
    sign().map_err(io::Error::other)
}

fn token(secret: &str) -> io::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(keyed(secret, &["token"])?))
}

/// Another one when the password is. Keyed with what only the browser has: nobody can try passwords on it.
fn password_mark(secret: &str, passwords: &[String]) -> io::Result<String> {
    let mut texts: Vec<&str> = passwords.iter().map(String::as_str).collect();
    texts.sort_unstable(); // a directory may give them in any order
    texts.insert(0, "password");
    Ok(URL_SAFE_NO_PAD.encode(&keyed(secret, &texts)?[..16]))
}

/// The user's lock: held while sessions are counted and added, and the record of deeds is cut.
fn lock(folder: &Path) -> io::Result<OfdLock> {
    let file = Arc::new(base::replace::lock_file(&folder.join("lock"))?);
    OfdLock::acquire(&file, 0, Mode::Exclusive, LOCK_TIMEOUT)
}

/// Names of session files.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.len() == 64).collect()
}

/// Record and time of last use; nothing when it is not there or damaged.
fn read(path: &Path) -> Option<(Record, i64)> {
    let file = OpenOptions::new().read(true).open(path).ok()?;
    let used = file.metadata().ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some((Record::decode(&text)?, i64::try_from(used.as_secs()).ok()?))
}

/// Whole or not at all. It is not synced: after a power cut somebody may have to sign in again.
fn write_new(folder: &Path, id: &str, text: &str) -> io::Result<()> {
    let temporary = folder.join(format!("{id}.{}.new", std::process::id()));
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.set_modified(at(base::clock::unix_seconds()))?;
        fs::rename(&temporary, folder.join(id))
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Durable: what was ended must not hold again after a power cut.
fn remove(folder: &Path, id: &str) -> io::Result<bool> {
    match fs::remove_file(folder.join(id)) {
        Ok(()) => os::file::sync_dir(folder).map(|()| true),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(why) => Err(why),
    }
}

#[cfg(test)]
mod tests;
