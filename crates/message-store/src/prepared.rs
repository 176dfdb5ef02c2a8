//! What is computed once per message and kept with it in each mailbox.

use std::fs::File;

use openssl::sha::sha256;
use os::map::FileMap;

use crate::bytes::{put, u32_at};
use crate::{Result, StoreError};

/// Longest header that is kept in the cache.
const HEADER_KEPT_MAX: usize = 16 * 1024;
/// Lengths in front of the texts.
const LENGTHS_BYTES: usize = 20;
const NOT_KEPT: u32 = u32::MAX;

/// Sizes, dates and the cache's texts of one message.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(crate) size: u32,
    pub(crate) header_size: u32,
    pub(crate) lines: u32,
    pub(crate) sent_date: i64,
    pub(crate) guid: [u8; 16],
    /// The content of the cache record.
    pub(crate) cache: Vec<u8>,
}

impl Prepared {
    /// Reads the whole message of a file that never changes.
    ///
    /// # Errors
    /// `TooBig` for 4 GiB or more; the system's.
    pub fn of_file(file: &File) -> Result<Prepared> {
        if file.metadata()?.len() >= u64::from(u32::MAX) {
            return Err(StoreError::TooBig("a message of 4 GiB"));
        }
        let bytes = FileMap::open(file)?;
        let prepared = Prepared::of_bytes(&bytes);
        bytes.verify()?;
        Ok(prepared)
    }

    /// Bytes of the message.
    pub fn size(&self) -> u64 {
        u64::from(self.size)
    }

    /// The header of the message, blank line included, when it is not longer than 16 KiB.
    pub fn header(&self) -> Option<&[u8]> {
        let length = |place: usize| u32_at(&self.cache, place * 4);
        let start = (0..4).fold(LENGTHS_BYTES, |at, place| at.saturating_add(length(place) as usize));
        (length(4) != NOT_KEPT).then(|| self.cache.get(start..)).flatten()
    }

    /// Of a message in memory, less than 4 GiB.
    pub fn of_bytes(message: &[u8]) -> Prepared {
        let structure = mail_format::scan(message);
        let header_size = structure.header_bytes();
        let header = &message[..header_size as usize];
        let sent = mail_format::header_field(header, "Date").and_then(mail_format::date).unwrap_or(0);
        let mut guid = [0; 16];
        guid.copy_from_slice(&sha256(message)[..16]);
        let kept = (header.len() <= HEADER_KEPT_MAX).then_some(header);
        let texts = [
            Some(structure.envelope(message)),
            Some(structure.body(message)),
            Some(structure.bodystructure(message)),
            Some(structure.encode()),
            kept.map(<[u8]>::to_vec),
        ];
        Prepared {
            size: u32::try_from(message.len()).unwrap_or(u32::MAX),
            header_size,
            lines: structure.lines(),
            sent_date: sent,
            guid,
            cache: join(&texts),
        }
    }
}

fn join(texts: &[Option<Vec<u8>>; 5]) -> Vec<u8> {
    let total: usize = texts.iter().flatten().map(Vec::len).sum();
    let mut bytes = vec![0; LENGTHS_BYTES];
    bytes.reserve(total);
    for (at, text) in texts.iter().enumerate() {
        let length = text.as_ref().map_or(NOT_KEPT, |text| u32::try_from(text.len()).unwrap_or(0));
        put(&mut bytes, at * 4, &length.to_le_bytes());
        bytes.extend_from_slice(text.as_deref().unwrap_or(&[]));
    }
    bytes
}

/// The texts of a message, as the cache keeps them.
pub struct Cached {
    bytes: Vec<u8>,
    /// Where each text starts and ends.
    spans: [Option<(usize, usize)>; 5],
}

impl Cached {
    /// Nothing when the bytes are no content of a cache record.
    pub(crate) fn of(bytes: Vec<u8>) -> Option<Cached> {
        let mut at = LENGTHS_BYTES;
        let mut spans = [None; 5];
        for (place, span) in spans.iter_mut().enumerate() {
            let length = u32_at(bytes.get(..LENGTHS_BYTES)?, place * 4);
            if length != NOT_KEPT {
                let end = at.checked_add(length as usize)?;
                *span = Some((at, end));
                at = end;
            }
        }
        let complete = at == bytes.len() && spans[..4].iter().all(Option::is_some);
        complete.then_some(Cached { bytes, spans })
    }

    fn text(&self, place: usize) -> Option<&[u8]> {
        self.spans[place].map(|(start, end)| &self.bytes[start..end])
    }

    /// ENVELOPE, ready to send.
    pub fn envelope(&self) -> &[u8] {
        self.text(0).unwrap_or(b"NIL")
    }

    /// BODY, ready to send.
    pub fn body(&self) -> &[u8] {
        self.text(1).unwrap_or(b"NIL")
    }

    /// BODYSTRUCTURE, ready to send.
    pub fn bodystructure(&self) -> &[u8] {
        self.text(2).unwrap_or(b"NIL")
    }

    /// `mail_format::Structure::encode` bytes.
    pub fn structure_bytes(&self) -> &[u8] {
        self.text(3).unwrap_or(&[])
    }

    /// The header of the message, blank line included, when it is not longer than 16 KiB.
    pub fn header(&self) -> Option<&[u8]> {
        self.text(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_come_back_and_cut_ones_do_not() {
        let message = b"Subject: x\r\nDate: Mon, 28 Feb 2000 10:00:00 -0800\r\n\r\nbody\r\n";
        let prepared = Prepared::of_bytes(message);
        assert_eq!((prepared.size, prepared.header_size, prepared.lines), (59, 53, 1));
        assert_eq!(prepared.sent_date, 951_760_800);
        let cached = Cached::of(prepared.cache.clone()).unwrap();
        assert!(cached.envelope().starts_with(b"(\"Mon, 28 Feb"));
        assert_eq!((cached.header(), prepared.header()), (Some(&message[..53]), Some(&message[..53])));
        assert!(mail_format::Structure::decode(cached.structure_bytes()).is_some());
        for length in 0..prepared.cache.len() {
            assert!(Cached::of(prepared.cache[..length].to_vec()).is_none());
        }
        let long = [b"Subject: ", &b"x".repeat(20_000)[..], b"\r\n\r\n"].concat();
        let long = Prepared::of_bytes(&long);
        assert_eq!(long.header(), None);
        assert_eq!(Cached::of(long.cache).unwrap().header(), None);
    }
}
