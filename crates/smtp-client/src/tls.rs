//! TLS of a client (RFC 3207, RFC 7435): what is required of the peer, and why a handshake failed, in words.

use std::net::IpAddr;
use std::path::Path;
use std::sync::OnceLock;

use openssl::error::ErrorStack;
use openssl::ssl::{
    MidHandshakeSslStream, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslRef, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::x509::X509VerifyResult;
use openssl::x509::verify::X509CheckFlags;

use crate::{Verify, dane};

/// Whom the context trusts.
enum Trust<'a> {
    Anybody,
    System,
    File(&'a Path),
}

/// What the handshake with `host` is begun with.
///
/// # Errors
/// One clause: the authorities cannot be read, or the system's TLS library refuses.
pub(crate) fn begin(host: &str, verify: &Verify, authorities: Option<&Path>) -> Result<Ssl, String> {
    let trust = match (verify, authorities) {
        (Verify::None | Verify::Dane(_), _) => Trust::Anybody,
        (Verify::Name, None) => Trust::System,
        (Verify::Name, Some(file)) => Trust::File(file),
    };
    let context = context(&trust)?;
    let mut ssl = Ssl::new(&context).map_err(|why| reasons(&why))?;
    let literal = host.parse::<IpAddr>().ok();
    if literal.is_none() && host.is_ascii() {
        ssl.set_hostname(host).map_err(|why| reasons(&why))?; // RFC 6066 §3: names only
    }
    if matches!(verify, Verify::Name) {
        let parameters = ssl.param_mut();
        parameters.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
        match literal {
            Some(address) => parameters.set_ip(address),
            None => parameters.set_host(host),
        }
        .map_err(|why| reasons(&why))?;
    }
    Ok(ssl)
}

/// What is left to check when hands were shaken.
///
/// # Errors
/// One clause: why the certificate is not the peer's.
pub(crate) fn check(ssl: &SslRef, host: &str, verify: &Verify) -> Result<(), String> {
    match verify {
        Verify::None | Verify::Name => Ok(()), // the handshake has done it
        Verify::Dane(records) => dane::check(records, ssl, host),
    }
}

/// The trusted authorities are read once: reading a hundred certificates for each connection would cost more than
/// the connection.
fn context(trust: &Trust<'_>) -> Result<SslContext, String> {
    static ANYBODY: OnceLock<Result<SslContext, String>> = OnceLock::new();
    static SYSTEM: OnceLock<Result<SslContext, String>> = OnceLock::new();
    let made = || build(trust);
    match trust {
        Trust::Anybody => ANYBODY.get_or_init(made).clone(),
        Trust::System => SYSTEM.get_or_init(made).clone(),
        Trust::File(_) => made(),
    }
}

fn build(trust: &Trust<'_>) -> Result<SslContext, String> {
    let make = || -> Result<SslContext, ErrorStack> {
        let mut builder = SslContext::builder(SslMethod::tls_client())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?; // RFC 8996
        builder
            .set_mode(SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::RELEASE_BUFFERS);
        builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        match trust {
            Trust::Anybody => {
                // Where the other choice is no encryption at all, a weak key beats none (RFC 7435 §3).
                builder.set_cipher_list("DEFAULT@SECLEVEL=1")?;
                builder.set_verify(SslVerifyMode::NONE);
            }
            Trust::System => {
                builder.set_default_verify_paths()?;
                builder.set_verify(SslVerifyMode::PEER);
            }
            Trust::File(file) => {
                builder.set_ca_file(file)?;
                builder.set_verify(SslVerifyMode::PEER);
            }
        }
        Ok(builder.build())
    };
    make().map_err(|why| match trust {
        Trust::File(file) => format!("{}: {}", file.display(), reasons(&why)),
        _ => reasons(&why),
    })
}

/// The library's reasons in one clause.
pub(crate) fn reasons(error: &ErrorStack) -> String {
    let texts: Vec<&str> = error.errors().iter().filter_map(|error| error.reason()).collect();
    if texts.is_empty() { "it failed".to_owned() } else { texts.join(", ") }
}

/// Why a handshake failed; a certificate's fault is named as such.
pub(crate) fn handshake_failure<S>(failed: &MidHandshakeSslStream<S>) -> String {
    let verdict = failed.ssl().verify_result();
    if failed.ssl().verify_mode() != SslVerifyMode::NONE && verdict != X509VerifyResult::OK {
        return format!("its certificate is refused: {}", verdict.error_string());
    }
    match (failed.error().io_error(), failed.error().ssl_error()) {
        (Some(why), _) if why.kind() == std::io::ErrorKind::TimedOut => "time-out".into(),
        (Some(why), _) => why.to_string(),
        (None, Some(stack)) => reasons(stack),
        (None, None) => "it closed the connection".into(),
    }
}
