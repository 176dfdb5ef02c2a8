//! A message on its way in: streamed to its file, durable when it is committed, gone when it is dropped before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use commit_journal::{sync_file, sync_folder};

use crate::queue::{Queue, QueueError};
use crate::{Envelope, QueueId};

/// What is gathered before it is written.
const BUFFER_BYTES: usize = 64 * 1024;

/// A message that is being received.
pub struct IncomingMessage {
    queue: Queue,
    id: QueueId,
    file: File,
    buffer: Vec<u8>,
    written: u64,
    committed: bool,
}

impl IncomingMessage {
    pub(crate) fn begin(queue: Queue, id: QueueId) -> Result<IncomingMessage, QueueError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(queue.message_path(&id))?;
        Ok(IncomingMessage { queue, id, file, buffer: Vec::new(), written: 0, committed: false })
    }

    pub fn id(&self) -> &QueueId {
        &self.id
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.written.saturating_add(self.buffer.len() as u64)
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_all(&self.buffer)?;
            self.written = self.written.saturating_add(self.buffer.len() as u64);
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes message and envelope durable. When this returns, the message is in the queue and 250 may be said. Id and
    /// size of the envelope are set here.
    ///
    /// # Errors
    /// Nothing is in the queue then, whatever it was.
    pub fn commit(mut self, mut envelope: Envelope) -> Result<QueueId, QueueError> {
        self.write_buffer()?;
        envelope.id = self.id.clone();
        envelope.message_size = self.written;
        let shared = &self.queue.shared;
        let levels = (shared.settings.message_sync, shared.settings.envelope_sync);
        sync_file(&self.file, levels.0)?;
        sync_folder(&shared.messages, levels.0)?;
        let path = self.queue.envelope_path(&self.id);
        let made = write_envelope(&path, &envelope).and_then(|file| {
            sync_file(&file, levels.1)?;
            sync_folder(&shared.control, levels.1)
        });
        if let Err(error) = made {
            let exists = error.kind() == io::ErrorKind::AlreadyExists;
            if !exists {
                let _ = fs::remove_file(&path);
            }
            return Err(if exists { QueueError::AlreadyThere } else { error.into() });
        }
        self.committed = true;
        self.queue.committed(&self.id);
        Ok(self.id.clone())
    }
}

fn write_envelope(path: &std::path::Path, envelope: &Envelope) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(envelope.encode().as_bytes())?;
    Ok(file)
}

impl Write for IncomingMessage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len().saturating_add(bytes.len()) > BUFFER_BYTES {
            self.write_buffer()?;
        }
        if bytes.len() > BUFFER_BYTES {
            self.file.write_all(bytes)?;
            self.written = self.written.saturating_add(bytes.len() as u64);
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_buffer()
    }
}

impl Drop for IncomingMessage {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(self.queue.message_path(&self.id));
        }
    }
}
