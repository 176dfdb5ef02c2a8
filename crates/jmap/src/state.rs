//! States (RFC 8620 §5.1): how far a client knows each mailbox, packed, so that what changed since can be told by any process,
//! after any restart, and nothing has to be kept for it.
//!
//! A state of emails is a point for each mailbox: a modification sequence, and, where an answer of /changes ended within one,
//! the last UID. A message that existed at a point and does not now, or the other way round, is found by the records
//! themselves: when it was created, when it was changed last, whether it is expunged. Messages with \Deleted do not exist for
//! JMAP, and no record tells since when they have it; so a point names them, when they are few, and says so when they are not.
//!
//! ```text
//! version 1
//! then of each mailbox, ascending by id: the first 8 bytes of its id; modification sequence; UID + 1, or 0 for all;
//! messages with \Deleted + 1, or 0 for many; their UIDs, each as the difference to the one before
//! ```
//! Numbers are in groups of seven bits, low ones first, 0x80 on all but the last; all of it in base64url.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::account::{Inner, MailboxView};

const EMAILS: u8 = 1;
const MAILBOXES: u8 = 2;
/// Messages with \Deleted that a point names; more are many.
const DELETED_MAX: usize = 32;
/// Bytes of a state that is looked at.
const STATE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How far a client knows one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub mailbox: u64,
    pub modseq: u64,
    /// Of records with this very modseq, those up to this UID; nothing: all of them.
    pub uid: Option<u32>,
    /// UIDs of messages with \Deleted; nothing: there were many.
    pub deleted: Option<Vec<u32>>,
}

impl Point {
    /// Whether a change at this place is known.
    pub fn knows(&self, modseq: u64, uid: u32) -> bool {
        modseq < self.modseq || modseq == self.modseq && self.uid.is_none_or(|last| uid <= last)
    }
}

/// The short form of a mailbox's id.
pub fn short(id: u128) -> u64 {
    (id >> 64) as u64
}

/// The state of emails and threads: a point for each mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailState(pub Vec<Point>);

impl EmailState {
    /// Of what is in memory.
    pub fn of(account: &Inner) -> EmailState {
        let with_messages = account.mailboxes().filter(|(_, view)| view.mailbox.is_some());
        let mut points: Vec<Point> = with_messages.map(|(_, view)| point(view)).collect();
        points.sort_by_key(|point| point.mailbox);
        EmailState(points)
    }

    pub fn point(&self, mailbox: u64) -> Option<&Point> {
        let place = self.0.binary_search_by_key(&mailbox, |point| point.mailbox).ok()?;
        self.0.get(place)
    }

    /// Puts another point in place of a mailbox's.
    pub fn set(&mut self, point: Point) {
        match self.0.binary_search_by_key(&point.mailbox, |one| one.mailbox) {
            Ok(place) => self.0[place] = point,
            Err(place) => self.0.insert(place, point),
        }
    }

    pub fn encode(&self) -> String {
        let mut bytes = vec![EMAILS];
        for point in &self.0 {
            bytes.extend_from_slice(&point.mailbox.to_be_bytes());
            push(&mut bytes, point.modseq);
            push(&mut bytes, point.uid.map_or(0, |uid| u64::from(uid) + 1));
            push(&mut bytes, point.deleted.as_ref().map_or(0, |uids| uids.len() as u64 + 1));
            let mut before = 0;
            for uid in point.deleted.iter().flatten() {
                push(&mut bytes, u64::from(uid.wrapping_sub(before)));
                before = *uid;
            }
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Nothing when it is no state of ours.
    pub fn decode(text: &str) -> Option<EmailState> {
        let bytes = decoded(text, EMAILS)?;
        let mut reader = Reader(bytes.get(1..)?);
        let mut points: Vec<Point> = Vec::new();
        while !reader.0.is_empty() {
            let mailbox = u64::from_be_bytes(reader.bytes()?);
            let modseq = reader.number()?;
            let uid = match reader.number()? {
                0 => None,
                more => Some(u32::try_from(more - 1).ok()?),
            };
            let deleted = match reader.number()? {
                0 => None,
                count => Some(reader.uids(usize::try_from(count - 1).ok()?)?),
            };
            if points.last().is_some_and(|before| before.mailbox >= mailbox) {
                return None;
            }
            points.push(Point { mailbox, modseq, uid, deleted });
        }
        Some(EmailState(points))
    }
}

/// How far what is in memory knows a mailbox.
pub fn point(view: &MailboxView) -> Point {
    let few = view.deleted.len() <= DELETED_MAX;
    Point {
        mailbox: short(view.listed.id),
        modseq: view.highest_modseq,
        uid: None,
        deleted: few.then(|| view.deleted.iter().copied().collect()),
    }
}

/// One mailbox as its own object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxPoint {
    pub id: u128,
    /// Of name, parent, role, order, rights and subscription.
    pub properties: u32,
    pub modseq: u64,
}

/// The state of the mailboxes: their ids, a checksum of what else they are, and what their messages are at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailboxState(pub Vec<MailboxPoint>);

impl MailboxState {
    pub fn of(account: &Inner) -> MailboxState {
        let mut points: Vec<MailboxPoint> = account
            .mailboxes()
            .map(|(_, view)| MailboxPoint {
                id: view.listed.id,
                properties: properties(view),
                modseq: view.highest_modseq,
            })
            .collect();
        points.sort_by_key(|point| point.id);
        MailboxState(points)
    }

    pub fn point(&self, id: u128) -> Option<&MailboxPoint> {
        let place = self.0.binary_search_by_key(&id, |point| point.id).ok()?;
        self.0.get(place)
    }

    pub fn encode(&self) -> String {
        let mut bytes = vec![MAILBOXES];
        for point in &self.0 {
            bytes.extend_from_slice(&point.id.to_be_bytes());
            bytes.extend_from_slice(&point.properties.to_be_bytes());
            push(&mut bytes, point.modseq);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Nothing when it is no state of ours.
    pub fn decode(text: &str) -> Option<MailboxState> {
        let bytes = decoded(text, MAILBOXES)?;
        let mut reader = Reader(bytes.get(1..)?);
        let mut points: Vec<MailboxPoint> = Vec::new();
        while !reader.0.is_empty() {
            let id = u128::from_be_bytes(reader.bytes()?);
            let properties = u32::from_be_bytes(reader.bytes()?);
            let modseq = reader.number()?;
            if points.last().is_some_and(|before| before.id >= id) {
                return None;
            }
            points.push(MailboxPoint { id, properties, modseq });
        }
        Some(MailboxState(points))
    }
}

fn properties(view: &MailboxView) -> u32 {
    let text = format!(
        "{}\0{:?}\0{}\0{}\0{}",
        view.listed.name,
        view.role(),
        view.sort_order,
        view.rights,
        view.is_subscribed
    );
    base::crc32(text.as_bytes())
}

fn decoded(text: &str, version: u8) -> Option<Vec<u8>> {
    if text.len() > STATE_BYTES_MAX {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| bytes.first() == Some(&version))
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.bytes()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn uids(&mut self, count: usize) -> Option<Vec<u32>> {
        if count > DELETED_MAX {
            return None;
        }
        let mut before = 0u32;
        let mut uids = Vec::with_capacity(count);
        for _ in 0..count {
            before = before.checked_add(u32::try_from(self.number()?).ok()?)?;
            uids.push(before);
        }
        Some(uids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn points() -> impl Strategy<Value = Vec<Point>> {
        let deleted = proptest::option::of(proptest::collection::btree_set(1u32.., 0..DELETED_MAX));
        let one = (any::<u64>(), any::<u64>(), proptest::option::of(any::<u32>()), deleted);
        proptest::collection::vec(one, 0..20).prop_map(|all| {
            let mut points: Vec<Point> = all
                .into_iter()
                .map(|(mailbox, modseq, uid, deleted)| Point {
                    mailbox,
                    modseq,
                    uid,
                    deleted: deleted.map(|uids| uids.into_iter().collect()),
                })
                .collect();
            points.sort_by_key(|point| point.mailbox);
            points.dedup_by_key(|point| point.mailbox);
            points
        })
    }

    proptest! {
        #[test]
        fn states_come_back(points in points()) {
            let state = EmailState(points);
            let text = state.encode();
            prop_assert_eq!(EmailState::decode(&text), Some(state));
            prop_assert_eq!(MailboxState::decode(&text), None);
        }

        #[test]
        fn no_state_is_too_strange(text in "[A-Za-z0-9_-]{0,200}") {
            EmailState::decode(&text);
            MailboxState::decode(&text);
            EmailState::decode(&format!("AQ{text}"));
            MailboxState::decode(&format!("Ag{text}"));
        }
    }
}
