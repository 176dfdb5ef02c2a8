//! One message against the tests of a SEARCH: hot record, cold record, header, content, in the order of their cost.

use std::os::unix::fs::FileExt;

use imap_wire::date;
use mail_format::Structure;
use mail_format::date::date_and_zone;
use message_store::{MessageFile, Reader, Record, StoreError};

use super::Test;
use super::content::{self, Body};
use crate::refusal::Refusal;
use crate::view::View;

/// What is looked at of a header.
const HEADER_BYTES_MAX: u64 = 1024 * 1024;

/// One message, and what was read of it.
pub struct Message<'a> {
    view: &'a View,
    sequence: u32,
    slot: u32,
    record: Record,
    place: Option<(Reader, u32)>,
    /// Bytes read so far.
    pub read: u64,
}

impl<'a> Message<'a> {
    pub fn new(view: &'a View, sequence: u32, slot: u32, record: Record) -> Message<'a> {
        Message { view, sequence, slot, record, place: None, read: 0 }
    }

    pub fn passes(&mut self, test: &Test) -> Result<bool, Refusal> {
        let record = self.record;
        Ok(match test {
            Test::All => true,
            Test::Ranges(ranges) => {
                let after = ranges.partition_point(|range| *range.start() <= self.sequence);
                after > 0 && ranges[after - 1].contains(&self.sequence)
            }
            Test::Flag(flags) => record.flags.contains(*flags),
            Test::Keyword(bit) => record.keywords & bit != 0,
            Test::Recent => self.view.is_recent(record.uid),
            Test::Larger(size) => record.size > *size,
            Test::Smaller(size) => record.size < *size,
            Test::Received(order, day) => match self.cold()? {
                Some(cold) => order.holds(date::day(cold.internal_date_ns.div_euclid(1_000_000_000)), *day),
                None => false,
            },
            Test::Sent(order, day) => match self.cold()? {
                Some(cold) => order.holds(self.sent_day(cold.sent_date, *day)?, *day),
                None => false,
            },
            Test::Header(name, text) => self.header_has(name, text)?,
            Test::Body(text) => self.content_has(text, true)?,
            Test::Text(text) => self.content_has(text, false)?,
            Test::Not(test) => !self.passes(test)?,
            Test::Or(one, other) => self.passes(one)? || self.passes(other)?,
            Test::And(tests) => {
                for test in tests {
                    if !self.passes(test)? {
                        return Ok(false);
                    }
                }
                true
            }
        })
    }

    /// Where the cold record is; nothing when the message was removed for good.
    fn cold(&mut self) -> Result<Option<message_store::Cold>, Refusal> {
        if self.place.is_none() {
            self.place = self.view.present_slot(self.slot, self.record.uid)?;
        }
        match &self.place {
            Some((reader, slot)) => Ok(Some(reader.cold(*slot)?)),
            None => Ok(None),
        }
    }

    fn file(&self) -> Result<Option<MessageFile>, Refusal> {
        match self.view.mailbox.open_message(self.record.uid) {
            Ok(file) => Ok(Some(file)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The day of the Date field as it is written there, disregarding its zone (RFC 3501 §6.4.4). The field is read
    /// only when the zone can make a difference.
    fn sent_day(&mut self, sent_date: i64, asked: i64) -> Result<i64, Refusal> {
        let utc = date::day(sent_date);
        if utc.abs_diff(asked) > 1 {
            return Ok(utc);
        }
        let Some(header) = self.header()? else { return Ok(utc) };
        let written = mail_format::header_field(&header, "Date").and_then(date_and_zone);
        Ok(written.map_or(utc, |(second, zone)| date::day(second.saturating_add(zone.into()))))
    }

    /// The header of the message, as far as [`HEADER_BYTES_MAX`]; nothing when the message is gone.
    fn header(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(cold) = self.cold()? else { return Ok(None) };
        if let Some((_, slot)) = &self.place {
            match self.view.mailbox.cached(*slot) {
                Ok(cached) => {
                    if let Some(header) = cached.header() {
                        self.read += header.len() as u64;
                        return Ok(Some(header.to_vec()));
                    }
                }
                Err(StoreError::NotFound) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        let Some(message) = self.file()? else { return Ok(None) };
        let len = message.size.min(cold.header_size.into()).min(HEADER_BYTES_MAX);
        let mut header = vec![0; usize::try_from(len).unwrap_or(0)];
        message.file.read_exact_at(&mut header, 0).map_err(StoreError::from)?;
        self.read += len;
        Ok(Some(header))
    }

    fn header_has(&mut self, name: &str, text: &str) -> Result<bool, Refusal> {
        let Some(header) = self.header()? else { return Ok(false) };
        Ok(content::field_has(&header, name, text))
    }

    fn content_has(&mut self, text: &str, body_only: bool) -> Result<bool, Refusal> {
        if text.is_empty() {
            return Ok(true);
        }
        if !body_only {
            let Some(header) = self.header()? else { return Ok(false) };
            if content::header_has(&header, text) {
                return Ok(true);
            }
        }
        self.cold()?;
        let Some((_, slot)) = &self.place else { return Ok(false) };
        let cached = match self.view.mailbox.cached(*slot) {
            Err(StoreError::NotFound) => return Ok(false),
            other => other?,
        };
        let structure = Structure::decode(cached.structure_bytes())
            .ok_or_else(|| StoreError::Damaged("the part table of a message".into()))?;
        let Some(message) = self.file()? else { return Ok(false) };
        let mut body = Body { message: &message, read: 0 };
        let found = body.has(&structure, text);
        self.read += body.read;
        Ok(found.map_err(StoreError::from)?)
    }
}
