//! What stored does, one file a job.

pub mod ageing;
pub mod alarms;
pub mod certificate;
pub mod clean_up;
pub mod mailbox_list;
pub mod recovery;
pub mod stale_readers;
pub mod text_index;
