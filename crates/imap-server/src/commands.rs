//! The commands: one file per verb, UID forms with their verb.

pub mod append;
pub mod copy;
pub mod create;
pub mod delete;
pub mod expunge;
pub mod fetch;
pub mod list;
pub mod rename;
pub mod search;
pub mod select;
pub mod status;
pub mod store;
