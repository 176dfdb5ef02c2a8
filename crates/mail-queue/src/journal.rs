//! The queue's journal: what makes a message durable that was just accepted, together with others (`docs/formats/queue.md`).
//!
//! A message is *in the journal* from its acceptance until it is finished, or its files were made durable: by a checkpoint,
//! or because it goes to another place. Its files are written all the same, but not synced; what a power cut takes of them
//! is written again at the next start ([`crate::Queue::recover`]). One that is small and was accepted a moment ago has no files
//! at all ([`crate::young`]).

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use base::crash;
use commit_journal::kinds::{ACCEPTED, FINISHED, ID_BYTES, LEFT, STEPS};
use commit_journal::{Hold, Journal, JournalSettings, Owner, Refused, SyncLevel, Ticket};
use server_log::{Category, Log};

use crate::QueueId;
use crate::lend::{Lending, Lent};
use crate::queue::Queue;
use crate::young::Nursery;

/// Bytes of a message that is written into the journal whole. Of a longer one, the file is synced.
pub const JOURNALED_BYTES_MAX: usize = 64 * 1024;
/// The part of what is free that the journal may take when it is made.
const FREE_PART: u64 = 8;

/// What stands in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note<'b> {
    /// In the queue: the text of the envelope, and the message where it is not durable as a file.
    Accepted { id: &'b str, envelope: &'b [u8], body: Option<&'b [u8]> },
    /// Progress of one that has no files yet: lines as they stand behind an envelope.
    Steps { id: &'b str, lines: &'b [u8] },
    /// Done with: not to come back.
    Finished(&'b str),
    /// Its files are durable.
    Left(&'b str),
}

impl<'b> Note<'b> {
    /// Kind 1, id 12; of one that was accepted, the length of the envelope 4, whether the message is there 1, envelope,
    /// message.
    pub fn decode(bytes: &'b [u8]) -> Option<Note<'b>> {
        let (kind, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_at_checked(ID_BYTES)?;
        let id = std::str::from_utf8(id).ok()?;
        match *kind {
            ACCEPTED => {
                let (length, rest) = rest.split_first_chunk::<4>()?;
                let (has_body, rest) = rest.split_first()?;
                let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
                let (envelope, body) = rest.split_at_checked(length)?;
                Some(Note::Accepted { id, envelope, body: (*has_body == 1).then_some(body) })
            }
            FINISHED => Some(Note::Finished(id)),
            LEFT => Some(Note::Left(id)),
            STEPS => Some(Note::Steps { id, lines: rest }),
            _ => None,
        }
    }
}

/// A message that is in the journal.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Of its record.
    epoch: u64,
    /// A sync of its files failed. A later one says nothing of the pages that were lost then, so there is none: the next
    /// start writes them from the record.
    doubtful: bool,
    /// The message stands in the record.
    has_body: bool,
    /// A mailbox has it by that record ([`crate::lend`]), which is needed until a checkpoint, whatever the queue says.
    lent: bool,
}

type Held = Arc<Mutex<HashMap<QueueId, Kept>>>;

/// The journal of a running smtpd.
pub struct QueueJournal {
    journal: Arc<Journal>,
    held: Held,
    lending: Arc<Lending>,
    pub(crate) young: Arc<Nursery>,
    filing: Mutex<Option<JoinHandle<()>>>,
}

impl QueueJournal {
    fn held(&self) -> MutexGuard<'_, HashMap<QueueId, Kept>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the message is in the journal.
    pub fn holds(&self, id: &QueueId) -> bool {
        self.held().contains_key(id)
    }

    /// Makes a message durable whose files are written. False when there is no room.
    ///
    /// # Errors
    /// It is not known whether it is durable; it does not count.
    pub fn accept(&self, id: &QueueId, envelope: &str, body: Option<&[u8]>) -> io::Result<bool> {
        let Ok(length) = u32::try_from(envelope.len()) else { return Ok(false) };
        let head = [&[ACCEPTED], id.as_str().as_bytes(), &length.to_le_bytes(), &[u8::from(body.is_some())]];
        let parts = [&head.concat(), envelope.as_bytes(), body.unwrap_or_default()];
        let ticket = match self.journal.append(&parts, Hold::UntilReleased) {
            Ok(ticket) => ticket,
            Err(Refused::Full) => return Ok(false),
            Err(Refused::Io(error)) => return Err(error),
        };
        crash::step("accept: record written");
        // Before anybody can finish it. Of an epoch that is no more, it does no harm.
        let (epoch, has_body) = (ticket.epoch, body.is_some());
        self.held().insert(id.clone(), Kept { epoch, doubtful: false, has_body, lent: false });
        if let Err(error) = self.journal.commit(ticket) {
            // Without room for that, it is there at the next start perhaps, as what nobody heard the 250 of.
            if let Ok(Some(epoch)) = self.finished(id, false) {
                self.release(epoch);
            }
            return Err(error);
        }
        crash::step("accept: record synced");
        Ok(true)
    }

    /// Records what happened to a message that has no files. It survives the end of the process. Never waits for room: who
    /// calls holds what a checkpoint needs, the message and perhaps a [`Lent`] of it.
    ///
    /// # Errors
    /// Nothing was recorded; the message may become a file, which takes the steps.
    pub fn steps(&self, id: &QueueId, lines: &str) -> io::Result<Ticket> {
        let parts = [&[STEPS], id.as_str().as_bytes(), lines.as_bytes()];
        match self.journal.append_at_once(&parts, Hold::Nothing) {
            Ok(ticket) => Ok(ticket),
            Err(Refused::Io(error)) => Err(error),
            Err(Refused::Full) => Err(io::Error::other("the journal has no room")),
        }
    }

    /// What was recorded is durable.
    ///
    /// # Errors
    /// Whether it is, is not known.
    pub fn commit(&self, ticket: Ticket) -> io::Result<()> {
        self.journal.commit(ticket)
    }

    /// Says that a message is done with, before its files go; `wait`: durably, else that is so a second later. The epoch to
    /// release when they are gone; nothing when it is not in the journal.
    ///
    /// # Errors
    /// It could not be said. The files have to stay: without them the next start would write them anew.
    pub fn finished(&self, id: &QueueId, wait: bool) -> io::Result<Option<u64>> {
        let Some(kept) = self.held().get(id).copied() else { return Ok(None) };
        let ticket = match self.journal.append(&[&[FINISHED], id.as_str().as_bytes()], Hold::Nothing) {
            Ok(ticket) => ticket,
            Err(Refused::Io(error)) => return Err(error),
            Err(Refused::Full) => return Err(io::Error::other("the journal has no room")),
        };
        self.held().remove(id);
        if wait {
            let _ = self.journal.commit(ticket); // failed, it is written once more
        }
        crash::step("end: recorded");
        Ok((!kept.lent).then_some(kept.epoch))
    }

    /// Lends the record of a message to a mailbox, if the message stands in it.
    pub(crate) fn lend(&self, id: &QueueId) -> Option<Lent> {
        let mut held = self.held();
        let kept = held.get_mut(id).filter(|kept| kept.has_body && !kept.doubtful)?;
        let lent = self.lending.begin(kept.epoch)?;
        kept.lent = true;
        Some(lent)
    }

    /// Syncs files of a message that is in the journal.
    ///
    /// # Errors
    /// The system's; and from then on always, until it is finished.
    pub fn sync_files(&self, id: &QueueId, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.held().get(id).is_some_and(|kept| kept.doubtful) {
            return Err(io::Error::other("a sync of its files failed; the next start writes them anew"));
        }
        sync().inspect_err(|_| {
            if let Some(kept) = self.held().get_mut(id) {
                kept.doubtful = true;
            }
        })
    }

    pub fn release(&self, epoch: u64) {
        self.journal.release(epoch);
    }

    /// Says durably that the files of a message are on stable storage.
    ///
    /// # Errors
    /// It is in the journal still, as far as is known.
    pub fn left(&self, id: &QueueId) -> io::Result<()> {
        match self.journal.append(&[&[LEFT], id.as_str().as_bytes()], Hold::Nothing) {
            Ok(ticket) => self.journal.commit(ticket)?,
            Err(Refused::Io(error)) => return Err(error),
            Err(Refused::Full) if self.holds(id) => return Err(io::Error::other("the journal has no room")),
            Err(Refused::Full) => {}
        }
        let kept = self.held().remove(id);
        if let Some(kept) = kept.filter(|kept| !kept.lent) {
            self.release(kept.epoch);
        }
        crash::step("leave: recorded");
        Ok(())
    }
}

impl QueueJournal {
    /// See [`Queue::close`]. What cannot become a file stays in the journal, which cannot be emptied then.
    fn close(&self) {
        let _ = self.young.close();
        let filing = self.filing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(filing) = filing {
            let _ = filing.join();
        }
        self.journal.close();
    }
}

impl Drop for QueueJournal {
    fn drop(&mut self) {
        self.close();
    }
}

/// Who makes durable elsewhere what the journal holds.
struct Keeper {
    /// Of the queue's file system, open from the start: no error is missed.
    folder: File,
    control: PathBuf,
    held: Held,
    young: Arc<Nursery>,
    lending: Arc<Lending>,
    /// Of the file systems of the mailboxes, open from the start, too.
    partitions: Vec<File>,
    log: Log,
}

impl Owner for Keeper {
    fn checkpoint(&self, epoch: u64, held: bool) -> io::Result<()> {
        self.lending.end(epoch);
        // With nothing held, only what was removed must stay so.
        if !held {
            return os::file::sync_dir(&self.control);
        }
        self.young.file_all()?;
        let folders = std::iter::once(&self.folder).chain(&self.partitions);
        commit_journal::sync_file_systems(folders)
    }

    fn stopped(&self, why: &io::Error) {
        self.log.critical(
            Category::General,
            format_args!(
                "queue/journal: {why}: nothing new is written to it before smtpd is started again; each message's files are synced instead. Look after the disk"
            ),
        );
    }

    fn forgotten(&self, epoch: u64) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, kept| kept.epoch != epoch);
    }
}

/// The folder of the journal.
pub(crate) fn folder(queue: &Path) -> PathBuf {
    queue.join("journal")
}

impl Queue {
    pub(crate) fn journal(&self) -> Option<&QueueJournal> {
        self.shared.journal.get()
    }

    /// Begins to use the journal, where the configuration says so. [`Queue::recover`] has been called, and who calls holds
    /// the queue. `partitions`: folders of the mailboxes, whose changes may be written to it, too.
    pub fn begin_journal(&self, partitions: Vec<File>) {
        let folder = folder(self.folder());
        if self.shared.journal.get().is_some() {
            return;
        }
        if !self.wants_journal(&folder) {
            if let Err(why) = commit_journal::remove(&folder) {
                self.complain("cannot be removed", &why);
            }
            return;
        }
        match self.open_journal_on(folder, partitions, Box::new(|file| Arc::new(file))) {
            Ok(journal) => drop(self.shared.journal.set(journal)),
            Err(why) => self.complain("cannot be used; each message's files are synced instead", &why),
        }
    }

    fn complain(&self, what: &str, why: &dyn Display) {
        self.shared.log.warning(Category::General, format_args!("queue/journal {what}: {why}"));
    }

    fn wants_journal(&self, folder: &Path) -> bool {
        let settings = &self.shared.settings;
        let levels = (settings.message_sync, settings.envelope_sync);
        if settings.journal_bytes == 0 || levels != (SyncLevel::Data, SyncLevel::Data) {
            return false;
        }
        let enough = settings.journal_bytes.saturating_mul(FREE_PART);
        let fits = folder.exists() || self.free_space().is_ok_and(|free| free >= enough);
        if !fits {
            self.complain("is not made", &"the disk is too small for local.service.smtp.journalsize");
        }
        fits
    }

    /// On what `make` makes of its files.
    pub(crate) fn open_journal_on(
        &self,
        folder: PathBuf,
        partitions: Vec<File>,
        make: Box<commit_journal::MakeMedium>,
    ) -> io::Result<QueueJournal> {
        let (held, lending) = (Held::default(), Arc::<Lending>::default());
        let shared = &self.shared;
        let young = Arc::new(Nursery::new(
            self.folder(),
            shared.control.clone(),
            shared.messages.clone(),
            shared.settings.filed_after,
            shared.log.clone(),
        ));
        let keeper = Keeper {
            folder: File::open(self.folder())?,
            control: self.shared.control.clone(),
            held: held.clone(),
            young: young.clone(),
            lending: lending.clone(),
            partitions,
            log: self.shared.log.clone(),
        };
        let settings = JournalSettings { folder, segment_bytes: self.shared.settings.journal_bytes / 2 };
        let journal = Arc::new(Journal::open_on(settings, Box::new(keeper), make)?);
        let filing = Mutex::new(Some(young.begin()?));
        Ok(QueueJournal { journal, held, lending, young, filing })
    }

    /// The journal itself, for the mailboxes of this process.
    pub fn shared_journal(&self) -> Option<Arc<Journal>> {
        self.journal().map(|journal| journal.journal.clone())
    }

    /// Makes the files all there is: nothing stands in the journal only, unless the disk failed. Afterwards it takes nothing
    /// any more.
    pub fn close(&self) {
        if let Some(journal) = self.journal() {
            journal.close();
        }
    }

    /// What was put into lost+found stays there.
    pub(crate) fn left_aside(&self, id: &QueueId) {
        let Some(journal) = self.journal().filter(|journal| journal.holds(id)) else { return };
        // Left or not: at worst it stands in both places.
        if self.make_durable().and_then(|()| journal.left(id)).is_err() {
            self.complain("may bring back after a power cut", id);
        }
    }
}
