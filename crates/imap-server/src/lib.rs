//! IMAP sessions over the message store.

pub mod access;
pub mod announcement;
pub mod answer;
pub mod apart;
pub mod commands;
pub mod context;
pub mod daemon;
pub mod flags;
pub mod gathering;
pub mod message_limit;
mod names;
pub mod notify;
pub mod refusal;
pub mod runs;
pub mod sections;
pub mod sequences;
pub mod server;
pub mod session;
pub mod settings;
pub mod state;
pub mod urls;
pub mod vanished;
pub mod view;

pub use server::{ImapService, Server};
pub use settings::Settings;
