//! JMAP (RFC 8620) for mail (RFC 8621): what a JMAP client asks, answered from the store.
//!
//! No HTTP here: [`Jmap`] is given bodies of requests and blobs, and gives back the same. Everything that a client can make grow
//! has a limit, which the session object tells ([`limits`]).
//!
//! What makes queries fast is in [`account`]: the records of a user's mailboxes as emails, kept in memory within bounds and
//! brought up to date from what changed.

mod account;
mod arguments;
mod blob;
mod changes;
mod email;
mod error;
mod folders;
pub mod ids;
mod json;
pub mod limits;
mod methods;
mod personal;
mod pointer;
mod problem;
mod request;
mod session_object;
mod set_error;
mod shares;
mod state;
mod submission;
mod uploads;
mod watch;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use directory::{Directory, Entry, Found, LogIns};
use message_store::{QuotaPolicy, Store, StoreError};
use serde_json::Value;
use server_config::parameters::local;
use server_config::{Config, Instance};
use server_log::Log;

pub use blob::{Blob, BlobContent};
pub use email::attachments::{Attachment, Attachments};
pub use email::parts::{InlinePart, MessageParts, ShownText};
pub use folders::Folder;
pub use methods::is_secret;
pub use methods::preferences::Preferences;
pub use problem::Problem;
use shares::{Owner, Scope};
pub use uploads::Upload;
pub use watch::Watch;

/// What a process has that JMAP needs.
pub struct Parts {
    pub store: Store,
    pub directory: Arc<dyn Directory>,
    /// Those of the process, so that wrong passwords and remembered ones count once.
    pub log_ins: Arc<LogIns>,
    pub config: Arc<Config>,
    pub instance: Instance,
    pub log: Log,
}

/// Who asks, as the log-in found out.
#[derive(Clone)]
pub struct Who {
    pub uid: String,
    pub entry: Arc<Entry>,
    pub peer: IpAddr,
    /// Of the session, for the log.
    pub session: String,
}

/// One for a process.
pub struct Jmap {
    pub(crate) store: Store,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) log: Log,
    quota: QuotaPolicy,
    pub(crate) accounts: account::Accounts,
    pub(crate) uploads: uploads::Uploads,
    pub(crate) personal: personal::Personal,
    pub(crate) memberships: directory::Memberships,
    kept_owners: shares::Kept,
    /// The name in Message-ID fields that are made here.
    pub(crate) host_name: String,
    /// Requests and uploads under way, by uid.
    busy: Arc<Mutex<HashMap<String, Busy>>>,
}

#[derive(Debug, Default)]
struct Busy {
    requests: usize,
    uploads: usize,
}

/// One of the things that a user may have so many of at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At {
    Request,
    Upload,
}

/// Counts as under way until it is dropped: by who asks when the answer was sent.
#[derive(Debug)]
pub struct Turn {
    busy: Arc<Mutex<HashMap<String, Busy>>>,
    uid: String,
    at: At,
}

impl Jmap {
    /// # Errors
    /// The folder for uploads cannot be made.
    pub fn new(parts: &Parts) -> Result<Jmap, String> {
        let folder = parts.instance.scratch_dir(&parts.config);
        let uploads = uploads::Uploads::open(folder.join("jmap"))
            .map_err(|why| format!("{}: {why}", folder.display()))?;
        Ok(Jmap {
            store: parts.store.clone(),
            directory: Arc::clone(&parts.directory),
            log: parts.log.clone(),
            quota: QuotaPolicy::from_config(&parts.config),
            accounts: account::Accounts::default(),
            uploads,
            personal: personal::Personal::new(parts),
            memberships: directory::Memberships::default(),
            kept_owners: shares::Kept::default(),
            host_name: parts.config.get(&local::HOST_NAME).to_string(),
            busy: Arc::default(),
        })
    }

    /// Whether this session has just changed the user's password, which it is told once: its other sessions are to end, and
    /// itself to go on.
    pub fn password_was_changed(&self, who: &Who) -> bool {
        self.personal.took_change(who)
    }

    /// Makes sure that the user has an INBOX, and limits: who never got mail has none yet (S113).
    fn ensure(&self, who: &Who) -> Result<(), StoreError> {
        self.store.ensure_user(&who.uid)?;
        let limits = self.quota.limits(who.entry.quota_bytes, who.entry.quota_messages);
        if limits.is_unlimited() { Ok(()) } else { self.store.first_limits(&who.uid, limits) }
    }

    /// The user's entry as it is now; as it was at the sign-in, when the directory does not answer.
    fn fresh(&self, who: &Who) -> Arc<Entry> {
        match self.directory.by_uid(&who.uid) {
            Ok(Found::One(entry)) => entry,
            _ => who.entry.clone(),
        }
    }

    /// What the user prefers, for who shows mail without JMAP.
    pub fn preferences(&self, who: &Who) -> Preferences {
        methods::preferences::of(&self.fresh(who))
    }

    /// The session object (RFC 8620 §2).
    pub fn session(&self, who: &Who) -> Value {
        session_object::session(self, who)
    }

    /// Runs the method calls of a request, in order (RFC 8620 §3.3).
    ///
    /// # Errors
    /// The request as a whole is refused (RFC 8620 §3.6.1).
    pub fn request(&self, who: &Who, body: &[u8]) -> Result<Vec<u8>, Problem> {
        let turn = self.begin(who)?;
        self.request_in(&turn, who, body)
    }

    /// Begins what counts as one of the user's requests.
    ///
    /// # Errors
    /// `maxConcurrentRequests`: so many are under way.
    pub fn begin(&self, who: &Who) -> Result<Turn, Problem> {
        self.turn(who, At::Request)
    }

    /// The same as [`Jmap::request`] in a turn that has begun and that goes on for as long as the answer is in memory.
    ///
    /// # Errors
    /// The request as a whole is refused (RFC 8620 §3.6.1).
    pub fn request_in(&self, _turn: &Turn, who: &Who, body: &[u8]) -> Result<Vec<u8>, Problem> {
        request::run(self, who, body)
    }

    /// Begins an upload (RFC 8620 §6.1).
    ///
    /// # Errors
    /// `403`: who needed no password writes nothing; `404`: the user has no such account; limits.
    pub fn upload(&self, who: &Who, account: &str, media_type: &str) -> Result<Upload, Problem> {
        if who.entry.anybody {
            return Err(Problem::forbidden("Not without a password of the account"));
        }
        self.owner_or_404(who, account)?;
        let turn = self.turn(who, At::Upload)?;
        self.uploads.begin(&who.uid, account, media_type, turn)
    }

    /// The bytes of a blob (RFC 8620 §6.2).
    ///
    /// # Errors
    /// `404` when there is none, or the user may not read it.
    pub fn download(&self, who: &Who, account: &str, blob: &str) -> Result<Blob, Problem> {
        let owner = self.owner_or_404(who, account)?;
        blob::open(self, Scope { who, owner: &owner }, blob)
            .map_err(|error| Problem::internal(&error.to_string()))?
            .ok_or_else(Problem::not_found)
    }

    /// All files of the message of a blob, or of a message that is attached to one.
    ///
    /// # Errors
    /// `404` when it is no message, or the user may not read it; `413` when it is more than one request may read.
    pub fn attachments(&self, who: &Who, account: &str, blob: &str) -> Result<Attachments, Problem> {
        let owner = self.owner_or_404(who, account)?;
        email::attachments::of(self, Scope { who, owner: &owner }, blob)
            .map_err(|error| Problem::of_method(&error))?
            .ok_or_else(Problem::not_found)
    }

    /// `StateChange` of the types named, of all when none is (RFC 8620 §7.1).
    pub fn states(&self, who: &Who, types: &[&str]) -> Value {
        watch::states(self, who, types)
    }

    /// Calls `wake`, from a thread of the store, when something of the account may have changed, until it is dropped.
    pub fn watch(&self, who: &Who, wake: impl Fn() + Send + Sync + 'static) -> Watch {
        watch::watch(self, who, wake)
    }

    /// What is shown of a message: its HTML or text, and the parts that the HTML refers to.
    ///
    /// # Errors
    /// `404` when there is no such email.
    pub fn message_parts(&self, who: &Who, account: &str, email: &str) -> Result<MessageParts, Problem> {
        let owner = self.owner_or_404(who, account)?;
        email::parts::of(self, Scope { who, owner: &owner }, email)
    }

    fn owner_or_404(&self, who: &Who, account: &str) -> Result<Owner, Problem> {
        let owner = self.owner(who, account).map_err(|error| Problem::internal(&error.to_string()))?;
        owner.ok_or_else(Problem::not_found)
    }

    fn turn(&self, who: &Who, at: At) -> Result<Turn, Problem> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let of_user = busy.entry(who.uid.clone()).or_default();
        let (count, most, name) = match at {
            At::Request => (&mut of_user.requests, limits::MAX_CONCURRENT_REQUESTS, "maxConcurrentRequests"),
            At::Upload => (&mut of_user.uploads, limits::MAX_CONCURRENT_UPLOAD, "maxConcurrentUpload"),
        };
        if *count >= most {
            return Err(Problem::limit(name));
        }
        *count += 1;
        Ok(Turn { busy: Arc::clone(&self.busy), uid: who.uid.clone(), at })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(of_user) = busy.get_mut(&self.uid) else { return };
        match self.at {
            At::Request => of_user.requests = of_user.requests.saturating_sub(1),
            At::Upload => of_user.uploads = of_user.uploads.saturating_sub(1),
        }
        if of_user.requests == 0 && of_user.uploads == 0 {
            busy.remove(&self.uid);
        }
    }
}
