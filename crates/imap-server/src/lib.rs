//! IMAP sessions over the message store.

pub mod answer;
pub mod commands;
pub mod names;
pub mod refusal;
pub mod request;
pub mod runs;
pub mod sections;
pub mod settings;
pub mod view;
