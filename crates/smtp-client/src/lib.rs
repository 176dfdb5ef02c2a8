//! The outgoing SMTP session of smtp-deliver (RFC 5321; LMTP of RFC 2033 by a switch): connects to one address of one
//! host, greets, turns TLS on, logs in where it must, and hands over message files one after another.
//!
//! Blocking: a session lives in one worker thread. Every step has its time limit, over the whole step and not only for
//! each read, so a peer that drips bytes holds no thread longer than one that is silent. Memory is bounded whatever
//! the message and whatever the peer says: content is streamed from its file through fixed buffers, replies have
//! limits.
//!
//! Never heard of queues, of DNS, or of when to try again: it says what the peer said about each recipient.
//! [`Session::connect`] fails with one [`Refused`]; after that nothing fails: [`Session::send`] gives an [`Outcome`]
//! for every recipient and says whether the session can take the next message.

mod auth;
mod connecting;
mod content;
mod dane;
mod envelope;
mod names;
mod offers;
mod outcome;
mod outgoing;
mod reply;
mod session;
mod settings;
mod tls;
mod transaction;
mod wire;

pub use dane::Tlsa;
pub use offers::Offers;
pub use outcome::{Kind, Outcome, Refused, TlsFault, Transaction};
pub use outgoing::{OutRecipient, Outgoing};
pub use reply::{Malformed, Reply, ReplyReader};
pub use session::Session;
pub use settings::{Credentials, Peer, Settings, Timeouts, TlsUse, Verify};
pub use smtp_wire::Ret;
