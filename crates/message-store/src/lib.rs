//! Mailboxes on disk, addressed by UID. The formats are in `docs/formats/store.md` and `store-tree.md`.
//!
//! [`Store`] knows which mailboxes there are; [`Mailbox`] is one of them. Everything that is acknowledged is durable first,
//! at the level that the settings promise; a killed process leaves nothing that the next one does not mend.

mod acl;
pub mod ageing_rules;
mod annotations;
mod append;
mod bytes;
mod cache;
mod changes;
mod copy;
mod deletion;
mod error;
mod flags;
mod folders;
mod follower;
mod from_config;
mod header;
mod housekeeping;
mod index;
mod journal;
pub mod last_access;
mod layout;
mod list;
mod locking;
mod log;
mod log_line;
mod mailbox;
mod multiappend;
mod new_files;
mod prepared;
mod quota;
mod quota_policy;
mod readable;
mod ready;
mod rebuild;
mod record;
mod renames;
mod replace;
mod replay;
mod restore;
mod resync;
mod ring;
mod salvage;
pub mod search;
mod second_copy;
mod seen;
mod settings;
mod shared;
mod source;
mod store;
mod subscriptions;
mod text_index;
mod text_indexing;
mod told;
mod tree;
mod tree_lock;
mod uid_set;
mod unexpunge;
mod url_keys;
mod usage;
mod verify;
mod verify_store;
mod watch;
mod writer;
mod zones;

pub use annotations::{AnnotateError, Annotation, Annotations, NewAnnotation};
pub use append::{Appended, Delivered, DeliveryId, Incoming, Lent, LinkedMessage, NewMessage};
pub use copy::Carry;
pub use error::{Result, StoreError};
pub use flags::{FlagChange, FlagResult, Flags, How, Within};
pub use folders::encode as folder_name;
pub use follower::{Changed, Follower};
pub use housekeeping::CleanedUp;
pub use last_access::LastAccess;
pub use log_line::{Severity, StoreLog};
pub use mailbox::{Mailbox, MaildropLock, MessageFile, Reader, Status};
pub use mailbox_list::{
    ANYONE, Acl, GROUP, IDENTIFIER_BYTES_MAX, MailboxName, NameError, Rights, Side, SpecialUse,
};
pub use multiappend::Complete;
pub use prepared::{Cached, Prepared};
pub use quota::{Admission, Limits, Quota, Recounted, Usage};
pub use quota_policy::QuotaPolicy;
pub use ready::is_set as is_ready;
pub use rebuild::{Inspected, Method, Progress, Reconstructed};
pub use record::{Cold, Record};
pub use replay::Replayed;
pub use restore::Wanted;
pub use resync::{Difference, RebuiltList, Scope};
pub use seen::{SeenBy, SeenChange, Table as SeenTable, Visitor};
pub use settings::{StoreSettings, Wait};
pub use source::{InMemory, Source};
pub use store::{Listed, Store};
pub use text_index::{
    Answer, Bits, Close, Like, Query, Scope as TextScope, TextIndex, TextSegment, Words as TextWords,
};
pub use text_indexing::TextsIndexed;
pub use uid_set::UidSet;
pub use verify::{Depth, Fault, Pace, Verified};
pub use watch::{Event, Watch};
