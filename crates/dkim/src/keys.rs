//! Where public keys come from.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dns::DnsError;

/// For all keys of one message.
pub const LOOK_UPS_MAX: Duration = Duration::from_secs(60);

/// TXT records by name, the strings of each put together (RFC 6376 §3.6.2.2).
pub trait Keys {
    /// # Errors
    /// There is none, or nobody could tell.
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError>;
}

impl Keys for dns::Resolver {
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        dns::Resolver::txt(self, name)
    }
}

/// The look-ups for one message: each name once, all within a time.
pub(crate) struct LookUps<'k> {
    keys: &'k dyn Keys,
    since: Instant,
    known: HashMap<String, Result<Vec<Vec<u8>>, DnsError>>,
}

impl<'k> LookUps<'k> {
    pub(crate) fn new(keys: &'k dyn Keys) -> LookUps<'k> {
        LookUps { keys, since: Instant::now(), known: HashMap::new() }
    }

    pub(crate) fn txt(&mut self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        if self.since.elapsed() > LOOK_UPS_MAX {
            return Err(DnsError::Temporary("the look-ups of keys took too long".into()));
        }
        let found = self.keys.txt(name);
        self.known.insert(name.to_owned(), found.clone());
        found
    }
}
