//! The durability seam: what is promised to be on stable storage, and when.
//!
//! Everything that must be durable before it is said goes through here: file by file with [`sync_file`] and
//! [`sync_folder`], or together by a [`Journal`], in which everyone who waits shares one sync. The levels are the guide's
//! (S151 to S156): 0 leaves it to the system, 1 is `fdatasync`, 2 is `fsync` with the folder. `docs/formats/queue.md` says
//! what the queue writes into its journal; the journal's own form stands in [`segment`].

mod journal;
pub mod kinds;
mod level;
mod read;
pub mod segment;
mod sync;

pub use journal::{Hold, Journal, JournalSettings, MakeMedium, Owner, Refused, Ticket};
pub use level::{SyncLevel, SyncLevels};
pub use read::{clear, damaged, read, remove};
pub use segment::Medium;
pub use sync::{sync_file, sync_file_systems, sync_folder};
