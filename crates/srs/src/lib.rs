//! The Sender Rewriting Scheme: when mail of somebody elsewhere is forwarded to somebody elsewhere, its envelope sender
//! becomes an address of ours, so that SPF holds where it arrives, and reports come back through us.
//!
//! ```text
//! joe@example.org                      becomes  SRS0=HHHH=TT=example.org=joe@ours
//! SRS0=hhhh=tt=example.org=joe@first   becomes  SRS1=HHHH=first==hhhh=tt=example.org=joe@ours
//! ```
//!
//! HHHH is the beginning of an HMAC-SHA1 in base64, TT the day in base32. As Mail::SRS, libsrs2 and postsrsd write it, and
//! with the same secret theirs are ours (<https://www.libsrs2.org/srs/srs.pdf>). It has never heard of mail.

mod secrets;

use std::fmt;

use base64::Engine;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::sign::Signer;

pub use secrets::{Secrets, SecretsFault};

/// Characters of a hash. More would not fit in a local part, and four is what everybody uses.
const HASH_LENGTH: usize = 4;
const DAY: u64 = 86_400;
/// A day is told in two digits of base32: they begin again after so many.
const DAYS: u64 = 1024;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Bytes of an address (RFC 5321 §4.5.3.1.3, without the angle brackets).
const ADDRESS_MAX: usize = 254;

/// Rewrites and recognises addresses of one domain.
#[derive(Clone, Debug)]
pub struct Srs {
    domain: String,
    secrets: Secrets,
    days_max: u64,
}

/// Why an address is not one that we made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// It is written as none is.
    Malformed,
    /// We have not written it, or not with a secret that we have still.
    Forged,
    /// It is too old to be answered.
    Expired,
}

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotOurs::Malformed => "no rewritten address that could be ours",
            NotOurs::Forged => "a rewritten address that was not made here",
            NotOurs::Expired => "a rewritten address that has expired",
        })
    }
}
impl std::error::Error for NotOurs {}

impl Srs {
    /// Addresses are in `domain`, and good for `days_max` days, of 1023 at most.
    pub fn new(domain: &str, secrets: Secrets, days_max: u64) -> Srs {
        Srs { domain: domain.to_lowercase(), secrets, days_max: days_max.min(DAYS - 1) }
    }

    /// The domain of rewritten addresses, lower case.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Whether an address is in our domain and looks like one of a rewritten sender. Local parts are without quotes.
    pub fn is_meant(&self, local: &str, domain: &str) -> bool {
        tagged(local).is_some() && domain.eq_ignore_ascii_case(&self.domain)
    }

    /// The sender that stands for `local@domain`, at `now` in seconds since 1970. `None`: it cannot be rewritten: it would be
    /// too long, or its local part is one that needs quotes.
    pub fn rewritten(&self, local: &str, domain: &str, now: u64) -> Option<String> {
        if !is_plain(local) || domain.is_empty() || domain.contains('=') {
            return None;
        }
        let secret = self.secrets.first();
        let new = match tagged(local) {
            Some((Tag::First, rest)) => {
                let hash = hash(secret, &[domain, rest]);
                format!("SRS1={hash}={domain}={rest}")
            }
            Some((Tag::Later, rest)) => {
                // Of a chain of forwarders only the first is kept, and the last.
                let (_, kept) = rest.get(1..)?.split_once('=')?;
                let (first, rest) = kept.split_once('=')?;
                let hash = hash(secret, &[first, rest]);
                format!("SRS1={hash}={first}={rest}")
            }
            None => {
                let day = day(now);
                let hash = hash(secret, &[&day, domain, local]);
                format!("SRS0={hash}={day}={domain}={local}")
            }
        };
        let address = format!("{new}@{}", self.domain);
        (address.len() <= ADDRESS_MAX).then_some(address)
    }

    /// Whom a rewritten sender stands for: local part (without quotes) and domain.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn original(&self, local: &str, now: u64) -> Result<(String, String), NotOurs> {
        let (tag, rest) = tagged(local).ok_or(NotOurs::Malformed)?;
        let (given, rest) = rest[1..].split_once('=').ok_or(NotOurs::Malformed)?;
        match tag {
            Tag::First => {
                let mut parts = rest.splitn(3, '=');
                let (Some(day), Some(domain), Some(local)) = (parts.next(), parts.next(), parts.next())
                else {
                    return Err(NotOurs::Malformed);
                };
                self.check(given, &[day, domain, local])?;
                let age = age(day, now).ok_or(NotOurs::Malformed)?;
                if age > self.days_max {
                    return Err(NotOurs::Expired);
                }
                Ok((local.to_owned(), domain.to_owned()))
            }
            Tag::Later => {
                let (first, rest) = rest.split_once('=').ok_or(NotOurs::Malformed)?;
                self.check(given, &[first, rest])?;
                Ok((format!("SRS0{rest}"), first.to_owned()))
            }
        }
    }

    /// Mail servers on the way may have changed the case of anything.
    fn check(&self, given: &str, parts: &[&str]) -> Result<(), NotOurs> {
        let fits = |secret: &[u8]| {
            let right = hash(secret, parts);
            given.len() == right.len()
                && given.len() == HASH_LENGTH
                && memcmp::eq(given.to_ascii_lowercase().as_bytes(), right.to_ascii_lowercase().as_bytes())
        };
        if self.secrets.all().any(fits) { Ok(()) } else { Err(NotOurs::Forged) }
    }
}

#[derive(Clone, Copy)]
enum Tag {
    /// `SRS0`
    First,
    /// `SRS1`
    Later,
}

/// What stands behind the tag, with the separator, which some write `+` or `-`.
fn tagged(local: &str) -> Option<(Tag, &str)> {
    let (tag, rest) = local.split_at_checked(4)?;
    let is_apart = matches!(rest.as_bytes().first(), Some(b'=' | b'+' | b'-'));
    let tag = match () {
        () if tag.eq_ignore_ascii_case("SRS0") => Tag::First,
        () if tag.eq_ignore_ascii_case("SRS1") => Tag::Later,
        () => return None,
    };
    is_apart.then_some((tag, rest))
}

/// Whether it needs no quotes (RFC 5321 §4.1.2: Dot-string), in any alphabet (RFC 6531 §3.3).
fn is_plain(local: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii();
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(plain))
}

fn day(now: u64) -> String {
    let day = now / DAY % DAYS;
    let digit = |number: u64| char::from(BASE32[(number % 32) as usize]);
    [digit(day / 32), digit(day)].iter().collect()
}

/// Days since a day was told; one in the future is told from before the digits began again.
fn age(day: &str, now: u64) -> Option<u64> {
    let [high, low] = day.as_bytes() else { return None };
    let value = |digit: &u8| BASE32.iter().position(|one| one.eq_ignore_ascii_case(digit));
    let then = (value(high)? * 32 + value(low)?) as u64;
    Some((now / DAY % DAYS + DAYS - then) % DAYS)
}

/// The beginning of the HMAC of all parts in lower case.
fn hash(secret: &[u8], parts: &[&str]) -> String {
    let text: String = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let made = PKey::hmac(secret).and_then(|key| {
        let mut signer = Signer::new(MessageDigest::sha1(), &key)?;
        signer.sign_oneshot_to_vec(text.as_bytes())
    });
    // Without the library nothing is forwarded with a sender that would be found to be ours.
    let encoded = base64::engine::general_purpose::STANDARD.encode(made.unwrap_or_default());
    encoded.chars().take(HASH_LENGTH).collect()
}

#[cfg(test)]
mod tests;
