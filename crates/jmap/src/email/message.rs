//! One message, opened as far as it is needed: its header from the store's cache, the rest from its file.

use std::fs::File;
use std::io;
use std::sync::Arc;

use mail_format::{Structure, header};
use message_store::{Mailbox, MessageFile, Result, StoreError};
use os::map::FileMap;

use crate::account::{Email, Inner};

/// The header of the message in a slot: from the cache, or from its file when it is too long for it. Nothing when the message
/// is gone.
///
/// # Errors
/// The store's.
pub fn header(mailbox: &Arc<Mailbox>, slot: u32, uid: u32) -> Result<Option<Vec<u8>>> {
    let cached = match mailbox.cached(slot) {
        Err(StoreError::NotFound) => return Ok(None),
        cached => cached?,
    };
    if let Some(header) = cached.header() {
        return Ok(Some(header.to_vec()));
    }
    let reader = mailbox.reader()?;
    let Ok(slot) = reader.slot_of(uid) else { return Ok(None) };
    let Some(file) = file(mailbox, uid, reader.record(slot).size)? else { return Ok(None) };
    let map = FileMap::open(&file.file)?;
    let header = map[..header::header_length(&map)].to_vec();
    map.verify()?;
    Ok(Some(header))
}

/// The whole message of a UID; nothing when it is gone.
///
/// # Errors
/// The store's: `Damaged` when its file has not the size of its record.
pub fn file(mailbox: &Mailbox, uid: u32, size: u32) -> Result<Option<MessageFile>> {
    match mailbox.open_message_of(uid, size) {
        Ok(message) => Ok(Some(message)),
        Err(StoreError::NotFound) => Ok(None),
        Err(error) => Err(error),
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
        map.verify()?;
        Ok(Message { bytes: Bytes::Map(map), structure })
    }

    pub fn of_bytes(bytes: Vec<u8>) -> Message {
        let structure = mail_format::scan(&bytes);
        Message { bytes: Bytes::Memory(bytes), structure }
    }

    /// Whether all that was read of it is its own: of a file that is cut meanwhile, zeros are read.
    ///
    /// # Errors
    /// It is not.
    pub fn verify(&self) -> io::Result<()> {
        match &self.bytes {
            Bytes::Map(map) => map.verify(),
            Bytes::Memory(_) => Ok(()),
        }
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
pub struct Copies {
    places: Vec<(Arc<Mailbox>, u32, u32)>,
    /// Bytes of each.
    size: u32,
}

impl Copies {
    pub fn of(account: &Inner, email: &Email) -> Copies {
        let rows = account.rows(email);
        let here = rows.filter_map(|(_, slot, view, row)| Some((view.mailbox.clone()?, slot, row.uid)));
        Copies { places: here.collect(), size: email.size }
    }

    /// Reads the message; nothing when it is gone.
    ///
    /// # Errors
    /// The store's.
    pub fn open(&self) -> Result<Option<Message>> {
        for (mailbox, slot, uid) in &self.places {
            let Some(file) = file(mailbox, *uid, self.size)? else { continue };
            let map = FileMap::open(&file.file)?;
            let cached = mailbox.cached(*slot).ok();
            let known = cached.and_then(|cached| Structure::decode(cached.structure_bytes()));
            let structure = known.unwrap_or_else(|| mail_format::scan(&map));
            map.verify()?;
            return Ok(Some(Message { bytes: Bytes::Map(map), structure }));
        }
        Ok(None)
    }

    /// The header; nothing when the message is gone.
    ///
    /// # Errors
    /// The store's.
    pub fn header(&self) -> Result<Option<Vec<u8>>> {
        for (mailbox, slot, uid) in &self.places {
            if let Some(header) = header(mailbox, *slot, *uid)? {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}
