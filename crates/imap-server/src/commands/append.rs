//! APPEND: a message straight from the connection to the disk (RFC 3501 §6.3.11), with APPENDUID (RFC 4315 §3).
//!
//! The mailbox is asked for before the client is told to go on, so a refusal costs no transfer.

use std::io::Write;

use connection::Output;
use message_store::{Incoming, NewMessage, Store, StoreError};

use crate::answer;
use crate::names::Who;
use crate::refusal::Refusal;

/// An APPEND whose literal is being received. Dropping it leaves nothing behind.
pub struct Append {
    pub tag: Box<[u8]>,
    incoming: Incoming,
    message: NewMessage,
    /// The first trouble while receiving: the rest of the literal is read and thrown away.
    refusal: Option<Refusal>,
}

impl Append {
    /// Checks mailbox, size and keywords; then the literal may come.
    pub fn begin(
        tag: &[u8],
        store: &Store,
        who: Who<'_>,
        name: &str,
        message: NewMessage,
        size: u64,
        size_max: u64,
    ) -> Result<Append, Refusal> {
        let name = who.to_store(name)?;
        let mailbox = match store.open_mailbox(&name) {
            Err(StoreError::NotFound) => return Err(Refusal::TryCreate),
            other => other?,
        };
        if size > size_max {
            return Err(Refusal::MessageTooBig);
        }
        if message.keywords.len() > answer::KEYWORDS_MAX {
            return Err(Refusal::Limit("A mailbox has at most 64 keywords"));
        }
        Ok(Append { tag: tag.into(), incoming: mailbox.begin_append()?, message, refusal: None })
    }

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

    /// Makes the message durable, then says so: `a7 OK [APPENDUID 38505 3955] APPEND completed`.
    pub fn finish(self, out: &mut Output) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let appended = self.incoming.finish(self.message)?;
        out.push(&self.tag);
        out.push(b" OK [APPENDUID ");
        answer::digits(out, u64::from(appended.uid_validity));
        out.push(b" ");
        answer::digits(out, u64::from(appended.uid));
        out.push(b"] APPEND completed\r\n");
        Ok(())
    }
}
