//! TLS of a client (RFC 3207, RFC 7435): what is required of the peer, and why a handshake failed, in words.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use openssl::error::ErrorStack;
use openssl::ssl::{
    MidHandshakeSslStream, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslRef, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::x509::X509VerifyResult;
use openssl::x509::verify::X509CheckFlags;

use crate::{Settings, TlsFault, Verify, dane, names};

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
pub(crate) fn begin(host: &str, verify: &Verify, settings: &Settings) -> Result<Ssl, String> {
    let trust = match (verify, &settings.authorities) {
        (Verify::None | Verify::Dane { .. }, _) => Trust::Anybody,
        (Verify::Name | Verify::Names(_), None) => Trust::System,
        (Verify::Name | Verify::Names(_), Some(file)) => Trust::File(file),
    };
    let context = context(&trust)?;
    let mut ssl = Ssl::new(&context).map_err(|why| reasons(&why))?;
    if settings.lenient {
        ssl.set_verify(SslVerifyMode::NONE); // it is verified all the same, and goes on
    }
    let asked_for = match verify {
        Verify::Dane { names, .. } => names.first().map_or(host, String::as_str),
        _ => host,
    };
    let literal = host.parse::<IpAddr>().ok();
    if literal.is_none() && asked_for.is_ascii() {
        ssl.set_hostname(asked_for).map_err(|why| reasons(&why))?; // RFC 6066 §3: names only
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

/// What is left to check when hands were shaken. Whether the certificate was proved.
///
/// # Errors
/// Why the certificate is not the peer's, one clause.
pub(crate) fn check(ssl: &SslRef, host: &str, verify: &Verify) -> Result<bool, (TlsFault, String)> {
    let by_authority = || match ssl.verify_result() {
        X509VerifyResult::OK => Ok(true),
        verdict => Err(refused(verdict)),
    };
    match verify {
        Verify::None => Ok(false),
        Verify::Name => by_authority(),
        Verify::Names(names) => {
            by_authority()?;
            match ssl.peer_certificate() {
                Some(certificate) if names::is_for(&certificate, names) => Ok(true),
                _ => {
                    Err((TlsFault::HostMismatch, format!("its certificate is not for {}", names.join(", "))))
                }
            }
        }
        Verify::Dane { records, names } if names.is_empty() => dane::check(records, ssl, &[host.to_owned()]),
        Verify::Dane { records, names } => dane::check(records, ssl, names),
    }
}

fn refused(verdict: X509VerifyResult) -> (TlsFault, String) {
    // The numbers of X509_V_ERR_*, for which the library has no names.
    let fault = match verdict.as_raw() {
        62 | 64 => TlsFault::HostMismatch,
        9 | 10 => TlsFault::Expired,
        2 | 7 | 18..=21 | 24 | 27 | 28 => TlsFault::NotTrusted,
        _ => TlsFault::Other,
    };
    (fault, format!("its certificate is refused: {}", verdict.error_string()))
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
        Trust::File(file) => of_file(file, made),
    }
}

/// The one that was made of this file, until the file changes.
fn of_file(file: &Path, make: impl FnOnce() -> Result<SslContext, String>) -> Result<SslContext, String> {
    static LAST: Mutex<Option<(PathBuf, SystemTime, SslContext)>> = Mutex::new(None);
    let changed = std::fs::metadata(file).and_then(|meta| meta.modified());
    let changed = changed.map_err(|why| format!("{}: {why}", file.display()))?;
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, _, context)) = last.as_ref().filter(|(path, at, _)| path == file && *at == changed) {
        return Ok(context.clone());
    }
    let context = make()?;
    *last = Some((file.to_owned(), changed, context.clone()));
    Ok(context)
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
pub(crate) fn handshake_failure<S>(failed: &MidHandshakeSslStream<S>) -> (TlsFault, String) {
    let verdict = failed.ssl().verify_result();
    if failed.ssl().verify_mode() != SslVerifyMode::NONE && verdict != X509VerifyResult::OK {
        return refused(verdict);
    }
    let why = match (failed.error().io_error(), failed.error().ssl_error()) {
        (Some(why), _) if why.kind() == std::io::ErrorKind::TimedOut => "time-out".into(),
        (Some(why), _) => why.to_string(),
        (None, Some(stack)) => reasons(stack),
        (None, None) => "it closed the connection".into(),
    };
    (TlsFault::Other, why)
}
