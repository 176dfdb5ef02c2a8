//! The environment of the list and its transactions: one per process and folder, short, retried where LMDB wants it.

use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, MdbError, RoTxn, RwTxn, WithoutTls};

/// Address space of the map. Sparse: the file is as large as what it holds.
const MAP_BYTES: usize = 64 << 30;
/// Reader slots of all processes together.
const READERS_MAX: u32 = 4096;

/// Why the list did not answer.
#[derive(Debug)]
pub enum ListError {
    NotFound,
    AlreadyExists,
    /// A name below itself, or a level that cannot be one.
    Impossible(&'static str),
    /// The map of 64 GiB is full, or the disk.
    Full,
    /// A record or the file is wrong; `reconstruct -m` makes a new one.
    Damaged(String),
    Database(heed::Error),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListError::NotFound => f.write_str("not in the mailbox list"),
            ListError::AlreadyExists => f.write_str("in the mailbox list already"),
            ListError::Impossible(why) => f.write_str(why),
            ListError::Full => f.write_str("no space left for the mailbox list"),
            ListError::Damaged(what) => write!(f, "the mailbox list is damaged: {what}"),
            ListError::Database(error) => write!(f, "mailbox list: {error}"),
        }
    }
}

impl std::error::Error for ListError {}

impl From<heed::Error> for ListError {
    fn from(error: heed::Error) -> ListError {
        match error {
            heed::Error::Mdb(MdbError::MapFull) => ListError::Full,
            heed::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => ListError::Full,
            heed::Error::Mdb(
                wrong @ (MdbError::Corrupted
                | MdbError::Invalid
                | MdbError::PageNotFound
                | MdbError::VersionMismatch),
            ) => ListError::Damaged(wrong.to_string()),
            other => ListError::Database(other),
        }
    }
}

pub type Result<T> = std::result::Result<T, ListError>;
pub(crate) type Table = Database<'static, Bytes, Bytes>;

/// The mailbox list of one store. See [`MailboxList::open`].
pub struct MailboxList {
    env: Env<WithoutTls>,
    table: Table,
    /// Held shared by each transaction, exclusively while the map changes its size.
    gate: RwLock<()>,
}

impl MailboxList {
    /// The list in `folder` (made when missing). All callers in this process share one; the first one's `sync` counts.
    ///
    /// # Errors
    /// As LMDB's; `Damaged` when it is no list.
    pub fn open(folder: &Path, sync: bool) -> Result<Arc<MailboxList>> {
        static OPEN: Mutex<Option<HashMap<PathBuf, Weak<MailboxList>>>> = Mutex::new(None);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(heed::Error::Io)?;
        let folder = folder.canonicalize().map_err(heed::Error::Io)?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.get_or_insert_default();
        open.retain(|_, list| list.strong_count() > 0);
        if let Some(list) = open.get(&folder).and_then(Weak::upgrade) {
            return Ok(list);
        }
        if let Some(closing) = heed::env_closing_event(&folder) {
            closing.wait_timeout(Duration::from_secs(10));
        }
        let env = os::lmdb::open(&folder, MAP_BYTES, READERS_MAX, sync)?;
        let table = env
            .open_databases_and_commit(env.read_txn()?, |opener, txn| -> heed::Result<_> {
                Ok(CommitOrAbort::<_, ()>::Commit(opener.open_database::<Bytes, Bytes>(txn, None)?))
            })?
            .commit()
            .flatten()
            .ok_or_else(|| ListError::Damaged("no table".into()))?;
        let list = Arc::new(MailboxList { env, table, gate: RwLock::new(()) });
        open.insert(folder, Arc::downgrade(&list));
        Ok(list)
    }

    /// Frees the slots of readers that were killed. stored does it every few seconds and after a child's death; without
    /// it a dead reader keeps the file growing.
    ///
    /// # Errors
    /// LMDB's.
    pub fn clear_stale_readers(&self) -> Result<usize> {
        Ok(self.env.clear_stale_readers()?)
    }

    /// From now on readers see what was committed. A writer that was killed just behind its commit leaves it unseen until
    /// somebody else takes the write lock: whoever decides what an interrupted change has to become asks for this first.
    ///
    /// # Errors
    /// LMDB's.
    pub fn settle(&self) -> Result<()> {
        // Taking the lock from a dead owner makes its last commit the newest; there is nothing to write.
        self.retried(|| {
            self.env.write_txn()?.abort();
            Ok(())
        })
    }

    /// The number of the last change, by whichever process; it costs no transaction. While it stays, so does all that was
    /// read after it.
    pub fn version(&self) -> usize {
        self.env.info().last_txn_id
    }

    /// Runs `look` in a read transaction. It must be short and do no other work.
    pub(crate) fn read<T>(&self, look: impl Fn(&RoTxn<'_, WithoutTls>, Table) -> Result<T>) -> Result<T> {
        self.retried(|| {
            let txn = self.env.read_txn()?;
            look(&txn, self.table)
        })
    }

    /// Runs `change` in a write transaction and commits it unless it fails.
    pub(crate) fn write<T>(&self, change: impl Fn(&mut RwTxn<'_>, Table) -> Result<T>) -> Result<T> {
        self.retried(|| {
            let mut txn = self.env.write_txn()?;
            let value = change(&mut txn, self.table)?;
            txn.commit()?;
            Ok(value)
        })
    }

    /// Again after the cure, where there is one: another process grew the map, dead readers hold all slots.
    fn retried<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<T> {
        for _ in 0..3 {
            let done = {
                let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
                work()
            };
            match done {
                Err(ListError::Database(heed::Error::Mdb(MdbError::MapResized))) => {
                    let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
                    os::lmdb::adopt_size(&self.env)?;
                }
                Err(ListError::Database(heed::Error::Mdb(MdbError::ReadersFull))) => {
                    self.env.clear_stale_readers()?;
                }
                other => return other,
            }
        }
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        work()
    }
}
