//! A user's mailboxes as emails: what is kept in memory of them so that queries are fast, within bounds.
//!
//! The store knows messages of mailboxes; JMAP knows emails, which may be in several. Messages of the same bytes are one email
//! (`guid`). Of each message a row of 32 bytes is kept, of each email some 60 more; nothing of it is needed for more than
//! speed, and an account that was not asked for a while is forgotten when others need the room.
//!
//! [`Inner::refresh`] brings it up to date before each method call: the headers of the mailboxes are compared, and where
//! something changed the records are looked through for higher modification sequences. It tells which emails are
//! concerned, by which lists that were sorted before are mended instead of made anew (`views.rs`).
//!
//! Mailboxes of others are accounts of their own (`shares.rs`), for each user who sees them.
//!
//! A message with \Deleted is not there for JMAP (RFC 8621 §4.1.1).

mod boxes;
pub mod columns;
mod counts;
mod parallel;
mod places;
pub mod refresh;
pub mod threads;
pub mod views;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use message_store::Flags;

pub use boxes::{MailboxView, Row, Target};
pub use places::Places;

use crate::Jmap;
use crate::error::Result;
use crate::shares::{Owner, Scope};

/// Emails of all accounts that are kept, before the ones that were asked for longest ago are forgotten. With what is kept of
/// each it is some 130 bytes an email.
const EMAILS_KEPT: usize = 2_000_000;
/// Accounts that are kept.
const ACCOUNTS_KEPT: usize = 10_000;

/// Emails that are looked at before others have their turn with the account.
const PIECE: usize = 20_000;

/// No email.
pub const NONE: u32 = u32::MAX;

/// All accounts of a process.
#[derive(Default)]
pub struct Accounts {
    /// The one that was asked for last is the last. By uid; for another's mailboxes, by both uids.
    kept: Mutex<Vec<(String, Arc<Account>)>>,
}

/// One user's, shared by the user's sessions.
pub struct Account {
    inner: RwLock<Inner>,
}

/// An email: messages of the same bytes.
pub struct Email {
    pub guid: [u8; 16],
    /// receivedAt: INTERNALDATE, of several the earliest.
    pub received_ns: i64,
    /// Of the Date field, seconds since 1970; 0 when there is none.
    pub sent: i64,
    pub size: u32,
    /// [`NONE`] as long as nobody asked.
    pub thread: u32,
    pub places: Places,
    /// hasAttachment, once it was found out.
    pub has_attachment: OnceLock<bool>,
}

#[derive(Default)]
pub struct Inner {
    /// By number; nothing where one was.
    pub boxes: Vec<Option<MailboxView>>,
    box_numbers: HashMap<u128, u16>,
    pub emails: Vec<Email>,
    numbers: HashMap<[u8; 16], u32>,
    /// Emails that are nowhere any more.
    gone: usize,
    pub threads: Option<threads::Threads>,
    pub columns: columns::Columns,
    /// Counts the refreshes that found something.
    pub version: u64,
    /// Counts when numbers of mailboxes, slots or emails came to mean others: who looks piece by piece begins anew then.
    pub epoch: u64,
    changes: views::ChangeLog,
    pub graves: std::collections::VecDeque<refresh::Grave>,
    pub views: Mutex<views::Views>,
}

impl Accounts {
    /// The mail of one account of the user, as it is now.
    ///
    /// # Errors
    /// The store's.
    pub fn of(&self, jmap: &Jmap, scope: Scope<'_>) -> Result<Arc<Account>> {
        let account = match scope.owner {
            Owner::Own => self.kept(&scope.who.uid),
            _ => self.kept(&format!("{}\0{}", scope.who.uid, scope.account_id())), // no uid has a NUL
        };
        account.refresh(jmap, scope)?;
        self.forget_some(&account);
        Ok(account)
    }

    fn kept(&self, key: &str) -> Arc<Account> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().rposition(|(known, _)| known == key);
        let one = match found {
            Some(place) => kept.remove(place),
            None => (key.to_owned(), Arc::new(Account { inner: RwLock::default() })),
        };
        let account = Arc::clone(&one.1);
        kept.push(one);
        account
    }

    /// The ones that were asked for longest ago go; never the one that is asked for now.
    fn forget_some(&self, now: &Arc<Account>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let size = |account: &Account| account.inner.try_read().map_or(0, |inner| inner.emails.len());
        let mut sum: usize = kept.iter().map(|(_, account)| size(account)).sum();
        while (sum > EMAILS_KEPT || kept.len() > ACCOUNTS_KEPT)
            && kept.first().is_some_and(|(_, oldest)| !Arc::ptr_eq(oldest, now))
        {
            let (_, oldest) = kept.remove(0);
            sum = sum.saturating_sub(size(&oldest));
        }
    }
}

impl Account {
    /// Looks what changed. A look at what did not change takes no lock that others wait for.
    ///
    /// # Errors
    /// The store's.
    pub fn refresh(&self, jmap: &Jmap, scope: Scope<'_>) -> Result<()> {
        let listed = refresh::listed(jmap, scope)?;
        if self.read().is_current(&listed) {
            return Ok(());
        }
        self.write().refresh(jmap, scope, listed)
    }

    pub fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// With the thread of every email known. Their headers are read piece by piece, and nobody waits for it all.
    pub fn with_threads(&self) -> RwLockReadGuard<'_, Inner> {
        let inner = self.read();
        if inner.threads.is_some() {
            return inner;
        }
        drop(inner);
        let (epoch, ids) = self.look_at_all(|inner, number| inner.thread_id(inner.email(number)?));
        self.write().find_threads(epoch, ids);
        self.read()
    }

    /// The texts that emails are sorted by are read, piece by piece as well.
    pub fn fill_column(&self, column: columns::Column) {
        if self.read().columns.is_full(column, self.read().emails.len()) {
            return;
        }
        let (epoch, texts) = self.look_at_all(|inner, number| inner.missing_text(column, number));
        self.write().fill_column(column, epoch, texts);
    }

    /// What `find` says of each email by its number, and of which epoch the numbers are. The account is let go of again and
    /// again; when the numbers came to mean others meanwhile, there is less.
    fn look_at_all<T: Send>(&self, find: impl Fn(&Inner, u32) -> Option<T> + Sync) -> (u64, Vec<Option<T>>) {
        let mut inner = self.read();
        let epoch = inner.epoch;
        let mut all: Vec<Option<T>> = Vec::new();
        while all.len() < inner.emails.len() {
            let (from, count) = (all.len(), (inner.emails.len() - all.len()).min(PIECE));
            all.extend(parallel::in_parallel(count, |place| find(&inner, (from + place) as u32)));
            drop(inner);
            inner = self.read();
            if inner.epoch != epoch {
                break;
            }
        }
        (epoch, all)
    }
}

impl Inner {
    /// The mailboxes, by number.
    pub fn mailboxes(&self) -> impl Iterator<Item = (u16, &MailboxView)> {
        self.boxes
            .iter()
            .enumerate()
            .filter_map(|(number, one)| Some((u16::try_from(number).ok()?, one.as_ref()?)))
    }

    pub fn mailbox(&self, number: u16) -> Option<&MailboxView> {
        self.boxes.get(usize::from(number))?.as_ref()
    }

    /// The mailbox of this id.
    pub fn mailbox_of(&self, id: u128) -> Option<(u16, &MailboxView)> {
        let number = *self.box_numbers.get(&id)?;
        Some((number, self.mailbox(number)?))
    }

    /// The mailbox that a client calls so.
    pub fn mailbox_named(&self, id: &str) -> Option<(u16, &MailboxView)> {
        self.mailbox_of(crate::ids::mailbox_of(id)?)
    }

    pub fn email(&self, number: u32) -> Option<&Email> {
        self.emails.get(number as usize)
    }

    /// The email of these bytes, if it is in a mailbox that the user reads.
    pub fn email_of(&self, guid: &[u8; 16]) -> Option<(u32, &Email)> {
        let number = *self.numbers.get(guid)?;
        Some((number, self.email(number)?)).filter(|(_, email)| self.is_there(email))
    }

    /// The number of the email of these bytes, which may be gone.
    pub fn number_of(&self, guid: &[u8; 16]) -> Option<u32> {
        self.numbers.get(guid).copied()
    }

    /// Numbers of the emails that there are.
    pub fn all(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.emails).filter(|(_, email)| self.is_there(email)).map(|(number, _)| number)
    }

    /// Whether an email is in any mailbox.
    pub fn is_there(&self, email: &Email) -> bool {
        self.rows(email).next().is_some()
    }

    /// The messages that an email is, with the mailbox and the slot of each.
    pub fn rows<'i>(
        &'i self,
        email: &'i Email,
    ) -> impl Iterator<Item = (u16, u32, &'i MailboxView, &'i Row)> {
        email.places.iter().filter_map(|(number, slot)| {
            let mailbox = self.mailbox(number)?;
            let row = mailbox.rows.get(slot as usize).filter(|row| row.is_there())?;
            Some((number, slot, mailbox, row))
        })
    }

    /// Whether the email has a system flag: \Seen when all of its messages have it, another when one does.
    pub fn has_flag(&self, email: &Email, flag: Flags) -> bool {
        let mut rows = self.rows(email).map(|(_, _, _, row)| row.flags.contains(flag));
        if flag == Flags::SEEN { rows.all(|has| has) } else { rows.any(|has| has) }
    }

    /// Whether the email has a keyword, by its name in lower case.
    pub fn has_keyword(&self, email: &Email, keyword: &str) -> bool {
        match crate::email::keywords::flag_of(keyword) {
            Some(flag) => self.has_flag(email, flag),
            None => self.rows(email).any(|(_, _, mailbox, row)| row.keywords & mailbox.bit(keyword) != 0),
        }
    }

    /// Whether it counts as unread: neither `$seen` nor `$draft` (RFC 8621 §2).
    pub fn is_unread(&self, email: &Email) -> bool {
        !self.has_flag(email, Flags::SEEN) && !self.has_flag(email, Flags::DRAFT)
    }
}
