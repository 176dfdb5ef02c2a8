//! LMDB environments, opened the one way that is safe here.
//!
//! Readers have no thread-local slots (a pool of threads would use them all up), the map is never written through and
//! its size is far above what is needed, so that it never has to change. One environment per process and folder:
//! whoever calls [`open`] keeps it (heed refuses a second one). The folder must be on a local disk and all processes
//! in one PID namespace.

use std::path::Path;

use heed::{Env, EnvFlags, EnvOpenOptions, WithoutTls};

/// Opens the environment in the folder `path`, which exists. With `sync` false a commit does not wait for the disk
/// (S152): a killed process loses nothing then, a power cut may lose or damage.
///
/// # Errors
/// LMDB's: damage, another version, no permission.
pub fn open(path: &Path, map_bytes: usize, readers_max: u32, sync: bool) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(map_bytes).max_readers(readers_max).max_dbs(0);
    if !sync {
        // SAFETY: without sync the consistency after a power cut is given up knowingly by `local.dbtxnsync`; memory
        // safety is not concerned, since the map is not written through.
        unsafe { options.flags(EnvFlags::NO_SYNC) };
    }
    // SAFETY: the files are changed by LMDB only; the folder belongs to the store alone.
    unsafe { options.open(path) }
}

/// Takes over the map size that another process has set, after `MapResized`.
///
/// # Errors
/// LMDB's. The caller must not have a transaction open in this process.
pub fn adopt_size(env: &Env<WithoutTls>) -> heed::Result<()> {
    // SAFETY: LMDB requires that no transaction is open; mailbox-list calls it while it holds its gate exclusively.
    unsafe { env.resize(0) }
}
