//! One folder: what is new comes, what changed at the source changes here, then both are compared.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use message_store::{
    FlagChange, Flags, How, Mailbox, MailboxName, NewMessage, SpecialUse, Store, StoreError, UidSet, Wanted,
};

use super::compare;
use super::progress::Progress;
use super::report::Report;
use super::source::{Folder, Listing, Marks, Message, Source, Trouble};
use super::state::{Known, State};
use super::taker::{Taken, Taker};

/// Messages of one transaction, and their bytes.
const BATCH_MESSAGES: usize = 100;
const BATCH_BYTES: u64 = 16 << 20;
/// What the modification sequence numbers of a mailbox with the source's UIDVALIDITY begin behind, so that a client which saw
/// the source's asks for none that it takes for old: more than the source's own, or than any server counts up to.
const MODSEQ_GAP: u64 = 1_000_000;
const MODSEQ_UNKNOWN: u64 = 1 << 40;
/// Keywords that a mailbox can have, and bytes of one (docs/formats/store.md).
const KEYWORDS_MAX: usize = 64;
const KEYWORD_BYTES_MAX: usize = 63;

/// What is the same for all folders of a run.
pub struct Run<'a> {
    pub store: &'a Store,
    pub state_folder: std::path::PathBuf,
    /// Change nothing.
    pub look: bool,
    /// Expunge what the source has no more.
    pub expunge: bool,
    pub uid_gap: u32,
    pub progress: &'a Progress,
}

/// One folder on its way into one mailbox.
pub struct Sync<'a> {
    run: &'a Run<'a>,
    mailbox: Arc<Mailbox>,
    state: State,
    listing: Listing,
    keeps_uids: bool,
    /// By number of the keyword: whether it fits.
    fits: Vec<bool>,
    report: &'a mut Report,
}

/// The mailbox that a folder becomes.
pub struct Target<'a> {
    pub name: MailboxName,
    pub partition: &'a str,
    pub special_use: Option<SpecialUse>,
    /// What names the folder of the source.
    pub source: String,
}

/// Brings one folder over.
///
/// # Errors
/// Nothing can go on. What is wrong with this folder is in the report.
pub fn bring(
    run: &Run<'_>,
    source: &mut dyn Source,
    folder: &Folder,
    target: &Target<'_>,
    report: &mut Report,
) -> Result<(), String> {
    let mut listing = match source.list(folder) {
        Ok(listing) => listing,
        Err(why) => {
            report.fail(why);
            return Ok(());
        }
    };
    run.progress.expect(listing.messages.len() as i64 - folder.estimate as i64);
    listing.complaints.drain(..).for_each(|complaint| report.fail(complaint));
    let Some(mailbox) = open(run, target, &listing, report)? else {
        report.missing += listing.messages.len() as u64; // would be made
        return Ok(());
    };
    let identity = format!("{} {}", target.source, listing.uid_validity.unwrap_or(0));
    let state = match State::open(&run.state_folder, &mailbox, &identity, &mut listing.keywords, run.look) {
        Ok(state) => state,
        Err(why) => {
            report.fail(why);
            return Ok(());
        }
    };
    let keeps_uids = listing.uid_validity == Some(mailbox.uid_validity());
    let fits = keywords_that_fit(&mailbox, &listing, report);
    let mut sync = Sync { run, mailbox, state, listing, keeps_uids, fits, report };
    sync.all(source, folder)
}

/// The mailbox, made if need be; nothing when it would be made.
fn open(
    run: &Run<'_>,
    target: &Target<'_>,
    listing: &Listing,
    report: &mut Report,
) -> Result<Option<Arc<Mailbox>>, String> {
    let told = |why: StoreError| format!("{}: {why}", target.name);
    if !run.store.exists(&target.name).map_err(told)? {
        if run.look {
            return Ok(None);
        }
        let uid_validity = listing.uid_validity.unwrap_or(0);
        run.store
            .create_as(&target.name, target.special_use, target.partition, uid_validity, None)
            .map_err(told)?;
        report.made += 1;
        let mailbox = run.store.open_mailbox(&target.name).map_err(told)?;
        if listing.uid_validity.is_some() {
            let modseq = match listing.highest_modseq {
                0 => MODSEQ_UNKNOWN,
                known => known.saturating_add(MODSEQ_GAP),
            };
            mailbox.raise_next(1, modseq.min(i64::MAX as u64 / 2)).map_err(told)?;
        }
        return Ok(Some(mailbox));
    }
    run.store.open_mailbox(&target.name).map(Some).map_err(told)
}

/// Which keywords a mailbox can still have: well formed, and not more than it has room for.
fn keywords_that_fit(mailbox: &Mailbox, listing: &Listing, report: &mut Report) -> Vec<bool> {
    let known = mailbox.keywords();
    let mut room = KEYWORDS_MAX.saturating_sub(known.len());
    let used: HashSet<u16> =
        listing.messages.iter().flat_map(|message| message.marks.keywords.iter().copied()).collect();
    if listing.keywords.overflow {
        report.differ("there are too many different keywords; some are left out");
    }
    let mut fits = Vec::new();
    for (number, name) in listing.keywords.names.iter().enumerate() {
        let is_used = u16::try_from(number).is_ok_and(|number| used.contains(&number));
        let is_legal = !name.is_empty()
            && name.len() <= KEYWORD_BYTES_MAX
            && !name.starts_with('\\')
            && name.bytes().all(imap_wire::words::is_atom_char);
        let is_known = known.iter().any(|one| one.eq_ignore_ascii_case(name));
        let has_room = is_known || room > 0;
        fits.push(is_legal && has_room);
        if is_used && is_legal && !is_known && room > 0 {
            room -= 1;
        }
        if is_used && !(is_legal && has_room) {
            let why = if is_legal { "a mailbox has 64 at most" } else { "it is no keyword" };
            report.differ(&format!("the keyword {} is left out: {why}", base::escape(name)));
        }
    }
    fits
}

impl Sync<'_> {
    fn all(&mut self, source: &mut dyn Source, folder: &Folder) -> Result<(), String> {
        let known = &self.state.known;
        let (old, new): (Vec<usize>, Vec<usize>) = (0..self.listing.messages.len())
            .partition(|index| known.contains_key(&self.listing.messages[*index].key));
        self.run.progress.pass(old.len() as u64);
        if self.run.look {
            self.report.missing += new.len() as u64;
        } else {
            self.take(source, folder, &new)?;
            self.update_flags()?;
        }
        self.gone()?;
        compare::compare(&self.mailbox, &self.listing, &self.state, &self.fits, self.report)?;
        if self.run.look {
            return Ok(());
        }
        self.state.sync().map_err(noted)?;
        if self.keeps_uids {
            let last = self.listing.messages.iter().filter_map(|message| message.uid).max().unwrap_or(0);
            let next = self.listing.uid_next.max(last.saturating_add(1)).min(u32::MAX / 2);
            self.mailbox
                .raise_next(next.saturating_add(self.run.uid_gap), 0)
                .map_err(|why| self.told(&why))?;
        }
        Ok(())
    }

    fn told(&self, why: &StoreError) -> String {
        format!("{}: {why}; run it again when that is mended", self.mailbox.name())
    }

    /// Messages that no note tells of. One whose bytes are in the mailbox, where nothing stands for it yet, is that one.
    fn take(&mut self, source: &mut dyn Source, folder: &Folder, new: &[usize]) -> Result<(), String> {
        if new.is_empty() {
            return Ok(());
        }
        let mut unclaimed = self.unclaimed().map_err(|why| self.told(&why))?;
        let mut rest = new;
        while !rest.is_empty() {
            let mut bytes = 0u64;
            let fits = |index: &&usize| {
                bytes = bytes.saturating_add(self.listing.messages[**index].size);
                bytes <= BATCH_BYTES
            };
            let count = rest.iter().take(BATCH_MESSAGES).take_while(fits).count().max(1);
            let (batch, others) = rest.split_at(count);
            rest = others;
            let mailbox = Arc::clone(&self.mailbox);
            let mut taker = Taker::new(&mailbox);
            let done = source.read(folder, &self.listing, batch, &mut taker);
            if let Some(why) = &taker.broken {
                return Err(self.told(why));
            }
            for (index, why) in taker.failed.drain(..) {
                self.report.fail(format!("{}: {why}", self.place(index)));
            }
            let taken = std::mem::take(&mut taker.taken);
            self.commit(taken, &mut unclaimed)?;
            self.run.progress.pass(batch.len() as u64);
            match done {
                Ok(()) => {}
                Err(Trouble::Store(why)) => return Err(why),
                Err(Trouble::Source(why)) => {
                    self.report.fail(format!("{why}; {} messages were not read", rest.len()));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Where a message is, for who looks for it.
    fn place(&self, index: usize) -> String {
        compare::place(&self.listing.messages[index])
    }

    /// UIDs of messages here that nothing of the source stands for, by their bytes; the lowest last.
    fn unclaimed(&self) -> Result<HashMap<[u8; 16], Vec<u32>>, StoreError> {
        let claimed: HashSet<u32> = self.state.known.values().map(|known| known.uid).collect();
        let reader = self.mailbox.reader()?;
        let mut found: HashMap<[u8; 16], Vec<u32>> = HashMap::new();
        for slot in (0..reader.slots()).rev().filter(|slot| !reader.record(*slot).is_expunged()) {
            let Ok(cold) = reader.cold(slot) else { continue };
            if !claimed.contains(&cold.uid) {
                found.entry(cold.guid).or_default().push(cold.uid);
            }
        }
        Ok(found)
    }

    fn commit(
        &mut self,
        mut taken: Vec<Taken>,
        unclaimed: &mut HashMap<[u8; 16], Vec<u32>>,
    ) -> Result<(), String> {
        taken.sort_by_key(|one| one.index);
        let mut coming = Vec::new();
        let mut indexes = Vec::new();
        let mut bytes = 0;
        for Taken { index, complete, guid, size } in taken {
            if let Some(uid) = unclaimed.get_mut(&guid).and_then(Vec::pop) {
                self.claim(index, uid)?;
                continue; // its file goes
            }
            let message = &self.listing.messages[index];
            let new = NewMessage {
                flags: message.marks.flags & Flags::SYSTEM,
                keywords: self.names(&message.marks),
                internal_date_ns: message.date.saturating_mul(1_000_000_000),
            };
            let uid = message.uid.filter(|_| self.keeps_uids);
            coming.push((complete, new, Wanted { uid, guid }));
            indexes.push(index);
            bytes += size;
        }
        if coming.is_empty() {
            return self.state.flush().map_err(noted);
        }
        let before = self.mailbox.status().map_err(|why| self.told(&why))?.uid_next;
        let mut done = self.mailbox.restore_all(&coming, false);
        if matches!(done, Err(StoreError::TooBig(_))) {
            // Others made keywords meanwhile; a message is worth more than its keywords.
            coming.iter_mut().for_each(|(_, new, _)| new.keywords.clear());
            done = self.mailbox.restore_all(&coming, false);
        }
        let appended = done.map_err(|why| self.told(&why))?;
        let reader = self.mailbox.reader().map_err(|why| self.told(&why))?;
        for (one, index) in appended.iter().zip(&indexes) {
            let message = self.listing.messages[*index].clone();
            let modseq = reader.slot_of(one.uid).map_or(0, |slot| reader.record(slot).modseq);
            self.note_uid(&message, one.uid, before);
            let known = Known { uid: one.uid, modseq, marks: message.marks };
            self.state.set(&message.key, known, &self.listing.keywords).map_err(noted)?;
        }
        self.state.flush().map_err(noted)?;
        self.report.taken += appended.len() as u64;
        self.run.progress.take(appended.len() as u64, bytes);
        Ok(())
    }

    /// Counts kept UIDs; one that means another message here is told, for a client may take the one for the other.
    fn note_uid(&mut self, message: &Message, uid: u32, next_before: u32) {
        let Some(wanted) = message.uid else { return };
        if wanted == uid {
            self.report.kept_uids += 1;
            return;
        }
        let is_others = self.keeps_uids
            && wanted < next_before
            && self.mailbox.reader().is_ok_and(|reader| reader.slot_of(wanted).is_ok());
        if is_others {
            let text = format!(
                "{}: its UID was given to mail that came here; it has the UID {uid} now (see --uid-gap)",
                compare::place(message)
            );
            self.report.differ(&text);
        }
    }

    /// The message here is the source's: its flags are taken over as a change of the source.
    fn claim(&mut self, index: usize, uid: u32) -> Result<(), String> {
        let reader = self.mailbox.reader().map_err(|why| self.told(&why))?;
        let Ok(slot) = reader.slot_of(uid) else { return Ok(()) };
        let record = reader.record(slot);
        let names = self.mailbox.keywords();
        let marks = compare::marks_of(&record, &names, &mut self.listing.keywords);
        self.fits.resize(self.listing.keywords.names.len(), true); // it has them
        let key = self.listing.messages[index].key.clone();
        let known = Known { uid, modseq: record.modseq, marks };
        self.state.set(&key, known, &self.listing.keywords).map_err(noted)?;
        self.report.recognised += 1;
        Ok(())
    }

    fn names(&self, marks: &Marks) -> Vec<String> {
        let fitting = marks
            .keywords
            .iter()
            .map(|one| usize::from(*one))
            .filter(|one| self.fits.get(*one) == Some(&true));
        fitting.filter_map(|one| self.listing.keywords.names.get(one).cloned()).collect()
    }

    /// What the source changed since the last run changes here; what was changed here and not there stays.
    fn update_flags(&mut self) -> Result<(), String> {
        let reader = self.mailbox.reader().map_err(|why| self.told(&why))?;
        let mut changes: HashMap<(Marks, Marks), Vec<(u32, usize)>> = HashMap::new();
        let mut changed_here: HashSet<u32> = HashSet::new();
        for (index, message) in self.listing.messages.iter().enumerate() {
            let Some(known) = self.state.known.get(&message.key) else { continue };
            if known.marks != message.marks {
                let change = (message.marks.without(&known.marks), known.marks.without(&message.marks));
                changes.entry(change).or_default().push((known.uid, index));
                let now = reader.slot_of(known.uid).map_or(0, |slot| reader.record(slot).modseq);
                if now > known.modseq {
                    changed_here.insert(known.uid);
                }
            }
        }
        for ((add, remove), mut messages) in changes {
            messages.sort_unstable();
            let mut uids = UidSet::new();
            messages.iter().for_each(|(uid, _)| uids.push(*uid));
            let mut modseq = 0;
            for (how, marks) in [(How::Add, &add), (How::Remove, &remove)] {
                let keywords = self.names(marks);
                if marks.is_empty() {
                    continue;
                }
                let change = FlagChange { how, flags: marks.flags, keywords: &keywords };
                let result = self.mailbox.change_flags(&uids, change, None).map_err(|why| self.told(&why))?;
                if !result.changed.is_empty() {
                    modseq = result.modseq;
                }
            }
            self.report.flags_changed += messages.len() as u64;
            self.note_changes(&messages, modseq, &changed_here)?;
        }
        self.state.flush().map_err(noted)
    }

    fn note_changes(
        &mut self,
        messages: &[(u32, usize)],
        modseq: u64,
        changed_here: &HashSet<u32>,
    ) -> Result<(), String> {
        for (uid, index) in messages {
            let message = self.listing.messages[*index].clone();
            let before = self.state.known.get(&message.key).map_or(0, |known| known.modseq);
            let modseq = if changed_here.contains(uid) { before } else { modseq.max(before) };
            let known = Known { uid: *uid, modseq, marks: message.marks };
            self.state.set(&message.key, known, &self.listing.keywords).map_err(noted)?;
        }
        Ok(())
    }

    /// What came once and the source has no more.
    fn gone(&mut self) -> Result<(), String> {
        let keys: HashSet<&str> = self.listing.messages.iter().map(|message| message.key.as_str()).collect();
        let gone: Vec<(String, Known)> = self
            .state
            .known
            .iter()
            .filter(|(key, _)| !keys.contains(key.as_str()))
            .map(|(key, known)| (key.clone(), known.clone()))
            .collect();
        if !self.run.expunge || self.run.look {
            self.report.gone += gone.len() as u64;
            return Ok(());
        }
        let mut uids: Vec<u32> = gone.iter().map(|(_, known)| known.uid).collect();
        uids.sort_unstable();
        let modseqs: HashMap<u32, u64> = gone.iter().map(|(_, known)| (known.uid, known.modseq)).collect();
        let mut set = UidSet::new();
        uids.iter().for_each(|uid| set.push(*uid));
        // What somebody touched here since is wanted here.
        let untouched = |record: &message_store::Record| modseqs.get(&record.uid) == Some(&record.modseq);
        let expunged = self.mailbox.remove_where(&set, untouched).map_err(|why| self.told(&why))?;
        self.report.expunged += expunged.len() as u64;
        let expunged: HashSet<u32> = expunged.into_iter().collect();
        for (key, known) in gone {
            if expunged.contains(&known.uid) {
                self.state.forget(&key).map_err(noted)?;
            } else {
                self.report.gone += 1;
            }
        }
        self.state.flush().map_err(noted)
    }
}

fn noted(why: io::Error) -> String {
    format!("the notes of what came: {why}")
}
