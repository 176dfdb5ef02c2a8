//! Mailboxes on disk, addressed by UID.

mod error;
mod flags;
mod from_config;
mod log_line;
mod skeleton;
mod uid_set;

pub use error::{Result, StoreError};
pub use flags::{FlagChange, FlagResult, Flags, How};
pub use log_line::{Severity, StoreLog};
pub use mailbox_list::{MailboxName, NameError, SpecialUse};
pub use skeleton::*;
pub use uid_set::UidSet;
