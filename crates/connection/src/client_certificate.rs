//! Who a client is by its certificate, for SASL EXTERNAL (RFC 4422 appendix A).

use openssl::nid::Nid;
use openssl::ssl::SslRef;
use openssl::x509::X509VerifyResult;

/// Names of each kind at most.
const NAMES_MAX: usize = 16;

/// A certificate of an authority that the site believes (`local.encryption.clientauthorities`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Addresses: rfc822Name of the alternative names, then emailAddress of the subject.
    pub mail: Vec<String>,
    /// UID of the subject.
    pub uid: Vec<String>,
    /// Common names of the subject.
    pub cn: Vec<String>,
}

impl ClientCertificate {
    /// Of a connection whose handshake is done; nothing when the client showed none, or one that is not believed.
    pub(crate) fn of(ssl: &SslRef) -> Option<Box<ClientCertificate>> {
        let certificate = ssl.peer_certificate()?;
        if ssl.verify_result() != X509VerifyResult::OK {
            return None;
        }
        let subject = certificate.subject_name();
        let of = |nid: Nid| {
            let entries = subject.entries_by_nid(nid).take(NAMES_MAX);
            // A name with a NUL is made to be read in two ways.
            let texts = entries.filter_map(|entry| entry.data().to_string().ok());
            texts.filter(|text| !text.contains('\0')).collect::<Vec<String>>()
        };
        let alternatives = certificate.subject_alt_names();
        let mut mail: Vec<String> = alternatives
            .iter()
            .flatten()
            .filter_map(|one| one.email())
            .filter(|text| !text.contains('\0'))
            .take(NAMES_MAX)
            .map(str::to_owned)
            .collect();
        mail.extend(of(Nid::PKCS9_EMAILADDRESS));
        Some(Box::new(ClientCertificate { mail, uid: of(Nid::USERID), cn: of(Nid::COMMONNAME) }))
    }
}
