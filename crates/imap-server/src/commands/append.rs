//! APPEND: a message straight from the connection to the disk (RFC 3501 §6.3.11), with APPENDUID (RFC 4315 §3).
//!
//! The mailbox is asked for before the client is told to go on, so a refusal costs no transfer.

use std::io::Write;

use base::clock;
use message_store::{Incoming, NewMessage, Store, StoreError};

use crate::answer;
use crate::flags;
use crate::names::{self, Who};
use crate::refusal::Refusal;

/// An APPEND whose literal is being received. Dropping it leaves nothing behind.
pub struct Append {
    incoming: Incoming,
    message: NewMessage,
    /// The first trouble while receiving: the rest of the literal is read and thrown away.
    refusal: Option<Refusal>,
}

impl Append {
    /// Checks mailbox, size and keywords; then the literal may come.
    pub fn begin(
        store: &Store,
        who: Who<'_>,
        asked: imap_wire::Append,
        size_max: u64,
    ) -> Result<Append, Refusal> {
        let name = who.to_store(names::named(&asked.mailbox)?)?;
        let mailbox = match store.open_mailbox(&name) {
            Err(StoreError::NotFound) => return Err(Refusal::TryCreate),
            other => other?,
        };
        if asked.literal.binary {
            return Err(Refusal::UnknownCte); // RFC 3516 §4.4: BINARY is not offered
        }
        match asked.literal.size {
            None => return Err(Refusal::Syntax("Number of a literal out of range")),
            Some(size) if u64::from(size) > size_max => return Err(Refusal::MessageTooBig),
            Some(_) => {}
        }
        if asked.flags.keywords.len() > answer::KEYWORDS_MAX {
            return Err(Refusal::Limit("A mailbox has at most 64 keywords"));
        }
        let message = NewMessage {
            flags: flags::of_list(&asked.flags),
            keywords: asked.flags.keywords,
            internal_date_ns: asked
                .date
                .map_or_else(clock::unix_nanos, |seconds| seconds.saturating_mul(1_000_000_000)),
        };
        Ok(Append { incoming: mailbox.begin_append()?, message, refusal: None })
    }

    /// Takes a piece of the message.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.refusal.is_some() {
            return;
        }
        if memchr::memchr(0, bytes).is_some() {
            self.refusal = Some(Refusal::Syntax("NUL in a literal")); // RFC 3501 §4.3: CHAR8 has no NUL
        } else if let Err(error) = self.incoming.write_all(bytes) {
            self.refusal = Some(Refusal::Store(error.into()));
        }
    }

    /// Makes the message durable; the response code: `[APPENDUID 38505 3955]`.
    pub fn finish(self) -> Result<String, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let appended = self.incoming.finish(self.message)?;
        Ok(format!("APPENDUID {} {}", appended.uid_validity, appended.uid))
    }
}
