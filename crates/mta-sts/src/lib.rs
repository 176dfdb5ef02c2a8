//! MTA-STS (RFC 8461): what a domain publishes about the TLS of its mail servers.
//!
//! [`Policies::of`] says which policy holds for a domain now: its TXT record tells whether there is one and whether it has
//! changed, the policy itself is fetched over HTTPS from `mta-sts.<domain>`, and is kept on disk for as long as it says.
//! One fetch at a time for a domain; each is bounded in time and in bytes. A fetch that fails changes nothing: a
//! policy that was kept and is still good goes on to hold, and without one there is none.
//!
//! It has never heard of SMTP, nor of how names are looked up: that it is given.

mod fetch;
mod kept;
mod policies;
mod policy;
mod record;

pub use policies::{Fault, Found, Lookups, Policies, Settings};
pub use policy::{Mode, Policy};
