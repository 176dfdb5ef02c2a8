//! POP3 sessions over the message store (RFC 1939).

pub mod commands;
pub mod daemon;
pub mod maildrop;
pub mod session;
pub mod settings;
pub mod state;

pub use session::{PopService, Session};
pub use settings::Settings;
