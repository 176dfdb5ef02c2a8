//! XHELD and XUNDO: where a message is that was accepted, and that it be taken back before its time. Ours.
//!
//! Only on the socket of this host's daemons, and only for the user whom the session sends as: another's message is not
//! there. `XHELD envid=<xtext>` finds a message that waits by its ENVID: who was killed before the id was known asks so.
//! While a session is about to take one with this ENVID, whose client may have gone, the answer is 451: nobody knows yet.
//! Undo is exact: what is taken back is in the queue no more, durably, when 250 is said, and nobody was sent it;
//! what an attempt has begun with, or whose time has come, is not touched.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use connection::Io;
use mail_queue::QueueId;
use smtp_wire::{Held, Reply};

use crate::replies;
use crate::session::Session;

/// Where a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It waits for the time that its sender chose, in seconds since 1970.
    Waits(i64),
    /// It is in the queue; each recipient, and what became of it so far.
    Queued(Vec<(String, Progress)>),
    /// It is not in the queue, or never was, or is another user's.
    Gone,
    /// It was taken back just now.
    Undone,
}

/// How far the delivery to one recipient is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Pending,
    Delivered,
    Failed,
    /// It has ended; how, the queue does not know any more.
    Ended,
}

/// What knows of messages that were accepted. All of it is of the user with a uid.
pub trait Accepted: Send + Sync {
    /// Where it is; deferred ones are found with the domains that they wait for.
    ///
    /// # Errors
    /// The system's.
    fn whereabouts(&self, id: &QueueId, uid: &str, domains: &[String]) -> io::Result<Whereabouts>;

    /// Takes it back, if it still waits.
    ///
    /// # Errors
    /// The system's.
    fn undo(&self, id: &QueueId, uid: &str) -> io::Result<Whereabouts>;

    /// One that waits, by its ENVID as MAIL had it, and until when.
    ///
    /// # Errors
    /// The system's.
    fn waiting(&self, envid: &str, uid: &str) -> io::Result<Option<(QueueId, i64)>>;
}

/// The messages that sessions are about to take, by uid in lower case and ENVID, from MAIL to their commit or their end. Of this
/// process: there is one smtpd. Not more than there are connections.
#[derive(Clone, Default)]
pub struct UnderWayList(Arc<Mutex<HashMap<(String, String), usize>>>);

impl UnderWayList {
    /// Until what is given is dropped, behind the commit. Nothing for a session without a user.
    pub fn enter(&self, uid: Option<&str>, envid: &str) -> Option<Box<UnderWay>> {
        let key = (uid?.to_lowercase(), envid.to_owned());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default() += 1;
        Some(Box::new(UnderWay { list: self.clone(), key }))
    }

    pub fn has(&self, uid: &str, envid: &str) -> bool {
        let key = (uid.to_lowercase(), envid.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key)
    }
}

/// See [`UnderWayList`].
pub struct UnderWay {
    list: UnderWayList,
    key: (String, String),
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut list = self.list.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = list.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                list.remove(&self.key);
            }
        }
    }
}

pub fn run(session: &Session, what: Held, id: &str, domains: &[String], io: &Io) -> Reply {
    let Some(uid) = session.uid().filter(|_| session.is_submission_local(io)) else {
        return replies::unknown();
    };
    let gone = Reply::new(550, (5, 1, 1), "No such message in the queue");
    let accepted = session.desk.accepted.as_ref();
    if let Some(envid) = id.strip_prefix("envid=").filter(|_| what == Held::Tell) {
        // First this, then the queue: what is committed in between is found there.
        if session.desk.under_way.has(uid, envid) {
            return Reply::new(451, (4, 3, 0), "It is being taken just now, ask again");
        }
        return match accepted.waiting(envid, uid) {
            Ok(Some((id, until))) => Reply::new(250, (2, 0, 0), format!("held {until} {id}")),
            Ok(None) => gone,
            Err(why) => replies::queue_failed(&why.into()),
        };
    }
    let Some(id) = QueueId::parse(id) else { return gone };
    let found = match what {
        Held::Tell => accepted.whereabouts(&id, uid, domains),
        Held::Undo => accepted.undo(&id, uid),
    };
    match found {
        Ok(Whereabouts::Undone) => Reply::new(250, (2, 0, 0), "Undone"),
        Ok(Whereabouts::Gone) => gone,
        Ok(_) if what == Held::Undo => Reply::new(554, (5, 5, 1), "Too late, it is on its way"),
        Ok(Whereabouts::Waits(until)) => Reply::new(250, (2, 0, 0), format!("held {until}")),
        Ok(Whereabouts::Queued(recipients)) => {
            let lines = recipients.iter().map(|(address, progress)| format!("{} {address}", word(*progress)));
            lines.fold(Reply::new(250, (2, 0, 0), "queued"), Reply::line)
        }
        Err(why) => replies::queue_failed(&why.into()),
    }
}

fn word(progress: Progress) -> &'static str {
    match progress {
        Progress::Pending => "pending",
        Progress::Delivered => "delivered",
        Progress::Failed => "failed",
        Progress::Ended => "ended",
    }
}
