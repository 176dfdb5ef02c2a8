//! An authority of the test's own, and certificates it issues.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

/// A root certificate and its key.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A host's certificate, its key, and who issued it.
#[derive(Clone)]
pub struct Certificate {
    pub leaf: X509,
    pub key: PKey<Private>,
    pub issuer: X509,
}

impl Default for Authority {
    fn default() -> Authority {
        Authority::new()
    }
}

impl Authority {
    /// A fresh one.
    pub fn new() -> Authority {
        let key = new_key();
        let subject = name("Test authority");
        let mut builder = begin(&subject, &subject, &key);
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Authority { certificate: builder.build(), key }
    }

    /// Issues a certificate for a host.
    pub fn issue(&self, host: &str) -> Certificate {
        self.issue_until(host, &Asn1Time::days_from_now(30).unwrap())
    }

    /// One that is no longer good.
    pub fn issue_expired(&self, host: &str) -> Certificate {
        self.issue_until(host, &Asn1Time::from_unix(1_700_000_000).unwrap())
    }

    fn issue_until(&self, host: &str, end: &Asn1Time) -> Certificate {
        let key = new_key();
        let mut builder = begin(&name(host), self.certificate.subject_name(), &key);
        builder.set_not_before(&Asn1Time::from_unix(1_600_000_000).unwrap()).unwrap();
        builder.set_not_after(end).unwrap();
        let names = SubjectAlternativeName::new()
            .dns(host)
            .build(&builder.x509v3_context(Some(&self.certificate), None))
            .unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        Certificate { leaf: builder.build(), key, issuer: self.certificate.clone() }
    }

    /// The root in PEM.
    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }
}

impl Certificate {
    /// The data of a TLSA record of usage 3 that this certificate fits, as a zone file has it.
    pub fn tlsa(&self) -> String {
        let key = self.leaf.public_key().unwrap().public_key_to_der().unwrap();
        let digest = openssl::hash::hash(MessageDigest::sha256(), &key).unwrap();
        format!("3 1 1 {}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    /// What a server shakes hands with; it shows the issuer too.
    pub fn acceptor(&self) -> SslAcceptor {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        builder.set_certificate(&self.leaf).unwrap();
        builder.set_private_key(&self.key).unwrap();
        builder.add_extra_chain_cert(self.issuer.clone()).unwrap();
        builder.build()
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn name(common: &str) -> X509Name {
    let mut builder = X509NameBuilder::new().unwrap();
    builder.append_entry_by_nid(Nid::COMMONNAME, common).unwrap();
    builder.build()
}

fn begin(subject: &X509Name, issuer: &openssl::x509::X509NameRef, key: &PKey<Private>) -> X509Builder {
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_issuer_name(issuer).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
    builder
}
