//! Bytes of messages that later entries may refer to: where they are in a stream that can be read again, else in a temporary
//! file. 24 bytes and a key are in memory for each.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use crate::backup::item::MessageItem;
use crate::backup::reader::StreamReader;

pub struct Kept {
    file: File,
    /// Bytes of the temporary file; nothing when the stream itself is read again.
    spooled: Option<u64>,
    places: HashMap<[u8; 16], (u64, u64)>,
}

impl Kept {
    /// The stream is a file.
    pub fn in_stream(file: File) -> Kept {
        Kept { file, spooled: None, places: HashMap::new() }
    }

    /// The stream comes by only once.
    ///
    /// # Errors
    /// No temporary file can be made.
    pub fn spooled() -> io::Result<Kept> {
        Ok(Kept { file: tempfile::tempfile()?, spooled: Some(0), places: HashMap::new() })
    }

    /// Reads the bytes of a message that is not to be restored. What is wrong with them.
    ///
    /// # Errors
    /// The stream's, the temporary file's.
    pub fn pass<R: Read>(
        &mut self,
        message: &MessageItem,
        reader: &mut StreamReader<R>,
    ) -> io::Result<Option<&'static str>> {
        if message.by_reference {
            return Ok((!self.places.contains_key(&message.guid)).then_some(LOST));
        }
        let is_shared = message.links > 1;
        let at = self.spooled.unwrap_or(reader.at());
        let mut spool = is_shared && self.spooled.is_some();
        let file = &mut self.file;
        let (guid, length) =
            reader.content(&mut |piece| if spool { file.write_all(piece) } else { Ok(()) })?;
        spool &= self.spooled.is_some();
        if spool {
            self.spooled = Some(at + length);
        }
        if guid != message.guid || length != message.size {
            return Ok(Some(WRONG));
        }
        if is_shared {
            self.places.insert(guid, (at, length));
        }
        Ok(None)
    }

    /// The bytes of a guid, into `to`. Whether they are here.
    ///
    /// # Errors
    /// The system's.
    pub fn copy(&self, guid: &[u8; 16], to: &mut dyn Write) -> io::Result<bool> {
        let Some((mut at, length)) = self.places.get(guid).copied() else { return Ok(false) };
        let (end, mut piece) = (at + length, vec![0; 64 * 1024]);
        while at < end {
            let wanted = piece.len().min((end - at) as usize);
            let read = self.file.read_at(&mut piece[..wanted], at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.write_all(&piece[..read])?;
            at += read as u64;
        }
        Ok(true)
    }

    /// The stream has the bytes of this message here; it is being restored.
    pub fn note(&mut self, message: &MessageItem, at: u64) {
        if self.spooled.is_none() && message.links > 1 {
            self.places.insert(message.guid, (at, message.size));
        }
    }
}

pub const LOST: &str = "the entry with its bytes is lost";
pub const WRONG: &str = "its bytes are damaged in the stream";
