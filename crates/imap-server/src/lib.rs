//! IMAP sessions over the message store.

pub mod answer;
pub mod refusal;
pub mod view;
