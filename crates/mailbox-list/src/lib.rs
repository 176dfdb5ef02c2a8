//! The mboxlist database: which mailboxes exist, where they live.

mod name;
mod special_use;

pub use name::{COMPONENT_BYTES_MAX, LEVELS_MAX, MailboxName, NameError};
pub use special_use::SpecialUse;
