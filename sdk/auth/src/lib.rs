//! Logs a user in by proxy: with an administrator's credential, and without the user's password (S141). For portals and other
//! programs that know already who their user is.
//!
//! ```no_run
//! use mailboat_auth::{Authenticator, Security};
//!
//! let server = Authenticator::new("mail.example.org", "portal", "its password")?;
//! let sign_in = server.web(443, Security::Tls, "alice")?; // send the browser to sign_in.address, within a minute
//! let connection = server.imap(993, Security::Tls, "alice")?; // speak IMAP over it: alice is logged in
//! # Ok::<(), mailboat_auth::Error>(())
//! ```
//!
//! The server has the last word: the administrator is one of `store.admins`, this host is in `store.adminnetworks`, the user is
//! no administrator. Each use is in its log with both names.
//!
//! There is no global state. An [`Authenticator`] can be used by many threads at once; a [`Connection`] belongs to one at a time.
//! Credentials go over TLS with a certificate that was verified, or to this host itself; there is no switch that changes it.
//! Every wait ends, but that for the name service of the system.
//!
//! The same for C is in `include/mailboat_auth.h`. It knows nothing of the rest of Mailboat.
//!
//! // NMS: bin/msg/authsdk (guide line 1039)

mod authenticator;
mod c;
mod connection;
mod error;
mod imap;
mod pop;
mod web;
mod wire;

pub use authenticator::{Authenticator, Security};
pub use connection::Connection;
pub use error::{Error, Result, Status};
pub use web::SignIn;
