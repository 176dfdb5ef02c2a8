//! States (RFC 8620 §5.1): how far a client knows each mailbox, packed, so that what changed since can be told by any process,
//! after any restart, and nothing has to be kept for it.
//!
//! A state of emails is a point for each mailbox: a modification sequence. A message that existed at a point and does not now,
//! or the other way round, is found by the records themselves: when it was created, when it was changed last, whether it is
//! expunged. Messages with \Deleted do not exist for JMAP, and no record tells since when they have it; so a point names
//! them, when they are not too many, and says so when they are.
//!
//! Where an answer of /changes had no room for all, its new state says that the changes from one state to another are known of
//! ids up to one: so what is told piece by piece is the same as what is told at once.
//!
//! ```text
//! 1 of emails, or 3 of emails on the way: then two states of emails, and the id up to which they are told, 16 bytes
//! number of points; of each mailbox, ascending by id: the first 8 bytes of its id; modification sequence; messages;
//! messages with \Deleted + 1, or 0 for too many; their UIDs, each as the difference to the one before
//! 2 of mailboxes: of each its id, 16 bytes; checksum of what else it is, 4 bytes; modification sequence
//! ```
//! Numbers are in groups of seven bits, low ones first, 0x80 on all but the last; all of it in base64url.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::account::{Inner, MailboxView};

const EMAILS: u8 = 1;
const MAILBOXES: u8 = 2;
const ON_THE_WAY: u8 = 3;
/// Messages with \Deleted that a point names; more are too many.
const DELETED_MAX: usize = 512;
/// Bytes of a state that is looked at.
const STATE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How far a client knows one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub mailbox: u64,
    pub modseq: u64,
    /// Messages that JMAP saw.
    pub messages: u32,
    /// UIDs of messages with \Deleted; nothing: there were too many.
    pub deleted: Option<Vec<u32>>,
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
        let with_messages =
            account.mailboxes().filter(|(_, view)| view.mailbox.is_some() && view.is_readable());
        let mut points: Vec<Point> = with_messages.map(|(_, view)| point(view)).collect();
        points.sort_by_key(|point| point.mailbox);
        EmailState(points)
    }

    pub fn point(&self, mailbox: u64) -> Option<&Point> {
        let place = self.0.binary_search_by_key(&mailbox, |point| point.mailbox).ok()?;
        self.0.get(place)
    }

    pub fn encode(&self) -> String {
        let mut bytes = vec![EMAILS];
        self.push(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn push(&self, bytes: &mut Vec<u8>) {
        push(bytes, self.0.len() as u64);
        for point in &self.0 {
            bytes.extend_from_slice(&point.mailbox.to_be_bytes());
            push(bytes, point.modseq);
            push(bytes, point.messages.into());
            push(bytes, point.deleted.as_ref().map_or(0, |uids| uids.len() as u64 + 1));
            let mut before = 0;
            for uid in point.deleted.iter().flatten() {
                push(bytes, u64::from(uid.wrapping_sub(before)));
                before = *uid;
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<EmailState> {
        let mut points: Vec<Point> = Vec::new();
        for _ in 0..reader.number()? {
            let mailbox = u64::from_be_bytes(reader.bytes()?);
            let modseq = reader.number()?;
            let messages = u32::try_from(reader.number()?).ok()?;
            let deleted = match reader.number()? {
                0 => None,
                count => Some(reader.uids(usize::try_from(count - 1).ok()?)?),
            };
            if points.last().is_some_and(|before| before.mailbox >= mailbox) {
                return None;
            }
            points.push(Point { mailbox, modseq, messages, deleted });
        }
        Some(EmailState(points))
    }
}

/// What a client knows of emails, or of threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    All(EmailState),
    /// What came between two states is known of ids up to this one.
    Until {
        from: EmailState,
        to: EmailState,
        id: [u8; 16],
    },
}

impl Known {
    pub fn encode(&self) -> String {
        match self {
            Known::All(state) => state.encode(),
            Known::Until { from, to, id } => {
                let mut bytes = vec![ON_THE_WAY];
                from.push(&mut bytes);
                to.push(&mut bytes);
                bytes.extend_from_slice(id);
                URL_SAFE_NO_PAD.encode(bytes)
            }
        }
    }

    /// Nothing when it is no state of ours.
    pub fn decode(text: &str) -> Option<Known> {
        let bytes = decoded(text)?;
        let mut reader = Reader(bytes.get(1..)?);
        let state = EmailState::read(&mut reader)?;
        let known = match *bytes.first()? {
            EMAILS => Known::All(state),
            ON_THE_WAY => {
                let to = EmailState::read(&mut reader)?;
                Known::Until { from: state, to, id: reader.bytes()? }
            }
            _ => return None,
        };
        reader.0.is_empty().then_some(known)
    }
}

/// How far what is in memory knows a mailbox.
pub fn point(view: &MailboxView) -> Point {
    let few = view.deleted.len() <= DELETED_MAX;
    Point {
        mailbox: short(view.listed.id),
        modseq: view.highest_modseq,
        messages: view.there,
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

    /// Puts another point in place of a mailbox's.
    pub fn set(&mut self, point: MailboxPoint) {
        match self.0.binary_search_by_key(&point.id, |one| one.id) {
            Ok(place) => self.0[place] = point,
            Err(place) => self.0.insert(place, point),
        }
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
        let bytes = decoded(text).filter(|bytes| bytes.first() == Some(&MAILBOXES))?;
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

fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.len() > STATE_BYTES_MAX {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()
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

    fn state() -> impl Strategy<Value = EmailState> {
        let deleted = proptest::option::of(proptest::collection::btree_set(1u32.., 0..40));
        let one = (any::<u64>(), any::<u64>(), any::<u32>(), deleted);
        proptest::collection::vec(one, 0..20).prop_map(|all| {
            let mut points: Vec<Point> = all
                .into_iter()
                .map(|(mailbox, modseq, messages, deleted)| Point {
                    mailbox,
                    modseq,
                    messages,
                    deleted: deleted.map(|uids| uids.into_iter().collect()),
                })
                .collect();
            points.sort_by_key(|point| point.mailbox);
            points.dedup_by_key(|point| point.mailbox);
            EmailState(points)
        })
    }

    proptest! {
        #[test]
        fn states_come_back(from in state(), to in state(), id in any::<[u8; 16]>()) {
            let all = Known::All(from.clone());
            prop_assert_eq!(Known::decode(&all.encode()), Some(all.clone()));
            prop_assert_eq!(MailboxState::decode(&all.encode()), None);
            let until = Known::Until { from, to, id };
            prop_assert_eq!(Known::decode(&until.encode()), Some(until.clone()));
            prop_assert_eq!(Known::decode(&format!("{}AAAA", until.encode())), None);
        }

        #[test]
        fn no_state_is_too_strange(text in "[A-Za-z0-9_-]{0,200}") {
            for text in [text.clone(), format!("AQ{text}"), format!("Ag{text}"), format!("Aw{text}")] {
                Known::decode(&text);
                MailboxState::decode(&text);
            }
        }
    }
}
