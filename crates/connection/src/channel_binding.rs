//! What tells one TLS connection from every other, for log-ins that are bound to it (RFC 5056).

use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::ssl::SslRef;
use openssl::x509::X509Ref;

/// `tls-exporter` and `tls-server-end-point`. There is no `tls-unique`: it says nothing in TLS 1.3 (RFC 9266 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelBindings {
    exporter: Option<[u8; 32]>,
    server_end_point: Option<Vec<u8>>,
}

impl ChannelBindings {
    /// Of a connection whose handshake is done; nothing when it has none.
    pub(crate) fn of(ssl: &SslRef) -> Option<Box<ChannelBindings>> {
        let bindings = ChannelBindings {
            exporter: exporter(ssl),
            server_end_point: ssl.certificate().and_then(server_end_point),
        };
        (bindings.exporter.is_some() || bindings.server_end_point.is_some()).then(|| Box::new(bindings))
    }

    /// The bytes of the binding of this name (IANA's registry of channel binding types).
    pub fn named(&self, name: &str) -> Option<Vec<u8>> {
        match name {
            "tls-exporter" => self.exporter.map(Vec::from),
            "tls-server-end-point" => self.server_end_point.clone(),
            _ => None,
        }
    }
}

/// RFC 9266 §2. With TLS 1.3 only: before it, it needs the extended master secret (§4.2), which a client may not have.
fn exporter(ssl: &SslRef) -> Option<[u8; 32]> {
    if ssl.version_str() != "TLSv1.3" {
        return None;
    }
    let mut bytes = [0; 32];
    ssl.export_keying_material(&mut bytes, "EXPORTER-Channel-Binding", Some(&[])).ok()?;
    Some(bytes)
}

/// The hash of our certificate, by the hash it is signed with, and SHA-256 for those that are broken (RFC 5929 §4.1). One
/// that is signed without a hash of its own (Ed25519, PSS) has none.
fn server_end_point(certificate: &X509Ref) -> Option<Vec<u8>> {
    let signed = certificate.signature_algorithm().object().nid().signature_algorithms()?;
    let digest = match signed.digest {
        Nid::MD5 | Nid::SHA1 => MessageDigest::sha256(),
        Nid::UNDEF => return None,
        other => MessageDigest::from_nid(other)?,
    };
    certificate.digest(digest).ok().map(|hash| hash.to_vec())
}
