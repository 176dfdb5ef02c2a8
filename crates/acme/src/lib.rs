//! Certificates from an authority that speaks ACME (RFC 8555): ordered, put where the daemons look, renewed in time.
//!
//! [`renew`] does all of it: it looks whether a certificate is due, and whether it may be asked for now; takes the lock that
//! makes it the only one on the instance; orders, proves the names by http-01 (RFC 8555 §8.3), and puts key and certificate in place
//! at one stroke. What failed is waited for, longer each time, and is remembered on disk ([`state`]). The formats are in
//! `docs/formats/acme.md`.
//!
//! It has never heard of who answers a challenge, nor of who shows the certificate.

mod challenge;
mod client;
mod jose;
mod listener;
mod order;
mod pair;
mod renew;
mod settings;
pub mod state;

pub use challenge::Challenges;
pub use client::{Directory, Error, account_file};
pub use listener::Bound;
pub use pair::Installed;
pub use renew::{Outcome, Status, Wish, renew, status};
pub use settings::Settings;
