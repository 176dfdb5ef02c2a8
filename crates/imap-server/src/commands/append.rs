//! APPEND: messages straight from the connection to the disk (RFC 3501 §6.3.11), all or none (RFC 3502), with APPENDUID
//! (RFC 4315 §3).
//!
//! REPLACE is an APPEND that makes another message go (RFC 8508), both or neither.
//!
//! A literal is a message of RFC 5322: an LF without CR becomes a line end, as it would be for any reader. A literal8 stays
//! as it is.
//!
//! The mailbox is asked for before the client is told to go on, so a refusal costs no transfer.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use base::clock;
use imap_wire::SequenceSet;
use imap_wire::command::append::Replaced;
use mail_format::LineEnds;
use message_store::{
    Appended, Complete, Flags, Incoming, Mailbox, MailboxName, NewMessage, Quota, Rights, SeenBy, StoreError,
    Usage, Within,
};

use crate::answer;
use crate::flags;
use crate::names::{self, Who};
use crate::refusal::Refusal;
use crate::sequences;
use crate::server::Server;
use crate::view::View;

/// Messages of one command.
const MESSAGES_MAX: usize = 100;

/// An APPEND whose literal is being received. Dropping it leaves nothing behind.
pub struct Append {
    mailbox: Arc<Mailbox>,
    size_max: u64,
    /// Messages that the command may have, if the administrator says so (RFC 9738).
    messages_max: Option<u32>,
    /// The flags that may be set.
    within: Within,
    /// Of an author who has \Seen apart in the mailbox.
    seen: Option<Arc<SeenBy>>,
    /// What the owner of the mailbox has, with the messages that were announced.
    room: Quota,
    /// Messages before the present one.
    complete: Vec<(Complete, NewMessage)>,
    incoming: Incoming,
    line_ends: LineEnds,
    message: NewMessage,
    /// It comes as a literal8 (RFC 3516 §4.4).
    is_binary: bool,
    /// It stands in the parentheses of `UTF8 (...)` (RFC 6855 §4).
    is_utf8: bool,
    /// The message that goes when this one comes.
    replaces: Option<Old>,
    /// The first trouble while receiving: the rest of the literal is read and thrown away.
    refusal: Option<Refusal>,
}

/// A message of the selected mailbox that is to be replaced.
pub struct Old {
    mailbox: Arc<Mailbox>,
    uid: u32,
    size: u32,
}

impl Old {
    /// The message a client means.
    ///
    /// # Errors
    /// The mailbox is read-only, or there is no such message (any more).
    pub fn find(asked: Replaced, view: &View) -> Result<Old, Refusal> {
        if view.is_read_only() {
            return Err(Refusal::ReadOnly);
        }
        view.may(Rights::READ | Rights::DELETE_MESSAGES | Rights::EXPUNGE)?;
        let set = SequenceSet(vec![(asked.message, asked.message)]);
        let sequence = sequences::resolve(&set, view, asked.uid)?.first().map(|range| *range.start());
        let record = sequence.and_then(|sequence| view.record(sequence)).map(|(_, record)| record);
        match record {
            None => Err(Refusal::Cannot("No such message")),
            Some(record) if record.is_expunged() => Err(Refusal::ExpungeIssued),
            Some(record) => Ok(Old { mailbox: view.mailbox.clone(), uid: record.uid, size: record.size }),
        }
    }
}

impl Append {
    /// Checks mailbox, size and keywords; then the literal may come.
    pub fn begin(
        server: &Server,
        who: Who<'_>,
        asked: imap_wire::Append,
        size_max: u64,
        replaces: Option<Old>,
    ) -> Result<Append, Refusal> {
        let store = &server.store;
        let name = server.target(who, names::named(&asked.mailbox)?)?;
        let mailbox = match store.open_mailbox(&name) {
            Err(StoreError::NotFound) => return Err(Refusal::TryCreate),
            other => other?,
        };
        let mut room = store.room_in(&name)?;
        if let Some(old) = replaces.as_ref().filter(|old| old.mailbox.name().owner() == name.owner()) {
            room.usage.bytes = room.usage.bytes.saturating_sub(old.size.into());
            room.usage.messages = room.usage.messages.saturating_sub(1);
        }
        let (is_binary, is_utf8) = (asked.message.literal.binary, asked.message.utf8);
        let within = flags::within(server.rights(who, &name)?);
        let seen = who.apart_in(&name).map(|uid| mailbox.seen_by(uid)).transpose()?;
        let message = check(asked.message, size_max, within, &mut room)?;
        let incoming = mailbox.begin_append()?;
        let complete = Vec::new();
        Ok(Append {
            mailbox,
            size_max,
            messages_max: server.settings().saved_max,
            within,
            seen,
            room,
            complete,
            incoming,
            line_ends: LineEnds::default(),
            message,
            is_binary,
            is_utf8,
            replaces,
            refusal: None,
        })
    }

    /// Another message of the same command is announced behind the one that was received.
    ///
    /// # Errors
    /// The command is over; nothing was stored.
    pub fn next(self, line: &[u8]) -> Result<Append, Refusal> {
        let Append {
            mailbox,
            size_max,
            messages_max,
            within,
            seen,
            mut room,
            mut complete,
            incoming,
            message,
            replaces,
            refusal,
            ..
        } = self;
        if replaces.is_some() {
            return Err(Refusal::Syntax("REPLACE takes one message")); // RFC 8508 §5
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let asked = imap_wire::command::append::next(line)?;
        let is_empty = asked.literal.size == Some(0);
        let (is_binary, is_utf8) = (asked.literal.binary, asked.utf8);
        let next = check(asked, size_max, within, &mut room)?;
        if is_empty {
            return Err(Refusal::Cannot("An empty message ends the command; nothing was stored"));
        }
        if let Some(most) = messages_max.filter(|most| complete.len() + 1 >= *most as usize) {
            return Err(Refusal::MessageLimit { most, lowest: None });
        }
        if complete.len() + 1 >= MESSAGES_MAX {
            return Err(Refusal::Limit("Too many messages in one APPEND; at most 100"));
        }
        complete.push((incoming.complete()?, message));
        let incoming = mailbox.begin_append()?;
        let (message, replaces) = (next, None);
        Ok(Append {
            mailbox,
            size_max,
            messages_max,
            within,
            seen,
            room,
            complete,
            incoming,
            line_ends: LineEnds::default(),
            message,
            is_binary,
            is_utf8,
            replaces,
            refusal: None,
        })
    }

    /// Takes a piece of the message.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.refusal.is_some() {
            return;
        }
        if memchr::memchr(0, bytes).is_some() {
            // RFC 3501 §4.3: CHAR8 has no NUL. A literal8 may have it, but BODY[] of the message could not say it.
            let nul = Refusal::Syntax("NUL in a literal");
            self.refusal = Some(if self.is_binary { Refusal::UnknownCte } else { nul });
            return;
        }
        let bytes = if self.is_binary { Cow::Borrowed(bytes) } else { self.line_ends.mend(bytes) };
        if let Err(error) = self.incoming.write_all(&bytes) {
            self.refusal = Some(Refusal::Store(error.into()));
        }
    }

    /// Whether a parenthesis closes behind the message.
    pub fn is_utf8(&self) -> bool {
        self.is_utf8
    }

    /// Whether this is a REPLACE.
    pub fn target(&self) -> MailboxName {
        self.mailbox.name()
    }

    pub fn is_replace(&self) -> bool {
        self.replaces.is_some()
    }

    /// Makes the messages durable; the response code: `[APPENDUID 38505 3955]`.
    pub fn finish(self) -> Result<String, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let Append { mailbox, seen, mut complete, incoming, mut message, replaces, .. } = self;
        let mut seen_ones = vec![take_seen(seen.as_ref(), &mut message)];
        if let Some(old) = replaces {
            let message = (incoming.complete()?, message);
            let appended = mailbox.replace(message, &old.mailbox, old.uid).map_err(|error| match error {
                StoreError::NotFound => Refusal::ExpungeIssued, // somebody was faster
                error => error.into(),
            })?;
            mark_seen(seen.as_ref(), &[appended], &seen_ones);
            return Ok(format!("APPENDUID {} {}", appended.uid_validity, appended.uid));
        }
        if complete.is_empty() {
            let appended = incoming.finish(message)?;
            mark_seen(seen.as_ref(), &[appended], &seen_ones);
            return Ok(format!("APPENDUID {} {}", appended.uid_validity, appended.uid));
        }
        let before = complete.iter_mut().map(|(_, message)| take_seen(seen.as_ref(), message));
        seen_ones.splice(0..0, before.collect::<Vec<bool>>());
        complete.push((incoming.complete()?, message));
        let appended = mailbox.append_all(&complete)?;
        mark_seen(seen.as_ref(), &appended, &seen_ones);
        let uids = answer::uid_set(appended.iter().map(|one| one.uid));
        let uid_validity = appended.first().map_or(0, |one| one.uid_validity);
        Ok(format!("APPENDUID {uid_validity} {uids}"))
    }
}

/// Whether the author has seen a message, which others have not.
fn take_seen(apart: Option<&Arc<SeenBy>>, message: &mut NewMessage) -> bool {
    let is_seen = apart.is_some() && message.flags.contains(Flags::SEEN);
    if is_seen {
        message.flags = message.flags & !Flags::SEEN;
    }
    is_seen
}

/// The messages are stored: a client that is told NO now would store them again.
fn mark_seen(apart: Option<&Arc<SeenBy>>, appended: &[Appended], seen: &[bool]) {
    let uids = appended.iter().zip(seen).filter(|(_, seen)| **seen).map(|(one, _)| one.uid).collect();
    if let Some(apart) = apart {
        let _ = apart.change(&uids, true);
    }
}

/// What the message is stored with, if it can be.
fn check(
    asked: imap_wire::command::append::Message,
    size_max: u64,
    within: Within,
    room: &mut Quota,
) -> Result<NewMessage, Refusal> {
    match asked.literal.size {
        None => return Err(Refusal::Syntax("Number of a literal out of range")),
        Some(size) if u64::from(size) > size_max => return Err(Refusal::MessageTooBig),
        Some(size) => room.usage = room.usage.plus(Usage::of_message(u64::from(size))),
    }
    // Known before the client sends it. Whether it fits is decided when it is stored.
    if room.limits.exceeded_by(room.usage) {
        return Err(Refusal::Store(StoreError::OverQuota));
    }
    if asked.flags.keywords.len() > answer::KEYWORDS_MAX {
        return Err(Refusal::Limit("A mailbox has at most 64 keywords"));
    }
    let mut message = NewMessage {
        flags: flags::of_list(&asked.flags),
        keywords: asked.flags.keywords,
        internal_date_ns: asked
            .date
            .map_or_else(clock::unix_nanos, |seconds| seconds.saturating_mul(1_000_000_000)),
    };
    flags::limit(&mut message, within);
    Ok(message)
}
