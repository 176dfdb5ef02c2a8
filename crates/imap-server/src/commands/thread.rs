//! THREAD, UID THREAD: messages as conversations (RFC 5256 §3, §4; REFS as Dovecot has it).
//!
//! Everything comes from the index and the cache; a message file is opened only for a header too long for the cache. Of a
//! message its date and a hash of its base subject are kept, of a message id a hash (`references.rs`), in slices as SEARCH has them. The
//! forest is made at once and written as the client takes it, however deep it is.

mod forest;
mod references;
mod subjects;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use connection::Output;
use imap_wire::Algorithm;
use mail_format::{base_subject, casemap, decode_words, header_field, message_ids};

use crate::commands::Progress;
use crate::commands::search::matching::{Flow, Matching};
use crate::commands::search::message::Message;
use crate::refusal::Refusal;
use crate::view::View;
use forest::{Forest, Walk};
use references::References;

/// Bytes of a base subject that count.
const SUBJECT_BYTES_MAX: usize = 1000;

/// Ancestors looked at before others have their turn.
const SLICE_STEPS: u64 = 1_000_000;

/// What is kept of a message: its place among those found is its number in the forest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// UID or sequence number.
    number: u32,
    /// Seconds since 1970 (RFC 5256 §2.2).
    sent: i64,
    subject: Subject,
}

/// A base subject, hashed with the command's own keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Subject {
    /// Nothing for an empty one.
    hash: Option<Hash>,
    is_reply_or_forward: bool,
}

/// Two hashes of 64 bits with different secret keys: nobody can make two texts that have the same.
pub type Hash = [u64; 2];

/// Makes hashes.
#[derive(Default)]
pub struct Hasher([RandomState; 2]);

impl Hasher {
    pub fn hash(&self, text: &[u8]) -> Hash {
        [self.0[0].hash_one(text), self.0[1].hash_one(text)]
    }
}

/// A THREAD under way.
pub struct Thread {
    pub uid: bool,
    algorithm: Algorithm,
    matching: Matching,
    hasher: Hasher,
    found: Vec<Found>,
    references: References,
    /// Once everything is found.
    walk: Option<Walk>,
}

impl Thread {
    /// # Errors
    /// As [`Matching::whole`].
    pub fn new(asked: imap_wire::Thread, view: &View, most: Option<u32>) -> Result<Thread, Refusal> {
        Ok(Thread {
            uid: asked.uid,
            algorithm: asked.algorithm,
            matching: Matching::whole(asked.charset, asked.key, view, most)?,
            hasher: Hasher::default(),
            found: Vec::new(),
            references: References::default(),
            walk: None,
        })
    }

    /// Whether the criteria have a modification sequence, which turns CONDSTORE on (RFC 7162 §3.1).
    pub fn asks_for_modseq(&self) -> bool {
        self.matching.asks_for_modseq()
    }

    /// How far it has come, while nothing is written.
    pub fn progress(&self, view: &View) -> Option<(u32, u32)> {
        self.walk.is_none().then(|| self.matching.progress(view))
    }

    /// Looks at the next slice, or writes until the queue is full.
    pub fn step(&mut self, view: &mut View, out: &mut Output) -> Result<Progress, Refusal> {
        if let Some(walk) = &mut self.walk {
            return Ok(walk.tell(&self.found, out));
        }
        if self.find(view)? == Progress::Done {
            out.push(b"* THREAD");
            let references = std::mem::take(&mut self.references);
            self.walk = Some(Walk::new(forest(self.algorithm, &self.found, references)));
        }
        Ok(Progress::More)
    }

    fn find(&mut self, view: &View) -> Result<Progress, Refusal> {
        let Thread { uid, algorithm, matching, hasher, found, references, .. } = self;
        let steps_max = references.steps + SLICE_STEPS;
        matching.slice(view, |message| {
            take(message, *uid, *algorithm, hasher, found, references)?;
            Ok(if references.steps < steps_max { Flow::On } else { Flow::Pause })
        })
    }
}

/// Steps 2 to 6 of REFERENCES, or what the other algorithms have instead.
fn forest(algorithm: Algorithm, found: &[Found], references: References) -> Forest {
    match algorithm {
        Algorithm::OrderedSubject => subjects::ordered(found),
        Algorithm::References => {
            let mut forest = references.into_forest(found);
            subjects::gather(&mut forest, found);
            forest.sorted(found)
        }
        Algorithm::Refs => references.into_forest(found).by_newest(found),
    }
}

/// Takes in one message.
fn take(
    message: &mut Message<'_>,
    uid: bool,
    algorithm: Algorithm,
    hasher: &Hasher,
    found: &mut Vec<Found>,
    references: &mut References,
) -> Result<(), Refusal> {
    let (number, sent) = (message.number(uid), message.sent()?);
    let header = message.header()?.unwrap_or_default();
    let subject = if algorithm == Algorithm::Refs { Subject::default() } else { subject_of(header, hasher) };
    found.push(Found { number, sent, subject });
    if algorithm != Algorithm::OrderedSubject {
        let ids = |name: &str| header_field(header, name).into_iter().flat_map(message_ids);
        let own = ids("Message-ID").next().map(|id| hasher.hash(&id));
        let mut parents: Vec<Hash> =
            ids("References").take(references::PER_MESSAGE_MAX).map(|id| hasher.hash(&id)).collect();
        if parents.is_empty() {
            parents.extend(ids("In-Reply-To").next().map(|id| hasher.hash(&id)));
        }
        references.add(own, &parents)?;
    }
    Ok(())
}

fn subject_of(header: &[u8], hasher: &Hasher) -> Subject {
    let Some(value) = header_field(header, "Subject") else { return Subject::default() };
    let base = base_subject(&decode_words(value));
    let hash = (!base.text.is_empty()).then(|| hasher.hash(&casemap(&base.text, SUBJECT_BYTES_MAX)));
    Subject { hash, is_reply_or_forward: base.is_reply_or_forward }
}

#[cfg(test)]
mod tests;
