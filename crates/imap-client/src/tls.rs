//! TLS of the client: always proved, unless the administrator says otherwise (RFC 8314, RFC 7817 §3).

use std::net::IpAddr;
use std::path::PathBuf;

use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslMode, SslOptions, SslVerifyMode, SslVersion};
use openssl::x509::verify::X509CheckFlags;

use crate::error::{ImapError, Result};

/// When the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte (port 993).
    Implicit,
    /// STARTTLS, without which nothing is said (RFC 2595 §3.1).
    StartTls,
    /// Never: the password goes in the clear.
    Never,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    System,
    /// The authorities of this file.
    File(PathBuf),
    /// Any certificate.
    Anybody,
}

/// What a handshake with `host` is begun with.
pub fn begin(host: &str, trust: &Trust) -> Result<Ssl> {
    build(host, trust).map_err(|why| match trust {
        Trust::File(file) => ImapError::Tls(format!("{}: {}", file.display(), reasons(&why))),
        _ => ImapError::Tls(reasons(&why)),
    })
}

fn build(host: &str, trust: &Trust) -> std::result::Result<Ssl, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?; // RFC 8996
    builder.set_mode(SslMode::AUTO_RETRY);
    builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    match trust {
        Trust::Anybody => builder.set_verify(SslVerifyMode::NONE),
        Trust::System => builder.set_default_verify_paths()?,
        Trust::File(file) => builder.set_ca_file(file)?,
    }
    if *trust != Trust::Anybody {
        builder.set_verify(SslVerifyMode::PEER);
    }
    let mut ssl = Ssl::new(&builder.build())?;
    let parameters = ssl.param_mut();
    parameters.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
    match host.parse::<IpAddr>() {
        Ok(address) => parameters.set_ip(address)?,
        Err(_) => {
            parameters.set_host(host)?;
            ssl.set_hostname(host)?; // RFC 6066 §3: names only
        }
    }
    Ok(ssl)
}

/// The library's reasons in one clause.
pub fn reasons(error: &ErrorStack) -> String {
    let texts: Vec<&str> = error.errors().iter().filter_map(|error| error.reason()).collect();
    if texts.is_empty() { "it failed".to_owned() } else { texts.join(", ") }
}
