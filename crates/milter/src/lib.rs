//! Mail filters (milters): the MTA's side of sendmail's protocol, version 6, as libmilter speaks it.
//!
//! [`wire`] is the protocol as bytes. A [`Conversation`](conversation) is one connection to one filter. A [`Session`] tells
//! all filters of a listener what an SMTP client does, and gathers what they say. Every wait has a limit, and so has
//! whatever a filter sends; a filter that fails is logged, and its default action is done.

mod conversation;
mod failure;
mod macros;
mod message;
mod service;
mod session;
mod settings;
mod stream;
pub mod wire;

pub use failure::Failure;
pub use macros::Macros;
pub use message::{Changes, Message};
pub use session::{Client, Filters, Session, Shown, Verdict};
pub use settings::{Filter, OnFailure};
pub use wire::{Change, Peer, Refusal};
