//! Blobs: messages, their parts decoded, and what was uploaded (RFC 8620 §6).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use mail_format::{Decoder, PartKind, TransferEncoding};

use crate::account::Inner;
use crate::email::body_part::{decoded_size, encoding};
use crate::email::message::{self, Message};
use crate::error::{MethodError, Result};
use crate::ids::BlobId;
use crate::shares::{Owner, Scope};
use crate::{Jmap, limits};

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

/// What one request may still read of messages and parts, and the message that it opened last: many of its ids may be of
/// parts of one.
pub struct Work {
    left: u64,
    last: Option<(Owner, BlobId, Arc<File>, Arc<Message>)>,
}

impl Default for Work {
    fn default() -> Work {
        Work { left: limits::WORK_BYTES_MAX, last: None }
    }
}

impl Work {
    /// # Errors
    /// `requestTooLarge`
    fn spend(&mut self, bytes: u64) -> Result<()> {
        let too_large = || MethodError::new("requestTooLarge", "It reads too much of messages; ask for less");
        self.left = self.left.checked_sub(bytes).ok_or_else(too_large)?;
        Ok(())
    }

    /// A whole message; nothing when there is none, or it is another user's.
    fn whole(
        &mut self,
        jmap: &Jmap,
        scope: Scope<'_>,
        id: BlobId,
    ) -> Result<Option<(Arc<File>, Arc<Message>)>> {
        let known = self.last.as_ref().filter(|(owner, last, _, _)| owner == scope.owner && *last == id);
        if let Some((_, _, file, message)) = known {
            return Ok(Some((file.clone(), message.clone())));
        }
        let Some(file) = whole_file(jmap, scope, id)? else { return Ok(None) };
        self.spend(file.metadata()?.len())?;
        let message = Arc::new(Message::of_file(&file)?);
        self.last = Some((scope.owner.clone(), id, file.clone(), message.clone()));
        Ok(Some((file, message)))
    }

    /// The blob of this id, if the user may read it.
    ///
    /// # Errors
    /// The store's; `requestTooLarge`.
    pub fn open(&mut self, jmap: &Jmap, scope: Scope<'_>, id: &str) -> Result<Option<Blob>> {
        let Some((outer, place)) = BlobId::parse(id).and_then(BlobId::outer) else {
            return open(jmap, scope, id);
        };
        let Some((file, message)) = self.whole(jmap, scope, outer)? else { return Ok(None) };
        self.spend(message.part_body(place as usize).len() as u64)?;
        Ok(part(file, &message, place))
    }

    /// Where the part of this id lies.
    ///
    /// # Errors
    /// The store's; `requestTooLarge`.
    pub fn piece(&mut self, jmap: &Jmap, scope: Scope<'_>, id: BlobId) -> Result<Option<Piece>> {
        let Some((outer, place)) = id.outer() else { return Ok(None) };
        let Some((file, message)) = self.whole(jmap, scope, outer)? else { return Ok(None) };
        self.spend(message.part_body(place as usize).len() as u64)?;
        Ok(Piece::of(file, &message, place))
    }

    /// A message that is parsed, or attached: the blob of this id as one.
    ///
    /// # Errors
    /// The store's; `requestTooLarge`.
    pub fn message(
        &mut self,
        jmap: &Jmap,
        scope: Scope<'_>,
        id: &str,
        bytes_max: u64,
    ) -> Result<Option<Arc<Message>>> {
        let Some(blob_id) = BlobId::parse(id) else { return Ok(None) };
        if blob_id.outer().is_none() {
            return Ok(self.whole(jmap, scope, blob_id)?.map(|(_, message)| message));
        }
        let Some(blob) = self.open(jmap, scope, id)? else { return Ok(None) };
        self.spend(blob.size)?;
        Ok(blob.read(bytes_max)?.map(|bytes| Arc::new(Message::of_bytes(bytes))))
    }

    /// Whether it is a whole message, or a part that stands in its message as one, so that its parts have blobs.
    ///
    /// # Errors
    /// The store's; `requestTooLarge`.
    pub fn is_message(&mut self, jmap: &Jmap, scope: Scope<'_>, id: BlobId) -> Result<bool> {
        let Some((outer, place)) = id.outer() else { return Ok(true) };
        let whole = self.whole(jmap, scope, outer)?;
        let part = whole.as_ref().and_then(|(_, outer)| outer.structure.parts.get(place as usize));
        Ok(part.is_some_and(|part| part.kind == PartKind::Message))
    }
}

/// The file of a message, or of what was uploaded.
fn whole_file(jmap: &Jmap, scope: Scope<'_>, id: BlobId) -> Result<Option<Arc<File>>> {
    match id {
        BlobId::Upload(number) | BlobId::UploadPart(number, _) => {
            Ok(jmap.uploads.find(&scope.who.uid, number)?)
        }
        BlobId::Message(guid) | BlobId::Part(guid, _) => {
            let account = jmap.accounts.of(jmap, scope)?;
            let account = account.read();
            message_file(&account, &guid)
        }
    }
}

/// The blob of this id, if the user may read it.
///
/// # Errors
/// The store's.
pub fn open(jmap: &Jmap, scope: Scope<'_>, id: &str) -> Result<Option<Blob>> {
    let Some(id) = BlobId::parse(id) else { return Ok(None) };
    let Some(file) = whole_file(jmap, scope, id)? else { return Ok(None) };
    match id {
        BlobId::Message(_) | BlobId::Upload(_) => {
            let size = file.metadata()?.len();
            Ok(Some(Blob { size, content: BlobContent::File { file, offset: 0 } }))
        }
        BlobId::Part(_, place) | BlobId::UploadPart(_, place) => {
            let message = Message::of_file(&file)?;
            Ok(part(file, &message, place))
        }
    }
}

/// The file of a message that is in a mailbox of the account.
///
/// # Errors
/// The store's: `Damaged` when it is not whole.
pub fn message_file(account: &Inner, guid: &[u8; 16]) -> Result<Option<Arc<File>>> {
    let Some((_, email)) = account.email_of(guid) else { return Ok(None) };
    for (_, _, view, row) in account.rows(email) {
        let Some(mailbox) = &view.mailbox else { continue };
        if let Some(message) = message::file(mailbox, row.uid, email.size)? {
            return Ok(Some(message.file));
        }
    }
    Ok(None)
}

/// Where a part lies in its message's file, to be read any number of times.
pub struct Piece {
    file: Arc<File>,
    offset: u64,
    end: u64,
    encoding: TransferEncoding,
    /// Bytes behind the transfer encoding.
    pub size: u64,
}

impl Piece {
    fn of(file: Arc<File>, message: &Message, place: u32) -> Option<Piece> {
        let place = place as usize;
        let part = message.structure.parts.get(place)?;
        Some(Piece {
            file,
            offset: u64::from(part.body_start),
            end: u64::from(part.body_end).min(message.bytes.len() as u64),
            encoding: encoding(message.part_header(place)).unwrap_or(TransferEncoding::Identity),
            size: decoded_size(message, place),
        })
    }

    fn content(&self) -> BlobContent {
        let file = self.file.clone();
        match self.encoding {
            TransferEncoding::Identity => BlobContent::File { file, offset: self.offset },
            encoding => BlobContent::Decoded(Box::new(Decoding {
                encoded: FileReader { file, at: self.offset, end: self.end },
                decoder: Some(Decoder::new(encoding)),
                decoded: Vec::new(),
                at: 0,
            })),
        }
    }

    /// All of it, decoded.
    pub fn reader(&self) -> Box<dyn Read + Send> {
        self.content().reader(self.size)
    }
}

fn part(file: Arc<File>, message: &Message, place: u32) -> Option<Blob> {
    let piece = Piece::of(file, message, place)?;
    Some(Blob { size: piece.size, content: piece.content() })
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
