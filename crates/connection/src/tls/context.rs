//! From pairs to the contexts that OpenSSL serves with.

use std::fs;
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::ocsp::{OcspResponse, OcspResponseStatus};
use openssl::ssl::{
    AlpnError, NameType, SniError, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslMode,
    SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;

use server_config::parameters::encryption;

use super::files::{Certificates, Pair};
use super::{TlsError, reason};

/// Bytes of an OCSP response that are sent along.
const OCSP_BYTES_MAX: u64 = 16 * 1024;

/// A context, and the names that it is for.
struct Named {
    pair: Pair,
    context: SslContext,
}

/// The context for new connections: with the usual pair, and by name with the others.
pub(super) fn build(files: &Certificates, protocol: Option<&'static str>) -> Result<SslContext, TlsError> {
    let groups = grouped(files.pairs()?);
    let mut groups = groups.into_iter();
    let Some(usual) = groups.next() else {
        return Err(TlsError::of(&files.usual.0, "there is no certificate".into()));
    };
    let mut others = Vec::new();
    for group in groups {
        let context = base(files, &group, protocol)?.build();
        others.extend(group.into_iter().map(|pair| Named { pair, context: context.clone() }));
    }
    let mut builder = base(files, &usual, protocol)?;
    if !others.is_empty() {
        let others = Arc::new(others);
        builder.set_servername_callback(move |ssl, _| {
            let asked = ssl.servername(NameType::HOST_NAME).map(str::to_ascii_lowercase);
            let usual = |name: &str| usual.iter().any(|pair| pair.is_for(name));
            let Some(name) = asked.filter(|name| !usual(name)) else { return Ok(()) };
            match others.iter().find(|one| one.pair.is_for(&name)) {
                Some(one) => ssl.set_ssl_context(&one.context).map_err(|_| SniError::ALERT_FATAL),
                None => Ok(()), // RFC 6066 §3: who has no such name may go on with another
            }
        });
    }
    Ok(builder.build())
}

/// Pairs for the same names with keys of different kinds (ECDSA and RSA) are one, so that each client gets what it knows.
/// The usual one is first.
fn grouped(pairs: Vec<Pair>) -> Vec<Vec<Pair>> {
    let mut groups: Vec<Vec<Pair>> = Vec::new();
    for pair in pairs {
        let same = |group: &&mut Vec<Pair>| {
            let first = &group[0];
            let names = |pair: &Pair| {
                let mut names = pair.names.clone();
                names.sort();
                names
            };
            !pair.names.is_empty()
                && names(first) == names(&pair)
                && group.iter().all(|other| other.kind != pair.kind)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(pair),
            None => groups.push(vec![pair]),
        }
    }
    groups
}

fn base(
    files: &Certificates,
    group: &[Pair],
    protocol: Option<&'static str>,
) -> Result<SslContextBuilder, TlsError> {
    let usual = &group[0].chain;
    let at = |error: ErrorStack| TlsError::of(usual, reason(&error));
    let mut builder = SslContext::builder(SslMethod::tls_server()).map_err(at)?;
    for Pair { chain, key, .. } in group {
        builder.set_certificate_chain_file(chain).map_err(|why| TlsError::of(chain, reason(&why)))?;
        builder.set_private_key_file(key, SslFiletype::PEM).map_err(|why| TlsError::of(key, reason(&why)))?;
        builder.check_private_key().map_err(|why| TlsError::of(key, reason(&why)))?;
    }
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(at)?;
    let refused = |why: ErrorStack| {
        let text = format!("'{}': {}", files.ciphers, reason(&why));
        TlsError::of(std::path::Path::new(encryption::CIPHERS.name), text)
    };
    builder.set_cipher_list(&files.ciphers).map_err(refused)?;
    // The write buffer may move and shrink between retries, and an idle connection holds no record buffer.
    builder.set_mode(
        SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::AUTO_RETRY
            | SslMode::RELEASE_BUFFERS,
    );
    builder.set_options(
        SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | SslOptions::CIPHER_SERVER_PREFERENCE
            | SslOptions::IGNORE_UNEXPECTED_EOF,
    );
    builder.set_session_cache_mode(SslSessionCacheMode::OFF); // tickets need none
    builder.set_session_id_context(b"mailboat").map_err(at)?;
    builder.set_read_ahead(true); // one system call a record instead of two
    builder.set_num_tickets(1).map_err(at)?;
    if let Some(protocol) = protocol {
        builder.set_alpn_select_callback(move |_, offered| {
            chosen(offered, protocol).ok_or(AlpnError::ALERT_FATAL)
        });
    }
    staple(&mut builder, group).map_err(at)?;
    if let Some(authorities) = &files.clients {
        ask_clients(&mut builder, authorities)?;
    }
    Ok(builder)
}

/// Clients are asked for a certificate, and may have none. One that is not an authority's ends nothing: what it is good for is
/// decided when somebody wants to log in by it ([`super::ClientCertificate`]).
fn ask_clients(builder: &mut SslContextBuilder, authorities: &std::path::Path) -> Result<(), TlsError> {
    let at = |why: ErrorStack| TlsError::of(authorities, reason(&why));
    let text = fs::read(authorities).map_err(|why| TlsError::of(authorities, why.to_string()))?;
    let all = X509::stack_from_pem(&text).map_err(at)?;
    if all.is_empty() {
        return Err(TlsError::of(authorities, "there is no certificate in it".into()));
    }
    for one in all {
        builder.add_client_ca(&one).map_err(at)?;
        builder.cert_store_mut().add_cert(one).map_err(at)?;
    }
    builder.set_verify_callback(SslVerifyMode::PEER, |_, _| true); // the result stays with the connection
    Ok(())
}

/// OCSP stapling (RFC 6066 §8), while what is in the file is good; of a group the first one's. The file is somebody else's work:
/// without one, or with one that cannot be read, nothing is said.
fn staple(builder: &mut SslContextBuilder, group: &[Pair]) -> Result<(), ErrorStack> {
    let file = &group[0].ocsp;
    let short = fs::metadata(file).is_ok_and(|data| data.len() <= OCSP_BYTES_MAX);
    let Some(bytes) = fs::read(file).ok().filter(|_| short) else { return Ok(()) };
    let is_one = |bytes: &[u8]| {
        let response = OcspResponse::from_der(bytes)?;
        response.basic()?;
        Ok::<bool, ErrorStack>(response.status() == OcspResponseStatus::SUCCESSFUL)
    };
    if !is_one(&bytes).unwrap_or(false) {
        return Ok(());
    }
    builder.set_status_callback(move |ssl| {
        ssl.set_ocsp_status(&bytes)?;
        Ok(true)
    })
}

/// The protocol in a client's list: names, each behind its length (RFC 7301 §3.1).
pub(super) fn chosen<'a>(offered: &'a [u8], protocol: &str) -> Option<&'a [u8]> {
    let mut rest = offered;
    while let Some((&length, behind)) = rest.split_first() {
        let name = behind.get(..usize::from(length))?;
        if name == protocol.as_bytes() {
            return Some(name);
        }
        rest = &behind[name.len()..];
    }
    None
}
