//! XHELD and XUNDO: where a message is that was accepted, and that it be taken back before its time. Ours.
//!
//! Only on the socket of this host's daemons, and only for the user whom the session sends as: another's message is not
//! there. Undo is exact: what is taken back is in the queue no more, durably, when 250 is said, and nobody was sent it;
//! what an attempt has begun with, or whose time has come, is not touched.

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

/// Asks about a message of the user with this uid; when it is to be undone, does that if it still waits.
pub type AskHeld = Box<dyn Fn(Held, &QueueId, &str, &[String]) -> std::io::Result<Whereabouts> + Send + Sync>;

pub fn run(session: &Session, what: Held, id: &str, domains: &[String], io: &Io) -> Reply {
    let uid = session.user.as_ref().and_then(|user| user.uid.as_deref());
    let Some(uid) = uid.filter(|_| session.is_submission_local(io)) else { return replies::unknown() };
    let gone = Reply::new(550, (5, 1, 1), "No such message in the queue");
    let Some(id) = QueueId::parse(id) else { return gone };
    match (session.desk.held)(what, &id, uid, domains) {
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
