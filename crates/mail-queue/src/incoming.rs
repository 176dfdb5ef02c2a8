//! A message on its way in: gathered in memory, streamed to a file when it grows; durable when it is committed, gone when it is
//! dropped before.
//!
//! Before it is committed it can be looked at as a whole and put together anew of its own parts and new ones. That makes a
//! new file under the same name where the old one is too large for memory, so that a crash leaves what it always leaves of
//! a message that was not committed: a file without an envelope, or nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::content::Whole;
use base::crash;
use commit_journal::{sync_file, sync_folder};
use counters::Counter;
use os::map::FileMap;

use crate::journal::{JOURNALED_BYTES_MAX, QueueJournal};
use crate::queue::{Queue, QueueError};
use crate::young::Young;
use crate::{Envelope, QueueId};

/// What is gathered before it is written.
const BUFFER_BYTES: usize = JOURNALED_BYTES_MAX;

/// A message that is being received.
pub struct IncomingMessage {
    queue: Queue,
    id: QueueId,
    /// Once something of it was written.
    file: Option<File>,
    buffer: Vec<u8>,
    written: u64,
    committed: bool,
    /// The name is kept from others until it is committed or dropped.
    reserved: bool,
}

/// A part of a message that is put together anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    New(Vec<u8>),
    /// Bytes of the message as it was, by their places.
    Kept(Range<u64>),
}

impl IncomingMessage {
    /// `reserved`: the queue has the name in its list of those that are being made.
    pub(crate) fn begin(queue: Queue, id: QueueId, reserved: bool) -> IncomingMessage {
        IncomingMessage { queue, id, file: None, buffer: Vec::new(), written: 0, committed: false, reserved }
    }

    pub fn id(&self) -> &QueueId {
        &self.id
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.written.saturating_add(self.buffer.len() as u64)
    }

    /// Its file, which has all of it.
    fn write_buffer(&mut self) -> io::Result<&File> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => create(&self.queue, &self.id)?,
        };
        let written = file.write_all(&self.buffer);
        let file = self.file.insert(file);
        written?;
        self.written = self.written.saturating_add(self.buffer.len() as u64);
        self.buffer.clear();
        Ok(file)
    }

    /// Puts the message on stable storage as it is, so that mailboxes may take a link of it before, or instead of, the
    /// commit. Gives its file.
    ///
    /// # Errors
    /// The system's.
    pub fn settle(&mut self) -> Result<PathBuf, QueueError> {
        let level = self.queue.shared.settings.message_sync;
        sync_file(self.write_buffer()?, level)?;
        sync_folder(&self.queue.shared.messages, level)?;
        Ok(self.queue.message_path(&self.id))
    }

    /// The message as it is now. What is in memory stays there.
    ///
    /// # Errors
    /// The system's.
    pub fn look(&mut self) -> Result<Whole<'_>, QueueError> {
        if self.written == 0 {
            return Ok(Whole::Buffer(&self.buffer));
        }
        Ok(Whole::Map(FileMap::open(self.write_buffer()?)?))
    }

    /// Puts the message together anew. What was written to the file already is copied by the system, without passing
    /// through here (`copy_file_range`).
    ///
    /// # Errors
    /// The message cannot be committed any more; drop it.
    pub fn rebuild(&mut self, parts: &[Part]) -> Result<(), QueueError> {
        if self.written == 0 {
            self.buffer = join(parts, &self.buffer);
            return Ok(());
        }
        self.write_buffer()?;
        let Some(old) = self.file.take() else { return Err(io::Error::other("no file").into()) };
        fs::remove_file(self.queue.message_path(&self.id))?;
        crash::step("amend: old name removed");
        let mut new: &File = self.file.insert(create(&self.queue, &self.id)?);
        let mut written = 0_u64;
        for part in parts {
            let length = match part {
                Part::New(bytes) => new.write_all(bytes).map(|()| bytes.len() as u64)?,
                Part::Kept(range) => copy(&old, range, &mut new)?,
            };
            written = written.saturating_add(length);
        }
        crash::step("amend: message rebuilt");
        self.written = written;
        Ok(())
    }

    /// Makes message and envelope durable. When this returns, the message is in the queue and 250 may be said. Id and
    /// size of the envelope are set here.
    ///
    /// # Errors
    /// Nothing is in the queue then, whatever it was.
    pub fn commit(mut self, mut envelope: Envelope) -> Result<QueueId, QueueError> {
        envelope.id = self.id.clone();
        envelope.message_size = self.size();
        let queue = self.queue.clone();
        match queue.journal() {
            Some(journal) => self.commit_together(journal, &envelope)?,
            None => self.commit_alone(&envelope)?,
        }
        self.committed = true;
        counters::add(Counter::MessagesAccepted, 1);
        counters::add(Counter::BytesAccepted, envelope.message_size);
        counters::add(Counter::RecipientsAccepted, envelope.recipients.len() as u64);
        if envelope.waits_for_release(base::clock::unix_seconds()) {
            self.queue.park(&self.id, true);
        }
        self.queue.committed(&self.id);
        Ok(self.id.clone())
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.write_buffer()?;
        crash::step("accept: message written");
        Ok(())
    }

    /// Each file by a sync of its own.
    fn commit_alone(&mut self, envelope: &Envelope) -> Result<(), QueueError> {
        self.write_out()?;
        self.sync_message()?;
        let file = self.write_envelope(&envelope.encode())?;
        self.sync_envelope(&file).inspect_err(|_| self.remove_envelope())?;
        Ok(())
    }

    /// By a record of the journal, with what others write. A message that is small enough is in the record, and has no files
    /// at first; that of a larger one is synced, and the envelope's file is written and not synced. When the journal has no
    /// room, all is as if there were none.
    fn commit_together(&mut self, journal: &QueueJournal, envelope: &Envelope) -> Result<(), QueueError> {
        let text = envelope.encode();
        // What is to wait is seen in the folders at once.
        let waits = envelope.held || envelope.hold.is_some();
        if self.file.is_none() && !waits {
            let body: Arc<[u8]> = self.buffer.as_slice().into();
            let young = match journal.young.take(&self.id, &text, body.clone()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(QueueError::AlreadyThere);
                }
                other => other?,
            };
            if let Some(young) = young {
                return self.commit_young(journal, &young, &text, &body);
            }
        }
        let body = self.file.is_none().then(|| self.buffer.clone());
        self.write_out()?;
        if body.is_none() {
            self.sync_message()?;
        }
        let file = self.write_envelope(&text)?;
        let outcome = match journal.accept(&self.id, &text, body.as_deref()) {
            Ok(true) => Ok(()),
            Ok(false) => self.sync_message().and_then(|()| self.sync_envelope(&file)),
            Err(error) => Err(error),
        };
        Ok(outcome.inspect_err(|_| self.remove_envelope())?)
    }

    fn commit_young(
        &mut self,
        journal: &QueueJournal,
        young: &Young,
        text: &str,
        body: &[u8],
    ) -> Result<(), QueueError> {
        let by_files = || -> io::Result<()> {
            journal.young.file(young)?;
            let level = self.queue.shared.settings.message_sync;
            sync_file(&File::open(self.queue.message_path(&self.id))?, level)?;
            sync_folder(&self.queue.shared.messages, level)?;
            self.sync_envelope(&File::open(self.queue.envelope_path(&self.id))?)
        };
        let outcome = match journal.accept(&self.id, text, Some(body)) {
            Ok(true) => Ok(()),
            Ok(false) => by_files(),
            Err(error) => Err(error),
        };
        Ok(outcome.inspect_err(|_| {
            if !journal.young.end(young) {
                self.remove_envelope();
                let _ = fs::remove_file(self.queue.message_path(&self.id));
            }
        })?)
    }

    fn sync_message(&self) -> io::Result<()> {
        let shared = &self.queue.shared;
        if let Some(file) = &self.file {
            sync_file(file, shared.settings.message_sync)?;
        }
        sync_folder(&shared.messages, shared.settings.message_sync)?;
        crash::step("accept: message synced");
        Ok(())
    }

    fn sync_envelope(&self, file: &File) -> io::Result<()> {
        let shared = &self.queue.shared;
        sync_file(file, shared.settings.envelope_sync)?;
        sync_folder(&shared.control, shared.settings.envelope_sync)?;
        crash::step("accept: envelope synced");
        Ok(())
    }

    fn remove_envelope(&self) {
        let _ = fs::remove_file(self.queue.envelope_path(&self.id));
    }

    /// It gets its name when it is whole: whoever looks through the folder meanwhile would find it damaged.
    fn write_envelope(&self, text: &str) -> Result<File, QueueError> {
        let temporary = self.queue.shared.control.join(format!("new-{}", self.id));
        let named = self.write_and_name(&temporary, text);
        if named.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        match named {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(QueueError::AlreadyThere),
            other => Ok(other?),
        }
    }

    fn write_and_name(&self, temporary: &Path, text: &str) -> io::Result<File> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
        file.write_all(text.as_bytes())?;
        crash::step("accept: envelope written");
        os::file::rename_new(temporary, &self.queue.envelope_path(&self.id))?;
        crash::step("accept: envelope named");
        Ok(file)
    }
}

fn create(queue: &Queue, id: &QueueId) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(queue.message_path(id))
}

fn join(parts: &[Part], old: &[u8]) -> Vec<u8> {
    let mut new = Vec::with_capacity(old.len().saturating_add(1024));
    for part in parts {
        match part {
            Part::New(bytes) => new.extend_from_slice(bytes),
            Part::Kept(range) => {
                let (start, end) = (range.start as usize, range.end as usize);
                new.extend_from_slice(old.get(start..end).unwrap_or_default());
            }
        }
    }
    new
}

fn copy(mut old: &File, range: &Range<u64>, new: &mut &File) -> io::Result<u64> {
    old.seek(SeekFrom::Start(range.start))?;
    let length = range.end.saturating_sub(range.start);
    match io::copy(&mut old.take(length), new)? {
        copied if copied == length => Ok(copied),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl Write for IncomingMessage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len().saturating_add(bytes.len()) > BUFFER_BYTES {
            self.write_buffer()?;
        }
        if bytes.len() > BUFFER_BYTES {
            let mut file = self.write_buffer()?;
            file.write_all(bytes)?;
            self.written = self.written.saturating_add(bytes.len() as u64);
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    /// Nothing: what is gathered is written when it has to be.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for IncomingMessage {
    fn drop(&mut self) {
        if !self.committed && self.file.is_some() {
            let _ = fs::remove_file(self.queue.message_path(&self.id));
        }
        if self.reserved {
            self.queue.in_the_making().remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QueueSettings;

    fn queue() -> (tempfile::TempDir, Queue) {
        let folder = tempfile::tempdir().unwrap();
        let settings = QueueSettings::in_folder(folder.path());
        let queue = Queue::open(settings, server_log::Log::discard()).unwrap();
        (folder, queue)
    }

    fn message(queue: &Queue, bytes: &[u8]) -> IncomingMessage {
        let mut message = queue.begin();
        message.write_all(bytes).unwrap();
        message
    }

    /// Small ones stay in memory, large ones become another file of the same name; both end as told.
    #[test]
    fn a_message_is_put_together_anew_of_old_and_new_parts() {
        let (_folder, queue) = queue();
        for size in [10, BUFFER_BYTES - 1, BUFFER_BYTES + 1, 3 * BUFFER_BYTES + 7] {
            let old: Vec<u8> = (0..size).map(|at| b'a' + (at % 23) as u8).collect();
            let mut incoming = message(&queue, &old);
            assert_eq!(&incoming.look().unwrap()[..], &old[..]);
            let end = size as u64;
            let parts = [Part::Kept(0..3), Part::New(b"NEW".to_vec()), Part::Kept(5..end)];
            incoming.rebuild(&parts).unwrap();
            let expected = [&old[..3], b"NEW", &old[5..]].concat();
            assert_eq!(incoming.size(), expected.len() as u64);
            assert_eq!(&incoming.look().unwrap()[..], &expected[..]);
            incoming.write_all(b"end").unwrap();
            let mut envelope = Envelope::new(incoming.id().clone());
            envelope.sender = None;
            let id = incoming.commit(envelope).unwrap();
            assert_eq!(fs::read(queue.message_path(&id)).unwrap(), [&expected[..], b"end"].concat());
            assert_eq!(queue.load(&id).unwrap().unwrap().envelope.message_size, expected.len() as u64 + 3);
        }
    }

    #[test]
    fn a_part_that_is_not_there_fails_and_leaves_nothing() {
        let (_folder, queue) = queue();
        let mut incoming = message(&queue, &vec![b'x'; BUFFER_BYTES + 1]);
        let beyond = BUFFER_BYTES as u64 + 9;
        assert!(incoming.rebuild(&[Part::Kept(0..beyond)]).is_err());
        let path = queue.message_path(incoming.id());
        drop(incoming);
        assert!(!path.exists());
    }

    /// Who looks through the folder all the time never finds an envelope that is not whole.
    #[test]
    fn an_envelope_is_whole_when_it_has_its_name() {
        let (folder, queue) = queue();
        let looker = queue.clone();
        let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let end = ended.clone();
        let looking = std::thread::spawn(move || {
            loop {
                let is_last = end.load(std::sync::atomic::Ordering::Acquire);
                let mut seen = 0;
                for id in looker.ids().unwrap() {
                    looker.load(&id).unwrap().unwrap();
                    seen += 1;
                }
                if is_last {
                    return seen;
                }
            }
        });
        for _ in 0..100 {
            let incoming = message(&queue, b"x");
            let mut envelope = Envelope::new(incoming.id().clone());
            // Many pages: it is not written in a moment.
            let recipient = |n| crate::Recipient { address: format!("{n}@down.test"), ..Default::default() };
            envelope.recipients = (0..2000).map(recipient).collect();
            incoming.commit(envelope).unwrap();
        }
        ended.store(true, std::sync::atomic::Ordering::Release);
        assert_eq!(looking.join().unwrap(), 100);
        assert_eq!(fs::read_dir(folder.path().join("control")).unwrap().count(), 100);
        assert_eq!(fs::read_dir(folder.path().join("lost+found")).unwrap().count(), 0);
    }

    #[test]
    fn an_entry_can_be_held_from_its_first_moment() {
        let (_folder, queue) = queue();
        let incoming = message(&queue, b"x");
        let mut envelope = Envelope::new(incoming.id().clone());
        (envelope.held, envelope.last_error) = (true, "looks\nodd".into());
        let id = incoming.commit(envelope).unwrap();
        let mut entry = queue.load(&id).unwrap().unwrap();
        assert!(entry.envelope.held);
        assert_eq!(entry.envelope.last_error, "looks\nodd");
        entry.record(0, crate::Step::Released).unwrap();
        assert!(!queue.load(&id).unwrap().unwrap().envelope.held);
    }
}
