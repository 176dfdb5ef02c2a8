//! A message whose parts are on their way at the same time: local mailboxes here, one host there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use mail_queue::{Notebook, Step};
use server_log::{Category, Log};

use crate::work::Work;

type Note = Box<dyn FnOnce(&mut Work) + Send>;

/// A message that several modules work on. Whoever is last gets it back.
pub struct Flight {
    work: Mutex<Option<Box<Work>>>,
    notebook: Notebook,
    /// What could not be noted at once.
    notes: Mutex<Vec<Note>>,
    parts: AtomicUsize,
}

impl Flight {
    /// `parts`: how often [`Flight::part_done`] will be called.
    pub fn new(work: Box<Work>, parts: usize) -> Flight {
        let notebook = work.entry.notebook();
        let (work, parts) = (Mutex::new(Some(work)), AtomicUsize::new(parts));
        Flight { work, notebook, notes: Mutex::default(), parts }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<Work>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the message, alone; it may take long. Nothing when it has ended.
    pub fn with<T>(&self, act: impl FnOnce(&mut Work) -> T) -> Option<T> {
        let mut work = self.lock();
        let done = work.as_mut().map(|work| act(work));
        self.take_notes(&mut work);
        done
    }

    /// As [`Flight::with`], for a stage. When it panics, the message stays in the queue and comes again later.
    pub fn step(&self, module: &str, log: &Log, act: impl FnOnce(&mut Work)) {
        self.guarded(module, log, || {
            self.with(act);
        });
    }

    /// The same for a stage that takes the message only now and then.
    pub fn guarded(&self, module: &str, log: &Log, act: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(act)).is_err() {
            log.critical(Category::General, format_args!("{module}: panic; the message stays in the queue"));
            self.note(|work| work.delay("4.3.0 an internal error, see the log"));
        }
    }

    /// Notes something: now, or when who works on the message has come to an end. Holds up nobody.
    pub fn note(&self, note: impl FnOnce(&mut Work) + Send + 'static) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(note));
        match self.work.try_lock() {
            Ok(mut work) => self.take_notes(&mut work),
            Err(TryLockError::Poisoned(poisoned)) => self.take_notes(&mut poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {} // taken with the end of that, or with the last part
        }
    }

    /// Writes steps down at once, whoever works on the message. They count for him when he has come to an end.
    pub fn record(&self, steps: Vec<(usize, Step)>) {
        let _ = self.notebook.write(&steps); // not written down, it is sent again: SMTP allows that
        self.note(move |work| work.entry.apply(steps));
    }

    fn take_notes(&self, work: &mut Option<Box<Work>>) {
        let Some(work) = work.as_mut() else { return };
        let notes = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        for note in notes {
            note(work);
        }
    }

    /// One part is done. The last one gets the message.
    pub fn part_done(&self) -> Option<Box<Work>> {
        if self.parts.fetch_sub(1, Ordering::AcqRel) != 1 {
            return None;
        }
        let mut work = self.lock();
        self.take_notes(&mut work);
        work.take()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use mail_queue::{Envelope, Queue, QueueId, QueueSettings, Recipient, State};

    use super::*;

    /// What a part has to say is on disk while another holds the message, and counts for it afterwards.
    #[test]
    fn what_one_part_records_does_not_wait_for_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let settings = QueueSettings::in_folder(folder.path());
        let queue = Queue::open(settings, Log::discard()).unwrap();
        let mut incoming = queue.begin();
        incoming.write_all(b"Subject: x\r\n\r\nx\r\n").unwrap();
        let mut envelope = Envelope::new(QueueId::next());
        let recipient = |address: &str| Recipient { address: address.into(), ..Recipient::default() };
        envelope.recipients = vec![recipient("bob@here.test"), recipient("x@far.test")];
        let id = incoming.commit(envelope).unwrap();
        let state = |place: usize| queue.load(&id).unwrap().unwrap().envelope.recipients[place].state.clone();
        let flight = Flight::new(Box::new(Work::new(queue.load(&id).unwrap().unwrap())), 2);
        flight.with(|work| {
            flight.record(vec![(1, Step::Done)]);
            assert_eq!(state(1), State::Done, "written down at once");
            assert_eq!(
                work.entry.envelope.pending().count(),
                2,
                "who has the message in hand is not disturbed"
            );
            work.entry.record(0, Step::Failed { status: "5.1.1".into(), text: "nobody".into() }).unwrap();
        });
        assert!(flight.part_done().is_none());
        let work = flight.part_done().unwrap();
        assert_eq!(work.entry.envelope.pending().count(), 0);
        assert!(matches!(state(0), State::Failed { .. }) && state(1) == State::Done);
    }
}
