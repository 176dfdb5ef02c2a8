//! Blobs: messages, their parts decoded, and what was uploaded (RFC 8620 §6).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use mail_format::{Decoder, TransferEncoding};
use message_store::StoreError;

use crate::account::Inner;
use crate::email::body_part::{decoded_size, encoding};
use crate::email::message::Message;
use crate::error::Result;
use crate::ids::BlobId;
use crate::{Jmap, Who};

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// A blob that was found.
pub struct Blob {
    /// Bytes in all.
    pub size: u64,
    pub content: BlobContent,
}

/// Where its bytes come from.
pub enum BlobContent {
    /// From `offset` on in a file that never changes.
    File { file: Arc<File>, offset: u64 },
    /// Decoded as they are read.
    Decoded(Box<dyn Read + Send>),
}

impl BlobContent {
    /// All of it as one reader.
    pub fn reader(self, size: u64) -> Box<dyn Read + Send> {
        match self {
            BlobContent::File { file, offset } => {
                Box::new(FileReader { file, at: offset, end: offset.saturating_add(size) })
            }
            BlobContent::Decoded(reader) => reader,
        }
    }
}

impl Blob {
    /// All bytes, when they are not more than so many.
    ///
    /// # Errors
    /// The system's; `None` when there are more.
    pub fn read(self, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        if self.size > bytes_max {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0));
        self.content.reader(self.size).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

/// The blob of this id, if the user may read it.
///
/// # Errors
/// The store's.
pub fn open(jmap: &Jmap, who: &Who, id: &str) -> Result<Option<Blob>> {
    let Some(id) = BlobId::parse(id) else { return Ok(None) };
    let file = match id {
        BlobId::Upload(number) | BlobId::UploadPart(number, _) => jmap.uploads.find(&who.uid, number)?,
        BlobId::Message(guid) | BlobId::Part(guid, _) => {
            let account = jmap.accounts.of(jmap, who)?;
            let account = account.read();
            message_file(&account, &guid)?
        }
    };
    let Some(file) = file else { return Ok(None) };
    match id {
        BlobId::Message(_) | BlobId::Upload(_) => {
            let size = file.metadata()?.len();
            Ok(Some(Blob { size, content: BlobContent::File { file, offset: 0 } }))
        }
        BlobId::Part(_, place) | BlobId::UploadPart(_, place) => part(file, place),
    }
}

/// A message that is parsed, or attached: the blob of this id as one.
///
/// # Errors
/// The store's.
pub fn message(jmap: &Jmap, who: &Who, id: &str, bytes_max: u64) -> Result<Option<Message>> {
    let Some(blob) = open(jmap, who, id)? else { return Ok(None) };
    match &blob.content {
        BlobContent::File { file, offset: 0 } if file.metadata()?.len() == blob.size => {
            Ok(Some(Message::of_file(file)?))
        }
        _ => Ok(blob.read(bytes_max)?.map(Message::of_bytes)),
    }
}

/// The file of a message that is in a mailbox of the account.
///
/// # Errors
/// The store's.
pub fn message_file(account: &Inner, guid: &[u8; 16]) -> Result<Option<Arc<File>>> {
    let Some((_, email)) = account.email_of(guid) else { return Ok(None) };
    for (_, _, view, row) in account.rows(email) {
        let Some(mailbox) = &view.mailbox else { continue };
        match mailbox.open_message(row.uid) {
            Ok(message) => return Ok(Some(message.file)),
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

fn part(file: Arc<File>, place: u32) -> Result<Option<Blob>> {
    let message = Message::of_file(&file)?;
    let place = place as usize;
    let Some(part) = message.structure.parts.get(place) else { return Ok(None) };
    let offset = u64::from(part.body_start);
    let end = u64::from(part.body_end).min(message.bytes.len() as u64);
    let size = decoded_size(&message, place);
    let content = match encoding(message.part_header(place)) {
        None | Some(TransferEncoding::Identity) => BlobContent::File { file, offset },
        Some(encoding) => BlobContent::Decoded(Box::new(Decoding {
            encoded: FileReader { file, at: offset, end },
            decoder: Some(Decoder::new(encoding)),
            decoded: Vec::new(),
            at: 0,
        })),
    };
    Ok(Some(Blob { size, content }))
}

struct FileReader {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for FileReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(bytes.len());
        let count = self.file.read_at(&mut bytes[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// A part whose transfer encoding is undone piece by piece.
struct Decoding {
    encoded: FileReader,
    /// Until all was read.
    decoder: Option<Decoder>,
    decoded: Vec<u8>,
    at: usize,
}

impl Read for Decoding {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.decoded.len() {
            let Some(mut decoder) = self.decoder.take() else { return Ok(0) };
            (self.at, self.decoded) = (0, Vec::new());
            let mut piece = vec![0; PIECE];
            let count = self.encoded.read(&mut piece)?;
            if count == 0 {
                decoder.finish(&mut self.decoded);
            } else {
                decoder.push(&piece[..count], &mut self.decoded);
                self.decoder = Some(decoder);
            }
        }
        let count = bytes.len().min(self.decoded.len() - self.at);
        bytes[..count].copy_from_slice(&self.decoded[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
