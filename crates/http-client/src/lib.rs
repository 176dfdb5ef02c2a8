//! One request to another host, plain or over TLS, and its answer: a connection for each, no redirection followed, all of it
//! before a moment. Who asks has looked the addresses up, and has decided which of them may be connected to.
//!
//! It has never heard of what is asked for.

use std::fmt;
use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use base::timed_stream::TimedStream;
use http_wire::answer::{self, Answer};
use openssl::error::ErrorStack;
use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslVersion};
use openssl::x509::X509VerifyResult;

/// How a host proves who it is.
#[derive(Clone, Copy, Debug)]
pub enum Safety<'a> {
    /// It need not.
    Plain,
    /// By a certificate for this name, or address, of one of these authorities (PEM), or of the system's.
    Tls { name: &'a str, authorities: Option<&'a Path> },
}

/// Where to, and how long at most.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub address: SocketAddr,
    pub safety: Safety<'a>,
    /// The last byte has come before.
    pub until: Instant,
    pub body_bytes_max: u64,
}

/// Why there is no answer, as one clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host could not prove who it is.
    Certificate(String),
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Certificate(why) => write!(f, "its certificate is refused: {why}"),
            Failure::Other(why) => f.write_str(why),
        }
    }
}

impl Call<'_> {
    /// Sends `request`, head and body, as it stands, and reads what is answered; it should ask for the connection to be closed.
    ///
    /// # Errors
    /// The host does not answer in time, cannot prove who it is, or says what is not HTTP or too long.
    pub fn send(&self, request: &[u8]) -> Result<Answer, Failure> {
        let left = self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let tcp =
            os::net::connect(self.address, None, left).map_err(|why| Failure::Other(why.to_string()))?;
        let stream = TimedStream { tcp, until: self.until };
        let Safety::Tls { name, authorities } = self.safety else { return self.ask(request, stream) };
        let connector = connector(authorities).map_err(|why| Failure::Other(reasons(&why)))?;
        match connector.connect(name, stream) {
            Ok(stream) => self.ask(request, stream),
            Err(HandshakeError::SetupFailure(why)) => Err(Failure::Other(reasons(&why))),
            Err(HandshakeError::Failure(broken) | HandshakeError::WouldBlock(broken)) => {
                let verdict = broken.ssl().verify_result();
                if verdict != X509VerifyResult::OK {
                    return Err(Failure::Certificate(verdict.error_string().to_owned()));
                }
                Err(Failure::Other(broken.error().to_string()))
            }
        }
    }

    fn ask(&self, request: &[u8], mut stream: impl Read + Write) -> Result<Answer, Failure> {
        stream.write_all(request).map_err(|why| Failure::Other(why.to_string()))?;
        let method = request.split(|byte| *byte == b' ').next().unwrap_or_default();
        let method = std::str::from_utf8(method).unwrap_or_default();
        answer::read(&mut BufReader::new(stream), method, self.body_bytes_max).map_err(Failure::Other)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_plain_host_is_asked_and_a_silent_one_is_left_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut block = [0; 64];
            let read = stream.read(&mut block).unwrap();
            stream.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno").unwrap();
            let silent = listener.accept().unwrap();
            (block[..read].to_vec(), silent)
        });
        let until = Instant::now() + Duration::from_secs(20);
        let call = Call { address, safety: Safety::Plain, until, body_bytes_max: 10 };
        let answer = call.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!((answer.status, answer.body), (404, b"no".to_vec()));
        let soon = Call { until: Instant::now() + Duration::from_millis(300), ..call };
        assert!(matches!(soon.send(b"GET / HTTP/1.1\r\n\r\n"), Err(Failure::Other(_))));
        assert_eq!(server.join().unwrap().0, b"GET / HTTP/1.1\r\n\r\n");
    }
}
