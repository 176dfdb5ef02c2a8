//! The stages, one file each, in the order in which a message meets them.

pub mod account_handler;
pub mod autoreply_handler;
pub mod copies;
pub mod error_handler;
pub mod groups;
pub mod mailbox_deliver;
pub mod prog_deliver;
pub mod smtp_deliver;
pub mod smtp_router;
pub mod targets;
pub mod ube_filter;
pub mod unix_deliver;
