//! ARC: who handled a message on its way, and what each found (RFC 8617).

mod chain;
mod seal;
mod sets;

pub(crate) use chain::begin;
pub use chain::{Chain, ChainResult};
pub use seal::{Seal, seal};

use crate::keys::Keys;

/// The chain of `message`. `now` is in seconds since 1970.
pub fn check(message: &[u8], keys: &dyn Keys, now: u64) -> Chain {
    crate::verify::run(message, keys, now, false, true).chain
}
