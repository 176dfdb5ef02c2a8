//! Signatures of domains on messages: DKIM (RFC 6376, with RFC 8301 and RFC 8463) and ARC (RFC 8617), checked and made.
//!
//! A message is one slice of bytes whose lines end in CRLF; it may be a mapped file, its body is read once for each
//! canonicalization that somebody asks for. Nothing here fails: what strangers wrote wrongly is an [`Outcome`]. What they
//! can make grow is bounded: [`SIGNATURES_MAX`] signatures of a message are looked at, and all look-ups of keys for one
//! message together take [`LOOK_UPS_MAX`] at most, and the one that is under way then.

mod algorithm;
pub mod arc;
mod body;
mod canonical;
mod fields;
mod key_record;
mod keyring;
mod keys;
mod sign;
mod signature;
mod signer;
mod tags;
mod verify;

#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use keyring::{ACTIVE, KeyFault, Keyring, SigningKey};
pub use keys::{Keys, LOOK_UPS_MAX};
pub use sign::{SignError, Signing, sign};
pub use signer::Signer;
pub use verify::{Checked, Outcome, SIGNATURES_MAX, Verdicts, examine, verify};
