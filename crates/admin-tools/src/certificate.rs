//! A private certificate authority and a certificate of it, for an instance that has none yet.

use std::net::IpAddr;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

use crate::setup::write_new;

/// Days a certificate lives: what browsers and mail clients take at most.
const SERVER_DAYS: u32 = 397;
const AUTHORITY_DAYS: u32 = 3650;

/// Writes `ca.pem`, `ca.key`, `server.crt` (with its chain) and `server.key`.
///
/// # Errors
/// A file is there already, or the library refuses.
pub fn make(folder: &Path, host: &str, addresses: &[IpAddr]) -> Result<(), String> {
    let made = |why: ErrorStack| format!("certificate: {why}");
    let ca_key = key().map_err(made)?;
    let ca = authority(&ca_key, host).map_err(made)?;
    let server_key = key().map_err(made)?;
    let server = server(&server_key, &ca, &ca_key, host, addresses).map_err(made)?;
    let pem = |key: &PKey<Private>| key.private_key_to_pem_pkcs8().map_err(made);
    let ca_pem = ca.to_pem().map_err(made)?;
    let chain = [server.to_pem().map_err(made)?, ca_pem.clone()].concat();
    write_new(&folder.join("ca.key"), &pem(&ca_key)?, 0o600)?;
    write_new(&folder.join("ca.pem"), &ca_pem, 0o644)?;
    write_new(&folder.join("server.key"), &pem(&server_key)?, 0o600)?;
    write_new(&folder.join("server.crt"), &chain, 0o644)
}

fn key() -> Result<PKey<Private>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&group)?)
}

fn begin(days: u32) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(159, MsbOption::MAYBE_ZERO, false)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    // A clock that is a little behind must not refuse it.
    let yesterday = base::clock::unix_seconds() - 86_400;
    let start = Asn1Time::from_unix(yesterday)?;
    builder.set_not_before(&start)?;
    let end = Asn1Time::days_from_now(days)?;
    builder.set_not_after(&end)?;
    Ok(builder)
}

fn authority(key: &PKey<Private>, host: &str) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, "Mailboat")?;
    let common: String = format!("Mailboat private authority of {host}").chars().take(64).collect();
    name.append_entry_by_nid(Nid::COMMONNAME, &common)?;
    let name = name.build();
    let mut builder = begin(AUTHORITY_DAYS)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(key)?;
    builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
    builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(identifier)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

fn server(
    key: &PKey<Private>,
    ca: &X509,
    ca_key: &PKey<Private>,
    host: &str,
    addresses: &[IpAddr],
) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    let common: String = host.chars().take(64).collect();
    name.append_entry_by_nid(Nid::COMMONNAME, &common)?;
    let name = name.build();
    let mut builder = begin(SERVER_DAYS)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(ca.subject_name())?;
    builder.set_pubkey(key)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    let mut alternatives = SubjectAlternativeName::new();
    alternatives.dns(host);
    if host != "localhost" {
        alternatives.dns("localhost");
    }
    for address in addresses {
        alternatives.ip(&address.to_string());
    }
    let context = builder.x509v3_context(Some(ca), None);
    let alternatives = alternatives.build(&context)?;
    let subject = SubjectKeyIdentifier::new().build(&context)?;
    let issuer = AuthorityKeyIdentifier::new().keyid(false).build(&context)?;
    builder.append_extension(alternatives)?;
    builder.append_extension(subject)?;
    builder.append_extension(issuer)?;
    builder.sign(ca_key, MessageDigest::sha256())?;
    Ok(builder.build())
}
