//! Bringing messages into the store: mailboxes are made as the backup tells, batches are transactions, what is there stays as
//! it is.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::sync::Arc;

use message_store::{
    Acl, AnnotateError, Annotations, Complete, Limits, Mailbox, MailboxName, NewAnnotation, NewMessage,
    Rights, SpecialUse, Store, StoreError, UidSet, Wanted,
};

use super::Arguments;
use super::kept::{Kept, LOST, WRONG};
use crate::backup::item::{MailboxItem, MessageItem, Reader, User};
use crate::backup::reader::StreamReader;
use crate::backup::selection::Rename;

/// Messages, and their bytes, of one transaction.
const BATCH_MESSAGES: usize = 100;
const BATCH_BYTES: u64 = 16 << 20;
/// A client that saw changes after the backup asks from a higher number on; it must not miss what is changed from now on
/// (RFC 7162 §3.1.2.1).
const MODSEQ_GAP: u64 = 1_000_000;

/// What came of something.
pub enum Outcome {
    Said(String),
    Restored { name: String, uid: u32, kept_uid: bool },
    WouldRestore(String),
    There(String),
    Failed(String),
}

/// UIDs that are left out when nobody says how many.
const UID_GAP: u32 = 100_000;

/// A mailbox that is being filled.
struct Target {
    /// Its name in the stream.
    source: String,
    name: MailboxName,
    /// Nothing when it would be made, and nothing is written.
    mailbox: Option<Arc<Mailbox>>,
    keeps_uids: bool,
    /// Messages that are there: how many of a guid, and one of them.
    there: HashMap<[u8; 16], (u32, u32)>,
    /// Of the backup.
    uid_next: u32,
    /// What its readers had seen, by the UIDs of the backup.
    seen: Vec<Reader>,
    /// Of these what is here is newer: only messages that come now are made seen.
    visitors: HashSet<String>,
    /// UIDs of the backup and here: of messages that came, and of those that were there.
    came: Vec<(u32, u32)>,
    were_there: Vec<(u32, u32)>,
}

pub struct Bring<'a> {
    store: Store,
    arguments: &'a Arguments,
    renames: Vec<Rename>,
    target: Option<Target>,
    batch: Vec<(Complete, NewMessage, Wanted)>,
    /// Names in the stream, whether others may refer to it, and UIDs there.
    labels: Vec<(String, bool, u32)>,
    batch_bytes: u64,
    /// Where bytes that others refer to are in this store.
    linked: HashMap<[u8; 16], (MailboxName, u32)>,
    user: Option<User>,
}

type Told = Result<Vec<Outcome>, String>;

impl<'a> Bring<'a> {
    pub fn new(store: Store, arguments: &'a Arguments, renames: Vec<Rename>) -> Bring<'a> {
        Bring {
            store,
            arguments,
            renames,
            target: None,
            batch: Vec::new(),
            labels: Vec::new(),
            batch_bytes: 0,
            linked: HashMap::new(),
            user: None,
        }
    }

    fn new_name(&self, name: &str) -> String {
        self.renames.iter().find_map(|rename| rename.apply(name)).unwrap_or_else(|| name.to_owned())
    }

    /// Subscriptions and quota wait for the user's first mailbox.
    pub fn user(&mut self, user: User) {
        self.user = Some(user);
    }

    /// The next messages belong to this mailbox.
    pub fn mailbox(&mut self, item: MailboxItem) -> Told {
        let mut told = self.close()?;
        let new = self.new_name(&item.name);
        match self.open(&item, &new, &mut told) {
            Ok(target) => self.target = Some(target),
            Err(why) => told.push(Outcome::Failed(format!("{}: {why}", base::escape(&new)))),
        }
        self.settle_user(&mut told);
        Ok(told)
    }

    fn open(&self, item: &MailboxItem, new: &str, told: &mut Vec<Outcome>) -> Result<Target, String> {
        let name = MailboxName::parse(new).map_err(|why| why.to_string())?;
        let text = |why: StoreError| why.to_string();
        let exists = self.store.exists(&name).map_err(text)?;
        let mut target = Target {
            source: item.name.clone(),
            name: name.clone(),
            mailbox: None,
            keeps_uids: true,
            there: HashMap::new(),
            uid_next: item.uid_next,
            seen: readers(&item.seen, &name),
            visitors: HashSet::new(),
            came: Vec::new(),
            were_there: Vec::new(),
        };
        if !exists && self.arguments.look {
            told.push(Outcome::Said(format!("would make {name} with UIDVALIDITY {}", item.uid_validity)));
            return Ok(target);
        }
        if !exists {
            let special_use = SpecialUse::parse(&item.special_use);
            let acl = item.acl.as_ref().map(|acl| without_owner(acl, &name));
            self.store
                .create_as(&name, special_use, &item.partition, item.uid_validity, acl)
                .map_err(text)?;
        }
        let mailbox = self.store.open_mailbox(&name).map_err(text)?;
        target.keeps_uids = mailbox.uid_validity() == item.uid_validity;
        if !self.arguments.look {
            let owners = (owner_of(&item.name), name.owner().unwrap_or_default().to_owned());
            let brought = mailbox
                .annotations()
                .map_err(AnnotateError::from)
                .and_then(|there| mailbox.annotate(&missing(&item.annotations, &there, &owners), usize::MAX));
            if let Err(why) = brought {
                told.push(Outcome::Failed(format!("{name}: annotations: {why}")));
            }
        }
        if !exists {
            mailbox.raise_next(1, item.highest_modseq.saturating_add(MODSEQ_GAP)).map_err(text)?;
        }
        let what = match (exists, target.keeps_uids) {
            (false, true) => "made, with UIDVALIDITY and UIDs of the backup",
            (false, false) => "taken up from a folder on disk; messages get new UIDs",
            (true, true) => "there, of the same UIDVALIDITY: UIDs that are not given away are kept",
            (true, false) => "there, of another UIDVALIDITY: messages get new UIDs",
        };
        told.push(Outcome::Said(format!("{name}: {what}")));
        if !self.arguments.ignore {
            target.there = there(&mailbox).map_err(text)?;
        }
        if !target.seen.is_empty() {
            target.visitors = mailbox.visitors().map_err(text)?.into_iter().map(|one| one.uid).collect();
        }
        target.mailbox = Some(mailbox);
        Ok(target)
    }

    fn settle_user(&mut self, told: &mut Vec<Outcome>) {
        let Some(user) = self.user.take().filter(|_| !self.arguments.look) else { return };
        let inbox = self.new_name(&format!("user/{}/INBOX", user.uid));
        let Some(uid) = MailboxName::parse(&inbox).ok().and_then(|name| name.owner().map(str::to_owned))
        else {
            return;
        };
        let settle = || -> Result<(), AnnotateError> {
            self.store.ensure_user(&uid)?;
            let there = self.store.subscriptions(&uid)?;
            for name in user.subscriptions.iter().filter(|name| !there.contains(name)) {
                self.store.subscribe(&uid, name)?;
            }
            let owners = (user.uid.clone(), uid.clone());
            let notes = missing(&user.annotations, &self.store.user_annotations(&uid)?, &owners);
            self.store.annotate_server(&uid, &notes, usize::MAX)?;
            // Only where no limits are known yet: those that are there are newer.
            Ok(self.store.first_limits(&uid, Limits { bytes: user.bytes, messages: user.messages })?)
        };
        if let Err(why) = settle() {
            told.push(Outcome::Failed(format!("{uid}: subscriptions, annotations and quota: {why}")));
        }
    }

    /// A message, whose bytes the reader has next.
    pub fn message<R: Read>(
        &mut self,
        message: MessageItem,
        reader: &mut StreamReader<R>,
        kept: &mut Kept,
    ) -> Told {
        let mut told = Vec::new();
        if self.target.as_ref().is_none_or(|target| target.source != message.mailbox) {
            // The entry of its mailbox is lost, or the mailbox could not be opened.
            let item = MailboxItem {
                name: message.mailbox.clone(),
                partition: message.partition.clone(),
                uid_validity: message.uid_validity,
                acl: Some(Acl::default()), // nobody is given what is not known
                ..MailboxItem::default()
            };
            told = self.mailbox(item)?;
        }
        let label = format!("{}/{}.msg", message.mailbox, message.uid);
        let Some(target) = &mut self.target else {
            told.push(Outcome::Failed(format!("{}: not restored", base::escape(&label))));
            return Ok(told);
        };
        if let Some(uid) = target.take_there(&message) {
            target.were_there.push((message.uid, uid));
            if message.links > 1 {
                self.linked.insert(message.guid, (target.name.clone(), uid));
            }
            kept.note(&message, reader.at());
            told.push(Outcome::There(label));
            return Ok(told);
        }
        let Some(mailbox) = target.mailbox.clone().filter(|_| !self.arguments.look) else {
            told.push(Outcome::WouldRestore(label));
            return Ok(told);
        };
        let complete = match message.by_reference {
            true => self.by_reference(&message, &mailbox, kept, &mut told)?,
            false => from_stream(&message, &mailbox, reader, kept)?,
        };
        match complete {
            Ok(complete) => self.add(complete, message, label, &mut told)?,
            Err(why) => told.push(Outcome::Failed(format!("{}: {why}", base::escape(&label)))),
        }
        Ok(told)
    }

    fn by_reference(
        &mut self,
        message: &MessageItem,
        mailbox: &Arc<Mailbox>,
        kept: &Kept,
        told: &mut Vec<Outcome>,
    ) -> Result<Result<Complete, String>, String> {
        if !self.linked.contains_key(&message.guid) {
            told.extend(self.flush()?); // its bytes may be in the batch
        }
        if let Some((name, uid)) = self.linked.get(&message.guid) {
            let linked = self.store.open_mailbox(name).and_then(|other| mailbox.link_from(&other, *uid));
            match linked {
                Ok(complete) => return Ok(Ok(complete)),
                Err(StoreError::NotFound) => {} // expunged meanwhile
                Err(why) => return Err(format!("{}: {why}", mailbox.name())),
            }
        }
        let text = |why: StoreError| format!("{}: {why}", mailbox.name());
        let mut incoming = mailbox.begin_append().map_err(text)?;
        match kept.copy(&message.guid, &mut incoming) {
            Ok(true) => incoming.complete().map(Ok).map_err(text),
            Ok(false) => Ok(Err(LOST.into())),
            Err(why) => Err(format!("{}: {why}", mailbox.name())),
        }
    }

    fn add(
        &mut self,
        complete: Complete,
        message: MessageItem,
        label: String,
        told: &mut Vec<Outcome>,
    ) -> Result<(), String> {
        let keeps_uids = self.target.as_ref().is_some_and(|target| target.keeps_uids);
        let new = NewMessage {
            flags: message.flags,
            keywords: message.keywords,
            internal_date_ns: message.internal_date_ns,
        };
        let wanted = Wanted { uid: Some(message.uid).filter(|_| keeps_uids), guid: message.guid };
        self.batch.push((complete, new, wanted));
        self.labels.push((label, message.links > 1, message.uid));
        self.batch_bytes += message.size;
        if self.batch.len() >= BATCH_MESSAGES || self.batch_bytes >= BATCH_BYTES {
            told.extend(self.flush()?);
        }
        Ok(())
    }

    /// Commits what has been gathered.
    fn flush(&mut self) -> Told {
        let mut batch = std::mem::take(&mut self.batch);
        let labels = std::mem::take(&mut self.labels);
        self.batch_bytes = 0;
        let Some(target) = self.target.as_mut().filter(|_| !batch.is_empty()) else { return Ok(Vec::new()) };
        let Some(mailbox) = &target.mailbox else { return Ok(Vec::new()) };
        let mut told = Vec::new();
        let mut done = mailbox.restore_all(&batch, self.arguments.within_quota);
        if let Err(StoreError::TooBig(_)) = done {
            // A message is worth more than its keywords.
            told.push(Outcome::Failed(format!(
                "{}: there are too many keywords; messages come without",
                target.name
            )));
            batch.iter_mut().for_each(|(_, new, _)| new.keywords.clear());
            done = mailbox.restore_all(&batch, self.arguments.within_quota);
        }
        let appended = match done {
            Ok(appended) => appended,
            Err(why @ (StoreError::OverQuota | StoreError::Damaged(_))) => {
                let failed = labels.into_iter().map(|(label, ..)| {
                    Outcome::Failed(format!("{}: {}: {why}", base::escape(&label), target.name))
                });
                told.extend(failed);
                return Ok(told);
            }
            Err(why) => return Err(format!("{}: {why}; run it again when that is mended", target.name)),
        };
        for ((one, (label, is_shared, uid)), (_, _, wanted)) in appended.iter().zip(labels).zip(&batch) {
            target.came.push((uid, one.uid));
            if is_shared {
                self.linked.insert(wanted.guid, (target.name.clone(), one.uid));
            }
            told.push(Outcome::Restored { name: label, uid: one.uid, kept_uid: wanted.uid == Some(one.uid) });
        }
        Ok(told)
    }

    /// Nothing more comes for this mailbox.
    fn close(&mut self) -> Told {
        let mut told = self.flush()?;
        let Some(target) = self.target.take().filter(|_| !self.arguments.look) else { return Ok(told) };
        let Some(mailbox) = &target.mailbox else { return Ok(told) };
        for reader in &target.seen {
            if let Err(why) = target.bring_seen(mailbox, reader) {
                let uid = base::escape(&reader.uid);
                told.push(Outcome::Failed(format!("{}: what {uid} has seen: {why}", target.name)));
            }
        }
        if target.keeps_uids {
            let text = |why: StoreError| format!("{}: {why}", target.name);
            let now = mailbox.status().map_err(text)?.uid_next;
            let next = next_uid(target.uid_next, now, self.arguments.uid_gap);
            mailbox.raise_next(next, 0).map_err(text)?;
        }
        Ok(told)
    }

    /// The stream is at its end.
    pub fn finish(&mut self) -> Told {
        let mut told = self.close()?;
        self.settle_user(&mut told);
        Ok(told)
    }
}

/// What the next UID is raised to, where the backup had `backed_up` and the mailbox has `now`. Clients may have seen UIDs that
/// were given away between backup and loss, so those are left out unless the mailbox itself went on since the backup.
fn next_uid(backed_up: u32, now: u32, gap: Option<u32>) -> u32 {
    let gap = match gap {
        Some(gap) => gap,
        None if now > backed_up => 0,
        None => UID_GAP,
    };
    let room = (u32::MAX - backed_up) / 2; // UIDs end, too
    backed_up + gap.min(room)
}

impl Target {
    /// The UID of a message that is there, when it is; it stands for one message of the backup only.
    fn take_there(&mut self, message: &MessageItem) -> Option<u32> {
        let (count, uid) = self.there.get_mut(&message.guid)?;
        *count = count.checked_sub(1)?;
        Some(*uid)
    }

    /// Makes seen what the reader had seen: one change, so that who is killed before has made none. The next run makes good
    /// for it, since the reader was not here meanwhile.
    fn bring_seen(&self, mailbox: &Arc<Mailbox>, reader: &Reader) -> message_store::Result<()> {
        let there = if self.visitors.contains(&reader.uid) { &[][..] } else { &self.were_there[..] };
        let both = self.came.iter().chain(there);
        let mut uids: Vec<u32> =
            both.filter(|(before, _)| reader.seen.contains(*before)).map(|(_, now)| *now).collect();
        uids.sort_unstable();
        let uids = UidSet::from_iter(uids);
        if !uids.is_empty() {
            mailbox.seen_by(&reader.uid)?.change(&uids, true)?;
        }
        Ok(())
    }
}

/// Those who are not the owner, who has no \Seen apart.
fn readers(seen: &[Reader], name: &MailboxName) -> Vec<Reader> {
    seen.iter().filter(|reader| name.owner() != Some(&reader.uid)).cloned().collect()
}

/// The list of a backup for a mailbox that may be another user's now: an owner is not in it.
fn without_owner(acl: &Acl, name: &MailboxName) -> Acl {
    let mut without = acl.clone();
    for (identifier, _) in acl.entries() {
        if name.owner().is_some_and(|owner| identifier.strip_prefix('-').unwrap_or(identifier) == owner) {
            let _ = without.set(identifier, Rights::NONE); // removing has no limit
        }
    }
    without
}

/// Writes the bytes that the stream has next.
fn from_stream<R: Read>(
    message: &MessageItem,
    mailbox: &Arc<Mailbox>,
    reader: &mut StreamReader<R>,
    kept: &mut Kept,
) -> Result<Result<Complete, String>, String> {
    let told = |why: StoreError| format!("{}: {why}; run it again when that is mended", mailbox.name());
    let mut incoming = mailbox.begin_append().map_err(told)?;
    let at = reader.at();
    let (guid, length) =
        reader.content(&mut |piece| incoming.write_all(piece)).map_err(|why| told(why.into()))?;
    if guid != message.guid || length != message.size {
        return Ok(Err(WRONG.into())); // dropped: nothing happened
    }
    kept.note(message, at);
    incoming.complete().map(Ok).map_err(told)
}

/// The annotations of a backup that are not there; `owners`: the owner of the mailbox in the backup, and now.
fn missing(
    backup: &[NewAnnotation],
    there: &Annotations,
    (before, now): &(String, String),
) -> Vec<NewAnnotation> {
    let renamed = |one: &NewAnnotation| {
        let is_owners = !one.owner.is_empty() && one.owner == *before;
        NewAnnotation { owner: if is_owners { now.clone() } else { one.owner.clone() }, ..one.clone() }
    };
    backup.iter().map(renamed).filter(|one| there.get(&one.owner, &one.entry).is_none()).collect()
}

fn owner_of(name: &str) -> String {
    MailboxName::parse(name).ok().and_then(|name| name.owner().map(str::to_owned)).unwrap_or_default()
}

/// What is in a mailbox, by the bytes.
fn there(mailbox: &Mailbox) -> message_store::Result<HashMap<[u8; 16], (u32, u32)>> {
    let reader = mailbox.reader()?;
    let mut there = HashMap::new();
    for slot in (0..reader.slots()).filter(|slot| !reader.record(*slot).is_expunged()) {
        let Ok(cold) = reader.cold(slot) else { continue };
        there.entry(cold.guid).or_insert((0, cold.uid)).0 += 1;
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_that_clients_may_have_seen_are_left_out() {
        assert_eq!(next_uid(10, 8, None), 100_010, "a mailbox that was made");
        assert_eq!(next_uid(10, 10, None), 100_010);
        assert_eq!(next_uid(10, 11, None), 10, "one that went on: what it gave away it knows");
        assert_eq!(next_uid(10, 8, Some(0)), 10);
        assert_eq!(next_uid(10, 20, Some(7)), 17);
        assert!(next_uid(u32::MAX - 10, 1, None) < u32::MAX - 1);
    }
}
