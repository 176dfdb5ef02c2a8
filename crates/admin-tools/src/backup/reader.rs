//! Reading a stream: item by item, what is damaged being told and passed over.
//!
//! Behind damage the next entry is looked for block by block. An entry counts when its blocks verify, its records do, and it
//! is of this stream: a message may contain an archive.

use std::io::{self, Read};

use openssl::sha::Sha256;

use super::item::Item;
use super::tar::{self, BLOCK, Header, padding};

/// Bytes of a message that are in memory at a time.
const PIECE_BYTES: usize = 64 * 1024;

pub enum Found {
    Item(Item),
    /// Something is wrong with the stream, and what.
    Damage(String),
    /// The stream ends before its end mark.
    Cut,
}

pub struct StreamReader<R: Read> {
    input: R,
    /// Bytes that were read.
    at: u64,
    stream: Option<String>,
    number: u64,
    /// Bytes of the last message not read yet.
    left: u64,
    left_padding: usize,
    is_lost: bool,
    /// Found already, behind what was lost.
    pending: Option<Item>,
}

impl<R: Read> StreamReader<R> {
    pub fn new(input: R) -> StreamReader<R> {
        StreamReader {
            input,
            at: 0,
            stream: None,
            number: 0,
            left: 0,
            left_padding: 0,
            is_lost: false,
            pending: None,
        }
    }

    /// Where the bytes of the message begin that was just found.
    pub fn at(&self) -> u64 {
        self.at
    }

    fn block(&mut self) -> io::Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        match self.input.read_exact(&mut block) {
            Ok(()) => {
                self.at += BLOCK as u64;
                Ok(Some(block))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next item, what the last one had left being passed over.
    ///
    /// # Errors
    /// The system's.
    pub fn next(&mut self) -> io::Result<Found> {
        if let Some(item) = self.pending.take() {
            self.number += 1;
            return Ok(Found::Item(item));
        }
        self.content(&mut |_| Ok(()))?;
        loop {
            let begin = self.at;
            let Some(block) = self.block()? else { return Ok(Found::Cut) };
            let Some(header) = tar::parse(&block)
                .filter(|header| header.kind == tar::EXTENDED && header.size <= tar::PAX_BYTES_MAX)
            else {
                if !self.is_lost {
                    self.is_lost = true;
                    return Ok(Found::Damage(format!(
                        "byte {begin}: no entry begins here; looking for the next"
                    )));
                }
                continue;
            };
            match self.entry(header)? {
                Some((item, number)) => {
                    self.is_lost = false;
                    return Ok(self.in_order(item, number));
                }
                None if self.is_lost => {}
                None => {
                    self.is_lost = true;
                    return Ok(Found::Damage(format!("byte {begin}: the entry does not verify")));
                }
            }
        }
    }

    fn in_order(&mut self, item: Item, number: u64) -> Found {
        let expected = std::mem::replace(&mut self.number, number + 1);
        if number == expected {
            return Found::Item(item);
        }
        // The item is told next time: what is lost is said first.
        self.number = number;
        self.pending = Some(item);
        Found::Damage(format!("{} entries before byte {} are lost", number.saturating_sub(expected), self.at))
    }

    /// The item of an extended header and what follows it.
    fn entry(&mut self, header: Header) -> io::Result<Option<(Item, u64)>> {
        let mut body = Vec::new();
        let whole = header.size + padding(header.size) as u64;
        let read = self.input.by_ref().take(whole).read_to_end(&mut body)? as u64;
        self.at += read;
        if read < whole {
            return Ok(None);
        }
        body.truncate(header.size as usize);
        let Some((item, stream, number)) = decode(&body) else { return Ok(None) };
        if self.stream.as_ref().is_some_and(|known| *known != stream) {
            return Ok(None);
        }
        let Some(own) = self.block()?.and_then(|block| tar::parse(&block)) else { return Ok(None) };
        let size = match &item {
            Item::Message(one) if !one.by_reference => one.size,
            _ => 0,
        };
        if own.size != size || own.kind == tar::EXTENDED {
            return Ok(None);
        }
        self.stream = Some(stream);
        (self.left, self.left_padding) = (size, padding(size));
        Ok(Some((item, number)))
    }

    /// The bytes of the message that was just found, piece by piece; what they are the guid of, and how many they are.
    ///
    /// # Errors
    /// The sink's; the system's.
    pub fn content(&mut self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<([u8; 16], u64)> {
        let mut hash = Sha256::new();
        let mut piece = vec![0; PIECE_BYTES.min(self.left as usize)];
        let mut total = 0;
        while self.left > 0 {
            let wanted = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let read = self.input.read(&mut piece[..wanted])?;
            if read == 0 {
                (self.left, self.left_padding) = (0, 0); // cut off, which the next block tells
                break;
            }
            self.at += read as u64;
            self.left -= read as u64;
            total += read as u64;
            hash.update(&piece[..read]);
            sink(&piece[..read])?;
        }
        let mut rest = [0; BLOCK];
        let padding = std::mem::take(&mut self.left_padding);
        match self.input.read_exact(&mut rest[..padding]) {
            Ok(()) => self.at += padding as u64,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
        let mut guid = [0; 16];
        guid.copy_from_slice(&hash.finish()[..16]);
        Ok((guid, total))
    }
}

/// Item, stream and number of an extended header whose check is right.
fn decode(body: &[u8]) -> Option<(Item, String, u64)> {
    let records = tar::pax_records(body)?;
    let (key, check, at) = records.last()?;
    let right = *key == "MAILBOAT.check" && *check == format!("{:08x}", base::crc32(&body[..*at]));
    if !right {
        return None;
    }
    let get = |wanted: &str| {
        records
            .iter()
            .find(|(key, ..)| key.strip_prefix("MAILBOAT.") == Some(wanted))
            .map(|(_, value, _)| *value)
    };
    Some((Item::of(get)?, get("stream")?.to_owned(), get("number")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::item::{Begin, End, MailboxItem, MessageItem, Reader, User, VERSION};
    use super::super::writer::StreamWriter;
    use super::*;
    use message_store::{Acl, Flags, NewAnnotation, UidSet};

    const BODY: &[u8] = b"Subject: x\r\n\r\nbody\r\n";

    fn message(uid: u32) -> MessageItem {
        let mut guid = [0; 16];
        guid.copy_from_slice(&openssl::sha::sha256(BODY)[..16]);
        MessageItem {
            mailbox: "user/joe/Größe=1 \u{1F4E7}".into(),
            partition: "primary".into(),
            uid_validity: 7,
            uid,
            guid,
            size: BODY.len() as u64,
            flags: Flags::SEEN | Flags::DRAFT,
            keywords: vec!["$Forwarded".into(), "Junk".into()],
            internal_date_ns: -5,
            links: 2,
            by_reference: uid == 2,
        }
    }

    fn annotation(owner: &str, entry: &str, value: &[u8]) -> NewAnnotation {
        NewAnnotation { owner: owner.into(), entry: entry.into(), value: Some(value.to_vec()) }
    }

    fn items() -> Vec<Item> {
        let mailbox = MailboxItem {
            name: message(1).mailbox,
            uid_validity: 7,
            uid_next: 9,
            annotations: vec![
                annotation("", "/shared/a b", b"x\ny\0\xff"),
                annotation("joe", "/private/c", b""),
            ],
            acl: Acl::parse("anyone lrs -bob w"),
            seen: vec![Reader { uid: "bob".into(), seen: UidSet::from_ranges([1..=4, 9..=9]) }],
            ..MailboxItem::default()
        };
        let user = User {
            uid: "joe".into(),
            bytes: Some(5),
            subscriptions: vec!["a b".into(), "c".into()],
            annotations: vec![annotation("joe", "/private/d", b"e")],
            ..User::default()
        };
        vec![
            Item::Begin(Begin { version: VERSION, created: 3, since: Some(-1) }),
            Item::User(user),
            Item::Mailbox(mailbox),
            Item::Message(message(1)),
            Item::Message(message(2)),
            Item::End(End { mailboxes: 1, messages: 2 }),
        ]
    }

    fn stream() -> Vec<u8> {
        let mut writer = StreamWriter::new(Vec::new(), 10_240).unwrap();
        for item in items() {
            let link = item.path();
            match &item {
                Item::Message(one) if one.by_reference => writer.item(&item, Some(&link)).unwrap(),
                Item::Message(one) => writer.message(&item, one.size, &mut { BODY }).unwrap(),
                _ => writer.item(&item, None).unwrap(),
            }
        }
        writer.finish().unwrap()
    }

    /// Items, messages whose bytes are wrong left out, and whether damage was told.
    fn read(bytes: &[u8]) -> (Vec<Item>, bool) {
        let mut reader = StreamReader::new(bytes);
        let (mut found, mut is_damaged) = (Vec::new(), false);
        loop {
            match reader.next().unwrap() {
                Found::Item(item) => {
                    let is_end = matches!(item, Item::End(_));
                    let guid = reader.content(&mut |_| Ok(())).unwrap().0;
                    match &item {
                        Item::Message(one) if !one.by_reference && one.guid != guid => is_damaged = true,
                        _ => found.push(item),
                    }
                    if is_end {
                        return (found, is_damaged);
                    }
                }
                Found::Damage(_) => is_damaged = true,
                Found::Cut => return (found, true),
            }
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = stream();
        assert_eq!(bytes.len() % 10_240, 0);
        assert_eq!(read(&bytes), (items(), false));
    }

    #[test]
    fn a_flipped_bit_costs_one_entry_and_is_told_and_nothing_is_ever_wrong() {
        let (bytes, items) = (stream(), items());
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        for at in (0..used * 8).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            let (found, is_told) = read(&damaged);
            assert!(found.iter().all(|item| items.contains(item)), "bit {at}: something else was read");
            assert!(found.len() + 1 >= items.len(), "bit {at}: {} of {}", found.len(), items.len());
            assert!(is_told || found == items, "bit {at}: an entry is missing and nobody says it");
        }
    }

    #[test]
    fn a_stream_cut_anywhere_is_told() {
        let bytes = stream();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        for length in (0..end).step_by(61) {
            assert!(read(&bytes[..length]).1, "cut at {length}");
        }
    }
}
