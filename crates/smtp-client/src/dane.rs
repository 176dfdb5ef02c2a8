//! DANE: certificates that the DNS vouches for (RFC 6698, RFC 7671, RFC 7672).
//!
//! Whether the records came by DNSSEC is the caller's affair; without that they prove nothing. Usages 0 and 1 are of
//! no use in SMTP (RFC 7672 §3.1.3); when no record is usable, TLS is required and nothing is proved (§2.2).

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::ssl::SslRef;
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509PurposeId, X509Ref, X509StoreContext};

use crate::TlsFault;

const TRUST_ANCHOR: u8 = 2;
const END_ENTITY: u8 = 3;

/// One TLSA record (RFC 6698 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    /// 2: the authority that issued the peer's certificate; 3: the certificate itself.
    pub usage: u8,
    /// 0: the whole certificate; 1: its public key.
    pub selector: u8,
    /// 0: the data itself; 1: its SHA-256; 2: its SHA-512.
    pub matching: u8,
    /// What it must be.
    pub data: Vec<u8>,
}

impl Tlsa {
    /// Whether SMTP can make something of it.
    pub fn is_usable(&self) -> bool {
        let length = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        matches!(self.usage, TRUST_ANCHOR | END_ENTITY) && self.selector <= 1 && length
    }

    fn fits(&self, certificate: &X509Ref) -> Result<bool, ErrorStack> {
        let selected = match self.selector {
            0 => certificate.to_der()?,
            _ => certificate.public_key()?.public_key_to_der()?,
        };
        let found = match self.matching {
            0 => selected,
            1 => openssl::hash::hash(MessageDigest::sha256(), &selected)?.to_vec(),
            _ => openssl::hash::hash(MessageDigest::sha512(), &selected)?.to_vec(),
        };
        Ok(found.len() == self.data.len() && memcmp::eq(&found, &self.data))
    }
}

/// Whether the peer at the other end of `ssl` is the one of `records`; false when they prove nothing because none of them
/// is usable. With usage 2 its certificate is for one of `names`.
///
/// # Errors
/// It is not, in one clause.
pub(crate) fn check(records: &[Tlsa], ssl: &SslRef, names: &[String]) -> Result<bool, (TlsFault, String)> {
    let usable: Vec<&Tlsa> = records.iter().filter(|record| record.is_usable()).collect();
    if usable.is_empty() {
        return Ok(false);
    }
    let wrong = |why: &str| (TlsFault::Other, why.to_owned());
    let leaf = ssl.peer_certificate().ok_or_else(|| wrong("it shows no certificate"))?;
    let chain: Vec<X509> =
        ssl.peer_cert_chain().map(|chain| chain.iter().map(X509Ref::to_owned).collect()).unwrap_or_default();
    let fits = |record: &Tlsa, certificate: &X509Ref| record.fits(certificate).unwrap_or(false);
    // RFC 7672 §3.1.1: the key is what counts; names and dates do not.
    if usable.iter().any(|record| record.usage == END_ENTITY && fits(record, &leaf)) {
        return Ok(true);
    }
    for record in usable.iter().filter(|record| record.usage == TRUST_ANCHOR) {
        // An authority that is in the record as a whole need not be in the chain (RFC 7671 §5.2.1).
        let whole = match (record.selector, record.matching) {
            (0, 0) => X509::from_der(&record.data).ok(),
            _ => None,
        };
        let anchors = chain.iter().filter(|certificate| fits(record, certificate)).cloned().chain(whole);
        for anchor in anchors {
            let below = |name: &String| is_issued_below(&anchor, &leaf, &chain, name).unwrap_or(false);
            if names.iter().any(below) {
                return Ok(true);
            }
        }
    }
    Err(wrong("its certificate fits no TLSA record"))
}

/// RFC 7672 §3.1.2: chain, dates and name are checked below the anchor.
fn is_issued_below(anchor: &X509Ref, leaf: &X509Ref, chain: &[X509], host: &str) -> Result<bool, ErrorStack> {
    let mut parameters = X509VerifyParam::new()?;
    parameters.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    parameters.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
    parameters.set_host(host)?;
    parameters.set_purpose(X509PurposeId::SSL_SERVER)?;
    let mut store = X509StoreBuilder::new()?;
    store.add_cert(anchor.to_owned())?;
    store.set_param(&parameters)?;
    let mut others = Stack::new()?;
    for certificate in chain {
        others.push(certificate.clone())?;
    }
    X509StoreContext::new()?.init(&store.build(), leaf, &others, |context| context.verify_cert())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_that_smtp_knows_are_usable() {
        let record =
            |usage, selector, matching, length| Tlsa { usage, selector, matching, data: vec![0; length] };
        for usable in [record(3, 1, 1, 32), record(2, 0, 2, 64), record(3, 0, 0, 9)] {
            assert!(usable.is_usable(), "{usable:?}");
        }
        for useless in [
            record(1, 1, 1, 32),
            record(0, 0, 1, 32),
            record(3, 2, 1, 32),
            record(3, 1, 3, 32),
            record(3, 1, 1, 31),
            record(3, 0, 0, 0),
        ] {
            assert!(!useless.is_usable(), "{useless:?}");
        }
    }
}
