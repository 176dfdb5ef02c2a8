//! Writing a stream. Nothing is kept in memory but the number of the next entry.

use std::io::{self, Read, Write};

use super::item::Item;
use super::tar::{self, BLOCK, padding, pax_record};

pub struct StreamWriter<W: Write> {
    out: W,
    /// Random, in each entry.
    stream: String,
    number: u64,
    written: u64,
    /// Bytes of one write, and what the whole is a multiple of.
    record_bytes: u64,
}

impl<W: Write> StreamWriter<W> {
    /// # Errors
    /// No random bytes.
    pub fn new(out: W, record_bytes: usize) -> io::Result<StreamWriter<W>> {
        let mut stream = [0; 8];
        openssl::rand::rand_bytes(&mut stream).map_err(io::Error::other)?;
        let record_bytes = record_bytes.max(BLOCK) as u64;
        Ok(StreamWriter { out, stream: base::hex::encode(&stream), number: 0, written: 0, record_bytes })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        self.put(&[0; BLOCK][..padding(size)])
    }

    /// An item without bytes; `link` names the entry that has them.
    ///
    /// # Errors
    /// The system's.
    pub fn item(&mut self, item: &Item, link: Option<&str>) -> io::Result<()> {
        let kind = match (item, link) {
            (_, Some(_)) => tar::HARD_LINK,
            (Item::User(_) | Item::Mailbox(_), None) => tar::FOLDER,
            _ => tar::REGULAR,
        };
        self.head(item, kind, link.unwrap_or(""), 0)
    }

    /// A message with its bytes, as many as its size says.
    ///
    /// # Errors
    /// `UnexpectedEof` when there are less; the system's.
    pub fn message(&mut self, item: &Item, size: u64, bytes: &mut dyn Read) -> io::Result<()> {
        self.head(item, tar::REGULAR, "", size)?;
        let copied = io::copy(&mut bytes.take(size), &mut self.out)?;
        self.written += copied;
        if copied != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pad(size)
    }

    fn head(&mut self, item: &Item, kind: u8, link: &str, size: u64) -> io::Result<()> {
        let path = item.path();
        let mtime = match item {
            Item::Message(one) => u64::try_from(one.internal_date_ns / 1_000_000_000).unwrap_or(0),
            Item::Begin(begin) => u64::try_from(begin.created).unwrap_or(0),
            _ => 0,
        };
        let mut body = pax_record("path", &path);
        if !link.is_empty() {
            body.push_str(&pax_record("linkpath", link));
        }
        body.push_str(&pax_record("MAILBOAT.stream", &self.stream));
        body.push_str(&pax_record("MAILBOAT.number", &self.number.to_string()));
        for (key, value) in item.pairs() {
            body.push_str(&pax_record(&format!("MAILBOAT.{key}"), &value));
        }
        let check = format!("{:08x}", base::crc32(body.as_bytes()));
        body.push_str(&pax_record("MAILBOAT.check", &check));
        let length = body.len() as u64;
        if length > tar::PAX_BYTES_MAX {
            return Err(io::Error::other(format!("{}: more than 4 MiB about it", base::escape(&path))));
        }
        self.put(&tar::header(tar::EXTENDED, "pax", "", length, mtime))?;
        self.put(body.as_bytes())?;
        self.pad(length)?;
        self.put(&tar::header(kind, &path, link, size, mtime))?;
        self.number += 1;
        Ok(())
    }

    /// The end mark of tar, and whole records.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(mut self) -> io::Result<W> {
        self.put(&[0; 2 * BLOCK])?;
        let over = self.written % self.record_bytes;
        let mut missing = if over == 0 { 0 } else { self.record_bytes - over };
        while missing > 0 {
            let now = missing.min(BLOCK as u64);
            self.put(&[0; BLOCK][..now as usize])?;
            missing -= now;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    pub fn written(&self) -> u64 {
        self.written
    }
}
