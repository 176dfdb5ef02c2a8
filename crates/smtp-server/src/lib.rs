//! smtp-accept: a conversation that ends in a committed queue entry (RFC 5321, RFC 6409).
//!
//! What becomes of the entry is the mta's; the two meet only in the queue. 250 to the end of data is said when the queue
//! has made message and envelope durable, never before. [`Accept`] is the service for the dispatcher.

pub mod accept;
pub mod commands;
pub mod content;
mod filtering;
pub mod header;
pub mod inspection;
pub mod listening;
pub mod lmtp;
pub mod plugged;
pub mod rates;
pub mod receiving;
pub mod refusals;
mod replies;
pub mod rewrite;
pub mod session;
pub mod settings;
pub mod signing;
pub mod state;
pub mod verification;

pub use accept::Accept;
pub use listening::listening;
pub use settings::Settings;
