//! The zone map: of each stretch of slots the highest modification sequence number, and how many records are expunged or
//! without \Seen. What came to pass since a client was here is found without a look at every record.
//!
//! It is in the page of the header, is written with it by whoever holds the lock, and names the highest modification sequence
//! number of the mailbox that it was written for: a map that does not say the header's is not believed, and the next change
//! makes it anew from the records. The table is in `docs/formats/store.md`.

use std::ops::Range;

use crate::Flags;
use crate::bytes::{put, u32_at, u64_at};
use crate::index::Index;
use crate::layout::BLOCK_SLOTS;
use crate::record::Record;
use crate::writer::Change;

/// Bytes before the first zone.
pub const ZONES_HEADER_BYTES: usize = 24;
pub const ZONE_BYTES: usize = 16;
/// As many as the page of the header has room for.
pub const ZONES_MAX: usize = 222;
/// A zone of 2^32 slots.
const SHIFT_MAX: u32 = 24;

/// A stretch of slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// No record here was changed later. Only ever grows.
    pub modseq: u64,
    pub expunged: u32,
    /// Not expunged, and without \Seen.
    pub unseen: u32,
}

impl Zone {
    fn add(&mut self, other: &Zone) {
        self.modseq = self.modseq.max(other.modseq);
        self.expunged = self.expunged.saturating_add(other.expunged);
        self.unseen = self.unseen.saturating_add(other.unseen);
    }
}

/// Each zone is of `256 << shift` slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneMap {
    shift: u32,
    zones: Vec<Zone>,
}

impl ZoneMap {
    /// Of these records, in the order of their slots.
    pub fn of(records: impl Iterator<Item = Record>) -> ZoneMap {
        let mut map = ZoneMap::default();
        for (slot, record) in (0..).zip(records) {
            map.count(slot, &record, 1);
        }
        map
    }

    /// Of an index whose lock is held.
    pub fn of_index(index: &Index, slots: u32) -> ZoneMap {
        ZoneMap::of((0..slots).map(|slot| index.record_once(slot).unwrap_or(Record::DAMAGED)))
    }

    /// Whether this tells what the records do: of the modification sequence numbers it may tell too high ones.
    pub fn is_of(&self, records: &ZoneMap) -> bool {
        let tells = |(one, other): (&Zone, &Zone)| {
            one.modseq >= other.modseq && (one.expunged, one.unseen) == (other.expunged, other.unseen)
        };
        self.shift == records.shift
            && self.zones.len() == records.zones.len()
            && self.zones.iter().zip(&records.zones).all(tells)
    }

    /// Counts a record in (`1`) or out (`-1`), as [`crate::header::Header::count`] does.
    pub fn count(&mut self, slot: u32, record: &Record, sign: i32) {
        let zone = self.zone(slot);
        let expunged = record.is_expunged();
        if expunged {
            zone.expunged = zone.expunged.saturating_add_signed(sign);
        } else if !record.flags.contains(Flags::SEEN) {
            zone.unseen = zone.unseen.saturating_add_signed(sign);
        }
        if sign > 0 {
            zone.modseq = zone.modseq.max(record.modseq);
        }
    }

    fn slots_each(&self) -> u64 {
        u64::from(BLOCK_SLOTS) << self.shift
    }

    /// The zone of a slot; when there is no room for so many, each becomes twice as large.
    fn zone(&mut self, slot: u32) -> &mut Zone {
        while u64::from(slot) / self.slots_each() >= ZONES_MAX as u64 {
            let merged = self.zones.chunks(2).map(|pair| {
                let mut both = Zone::default();
                pair.iter().for_each(|zone| both.add(zone));
                both
            });
            self.zones = merged.collect();
            self.shift += 1;
        }
        let place = (u64::from(slot) / self.slots_each()) as usize;
        if place >= self.zones.len() {
            self.zones.resize(place + 1, Zone::default());
        }
        &mut self.zones[place]
    }

    /// `modseq`: the mailbox's highest.
    pub fn encode(&self, modseq: u64) -> Vec<u8> {
        let mut bytes = vec![0; ZONES_HEADER_BYTES + self.zones.len() * ZONE_BYTES];
        put(&mut bytes, 4, &self.shift.to_le_bytes());
        put(&mut bytes, 8, &modseq.to_le_bytes());
        put(&mut bytes, 16, &(self.zones.len() as u32).to_le_bytes());
        for (zone, at) in self.zones.iter().zip((ZONES_HEADER_BYTES..).step_by(ZONE_BYTES)) {
            put(&mut bytes, at, &zone.modseq.to_le_bytes());
            put(&mut bytes, at + 8, &zone.expunged.to_le_bytes());
            put(&mut bytes, at + 12, &zone.unseen.to_le_bytes());
        }
        let crc = base::crc32(&bytes[4..]);
        put(&mut bytes, 0, &crc.to_le_bytes());
        bytes
    }

    /// How many bytes there are, from the first [`ZONES_HEADER_BYTES`] of them.
    pub fn length(header: &[u8]) -> Option<usize> {
        let zones = u32_at(header, 16) as usize;
        (zones <= ZONES_MAX).then_some(ZONES_HEADER_BYTES + zones * ZONE_BYTES)
    }

    /// A map that verifies, and was written when `modseq` was the mailbox's highest.
    pub fn decode(bytes: &[u8], modseq: u64) -> Option<ZoneMap> {
        let whole = ZoneMap::length(bytes) == Some(bytes.len());
        if !whole || u64_at(bytes, 8) != modseq || base::crc32(&bytes[4..]) != u32_at(bytes, 0) {
            return None;
        }
        let shift = Some(u32_at(bytes, 4)).filter(|shift| *shift <= SHIFT_MAX)?;
        let zones = bytes[ZONES_HEADER_BYTES..].chunks_exact(ZONE_BYTES).map(|zone| Zone {
            modseq: u64_at(zone, 0),
            expunged: u32_at(zone, 8),
            unseen: u32_at(zone, 12),
        });
        Some(ZoneMap { shift, zones: zones.collect() })
    }

    /// The slots below `slots` in zones that are meant, neighbours as one; what no zone covers is meant.
    pub fn slots_where(&self, slots: u32, is_meant: impl Fn(&Zone) -> bool) -> Vec<Range<u32>> {
        let each = self.slots_each();
        let start = |zone: usize| (zone as u64 * each).min(u64::from(slots)) as u32;
        let mut found: Vec<Range<u32>> = Vec::new();
        let mut add = |range: Range<u32>| match found.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end == range.start => last.end = range.end,
            _ => found.push(range),
        };
        for (place, _) in self.zones.iter().enumerate().filter(|(_, zone)| is_meant(zone)) {
            add(start(place)..start(place + 1));
        }
        add(start(self.zones.len())..slots);
        found
    }
}

impl Change<'_> {
    /// The zone map as it is in the index, or made anew from the records: before records are changed.
    pub fn load_zones(&mut self) {
        if self.zones.is_none() {
            let known = self.index.zones_locked(&self.header);
            self.zones = Some(known.unwrap_or_else(|| ZoneMap::of_index(&self.index, self.header.slots)));
        }
    }

    /// Counts of the header, and of the zones, from the records.
    pub fn count_anew(&mut self) {
        self.header.forget_counts();
        for slot in 0..self.header.slots {
            let record = self.index.record_once(slot).unwrap_or(Record::DAMAGED);
            self.header.count(&record, 1);
            if record != Record::DAMAGED {
                self.header.uid_next = self.header.uid_next.max(record.uid.saturating_add(1));
                self.header.highest_modseq = self.header.highest_modseq.max(record.modseq);
            }
        }
        self.zones = Some(ZoneMap::of_index(&self.index, self.header.slots));
    }

    /// A record becomes another.
    pub fn count(&mut self, slot: u32, old: Option<&Record>, new: &Record) {
        if let Some(old) = old {
            self.header.count(old, -1);
        }
        self.header.count(new, 1);
        if let Some(zones) = &mut self.zones {
            if let Some(old) = old {
                zones.count(slot, old, -1);
            }
            zones.count(slot, new, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(modseq: u64, expunged: bool, seen: bool) -> Record {
        let flag = |is: bool, flag| if is { flag } else { Flags::NONE };
        let flags = flag(expunged, Flags::EXPUNGED) | flag(seen, Flags::SEEN);
        Record { uid: 1, flags, modseq, keywords: 0, size: 0 }
    }

    #[test]
    fn any_flipped_bit_and_another_state_are_not_believed() {
        let map = ZoneMap::of((0..600).map(|slot| record(slot, slot % 7 == 0, slot % 3 == 0)));
        let bytes = map.encode(600);
        assert_eq!(ZoneMap::length(&bytes[..ZONES_HEADER_BYTES]), Some(bytes.len()));
        assert_eq!(ZoneMap::decode(&bytes, 600), Some(map));
        assert_eq!(ZoneMap::decode(&bytes, 601), None);
        assert_eq!(ZoneMap::decode(&[0; ZONES_HEADER_BYTES], 0), None, "an index of before there was one");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ZoneMap::decode(&damaged, 600), None, "bit {bit}");
        }
    }

    #[test]
    fn a_very_large_mailbox_has_larger_zones_and_no_more_of_them() {
        let mut map = ZoneMap::default();
        let slots = 20_000_000;
        for slot in (0..slots).step_by(5000) {
            map.count(slot, &record(u64::from(slot), false, true), 1);
        }
        assert!(
            map.zones.len() <= ZONES_MAX
                && map.encode(1).len() <= ZONES_HEADER_BYTES + ZONES_MAX * ZONE_BYTES
        );
        map.count(7, &record(u64::from(slots), true, true), 1);
        let first = 0..(BLOCK_SLOTS << map.shift);
        assert_eq!(
            map.slots_where(slots, |zone| zone.modseq >= u64::from(slots)),
            std::slice::from_ref(&first)
        );
        assert_eq!(map.slots_where(slots, |zone| zone.expunged > 0), [first]);
        map.count(u32::MAX - 1, &record(1, false, false), 1);
        assert!(map.zones.len() <= ZONES_MAX);
        assert_eq!(map.slots_where(u32::MAX, |zone| zone.unseen > 0).len(), 1);
    }

    proptest! {
        /// Whatever changes: nothing that is asked for is outside of what is shown, and what is counted is what is there.
        #[test]
        fn nothing_is_missed(
            changes in proptest::collection::vec((0usize..90_000, any::<bool>(), any::<bool>()), 0..60),
            since in 0u64..70,
        ) {
            let mut records: Vec<Record> = Vec::new();
            let mut map = ZoneMap::default();
            for (modseq, (slot, expunged, seen)) in (1..).zip(changes) {
                let new = record(modseq, expunged, seen);
                while records.len() <= slot {
                    let filler = record(0, false, true);
                    map.count(records.len() as u32, &filler, 1);
                    records.push(filler);
                }
                map.count(slot as u32, &records[slot], -1);
                map.count(slot as u32, &new, 1);
                records[slot] = new;
            }
            prop_assert!(map.zones.len() <= ZONES_MAX);
            let slots = records.len() as u32;
            let is_in = |ranges: &[Range<u32>], slot: u32| ranges.iter().any(|range| range.contains(&slot));
            let changed = map.slots_where(slots, |zone| zone.modseq > since);
            let holes = map.slots_where(slots, |zone| zone.expunged > 0);
            let unseen = map.slots_where(slots, |zone| zone.unseen > 0);
            for (slot, record) in (0..).zip(&records) {
                prop_assert!(record.modseq <= since || is_in(&changed, slot));
                prop_assert!(!record.is_expunged() || is_in(&holes, slot));
                prop_assert!(record.is_expunged() || record.flags.contains(Flags::SEEN) || is_in(&unseen, slot));
            }
            prop_assert!(map.is_of(&ZoneMap::of(records.iter().copied())));
            if let Some(unseen) = records.iter_mut().find(|record| record.flags == Flags::NONE) {
                unseen.flags = Flags::SEEN;
                prop_assert!(!map.is_of(&ZoneMap::of(records.iter().copied())));
            }
        }
    }
}
