//! COPY and MOVE between mailboxes: all or nothing (RFC 3501 §6.4.7, RFC 6851).
//!
//! However many messages, they are one transaction of the target: files get their second names first, then one record in
//! the log makes all of them messages. A move also expunges them in the source; both mailboxes are locked meanwhile, so that
//! two who move the same message do not make two of it, and the room for the second transaction is reserved before the
//! first, so that a full disk is met before anything has happened. Only a process that dies between the two leaves a
//! message in both.

use std::fs;
use std::path::PathBuf;

use crate::layout::message_path;
use crate::log::Operation;
use crate::mailbox::Mailbox;
use crate::new_files::{Bytes, NewFiles, Origin};
use crate::record::{Cold, Record};
use crate::source::link;
use crate::writer::Change;
use crate::{Flags, Result, Severity, StoreError, UidSet};

/// Messages of one COPY or MOVE at most: its transaction is held in memory, and the target locked meanwhile.
const COPY_MAX: usize = 50_000;
/// Messages whose cache records are read and written at once.
const CACHE_BATCH: usize = 1000;
/// Messages of one transaction where not all need to be in one.
const MOVE_BATCH: usize = 10_000;

/// What goes along with a copied message.
#[derive(Clone, Copy, Debug)]
pub struct Carry<'a> {
    /// Of the system flags, those that do.
    pub flags: Flags,
    pub keywords: bool,
    /// The messages that get \\Seen, whatever their records say.
    pub seen: Option<&'a UidSet>,
}

impl Carry<'_> {
    pub const ALL: Carry<'static> = Carry { flags: Flags::SYSTEM, keywords: true, seen: None };

    fn flags_of(&self, record: &Record) -> Flags {
        let flags = match self.seen {
            None => record.flags,
            Some(seen) if seen.contains(record.uid) => record.flags | Flags::SEEN,
            Some(_) => record.flags & !Flags::SEEN,
        };
        flags.of_message() & (self.flags | Flags::SENDER_KNOWN)
    }
}

/// What a transaction adds to the target.
struct Copies {
    operations: Vec<Operation>,
    files: NewFiles<'static>,
    /// Files that go again when it does not happen.
    placed: Vec<PathBuf>,
    /// UIDs here and there.
    pairs: Vec<(u32, u32)>,
}

impl Mailbox {
    /// Copies messages; flags, keywords and dates go along. UIDs here and there.
    ///
    /// # Errors
    /// `NotFound` when a file is gone, `TooBig` for too many messages or keywords, `NoSpace`; nothing was copied then.
    pub fn copy_to(&self, uids: &UidSet, to: &Mailbox) -> Result<Vec<(u32, u32)>> {
        self.copy_with(uids, to, Carry::ALL)
    }

    /// The same, with these flags only.
    ///
    /// # Errors
    /// As [`Mailbox::copy_to`].
    pub fn copy_with(&self, uids: &UidSet, to: &Mailbox, carry: Carry<'_>) -> Result<Vec<(u32, u32)>> {
        let reader = self.reader()?;
        let sources = chosen(uids, reader.slots(), &reader)?;
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let names = self.keywords();
        let mut target = to.write()?;
        target.enforce();
        let copies = target.place_copies(self, &names, &sources, carry)?;
        target.commit_copies(&copies)?;
        Ok(copies.pairs)
    }

    /// Moves messages. UIDs here and there.
    ///
    /// # Errors
    /// As [`Mailbox::copy_to`], and `InUse`; nothing was moved then.
    pub fn move_to(&self, uids: &UidSet, to: &Mailbox) -> Result<Vec<(u32, u32)>> {
        self.move_with(uids, to, Carry::ALL)
    }

    /// The same, with these flags only.
    ///
    /// # Errors
    /// As [`Mailbox::move_to`].
    pub fn move_with(&self, uids: &UidSet, to: &Mailbox, carry: Carry<'_>) -> Result<Vec<(u32, u32)>> {
        if self.id == to.id {
            return self.move_within(uids, carry);
        }
        // Everybody locks the lower one first.
        let (mut source, mut target) = if self.id < to.id {
            let source = self.write()?;
            (source, to.write()?)
        } else {
            let target = to.write()?;
            (self.write()?, target)
        };
        let sources = chosen(uids, source.header.slots, &source)?;
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        if !to.has_root_of(self) {
            target.enforce(); // else what comes here goes there
        }
        let gone: UidSet = sources.iter().map(|(record, _)| record.uid).collect();
        let (_, expunges) = source.expunges(&gone, |_| true);
        source.reserve(&expunges)?;
        let names = source.index.keywords(source.header.keywords);
        let copies = target.place_copies(self, &names, &sources, carry)?;
        target.commit_copies(&copies)?;
        if let Err(error) = source.commit(&expunges, &NewFiles::default()) {
            // In doubt they may be gone here: a message that is there twice is better than one that is nowhere.
            if !source.is_in_doubt() {
                target.take_back(&copies)?;
            }
            return Err(error);
        }
        Ok(copies.pairs)
    }

    /// To the same mailbox: one transaction.
    fn move_within(&self, uids: &UidSet, carry: Carry<'_>) -> Result<Vec<(u32, u32)>> {
        let mut change = self.write()?;
        let sources = chosen(uids, change.header.slots, &change)?;
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let gone: UidSet = sources.iter().map(|(record, _)| record.uid).collect();
        let (_, expunges) = change.expunges(&gone, |_| true);
        let names = change.index.keywords(change.header.keywords);
        let mut copies = change.place_copies(self, &names, &sources, carry)?;
        copies.operations.extend(expunges);
        change.commit_copies(&copies)?;
        Ok(copies.pairs)
    }

    /// Moves every message, as many as there are: RENAME of an INBOX (RFC 3501 §6.3.5).
    ///
    /// # Errors
    /// As [`Mailbox::move_to`]; each message is then in the other mailbox or still here.
    pub fn move_all_to(&self, to: &Mailbox) -> Result<()> {
        let reader = self.reader()?;
        let mut records =
            (0..reader.slots()).map(|slot| reader.record(slot)).filter(|one| !one.is_expunged());
        loop {
            let uids: UidSet = records.by_ref().take(MOVE_BATCH).map(|record| record.uid).collect();
            if uids.is_empty() {
                return Ok(());
            }
            self.move_to(&uids, to)?;
        }
    }
}

/// Where records are looked for: without the lock or under it.
trait Records {
    fn slot_from(&self, uid: u32) -> u32;
    fn record(&self, slot: u32) -> Record;
    fn cold(&self, slot: u32) -> Result<Cold>;
}

impl Records for crate::Reader {
    fn slot_from(&self, uid: u32) -> u32 {
        self.slot_of(uid).unwrap_or_else(|slot| slot)
    }

    fn record(&self, slot: u32) -> Record {
        crate::Reader::record(self, slot)
    }

    fn cold(&self, slot: u32) -> Result<Cold> {
        crate::Reader::cold(self, slot)
    }
}

impl Records for Change<'_> {
    fn slot_from(&self, uid: u32) -> u32 {
        self.index.slot_of(uid, self.header.slots).unwrap_or_else(|slot| slot)
    }

    fn record(&self, slot: u32) -> Record {
        self.index.record(slot)
    }

    fn cold(&self, slot: u32) -> Result<Cold> {
        self.index.cold(slot).ok_or_else(|| self.mailbox.damaged(&format!("cold record {slot}")))
    }
}

/// Those of the messages that are there.
fn chosen(uids: &UidSet, slots: u32, records: &impl Records) -> Result<Vec<(Record, Cold)>> {
    let mut found = Vec::new();
    for range in uids.ranges() {
        for slot in records.slot_from(*range.start())..slots {
            let record = records.record(slot);
            if record.flags.contains(Flags::DAMAGED) {
                continue;
            }
            if record.uid > *range.end() {
                break;
            }
            if !record.is_expunged() {
                if found.len() == COPY_MAX {
                    return Err(StoreError::TooBig("50,000 messages in one COPY or MOVE"));
                }
                found.push((record, records.cold(slot)?));
            }
        }
    }
    Ok(found)
}

impl Change<'_> {
    /// Gives the messages names here, and says what makes them messages. On an error their names are gone again.
    fn place_copies(
        &mut self,
        from: &Mailbox,
        names: &[String],
        sources: &[(Record, Cold)],
        carry: Carry<'_>,
    ) -> Result<Copies> {
        let carried = if carry.keywords { u64::MAX } else { 0 };
        let used = sources.iter().fold(0, |used, (record, _)| used | (record.keywords & carried));
        let wanted = named(names, used).cloned().collect::<Vec<String>>();
        let (_, operations) = self.keyword_bits(&wanted)?;
        let mut known = self.index.keywords(self.header.keywords);
        known.extend(operations.iter().filter_map(|operation| match operation {
            Operation::Keyword(_, name) => Some(name.clone()),
            _ => None,
        }));
        let mut copies =
            Copies { operations, files: NewFiles::default(), placed: Vec::new(), pairs: Vec::new() };
        let first_uid = self.header.uid_next;
        let mut batches = sources.chunks(CACHE_BATCH);
        let placed =
            batches.try_for_each(|batch| self.place_batch(from, names, &known, batch, carry, &mut copies));
        self.header.uid_next = first_uid; // the transaction makes it what it will be
        match placed {
            Ok(()) => Ok(copies),
            Err(error) => {
                copies.remove_files();
                Err(error)
            }
        }
    }

    fn place_batch(
        &mut self,
        from: &Mailbox,
        names: &[String],
        known: &[String],
        batch: &[(Record, Cold)],
        carry: Carry<'_>,
        copies: &mut Copies,
    ) -> Result<()> {
        let mailbox = self.mailbox;
        let level = mailbox.shared.settings.sync.message;
        let cache = |cold: &Cold| from.segments.read(&from.folder, cold.cache_position, &cold.guid);
        let caches: Vec<Option<Vec<u8>>> = batch.iter().map(|(_, cold)| cache(cold)).collect();
        let contents = batch.iter().zip(&caches);
        let contents = contents.map(|((_, cold), content)| (&cold.guid, content.as_deref().unwrap_or(&[])));
        let segment = self.cache_segment();
        let positions = mailbox.segments.append(&mailbox.folder, segment, contents)?;
        let modseq = self.next_modseq();
        let save_date_ns = base::clock::unix_nanos();
        for (((record, cold), position), cache) in batch.iter().zip(positions).zip(caches) {
            let uid = self.free_uid(None)?;
            let path = message_path(&mailbox.folder, uid);
            link(&message_path(&from.folder, record.uid), &path, level)?;
            copies.placed.push(path);
            copies.files.add(uid, Origin::File(Bytes::Linked));
            self.header.uid_next = uid.saturating_add(1);
            let new = Record {
                uid,
                flags: carry.flags_of(record),
                modseq,
                keywords: if carry.keywords { translated(record.keywords, names, known) } else { 0 },
                size: record.size,
            };
            let cache_position = cache.map_or(crate::cache::NO_POSITION, |_| position);
            let cold =
                Cold { uid, save_date_ns, created_modseq: modseq, delivery: 0, cache_position, ..*cold };
            copies.operations.push(Operation::Append(new, cold));
            copies.pairs.push((record.uid, uid));
        }
        Ok(())
    }

    fn commit_copies(&mut self, copies: &Copies) -> Result<()> {
        let committed = self.commit(&copies.operations, &copies.files);
        if committed.is_err() && !self.is_in_doubt() {
            copies.remove_files();
        }
        committed
    }

    /// Expunges copies that were made.
    fn take_back(&mut self, copies: &Copies) -> Result<()> {
        let uids: UidSet = copies.pairs.iter().map(|(_, uid)| *uid).collect();
        let taken_back = self.expunge_where(&uids, |_| true);
        if let Err(error) = &taken_back {
            let text = format!(
                "{}: {} messages are here and in another mailbox: {error}",
                self.mailbox.name(),
                copies.pairs.len()
            );
            self.mailbox.shared.log.write(Severity::Error, &text);
        }
        taken_back.map(drop)
    }
}

impl Copies {
    fn remove_files(&self) {
        for path in &self.placed {
            let _ = fs::remove_file(path);
        }
    }
}

/// The names of these bits.
fn named(names: &[String], bits: u64) -> impl Iterator<Item = &String> {
    names.iter().enumerate().filter(move |(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| name)
}

/// Keyword bits of another mailbox as bits of the names that are known here.
fn translated(bits: u64, names: &[String], known: &[String]) -> u64 {
    named(names, bits).fold(0, |sum, name| {
        let bit = known.iter().position(|one| one.eq_ignore_ascii_case(name));
        sum | bit.map_or(0, |bit| 1u64 << bit)
    })
}
