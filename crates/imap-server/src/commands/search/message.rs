//! One message against the tests of a SEARCH: hot record, cold record, header, content, in the order of their cost.

use std::io::Read;
use std::os::unix::fs::FileExt;

use imap_wire::date;
use message_store::{MessageFile, Reader, Record, StoreError};

use super::Test;
use crate::refusal::Refusal;
use crate::sections;
use crate::view::View;

/// Piece of a message that is searched at once.
const PIECE: usize = 64 * 1024;
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
        Ok(sections::values(&header, "Date").next().and_then(written_day).unwrap_or(utc))
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

    fn header_has(&mut self, name: &str, text: &[u8]) -> Result<bool, Refusal> {
        let Some(header) = self.header()? else { return Ok(false) };
        Ok(sections::values(&header, name).any(|value| {
            text.is_empty() || memchr::memmem::find(&value.to_ascii_lowercase(), text).is_some()
        }))
    }

    /// Looks through the file in pieces that overlap by the length of the text.
    fn content_has(&mut self, text: &[u8], body_only: bool) -> Result<bool, Refusal> {
        if text.is_empty() {
            return Ok(true);
        }
        let from = if body_only { self.cold()?.map_or(0, |cold| cold.header_size.into()) } else { 0 };
        let Some(message) = self.file()? else { return Ok(false) };
        let finder = memchr::memmem::Finder::new(text);
        let mut reader = At { message: &message, offset: from };
        let mut window = Vec::with_capacity(PIECE + text.len());
        loop {
            let kept = window.len();
            let piece =
                reader.by_ref().take(PIECE as u64).read_to_end(&mut window).map_err(StoreError::from)?;
            self.read += piece as u64;
            window[kept..].make_ascii_lowercase();
            if finder.find(&window).is_some() {
                return Ok(true);
            }
            if piece == 0 {
                return Ok(false);
            }
            let keep_from = window.len().saturating_sub(text.len() - 1);
            window.drain(..keep_from);
        }
    }
}

/// Reads a message file from a place on, without a cursor of the descriptor (it is shared).
struct At<'a> {
    message: &'a MessageFile,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.message.file.read_at(buffer, self.offset)?;
        self.offset = self.offset.saturating_add(count as u64);
        Ok(count)
    }
}

/// The day in the value of a Date field: `[day-name ","] day month year ...` (RFC 5322 §3.3, §4.3).
fn written_day(value: &[u8]) -> Option<i64> {
    let mut words = value
        .split(|byte| byte.is_ascii_whitespace() || *byte == b',')
        .filter(|word| !word.is_empty())
        .skip_while(|word| !word[0].is_ascii_digit());
    let number = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<i64>().ok();
    let day = number(words.next()?)?;
    let month = date::month(words.next()?.get(..3)?)?;
    let year = match number(words.next()?)? {
        year @ 0..50 => year + 2000,
        year @ 50..1000 => year + 1900,
        year => year,
    };
    date::days(year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_the_one_that_was_written() {
        for (value, day) in [
            (" Mon, 7 Feb 1994 21:52:25 -0800 (PST)\r\n", Some(8803)),
            ("1 January 1970", Some(0)),
            ("Thu,\r\n  1 Jan 70 00:00 GMT", Some(0)),
            ("31 Feb 2000 00:00:00 +0000", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(written_day(value.as_bytes()), day, "{value}");
        }
    }
}
