//! Mail that did not begin here and goes on to somebody elsewhere, by forwarding or a group: its envelope sender becomes one
//! of ours (SRS), so that SPF holds where it arrives, and it is sealed (ARC, RFC 8617), so that what was found of it here is
//! known there.
//!
//! Both happen when it is sent. In the queue it is as it came, so that reports made here go to its sender directly.

use base::content::Content;
use std::path::Path;
use std::sync::Arc;

use directory::LocalDomains;
use dkim::arc::{self, ChainResult, Seal};
use dkim::{Algorithm, SigningKey};
use mail_format::header::{header_length, raw_fields};
use mail_queue::QueueId;
use server_config::parameters::service_smtp;
use server_config::{Config, Instance};
use server_log::{Category, Log};
use smtp_wire::Address;
use srs::{NotOurs, Secrets, Srs};

use crate::mta::Desk;
use crate::work::Work;

/// What is done about it.
#[derive(Debug, Default)]
pub struct Onward {
    pub srs: Option<Arc<Srs>>,
    /// The domain whose key seals.
    pub sealer: Option<String>,
}

impl Onward {
    /// Makes the secret of SRS when there is none yet.
    ///
    /// # Errors
    /// The secret cannot be used: what comes back would not be known.
    pub fn from_config(config: &Config, instance: &Instance) -> Result<Onward, String> {
        let default = LocalDomains::from_config(config).default_domain().to_owned();
        let named = |name: String| if name.is_empty() { default.clone() } else { name };
        let sealer =
            config.get(&service_smtp::ARC_SEAL).then(|| named(config.get(&service_smtp::ARC_DOMAIN)));
        Ok(Onward { srs: srs(config, instance)?.map(Arc::new), sealer })
    }

    /// The envelope sender under which it goes on.
    pub fn sender(&self, domains: &LocalDomains, sender: Option<&str>) -> Option<String> {
        let sender = sender?;
        let rewrite = || {
            let address = Address::parse(sender.as_bytes(), false, true).ok()?;
            if domains.contains(&address.domain) {
                return None;
            }
            self.srs.as_ref()?.rewritten(&address.local, &address.domain, now())
        };
        Some(rewrite().unwrap_or_else(|| sender.to_owned()))
    }

    /// Whom a rewritten sender of ours stands for; nothing when the address is not meant to be one.
    pub fn original(&self, local: &str, domain: &str) -> Option<Result<String, NotOurs>> {
        let srs = self.srs.as_ref().filter(|srs| srs.is_meant(local, domain))?;
        let found = srs.original(local, now());
        Some(found.map(|(local, domain)| Address { local, domain }.to_string()))
    }
}

/// Makes what is made at the first start: the secret of SRS.
///
/// # Errors
/// One line, as at the start.
pub fn prepare(config: &Config, instance: &Instance) -> Result<(), String> {
    srs(config, instance).map(drop)
}

/// # Errors
/// The secret cannot be used, or its domain is not ours.
fn srs(config: &Config, instance: &Instance) -> Result<Option<Srs>, String> {
    if !config.get(&service_smtp::SRS) {
        return Ok(None);
    }
    let domains = LocalDomains::from_config(config);
    let named = config.get(&service_smtp::SRS_DOMAIN);
    let domain = if named.is_empty() { domains.default_domain().to_owned() } else { named };
    if !domains.contains(&domain) {
        return Err(format!(
            "{} is {domain}, which is not among the domains of this host: reports would not come back",
            service_smtp::SRS_DOMAIN.name
        ));
    }
    let path = instance.root().join(config.get(&service_smtp::SRS_SECRETS));
    let secrets = Secrets::load_or_make(Path::new(&path)).map_err(|why| format!("SRS: {why}"))?;
    let days = config.get(&service_smtp::SRS_AGE).as_secs() / 86_400;
    Ok(Some(Srs::new(&domain, secrets, days)))
}

/// Whether what goes to this recipient is sealed or has another sender: who took another's place, of mail that did not begin
/// here.
pub fn concerns(desk: &Desk, work: &Work, place: usize) -> bool {
    let envelope = &work.entry.envelope;
    let took_a_place =
        !envelope.through.is_empty() || envelope.recipients.get(place).is_some_and(|one| one.from.is_some());
    if !took_a_place || envelope.auth_sender.is_some() {
        return false;
    }
    let has_key = |domain: &String| !desk.signer.keys(domain).is_empty();
    let domain =
        envelope.sender.as_deref().and_then(|sender| sender.rsplit_once('@')).map(|(_, domain)| domain);
    let is_strange = domain.is_some_and(|domain| !desk.settings.domains.contains(domain));
    desk.onward.sealer.as_ref().is_some_and(has_key) || (desk.onward.srs.is_some() && is_strange)
}

/// The ARC set for a message that goes on; empty when it is not sealed. `content` is its file, and where it begins in it;
/// `encoded` the form in which it goes, if that is another. Asks DNS for the keys of a chain about which nothing was found
/// when the message arrived.
pub fn seal(desk: &Desk, id: &QueueId, content: (&Content, u64), encoded: Option<&Content>) -> Vec<u8> {
    let Some(key) = desk.onward.sealer.as_ref().and_then(|domain| sealing_key(desk, domain)) else {
        return Vec::new();
    };
    match sealed(desk, &key, content, encoded) {
        Ok(fields) => fields.unwrap_or_default(),
        Err(why) => {
            tell(&desk.log, id, &why);
            Vec::new()
        }
    }
}

fn tell(log: &Log, id: &QueueId, why: &str) {
    log.error(Category::Protocol, format_args!("{id}: not sealed: {why}"));
}

/// RSA before Ed25519, which many who look at chains do not know.
fn sealing_key(desk: &Desk, domain: &str) -> Option<SigningKey> {
    let keys = desk.signer.keys(domain);
    let rsa = keys.iter().find(|key| key.algorithm() == Algorithm::RsaSha256);
    rsa.or(keys.first()).cloned()
}

fn sealed(
    desk: &Desk,
    key: &SigningKey,
    content: (&Content, u64),
    encoded: Option<&Content>,
) -> Result<Option<Vec<u8>>, String> {
    let original = content.0.whole().map_err(|why| why.to_string())?;
    let text = usize::try_from(content.1).ok().and_then(|at| original.get(at..)).unwrap_or_default();
    let results = results(&text[..header_length(text)]);
    let chain = match results.as_deref().and_then(chain_in) {
        Some(chain) => chain,
        None => {
            let chain = arc::check(text, &desk.outbound.resolver, now());
            if chain.temporary {
                return Ok(None); // neither good nor bad: it is left as it is
            }
            chain.result
        }
    };
    let results = results.unwrap_or_else(|| format!("{}; none", desk.settings.host_name));
    let seal = Seal { chain: &chain, results: &results, now: now() };
    let sealed = match encoded {
        None => arc::seal(text, key, &seal),
        Some(encoded) => {
            let encoded = encoded.whole().map_err(|why| why.to_string())?;
            arc::seal(&encoded, key, &seal)
        }
    };
    sealed.map_err(|why| why.to_string())
}

/// What this host found when the message arrived: the value of the Authentication-Results field above its own Received
/// field. What stands below came with the message and is not believed.
fn results(header: &[u8]) -> Option<String> {
    for field in raw_fields(header) {
        let Some(colon) = memchr::memchr(b':', field) else { continue };
        let (name, value) = (field[..colon].trim_ascii(), field[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"authentication-results") {
            // The fields of a seal are ASCII, as everybody takes them.
            let ascii = value.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' });
            return Some(ascii.collect());
        }
        // A copy's own Received says only by whom; that of the arrival also from whom.
        if name.eq_ignore_ascii_case(b"received")
            && value.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"from "))
        {
            return None;
        }
    }
    None
}

/// `arc=` in our results (RFC 8617 §4.4).
fn chain_in(results: &str) -> Option<ChainResult> {
    let found = parts(results).into_iter().skip(1).find_map(|part| part.trim_start().strip_prefix("arc="))?;
    Some(match found.split(|c: char| !c.is_ascii_alphabetic()).next()? {
        "pass" => ChainResult::Pass,
        "none" => ChainResult::None,
        "fail" => ChainResult::Fail("it had failed when it arrived".into()),
        _ => return None,
    })
}

/// What stands between semicolons that are not in quotes: what is quoted is a stranger's.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut in_quotes, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_quotes => is_escaped = true,
            b'"' => in_quotes = !in_quotes,
            b';' if !in_quotes => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

fn now() -> u64 {
    base::clock::unix_seconds().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_results_above_the_field_of_the_arrival_are_ours() {
        let ours = "Authentication-Results: us.example;\r\n\tarc=pass (i=1); spf=pass\r\n";
        let arrival = "Received: from x ([192.0.2.1])\r\n\tby us; now\r\n";
        let forged = "Authentication-Results: us.example; arc=none; dkim=pass\r\nFrom: a\r\n\r\n";
        let found = |header: &str| results(header.as_bytes());
        assert_eq!(found(&format!("{arrival}{forged}")), None);
        let whole = format!("Received: by us id X;\r\n\tnow\r\nResent-From: list\r\n{ours}{arrival}{forged}");
        assert_eq!(found(&whole).unwrap(), "us.example;\r\n\tarc=pass (i=1); spf=pass");
        assert_eq!(chain_in(&found(&whole).unwrap()), Some(ChainResult::Pass));
    }

    #[test]
    fn what_was_found_of_the_chain_is_taken_from_the_results() {
        assert_eq!(chain_in("us; spf=pass; ARC=none"), None);
        assert_eq!(chain_in("us; spf=pass; arc=none"), Some(ChainResult::None));
        assert!(matches!(chain_in("us; arc=fail (why)"), Some(ChainResult::Fail(_))));
        assert_eq!(chain_in("us; none"), None);
        assert_eq!(chain_in("arc=pass"), None, "that is the name of a host");
        let quoted = "us; spf=none smtp.mailfrom=\"\\\"; arc=pass; \"@x.example; dkim=none; arc=fail";
        assert!(matches!(chain_in(quoted), Some(ChainResult::Fail(_))), "what strangers say is in quotes");
    }

    #[test]
    fn senders_elsewhere_are_rewritten_and_ours_are_not() {
        let srs = Srs::new("ours.example", Secrets::from_text("s").unwrap(), 21);
        let onward = Onward { srs: Some(Arc::new(srs)), sealer: None };
        let domains = LocalDomains::new(["ours.example".into()], "ours.example");
        let sender = |text: Option<&str>| onward.sender(&domains, text);
        assert_eq!(sender(None), None);
        assert_eq!(sender(Some("joe@ours.example")).as_deref(), Some("joe@ours.example"));
        assert_eq!(sender(Some("\"a b\"@x.example")).as_deref(), Some("\"a b\"@x.example"));
        let new = sender(Some("joe@x.example")).unwrap();
        let (local, domain) = new.split_once('@').unwrap();
        assert_eq!(onward.original(local, domain), Some(Ok("joe@x.example".into())));
        assert_eq!(onward.original("joe", domain), None);
        assert!(onward.original("SRS0=AAAA=BB=x.example=joe", domain).is_some_and(|found| found.is_err()));
        assert_eq!(Onward::default().sender(&domains, Some("a@b.example")).as_deref(), Some("a@b.example"));
    }
}
