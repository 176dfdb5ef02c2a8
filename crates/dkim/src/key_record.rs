//! Key records: what a domain publishes at `selector._domainkey.domain` (RFC 6376 §3.6.1, RFC 8463 §4).

use dns::DnsError;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;

use crate::algorithm::Algorithm;
use crate::keys::LookUps;
use crate::tags::{Tags, base64, colon_list};
use crate::verify::Outcome;

/// RFC 8301 §3.2: shorter ones are not accepted. Longer ones than 8192 bits would cost more than they are worth.
const RSA_BITS: std::ops::RangeInclusive<u32> = 1024..=8192;
/// TXT records of one name that are looked at.
const RECORDS_MAX: usize = 10;

/// A public key and how it may be used.
pub(crate) struct PublicKey {
    pub(crate) key: PKey<Public>,
    pub(crate) bits: u32,
    /// `t=y`
    pub(crate) testing: bool,
    /// `t=s`: the identity is of the very domain, not of one below it.
    pub(crate) strict: bool,
}

/// The key of a signature by this algorithm.
///
/// # Errors
/// What becomes of the signature without it.
pub(crate) fn find(
    look_ups: &mut LookUps<'_>,
    domain: &str,
    selector: &str,
    algorithm: Algorithm,
) -> Result<PublicKey, Outcome> {
    let records = look_ups.txt(&format!("{selector}._domainkey.{domain}")).map_err(|why| match why {
        DnsError::NoSuchDomain | DnsError::NoData => Outcome::PermError("no key is published".into()),
        DnsError::Temporary(why) => Outcome::TempError(format!("the key cannot be looked up: {why}")),
    })?;
    let mut first = None;
    for record in records.iter().take(RECORDS_MAX) {
        match read(record, algorithm) {
            Ok(key) => return Ok(key),
            Err(why) => first = first.or(Some(why)),
        }
    }
    Err(first.unwrap_or_else(|| Outcome::PermError("no key is published".into())))
}

pub(crate) fn read(record: &[u8], algorithm: Algorithm) -> Result<PublicKey, Outcome> {
    let tags = Tags::read(record)
        .map_err(|why| Outcome::PermError(format!("the key record cannot be read: {why}")))?;
    let refused = |why: &str| Err(Outcome::PermError(why.to_owned()));
    if let Some(version) = tags.find("v")
        && (version != b"DKIM1" || !tags.is_first("v"))
    {
        return refused("the key record has another version");
    }
    if let Some(hashes) = tags.find("h")
        && !colon_list(hashes).any(|one| one == algorithm.hash().as_bytes())
    {
        return refused("the key is not for this hash algorithm");
    }
    if tags.find("k").unwrap_or(b"rsa") != algorithm.key_type().as_bytes() {
        return refused("the key is of another type");
    }
    if let Some(services) = tags.find("s")
        && !colon_list(services).any(|one| one == b"*" || one == b"email")
    {
        return refused("the key is not for mail");
    }
    let key = match tags.find("p").map(base64) {
        Some(Some(key)) if key.is_empty() => return refused("the key is revoked"),
        Some(Some(key)) => key,
        Some(None) => return refused("the key is not in base64"),
        None => return refused("the key record has no key"),
    };
    let unreadable = || Outcome::PermError("the key cannot be read".into());
    let key = public_key(&key, algorithm).ok_or_else(unreadable)?;
    if key.id() == Id::RSA && !RSA_BITS.contains(&key.bits()) {
        return Err(Outcome::Policy(format!("a key of {} bits is not accepted", key.bits())));
    }
    let flag = |flag: &[u8]| tags.find("t").is_some_and(|flags| colon_list(flags).any(|one| one == flag));
    Ok(PublicKey { bits: key.bits(), testing: flag(b"y"), strict: flag(b"s"), key })
}

/// RSA keys are a SubjectPublicKeyInfo, or an RSAPublicKey as the words of RFC 6376 §3.6.1 have it; Ed25519 keys are 32 bytes.
fn public_key(key: &[u8], algorithm: Algorithm) -> Option<PKey<Public>> {
    match algorithm {
        Algorithm::Ed25519Sha256 => PKey::public_key_from_raw_bytes(key, Id::ED25519).ok(),
        Algorithm::RsaSha256 | Algorithm::RsaSha1 => {
            let rsa = Rsa::public_key_from_der(key).or_else(|_| Rsa::public_key_from_der_pkcs1(key)).ok()?;
            PKey::from_rsa(rsa).ok()
        }
    }
}
