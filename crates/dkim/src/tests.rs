//! Whole messages: the standards' own, ours, and what becomes of them when they are changed.

mod agree;
mod arc;
mod published;
mod signing;

use std::cell::Cell;
use std::collections::BTreeMap;

use dns::DnsError;

use crate::{Algorithm, Keys, SigningKey};

/// A zone of TXT records; what it does not have does not exist.
#[derive(Default)]
pub(crate) struct Zone {
    records: BTreeMap<String, Result<Vec<Vec<u8>>, DnsError>>,
    asked: Cell<usize>,
}

impl Zone {
    pub(crate) fn with(mut self, name: &str, record: &str) -> Zone {
        self.records.insert(name.to_owned(), Ok(vec![record.as_bytes().to_vec()]));
        self
    }

    pub(crate) fn with_all(mut self, name: &str, records: &[&str]) -> Zone {
        let records = records.iter().map(|record| record.as_bytes().to_vec()).collect();
        self.records.insert(name.to_owned(), Ok(records));
        self
    }

    pub(crate) fn without(mut self, name: &str, why: DnsError) -> Zone {
        self.records.insert(name.to_owned(), Err(why));
        self
    }

    pub(crate) fn of(keys: &[&SigningKey]) -> Zone {
        let zone = Zone::default();
        keys.iter().fold(zone, |zone, key| zone.with(&key.record_name(), &key.record().unwrap()))
    }
}

impl Keys for Zone {
    fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        self.asked.set(self.asked.get() + 1);
        self.records.get(name).cloned().unwrap_or(Err(DnsError::NoSuchDomain))
    }
}

/// Lines end in CRLF.
pub(crate) fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

pub(crate) fn key(domain: &str, selector: &str, algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(domain, selector, algorithm, 2048).unwrap()
}

pub(crate) const NOW: u64 = 1_700_000_000;
