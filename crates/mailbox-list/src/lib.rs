//! The mboxlist database: which mailboxes exist, where they live.
//!
//! LMDB in `store/mboxlist`, shared by all processes. The list is authoritative (S167): a mailbox that is not in it
//! cannot be reached, whatever is on disk. It can be made anew from the folders on disk (S165, S166), which is the work
//! of message-store.

mod acl;
mod database;
mod entry;
mod name;
mod rights;
mod shares;
mod special_use;
mod tree;

pub use acl::{ANYONE, Acl, AclError, ENTRIES_MAX, GROUP, IDENTIFIER_BYTES_MAX};
pub use database::{ListError, MailboxList, Result};
pub use entry::Entry;
pub use name::{COMPONENT_BYTES_MAX, LEVELS_MAX, MailboxName, NameError};
pub use rights::Rights;
pub use shares::Side;
pub use special_use::SpecialUse;
pub use tree::{Found, NewEntry};
