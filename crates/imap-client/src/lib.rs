//! A client of IMAP (RFC 3501): the tools speak with other servers, and with our own, through it.
//!
//! It blocks, as a tool may. Nothing that a server says is believed: lines, literals, lists and waiting have limits, a
//! message's bytes go straight to who asked for them, and what makes no sense ends the session, with the reason.

mod error;
mod fetch;
mod login;
mod mailboxes;
mod namespace;
mod response;
mod session;
mod tls;
mod value;
mod wire;

pub use error::ImapError;
pub use fetch::{BodySink, Fetched};
pub use login::Credentials;
pub use mailboxes::{ListedMailbox, Selected};
pub use namespace::Namespaces;
pub use session::{Server, Session, quoted};
pub use tls::{Encryption, Trust};
