//! What came between two states of an account: exactly, or not at all (RFC 8620 §5.2).
//!
//! A record tells when its message was created and when it was changed last; so whether the message existed at a state, and
//! whether something about it was changed since, can be said of every record, an expunged one included, as long as the store
//! has it. The email exists when any of its messages does.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Value, json};

use crate::account::{Inner, MailboxView, NONE};
use crate::arguments::{Arguments, wrong};
use crate::error::{MethodError, Result};
use crate::limits::CHANGES_MAX;
use crate::state::{EmailState, Known, Point, short};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Created,
    Updated,
    Destroyed,
}

impl Change {
    fn of(existed: bool, exists: bool) -> Option<Change> {
        match (existed, exists) {
            (false, true) => Some(Change::Created),
            (true, true) => Some(Change::Updated),
            (true, false) => Some(Change::Destroyed),
            (false, false) => None,
        }
    }
}

/// By id.
pub type Changed = BTreeMap<[u8; 16], Change>;

pub fn cannot() -> MethodError {
    MethodError::new("cannotCalculateChanges", "")
}

/// A message as its record tells of it.
struct Message {
    mailbox: u64,
    uid: u32,
    modseq: u64,
    created: u64,
    is_expunged: bool,
}

impl Message {
    /// Whether it was there for who knew the mailbox up to a point.
    fn existed(&self, point: &Point) -> Result<bool> {
        if self.created > point.modseq || (self.is_expunged && self.modseq <= point.modseq) {
            return Ok(false);
        }
        match &point.deleted {
            Some(deleted) => Ok(deleted.binary_search(&self.uid).is_err()),
            None if self.modseq <= point.modseq => Ok(true), // not changed since: as it is now
            None => Err(cannot()),
        }
    }
}

/// The emails that changed since a state, and at which states they existed.
struct Between<'a> {
    account: &'a Inner,
    from: &'a EmailState,
    to: &'a EmailState,
    /// Messages that changed, by email.
    changed: BTreeMap<[u8; 16], Vec<Message>>,
    /// Emails that went with a mailbox that is deleted.
    buried: HashSet<[u8; 16]>,
    /// A slot with an expunged message of an email, to read its header once more.
    slots: BTreeMap<[u8; 16], (u16, u32)>,
}

impl<'a> Between<'a> {
    fn new(account: &'a Inner, from: &'a EmailState, to: &'a EmailState) -> Result<Between<'a>> {
        let (changed, buried, slots) = (BTreeMap::new(), HashSet::new(), BTreeMap::new());
        let mut between = Between { account, from, to, changed, buried, slots };
        between.look_for_deleted_mailboxes()?;
        for (number, view) in account.mailboxes() {
            between.look_into(number, view)?;
        }
        Ok(between)
    }

    fn look_for_deleted_mailboxes(&mut self) -> Result<()> {
        let readable = self.account.mailboxes().filter(|(_, view)| view.is_readable());
        let there: BTreeSet<u64> = readable.map(|(_, view)| short(view.listed.id)).collect();
        for point in self.from.0.iter().filter(|point| point.messages > 0 && !there.contains(&point.mailbox))
        {
            let known = |grave: &&crate::account::refresh::Grave| {
                grave.mailbox == point.mailbox && grave.modseq == point.modseq
            };
            let grave = self.account.graves.iter().find(known).ok_or_else(cannot)?;
            for guid in &grave.emails {
                self.changed.entry(*guid).or_default();
                self.buried.insert(*guid);
            }
        }
        Ok(())
    }

    fn look_into(&mut self, number: u16, view: &MailboxView) -> Result<()> {
        let Some(mailbox) = view.mailbox.as_ref().filter(|_| view.is_readable()) else { return Ok(()) };
        let mailbox_id = short(view.listed.id);
        let since = self.from.point(mailbox_id).map_or(0, |point| point.modseq);
        if since < view.forgotten_modseq
            && self.from.point(mailbox_id).is_some_and(|point| point.messages > 0)
        {
            return Err(cannot());
        }
        if since >= view.highest_modseq && view.rows.iter().all(|row| row.modseq <= since) {
            return Ok(());
        }
        let reader = mailbox.reader()?;
        if reader.generation() != view.generation {
            return Err(MethodError::new("serverUnavailable", "The mailbox is being rebuilt; try again"));
        }
        for (slot, row) in (0..).zip(&view.rows).filter(|(_, row)| row.modseq > since && row.uid != 0) {
            let cold = reader.cold(slot)?;
            self.changed.entry(cold.guid).or_default().push(Message {
                mailbox: mailbox_id,
                uid: row.uid,
                modseq: row.modseq,
                created: view.shown_modseq(cold.created_modseq),
                is_expunged: row.flags.contains(message_store::Flags::EXPUNGED),
            });
            self.slots.insert(cold.guid, (number, slot));
        }
        Ok(())
    }

    /// Whether an email was there at a state.
    fn existed(&self, guid: &[u8; 16], state: &EmailState, is_from: bool) -> Result<bool> {
        if is_from && self.buried.contains(guid) {
            return Ok(true);
        }
        for message in self.changed.get(guid).into_iter().flatten() {
            if let Some(point) = state.point(message.mailbox) {
                if message.existed(point)? {
                    return Ok(true);
                }
            }
        }
        // Messages that did not change since: they were there at both states, or at none.
        let Some((_, email)) = self.account.email_of(guid) else { return Ok(false) };
        let unchanged = self.account.rows(email).any(|(_, _, view, row)| {
            let since = self.from.point(short(view.listed.id));
            since.is_some_and(|since| row.modseq <= since.modseq)
                && state.point(short(view.listed.id)).is_some()
        });
        Ok(unchanged)
    }

    fn emails(&self) -> Result<Changed> {
        let mut changes = Changed::new();
        for guid in self.changed.keys() {
            let (existed, exists) =
                (self.existed(guid, self.from, true)?, self.existed(guid, self.to, false)?);
            if let Some(change) = Change::of(existed, exists) {
                changes.insert(*guid, change);
            }
        }
        Ok(changes)
    }

    /// The thread of an email that is, or was.
    fn thread(&self, guid: &[u8; 16]) -> Result<[u8; 16]> {
        if let Some(id) = self.account.email_of(guid).and_then(|(_, email)| self.account.thread_id(email)) {
            return Ok(id);
        }
        let known = self.account.number_of(guid).and_then(|number| self.account.email(number));
        let threads = self.account.threads.as_ref();
        if let Some(id) =
            known.filter(|email| email.thread != NONE).and_then(|email| threads?.id(email.thread))
        {
            return Ok(*id);
        }
        let (number, slot) = self.slots.get(guid).ok_or_else(cannot)?;
        let view = self.account.mailbox(*number).ok_or_else(cannot)?;
        let uid = view.rows.get(*slot as usize).map_or(0, |row| row.uid);
        let mailbox = view.mailbox.as_ref().ok_or_else(cannot)?;
        let header = crate::email::message::header(mailbox, *slot, uid)?.ok_or_else(cannot)?;
        Ok(mail_format::thread_id(&header, guid))
    }

    /// Threads that emails came to or left.
    fn threads(&self) -> Result<Changed> {
        let mut touched: BTreeMap<[u8; 16], BTreeMap<[u8; 16], Change>> = BTreeMap::new();
        for (guid, change) in self.emails()? {
            if change != Change::Updated {
                touched.entry(self.thread(&guid)?).or_default().insert(guid, change);
            }
        }
        let mut changes = Changed::new();
        for (thread, emails) in touched {
            let mut existed = emails.values().any(|change| *change == Change::Destroyed);
            let mut exists = emails.values().any(|change| *change == Change::Created);
            let number = self.account.threads.as_ref().and_then(|threads| threads.number(&thread));
            for email in number.map(|number| self.account.thread_emails(number)).into_iter().flatten() {
                let Some(email) = self.account.email(email) else { continue };
                if !emails.contains_key(&email.guid) {
                    existed |= self.existed(&email.guid, self.from, true)?;
                    exists |= self.existed(&email.guid, self.to, false)?;
                }
            }
            if let Some(change) = Change::of(existed, exists) {
                changes.insert(thread, change);
            }
        }
        Ok(changes)
    }
}

/// Emails that changed since a state, until now.
///
/// # Errors
/// `cannotCalculateChanges`.
pub fn emails_since(account: &Inner, from: &EmailState) -> Result<Changed> {
    let now = EmailState::of(account);
    Between::new(account, from, &now)?.emails()
}

/// The thread of each email that changed since a state; with [`Inner::threads`] only.
///
/// # Errors
/// `cannotCalculateChanges`.
pub fn threads_touched(account: &Inner, from: &EmailState) -> Result<BTreeSet<[u8; 16]>> {
    let now = EmailState::of(account);
    let between = Between::new(account, from, &now)?;
    between.emails()?.keys().map(|guid| between.thread(guid)).collect()
}

/// Of which type changes are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Email,
    Thread,
}

/// The answer of Email/changes and Thread/changes.
///
/// # Errors
/// `invalidArguments`, `cannotCalculateChanges`.
pub fn answer(account: &Inner, arguments: &mut Arguments, account_id: &str, of: Type) -> Result<Value> {
    let since = arguments.required_string("sinceState")?;
    let most = max_changes(arguments)?;
    let now = EmailState::of(account);
    let (from, to, after) = match Known::decode(&since).ok_or_else(cannot)? {
        Known::All(state) => (state, now.clone(), None),
        Known::Until { from, to, id } => (from, to, Some(id)),
    };
    let between = Between::new(account, &from, &to)?;
    let changes = match of {
        Type::Email => between.emails()?,
        Type::Thread => between.threads()?,
    };
    let mut rest = changes.into_iter().filter(|(id, _)| after.is_none_or(|after| *id > after)).peekable();
    let told: Vec<([u8; 16], Change)> = rest.by_ref().take(most).collect();
    let new_state = match (rest.peek(), told.last()) {
        (Some(_), Some((id, _))) => Known::Until { from, to: to.clone(), id: *id },
        _ => Known::All(to.clone()),
    };
    let has_more = rest.peek().is_some() || to != now;
    let id = |id: &[u8; 16]| match of {
        Type::Email => crate::ids::email(id),
        Type::Thread => crate::ids::thread(id),
    };
    let those = |wanted| -> Vec<String> {
        told.iter().filter(|(_, change)| *change == wanted).map(|(one, _)| id(one)).collect()
    };
    Ok(json!({
        "accountId": account_id,
        "oldState": since,
        "newState": new_state.encode(),
        "hasMoreChanges": has_more,
        "created": those(Change::Created),
        "updated": those(Change::Updated),
        "destroyed": those(Change::Destroyed),
    }))
}

/// # Errors
/// `invalidArguments`: it is 0.
pub fn max_changes(arguments: &mut Arguments) -> Result<usize> {
    match arguments.unsigned("maxChanges")? {
        Some(0) => Err(wrong("maxChanges", "a positive number")),
        Some(most) => Ok(usize::try_from(most).unwrap_or(CHANGES_MAX).min(CHANGES_MAX)),
        None => Ok(CHANGES_MAX),
    }
}
