//! Whether what is published is what signs.

use std::io::Write;

use dkim::SigningKey;
use dns::{DnsError, Resolver};

use super::files::{KeyFile, State};
use super::say;
use crate::site::Site;

/// One line for each key.
///
/// # Errors
/// One that signs, or is to, is not published as it is.
pub fn run(site: &Site, keys: &[KeyFile], out: &mut dyn Write) -> Result<(), String> {
    let mut wrong = 0_usize;
    for key in keys {
        let found = key.load().and_then(|key| published(site, &key));
        let said = match &found {
            Ok(()) => "published".to_owned(),
            Err(why) => why.clone(),
        };
        // One that is old may have gone from DNS.
        wrong += usize::from(found.is_err() && key.state != State::Old);
        say(out, &format!("{} {} {}: {said}", key.domain, key.selector, key.state.word()))?;
    }
    match wrong {
        0 => Ok(()),
        _ => Err(format!("{} not published as it is here", crate::site::count(wrong, "key"))),
    }
}

/// # Errors
/// What is wrong with the published record; one clause.
pub fn published(site: &Site, key: &SigningKey) -> Result<(), String> {
    let settings = dns::Settings { cache_entries: Some(100), ..dns::Settings::from_config(&site.config) };
    let resolver = Resolver::new(settings, site.log.clone());
    let records = resolver.txt(&key.record_name()).map_err(|why| match why {
        DnsError::NoSuchDomain | DnsError::NoData => "it is not published".to_owned(),
        DnsError::Temporary(why) => format!("DNS cannot tell: {why}"),
    })?;
    match records.as_slice() {
        [] => Err("it is not published".into()),
        [one] => key.is_published_as(one),
        _ => Err(format!("{} records are published where there must be one", records.len())),
    }
}
