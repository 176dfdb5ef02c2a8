//! The exchange of credentials, the same for SMTP (RFC 4954), IMAP (RFC 9051 §6.2.2) and POP (RFC 5034).
//!
//! PLAIN (RFC 4616) and LOGIN (what mail clients still send), which say the password; SCRAM ([`scram`]), which proves it;
//! OAUTHBEARER (RFC 7628) and XOAUTH2, which say a token; CRAM-MD5 (RFC 2195) and ANONYMOUS (RFC 4505).
//! An [`Exchange`] is fed with lines and ends in [`Step::Credentials`], [`Step::Proved`], a refusal or the client's
//! cancellation; it never knows who may log in.

mod exchange;
mod mechanism;
mod prepare;
pub mod scram;
mod secret;

pub use exchange::{Claim, Exchange, Step};
pub use mechanism::Mechanism;
pub use secret::Secret;

/// Bytes of one base64 line at most (RFC 4954 §4 asks for 12288).
pub const LINE_BYTES_MAX: usize = 12_288;
/// Bytes of an identity or a password at most.
pub const FIELD_BYTES_MAX: usize = 1024;
