//! A message on its way into mailboxes of the account: made here, or imported.

use std::collections::BTreeMap;
use std::io::{self, Write};

use message_store::{Flags, NewMessage, Rights, StoreError, UidSet};
use openssl::sha::Sha256;
use serde_json::{Map, Value, json};

use super::keywords::Keywords;
use crate::account::{Inner, MailboxView, Target};
use crate::request::Call;
use crate::set_error::SetError;
use crate::{ids, limits};

type Result<T> = std::result::Result<T, SetError>;

/// Where a message is to go, and with what.
pub struct Destination {
    mailboxes: Vec<Target>,
    keywords: Keywords,
    received_ns: i64,
}

/// The mailboxes of `Id[Boolean]`, by number.
///
/// # Errors
/// `invalidProperties`: there are none, or one does not exist; `tooManyMailboxes`; `forbidden`.
pub fn mailboxes<'a>(
    call: &Call<'_>,
    account: &'a Inner,
    value: Option<&Value>,
) -> Result<BTreeMap<u16, &'a MailboxView>> {
    let wrong = |why: &str| SetError::properties(&["mailboxIds"], why);
    let map = value.and_then(Value::as_object).ok_or_else(|| wrong("It is no map"))?;
    let mut found = BTreeMap::new();
    for (id, is) in map {
        if *is != Value::Bool(true) {
            return Err(wrong("A value is not true"));
        }
        let known = call.real_id(id).and_then(|id| account.mailbox_named(id));
        let (number, view) = known.ok_or_else(|| wrong("There is no such mailbox"))?;
        if view.mailbox.is_none() {
            return Err(SetError::forbidden("The mailbox only stands above others"));
        }
        found.insert(number, view);
    }
    if found.is_empty() {
        return Err(wrong("An email is in one mailbox at least"));
    }
    if found.len() > limits::MAX_MAILBOXES_PER_EMAIL {
        return Err(SetError::new("tooManyMailboxes", "An email cannot be in so many mailboxes"));
    }
    Ok(found)
}

impl Destination {
    /// Of `mailboxIds`, `keywords` and `receivedAt` of an object.
    ///
    /// # Errors
    /// As [`mailboxes`]; `invalidProperties`, `tooManyKeywords`.
    pub fn read(
        call: &Call<'_>,
        account: &Inner,
        object: &Map<String, Value>,
        now_ns: i64,
    ) -> Result<Destination> {
        let found = mailboxes(call, account, object.get("mailboxIds"))?;
        if found.values().any(|view| !view.rights.contains(Rights::INSERT)) {
            return Err(SetError::forbidden("The mailbox takes no messages of yours"));
        }
        let keywords = match object.get("keywords").filter(|value| !value.is_null()) {
            None => Keywords::default(),
            Some(value) => Keywords::of_json(value)
                .ok_or_else(|| SetError::properties(&["keywords"], "It is no set of keywords"))?,
        };
        if keywords.are_too_many() {
            return Err(SetError::new("tooManyKeywords", "An email cannot have so many keywords"));
        }
        let received_ns = match object.get("receivedAt").filter(|value| !value.is_null()) {
            None => now_ns,
            Some(value) => value
                .as_str()
                .and_then(super::filter::utc_nanos)
                .ok_or_else(|| SetError::properties(&["receivedAt"], "It is no UTCDate"))?,
        };
        let mailboxes = found.values().filter_map(|view| view.target()).collect();
        Ok(Destination { mailboxes, keywords, received_ns })
    }

    /// Takes the message that `write` writes into all of the mailboxes; its guid.
    ///
    /// # Errors
    /// `alreadyExists`; the store's. It is in none of the mailboxes then.
    pub fn take(
        &self,
        known: impl Fn(&[u8; 16]) -> bool,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<([u8; 16], u64)> {
        let Some((first, others)) = self.mailboxes.split_first() else {
            return Err(SetError::properties(&["mailboxIds"], "An email is in one mailbox at least"));
        };
        let mut hashing = Hashing { to: first.mailbox.begin_append()?, digest: Sha256::new(), size: 0 };
        write(&mut hashing).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => SetError::new("tooLarge", "The message is too large"),
            io::ErrorKind::InvalidData => SetError::new("invalidEmail", "It cannot stand in a message"),
            _ => error.into(),
        })?;
        let Hashing { to, digest, size } = hashing;
        let mut guid = [0; 16];
        guid.copy_from_slice(&digest.finish()[..16]);
        if known(&guid) {
            let existing = ids::email(&guid);
            return Err(SetError::new("alreadyExists", "The account has it already")
                .with("existingId", json!(existing)));
        }
        let message = NewMessage {
            flags: self.keywords.flags,
            keywords: self.keywords.names.clone(),
            internal_date_ns: self.received_ns,
        };
        let is_seen = first.is_apart() && message.flags.contains(Flags::SEEN);
        let appended = to.finish(first.limited(message))?;
        let uids = UidSet::single(appended.uid);
        let mut copies: Vec<(&Target, UidSet)> = vec![(first, uids.clone())];
        let undo = |copies: Vec<(&Target, UidSet)>, error: StoreError| {
            // All or none.
            let removed = copies.into_iter().try_for_each(|(to, uids)| to.mailbox.remove(&uids).map(drop));
            SetError::from(removed.err().unwrap_or(error))
        };
        if is_seen {
            first.mark_seen(&uids, true).map_err(|error| undo(vec![(first, uids.clone())], error))?;
        }
        for other in others {
            match first.put_into(&uids, other, false) {
                Ok(uids) => copies.push((other, uids)),
                Err(error) => return Err(undo(copies, error)),
            }
        }
        Ok((guid, size))
    }
}

/// Counts and hashes what is written.
struct Hashing<W> {
    to: W,
    digest: Sha256,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > limits::MAX_SIZE_MESSAGE * 3 / 2 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.to.write_all(bytes)?;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
