//! Mailboxes on disk, addressed by UID. The formats are in `docs/formats/store.md` and `store-tree.md`.
//!
//! [`Store`] knows which mailboxes there are; [`Mailbox`] is one of them. Everything that is acknowledged is durable first,
//! at the level that the settings promise; a killed process leaves nothing that the next one does not mend.

mod append;
mod bytes;
mod cache;
mod changes;
mod copy;
mod deletion;
mod error;
mod flags;
mod folders;
mod from_config;
mod header;
mod housekeeping;
mod index;
mod layout;
mod list;
mod log;
mod log_line;
mod mailbox;
mod multiappend;
mod prepared;
mod quota;
mod quota_policy;
mod ready;
mod rebuild;
mod record;
mod renames;
mod replace;
mod restore;
mod resync;
mod ring;
mod settings;
mod shared;
mod source;
mod store;
mod subscriptions;
mod tree;
mod tree_lock;
mod uid_set;
mod usage;
mod watch;
mod writer;

pub use append::{Appended, Delivered, DeliveryId, Incoming, LinkedMessage, NewMessage};
pub use error::{Result, StoreError};
pub use flags::{FlagChange, FlagResult, Flags, How};
pub use folders::encode as folder_name;
pub use housekeeping::CleanedUp;
pub use log_line::{Severity, StoreLog};
pub use mailbox::{Mailbox, MaildropLock, MessageFile, Reader, Status};
pub use mailbox_list::{MailboxName, NameError, SpecialUse};
pub use multiappend::Complete;
pub use prepared::{Cached, Prepared};
pub use quota::{Admission, Limits, Quota, Recounted, Usage};
pub use quota_policy::QuotaPolicy;
pub use ready::is_set as is_ready;
pub use rebuild::{Inspected, Reconstructed};
pub use record::{Cold, Record};
pub use restore::Wanted;
pub use resync::{Difference, RebuiltList, Scope};
pub use settings::{StoreSettings, Wait};
pub use source::{InMemory, Source};
pub use store::{Listed, Store};
pub use uid_set::UidSet;
pub use watch::Watch;
