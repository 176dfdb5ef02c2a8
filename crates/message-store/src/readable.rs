//! Who looks through many messages answers for all that can be read: one whose file is gone, or is not as long as its record
//! says, is told of in the log, once, and is no reason to say nothing about the others (RFC 9051 §6.4.4 has no answer for it).

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::mailbox::Mailbox;
use crate::{Result, Severity, StoreError};

/// So many messages are remembered as told of; then all are forgotten, and told of again.
const TOLD_MAX: usize = 1024;

/// Messages that this process has told of: the identity of the mailbox, and the UID.
#[derive(Default)]
pub(crate) struct ToldOf(Mutex<HashSet<(u128, u32)>>);

impl ToldOf {
    /// Whether this is the first time.
    fn is_first(&self, mailbox: u128, uid: u32) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        told.insert((mailbox, uid))
    }
}

impl Mailbox {
    /// What was got of a message, for who looks at many of them; nothing when it cannot be had. That is no matter of a message
    /// that was expunged meanwhile; what is wrong with another one is written to the log when it is first met.
    ///
    /// # Errors
    /// What is wrong is not the message: the index, or the system.
    pub fn readable<T>(&self, uid: u32, got: Result<T>) -> Result<Option<T>> {
        match got {
            Ok(got) => Ok(Some(got)),
            Err(error) if may_be_of_a_message(&error) => {
                if self.is_there(uid)? && self.shared.told_of.is_first(self.id, uid) {
                    let name = self.name();
                    let what = match error {
                        StoreError::NotFound => "its file is gone".to_owned(),
                        StoreError::Damaged(what) => what.trim_start_matches(&format!("{name}: ")).to_owned(),
                        other => other.to_string(),
                    };
                    let text = format!("{name}: message {uid} is left out of searches: {what}");
                    self.shared.log.write(Severity::Error, &text);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the index, which is sound, has this message, and it is not expunged.
    fn is_there(&self, uid: u32) -> Result<bool> {
        let reader = match self.reader() {
            Err(StoreError::NotFound) => return Ok(false), // the whole mailbox went
            reader => reader?,
        };
        let slot = reader.slot_of(uid).ok();
        let is_there = slot.is_some_and(|slot| !reader.record(slot).is_expunged());
        if let Some(slot) = slot {
            reader.cold(slot)?;
        }
        if reader.is_lost() { Err(self.damaged("the index was cut")) } else { Ok(is_there) }
    }
}

/// A file that cannot be opened because there are too many, or no memory, is no damage.
fn may_be_of_a_message(error: &StoreError) -> bool {
    match error {
        StoreError::NotFound | StoreError::Damaged(_) => true,
        StoreError::Io(error) => os::file::is_of_the_file(error),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_process_that_is_short_of_something_finds_no_damage() {
        let of = |number| may_be_of_a_message(&StoreError::from(io::Error::from_raw_os_error(number)));
        let [input_output, files, memory] = [5, 24, 12];
        assert!(of(input_output) && !of(files) && !of(memory));
        assert!(may_be_of_a_message(&io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        assert!(!may_be_of_a_message(&StoreError::InUse));
    }

    #[test]
    fn a_message_is_told_of_once_and_what_is_remembered_of_it_is_bounded() {
        let told = ToldOf::default();
        assert!(told.is_first(1, 7) && told.is_first(2, 7) && !told.is_first(1, 7));
        for uid in 0..3 * TOLD_MAX as u32 {
            told.is_first(3, uid);
        }
        assert!(told.0.lock().unwrap().len() <= TOLD_MAX);
    }
}
