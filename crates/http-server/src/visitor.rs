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
        let passwords = credentials(directory.as_ref(), &self.entry).map_err(std::io::Error::other)?;
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
    let uid = session.record.uid.clone();
    let entry = match entries.recent(&session.id) {
        Some(entry) => entry,
        None => {
            let Some(entry) = look_up(cookie, &session, sessions, directory)? else {
                let _ = sessions.end(&uid, &session.id);
                return Err(NotIn::SignIn);
            };
            entries.keep(&session.id, &entry);
            entry
        }
    };
    sessions.touch(&session);
    Ok(Visitor { uid, entry, session: Some(session), cookie: cookie.to_owned() })
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
