//! Quota roots: `user/<uid>`, with the resources STORAGE and MESSAGE (RFC 9208 §5). What a root may have, what it has.
//!
//! The limits in force are in the root's own record (`usage.rs`). Mail that comes brings what the directory says; when
//! that is something else than it said before, it becomes the limit (S113). In between an administrator may set another
//! limit (S114): the later of the two changes counts.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mailbox_list::MailboxName;
use os::lock::{Mode, OfdLock};

use crate::header::{Header, MAILBOX_DELETED, SUPERSEDED};
use crate::index::Index;
use crate::layout::{INDEX, LOG};
use crate::log::{LOG_HEADER_BYTES, LogHeader, Operation};
use crate::mailbox::{Mailbox, open_lock_file};
use crate::shared::Shared;
use crate::store::{Listed, Store};
use crate::usage::{Record, UsageFile, root_of};
use crate::writer::Change;
use crate::{Flags, Result, Severity, StoreError, folders};

/// What a root may have; nothing is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub bytes: Option<u64>,
    pub messages: Option<u64>,
}

/// What a root has: every link of a message counts, with its full size (S158).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub messages: u64,
}

/// A root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    pub limits: Limits,
    pub usage: Usage,
    /// Since when mail has been over the limits, in seconds since 1970; 0 when it is not.
    pub over_since: i64,
}

/// What becomes of mail that comes to a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// There is room; within these limits, should somebody else be faster.
    Fits(Limits),
    /// Over the limits, but not for longer than the grace period.
    InGrace,
    Full(Limits),
}

/// What `quotacheck` found: what was said, and what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recounted {
    pub said: Usage,
    pub counted: Usage,
    /// Mailboxes that were counted wrong, or are counted and not there.
    pub differences: usize,
    /// Mailboxes in which a change was interrupted, and which are mended and counted now.
    pub mended: usize,
    pub mailboxes: usize,
}

/// What a change has to fit into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Room {
    #[default]
    Unchecked,
    /// The limits of the owner's record.
    OfRecord,
    Within(Limits),
}

impl Limits {
    /// As the directory and the configuration say it: 0 and -1 are unlimited, nothing and -2 are the default's
    /// (mailQuota of NMS 4 and of later versions), and so is what else is negative.
    pub fn of(values: [Option<i64>; 2], defaults: [i64; 2]) -> Limits {
        let limit = |place: usize| match values[place] {
            Some(0 | -1) => None,
            Some(value) if value > 0 => u64::try_from(value).ok(),
            _ => u64::try_from(defaults[place]).ok().filter(|value| *value > 0),
        };
        Limits { bytes: limit(0), messages: limit(1) }
    }

    pub fn is_unlimited(self) -> bool {
        self == Limits::default()
    }

    /// Whether so much is too much.
    pub fn exceeded_by(self, usage: Usage) -> bool {
        self.bytes.is_some_and(|limit| usage.bytes > limit)
            || self.messages.is_some_and(|limit| usage.messages > limit)
    }
}

impl Usage {
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            bytes: self.bytes.saturating_add(other.bytes),
            messages: self.messages.saturating_add(other.messages),
        }
    }

    pub fn of_message(bytes: u64) -> Usage {
        Usage { bytes, messages: 1 }
    }
}

impl Quota {
    /// How full it is, in percent of the resource that is the fullest; nothing when it is unlimited.
    pub fn percent(&self) -> Option<u64> {
        let share = |used: u64, limit: Option<u64>| {
            limit.map(|limit| {
                u64::try_from(u128::from(used) * 100 / u128::from(limit.max(1))).unwrap_or(u64::MAX)
            })
        };
        share(self.usage.bytes, self.limits.bytes).max(share(self.usage.messages, self.limits.messages))
    }
}

pub(crate) fn usage_of(header: &Header) -> Usage {
    Usage { messages: u64::from(header.exists), bytes: header.size_bytes }
}

impl Shared {
    /// Counts a mailbox where it is, under its lock. What goes wrong stops no mail: the mailbox is counted at its next
    /// change.
    pub(crate) fn count_in(
        &self,
        folder: &Path,
        hint: &std::sync::Mutex<Option<PathBuf>>,
        id: u128,
        usage: Usage,
    ) -> Option<Arc<UsageFile>> {
        match self.usages.keep(folder, hint, id, usage) {
            Ok(file) => file,
            Err(error) => {
                let text = format!("{}: it is not counted for the quota: {error}", folder.display());
                self.log.write(Severity::Error, &text);
                None
            }
        }
    }

    /// What a user's partitions say together, and the record.
    fn root(&self, uid: &str) -> Result<(Record, Usage)> {
        let inbox = MailboxName::inbox(uid)?;
        let mut newest = (0, Record::default());
        let mut sum = Usage::default();
        for partition in self.settings.partitions.values() {
            let Some(root) = folders::folder(partition, &inbox) else { continue };
            let Some(file) = self.usages.get(&root, false)? else { continue };
            sum = sum.plus(file.sum());
            if let Some(record) = file.record().filter(|(number, _)| *number > newest.0) {
                newest = record;
            }
        }
        Ok((newest.1, sum))
    }
}

impl Change<'_> {
    /// Whether what is added here fits into the owner's quota.
    ///
    /// # Errors
    /// `OverQuota`.
    pub(crate) fn check_room(&self, operations: &[Operation]) -> Result<()> {
        let added = operations.iter().fold(Usage::default(), |sum, operation| match operation {
            Operation::Append(record, _) => sum.plus(Usage::of_message(u64::from(record.size))),
            _ => sum,
        });
        let Some(file) = &self.usage else { return Ok(()) };
        let fixed = match self.room {
            Room::Unchecked | Room::Within(Limits { bytes: None, messages: None }) => return Ok(()),
            Room::Within(limits) => Some(limits),
            Room::OfRecord => None,
        };
        let (record, usage) = self.mailbox.shared.root(&file.owner)?;
        let limits = fixed.unwrap_or(record.limits);
        let expunged = operations.iter().fold(Usage::default(), |sum, operation| match operation {
            Operation::Expunge(record, _) => sum.plus(Usage::of_message(u64::from(record.size))),
            _ => sum,
        });
        let is_more = added.bytes > expunged.bytes || added.messages > expunged.messages;
        let then = Usage {
            bytes: usage.plus(added).bytes.saturating_sub(expunged.bytes),
            messages: usage.plus(added).messages.saturating_sub(expunged.messages),
        };
        if is_more && limits.exceeded_by(then) { Err(StoreError::OverQuota) } else { Ok(()) }
    }

    /// From here on what is added must fit: into the limits of the owner's record, if the site enforces quotas.
    pub(crate) fn enforce(&mut self) {
        if self.mailbox.shared.settings.enforce_quota {
            self.room = Room::OfRecord;
        }
    }
}

impl Store {
    /// The quota of a user: limits as of the last mail that came, or of SETQUOTA; usage as of now.
    ///
    /// # Errors
    /// `InUse` when it must be counted anew and a mailbox is busy all the time; the system's.
    pub fn quota(&self, uid: &str) -> Result<Quota> {
        self.make_sure_of_usage(uid)?;
        let (record, usage) = self.shared.root(uid)?;
        Ok(Quota { limits: record.limits, usage, over_since: record.over_since })
    }

    /// As [`Store::quota`], without what it may take to count: the limits.
    ///
    /// # Errors
    /// The system's.
    pub fn limits(&self, uid: &str) -> Result<Limits> {
        Ok(self.shared.root(uid)?.0.limits)
    }

    /// Before a client adds something: what the owner of the mailbox has is known, if it matters. It, and the limits.
    ///
    /// # Errors
    /// As [`Store::quota`].
    pub fn room_in(&self, name: &MailboxName) -> Result<Quota> {
        match name.owner().filter(|_| self.shared.settings.enforce_quota) {
            Some(owner) if !self.limits(owner)?.is_unlimited() => self.quota(owner),
            _ => Ok(Quota::default()),
        }
    }

    /// Whether a mailbox, with all below it, fits into what the owner of another name may have.
    ///
    /// # Errors
    /// `OverQuota`; as [`Store::quota`].
    pub fn room_for_tree(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        let room = self.room_in(to)?;
        if room.limits.is_unlimited() {
            return Ok(());
        }
        let mut usage = room.usage;
        // Of an INBOX only its own messages move (RFC 3501 §6.3.5).
        let below = if from.is_inbox() { Vec::new() } else { self.all_below(from)? };
        for name in std::iter::once(from).chain(below.iter().map(|listed| &listed.name)) {
            match self.open_mailbox(name) {
                Err(StoreError::NotFound) => {} // only a level
                mailbox => usage = usage.plus(usage_of(&mailbox?.header()?)),
            }
        }
        if room.limits.exceeded_by(usage) { Err(StoreError::OverQuota) } else { Ok(()) }
    }

    /// The limits of a root that has none yet, since no mail ever came.
    ///
    /// # Errors
    /// The system's.
    pub fn first_limits(&self, uid: &str, directory: Limits) -> Result<()> {
        if self.shared.root(uid)?.0.directory.is_none() && self.exists(&MailboxName::inbox(uid)?)? {
            self.note_directory(uid, directory)?;
        }
        Ok(())
    }

    /// SETQUOTA (RFC 9208 §4.1.3). They last until the directory says something else than it does now.
    ///
    /// # Errors
    /// `NotFound` for a user without an INBOX; the system's.
    pub fn set_limits(&self, uid: &str, limits: Limits, directory: Limits) -> Result<()> {
        let file = self.inbox_file(uid)?;
        self.change_record(&file, |record| {
            record.limits = limits;
            record.directory = Some(directory);
            record.over_since = 0;
        })?;
        Ok(())
    }

    /// Mail of this size comes, and this is what the directory says now.
    ///
    /// # Errors
    /// As [`Store::quota`].
    pub fn mail_comes(&self, uid: &str, directory: Limits, size: u64, grace: Duration) -> Result<Admission> {
        let file = self.inbox_file(uid)?;
        let mut record = file.record().unwrap_or_default().1;
        if record.directory != Some(directory) {
            record = self.note_directory(uid, directory)?;
        }
        let limits = record.limits;
        let is_over = !limits.is_unlimited()
            && limits.exceeded_by(self.quota(uid)?.usage.plus(Usage::of_message(size)));
        if !is_over {
            if record.over_since != 0 {
                self.change_record(&file, |record| record.over_since = 0)?;
            }
            return Ok(Admission::Fits(limits));
        }
        let now = base::clock::unix_seconds();
        if record.over_since == 0 {
            record = self.change_record(&file, |record| {
                if record.over_since == 0 {
                    record.over_since = now;
                }
            })?;
        }
        let is_in_grace =
            now.saturating_sub(record.over_since) < i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        Ok(if is_in_grace { Admission::InGrace } else { Admission::Full(limits) })
    }

    /// As [`Store::mail_comes`] would answer, but nothing is changed: for who asks before there is a message. Without a
    /// root there is room.
    ///
    /// # Errors
    /// As [`Store::quota`].
    pub fn would_fit(&self, uid: &str, directory: Limits, size: u64, grace: Duration) -> Result<bool> {
        let record = self.shared.root(uid)?.0;
        let limits = if record.directory == Some(directory) { record.limits } else { directory };
        if limits.is_unlimited() || record.over_since == 0 && !grace.is_zero() {
            return Ok(true);
        }
        let over_for = base::clock::unix_seconds().saturating_sub(record.over_since);
        if over_for < i64::try_from(grace.as_secs()).unwrap_or(i64::MAX) {
            return Ok(true);
        }
        Ok(!limits.exceeded_by(self.quota(uid)?.usage.plus(Usage::of_message(size))))
    }

    /// Whether the user is to be told that his quota is exceeded; then he counts as told.
    ///
    /// # Errors
    /// The system's.
    pub fn take_notice(&self, uid: &str, interval: Duration) -> Result<bool> {
        let file = self.inbox_file(uid)?;
        let now = base::clock::unix_seconds();
        let interval = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
        let mut is_due = false;
        self.change_record(&file, |record| {
            is_due =
                record.noticed == 0 || now.saturating_sub(record.noticed) >= interval || record.noticed > now;
            if is_due {
                record.noticed = now;
            }
        })?;
        Ok(is_due)
    }

    /// The notice could not be delivered.
    ///
    /// # Errors
    /// The system's.
    pub fn give_notice_back(&self, uid: &str) -> Result<()> {
        let file = self.inbox_file(uid)?;
        self.change_record(&file, |record| record.noticed = 0)?;
        Ok(())
    }

    fn note_directory(&self, uid: &str, directory: Limits) -> Result<Record> {
        let file = self.inbox_file(uid)?;
        self.change_record(&file, |record| {
            if record.directory != Some(directory) {
                record.limits = directory;
                record.directory = Some(directory);
            }
        })
    }

    fn change_record(&self, file: &UsageFile, change: impl FnOnce(&mut Record)) -> Result<Record> {
        Ok(file.change_record(self.shared.settings.sync.quota, change)?)
    }

    /// The file in the partition of the user's INBOX.
    fn inbox_file(&self, uid: &str) -> Result<Arc<UsageFile>> {
        let root = self.folder_of(&MailboxName::inbox(uid)?)?;
        self.shared.usages.get(&root, true)?.ok_or(StoreError::NotFound)
    }

    /// A user's folders, in the partitions that have one.
    fn roots(&self, inbox: &MailboxName) -> Vec<(String, PathBuf)> {
        let partitions = self.shared.settings.partitions.iter();
        partitions
            .filter_map(|(name, path)| Some((name.clone(), folders::folder(path, inbox)?)))
            .filter(|(_, root)| root.is_dir())
            .collect()
    }

    /// What is in somebody's folders is not known any more: it is counted when it is asked for.
    pub(crate) fn distrust_usage(&self, name: &MailboxName) {
        let Some(inbox) = name.owner().and_then(|owner| MailboxName::inbox(owner).ok()) else { return };
        for (_, root) in self.roots(&inbox) {
            self.shared.usages.forget(&root);
            if let Ok(Some(file)) = self.shared.usages.get(&root, false) {
                file.set_boot(0);
            }
        }
    }

    /// These mailboxes are in a user's folders no more.
    pub(crate) fn release_usage(&self, owner: Option<&str>, ids: impl Iterator<Item = u128> + Clone) {
        let Some(inbox) = owner.and_then(|owner| MailboxName::inbox(owner).ok()) else { return };
        for (_, root) in self.roots(&inbox) {
            let Ok(Some(file)) = self.shared.usages.get(&root, false) else { continue };
            for id in ids.clone() {
                if let Err(error) = file.release(id) {
                    file.set_boot(0);
                    self.shared.log.write(Severity::Error, &format!("{inbox}: quota: {error}"));
                }
            }
        }
    }

    /// Mailboxes have come from one user to another: those in the new place have no writer there yet that would count them.
    pub(crate) fn move_usage(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        let is_within = from.owner() == to.owner();
        if is_within || from.is_inbox() && to.is_inbox() {
            return Ok(()); // the slots are the mailboxes' own, and the file moved with its folder
        }
        let mut moved = self.all_below(to)?;
        moved.extend(
            self.list(to.as_str(), None, 1)?.into_iter().filter(|one| one.name == *to && one.selectable),
        );
        for one in &moved {
            let lock_file =
                match self.folder_in(&one.partition, &one.name).map(|folder| open_lock_file(&folder)) {
                    Ok(Ok(file)) => file,
                    _ => continue,
                };
            let _lock = OfdLock::acquire(&lock_file, 0, Mode::Exclusive, self.shared.settings.lock_timeout)?;
            self.release_usage(from.owner(), std::iter::once(one.id));
        }
        self.distrust_usage(to);
        Ok(())
    }

    /// Counts when it is not known that every slot is right: stored was started since, or the file is new.
    fn make_sure_of_usage(&self, uid: &str) -> Result<()> {
        let inbox = MailboxName::inbox(uid)?;
        let Some(entry) = self.find(&inbox)? else { return Ok(()) };
        let boot = self.shared.boot();
        for (name, partition) in &self.shared.settings.partitions {
            let Some(root) = folders::folder(partition, &inbox) else { continue };
            let file = self.shared.usages.get(&root, false)?;
            let is_known = match &file {
                Some(file) => file.boot() == boot,
                None => *name != entry.partition && !root.is_dir(),
            };
            if !is_known {
                return self.recount(uid).map(drop);
            }
        }
        Ok(())
    }

    /// Counts every mailbox of a user, and sets right what was said wrong.
    ///
    /// # Errors
    /// `InUse` when a mailbox is busy all the time; damage that cannot be mended; the system's.
    pub fn recount(&self, uid: &str) -> Result<Recounted> {
        let inbox = MailboxName::inbox(uid)?;
        let _lock = self.lock_trees(&[&inbox])?;
        let boot = self.shared.boot();
        let mut listed = self.all_below(&inbox)?;
        listed.extend(
            self.list(inbox.as_str(), None, 1)?.into_iter().filter(|one| one.name == inbox && one.selectable),
        );
        let mut done =
            Recounted { said: self.shared.root(uid)?.1, mailboxes: listed.len(), ..Recounted::default() };
        for (partition, root) in self.roots(&inbox) {
            let Some(file) = self.shared.usages.get(&root, true)? else { continue };
            let here: HashSet<u128> =
                listed.iter().filter(|one| one.partition == partition).map(|one| one.id).collect();
            done.differences += file.retain(|id| here.contains(&id))?;
            for one in listed.iter().filter(|one| one.partition == partition) {
                self.count_one(one, &file, &mut done)?;
            }
            file.set_boot(boot);
        }
        done.counted = self.shared.root(uid)?.1;
        Ok(done)
    }

    fn count_one(&self, listed: &Listed, file: &UsageFile, done: &mut Recounted) -> Result<()> {
        let folder = self.folder_in(&listed.partition, &listed.name)?;
        if let Some(is_right) = self.count_quickly(&folder, listed.id, file)? {
            done.differences += usize::from(!is_right);
            return Ok(());
        }
        // It has to be mended first; whoever takes its lock counts it.
        done.mended += 1;
        let opened = self.open_listed(&listed.name, &listed.partition, listed.id);
        match opened.and_then(|mailbox| mailbox.write().map(drop)) {
            Err(StoreError::NotFound) => Ok(file.release(listed.id)?),
            other => other,
        }
    }

    /// From the header, if that is whole and the log has nothing that it does not know. Whether the slot was right.
    fn count_quickly(&self, folder: &Path, id: u128, file: &UsageFile) -> Result<Option<bool>> {
        let lock_file = match open_lock_file(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let _lock = OfdLock::acquire(&lock_file, 0, Mode::Exclusive, self.shared.settings.lock_timeout)?;
        let Ok(index) = Index::open(&folder.join(INDEX)) else { return Ok(None) };
        let (true, Some(header)) = index.header_locked() else { return Ok(None) };
        if header.id != id
            || header.has(SUPERSEDED)
            || header.has(MAILBOX_DELETED)
            || !is_applied(folder, &header)
        {
            return Ok(None);
        }
        let is_right = file.get(id).unwrap_or_default() == usage_of(&header);
        let hint = std::sync::Mutex::new(root_of(folder));
        self.shared.count_in(folder, &hint, id, usage_of(&header));
        Ok(Some(is_right))
    }
}

/// Whether the log is the header's and has nothing behind what was applied.
fn is_applied(folder: &Path, header: &Header) -> bool {
    let Ok(file) = File::open(folder.join(LOG)) else { return false };
    let mut bytes = [0; LOG_HEADER_BYTES as usize];
    let log = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| LogHeader::decode(&bytes));
    log.is_some_and(|log| log.id == header.id && log.generation == header.log_generation)
        && file.metadata().is_ok_and(|meta| meta.len() == header.log_applied)
}

impl Mailbox {
    /// Bytes of the messages with \Deleted (DELETED-STORAGE, RFC 9208 §4.1.4): they are looked at only when there are any.
    ///
    /// # Errors
    /// As [`Mailbox::status`].
    pub fn deleted_bytes(&self) -> Result<u64> {
        if self.status()?.deleted == 0 {
            return Ok(0);
        }
        let reader = self.reader()?;
        let records = (0..reader.slots()).map(|slot| reader.record(slot));
        let deleted = records.filter(|one| !one.is_expunged() && one.flags.contains(Flags::DELETED));
        Ok(deleted.map(|one| u64::from(one.size)).sum())
    }

    /// Whether messages that come here and go from `from` stay within one root.
    pub(crate) fn has_root_of(&self, from: &Mailbox) -> bool {
        self.name().owner().is_some() && self.name().owner() == from.name().owner()
    }
}

/// Where a folder's user is, for who makes the folder's files.
pub(crate) fn hint_of(folder: &Path) -> std::sync::Mutex<Option<PathBuf>> {
    let real = if folder.starts_with("/proc/self/fd") {
        fs::read_link(folder).ok()
    } else {
        Some(folder.to_owned())
    };
    std::sync::Mutex::new(real.and_then(|folder| root_of(&folder)))
}
