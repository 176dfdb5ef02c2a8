//! The shape of the store while its parts are being put in.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use commit_journal::SyncLevels;
use mailbox_list::{MailboxName, SpecialUse};

use crate::{FlagChange, FlagResult, Flags, Result, StoreError, StoreLog, UidSet};

/// Whether to wait for stored at [`Store::open`] (S163).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// stored itself, tools, tests.
    No,
    /// At most so long.
    ForStored(Duration),
}

#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// `store/mboxlist`
    pub list_folder: PathBuf,
    /// `store.partition.<name>.path`
    pub partitions: BTreeMap<String, PathBuf>,
    /// `store.defaultpartition`
    pub default_partition: String,
    /// The instance's `run` folder: the change notice ring, `store.ready`.
    pub run_folder: PathBuf,
    /// stored's log, to be named in the warning.
    pub stored_log: PathBuf,
    pub sync: SyncLevels,
    /// `local.dbtxnsync` is not 1 (S152).
    pub list_sync: bool,
    /// How long a change waits for another process.
    pub lock_timeout: Duration,
    pub wait: Wait,
}

impl StoreSettings {
    /// Everything below one folder, with the defaults, not waiting for stored.
    pub fn in_folder(folder: &Path) -> StoreSettings {
        StoreSettings {
            list_folder: folder.join("store/mboxlist"),
            partitions: BTreeMap::from([("primary".into(), folder.join("store/partition/primary"))]),
            default_partition: "primary".into(),
            run_folder: folder.join("run"),
            stored_log: folder.join("log/stored"),
            sync: SyncLevels::default(),
            list_sync: true,
            lock_timeout: Duration::from_secs(5),
            wait: Wait::No,
        }
    }
}

#[derive(Clone)]
pub struct Store;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: MailboxName,
    /// False: the name is there only because of mailboxes below it.
    pub selectable: bool,
    pub special_use: Option<SpecialUse>,
    pub partition: String,
    /// Random, for ever (MAILBOXID, RFC 8474).
    pub id: u128,
    pub uid_validity: u32,
    pub has_children: bool,
}

/// Found by [`Store::rebuild_list`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RebuiltList {
    pub found: usize,
    pub added: usize,
    pub without_folder: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconstructed {
    pub messages: usize,
    pub added: usize,
    pub lost: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanedUp {
    pub unlinked: usize,
    pub compacted: bool,
}

impl Store {
    pub fn open(_settings: StoreSettings, _log: StoreLog) -> Result<Store> {
        panic!("soon")
    }
    pub fn create(&self, _name: &MailboxName, _special_use: Option<SpecialUse>) -> Result<()> {
        panic!("soon")
    }
    /// In this partition instead of the parent's or the default one.
    pub fn create_in(
        &self,
        _name: &MailboxName,
        _special_use: Option<SpecialUse>,
        _partition: &str,
    ) -> Result<()> {
        panic!("soon")
    }
    /// A user's INBOX takes all of the user's mailboxes with it.
    pub fn delete(&self, _name: &MailboxName) -> Result<()> {
        panic!("soon")
    }
    pub fn rename(&self, _from: &MailboxName, _to: &MailboxName) -> Result<()> {
        panic!("soon")
    }
    pub fn exists(&self, _name: &MailboxName) -> Result<bool> {
        panic!("soon")
    }
    pub fn ensure_user(&self, _uid: &str) -> Result<()> {
        panic!("soon")
    }
    /// As `ensure_user`, in this partition when it has to be created.
    pub fn ensure_user_in(&self, _uid: &str, _partition: Option<&str>) -> Result<()> {
        panic!("soon")
    }
    pub fn list(&self, _prefix: &str, _after: Option<&MailboxName>, _limit: usize) -> Result<Vec<Listed>> {
        panic!("soon")
    }
    pub fn subscribe(&self, _uid: &str, _name: &str) -> Result<()> {
        panic!("soon")
    }
    pub fn unsubscribe(&self, _uid: &str, _name: &str) -> Result<()> {
        panic!("soon")
    }
    pub fn subscriptions(&self, _uid: &str) -> Result<Vec<String>> {
        panic!("soon")
    }
    pub fn open_mailbox(&self, _name: &MailboxName) -> Result<Arc<Mailbox>> {
        panic!("soon")
    }
    pub fn watch(&self, _mailbox: &Mailbox, _changed: Box<dyn Fn() + Send + Sync>) -> Watch {
        panic!("soon")
    }
    /// Where the mailbox is on disk.
    pub fn folder_of(&self, _name: &MailboxName) -> Result<PathBuf> {
        panic!("soon")
    }
    /// stored: `reconstruct <folder>`.
    pub fn reconstruct(&self, _name: &MailboxName) -> Result<Reconstructed> {
        panic!("soon")
    }
    /// `reconstruct -m`: adds to the list what is on disk.
    pub fn rebuild_list(&self) -> Result<RebuiltList> {
        panic!("soon")
    }
    /// stored, every few seconds and after a child's death.
    pub fn clear_stale_readers(&self) -> Result<usize> {
        panic!("soon")
    }
    /// stored: recovery is over, the others may open.
    pub fn set_ready(&self) -> Result<()> {
        panic!("soon")
    }
    pub fn clear_ready(&self) -> Result<()> {
        panic!("soon")
    }
}

pub struct Mailbox;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub exists: u32,
    pub unseen: u32,
    pub deleted: u32,
    pub uid_next: u32,
    pub highest_modseq: u64,
    pub size_bytes: u64,
    /// Messages not yet announced as \Recent to any session.
    pub recent: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub uid: u32,
    pub flags: Flags,
    pub modseq: u64,
    pub keywords: u64,
    pub size: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cold {
    pub uid: u32,
    pub size: u32,
    pub internal_date_ns: i64,
    pub save_date_ns: i64,
    pub sent_date: i64,
    pub created_modseq: u64,
    pub header_size: u32,
    pub lines: u32,
    pub guid: [u8; 16],
    pub delivery: u64,
    pub cache_position: u64,
    pub expunged_at: i64,
}

#[derive(Clone)]
pub struct Reader;

impl Reader {
    pub fn slots(&self) -> u32 {
        panic!("soon")
    }
    /// A slot past the end, or one that cannot be read, is `EXPUNGED | DAMAGED`.
    pub fn record(&self, _slot: u32) -> Record {
        panic!("soon")
    }
    pub fn slot_of(&self, _uid: u32) -> std::result::Result<u32, u32> {
        panic!("soon")
    }
    pub fn generation(&self) -> u64 {
        panic!("soon")
    }
    pub fn cold(&self, _slot: u32) -> Result<Cold> {
        panic!("soon")
    }
}

#[derive(Clone, Debug, Default)]
pub struct NewMessage {
    pub flags: Flags,
    pub keywords: Vec<String>,
    pub internal_date_ns: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub uid: u32,
    pub uid_validity: u32,
}

pub struct Incoming;
impl Write for Incoming {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        panic!("soon")
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
impl Incoming {
    pub fn size(&self) -> u64 {
        panic!("soon")
    }
    pub fn finish(self, _message: NewMessage) -> Result<Appended> {
        panic!("soon")
    }
}

/// What is computed once per message and kept with it in each mailbox.
#[derive(Clone, Debug)]
pub struct Prepared;
impl Prepared {
    /// Reads the whole message of a file that never changes.
    pub fn of_file(_file: &File) -> Result<Prepared> {
        panic!("soon")
    }
    pub fn of_bytes(_message: &[u8]) -> Prepared {
        panic!("soon")
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DeliveryId<'a> {
    pub queue_id: &'a str,
    pub recipient: &'a str,
}

pub struct LinkedMessage<'a> {
    /// The file to link; on another file system, or with too many links, it is copied.
    pub path: &'a Path,
    pub flags: Flags,
    /// When the queue accepted it.
    pub internal_date_ns: i64,
    pub delivery: DeliveryId<'a>,
    pub prepared: &'a Prepared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    New(u32),
    AlreadyThere(u32),
}

pub struct MessageFile {
    pub file: Arc<File>,
    pub size: u64,
}

pub struct Cached;
impl Cached {
    pub fn envelope(&self) -> &[u8] {
        panic!("soon")
    }
    pub fn body(&self) -> &[u8] {
        panic!("soon")
    }
    pub fn bodystructure(&self) -> &[u8] {
        panic!("soon")
    }
    /// The header of the message, blank line included, when it is not longer than 16 KiB.
    pub fn header(&self) -> Option<&[u8]> {
        panic!("soon")
    }
    /// `mail_format::Structure::encode` bytes
    pub fn structure_bytes(&self) -> &[u8] {
        panic!("soon")
    }
}

/// Until dropped.
pub struct MaildropLock;
/// Until dropped.
pub struct Watch;

impl Mailbox {
    pub fn id(&self) -> u128 {
        panic!("soon")
    }
    pub fn name(&self) -> MailboxName {
        panic!("soon")
    }
    pub fn uid_validity(&self) -> u32 {
        panic!("soon")
    }
    pub fn status(&self) -> Result<Status> {
        panic!("soon")
    }
    pub fn keywords(&self) -> Vec<String> {
        panic!("soon")
    }
    pub fn reader(&self) -> Result<Reader> {
        panic!("soon")
    }
    pub fn take_recent(&self) -> Result<RangeInclusive<u32>> {
        panic!("soon")
    }
    pub fn begin_append(self: &Arc<Self>) -> Result<Incoming> {
        panic!("soon")
    }
    pub fn deliver(&self, _message: LinkedMessage<'_>) -> Result<Delivered> {
        panic!("soon")
    }
    pub fn change_flags(
        &self,
        _uids: &UidSet,
        _change: FlagChange<'_>,
        _unchanged_since: Option<u64>,
    ) -> Result<FlagResult> {
        panic!("soon")
    }
    pub fn copy_to(&self, _uids: &UidSet, _to: &Mailbox) -> Result<Vec<(u32, u32)>> {
        panic!("soon")
    }
    pub fn move_to(&self, _uids: &UidSet, _to: &Mailbox) -> Result<Vec<(u32, u32)>> {
        panic!("soon")
    }
    pub fn expunge(&self, _uids: Option<&UidSet>) -> Result<Vec<u32>> {
        panic!("soon")
    }
    pub fn open_message(&self, _uid: u32) -> Result<MessageFile> {
        panic!("soon")
    }
    pub fn cached(&self, _slot: u32) -> Result<Cached> {
        panic!("soon")
    }
    pub fn lock_maildrop(&self) -> Result<MaildropLock> {
        panic!("soon")
    }
    /// stored: unlinks what was expunged so long ago; compacts when a quarter is dead.
    pub fn clean_up(&self, _older_than: Duration) -> Result<CleanedUp> {
        panic!("soon")
    }
    /// stored: the log is applied for good and begins anew.
    pub fn checkpoint(&self) -> Result<()> {
        panic!("soon")
    }
}

#[allow(dead_code)]
fn _unused(_: StoreError) {}
