//! The DNS stub resolver of the MTA: blocking look-ups through the site's recursive name servers.
//!
//! What it promises beyond a look-up is the guide's behaviour: MX hosts of equal preference in random order (S57), a
//! host that failed leaves the cached list until its time is up (S58), MX look-ups ask the servers in the configured
//! order each time (S59), all others put a server that does not answer last (S60), answers are kept for their TTL
//! (S61) unless the cache is switched off (S62, S63).
//!
//! A server that refuses, fails or sends nonsense is passed over for the next one. Only when none is left does a
//! look-up end in [`DnsError::Temporary`]; "no such domain" and "no data" are said only when a server said so.
//! It has never heard of SMTP. The wire format is `hickory-proto`'s; there is no asynchronous runtime.

mod answer;
mod cache;
mod clients;
mod exchange;
mod failed_hosts;
mod flights;
mod hosts_file;
mod lookup;
mod name;
mod random;
mod reading;
mod resolv_conf;
mod resolver;
mod servers;
mod settings;

#[cfg(test)]
mod tests;

pub use answer::{Answer, DnsError, Host, Mx, Tlsa};
pub use clients::{Clients, NotFromHere};
pub use hosts_file::of_this_host;
pub use name::to_ascii as ascii_name;
pub use resolver::Resolver;
pub use settings::Settings;
