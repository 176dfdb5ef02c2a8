//! The durability seam: what is promised to be on stable storage, and when.
//!
//! Everything in the store that must be durable before it is said goes through [`sync_file`] and [`sync_folder`], so
//! that group commit can be put behind them. The levels are the guide's (S151 to S156): 0 leaves it to the system, 1 is
//! `fdatasync`, 2 is `fsync` with the folder.

mod level;
mod sync;

pub use level::{SyncLevel, SyncLevels};
pub use sync::{sync_file, sync_folder};
