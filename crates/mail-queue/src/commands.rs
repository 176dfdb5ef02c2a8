//! What administrators want done with entries: the verbs, and the files by which they reach a running smtpd.
//!
//! Whoever holds the queue does it: smtpd while it runs, else the tool itself, both by [`crate::Entry::obey`]. The form of
//! the files stands in `docs/formats/queue.md`.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use commit_journal::{SyncLevel, sync_file};

use crate::escape::{escape, unescape};
use crate::queue::{Queue, QueueError, move_aside};
use crate::{EnvelopeError, QueueId};

/// Bytes of a command file at most: more than a million entries.
const BYTES_MAX: u64 = 64 << 20;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Leave it alone until it is released.
    Hold,
    /// Let it go on, now: what is held, and what waits for a time of its sender's choice.
    Release,
    /// Begin anew: back to the active queue, as if it had just come.
    Requeue,
    /// Remove it; nobody is told.
    Delete,
    /// Give it up now, with a report to the sender.
    Expire,
    /// Try it now. What is held stays held, and what waits for a time of its sender's choice waits.
    Flush,
}

impl Verb {
    pub const ALL: [Verb; 6] =
        [Verb::Hold, Verb::Release, Verb::Requeue, Verb::Delete, Verb::Expire, Verb::Flush];

    /// As it stands in a command file.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Hold => "hold",
            Verb::Release => "release",
            Verb::Requeue => "requeue",
            Verb::Delete => "delete",
            Verb::Expire => "expire",
            Verb::Flush => "flush",
        }
    }
}

/// A verb and the entries it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub verb: Verb,
    /// Who wants it, for the log.
    pub by: String,
    /// With the domain in whose folder each was seen.
    pub entries: Vec<(QueueId, Option<String>)>,
}

const VERSION_LINE: &str = "Mailboat-Command: 1\n";

impl Command {
    /// The text of the file, end mark included.
    pub fn encode(&self) -> String {
        let mut text = format!("{VERSION_LINE}Verb: {}\nBy: {}\n", self.verb.word(), escape(&self.by));
        for (id, domain) in &self.entries {
            let _ = match domain {
                Some(domain) => writeln!(text, "Entry: {id} {}", escape(domain)),
                None => writeln!(text, "Entry: {id}"),
            };
        }
        let crc = base::crc32(text.as_bytes());
        let _ = writeln!(text, "End: {crc:08x}");
        text
    }

    /// # Errors
    /// `Torn` when the end mark is missing or wrong, else the line that is.
    pub fn decode(bytes: &[u8]) -> Result<Command, EnvelopeError> {
        let text = std::str::from_utf8(bytes).map_err(|_| EnvelopeError::Torn)?;
        let body = text.strip_suffix('\n').and_then(|text| text.rfind('\n')).map(|at| text.split_at(at + 1));
        let (body, end) = body.ok_or(EnvelopeError::Torn)?;
        let crc = end.strip_prefix("End: ").map(|end| u32::from_str_radix(end.trim_end(), 16));
        if crc != Some(Ok(base::crc32(body.as_bytes()))) {
            return Err(EnvelopeError::Torn);
        }
        let mut lines = body.strip_prefix(VERSION_LINE).ok_or(EnvelopeError::Line("version"))?.lines();
        let word = lines.next().and_then(|line| line.strip_prefix("Verb: "));
        let verb = Verb::ALL.into_iter().find(|verb| Some(verb.word()) == word);
        let by = lines.next().and_then(|line| unescape(line.strip_prefix("By: ")?));
        let entries: Option<Vec<_>> = lines.map(entry_line).collect();
        Ok(Command {
            verb: verb.ok_or(EnvelopeError::Line("Verb"))?,
            by: by.ok_or(EnvelopeError::Line("By"))?,
            entries: entries.ok_or(EnvelopeError::Line("Entry"))?,
        })
    }
}

fn entry_line(line: &str) -> Option<(QueueId, Option<String>)> {
    let rest = line.strip_prefix("Entry: ")?;
    match rest.split_once(' ') {
        None => Some((QueueId::parse(rest)?, None)),
        Some((id, domain)) => Some((QueueId::parse(id)?, Some(unescape(domain)?))),
    }
}

impl Queue {
    /// Where commands for a running smtpd are put.
    pub fn commands_folder(&self) -> PathBuf {
        self.shared.settings.folder.join("commands")
    }

    /// Makes that folder.
    ///
    /// # Errors
    /// The system's.
    pub fn make_commands_folder(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.commands_folder())
    }

    /// Puts a command where smtpd finds it, whole or not at all; when the file is gone again, it was done.
    ///
    /// # Errors
    /// The system's.
    pub fn submit(&self, command: &Command) -> io::Result<PathBuf> {
        self.make_commands_folder()?;
        let (folder, id) = (self.commands_folder(), QueueId::next());
        let temporary = folder.join(format!(".{id}"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        // smtpd may run as another user, to whom the queue belongs.
        let owner = fs::metadata(&self.shared.settings.folder)?;
        if file.metadata()?.uid() != owner.uid() {
            std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        file.write_all(command.encode().as_bytes())?;
        sync_file(&file, self.shared.settings.envelope_sync)?;
        let path = folder.join(id.as_str());
        fs::rename(&temporary, &path)?;
        Ok(path)
    }

    /// The command files that wait, oldest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn commands(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.commands_folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let is_command = |name: &std::ffi::OsStr| name.to_str().and_then(QueueId::parse).is_some();
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(is_command))
            .collect();
        found.sort();
        Ok(found)
    }

    /// Reads a command; nothing when it was taken back. One that does not verify goes to lost+found.
    ///
    /// # Errors
    /// `Damaged`, or the system's.
    pub fn read_command(&self, path: &Path) -> Result<Option<Command>, QueueError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes)?;
        match Command::decode(&bytes) {
            Ok(command) => Ok(Some(command)),
            Err(why) => {
                move_aside(path, &self.shared.lost);
                Err(QueueError::Damaged(why))
            }
        }
    }

    /// Everything that was changed so far is on stable storage, as far as `envelopesynclevel` promises.
    ///
    /// # Errors
    /// The system's.
    pub fn make_durable(&self) -> io::Result<()> {
        match self.shared.settings.envelope_sync {
            SyncLevel::None => Ok(()),
            _ => os::file::sync_file_system(&self.shared.settings.folder),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Envelope, QueueSettings, Recipient};
    use proptest::prelude::*;
    use server_log::Log;

    pub fn queue(folder: &Path) -> Queue {
        let settings = QueueSettings::in_folder(folder);
        Queue::open(settings, Log::discard()).unwrap()
    }

    pub fn commit(queue: &Queue) -> QueueId {
        let mut incoming = queue.begin();
        incoming.write_all(b"Subject: x\r\n\r\nx\r\n").unwrap();
        let mut envelope = Envelope::new(QueueId::next());
        envelope.recipients = vec![Recipient { address: "x@down.test".into(), ..Recipient::default() }];
        incoming.commit(envelope).unwrap()
    }

    #[test]
    fn a_command_goes_through_its_folder_and_a_torn_one_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let queue = queue(folder.path());
        assert!(queue.commands().unwrap().is_empty());
        let command =
            Command { verb: Verb::Expire, by: "root".into(), entries: vec![(commit(&queue), None)] };
        let path = queue.submit(&command).unwrap();
        assert_eq!(queue.commands().unwrap(), std::slice::from_ref(&path));
        assert_eq!(queue.read_command(&path).unwrap(), Some(command));
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 3]).unwrap();
        assert!(matches!(queue.read_command(&path), Err(QueueError::Damaged(EnvelopeError::Torn))));
        assert!(!path.exists() && queue.read_command(&path).unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path().join("lost+found")).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn a_command_is_read_as_it_was_written_and_no_other(by in ".{0,20}", domain in ".{1,20}", cut in 1usize..60, flip in 0usize..60) {
            let id = QueueId::parse("GPM7U00A.1B2").unwrap();
            let command = Command { verb: Verb::Hold, by, entries: vec![(id.clone(), None), (id, Some(domain))] };
            let text = command.encode();
            prop_assert_eq!(Command::decode(text.as_bytes()), Ok(command));
            prop_assert!(Command::decode(&text.as_bytes()[..text.len() - cut.min(text.len())]).is_err());
            let mut wrong = text.into_bytes();
            let place = flip % (wrong.len() - 14);
            wrong[place] ^= 1;
            prop_assert!(Command::decode(&wrong).is_err());
        }
    }
}
