//! What all clients together were promised, and whether it was kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use crate::session::Flags;

/// A mailbox and a UID in it.
pub type Place = (&'static str, u32);

/// How a message came to its place, as acknowledged.
#[derive(Clone, Debug)]
pub enum Origin {
    /// APPENDed with this subject.
    Appended(String),
    /// Copied or moved from there.
    Copied(Place),
}

#[derive(Default)]
pub struct Book {
    /// The subjects seen. Nobody removes a message that is not in here.
    pub subjects: BTreeMap<Place, String>,
    pub created: BTreeMap<Place, Origin>,
    /// The subjects that SMTP took.
    pub delivered: Vec<String>,
    /// Where somebody set \Deleted, or POP's DELE.
    pub marked: BTreeSet<Place>,
    pub moved: BTreeSet<Place>,
    /// What a session was told to be gone.
    pub gone: BTreeSet<Place>,
}

#[derive(Default)]
pub struct Ledger(Mutex<Book>);

impl Ledger {
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }
}

impl Book {
    /// A subject was seen: always the same at the same place.
    pub fn see(&mut self, place: Place, subject: &str) {
        let known = self.subjects.entry(place).or_insert_with(|| subject.to_owned());
        assert_eq!(known, subject, "{place:?} was another message before");
    }

    /// A message was acknowledged to be at this place now, for the first time.
    pub fn create(&mut self, place: Place, origin: Origin) {
        let before = self.created.insert(place, origin.clone());
        assert!(before.is_none(), "{place:?} was given twice: {before:?} and {origin:?}");
    }

    /// A message was moved away: by one session only.
    pub fn take_away(&mut self, place: Place) {
        assert!(self.moved.insert(place), "{place:?} was moved twice");
    }

    fn subject(&self, place: Place) -> &str {
        match self.created.get(&place) {
            Some(Origin::Appended(subject)) => subject,
            Some(Origin::Copied(source)) => self.subject(*source),
            None => self.subjects.get(&place).unwrap_or_else(|| panic!("nobody knows {place:?}")),
        }
    }

    /// A copy has the flags of its source, \Deleted too.
    fn is_marked(&self, place: Place) -> bool {
        self.marked.contains(&place)
            || matches!(self.created.get(&place), Some(Origin::Copied(source)) if self.is_marked(*source))
    }

    /// Nothing is lost, doubled, changed or come back.
    pub fn prove(&self, last: &BTreeMap<Place, (String, Flags)>) {
        for (place, (subject, _)) in last {
            assert_eq!(self.subject(*place), subject, "{place:?} is another message");
            assert!(!self.gone.contains(place), "{place:?} was told to be gone");
            assert!(!self.moved.contains(place), "{place:?} was moved away");
        }
        for (place, subject) in &self.subjects {
            assert_eq!(self.subject(*place), subject, "{place:?} is not what was put there");
        }
        for place in self.created.keys().chain(self.subjects.keys()) {
            let may_be_gone = self.is_marked(*place) || self.moved.contains(place);
            assert!(last.contains_key(place) || may_be_gone, "{place:?} is lost");
        }
        let unexplained: Vec<&Place> =
            self.subjects.keys().filter(|place| !self.created.contains_key(place)).collect();
        assert!(unexplained.iter().all(|(mailbox, _)| *mailbox == "INBOX"), "{unexplained:?}");
        let mut arrived: Vec<&String> = unexplained.iter().map(|place| &self.subjects[place]).collect();
        let mut delivered: Vec<&String> = self.delivered.iter().collect();
        arrived.sort();
        delivered.sort();
        assert_eq!(arrived, delivered, "deliveries are lost or doubled");
    }
}
