//! The exchange of credentials, the same for SMTP (RFC 4954), IMAP (RFC 9051 §6.2.2) and POP (RFC 5034).
//!
//! PLAIN (RFC 4616) and LOGIN (what mail clients still send). An [`Exchange`] is fed with lines and ends in
//! [`Step::Credentials`], a refusal or the client's cancellation; it never knows who may log in.

mod exchange;
mod secret;

pub use exchange::{Exchange, Mechanism, Step};
pub use secret::Secret;

/// Bytes of one base64 line at most (RFC 4954 §4 asks for 12288).
pub const LINE_BYTES_MAX: usize = 12_288;
/// Bytes of an identity or a password at most.
pub const FIELD_BYTES_MAX: usize = 1024;
