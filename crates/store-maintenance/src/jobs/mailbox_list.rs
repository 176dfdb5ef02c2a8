//! The mailbox list's memory: read ahead at start, as far as `store.dbcachesize` goes (S142), and dead readers looked for
//! while it is being written (S145).

use std::path::Path;
use std::thread;

use message_store::Store;
use os::notify::Notify;
use server_config::Config;
use server_config::parameters::store;
use server_log::{Category, Log};

const FILE: &str = "data.mdb";

/// Has the system read the list's file, so that the first to ask after a restart of the host do not wait for the disk.
pub fn read_ahead(config: &Config, folder: &Path, log: &Log) {
    let cache = u64::try_from(config.get(&store::DB_CACHE_SIZE)).unwrap_or(0);
    let Ok(file) = std::fs::File::open(folder.join(FILE)) else { return };
    let length = file.metadata().map_or(0, |meta| meta.len());
    os::file::advise_needed(&file, length.min(cache));
    if length > cache {
        let text = format_args!(
            "the mailbox list has {length} bytes, store.dbcachesize is {cache}: not all of it is read ahead; set it higher"
        );
        log.warning(Category::Store, text);
    } else {
        log.information(Category::Store, format_args!("mailbox list: {length} bytes, read ahead"));
    }
}

/// While the list is written, pages that a dead reader holds would make it grow. A list that nobody writes wakes nobody.
///
/// # Errors
/// One line: no thread, or no watch.
pub fn watch(config: &Config, folder: &Path, store: &Store, log: &Log) -> Result<(), String> {
    let pause = config.get(&store::DEADLOCK_CHECK);
    let path = folder.join(FILE);
    let changes = Notify::on(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    let (store, log) = (store.clone(), log.clone());
    // It ends with the process: it only looks.
    let look = move || {
        while changes.wait(None).is_ok() {
            super::stale_readers::look(&store, &log);
            thread::sleep(pause);
        }
    };
    thread::Builder::new().name("mailbox-list".into()).spawn(look).map(drop).map_err(|why| why.to_string())
}
