//! Inspection: what is done about a message between its last byte and its commit.
//!
//! Inspectors look one after the other, each at what the ones before it left: first verification (SPF, DKIM, DMARC), then
//! filters (milters), last what signs. Each answers with an [`Amendment`]: changes and a verdict. Nothing is committed
//! before all have spoken, so a crash leaves nothing that was said 250 to.
//!
//! Inspectors may block, on DNS or on another program, so they run on threads of their own ([`line`]) and the session waits
//! without one, for as long as they say they need at most. Without inspectors a message does not come here at all.

mod amendment;
mod draft;
mod line;

use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connection::TlsState;
use directory::Entry;
use mail_queue::{Envelope, Recipient};
use server_log::{Category, Log};
use smtp_wire::Reply;

use crate::receiving::Received;
use crate::replies;

pub use amendment::{Amendment, Edit, Field, Verdict};
use draft::Draft;
pub(crate) use draft::fields;
pub use line::{InspectionLine, Limits, Pending};

/// What a site has done about its mail before it takes it.
pub trait Inspector: Send + Sync {
    /// For the log.
    fn name(&self) -> &str;

    /// How long it takes at most. It keeps to it by itself; [`Inspected::until`] is when that time is over.
    fn patience(&self) -> Duration;

    /// Whether it has anything to do with mail of this origin. Asked first, and without the message.
    fn concerns(&self, origin: Origin) -> bool;

    /// Whether it vouches for the message as it leaves us, and so comes behind the filters (milters).
    fn signs(&self) -> bool {
        false
    }

    /// Looks, and says what is to be done.
    fn inspect(&self, message: &Inspected<'_>) -> Amendment;
}

/// From whom a message comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody who logged in.
    User,
    /// One of `relaynetworks`, who did not; or a mail server that logged in (`negativehostattr`).
    Network,
    /// Anybody else on a submission port.
    Submission,
    /// Another host, as far as we know.
    Stranger,
}

/// What is known of the client.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: IpAddr,
    /// What it called itself in HELO or EHLO.
    pub helo: String,
    /// It was EHLO.
    pub extended: bool,
    pub tls: TlsState,
    pub user: Option<Arc<Entry>>,
    pub origin: Origin,
    /// Number of the session in its process, for logs.
    pub session: u64,
}

/// A message as an inspector sees it.
pub struct Inspected<'a> {
    pub peer: &'a Peer,
    /// With id, sender and recipients as earlier inspectors left them.
    pub envelope: &'a Envelope,
    /// The header fields, each with its line end, without the empty line behind them. Return-Path and Received of this host
    /// are not among them.
    pub header: &'a [u8],
    /// What stands behind the empty line.
    pub body: &'a [u8],
    /// Header, empty line and body in one piece, if they lie so, as they do until something is changed.
    whole: Option<&'a [u8]>,
    /// When its time is over.
    pub until: Instant,
}

impl<'a> Inspected<'a> {
    /// Header, empty line and body in one piece: a copy when something was changed before.
    pub fn whole(&self) -> std::borrow::Cow<'a, [u8]> {
        match self.whole {
            Some(whole) => whole.into(),
            None => [self.header, b"\r\n", self.body].concat().into(),
        }
    }

    /// The time that is left.
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// All inspectors of a site, in order. Cheap to clone.
#[derive(Clone, Default)]
pub struct Inspectors(Arc<[Arc<dyn Inspector>]>);

impl fmt::Debug for Inspectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|one| one.name())).finish()
    }
}

impl Inspectors {
    pub fn new(inspectors: Vec<Arc<dyn Inspector>>) -> Inspectors {
        Inspectors(inspectors.into())
    }

    /// Those who look at mail of this origin; nothing when nobody does.
    pub fn concerned(&self, origin: Origin) -> Option<Inspectors> {
        if !self.0.iter().any(|one| one.concerns(origin)) {
            return None;
        }
        Some(Inspectors(self.0.iter().filter(|one| one.concerns(origin)).cloned().collect()))
    }

    /// The same with the filters of a session, in front of whoever signs.
    #[must_use]
    pub fn with_filters(&self, filters: Vec<Arc<dyn Inspector>>) -> Inspectors {
        let at = self.0.iter().position(|one| one.signs()).unwrap_or(self.0.len());
        let (before, behind) = self.0.split_at(at);
        Inspectors(before.iter().cloned().chain(filters).chain(behind.iter().cloned()).collect())
    }

    /// What all of them may take.
    fn patience(&self) -> Duration {
        self.0.iter().map(|one| one.patience()).fold(Duration::ZERO, Duration::saturating_add)
    }
}

/// A message that was received and is not committed.
pub struct Case {
    pub peer: Peer,
    pub received: Received,
    pub envelope: Envelope,
}

/// What is to become of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is committed; held when its envelope says so.
    Commit,
    Refuse(Reply),
    /// 250 is said and nothing kept.
    Discard,
}

impl Case {
    /// Has everybody look at the message and does what they say to message and envelope.
    pub fn inspect(&mut self, inspectors: &Inspectors, log: &Log) -> Fate {
        match self.look(inspectors, log) {
            Ok(fate) => fate,
            Err(why) => {
                let id = &self.envelope.id;
                log.error(Category::General, format_args!("{id}: not inspected: {why}"));
                Fate::Refuse(replies::queue_failed(&why))
            }
        }
    }

    fn look(&mut self, inspectors: &Inspectors, log: &Log) -> Result<Fate, mail_queue::QueueError> {
        let Case { peer, received, envelope } = self;
        let bytes = received.message.look()?;
        let mut draft = Draft::new(&bytes, received.relay_offset, received.content_offset);
        let (sender, mut verdict) = (envelope.sender.clone(), Verdict::Accept);
        for inspector in inspectors.0.iter() {
            let until = Instant::now() + inspector.patience();
            let view = draft.view(peer, envelope, until);
            let looked = catch_unwind(AssertUnwindSafe(|| inspector.inspect(&view)));
            let name = inspector.name();
            let Ok(amendment) = looked else {
                log.critical(Category::General, format_args!("{}: {name}: panic", envelope.id));
                return Ok(Fate::Refuse(replies::not_inspected()));
            };
            match &amendment.verdict {
                Verdict::Accept => {}
                Verdict::Refuse(reply) => {
                    tell(log, peer, envelope, name, &format_args!("refused with {reply}"));
                    return Ok(Fate::Refuse(reply.clone()));
                }
                Verdict::Discard(why) => {
                    tell(log, peer, envelope, name, &format_args!("thrown away: {}", base::escape(why)));
                    return Ok(Fate::Discard);
                }
                Verdict::Quarantine(why) => {
                    tell(log, peer, envelope, name, &format_args!("held: {}", base::escape(why)));
                    verdict = amendment.verdict.clone();
                }
            }
            envelope.eight_bit |= amendment.has_eight_bit();
            draft.apply(amendment, envelope);
        }
        if let Verdict::Quarantine(why) = verdict {
            envelope.held = true;
            envelope.last_error = why;
        }
        if envelope.recipients.is_empty() {
            tell(log, peer, envelope, "inspection", &"thrown away: no recipient is left");
            return Ok(Fate::Discard);
        }
        let return_path = (envelope.sender != sender).then(|| envelope.sender.as_deref().unwrap_or(""));
        if let Some((parts, relay_offset)) = draft.parts(return_path) {
            drop(bytes);
            received.message.rebuild(&parts)?;
            received.relay_offset = relay_offset;
        }
        Ok(Fate::Commit)
    }
}

/// One line about a message that is not simply taken.
fn tell(log: &Log, peer: &Peer, envelope: &Envelope, inspector: &str, what: &dyn fmt::Display) {
    let sender = envelope.sender.as_deref().unwrap_or("");
    log.notice(
        Category::Protocol,
        format_args!(
            "smtp-accept: {} from=<{}> client=[{}] {inspector}: {what}",
            envelope.id,
            base::escape(sender),
            peer.address.to_canonical()
        ),
    );
}

/// Puts recipients where they are not yet, and takes away others. Addresses are compared as they are written, domains in
/// any case.
fn change_recipients(envelope: &mut Envelope, added: Vec<Recipient>, deleted: &[String]) {
    let same = |one: &str, other: &str| match (one.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((local, domain)), Some((other, its))) => local == other && domain.eq_ignore_ascii_case(its),
        _ => one == other,
    };
    envelope.recipients.retain(|one| !deleted.iter().any(|gone| same(gone, &one.address)));
    for recipient in added {
        if !envelope.recipients.iter().any(|one| same(&one.address, &recipient.address)) {
            envelope.recipients.push(recipient);
        }
    }
}

#[cfg(test)]
mod tests;
