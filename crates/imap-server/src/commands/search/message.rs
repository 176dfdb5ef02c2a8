//! One message against the criteria of SEARCH, SORT or THREAD: hot record, cold record, header, content, in the order of their cost.

use std::os::unix::fs::FileExt;

use imap_wire::date;
use mail_format::Structure;
use mail_format::date::date_and_zone;
use mail_format::searchable::{HEADER_BYTES_MAX, Stage};
use message_store::search::{Needle, Scan};
use message_store::{Cached, MessageFile, Reader, Record, StoreError};

use super::matching::Test;
use crate::refusal::Refusal;
use crate::view::View;

/// One message, and what was read of it.
pub struct Message<'a> {
    view: &'a View,
    pub sequence: u32,
    slot: u32,
    pub record: Record,
    place: Option<(Reader, u32)>,
    /// Once it was read; nothing in it when the message is gone, or cannot be read.
    header: Option<Option<Vec<u8>>>,
    /// The day of the Date field, once it was looked at.
    written_day: Option<Option<i64>>,
    /// Bytes read so far.
    pub read: u64,
    /// How well it matches, from 1 to 100, when that was wanted (RFC 6203 §4).
    pub score: u8,
}

impl<'a> Message<'a> {
    pub fn new(view: &'a View, sequence: u32, slot: u32, record: Record) -> Message<'a> {
        Message {
            view,
            sequence,
            slot,
            record,
            place: None,
            header: None,
            written_day: None,
            read: 0,
            score: 100,
        }
    }

    /// What it is answered as: its UID or its sequence number.
    pub fn number(&self, uid: bool) -> u32 {
        if uid { self.record.uid } else { self.sequence }
    }

    /// Whether it passes, if that can be said of what the scan knows.
    pub(super) fn passes(&mut self, test: &Test, scan: &Scan) -> Result<Option<bool>, Refusal> {
        let record = self.record;
        Ok(Some(match test {
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
            Test::Saved(order, day) => match self.cold()? {
                Some(cold) => order.holds(date::day(cold.save_date_ns.div_euclid(1_000_000_000)), *day),
                None => false,
            },
            Test::ArrivedUntil(second) => {
                self.cold()?.is_some_and(|cold| cold.internal_date_ns.div_euclid(1_000_000_000) <= *second)
            }
            Test::ArrivedFrom(second) => {
                self.cold()?.is_some_and(|cold| cold.internal_date_ns.div_euclid(1_000_000_000) >= *second)
            }
            Test::ModSeq(modseq) => record.modseq >= *modseq && !record.is_expunged(),
            Test::Guid(guid) => self.cold()?.is_some_and(|cold| cold.guid == *guid),
            Test::Thread(id) => {
                let guid = self.cold()?.map_or([0; 16], |cold| cold.guid);
                self.header()?.is_some_and(|header| mail_format::thread_id(header, &guid) == *id)
            }
            Test::Nothing => false,
            Test::Content(needle) => return Ok(scan.fact(*needle)),
            Test::Like(needles) => {
                if needles.iter().any(|needle| scan.fact(*needle) == Some(false)) {
                    return Ok(Some(false));
                }
                if needles.iter().any(|needle| scan.fact(*needle).is_none()) {
                    return Ok(None);
                }
                true
            }
            Test::Not(test) => return Ok(self.passes(test, scan)?.map(|passes| !passes)),
            Test::Or(one, other) => match self.passes(one, scan)? {
                Some(true) => true,
                one => match (one, self.passes(other, scan)?) {
                    (_, Some(true)) => true,
                    (Some(false), Some(false)) => false,
                    _ => return Ok(None),
                },
            },
            Test::And(tests) => {
                let mut unknown = false;
                for test in tests {
                    match self.passes(test, scan)? {
                        Some(false) => return Ok(Some(false)),
                        Some(true) => {}
                        None => unknown = true,
                    }
                }
                if unknown {
                    return Ok(None);
                }
                true
            }
        }))
    }

    /// How well it passes: what its fuzzy keys say, on average; of those in OR the best one. Nothing when no key says anything.
    pub(super) fn relevancy(&mut self, test: &Test, scan: &Scan) -> Result<Option<u32>, Refusal> {
        Ok(match test {
            Test::Like(needles) => mean(needles.iter().map(|needle| scan.closest(*needle).into())),
            Test::And(tests) => {
                let mut all = Vec::new();
                for test in tests {
                    all.extend(self.relevancy(test, scan)?);
                }
                mean(all.into_iter())
            }
            Test::Or(one, other) => {
                let mut best = None;
                for test in [one, other] {
                    if self.passes(test, scan)? == Some(true) {
                        best = best.max(self.relevancy(test, scan)?);
                    }
                }
                best
            }
            _ => None,
        })
    }

    /// Takes the scan a step further; false when there is no more to be had, since the message went, or cannot be read.
    pub(super) fn learn(&mut self, scan: &mut Scan, needles: &[Needle]) -> Result<bool, Refusal> {
        match scan.stage() {
            Stage::Header => {
                let Some(header) = self.header()? else { return Ok(false) };
                scan.header(header, needles);
            }
            Stage::Structure => {
                let Some(structure) = self.structure()? else { return Ok(false) };
                scan.structure(structure);
            }
            Stage::PartHeader(..) | Stage::Part(..) | Stage::Body(..) | Stage::Over => {
                let Some(file) = self.file()? else { return Ok(false) };
                let step = scan.step(&file, needles).map_err(StoreError::from);
                let Some(read) = self.readable(step)? else { return Ok(false) };
                self.read += read;
            }
        }
        Ok(true)
    }

    /// Where the cold record is; nothing when the message was removed for good.
    pub fn cold(&mut self) -> Result<Option<message_store::Cold>, Refusal> {
        if self.place.is_none() {
            self.place = self.view.present_slot(self.slot, self.record.uid)?;
        }
        match &self.place {
            Some((reader, slot)) => Ok(Some(reader.cold(*slot)?)),
            None => Ok(None),
        }
    }

    /// INTERNALDATE in seconds since 1970; 0 when the message was removed for good.
    pub fn arrival(&mut self) -> Result<i64, Refusal> {
        Ok(self.cold()?.map_or(0, |cold| cold.internal_date_ns.div_euclid(1_000_000_000)))
    }

    /// The sent date in seconds since 1970: INTERNALDATE when there is none that can be read (RFC 5256 §2.2).
    pub fn sent(&mut self) -> Result<i64, Refusal> {
        match self.cold()?.map(|cold| cold.sent_date) {
            Some(sent) if sent != 0 => Ok(sent),
            _ => self.arrival(),
        }
    }

    /// Nothing when it went, or cannot be read.
    fn readable<T>(&self, got: message_store::Result<T>) -> Result<Option<T>, Refusal> {
        Ok(self.view.mailbox.readable(self.record.uid, got)?)
    }

    fn file(&self) -> Result<Option<MessageFile>, Refusal> {
        self.readable(self.view.mailbox.open_message_of(self.record.uid, self.record.size))
    }

    /// The day of the Date field as it is written there, disregarding its zone (RFC 3501 §6.4.4). The field is read
    /// only when the zone can make a difference.
    fn sent_day(&mut self, sent_date: i64, asked: i64) -> Result<i64, Refusal> {
        let utc = date::day(sent_date);
        if utc.abs_diff(asked) > 1 {
            return Ok(utc);
        }
        if self.written_day.is_none() {
            let written = self.header()?.and_then(|header| mail_format::header_field(header, "Date"));
            let written = written.and_then(date_and_zone);
            self.written_day =
                Some(written.map(|(second, zone)| date::day(second.saturating_add(zone.into()))));
        }
        Ok(self.written_day.flatten().unwrap_or(utc))
    }

    /// The header of the message, as far as [`HEADER_BYTES_MAX`]; nothing when the message is gone, or cannot be read.
    pub fn header(&mut self) -> Result<Option<&[u8]>, Refusal> {
        if self.header.is_none() {
            let header = self.read_header()?;
            self.read += header.as_ref().map_or(0, |header| header.len() as u64);
            self.header = Some(header);
        }
        Ok(self.header.as_ref().and_then(|header| header.as_deref()))
    }

    fn read_header(&mut self) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(cold) = self.cold()? else { return Ok(None) };
        if let Some(cached) = self.cached()? {
            if let Some(header) = cached.header() {
                return Ok(Some(header.to_vec()));
            }
        }
        let Some(message) = self.file()? else { return Ok(None) };
        let len = message.size.min(cold.header_size.into()).min(HEADER_BYTES_MAX);
        let mut header = vec![0; usize::try_from(len).unwrap_or(0)];
        let read = message.file.read_exact_at(&mut header, 0).map_err(StoreError::from);
        Ok(self.readable(read)?.map(|()| header))
    }

    fn cached(&mut self) -> Result<Option<Cached>, Refusal> {
        self.cold()?;
        let Some((_, slot)) = &self.place else { return Ok(None) };
        self.readable(self.view.mailbox.cached(*slot))
    }

    fn structure(&mut self) -> Result<Option<Structure>, Refusal> {
        let Some(cached) = self.cached()? else { return Ok(None) };
        self.read += cached.structure_bytes().len() as u64;
        let structure = Structure::decode(cached.structure_bytes());
        self.readable(structure.ok_or_else(|| StoreError::Damaged("its part table".into())))
    }
}

/// Rounded down, and 1 at least.
fn mean(values: impl Iterator<Item = u32>) -> Option<u32> {
    let (count, sum) = values.fold((0u32, 0u32), |(count, sum), value| (count + 1, sum + value));
    sum.checked_div(count).map(|mean| mean.max(1))
}
