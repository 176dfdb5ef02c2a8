//! What the journal holds is put in its place: at the start, before the comparison of control and messages, and before a
//! tool that holds the queue changes it.
//!
//! Everything here may be done twice, and be interrupted at any point: the journal is emptied last.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use base::crash;
use commit_journal::kinds::CHANGED;
use server_log::Category;

use crate::journal::{Note, folder};
use crate::queue::Queue;
use crate::{Envelope, QueueId};

/// The last word of the journal about a message.
#[derive(Clone, Debug, Default)]
struct Last {
    envelope: Vec<u8>,
    /// Nothing when it was synced as a file.
    body: Option<Vec<u8>>,
    /// Steps that were recorded while it had no files: its envelope has them behind its end.
    steps: Vec<u8>,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finished,
    Left,
}

/// What was found in the journal and done about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Messages that were in it.
    pub held: usize,
    /// Of those, with a file that was missing or wrong and was written again.
    pub restored: usize,
    /// Finished ones whose files had come back.
    pub removed: usize,
}

impl Queue {
    /// Puts in its place what the journal holds, and empties it. Who calls holds the queue: smtpd before it takes anything,
    /// or a tool in its stead. `store` is called when the journal says something of mailboxes, too: it returns when all
    /// that is in its place there, durably.
    ///
    /// # Errors
    /// The system's, or the store's; the journal is as it was.
    pub fn recover(&self, store: impl FnOnce() -> io::Result<()>) -> io::Result<Recovered> {
        let folder = folder(self.folder());
        self.set_damaged_aside(&folder)?;
        let mut known: HashMap<QueueId, Last> = HashMap::new();
        let mut tells_of_mailboxes = false;
        let records = commit_journal::read(&folder, |payload| {
            tells_of_mailboxes |= payload.first() == Some(&CHANGED);
            note(&mut known, payload);
        })?;
        if records == 0 {
            return Ok(Recovered::default());
        }
        if tells_of_mailboxes {
            store()?;
        }
        let all = File::open(self.folder())?;
        let recovered = self.apply(&known)?;
        if os::file::sync_file_system_of(&all).is_err() {
            // Perhaps of what was lost before; all is written once more, and a second failure is of that.
            self.apply(&known)?;
            os::file::sync_file_system_of(&all)?;
        }
        crash::step("replay: files synced");
        commit_journal::clear(&folder)?;
        crash::step("replay: journal emptied");
        if recovered != Recovered::default() {
            self.shared.log.notice(
                Category::General,
                format_args!(
                    "queue journal: {} messages were in it; {} were written again, {} were finished",
                    recovered.held, recovered.restored, recovered.removed
                ),
            );
        }
        Ok(recovered)
    }

    /// A part of the journal that cannot be read may have held acknowledged mail whose files are lost: it is kept, and said.
    fn set_damaged_aside(&self, folder: &Path) -> io::Result<()> {
        for path in commit_journal::damaged(folder)? {
            let number = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = format!("journal-{number}.{}", base::clock::unix_seconds());
            fs::rename(&path, self.shared.lost.join(&name))?;
            os::file::sync_dir(&self.shared.lost)?;
            self.shared.log.error(
                Category::General,
                format_args!(
                    "queue journal: {} cannot be read; it was put into lost+found as {name}. After a power cut, mail that it held may be missing",
                    path.display()
                ),
            );
        }
        Ok(())
    }

    fn apply(&self, known: &HashMap<QueueId, Last>) -> io::Result<Recovered> {
        let mut recovered = Recovered::default();
        for (id, last) in known {
            match last.end {
                // Only steps: it became files, before the record of its acceptance was given up.
                None if last.envelope.is_empty() => {}
                None => {
                    recovered.held += 1;
                    recovered.restored += usize::from(self.restore(id, last)?);
                }
                Some(End::Finished) => recovered.removed += usize::from(self.remove_again(id, last)?),
                Some(End::Left) => {}
            }
        }
        Ok(recovered)
    }

    /// Both files are there and whole afterwards, and written: what is read here may be in memory only, and count as clean
    /// since the disk refused it once. Whether one was not whole.
    fn restore(&self, id: &QueueId, last: &Last) -> io::Result<bool> {
        let mut restored = false;
        let path = self.envelope_path(id);
        match found(&path)? {
            Some(bytes) if Envelope::decode(&bytes).is_ok_and(|envelope| envelope.id == *id) => {
                if !bytes.starts_with(&last.envelope) {
                    return Ok(false); // another of the same name, which came later
                }
                let recorded = [last.envelope.as_slice(), &last.steps].concat();
                // What was written to the file itself came after what is recorded.
                write_over(&path, if bytes.starts_with(&recorded) { &bytes } else { &recorded })?;
            }
            _ => {
                write_over(&path, &[last.envelope.as_slice(), &last.steps].concat())?;
                crash::step("replay: envelope written");
                restored = true;
            }
        }
        let path = self.message_path(id);
        if let Some(body) = &last.body {
            restored |= found(&path)?.as_ref() != Some(body);
            // In place: where the file has other names already, they have it then too.
            write_over(&path, body)?;
        }
        Ok(restored)
    }

    /// A power cut may bring names back that were removed. The name of a report or a copy may be used again for the same
    /// cause: with a record, which is the last word then, or with an envelope that tells. Where the record of the acceptance
    /// was given up already, by a checkpoint that ran while the end was recorded, only a name that is not used again tells.
    fn remove_again(&self, id: &QueueId, last: &Last) -> io::Result<bool> {
        let path = self.envelope_path(id);
        let envelope = found(&path)?;
        let is_ours = match last.envelope.is_empty() {
            true => envelope.is_some() && !id.is_derived(),
            false => !envelope
                .as_ref()
                .is_some_and(|bytes| Envelope::decode(bytes).is_ok() && !bytes.starts_with(&last.envelope)),
        };
        if !is_ours {
            return Ok(false);
        }
        let mut removed = false;
        for path in [path, self.message_path(id)] {
            match fs::remove_file(path) {
                Ok(()) => removed = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

fn note(known: &mut HashMap<QueueId, Last>, payload: &[u8]) {
    let (id, end) = match Note::decode(payload) {
        Some(Note::Accepted { id, envelope, body }) => {
            if let Some(id) = QueueId::parse(id) {
                let (envelope, body) = (envelope.to_vec(), body.map(<[u8]>::to_vec));
                known.insert(id, Last { envelope, body, ..Last::default() });
            }
            return;
        }
        Some(Note::Steps { id, lines }) => {
            if let Some(last) = QueueId::parse(id).and_then(|id| known.get_mut(&id)) {
                last.steps.extend_from_slice(lines);
            }
            return;
        }
        Some(Note::Finished(id)) => (id, End::Finished),
        Some(Note::Left(id)) => (id, End::Left),
        None => return,
    };
    if let Some(id) = QueueId::parse(id) {
        let last = known.entry(id).or_default();
        (last.end, last.body) = (Some(end), None);
    }
}

fn found(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes this all there is in a file. What was right in it is so at every moment; the caller syncs.
fn write_over(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // A tool may be root where smtpd is not.
    if let Some(folder) = path.parent() {
        let (owner, made) = (fs::metadata(folder)?, file.metadata()?);
        if owner.uid() != made.uid() {
            os::file::give_to(&file, owner.uid(), owner.gid())?;
        }
    }
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)
}

#[cfg(test)]
mod tests;
