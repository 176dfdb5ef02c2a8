//! APPEND: messages straight from the connection to the disk (RFC 3501 §6.3.11), all or none (RFC 3502), with APPENDUID
//! (RFC 4315 §3).
//!
//! REPLACE is an APPEND that makes another message go (RFC 8508), both or neither. With CATENATE a message is put together from
//! texts and from what is in the store already (RFC 4469): that is copied as it comes, so that a URL that is good when it is
//! named is good for all of the command.
//!
//! A literal is a message of RFC 5322: an LF without CR becomes a line end, as it would be for any reader. A literal8 stays
//! as it is, and so does what URLs name.
//!
//! The mailbox is asked for before the client is told to go on, so a refusal costs no transfer.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use base::clock;
use imap_wire::SequenceSet;
use imap_wire::command::append::{Announced, Item, Message, Piece, Replaced, Text, Then};
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
use crate::urls;
use crate::view::View;

/// Messages of one command.
const MESSAGES_MAX: usize = 100;
/// URLs of one command.
const URLS_MAX: u32 = 1000;

/// An APPEND that is being received. Dropping it leaves nothing behind.
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
    now: Option<Now>,
    /// What comes next.
    then: Then,
    urls: u32,
    /// Bytes that URLs named, of all messages.
    copied: u64,
    /// The message that goes when this one comes.
    replaces: Option<Old>,
    /// The first trouble while receiving: the rest of the literal is read and thrown away.
    refusal: Option<Refusal>,
}

/// The present message.
struct Now {
    incoming: Incoming,
    message: NewMessage,
    line_ends: LineEnds,
    /// Bytes that were announced, or copied.
    size: u64,
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
    /// Checks the mailbox, and all that stands before the first text.
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
        let mut append = Append {
            size_max,
            messages_max: server.settings().saved_max,
            within: flags::within(server.rights(who, &name)?),
            seen: who.apart_in(&name).map(|uid| mailbox.seen_by(uid)).transpose()?,
            mailbox,
            room,
            complete: Vec::new(),
            now: None,
            then: Then::End,
            urls: 0,
            copied: 0,
            replaces,
            refusal: None,
        };
        append.take(server, who, asked.piece)?;
        Ok(append)
    }

    /// What stands behind the text that was received; false when it ends with an argument that was not sent yet.
    ///
    /// # Errors
    /// The command is over; nothing was stored.
    pub fn go_on(&mut self, server: &Server, who: Who<'_>, bytes: &[u8]) -> Result<bool, Refusal> {
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        let Then::Text(behind) = self.then else {
            return Err(Refusal::Syntax("Expected the end of the command behind the message"));
        };
        match imap_wire::command::append::next(bytes, behind)? {
            Announced::Argument => Ok(false),
            Announced::Read(piece) => self.take(server, who, piece).map(|()| true),
        }
    }

    /// What comes next.
    pub fn then(&self) -> Then {
        self.then
    }

    fn take(&mut self, server: &Server, who: Who<'_>, piece: Piece) -> Result<(), Refusal> {
        for item in piece.items {
            match item {
                Item::Message(message) => self.begin_message(message)?,
                Item::Url(url) => self.copy(server, who, &url)?,
            }
        }
        if let Then::Text(text) = piece.then {
            self.expect(text)?;
        }
        self.then = piece.then;
        Ok(())
    }

    /// Another message.
    fn begin_message(&mut self, asked: Message) -> Result<(), Refusal> {
        let message = check(asked, self.within)?;
        if let Some(now) = self.now.take() {
            if self.replaces.is_some() {
                return Err(Refusal::Syntax("REPLACE takes one message")); // RFC 8508 §5
            }
            let before = self.complete.len() + 1;
            if let Some(most) = self.messages_max.filter(|most| before >= *most as usize) {
                return Err(Refusal::MessageLimit { most, lowest: None });
            }
            if before >= MESSAGES_MAX {
                return Err(Refusal::Limit("Too many messages in one APPEND; at most 100"));
            }
            self.complete.push((now.incoming.complete()?, now.message));
        }
        self.fill(Usage::of_message(0))?;
        let incoming = self.mailbox.begin_append()?;
        self.now = Some(Now { incoming, message, line_ends: LineEnds::default(), size: 0 });
        Ok(())
    }

    /// So much more is to come in. Known before the client sends it; whether it fits is decided when it is stored.
    fn fill(&mut self, more: Usage) -> Result<(), Refusal> {
        self.room.usage = self.room.usage.plus(more);
        if self.room.limits.exceeded_by(self.room.usage) {
            return Err(Refusal::Store(StoreError::OverQuota));
        }
        Ok(())
    }

    /// So many bytes more of the present message.
    fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        if let Some(now) = &mut self.now {
            now.size = now.size.saturating_add(bytes);
            if now.size > self.size_max {
                return Err(Refusal::MessageTooBig); // RFC 4469 §4
            }
        }
        self.fill(Usage { bytes, messages: 0 })
    }

    /// A text is announced.
    fn expect(&mut self, text: Text) -> Result<(), Refusal> {
        let Some(size) = text.literal.size else {
            return Err(Refusal::Syntax("Number of a literal out of range"));
        };
        self.grow(size.into())?;
        if size == 0 && !text.is_part && !self.complete.is_empty() {
            return Err(Refusal::Cannot("An empty message ends the command; nothing was stored"));
        }
        Ok(())
    }

    /// What a URL names becomes part of the message (RFC 4469 §3).
    fn copy(&mut self, server: &Server, who: Who<'_>, url: &[u8]) -> Result<(), Refusal> {
        self.urls = self.urls.saturating_add(1);
        if self.urls > URLS_MAX {
            return Err(Refusal::Limit("Too many URLs in one APPEND; at most 1000"));
        }
        let content = urls::content(server, who, url)?;
        self.grow(content.size())?;
        self.copied = self.copied.saturating_add(content.size());
        if self.copied > self.size_max {
            return Err(Refusal::Limit("The URLs of one APPEND name more bytes than a message may have"));
        }
        let Some(now) = &mut self.now else { return Ok(()) };
        content.for_each(|bytes| {
            let _ = now.line_ends.mend(bytes); // whether it ends with a CR
            now.incoming.write_all(bytes).map_err(|error| Refusal::Store(error.into()))
        })
    }

    /// Takes a piece of the text.
    pub fn receive(&mut self, bytes: &[u8]) {
        let (Then::Text(text), Some(now), None) = (self.then, &mut self.now, &self.refusal) else { return };
        if memchr::memchr(0, bytes).is_some() {
            // RFC 3501 §4.3: CHAR8 has no NUL. A literal8 may have it, but BODY[] of the message could not say it.
            let nul = Refusal::Syntax("NUL in a literal");
            self.refusal = Some(if text.literal.binary { Refusal::UnknownCte } else { nul });
            return;
        }
        let mended = now.line_ends.mend(bytes);
        let bytes = if text.literal.binary { Cow::Borrowed(bytes) } else { mended };
        if let Err(error) = now.incoming.write_all(&bytes) {
            self.refusal = Some(Refusal::Store(error.into()));
        }
    }

    pub fn target(&self) -> MailboxName {
        self.mailbox.name()
    }

    /// Whether this is a REPLACE.
    pub fn is_replace(&self) -> bool {
        self.replaces.is_some()
    }

    /// Makes the messages durable; the response code: `[APPENDUID 38505 3955]`.
    pub fn finish(self) -> Result<String, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let Append { mailbox, seen, mut complete, now, replaces, .. } = self;
        let Some(Now { incoming, mut message, .. }) = now else {
            return Err(Refusal::Syntax("Expected a message"));
        };
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
fn check(asked: Message, within: Within) -> Result<NewMessage, Refusal> {
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
