//! Messages coming in: streamed by a client, linked from the queue.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use commit_journal::sync_file;

use crate::layout::{INCOMING_PREFIX, message_path};
use crate::log::Operation;
use crate::mailbox::Mailbox;
use crate::new_files::{Bytes, NewFiles, Origin};
use crate::prepared::Prepared;
use crate::quota::Room;
use crate::record::{Cold, Record};
use crate::shared::hash;
use crate::source::{Placed, Source};
use crate::writer::Change;
use crate::{Flags, Limits, Result, StoreError};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 64 * 1024;
/// Bytes of a message that may be durable by the journal.
const JOURNALED_BYTES_MAX: u64 = 64 * 1024;
/// Slots that are looked at for a delivery that happened before, whatever their date.
const REPEAT_SLOTS_MIN: u32 = 64;
/// The clock may have been set back so much between accepting and delivering.
const CLOCK_SLACK_NS: i64 = 2_000_000_000;

/// What a message is appended with.
#[derive(Clone, Debug, Default)]
pub struct NewMessage {
    pub flags: Flags,
    pub keywords: Vec<String>,
    pub internal_date_ns: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub uid: u32,
    pub uid_validity: u32,
}

/// What makes a delivery recognisable.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryId<'a> {
    pub queue_id: &'a str,
    pub recipient: &'a str,
}

impl DeliveryId<'_> {
    fn hash(&self) -> u64 {
        hash(format!("{}\0{}", self.queue_id, self.recipient).as_bytes())
    }
}

/// A message that stands in the journal that the mailbox is made durable by, and does so until the delivery is over.
#[derive(Clone, Copy)]
pub struct Lent<'a> {
    /// The queue has it under this id, of 12 characters.
    pub queue_id: &'a str,
    /// Makes its file durable all the same, where the journal does not take the delivery.
    pub sync: &'a dyn Fn() -> io::Result<()>,
}

/// A message of the queue.
#[derive(Clone, Copy)]
pub struct LinkedMessage<'a> {
    pub source: Source<'a>,
    /// Nothing when its file is on stable storage, or is to be made so.
    pub lent: Option<Lent<'a>>,
    pub flags: Flags,
    /// When the queue accepted it.
    pub internal_date_ns: i64,
    pub delivery: DeliveryId<'a>,
    pub prepared: &'a Prepared,
    /// What it has to fit into, together with what the owner of the mailbox has already.
    pub limits: Limits,
}

impl<'a> LinkedMessage<'a> {
    fn origin(&self, placed: Placed) -> Origin<'a> {
        let sync = |lent: Lent<'a>| match placed {
            Placed::TheSame => Some(lent.sync),
            Placed::Another => None, // that of the queue may be durable, and the mailbox's is not
        };
        match self.lent {
            Some(lent) => Origin::Lent(lent.queue_id.as_bytes(), sync(lent)),
            None => Origin::File(Bytes::Synced),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    New(u32),
    AlreadyThere(u32),
}

/// A message that a client is sending: straight to disk, nothing in memory. Dropped before [`Incoming::finish`], nothing
/// happened.
pub struct Incoming {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    buffer: Vec<u8>,
    written: u64,
    is_beyond_quota: bool,
}

impl Mailbox {
    /// A name for a message on its way in.
    pub(crate) fn incoming_path(&self) -> PathBuf {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{INCOMING_PREFIX}{}-{number}", std::process::id()))
    }

    /// Begins a message.
    ///
    /// # Errors
    /// `NotFound`, `NoSpace`, the system's.
    pub fn begin_append(self: &Arc<Self>) -> Result<Incoming> {
        self.header()?;
        let path = self.incoming_path();
        // A file of this name is of a process that was killed: its number came round again.
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        Ok(Incoming {
            mailbox: Arc::clone(self),
            path,
            file,
            buffer: Vec::new(),
            written: 0,
            is_beyond_quota: false,
        })
    }

    /// Puts a message of the queue into the mailbox, once: the same delivery again does nothing. It is durable when this
    /// returns.
    ///
    /// # Errors
    /// Nothing has happened then.
    pub fn deliver(&self, message: LinkedMessage<'_>) -> Result<Delivered> {
        let delivery = message.delivery.hash();
        let mut change = self.write()?;
        change.room = Room::Within(message.limits);
        let guid = &message.prepared.guid;
        if let Some(uid) = change.delivered_before(delivery, message.internal_date_ns, guid) {
            return Ok(Delivered::AlreadyThere(uid));
        }
        let uid = change.free_uid(Some(message.source))?;
        let path = message_path(&self.folder, uid);
        let placed = message.source.place(self, &path, message.lent.is_some())?;
        let mut files = NewFiles::default();
        files.add(uid, message.origin(placed));
        let new = NewRecord {
            uid,
            flags: message.flags.of_message(),
            keywords: 0,
            internal_date_ns: message.internal_date_ns,
            delivery,
            prepared: message.prepared,
        };
        let committed = change.append(&new, Vec::new(), &files);
        if committed.is_err() && !change.is_in_doubt() {
            let _ = fs::remove_file(&path);
        }
        committed.map(|()| Delivered::New(uid))
    }
}

/// The values of a record that is to be made.
struct NewRecord<'a> {
    uid: u32,
    flags: Flags,
    keywords: u64,
    internal_date_ns: i64,
    delivery: u64,
    prepared: &'a Prepared,
}

impl Change<'_> {
    /// The next UID whose file name is free; its folder is there. A file that no record names was left by an interruption: it
    /// is passed over, unless it is of the very message (`own`) that is to be placed.
    pub fn free_uid(&mut self, own: Option<Source<'_>>) -> Result<u32> {
        let mut uid = self.header.uid_next.max(1);
        loop {
            if uid == u32::MAX {
                return Err(StoreError::TooBig("the last UID"));
            }
            self.message_folder(uid)?;
            let path = message_path(&self.mailbox.folder, uid);
            match fs::metadata(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(uid),
                Err(error) => return Err(error.into()),
                Ok(meta) => match own {
                    Some(own) if own.is(&path, &meta)? => return Ok(uid),
                    _ => uid += 1,
                },
            }
        }
    }

    /// The UID under which this delivery is here already. Records are looked at from the newest back to when the message
    /// arrived: it cannot have been delivered before.
    ///
    /// A record without a delivery may be one that a rebuild made for a file whose delivery was interrupted: it is known
    /// by its content, which begins with the line that names its queue id.
    fn delivered_before(&self, delivery: u64, arrived_ns: i64, guid: &[u8; 16]) -> Option<u32> {
        let slots = self.header.slots;
        for (looked, slot) in (0..slots).rev().enumerate() {
            let Some(cold) = self.index.cold(slot) else { continue };
            // A record whose file is gone is no delivery, the queue has the only copy; unless its owner removed it.
            let has_file = || message_path(&self.mailbox.folder, cold.uid).exists();
            if cold.delivery == delivery && (self.index.record(slot).is_expunged() || has_file()) {
                return Some(cold.uid);
            }
            if cold.delivery == 0 && cold.guid == *guid && has_file() {
                return Some(cold.uid);
            }
            let long_before = cold.save_date_ns < arrived_ns.saturating_sub(CLOCK_SLACK_NS);
            if long_before && looked as u32 >= REPEAT_SLOTS_MIN {
                return None;
            }
        }
        None
    }

    /// Commits one new message whose file is in place.
    fn append(
        &mut self,
        new: &NewRecord<'_>,
        mut operations: Vec<Operation>,
        files: &NewFiles<'_>,
    ) -> Result<()> {
        let segment = self.cache_segment();
        let content = std::iter::once((&new.prepared.guid, new.prepared.cache.as_slice()));
        let positions = self.mailbox.segments.append(&self.mailbox.folder, segment, content)?;
        let modseq = self.next_modseq();
        let record = Record {
            uid: new.uid,
            flags: new.flags,
            modseq,
            keywords: new.keywords,
            size: new.prepared.size,
        };
        let cold = Cold {
            uid: new.uid,
            size: new.prepared.size,
            internal_date_ns: new.internal_date_ns,
            save_date_ns: base::clock::unix_nanos(),
            sent_date: new.prepared.sent_date,
            created_modseq: modseq,
            header_size: new.prepared.header_size,
            lines: new.prepared.lines,
            guid: new.prepared.guid,
            delivery: new.delivery,
            cache_position: positions.first().copied().unwrap_or(crate::cache::NO_POSITION),
            expunged_at: 0,
        };
        operations.push(Operation::Append(record, cold));
        self.commit(&operations, files)
    }
}

impl Incoming {
    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.written.saturating_add(self.buffer.len() as u64)
    }

    pub(crate) fn write_buffer(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written = self.written.saturating_add(self.buffer.len() as u64);
        self.buffer.clear();
        Ok(())
    }

    /// Syncs the message before it has its name, unless the journal may take it whole.
    pub(crate) fn sync_alone(&self) -> io::Result<Bytes> {
        let shared = &self.mailbox.shared;
        if self.written <= JOURNALED_BYTES_MAX && shared.journal.journal().is_some() {
            return Ok(Bytes::Written);
        }
        sync_file(&self.file, shared.settings.sync.message)?;
        Ok(Bytes::Synced)
    }

    /// The message comes in whether there is room for it in the quota or not.
    pub fn beyond_quota(mut self) -> Incoming {
        self.is_beyond_quota = true;
        self
    }

    /// The message is in the mailbox, durable, when this returns.
    ///
    /// # Errors
    /// Nothing is in the mailbox then.
    pub fn finish(mut self, message: NewMessage) -> Result<Appended> {
        self.write_buffer()?;
        let prepared = Prepared::of_file(&self.file)?;
        let bytes = self.sync_alone()?;
        let mailbox = Arc::clone(&self.mailbox);
        let mut change = mailbox.write()?;
        if !self.is_beyond_quota {
            change.enforce();
        }
        let (keywords, operations) = change.keyword_bits(&message.keywords)?;
        let uid = change.free_uid(None)?;
        let path = message_path(&mailbox.folder, uid);
        fs::rename(&self.path, &path)?;
        let new = NewRecord {
            uid,
            flags: message.flags & Flags::SYSTEM,
            keywords,
            internal_date_ns: message.internal_date_ns,
            delivery: 0,
            prepared: &prepared,
        };
        let mut files = NewFiles::default();
        files.add(uid, Origin::File(bytes));
        if let Err(error) = change.append(&new, operations, &files) {
            if !change.is_in_doubt() {
                let _ = fs::remove_file(&path);
            }
            return Err(error);
        }
        Ok(Appended { uid, uid_validity: change.header.uid_validity })
    }
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len().saturating_add(bytes.len()) > BUFFER_BYTES {
            self.write_buffer()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_buffer()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // gone already when it was finished
    }
}
