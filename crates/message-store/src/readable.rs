//! Who looks through many messages answers for all that can be read: one whose file is gone, or is not as long as its record
//! says, is told of in the log, once, and is no reason to say nothing about the others (RFC 9051 §6.4.4 has no answer for it).

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::mailbox::Mailbox;
use crate::{Result, Severity, StoreError};

/// So many messages are told of, and mailboxes that have more of them; then nothing is, for [`TOLD_FOR`].
const TOLD_MAX: usize = 1024;
/// When there are so many, all are forgotten after this, and told of again.
const TOLD_FOR: Duration = Duration::from_secs(3600);

/// What is to be written of a message that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// What is wrong with it.
    It,
    /// That its mailbox has more of the kind.
    More,
    Nothing,
}

/// Messages that this process has told of.
#[derive(Default)]
pub(crate) struct ToldOf(Mutex<Told>);

#[derive(Default)]
struct Told {
    /// The identity of the mailbox, and the UID.
    messages: HashSet<(u128, u32)>,
    /// Mailboxes that have more.
    mailboxes: HashSet<u128>,
    since: Option<Instant>,
}

impl ToldOf {
    fn tell(&self, mailbox: u128, uid: u32, now: Instant) -> Telling {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = told.since.is_some_and(|since| now.saturating_duration_since(since) >= TOLD_FOR);
        if told.messages.len() >= TOLD_MAX && is_old {
            *told = Told::default();
        }
        if told.messages.contains(&(mailbox, uid)) {
            Telling::Nothing
        } else if told.messages.len() < TOLD_MAX {
            told.since.get_or_insert(now);
            told.messages.insert((mailbox, uid));
            Telling::It
        } else if told.mailboxes.len() < TOLD_MAX && told.mailboxes.insert(mailbox) {
            Telling::More
        } else {
            Telling::Nothing
        }
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
            Err(error) if error.may_be_of_a_message() => {
                if self.is_there(uid)? {
                    self.tell_of(uid, &error);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn tell_of(&self, uid: u32, error: &StoreError) {
        let name = self.name();
        let text = match self.shared.told_of.tell(self.id, uid, Instant::now()) {
            Telling::Nothing => return,
            Telling::More => {
                format!("{name}: more messages are left out of searches; reconstruct finds them")
            }
            Telling::It => {
                let what = match error {
                    StoreError::NotFound => "its file is gone".to_owned(),
                    StoreError::Damaged(what) => what.trim_start_matches(&format!("{name}: ")).to_owned(),
                    other => other.to_string(),
                };
                format!("{name}: message {uid} is left out of searches: {what}")
            }
        };
        self.shared.log.write(Severity::Error, &text);
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

impl StoreError {
    /// Whether it may be one message that is wrong. A file that cannot be opened because there are too many, or no memory, is no
    /// damage.
    pub fn may_be_of_a_message(&self) -> bool {
        match self {
            StoreError::NotFound | StoreError::Damaged(_) => true,
            StoreError::Io(error) => os::file::is_of_the_file(error),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_process_that_is_short_of_something_finds_no_damage() {
        let of = |number| StoreError::from(io::Error::from_raw_os_error(number)).may_be_of_a_message();
        let [input_output, files, memory] = [5, 24, 12];
        assert!(of(input_output) && !of(files) && !of(memory));
        assert!(StoreError::from(io::Error::from(io::ErrorKind::UnexpectedEof)).may_be_of_a_message());
        assert!(!StoreError::InUse.may_be_of_a_message());
    }

    #[test]
    fn a_message_is_told_of_once_and_there_is_an_end_to_it() {
        let (told, begun) = (ToldOf::default(), Instant::now());
        let tell = |mailbox, uid| told.tell(mailbox, uid, begun);
        assert_eq!([tell(1, 7), tell(2, 7), tell(1, 7)], [Telling::It, Telling::It, Telling::Nothing]);
        let many = || (0..3 * TOLD_MAX as u32).map(|uid| tell(3, uid));
        assert_eq!(many().filter(|what| *what == Telling::It).count(), TOLD_MAX - 2);
        // Asked again and again, they are nothing new.
        assert!(many().all(|what| what == Telling::Nothing));
        assert_eq!([tell(4, 1), tell(4, 2)], [Telling::More, Telling::Nothing]);
        for mailbox in 5..3 * TOLD_MAX as u128 {
            tell(mailbox, 1);
        }
        assert_eq!(tell(u128::MAX, 1), Telling::Nothing);
        assert_eq!(told.tell(3, 1, begun + TOLD_FOR), Telling::It);
        let all = told.0.lock().unwrap();
        assert!(all.messages.len() <= TOLD_MAX && all.mailboxes.len() <= TOLD_MAX);
    }
}
