//! One message, opened as far as it is needed: its header from the store's cache, the rest from its file.

use std::fs::File;
use std::sync::Arc;

use mail_format::{Structure, header};
use message_store::{Mailbox, StoreError};
use os::map::FileMap;

use crate::account::{Email, Inner};
use crate::error::Result;

/// The header of the message in a slot: from the cache, or from its file when it is too long for it. Nothing when the message
/// is gone.
///
/// # Errors
/// The store's.
pub fn header(mailbox: &Arc<Mailbox>, slot: u32, uid: u32) -> Result<Option<Vec<u8>>> {
    let cached = match mailbox.cached(slot) {
        Ok(cached) => cached,
        Err(StoreError::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if let Some(header) = cached.header() {
        return Ok(Some(header.to_vec()));
    }
    let Some(map) = map(mailbox, uid)? else { return Ok(None) };
    let length = header::header_length(&map);
    Ok(Some(map[..length].to_vec()))
}

fn map(mailbox: &Arc<Mailbox>, uid: u32) -> Result<Option<FileMap>> {
    match mailbox.open_message(uid) {
        Ok(message) => Ok(Some(FileMap::open(&message.file)?)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The bytes of a message.
pub enum Bytes {
    Map(FileMap),
    Memory(Vec<u8>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Map(map) => map,
            Bytes::Memory(bytes) => bytes,
        }
    }
}

/// A whole message, and where its parts are.
pub struct Message {
    pub bytes: Bytes,
    pub structure: Structure,
}

impl Message {
    /// # Errors
    /// The system's.
    pub fn of_file(file: &File) -> Result<Message> {
        let map = FileMap::open(file)?;
        let structure = mail_format::scan(&map);
        Ok(Message { bytes: Bytes::Map(map), structure })
    }

    pub fn of_bytes(bytes: Vec<u8>) -> Message {
        let structure = mail_format::scan(&bytes);
        Message { bytes: Bytes::Memory(bytes), structure }
    }

    pub fn header(&self) -> &[u8] {
        self.part_header(0)
    }

    /// The header of the part at a place.
    pub fn part_header(&self, place: usize) -> &[u8] {
        let part = self.structure.parts.get(place);
        part.map_or(&[], |part| self.between(part.header_start, part.body_start))
    }

    /// The body of the part at a place, as it stands.
    pub fn part_body(&self, place: usize) -> &[u8] {
        let part = self.structure.parts.get(place);
        part.map_or(&[], |part| self.between(part.body_start, part.body_end))
    }

    /// Bytes from one place to another, as far as there are.
    pub fn between(&self, start: u32, end: u32) -> &[u8] {
        let end = (end as usize).min(self.bytes.len());
        self.bytes.get((start as usize).min(end)..end).unwrap_or(&[])
    }
}

/// Where an email's messages are, with the slot and the UID of each: what is read of them, is read without holding the account.
pub struct Copies(Vec<(Arc<Mailbox>, u32, u32)>);

impl Copies {
    pub fn of(account: &Inner, email: &Email) -> Copies {
        let rows = account.rows(email);
        let here = rows.filter_map(|(_, slot, view, row)| Some((view.mailbox.clone()?, slot, row.uid)));
        Copies(here.collect())
    }

    /// Reads the message; nothing when it is gone.
    ///
    /// # Errors
    /// The store's.
    pub fn open(&self) -> Result<Option<Message>> {
        for (mailbox, slot, uid) in &self.0 {
            let Some(map) = map(mailbox, *uid)? else { continue };
            let cached = mailbox.cached(*slot).ok();
            let known = cached.and_then(|cached| Structure::decode(cached.structure_bytes()));
            let structure = known.unwrap_or_else(|| mail_format::scan(&map));
            return Ok(Some(Message { bytes: Bytes::Map(map), structure }));
        }
        Ok(None)
    }

    /// The header; nothing when the message is gone.
    ///
    /// # Errors
    /// The store's.
    pub fn header(&self) -> Result<Option<Vec<u8>>> {
        for (mailbox, slot, uid) in &self.0 {
            if let Some(header) = header(mailbox, *slot, *uid)? {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}
