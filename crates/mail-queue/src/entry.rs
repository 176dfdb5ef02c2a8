//! One message of the queue in the hands of the mta.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use base::content::Content;
use base::crash;
use commit_journal::{SyncLevel, sync_file, sync_folder};
use counters::Counter;
use server_log::Category;

use crate::envelope::BYTES_MAX;
use crate::journal::QueueJournal;
use crate::lend::Lent;
use crate::queue::{Queue, QueueError};
use crate::young::Young;
use crate::{Envelope, EnvelopeError, QueueId, Step};

/// Where the files of an entry are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// `queue/control` and `queue/messages`
    Control,
    /// The folder of this domain in `queue/deferred/SMTP-Deliver`
    Deferred(String),
}

/// An entry: its envelope as it stands, and the right to record what happens to it. It holds no file open: a hundred
/// thousand of them may wait their turn.
pub struct Entry {
    pub(crate) queue: Queue,
    /// Bytes of the envelope's file, as they were when it was last read or written to here.
    length: u64,
    pub(crate) home: Home,
    /// Its steps were synced: what is done to it may not be forgotten for a second.
    synced: Cell<bool>,
    /// Of one that had no files when it was loaded.
    young: Option<Arc<Young>>,
    pub envelope: Envelope,
}

/// Where an entry's message is, for who needs it later: it holds no file open.
#[derive(Clone)]
pub struct Body {
    young: Option<Arc<Young>>,
    path: PathBuf,
}

impl Body {
    /// # Errors
    /// The system's.
    pub fn open(&self) -> io::Result<Content> {
        Ok(match self.young.as_ref().and_then(|young| young.body()) {
            Some(bytes) => Content::Memory(bytes),
            None => Content::File(File::open(&self.path)?),
        })
    }
}

impl Entry {
    pub(crate) fn load(queue: Queue, id: &QueueId, home: Home) -> Result<Option<Entry>, QueueError> {
        let young = if home == Home::Control { queue.young(id) } else { None };
        if let Some((young, text)) = young.and_then(|young| young.text().map(|text| (young, text))) {
            let envelope =
                Envelope::decode(text.as_bytes()).map_err(|why| damaged(&queue, id, &home, why))?;
            let (length, synced) = (text.len() as u64, Cell::new(false));
            return Ok(Some(Entry { queue, length, home, synced, young: Some(young), envelope }));
        }
        let path = queue.envelope_in(&home, id);
        let mut file = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        (&mut file).take(BYTES_MAX).read_to_end(&mut bytes)?;
        let envelope = match Envelope::decode(&bytes) {
            Ok(envelope) if envelope.id == *id => envelope,
            Ok(_) => return Err(damaged(&queue, id, &home, EnvelopeError::Line("Id"))),
            Err(why) => return Err(damaged(&queue, id, &home, why)),
        };
        // What stands behind a torn step would never count.
        let whole = Envelope::whole_length(&bytes);
        let mut length = bytes.len();
        if whole < length && (length as u64) < BYTES_MAX {
            file.set_len(whole as u64)?;
            length = whole;
        }
        let length = length as u64;
        Ok(Some(Entry { queue, length, home, synced: Cell::new(false), young: None, envelope }))
    }

    /// Its files are there when this returns, though perhaps not synced: its record in the journal stands for them.
    ///
    /// # Errors
    /// They cannot be written; it is as safe as it was.
    pub(crate) fn file(&self) -> io::Result<()> {
        match (&self.young, self.queue.journal()) {
            (Some(young), Some(journal)) => journal.young.file(young),
            _ => Ok(()),
        }
    }

    fn is_young(&self) -> bool {
        self.young.as_ref().is_some_and(|young| young.is_young())
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().append(true).open(self.queue.envelope_in(&self.home, &self.envelope.id))
    }

    /// The message's file, for who cannot do with [`Entry::body`]: an entry without files gets them. When they cannot be
    /// written, none is there.
    pub fn message_file(&self) -> PathBuf {
        if let Err(why) = self.file() {
            let id = &self.envelope.id;
            self.queue.shared.log.error(Category::General, format_args!("{id}: cannot be written: {why}"));
        }
        self.queue.message_in(&self.home, &self.envelope.id)
    }

    /// Where its message is now.
    pub fn body(&self) -> Body {
        let path = self.queue.message_in(&self.home, &self.envelope.id);
        Body { young: self.young.clone(), path }
    }

    /// Why its message cannot be sent on, if that is so: its file was removed, or has another length than the envelope says.
    /// Nothing is looked at for an entry without files.
    ///
    /// # Errors
    /// The system's; nothing is known then.
    pub fn damage(&self) -> io::Result<Option<String>> {
        if self.is_young() {
            return Ok(None);
        }
        let size = self.envelope.message_size;
        match fs::metadata(self.queue.message_in(&self.home, &self.envelope.id)) {
            Ok(meta) if meta.len() == size => Ok(None),
            Ok(meta) => Ok(Some(format!("the message has {} bytes instead of {size}", meta.len()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Some("the message is missing".into()))
            }
            Err(error) => Err(error),
        }
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The domain in whose folder it waits, if it does.
    pub fn deferred_domain(&self) -> Option<&str> {
        match &self.home {
            Home::Control => None,
            Home::Deferred(domain) => Some(domain),
        }
    }

    /// Records a step of the recipient at `place` (from 0) and applies it.
    ///
    /// # Errors
    /// It could not be written; it is applied all the same, since it did happen: after a restart it happens again.
    pub fn record(&mut self, place: usize, step: Step) -> io::Result<()> {
        self.record_all(vec![(place, step)])
    }

    /// Several steps in one write.
    ///
    /// # Errors
    /// As [`Entry::record`].
    pub fn record_all(&mut self, steps: Vec<(usize, Step)>) -> io::Result<()> {
        let now = base::clock::unix_seconds();
        let text: String = steps.iter().map(|(place, step)| step.encode(*place, now)).collect();
        count(steps.iter().map(|(_, step)| step));
        for (place, step) in steps {
            self.envelope.apply(place, step);
        }
        if let Some(length) = append_young(&self.queue, self.young.as_ref(), &text)? {
            self.length = length;
            return Ok(());
        }
        let mut file = self.open()?;
        let before = file.metadata()?.len();
        let written = file.write_all(text.as_bytes());
        match written {
            Ok(()) => self.length = before.saturating_add(text.len() as u64),
            Err(_) => drop(file.set_len(before)), // half a step; the next load looks again
        }
        written
    }

    /// What writes steps down beside whoever has the entry in hand, for as long as it does not move.
    pub fn notebook(&self) -> Notebook {
        let path = self.queue.envelope_in(&self.home, &self.envelope.id);
        Notebook { queue: self.queue.clone(), young: self.young.clone(), path }
    }

    /// Applies what a notebook has written down.
    pub fn apply(&mut self, steps: Vec<(usize, Step)>) {
        for (place, step) in steps {
            self.envelope.apply(place, step);
        }
    }

    /// What was recorded is on stable storage.
    ///
    /// # Errors
    /// The system's.
    pub fn sync(&self) -> io::Result<()> {
        let shared = &self.queue.shared;
        let level = shared.settings.envelope_sync;
        let sync_steps = || match level {
            SyncLevel::None => Ok(()),
            level => sync_file(&self.open()?, level),
        };
        self.synced.set(true);
        if let (Some(last), Some(journal)) =
            (self.young.as_ref().and_then(|young| young.last_step()), self.queue.journal())
        {
            return last.map_or(Ok(()), |ticket| journal.commit(ticket));
        }
        match self.journal_of() {
            // Its name was not, so far.
            Some(journal) => journal.sync_files(&self.envelope.id, || {
                sync_steps()?;
                sync_folder(&shared.control, level)
            }),
            None => sync_steps(),
        }
    }

    /// Whether steps may have been synced, here or in an earlier attempt.
    fn was_synced(&self) -> bool {
        self.synced.get() || self.envelope.attempts > 0
    }

    /// The journal, when message and envelope are durable by it only.
    fn journal_of(&self) -> Option<&QueueJournal> {
        self.queue.journal().filter(|journal| self.home == Home::Control && journal.holds(&self.envelope.id))
    }

    /// The message's file is on stable storage, so that another name of it may be all there is.
    ///
    /// # Errors
    /// The system's.
    pub fn make_message_durable(&self) -> io::Result<()> {
        self.file()?;
        let Some(journal) = self.journal_of() else { return Ok(()) };
        let shared = &self.queue.shared;
        let level = shared.settings.message_sync;
        journal.sync_files(&self.envelope.id, || {
            sync_file(&File::open(self.message_file())?, level)?;
            sync_folder(&shared.messages, level)
        })
    }

    /// The message as it stands in the journal, for a mailbox that refers to it; nothing when it does not.
    pub fn lend(&self) -> Option<Lent> {
        self.journal_of()?.lend(&self.envelope.id)
    }

    /// Both files are on stable storage and the journal has nothing to do with them any more: before they go to another
    /// place, where it would not look for them.
    ///
    /// # Errors
    /// The system's; all is as it was.
    pub(crate) fn leave_journal(&self) -> io::Result<()> {
        self.file()?;
        let Some(journal) = self.journal_of() else { return Ok(()) };
        self.make_message_durable()?;
        self.sync()?;
        crash::step("leave: files synced");
        journal.left(&self.envelope.id)
    }

    /// Whether the file is as this process left it: not removed, not moved, not written to by a command.
    pub fn is_current(&self) -> bool {
        let path = self.queue.envelope_in(&self.home, &self.envelope.id);
        self.is_young() || fs::metadata(path).is_ok_and(|meta| meta.len() == self.length)
    }

    /// Keeps a copy of both files, or of the one that is there, in lost+found, with a line in the log, for what nobody can be told of.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_aside(&self, why: &dyn std::fmt::Display) -> io::Result<()> {
        self.file()?;
        let (lost, id) = (&self.queue.shared.lost, &self.envelope.id);
        let there = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()), // by an earlier attempt
            other => other,
        };
        let is_missing = match there(fs::hard_link(self.message_file(), lost.join(id.as_str()))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => true, // the envelope is all there is
            other => other.map(|()| false)?,
        };
        fs::copy(self.queue.envelope_in(&self.home, id), lost.join(id.envelope_name()))?;
        if !is_missing {
            self.make_message_durable()?;
        }
        self.queue.shared.log.error(
            Category::General,
            format_args!("{id}: {why}; a copy of it was put into queue/lost+found"),
        );
        Ok(())
    }

    /// Nobody waits any more: the envelope goes, then the message.
    ///
    /// # Errors
    /// The envelope could not be removed, or the journal does not take that it is: the entry will be found finished at the
    /// next start.
    pub fn finish(self) -> io::Result<()> {
        let id = &self.envelope.id;
        let journal = self.queue.journal().filter(|_| self.home == Home::Control);
        let held = match journal.map(|journal| journal.finished(id, self.was_synced())) {
            None => None,
            Some(Ok(held)) => held,
            Some(Err(why)) => {
                let _ = self.file();
                let _ = self.sync(); // who has it, does not get it again
                return Err(why);
            }
        };
        if let (Some(young), Some(journal)) = (&self.young, journal) {
            if journal.young.end(young) {
                self.queue.park(id, false);
                self.queue.gone();
                held.into_iter().for_each(|epoch| journal.release(epoch));
                return Ok(());
            }
        }
        fs::remove_file(self.queue.envelope_in(&self.home, id))?;
        crash::step("end: envelope removed");
        if self.home == Home::Control {
            self.queue.park(id, false);
            self.queue.gone();
        }
        let message = self.message_file();
        match fs::remove_file(&message) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        crash::step("end: message removed");
        if let (Some(journal), Some(epoch)) = (journal, held) {
            journal.release(epoch);
        }
        if let Home::Deferred(domain) = &self.home {
            self.queue.remove_empty_folders(domain, &message);
        }
        Ok(())
    }
}

/// The envelope's file of an entry that somebody else has in hand.
pub struct Notebook {
    queue: Queue,
    young: Option<Arc<Young>>,
    path: PathBuf,
}

impl Notebook {
    /// Writes steps down in one write. They are to be applied by [`Entry::apply`] later.
    ///
    /// # Errors
    /// They could not be written: after a restart they happen again.
    pub fn write(&self, steps: &[(usize, Step)]) -> io::Result<()> {
        let now = base::clock::unix_seconds();
        let text: String = steps.iter().map(|(place, step)| step.encode(*place, now)).collect();
        count(steps.iter().map(|(_, step)| step));
        if append_young(&self.queue, self.young.as_ref(), &text)?.is_some() {
            return Ok(());
        }
        OpenOptions::new().append(true).open(&self.path)?.write_all(text.as_bytes())
    }
}

/// What became of recipients and messages, for `counterutil`.
fn count<'a>(steps: impl Iterator<Item = &'a Step>) {
    for step in steps {
        match step {
            Step::Failed { .. } => counters::add(Counter::Failed, 1),
            Step::Attempt { .. } => counters::add(Counter::Deferred, 1),
            _ => {}
        }
    }
}

/// Records steps of an entry without files, and gives the length of its envelope's text then; nothing when it has files, to
/// which they are to be appended: also because the journal does not take them.
fn append_young(queue: &Queue, young: Option<&Arc<Young>>, text: &str) -> io::Result<Option<u64>> {
    let (Some(young), Some(journal)) = (young, queue.journal()) else { return Ok(None) };
    match young.append(journal, text) {
        Err(_) => journal.young.file(young).map(|()| None),
        appended => appended,
    }
}

fn damaged(queue: &Queue, id: &QueueId, home: &Home, why: EnvelopeError) -> QueueError {
    queue.set_aside_from(home, id, &why);
    QueueError::Damaged(why)
}
