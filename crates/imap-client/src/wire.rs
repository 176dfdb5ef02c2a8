//! The connection: bytes out, lines and literals in, in the clear or under TLS, and never past a moment.
//!
//! A line, or a piece of a literal, must be there at a moment; a server that sends a byte a minute is given up at the same
//! moment as one that sends none.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base::timed_stream::TimedStream;
use openssl::ssl::{HandshakeError, Ssl, SslStream};
use openssl::x509::X509VerifyResult;

use crate::error::{ImapError, Result};
use crate::tls::reasons;

/// Bytes read at once.
const INPUT_BYTES: usize = 64 * 1024;

enum Channel {
    Plain(TimedStream),
    Tls(Box<SslStream<TimedStream>>),
    Closed,
}

/// One connection.
pub struct Wire {
    channel: Channel,
    input: Box<[u8]>,
    /// What of `input` was read and not yet used.
    unread: (usize, usize),
    timeout: Duration,
}

impl Wire {
    pub fn new(tcp: TcpStream, timeout: Duration) -> Wire {
        let _ = tcp.set_nodelay(true);
        let socket = TimedStream { tcp, until: Instant::now() };
        Wire {
            channel: Channel::Plain(socket),
            input: vec![0; INPUT_BYTES].into_boxed_slice(),
            unread: (0, 0),
            timeout,
        }
    }

    /// What is read and written from now on ends after the time limit.
    fn set_end(&mut self) {
        let until = Instant::now() + self.timeout;
        match &mut self.channel {
            Channel::Plain(socket) => socket.until = until,
            Channel::Tls(stream) => stream.get_mut().until = until,
            Channel::Closed => {}
        }
    }

    /// Sends all of `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.set_end();
        match &mut self.channel {
            Channel::Plain(socket) => socket.write_all(bytes)?,
            Channel::Tls(stream) => stream.write_all(bytes)?,
            Channel::Closed => return Err(ImapError::Closed(String::new())),
        }
        Ok(())
    }

    /// Reads more when nothing is left of what was read.
    fn fill(&mut self) -> Result<()> {
        while self.unread.0 == self.unread.1 {
            let read = match &mut self.channel {
                Channel::Plain(socket) => socket.read(&mut self.input),
                Channel::Tls(stream) => stream.read(&mut self.input),
                Channel::Closed => Ok(0),
            };
            match read {
                Ok(0) => return Err(ImapError::Closed(String::new())),
                Ok(read) => self.unread = (0, read),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// Adds a line to `into`, without its end; `max` is for all of `into`.
    ///
    /// # Errors
    /// `TooBig`, and those of the connection.
    pub fn line(&mut self, into: &mut Vec<u8>, max: usize) -> Result<()> {
        self.set_end();
        loop {
            self.fill()?;
            let (start, end) = self.unread;
            let piece = &self.input[start..end];
            let found = memchr::memchr(b'\n', piece);
            let taken = found.unwrap_or(piece.len());
            if into.len().saturating_add(taken) > max {
                return Err(ImapError::TooBig("a line of the server"));
            }
            into.extend_from_slice(&piece[..taken]);
            self.unread.0 = start + taken + usize::from(found.is_some());
            if found.is_some() {
                if into.last() == Some(&b'\r') {
                    into.pop();
                }
                return Ok(());
            }
        }
    }

    /// Shows `size` bytes piece by piece.
    ///
    /// # Errors
    /// Those of the connection, and of `show`.
    pub fn literal(&mut self, mut size: u64, show: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        while size > 0 {
            self.set_end();
            self.fill()?;
            let (start, end) = self.unread;
            let taken = usize::try_from(size).unwrap_or(usize::MAX).min(end - start);
            show(&self.input[start..start + taken])?;
            self.unread.0 = start + taken;
            size -= taken as u64;
        }
        Ok(())
    }

    /// Whether bytes were read that nothing asked for yet.
    pub fn has_unread(&self) -> bool {
        self.unread.0 < self.unread.1
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// `Tls`; the connection is closed then.
    pub fn start_tls(&mut self, ssl: Ssl) -> Result<()> {
        self.set_end();
        let socket = match std::mem::replace(&mut self.channel, Channel::Closed) {
            Channel::Plain(socket) => socket,
            _ => return Err(ImapError::Tls("the connection is not in the clear".into())),
        };
        match ssl.connect(socket) {
            Ok(stream) => {
                self.channel = Channel::Tls(Box::new(stream));
                Ok(())
            }
            Err(HandshakeError::SetupFailure(why)) => Err(ImapError::Tls(reasons(&why))),
            Err(HandshakeError::Failure(failed) | HandshakeError::WouldBlock(failed)) => {
                let verdict = failed.ssl().verify_result();
                let why = match (failed.error().io_error(), failed.error().ssl_error()) {
                    _ if verdict != X509VerifyResult::OK => {
                        format!("its certificate is refused: {}", verdict.error_string())
                    }
                    (Some(why), _) => why.to_string(),
                    (None, Some(stack)) => reasons(stack),
                    (None, None) => "the server closed the connection".into(),
                };
                Err(ImapError::Tls(why))
            }
        }
    }

    pub fn is_encrypted(&self) -> bool {
        matches!(self.channel, Channel::Tls(_))
    }
}
