//! Several messages of one client at once: all of them come into the mailbox, or none (RFC 3502 §6.3.11).

use std::fs::{self, File};
use std::path::PathBuf;

use crate::append::{Appended, Incoming, NewMessage};
use crate::layout::message_path;
use crate::log::Operation;
use crate::mailbox::Mailbox;
use crate::new_files::{Bytes, NewFiles, Origin};
use crate::prepared::Prepared;
use crate::record::{Cold, Record};
use crate::restore::Wanted;
use crate::writer::Change;
use crate::{Result, StoreError};

/// A message whose bytes are all there, but not in the mailbox. Dropped, nothing happened.
pub struct Complete {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Bytes,
}

impl Drop for Complete {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // gone already when it came into the mailbox
    }
}

/// A message that is to come in; `wanted` when a backup knows it.
pub(crate) struct Coming<'a> {
    pub complete: &'a Complete,
    pub message: &'a NewMessage,
    pub wanted: Option<Wanted>,
}

/// What makes messages of files, and the names those have in the mailbox already.
pub(crate) struct Batch {
    pub operations: Vec<Operation>,
    files: NewFiles<'static>,
    placed: Vec<PathBuf>,
    pub uids: Vec<u32>,
}

impl Batch {
    /// Whether its messages are longer than so many bytes.
    pub(crate) fn is_longer_than(&self, bytes: u32) -> bool {
        let sizes = self.operations.iter().map(|operation| match operation {
            Operation::Append(record, _) => u64::from(record.size),
            _ => 0,
        });
        sizes.sum::<u64>() > u64::from(bytes)
    }

    /// It does not happen.
    pub(crate) fn remove_files(&self) {
        for path in &self.placed {
            let _ = fs::remove_file(path);
        }
    }
}

impl Incoming {
    /// The message is whole; its file is closed until [`Mailbox::append_all`].
    ///
    /// # Errors
    /// As [`Incoming::finish`].
    pub fn complete(mut self) -> Result<Complete> {
        self.write_buffer()?;
        let bytes = self.sync_alone()?;
        Ok(Complete { path: std::mem::take(&mut self.path), bytes })
    }
}

impl Mailbox {
    /// Brings messages that were begun here into the mailbox, in one transaction.
    ///
    /// # Errors
    /// None of them is in the mailbox then.
    pub fn append_all(&self, messages: &[(Complete, NewMessage)]) -> Result<Vec<Appended>> {
        let mut change = self.write()?;
        change.enforce();
        let batch = change.place_all(messages)?;
        change.commit_batch(&batch)?;
        let uid_validity = change.header.uid_validity;
        Ok(batch.uids.into_iter().map(|uid| Appended { uid, uid_validity }).collect())
    }
}

impl Change<'_> {
    /// Gives messages their names here, and says what makes them messages. On an error the names are gone again.
    pub(crate) fn place_all(&mut self, messages: &[(Complete, NewMessage)]) -> Result<Batch> {
        let all: Vec<Coming<'_>> =
            messages.iter().map(|(complete, message)| Coming { complete, message, wanted: None }).collect();
        self.place_coming(&all)
    }

    pub(crate) fn place_coming(&mut self, messages: &[Coming<'_>]) -> Result<Batch> {
        let mut wanted: Vec<String> = Vec::new();
        for keyword in messages.iter().flat_map(|coming| &coming.message.keywords) {
            if !wanted.iter().any(|one| one.eq_ignore_ascii_case(keyword)) {
                wanted.push(keyword.clone());
            }
        }
        let (_, operations) = self.keyword_bits(&wanted)?;
        let mut known = self.index.keywords(self.header.keywords);
        known.extend(operations.iter().filter_map(|operation| match operation {
            Operation::Keyword(_, name) => Some(name.clone()),
            _ => None,
        }));
        let mut batch =
            Batch { operations, files: NewFiles::default(), placed: Vec::new(), uids: Vec::new() };
        let first_uid = self.header.uid_next;
        let placed = messages.iter().try_for_each(|coming| self.place_complete(coming, &known, &mut batch));
        self.header.uid_next = first_uid; // the transaction makes it what it will be
        match placed {
            Ok(()) => Ok(batch),
            Err(error) => {
                batch.remove_files();
                Err(error)
            }
        }
    }

    pub(crate) fn commit_batch(&mut self, batch: &Batch) -> Result<()> {
        let committed = self.commit(&batch.operations, &batch.files);
        if committed.is_err() && !self.is_in_doubt() {
            batch.remove_files();
        }
        committed
    }

    /// Gives one message its name here, and says what makes it a message.
    fn place_complete(&mut self, coming: &Coming<'_>, known: &[String], batch: &mut Batch) -> Result<()> {
        let Coming { complete, message, wanted } = coming;
        let prepared = Prepared::of_file(&File::open(&complete.path)?)?;
        if wanted.is_some_and(|wanted| wanted.guid != prepared.guid) {
            return Err(StoreError::Damaged("the bytes on disk are not those that were written".into()));
        }
        let mailbox = self.mailbox;
        let segment = self.cache_segment();
        let content = std::iter::once((&prepared.guid, prepared.cache.as_slice()));
        let positions = mailbox.segments.append(&mailbox.folder, segment, content)?;
        let uid = self.uid_for(*wanted)?;
        let path = message_path(&mailbox.folder, uid);
        fs::rename(&complete.path, &path)?;
        batch.placed.push(path);
        batch.files.add(uid, Origin::File(complete.bytes));
        batch.uids.push(uid);
        self.header.uid_next = uid.saturating_add(1);
        let modseq = self.next_modseq();
        let bit_of = |keyword: &String| known.iter().position(|one| one.eq_ignore_ascii_case(keyword));
        let keywords =
            message.keywords.iter().filter_map(bit_of).fold(0, |bits, bit| bits | 1u64 << bit.min(63));
        let record = Record { uid, flags: message.flags.of_message(), modseq, keywords, size: prepared.size };
        let cold = Cold {
            uid,
            size: prepared.size,
            internal_date_ns: message.internal_date_ns,
            save_date_ns: base::clock::unix_nanos(),
            sent_date: prepared.sent_date,
            created_modseq: modseq,
            header_size: prepared.header_size,
            lines: prepared.lines,
            guid: prepared.guid,
            delivery: 0,
            cache_position: positions.first().copied().unwrap_or(crate::cache::NO_POSITION),
            expunged_at: 0,
        };
        batch.operations.push(Operation::Append(record, cold));
        Ok(())
    }
}
