//! Bytes to the server and lines from it: in the clear or under TLS, and never past a moment.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::ssl::{
    HandshakeError, Ssl, SslContext, SslMethod, SslMode, SslOptions, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::X509VerifyResult;
use openssl::x509::verify::X509CheckFlags;

use crate::authenticator::{Authenticator, Security, wipe};
use crate::error::{Error, Result, Status};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
const LINE_BYTES_MAX: usize = 64 * 1024;
const INPUT_BYTES: usize = 16 * 1024;

/// A socket of which every wait ends at a moment, however slowly bytes come.
#[derive(Debug)]
struct Timed {
    tcp: TcpStream,
    until: Instant,
}

impl Timed {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(Some(left.max(Duration::from_millis(1))))
        }
    }
}

fn timed(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        other => other,
    }
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(self.left()?)?;
        timed(self.tcp.read(into))
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(self.left()?)?;
        timed(self.tcp.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
enum Channel {
    Plain(Timed),
    Tls(Box<SslStream<Timed>>),
    Closed,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    channel: Channel,
    input: Vec<u8>,
    /// Of `input`, what nobody has read yet.
    unread: usize,
}

impl Wire {
    /// Connects, and shakes hands if that comes first. All of the log-in ends within the time-out that begins here.
    pub fn connect(server: &Authenticator, port: u16, security: Security) -> Result<Wire> {
        let until = Instant::now() + server.timeout;
        let tcp = dial(&server.host, port, until)?;
        let _ = tcp.set_nodelay(true);
        if security == Security::Loopback && !tcp.peer_addr()?.ip().to_canonical().is_loopback() {
            return Err(Error::new(Status::Tls, "without it only to an address of this host"));
        }
        let channel = Channel::Plain(Timed { tcp, until });
        let mut wire = Wire { channel, input: Vec::new(), unread: 0 };
        if security == Security::Tls {
            wire.start_tls(server)?;
        }
        Ok(wire)
    }

    /// From now on a read or a write may take so long.
    pub fn set_timeout(&mut self, timeout: Duration) {
        let until = Instant::now() + timeout;
        match &mut self.channel {
            Channel::Plain(timed) => timed.until = until,
            Channel::Tls(stream) => stream.get_mut().until = until,
            Channel::Closed => {}
        }
    }

    /// What came in the clear after the go-ahead is somebody else's (RFC 8314): it ends the connection.
    pub fn start_tls(&mut self, server: &Authenticator) -> Result<()> {
        if self.unread < self.input.len() {
            return Err(Error::new(Status::Tls, "the server spoke in the clear behind its go-ahead"));
        }
        let Channel::Plain(timed) = std::mem::replace(&mut self.channel, Channel::Closed) else {
            return Err(Error::new(Status::Internal, "TLS twice"));
        };
        let ssl = client_of(server).map_err(|why| Error::new(Status::Tls, &reasons(&why)))?;
        self.channel = Channel::Tls(Box::new(ssl.connect(timed).map_err(of_handshake)?));
        Ok(())
    }

    /// Sends a line, and overwrites it.
    pub fn say(&mut self, line: String) -> Result<()> {
        let mut bytes = line.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        let sent = self.write_all(&bytes);
        wipe(&mut bytes);
        Ok(sent?)
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        loop {
            self.fill()?;
            let piece = &self.input[self.unread..];
            let end = piece.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(piece.len());
            if line.len() + taken > LINE_BYTES_MAX {
                return Err(Error::protocol("a line without end"));
            }
            line.extend_from_slice(&piece[..taken]);
            self.unread += taken + usize::from(end.is_some());
            if end.is_some() {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }

    /// Reads more when nothing is left.
    fn fill(&mut self) -> Result<()> {
        if self.unread < self.input.len() {
            return Ok(());
        }
        let mut input = vec![0; INPUT_BYTES];
        let read = self.receive(&mut input)?;
        if read == 0 {
            return Err(Error::new(Status::Closed, ""));
        }
        input.truncate(read);
        (self.input, self.unread) = (input, 0);
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.channel {
            Channel::Plain(timed) => timed.read(into),
            Channel::Tls(stream) => stream.read(into),
            Channel::Closed => Ok(0),
        }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.unread == self.input.len() {
            return self.receive(into);
        }
        let taken = (self.input.len() - self.unread).min(into.len());
        into[..taken].copy_from_slice(&self.input[self.unread..self.unread + taken]);
        self.unread += taken;
        Ok(taken)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.channel {
            Channel::Plain(timed) => timed.write(bytes),
            Channel::Tls(stream) => stream.write(bytes),
            Channel::Closed => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn dial(host: &str, port: u16, until: Instant) -> Result<TcpStream> {
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|why| Error::new(Status::Unreachable, &format!("{host}: {why}")))?;
    let mut last = Error::new(Status::Unreachable, &format!("{host}: it has no address"));
    for address in addresses.take(ADDRESSES_MAX) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::new(Status::TimedOut, ""));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(why) => {
                let status = if why.kind() == io::ErrorKind::TimedOut {
                    Status::TimedOut
                } else {
                    Status::Unreachable
                };
                last = Error::new(status, &format!("{address}: {why}"));
            }
        }
    }
    Err(last)
}

/// TLS 1.2 or newer (RFC 8996), the chain and the name proved (RFC 9525).
fn client_of(server: &Authenticator) -> std::result::Result<Ssl, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_mode(SslMode::AUTO_RETRY);
    builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    match &server.authorities {
        None => builder.set_default_verify_paths()?,
        Some(file) => builder.set_ca_file(file)?,
    }
    builder.set_verify(SslVerifyMode::PEER);
    let mut ssl = Ssl::new(&builder.build())?;
    let parameters = ssl.param_mut();
    parameters.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
    match server.host.parse::<IpAddr>() {
        Ok(address) => parameters.set_ip(address)?,
        Err(_) => {
            parameters.set_host(&server.host)?;
            ssl.set_hostname(&server.host)?; // RFC 6066 §3: names only
        }
    }
    Ok(ssl)
}

fn of_handshake(error: HandshakeError<Timed>) -> Error {
    let failed = match error {
        HandshakeError::SetupFailure(why) => return Error::new(Status::Tls, &reasons(&why)),
        HandshakeError::Failure(failed) | HandshakeError::WouldBlock(failed) => failed,
    };
    let verdict = failed.ssl().verify_result();
    match (failed.error().io_error(), failed.error().ssl_error()) {
        _ if verdict != X509VerifyResult::OK => {
            Error::new(Status::Tls, &format!("its certificate is refused: {}", verdict.error_string()))
        }
        (Some(why), _) if why.kind() == io::ErrorKind::TimedOut => {
            Error::new(Status::TimedOut, "in the TLS handshake")
        }
        (Some(why), _) => Error::new(Status::Tls, &why.to_string()),
        (None, Some(stack)) => Error::new(Status::Tls, &reasons(stack)),
        (None, None) => Error::new(Status::Tls, "the server closed the connection"),
    }
}

fn reasons(error: &ErrorStack) -> String {
    let texts: Vec<&str> = error.errors().iter().filter_map(|error| error.reason()).collect();
    if texts.is_empty() { "it failed".to_owned() } else { texts.join(", ") }
}
