//! Bringing an account up to date.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use message_store::{Annotations, Flags, Listed, Mailbox, MailboxName, Record, Rights, Store, StoreError};

use super::boxes::Apart;
use super::{Email, Inner, MailboxView, NONE, Places, Row};
use crate::Jmap;
use crate::error::Result;
use crate::shares::Scope;

/// Names that are read from the list at once.
const PAGE: usize = 500;
/// Mailboxes of an account; what is beyond is not seen.
pub const MAILBOXES_MAX: usize = 20_000;

/// Mailboxes that are deleted and remembered, and emails of each.
const GRAVES_MAX: usize = 16;
const GRAVE_EMAILS_MAX: usize = 20_000;

/// What was in a mailbox when it was looked at last.
pub struct Grave {
    pub mailbox: u64,
    pub modseq: u64,
    pub emails: Vec<[u8; 16]>,
}

/// A mailbox of the list, and what the user has beside it.
pub struct ListedFor {
    pub listed: Listed,
    pub rights: Rights,
    pub is_subscribed: bool,
    pub sort_order: u32,
}

/// The id of a level that only stands above others, which has none in the store: that of its name.
fn level_id(name: &MailboxName) -> u128 {
    let digest = openssl::sha::sha256(format!("level\0{name}").as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(id)
}

/// The annotation, of the user's own beside the server, in which a mailbox's sortOrder is kept.
pub fn sort_order_entry(id: u128) -> String {
    format!("/private/vendor/mailboat/sortorder/{id:032x}")
}

fn sort_order(noted: &Annotations, uid: &str, id: u128) -> u32 {
    let value = noted.get(uid, &sort_order_entry(id));
    value.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0)
}

/// The mailboxes of an account.
///
/// # Errors
/// The store's.
pub fn listed(jmap: &Jmap, scope: Scope<'_>) -> Result<Vec<ListedFor>> {
    let who = scope.who;
    jmap.ensure(who)?;
    if !scope.is_own() {
        return given(jmap, scope);
    }
    let prefix = scope.prefix();
    let mut subscribed = jmap.store.subscriptions(&who.uid)?;
    subscribed.sort_unstable();
    let (noted, uid) = (jmap.store.user_annotations(&who.uid)?, &who.uid);
    let mut all: Vec<ListedFor> = Vec::new();
    loop {
        let after = all.last().map(|one| &one.listed.name);
        let page = jmap.store.list(&prefix, after, PAGE)?;
        let is_last = page.len() < PAGE;
        all.extend(page.into_iter().map(|mut listed| {
            if !listed.selectable {
                listed.id = level_id(&listed.name);
            }
            let own = own_name(&listed.name, &prefix);
            let is_subscribed =
                listed.name.is_inbox() || subscribed.binary_search_by(|one| one.as_str().cmp(own)).is_ok();
            let sort_order = sort_order(&noted, uid, listed.id);
            ListedFor { rights: Rights::ALL, is_subscribed, sort_order, listed }
        }));
        if is_last || all.len() >= MAILBOXES_MAX {
            break;
        }
    }
    all.truncate(MAILBOXES_MAX);
    Ok(all)
}

/// Those of another owner, or of nobody.
fn given(jmap: &Jmap, scope: Scope<'_>) -> Result<Vec<ListedFor>> {
    let uid = &scope.who.uid;
    let (subscribed, noted) = (jmap.store.subscriptions(uid)?, jmap.store.user_annotations(uid)?);
    let given = jmap.given_of(scope.who, scope.owner)?;
    let one = |given: crate::shares::Given| ListedFor {
        is_subscribed: subscribed.contains(&scope.subscription(&given.listed.name)),
        sort_order: sort_order(&noted, uid, given.listed.id),
        rights: given.rights,
        listed: given.listed,
    };
    Ok(given.into_iter().take(MAILBOXES_MAX).map(one).collect())
}

/// As the owner calls it; subscriptions are by these.
pub fn own_name<'n>(name: &'n MailboxName, prefix: &str) -> &'n str {
    name.as_str().strip_prefix(prefix).unwrap_or(name.as_str())
}

impl Inner {
    /// Whether the list is the same and no mailbox changed.
    pub(super) fn is_current(&self, listed: &[ListedFor]) -> bool {
        let known = self.mailboxes().count();
        known == listed.len()
            && listed.iter().all(|one| {
                let Some((_, view)) = self.mailbox_of(one.listed.id) else { return false };
                view.is_as_listed(one) && view.is_unchanged()
            })
    }

    /// # Errors
    /// The store's; what was read until then stays.
    pub(super) fn refresh(&mut self, jmap: &Jmap, scope: Scope<'_>, listed: Vec<ListedFor>) -> Result<()> {
        let mut changed: Vec<u32> = Vec::new();
        let mut is_other = false;
        let there: BTreeSet<u128> = listed.iter().map(|one| one.listed.id).collect();
        let lost: Vec<(u128, u16)> =
            self.box_numbers.iter().filter(|(id, _)| !there.contains(id)).map(|(id, n)| (*id, *n)).collect();
        for (id, number) in lost {
            self.bury(number);
            self.empty(number, &mut changed);
            self.boxes[usize::from(number)] = None;
            self.box_numbers.remove(&id);
            self.epoch += 1;
            is_other = true;
        }
        for one in listed {
            match self.look_at(&jmap.store, scope, one, &mut changed) {
                Ok(other) => is_other |= other,
                Err(StoreError::NotFound) => {} // deleted this moment: the next look misses it in the list
                Err(error) => return Err(error.into()),
            }
        }
        changed.sort_unstable();
        changed.dedup();
        if changed.is_empty() && !is_other {
            return Ok(());
        }
        self.gone = self.emails.iter().filter(|email| email.places.is_empty()).count();
        self.note_threads(&changed);
        self.version += 1;
        self.changes.note(self.version, &changed);
        if self.gone > 1000 && self.gone > self.emails.len() / 2 {
            self.pack();
        }
        Ok(())
    }

    /// One mailbox; whether something about it other than its messages is new.
    fn look_at(
        &mut self,
        store: &Store,
        scope: Scope<'_>,
        one: ListedFor,
        changed: &mut Vec<u32>,
    ) -> std::result::Result<bool, StoreError> {
        let id = one.listed.id;
        let number = match self.box_numbers.get(&id) {
            Some(number) => *number,
            None => {
                let selectable = one.listed.selectable;
                let mailbox = selectable.then(|| store.open_mailbox(&one.listed.name)).transpose()?;
                let apart = mailbox.as_ref().filter(|_| !scope.is_own());
                let apart = apart.map(|mailbox| apart_of(mailbox, &scope.who.uid)).transpose()?;
                let Some(number) = self.free_number() else { return Ok(false) };
                self.boxes[usize::from(number)] = Some(MailboxView::new(mailbox, apart, one));
                self.box_numbers.insert(id, number);
                self.read_all(number, changed)?;
                return Ok(true);
            }
        };
        let Some(view) = self.boxes[usize::from(number)].as_mut() else { return Ok(false) };
        let is_other = !view.is_as_listed(&one);
        if is_other {
            if let Some(mailbox) = &view.mailbox {
                store.follow_name(mailbox)?;
            }
            let could_read = view.is_readable();
            (view.listed, view.rights) = (one.listed, one.rights);
            (view.is_subscribed, view.sort_order) = (one.is_subscribed, one.sort_order);
            if view.is_readable() != could_read {
                self.turn(number, changed)?;
                return Ok(true);
            }
        }
        if !view.is_unchanged() {
            self.read_changes(number, changed)?;
        }
        Ok(is_other)
    }

    /// The user may read a mailbox now, or not any more.
    fn turn(&mut self, number: u16, changed: &mut Vec<u32>) -> std::result::Result<(), StoreError> {
        if self.mailbox(number).is_some_and(MailboxView::is_readable) {
            return self.read_all(number, changed);
        }
        self.bury(number);
        self.empty(number, changed);
        let Some(view) = self.boxes[usize::from(number)].as_mut() else { return Ok(()) };
        view.there = 0;
        view.deleted.clear();
        Ok(())
    }

    fn free_number(&mut self) -> Option<u16> {
        let free = self.boxes.iter().position(Option::is_none).unwrap_or(self.boxes.len());
        if free == self.boxes.len() {
            self.boxes.push(None);
        }
        u16::try_from(free).ok()
    }

    /// Everything of a mailbox, which has no rows.
    fn read_all(&mut self, number: u16, changed: &mut Vec<u32>) -> std::result::Result<(), StoreError> {
        let Some(view) = self.boxes[usize::from(number)].as_mut() else { return Ok(()) };
        let Some(mailbox) = &view.mailbox else { return Ok(()) };
        let reader = mailbox.reader()?;
        view.generation = reader.generation();
        view.rows = Vec::with_capacity(reader.slots() as usize);
        view.highest_modseq = 0;
        view.deleted.clear();
        self.read_changes(number, changed)
    }

    /// Records with a higher modification sequence than is known, and new ones.
    fn read_changes(&mut self, number: u16, changed: &mut Vec<u32>) -> std::result::Result<(), StoreError> {
        let Some(view) = self.boxes[usize::from(number)].as_mut() else { return Ok(()) };
        let Some(mailbox) = view.mailbox.clone() else { return Ok(()) };
        // What happens from here on is read, or not, and looked at again the next time.
        let status = mailbox.status()?;
        if let Some(apart) = &mut view.apart {
            apart.table = apart.by.table()?;
        }
        view.raw_modseq = (status.highest_modseq, status.forgotten_modseq);
        let highest = match &view.apart {
            Some(apart) => apart.table.highest(status.highest_modseq),
            None => status.highest_modseq,
        };
        if !view.is_readable() {
            (view.highest_modseq, view.forgotten_modseq) = (highest, highest);
            return Ok(());
        }
        let reader = mailbox.reader()?;
        if reader.generation() != view.generation {
            self.empty(number, changed);
            return self.read_all(number, changed);
        }
        view.keywords = mailbox.keywords().iter().map(|name| name.to_ascii_lowercase()).collect();
        let known = view.highest_modseq;
        let old_slots = view.rows.len() as u32;
        let mut later: Vec<(u32, Record)> = Vec::new();
        for slot in 0..old_slots {
            let record = view.shown(reader.record(slot));
            if record != Record::DAMAGED && record.modseq > known {
                later.push((slot, record));
            }
        }
        view.highest_modseq = highest;
        view.forgotten_modseq = view.shown_modseq(status.forgotten_modseq);
        for (slot, record) in later {
            self.take_change(number, slot, record, changed);
        }
        for slot in old_slots..reader.slots() {
            let record = reader.record(slot);
            let record = self.mailbox(number).map_or(record, |view| view.shown(record));
            let email = match reader.cold(slot) {
                Ok(cold) if record != Record::DAMAGED && !record.is_expunged() => self.email_for(&cold),
                _ => NONE,
            };
            if let Some(view) = self.boxes[usize::from(number)].as_mut() {
                view.rows.push(Row {
                    uid: record.uid,
                    email,
                    modseq: record.modseq,
                    flags: record.flags,
                    keywords: record.keywords,
                });
                view.note_deleted(&record);
            }
            if email != NONE {
                self.emails[email as usize].places.add(number, slot);
                changed.push(email);
            }
        }
        if let Some(view) = self.boxes[usize::from(number)].as_mut() {
            view.there = view.rows.iter().filter(|row| row.is_there()).count() as u32;
        }
        Ok(())
    }

    fn take_change(&mut self, number: u16, slot: u32, record: Record, changed: &mut Vec<u32>) {
        let Some(view) = self.boxes[usize::from(number)].as_mut() else { return };
        view.note_deleted(&record);
        let row = &mut view.rows[slot as usize];
        let email = row.email;
        (row.modseq, row.flags, row.keywords) = (record.modseq, record.flags, record.keywords);
        if record.is_expunged() {
            row.email = NONE;
        }
        if email == NONE {
            return;
        }
        changed.push(email);
        if record.is_expunged() {
            self.emails[email as usize].places.remove(number, slot);
        }
    }

    /// The number of the email with this content, a new one when it is not known.
    fn email_for(&mut self, cold: &message_store::Cold) -> u32 {
        if let Some(number) = self.numbers.get(&cold.guid) {
            let email = &mut self.emails[*number as usize];
            let is_back = email.places.is_empty();
            if is_back || cold.internal_date_ns < email.received_ns {
                email.received_ns = cold.internal_date_ns;
            }
            return *number;
        }
        let number = u32::try_from(self.emails.len()).unwrap_or(NONE);
        self.emails.push(Email {
            guid: cold.guid,
            received_ns: cold.internal_date_ns,
            sent: cold.sent_date,
            size: cold.size,
            thread: NONE,
            places: Places::default(),
            has_attachment: OnceLock::new(),
        });
        self.numbers.insert(cold.guid, number);
        number
    }

    /// Remembers what was in a mailbox that is deleted, so that who knew it so can be told what went with it.
    fn bury(&mut self, number: u16) {
        let Some(view) = self.boxes[usize::from(number)].as_ref() else { return };
        let there = view.rows.iter().filter(|row| row.is_there());
        let emails = there.filter_map(|row| self.email(row.email)).map(|email| email.guid);
        let emails: Vec<[u8; 16]> = emails.take(GRAVE_EMAILS_MAX).collect();
        if emails.len() < GRAVE_EMAILS_MAX {
            let mailbox = crate::state::short(view.listed.id);
            self.graves.push_back(Grave { mailbox, modseq: view.highest_modseq, emails });
        }
        if self.graves.len() > GRAVES_MAX {
            self.graves.pop_front();
        }
    }

    /// Takes all messages of a mailbox away.
    fn empty(&mut self, number: u16, changed: &mut Vec<u32>) {
        let Some(view) = self.boxes[usize::from(number)].as_mut() else { return };
        let rows = std::mem::take(&mut view.rows);
        self.epoch += 1;
        for (slot, row) in (0..).zip(rows) {
            if row.email != NONE {
                self.emails[row.email as usize].places.remove(number, slot);
                changed.push(row.email);
            }
        }
    }

    /// Emails that are gone get no room any more; everything that was made of numbers is made anew.
    fn pack(&mut self) {
        let mut new_numbers = vec![NONE; self.emails.len()];
        let mut kept = Vec::with_capacity(self.emails.len().saturating_sub(self.gone));
        for (old, mut email) in std::mem::take(&mut self.emails).into_iter().enumerate() {
            if email.places.is_empty() {
                continue;
            }
            new_numbers[old] = kept.len() as u32;
            email.thread = NONE;
            kept.push(email);
        }
        self.emails = kept;
        self.numbers = (0..).zip(&self.emails).map(|(number, email)| (email.guid, number)).collect();
        for view in self.boxes.iter_mut().flatten() {
            for row in view.rows.iter_mut().filter(|row| row.email != NONE) {
                row.email = new_numbers[row.email as usize];
            }
        }
        self.gone = 0;
        self.epoch += 1;
        self.threads = None;
        self.columns = super::columns::Columns::default();
        self.changes = super::views::ChangeLog::default();
        self.changes.begin(self.version);
        *self.views.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner) =
            super::views::Views::default();
    }
}

/// What the user has seen in a mailbox of another's. The mailbox's status is read before the table is looked at again.
fn apart_of(mailbox: &Arc<Mailbox>, uid: &str) -> std::result::Result<Apart, StoreError> {
    let by = mailbox.seen_by(uid)?;
    by.visited();
    let table = by.table()?;
    Ok(Apart { by, table })
}

impl MailboxView {
    fn new(mailbox: Option<Arc<Mailbox>>, apart: Option<Apart>, one: ListedFor) -> MailboxView {
        MailboxView {
            mailbox,
            apart,
            raw_modseq: (0, 0),
            listed: one.listed,
            rights: one.rights,
            is_subscribed: one.is_subscribed,
            sort_order: one.sort_order,
            generation: 0,
            rows: Vec::new(),
            there: 0,
            highest_modseq: 0,
            forgotten_modseq: 0,
            keywords: Vec::new(),
            deleted: BTreeSet::new(),
        }
    }

    /// A record as the user sees it.
    fn shown(&self, record: Record) -> Record {
        match &self.apart {
            Some(apart) if record != Record::DAMAGED => apart.shown(record),
            _ => record,
        }
    }

    fn is_as_listed(&self, one: &ListedFor) -> bool {
        self.rights == one.rights
            && self.is_subscribed == one.is_subscribed
            && self.sort_order == one.sort_order
            && self.listed == one.listed
    }

    fn is_unchanged(&self) -> bool {
        let is_current =
            |mailbox: &Arc<Mailbox>| mailbox.status().is_ok_and(|status| self.is_current(&status));
        self.mailbox.as_ref().is_none_or(is_current)
    }

    fn note_deleted(&mut self, record: &Record) {
        if record.flags.contains(Flags::DELETED) && !record.is_expunged() {
            self.deleted.insert(record.uid);
        } else {
            self.deleted.remove(&record.uid);
        }
    }
}
