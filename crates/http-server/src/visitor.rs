//! Who has signed in, looked up for a request: the session's file at each, the directory every few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use directory::{Directory, Entry, Found, Kind, Service};

use crate::session::Desk;
use crate::web_sessions::{WebSession, WebSessions};

/// How old what the directory said of a user may be.
const ENTRY_TTL: Duration = Duration::from_secs(10);
/// Entries that are kept.
const ENTRIES_MAX: usize = 20_000;
/// How long a request waits for a sign-in to be written anew whose owner is changing the password, before it ends it.
const CHANGE_WAIT: Duration = Duration::from_secs(1);
const CHANGE_STEP: Duration = Duration::from_millis(50);

/// Somebody who may ask.
pub struct Visitor {
    pub uid: String,
    pub entry: Arc<Entry>,
    /// By cookie; nothing when the request itself carried a password.
    pub session: Option<WebSession>,
    /// The cookie's value, with it.
    pub(crate) cookie: String,
}

impl Visitor {
    /// For logs: the beginning of the session's name, which is no secret.
    pub fn label(&self) -> String {
        self.session.as_ref().map_or_else(|| "basic".to_owned(), |session| session.id[..8].to_owned())
    }

    /// The visitor has changed their password: their other sessions end, this one goes on.
    ///
    /// # Errors
    /// The system's, or the directory does not answer; the sessions end by themselves then, this one too.
    pub fn password_changed(&self, desk: &Desk) -> std::io::Result<()> {
        let changed = self.end_other_sessions(desk);
        desk.entries.forget();
        desk.streams.look_again(&self.uid);
        changed
    }

    fn end_other_sessions(&self, desk: &Desk) -> std::io::Result<()> {
        let Some(session) = &self.session else {
            return desk.sessions.end_others(&self.uid, None).map(|_| ());
        };
        let directory = desk.log_ins.authenticator().directory();
        // The second factor is in the entry: as it is now, and not as it was when the request came.
        let entry = match directory.by_uid(&self.uid).map_err(std::io::Error::other)? {
            Found::One(entry) => entry,
            _ => self.entry.clone(),
        };
        let passwords = credentials(directory.as_ref(), &entry).map_err(std::io::Error::other)?;
        desk.sessions.password_changed(&self.cookie, session, &passwords)
    }
}

/// Why a cookie's owner may not ask.
#[derive(Debug, PartialEq, Eq)]
pub enum NotIn {
    /// Sign in (again).
    SignIn,
    /// The directory does not answer.
    Unavailable(String),
}

/// What the directory said, by session.
#[derive(Default)]
pub struct Entries(Mutex<HashMap<String, (Instant, Arc<Entry>)>>);

impl Entries {
    fn recent(&self, id: &str) -> Option<Arc<Entry>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).filter(|(when, _)| when.elapsed() < ENTRY_TTL).map(|(_, entry)| entry.clone())
    }

    fn keep(&self, id: &str, entry: &Arc<Entry>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ENTRIES_MAX {
            known.retain(|_, (when, _)| when.elapsed() < ENTRY_TTL);
        }
        if known.len() < ENTRIES_MAX {
            known.insert(id.to_owned(), (Instant::now(), entry.clone()));
        }
    }

    /// What is known is forgotten: somebody changed it.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The user of a session as the directory has it now: still there, still let in, still with the same password.
///
/// # Errors
/// See [`NotIn`]; a session that does not hold any more is ended.
pub fn of_session(
    cookie: &str,
    session: WebSession,
    sessions: &WebSessions,
    directory: &dyn Directory,
    entries: &Entries,
) -> Result<Visitor, NotIn> {
    let entry = entry_of(cookie, &session, sessions, directory, entries)?;
    sessions.touch(&session);
    let uid = session.record.uid.clone();
    Ok(Visitor { uid, entry, session: Some(session), cookie: cookie.to_owned() })
}

/// The same for who only listens: it is no use of the session, which ends as if nobody had asked.
///
/// # Errors
/// As [`of_session`].
pub fn entry_of(
    cookie: &str,
    session: &WebSession,
    sessions: &WebSessions,
    directory: &dyn Directory,
    entries: &Entries,
) -> Result<Arc<Entry>, NotIn> {
    if let Some(entry) = entries.recent(&session.id) {
        return Ok(entry);
    }
    let mut session = session.clone();
    let mut waited = Duration::ZERO;
    loop {
        if let Some(entry) = look_up(cookie, &session, sessions, directory)? {
            entries.keep(&session.id, &entry);
            return Ok(entry);
        }
        // The owner may have changed the password just now, in another request of this very session.
        let Some(now) = sessions.again(&session) else { return Err(NotIn::SignIn) };
        if now.record == session.record && waited >= CHANGE_WAIT {
            let _ = sessions.end_unchanged(&session);
            return Err(NotIn::SignIn);
        }
        session = now;
        std::thread::sleep(CHANGE_STEP);
        waited += CHANGE_STEP;
    }
}

/// What is stored of the credentials of somebody who said them with a request, for [`listens_on`].
///
/// # Errors
/// As the directory's.
pub fn mark(directory: &dyn Directory, entry: &Entry) -> directory::Result<[u8; 32]> {
    let mut all = credentials(directory, entry)?;
    all.sort_unstable();
    Ok(openssl::sha::sha256(all.join("\n").as_bytes()))
}

/// Whether who said a password with a request is still there, still let in, still with the same password. While the directory
/// does not answer nobody has lost a right.
pub fn listens_on(uid: &str, before: &[u8; 32], directory: &dyn Directory, entries: &Entries) -> bool {
    let key = format!("{uid} {}", base::hex::encode(&before[..8]));
    if entries.recent(&key).is_some() {
        return true;
    }
    let entry = match directory.by_uid(uid) {
        Ok(Found::One(entry)) => entry,
        Ok(_) => return false,
        Err(_) => return true,
    };
    let holds = entry.kind == Kind::User
        && entry.may_use(Service::Http)
        && mark(directory, &entry).map_or(true, |now| now == *before);
    if holds {
        entries.keep(&key, &entry);
    }
    holds
}

/// What a sign-in is good for: another password ends it, and so does a second factor that came, went or is another.
///
/// # Errors
/// As the directory's.
pub fn credentials(directory: &dyn Directory, entry: &Entry) -> directory::Result<Vec<String>> {
    let mut all = directory.stored_passwords(Some(entry))?;
    all.extend(entry.second_factor.clone());
    Ok(all)
}

fn look_up(
    cookie: &str,
    session: &WebSession,
    sessions: &WebSessions,
    directory: &dyn Directory,
) -> Result<Option<Arc<Entry>>, NotIn> {
    let unavailable = |why: directory::DirectoryError| NotIn::Unavailable(why.to_string());
    let Found::One(entry) = directory.by_uid(&session.record.uid).map_err(unavailable)? else {
        return Ok(None);
    };
    let passwords = credentials(directory, &entry).map_err(unavailable)?;
    let holds = entry.kind == Kind::User
        && entry.may_use(Service::Http)
        && sessions.has_password(cookie, session, &passwords);
    Ok(holds.then_some(entry))
}
