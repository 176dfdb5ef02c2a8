//! stored: the store's recovery at start, and its timetable. One file per job in [`jobs`].

pub mod daemon;
pub mod jobs;
pub mod mail_folders;
pub mod timetable;
