//! The queue as a whole: its folders, how to begin a message, how to find one.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use commit_journal::SyncLevel;
use server_config::parameters::service_smtp;
use server_config::{Config, Instance};
use server_log::{Category, Log};

use crate::entry::{Entry, Home};
use crate::incoming::IncomingMessage;
use crate::journal::QueueJournal;
use crate::young::{FILED_AFTER, Young};
use crate::{Envelope, EnvelopeError, QueueId};

/// Names that are tried for a message about another.
const CAUSED_TRIES: u32 = 8;

/// Where the queue is, and what it promises.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    pub folder: PathBuf,
    /// `local.service.smtp.envelopesynclevel` (S155)
    pub envelope_sync: SyncLevel,
    /// `local.service.smtp.messagesynclevel` (S155)
    pub message_sync: SyncLevel,
    /// `service.smtp.minfreespace`: bytes below which nothing new is taken.
    pub min_free_bytes: u64,
    /// `local.service.smtp.journalsize`; 0 where each message's files are synced one by one.
    pub journal_bytes: u64,
    /// What is in memory only and in the journal becomes files after so long; [`FILED_AFTER`].
    pub filed_after: Duration,
}

impl QueueSettings {
    /// Without any sync, journal or limit: for tests.
    pub fn in_folder(folder: &Path) -> QueueSettings {
        QueueSettings {
            folder: folder.to_owned(),
            envelope_sync: SyncLevel::None,
            message_sync: SyncLevel::None,
            min_free_bytes: 0,
            journal_bytes: 0,
            filed_after: FILED_AFTER,
        }
    }

    pub fn from_config(config: &Config, instance: &Instance) -> QueueSettings {
        let level = |number: i64| SyncLevel::from_number(number).unwrap_or_default();
        QueueSettings {
            folder: instance.queue_dir(),
            envelope_sync: level(config.get(&service_smtp::ENVELOPE_SYNC_LEVEL)),
            message_sync: level(config.get(&service_smtp::MESSAGE_SYNC_LEVEL)),
            min_free_bytes: u64::try_from(config.get(&service_smtp::MIN_FREE_SPACE)).unwrap_or(0),
            journal_bytes: match config.get(&service_smtp::JOURNAL) {
                true => u64::try_from(config.get(&service_smtp::JOURNAL_SIZE)).unwrap_or(0),
                false => 0,
            },
            filed_after: FILED_AFTER,
        }
    }
}

/// Why the queue did not do what it was asked.
#[derive(Debug)]
pub enum QueueError {
    /// The disk is full, or nearly. Nothing was kept.
    NoSpace,
    /// The entry is there already (a report that was made before).
    AlreadyThere,
    /// Stored bytes are wrong; the entry was put into lost+found.
    Damaged(EnvelopeError),
    Io(io::Error),
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueError::NoSpace => f.write_str("no space left for the queue"),
            QueueError::AlreadyThere => f.write_str("it is in the queue already"),
            QueueError::Damaged(why) => write!(f, "{why}"),
            QueueError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for QueueError {}

impl From<io::Error> for QueueError {
    fn from(error: io::Error) -> QueueError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => QueueError::NoSpace,
            _ => QueueError::Io(error),
        }
    }
}

type OnCommit = Box<dyn Fn(&QueueId) + Send + Sync>;

pub(crate) struct Shared {
    pub settings: QueueSettings,
    pub control: PathBuf,
    pub messages: PathBuf,
    pub deferred: PathBuf,
    pub lost: PathBuf,
    pub log: Log,
    /// While smtpd runs with one.
    pub journal: OnceLock<QueueJournal>,
    depth: AtomicUsize,
    /// Of these, those whose time has not come (RFC 4865).
    parked: Mutex<HashSet<QueueId>>,
    /// Names of reports and copies that are being made.
    making: Mutex<HashSet<QueueId>>,
    on_commit: OnceLock<OnCommit>,
}

/// The queue of an instance; clones share it.
#[derive(Clone)]
pub struct Queue {
    pub(crate) shared: Arc<Shared>,
}

impl Queue {
    /// Makes the folders that are missing. Look at [`Queue::check`] before anything is taken.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn open(settings: QueueSettings, log: Log) -> io::Result<Queue> {
        let inside = |name: &str| settings.folder.join(name);
        let (control, messages, lost) = (inside("control"), inside("messages"), inside("lost+found"));
        let deferred = inside("deferred/SMTP-Deliver");
        for folder in [&control, &messages, &lost, &deferred] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let shared = Shared {
            settings,
            control,
            messages,
            deferred,
            lost,
            log,
            journal: OnceLock::new(),
            depth: AtomicUsize::new(0),
            parked: Mutex::default(),
            making: Mutex::default(),
            on_commit: OnceLock::new(),
        };
        Ok(Queue { shared: Arc::new(shared) })
    }

    /// Begins a message, to be streamed into. A small one has no file before it is committed, or at all.
    ///
    pub fn begin(&self) -> IncomingMessage {
        IncomingMessage::begin(self.clone(), QueueId::next(), false)
    }

    /// Begins a message about another one, with an id that says what caused it, once for the same cause. Its envelope must say
    /// `about` as its parent.
    ///
    /// # Errors
    /// `AlreadyThere` when it was made before.
    pub fn begin_caused(
        &self,
        second: i64,
        cause: &str,
        about: &QueueId,
    ) -> Result<IncomingMessage, QueueError> {
        // The names are few: one that is taken by something else is passed over.
        for salt in 0..CAUSED_TRIES {
            let id = QueueId::derived(second, &format!("{cause} {salt}"));
            match self.read_envelope(&id) {
                Ok(bytes) => {
                    let there = Envelope::decode(&bytes).ok();
                    if there.is_some_and(|envelope| envelope.parent.as_ref() == Some(about)) {
                        return Err(QueueError::AlreadyThere);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => match self.begin_as(id) {
                    Err(QueueError::AlreadyThere) => {}
                    other => return other,
                },
                Err(error) => return Err(error.into()),
            }
        }
        Err(QueueError::Io(io::Error::other("no free name for a report")))
    }

    /// Begins a message with this id. A message that has the name already is being made, moved or finished just now, of
    /// another cause: what a crash left of one was taken away at the start.
    pub(crate) fn begin_as(&self, id: QueueId) -> Result<IncomingMessage, QueueError> {
        let mut making = self.in_the_making();
        if self.young(&id).is_some() || self.message_path(&id).exists() || !making.insert(id.clone()) {
            return Err(QueueError::AlreadyThere);
        }
        drop(making);
        Ok(IncomingMessage::begin(self.clone(), id, true))
    }

    fn read_envelope(&self, id: &QueueId) -> io::Result<Vec<u8>> {
        match self.young(id).and_then(|young| young.text()) {
            Some(text) => Ok(text.into_bytes()),
            None => fs::read(self.envelope_path(id)),
        }
    }

    /// The entry of this id, when it is one without files.
    pub(crate) fn young(&self, id: &QueueId) -> Option<Arc<Young>> {
        self.journal()?.young.find(id)
    }

    /// Called with each id that was committed, once. The first caller counts.
    pub fn on_commit(&self, tell: impl Fn(&QueueId) + Send + Sync + 'static) {
        let _ = self.shared.on_commit.set(Box::new(tell));
    }

    /// The entry of this id; nothing when there is none (any more).
    ///
    /// # Errors
    /// `Damaged` (it is in lost+found then), or the system's.
    pub fn load(&self, id: &QueueId) -> Result<Option<Entry>, QueueError> {
        Entry::load(self.clone(), id, Home::Control)
    }

    /// Envelopes in the control folder that are to be worked off (S49): those that wait for a time of their sender's choice do
    /// not count.
    pub fn depth(&self) -> usize {
        self.shared.depth.load(Ordering::Relaxed).saturating_sub(self.parked().len())
    }

    fn parked(&self) -> MutexGuard<'_, HashSet<QueueId>> {
        self.shared.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries of the control folder wait for a time of their sender's choice.
    pub fn parked_count(&self) -> usize {
        self.parked().len()
    }

    /// The entries of the control folder that wait for a time of their sender's choice.
    pub fn waiting_for_their_time(&self) -> Vec<QueueId> {
        self.parked().iter().cloned().collect()
    }

    pub(crate) fn in_the_making(&self) -> MutexGuard<'_, HashSet<QueueId>> {
        self.shared.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry of the control folder waits for a time of its sender's choice, or does not any more.
    pub fn park(&self, id: &QueueId, waits: bool) {
        let mut parked = self.parked();
        match waits {
            true => drop(parked.insert(id.clone())),
            false => drop(parked.remove(id)),
        }
    }

    /// Bytes that are free for the queue.
    ///
    /// # Errors
    /// The system's.
    pub fn free_space(&self) -> io::Result<u64> {
        os::file::free_space(&self.shared.settings.folder)
    }

    /// Whether less is free than `service.smtp.minfreespace`.
    pub fn is_short_of_space(&self) -> bool {
        self.free_space().is_ok_and(|free| free < self.shared.settings.min_free_bytes)
    }

    /// Ids of the envelopes in the control folder, oldest first. Also for tools, with or without smtpd.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn ids(&self) -> io::Result<Vec<QueueId>> {
        let mut ids: Vec<QueueId> = fs::read_dir(&self.shared.control)?
            .filter_map(|entry| QueueId::parse(entry.ok()?.file_name().to_str()?.strip_prefix("env-")?))
            .collect();
        ids.sort();
        Ok(ids)
    }

    /// The folder of the queue; others keep what belongs to mail in transit in folders of their own there.
    pub fn folder(&self) -> &Path {
        &self.shared.settings.folder
    }

    /// The message file of an id. Of an entry, ask [`Entry::message_file`], which makes one.
    pub fn message_path(&self, id: &QueueId) -> PathBuf {
        self.shared.messages.join(id.as_str())
    }

    /// The envelope file of an id.
    pub fn envelope_path(&self, id: &QueueId) -> PathBuf {
        self.shared.control.join(id.envelope_name())
    }

    pub(crate) fn committed(&self, id: &QueueId) {
        self.shared.depth.fetch_add(1, Ordering::Relaxed);
        if let Some(journal) = self.journal() {
            journal.young.counts.committed();
        }
        if let Some(tell) = self.shared.on_commit.get() {
            tell(id);
        }
    }

    pub(crate) fn gone(&self) {
        let _ = self
            .shared
            .depth
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |depth| depth.checked_sub(1));
    }

    pub(crate) fn set_depth(&self, depth: usize) {
        self.shared.depth.store(depth, Ordering::Relaxed);
    }

    pub(crate) fn envelope_in(&self, home: &Home, id: &QueueId) -> PathBuf {
        match home {
            Home::Control => self.envelope_path(id),
            Home::Deferred(domain) => self.deferred_folder(domain).join(id.envelope_name()),
        }
    }

    pub(crate) fn message_in(&self, home: &Home, id: &QueueId) -> PathBuf {
        match home {
            Home::Control => self.message_path(id),
            Home::Deferred(domain) => self.deferred_message_path(domain, id),
        }
    }

    /// Puts what stands under this id in the control folder into lost+found, with a line in the log.
    pub fn set_aside(&self, id: &QueueId, why: &dyn fmt::Display) {
        self.set_aside_from(&Home::Control, id, why);
    }

    pub(crate) fn set_aside_from(&self, home: &Home, id: &QueueId, why: &dyn fmt::Display) {
        self.shared.log.error(
            Category::General,
            format_args!("{id}: {why}; what there is of it was put into queue/lost+found"),
        );
        if let (Some(journal), Some(young)) = (self.journal(), self.young(id)) {
            if let Err(why) = journal.young.file(&young) {
                self.shared.log.error(Category::General, format_args!("{id}: cannot be written: {why}"));
            }
        }
        let had_envelope = move_aside(&self.envelope_in(home, id), &self.shared.lost);
        move_aside(&self.message_in(home, id), &self.shared.lost);
        self.left_aside(id);
        if had_envelope && *home == Home::Control {
            self.gone();
        }
    }
}

/// Moves a file into a folder, under a name that is free there. Whether there was one.
pub(crate) fn move_aside(path: &Path, folder: &Path) -> bool {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { return false };
    for attempt in 0..1000 {
        let target = if attempt == 0 { folder.join(&name) } else { folder.join(format!("{name}.{attempt}")) };
        match os::file::rename_new(path, &target) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => return false,
        }
    }
    false
}
