//! One GET of one policy over HTTPS (RFC 8461 §3.3): the certificate is one for `mta-sts.<domain>` from a trusted
//! authority, no redirection is followed, and all of it comes before a moment.

use std::io::{BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use base::timed_stream::TimedStream;
use openssl::error::ErrorStack;
use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslVersion};
use openssl::x509::X509VerifyResult;

use crate::policies::Fault;
use crate::{Policy, http};

/// Addresses of the policy's host that are tried.
const ADDRESSES_MAX: usize = 3;

/// Where a policy is fetched from.
pub(crate) struct Place<'a> {
    /// `mta-sts.<domain>`
    pub host: &'a str,
    /// Those that may be connected to.
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub authorities: Option<&'a Path>,
    /// From the first packet to the last byte.
    pub limit: Duration,
}

/// # Errors
/// Of which kind, and one clause.
pub(crate) fn policy(place: &Place<'_>) -> Result<Policy, (Fault, String)> {
    let until = Instant::now() + place.limit;
    let mut last = (Fault::Fetch, "it has no address of the Internet".to_owned());
    for address in place.addresses.iter().take(ADDRESSES_MAX) {
        match get(place, SocketAddr::new(*address, place.port), until) {
            Ok(text) => return Policy::parse(&text).map_err(|why| (Fault::Invalid, why)),
            Err(why) => last = why,
        }
    }
    Err(last)
}

fn get(place: &Place<'_>, address: SocketAddr, until: Instant) -> Result<String, (Fault, String)> {
    let failed = |why: String| (Fault::Fetch, why);
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let tcp = os::net::connect(address, None, left).map_err(|why| failed(why.to_string()))?;
    let connector = connector(place.authorities).map_err(|why| failed(reasons(&why)))?;
    let mut stream = match connector.connect(place.host, TimedStream { tcp, until }) {
        Ok(stream) => stream,
        Err(HandshakeError::SetupFailure(why)) => return Err(failed(reasons(&why))),
        Err(HandshakeError::Failure(broken) | HandshakeError::WouldBlock(broken)) => {
            let verdict = broken.ssl().verify_result();
            if verdict != X509VerifyResult::OK {
                return Err((
                    Fault::WebPki,
                    format!("its certificate is refused: {}", verdict.error_string()),
                ));
            }
            return Err(failed(broken.error().to_string()));
        }
    };
    let port = if place.port == 443 { String::new() } else { format!(":{}", place.port) };
    let request = format!(
        "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {}{port}\r\nUser-Agent: Mailboat\r\nAccept: text/plain\r\n\
         Connection: close\r\n\r\n",
        place.host
    );
    stream.write_all(request.as_bytes()).map_err(|why| failed(why.to_string()))?;
    let bytes = http::body(&mut BufReader::new(stream)).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| (Fault::Invalid, "it is not text".into()))
}

fn connector(authorities: Option<&Path>) -> Result<SslConnector, ErrorStack> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?; // the system's authorities
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    if let Some(file) = authorities {
        builder.set_ca_file(file)?;
    }
    Ok(builder.build())
}

fn reasons(error: &ErrorStack) -> String {
    let texts: Vec<&str> = error.errors().iter().filter_map(openssl::error::Error::reason).collect();
    if texts.is_empty() { "TLS failed".to_owned() } else { texts.join(", ") }
}
