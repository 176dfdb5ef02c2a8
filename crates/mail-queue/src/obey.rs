//! Doing what a [`Verb`] says to an entry that is at rest.
//!
//! Every verb may be done again: a command that a crash interrupted is repeated as a whole. The steps are written before
//! an entry moves, so that whoever finds it at its new place knows why it is there.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use base::crash;
use commit_journal::sync_folder;

use crate::deferred::is_same;
use crate::entry::{Entry, Home};
use crate::queue::{Queue, QueueError};
use crate::survey::Survey;
use crate::{QueueId, Step, Verb};

/// Why recipients failed whom [`Verb::Expire`] gave up.
pub const EXPIRED: &str = "given up by the administrator";

/// What is to be started when a verb was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obeyed {
    /// Nothing: it is gone, at rest, or was committed anew.
    Nothing,
    /// The entry in the control folder, now.
    Due,
    /// What is due of this domain, now.
    DueAt(String),
}

impl Entry {
    /// Does it. The entry must not be under way. What was done is on stable storage when the caller has called
    /// [`Queue::make_durable`].
    ///
    /// # Errors
    /// It could not be written; doing it again is harmless.
    pub fn obey(mut self, verb: Verb) -> Result<Obeyed, QueueError> {
        let now = base::clock::unix_seconds();
        // RFC 4865: nothing but an order for this very thing sends it before its sender's time.
        let waits = self.envelope.waits_for_release(now);
        match verb {
            Verb::Hold if self.envelope.held => return Ok(Obeyed::Nothing),
            Verb::Hold => {
                self.record(0, Step::Held)?;
                return Ok(Obeyed::Nothing);
            }
            Verb::Delete => {
                self.finish()?;
                return Ok(Obeyed::Nothing);
            }
            Verb::Flush if self.envelope.held || waits => return Ok(Obeyed::Nothing),
            Verb::Flush => self.record(0, Step::Due(now))?,
            Verb::Release if self.envelope.held && waits => {
                // What was held above that waits for its time again; asked for once more, it goes.
                self.record(0, Step::Released)?;
                return Ok(Obeyed::Nothing);
            }
            Verb::Release if !self.envelope.held && !waits => return Ok(Obeyed::Nothing),
            Verb::Release => self.record_all(vec![(0, Step::Released), (0, Step::Due(now))])?,
            Verb::Requeue => self.record(0, Step::Requeued(now))?,
            Verb::Expire => self.expire(now)?,
        }
        match (verb, &self.home) {
            (_, Home::Control) => Ok(Obeyed::Due),
            (Verb::Requeue | Verb::Expire, _) => {
                crash::step("requeue: written down");
                self.activate()?;
                Ok(Obeyed::Nothing)
            }
            (_, Home::Deferred(domain)) => Ok(Obeyed::DueAt(domain.clone())),
        }
    }

    fn expire(&mut self, now: i64) -> io::Result<()> {
        let failed = |place| (place, Step::Failed { status: "4.4.7".into(), text: EXPIRED.into() });
        let mut steps: Vec<(usize, Step)> = self.envelope.pending().map(failed).collect();
        steps.push((0, Step::Requeued(now)));
        self.record_all(steps)
    }

    /// Moves an entry from the deferred queue to the active one, the way that [`Entry::defer`] goes back: the message is
    /// linked, the envelope renamed, the old link goes.
    fn activate(&mut self) -> io::Result<()> {
        let queue = self.queue.clone();
        let id = self.envelope.id.clone();
        let (old_message, old_envelope) = (self.message_file(), queue.envelope_in(&self.home, &id));
        let settings = &queue.shared.settings;
        let new_message = queue.message_path(&id);
        match fs::hard_link(&old_message, &new_message) {
            // By an attempt that was interrupted; else the name is another message's.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && is_same(&old_message, &new_message)? => {}
            // It was removed. The envelope goes all the same: the mta tells its sender.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && old_envelope.exists()
                    && !old_message.exists() => {}
            other => other?,
        }
        sync_folder(&queue.shared.messages, settings.message_sync)?;
        crash::step("requeue: message linked");
        os::file::rename_new(&old_envelope, &queue.envelope_path(&id))?;
        sync_folder(&queue.shared.control, settings.envelope_sync)?;
        crash::step("requeue: envelope moved");
        let before = std::mem::replace(&mut self.home, Home::Control);
        match fs::remove_file(&old_message) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if let Home::Deferred(domain) = before {
            queue.remove_empty_folders(&domain, &old_message);
        }
        queue.committed(&id);
        Ok(())
    }

    /// The entry as it stands now, from where it was loaded.
    ///
    /// # Errors
    /// As [`Queue::load`].
    pub fn reload(self) -> Result<Option<Entry>, QueueError> {
        Entry::load(self.queue, &self.envelope.id, self.home)
    }
}

/// Finds entries where they were seen, or where they went meanwhile.
pub struct Finder<'q> {
    queue: &'q Queue,
    /// All deferred entries, once one was not where it should be.
    elsewhere: Option<HashMap<QueueId, String>>,
}

impl<'q> Finder<'q> {
    pub fn new(queue: &'q Queue) -> Finder<'q> {
        Finder { queue, elsewhere: None }
    }

    /// The entry; nothing when it is gone.
    ///
    /// # Errors
    /// As [`Queue::load`].
    pub fn find(&mut self, id: &QueueId, seen: Option<&str>) -> Result<Option<Entry>, QueueError> {
        if let Some(domain) = seen {
            if let Some(entry) = self.queue.load_deferred(domain, id)? {
                return Ok(Some(entry));
            }
        }
        if let Some(entry) = self.queue.load(id)? {
            return Ok(Some(entry));
        }
        let elsewhere = match &self.elsewhere {
            Some(known) => known,
            None => {
                let known = all_deferred(&self.queue.shared.settings.folder)?;
                self.elsewhere.insert(known)
            }
        };
        match elsewhere.get(id) {
            Some(domain) => self.queue.load_deferred(domain, id),
            None => Ok(None),
        }
    }
}

fn all_deferred(queue: &Path) -> io::Result<HashMap<QueueId, String>> {
    let mut known = HashMap::new();
    for folder in Survey::of(queue) {
        let folder = folder?;
        if let Some(domain) = folder.domain() {
            known.extend(folder.ids().map(|id| (id, domain.to_owned())));
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::tests::{commit, queue};
    use crate::{Envelope, State};

    fn deferred(queue: &Queue) -> QueueId {
        let id = commit(queue);
        let mut entry = queue.load(&id).unwrap().unwrap();
        entry.record(0, Step::Attempt { next: i64::MAX, text: "4.4.1 refused".into() }).unwrap();
        entry.defer("down.test").unwrap();
        id
    }

    fn obey(queue: &Queue, id: &QueueId, verb: Verb) -> Obeyed {
        Finder::new(queue).find(id, None).unwrap().unwrap().obey(verb).unwrap()
    }

    fn envelope(queue: &Queue, id: &QueueId) -> Envelope {
        Finder::new(queue).find(id, Some("down.test")).unwrap().unwrap().envelope
    }

    #[test]
    fn each_verb_does_what_it_says_to_active_and_deferred_entries_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let (active, away) = (commit(&queue), deferred(&queue));
        let at = Obeyed::DueAt("down.test".into());
        for id in [&active, &away] {
            for _ in 0..2 {
                assert_eq!(obey(&queue, id, Verb::Hold), Obeyed::Nothing);
                assert!(envelope(&queue, id).held);
            }
            assert_eq!(obey(&queue, id, Verb::Flush), Obeyed::Nothing, "what is held stays held");
        }
        assert_eq!(
            (obey(&queue, &active, Verb::Release), obey(&queue, &away, Verb::Release)),
            (Obeyed::Due, at.clone())
        );
        let released = envelope(&queue, &away);
        assert!(!released.held && released.next_attempt < i64::MAX && released.attempts == 1);
        assert_eq!((obey(&queue, &active, Verb::Flush), obey(&queue, &away, Verb::Flush)), (Obeyed::Due, at));
        assert_eq!(obey(&queue, &away, Verb::Requeue), Obeyed::Nothing);
        assert_eq!((queue.depth(), queue.has_deferred("down.test")), (2, false));
        assert_eq!(envelope(&queue, &away).attempts, 0);
        assert_eq!(fs::read(queue.message_path(&away)).unwrap(), b"Subject: x\r\n\r\nx\r\n");
        let other = deferred(&queue);
        assert_eq!(obey(&queue, &other, Verb::Expire), Obeyed::Nothing);
        let expired = queue.load(&other).unwrap().unwrap();
        assert!(
            matches!(&expired.envelope.recipients[0].state, State::Failed { status, .. } if status == "4.4.7")
        );
        assert!(expired.envelope.is_open());
        let last = deferred(&queue);
        for id in [&active, &away, &other, &last] {
            assert_eq!(obey(&queue, id, Verb::Delete), Obeyed::Nothing);
        }
        for name in ["control", "messages", "deferred/SMTP-Deliver"] {
            let left = fs::read_dir(folder.path().join(name)).unwrap().count();
            assert!(left == 0 || name.starts_with("deferred"), "{name}");
        }
        assert!(Survey::of(folder.path()).all(|folder| folder.unwrap().is_empty()));
    }

    #[test]
    fn an_entry_in_hand_knows_that_a_command_came_between() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        let id = commit(&queue);
        let mut entry = queue.load(&id).unwrap().unwrap();
        assert!(entry.is_current());
        entry.record(0, Step::Attempt { next: 1, text: "x".into() }).unwrap();
        assert!(entry.is_current(), "its own steps do not count");
        obey(&queue, &id, Verb::Hold);
        assert!(!entry.is_current());
        let entry = entry.reload().unwrap().unwrap();
        assert!(entry.is_current() && entry.envelope.held);
        obey(&queue, &id, Verb::Delete);
        assert!(!entry.is_current() && entry.reload().unwrap().is_none());
    }

    /// A crash between the steps of a move back: the start, or the same command again, makes it whole.
    #[test]
    fn a_move_back_that_was_interrupted_loses_and_doubles_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        // The message was linked, the envelope did not move: the start takes the link away, it is still deferred.
        let id = deferred(&queue);
        let away = queue.load_deferred("down.test", &id).unwrap().unwrap().message_file();
        fs::hard_link(&away, queue.message_path(&id)).unwrap();
        let checked = queue.check(|_, _| {}).unwrap();
        assert_eq!((checked.waiting.len(), checked.finished, checked.set_aside), (0, 1, 0));
        // The command came again before a start: the link that is there is the right one.
        fs::hard_link(&away, queue.message_path(&id)).unwrap();
        assert_eq!(obey(&queue, &id, Verb::Requeue), Obeyed::Nothing);
        assert!(!away.exists() && queue.message_path(&id).exists());
        assert_eq!(queue.check(|_, _| {}).unwrap().waiting.len(), 1);
        // The envelope moved, the old link did not go: it is active, and the old link is no entry.
        fs::create_dir_all(away.parent().unwrap()).unwrap();
        fs::hard_link(queue.message_path(&id), &away).unwrap();
        let checked = queue.check(|_, _| {}).unwrap();
        assert_eq!((checked.waiting.len(), checked.set_aside), (1, 0));
        assert!(queue.load_deferred("down.test", &id).unwrap().is_none());
        assert_eq!(Finder::new(&queue).find(&id, Some("down.test")).unwrap().unwrap().home(), &Home::Control);
    }
}
