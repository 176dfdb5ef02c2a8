//! Messages of a backup coming in again, with the UIDs that they had.
//!
//! A UID is kept when the mailbox has not given it away yet: it is not below `uid_next`. The caller sees to it that the
//! UIDVALIDITY is the backup's, else the old UID would mean nothing. A restore that was killed leaves whole transactions, and
//! perhaps a file that no record names: the same bytes under the same UID take it up.

use std::fs::{self, File};
use std::io;

use mailbox_list::{Acl, MailboxName, SpecialUse};

use crate::append::{Appended, NewMessage};
use crate::layout::message_path;
use crate::log::Operation;
use crate::mailbox::Mailbox;
use crate::multiappend::{Coming, Complete};
use crate::new_files::{Bytes, NewFiles};
use crate::prepared::Prepared;
use crate::source::link;
use crate::store::Store;
use crate::writer::Change;
use crate::{Result, StoreError};

/// What a backup says of a message besides what it is appended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The UID that it had; nothing when it is to have a new one.
    pub uid: Option<u32>,
    /// Of its bytes ([`crate::Cold::guid`]).
    pub guid: [u8; 16],
}

impl Store {
    /// Makes a mailbox that a backup tells of, in this partition if there is one of the name, with this access control list,
    /// or with that of a new one. A folder that is there already has its own.
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn create_as(
        &self,
        name: &MailboxName,
        special_use: Option<SpecialUse>,
        partition: &str,
        uid_validity: u32,
        acl: Option<Acl>,
    ) -> Result<()> {
        let lock = self.lock_trees(&[name])?;
        let known = self.shared.settings.partitions.contains_key(partition);
        let partition = if known { partition.to_owned() } else { self.partition_above(name)? };
        let uid_validity = Some(uid_validity).filter(|validity| *validity != 0);
        self.create_locked(&lock, name, special_use, &partition, uid_validity, acl)
    }
}

impl Mailbox {
    /// A further link to a message of this store, on its way in; a copy where a link cannot be.
    ///
    /// # Errors
    /// `NotFound` when its file is gone; the system's.
    pub fn link_from(&self, other: &Mailbox, uid: u32) -> Result<Complete> {
        let path = self.incoming_path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {} // of a process that was killed, or none
        }
        link(&message_path(&other.folder, uid), &path, self.shared.settings.sync.message)?;
        Ok(Complete { path, bytes: Bytes::Linked })
    }

    /// Brings messages of a backup in, in one transaction; `within_quota`: only as far as the quota goes.
    ///
    /// # Errors
    /// None of them is in the mailbox then. `Damaged` when one's bytes are not those of its guid.
    pub fn restore_all(
        &self,
        messages: &[(Complete, NewMessage, Wanted)],
        within_quota: bool,
    ) -> Result<Vec<Appended>> {
        let all: Vec<Coming<'_>> = messages
            .iter()
            .map(|(complete, message, wanted)| Coming { complete, message, wanted: Some(*wanted) })
            .collect();
        let mut change = self.write()?;
        if within_quota {
            change.enforce();
        }
        let batch = change.place_coming(&all)?;
        change.commit_batch(&batch)?;
        let uid_validity = change.header.uid_validity;
        Ok(batch.uids.into_iter().map(|uid| Appended { uid, uid_validity }).collect())
    }

    /// The next UID, and the next modification sequence number, are not below these from now on.
    ///
    /// # Errors
    /// As any change's.
    pub fn raise_next(&self, uid_next: u32, modseq: u64) -> Result<()> {
        let mut change = self.write()?;
        if change.header.uid_next >= uid_next && change.header.highest_modseq >= modseq {
            return Ok(());
        }
        let highest_modseq = change.header.highest_modseq.max(modseq);
        change.commit(&[Operation::Next { uid_next, highest_modseq }], &NewFiles::default())
    }
}

impl Change<'_> {
    /// The UID that is wanted if it can be had, else the next free one. Its folder is there.
    pub fn uid_for(&mut self, wanted: Option<Wanted>) -> Result<u32> {
        let Some((uid, guid)) = wanted.and_then(|wanted| Some((wanted.uid?, wanted.guid))) else {
            return self.free_uid(None);
        };
        if uid < self.header.uid_next || uid == u32::MAX {
            return self.free_uid(None);
        }
        self.message_folder(uid)?;
        match File::open(message_path(&self.mailbox.folder, uid)).map_err(StoreError::from) {
            Err(StoreError::NotFound) => Ok(uid),
            // No record names it: left by a restore that was killed.
            Ok(file) if Prepared::of_file(&file)?.guid == guid => Ok(uid),
            Ok(_) => self.free_uid(None),
            Err(error) => Err(error),
        }
    }
}
