//! The socket, in clear or under TLS: non-blocking reads and writes that say what they wait for.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslStream};

use crate::{ChannelBindings, ClientCertificate, TlsState};

/// Readiness bit: the socket may be read.
pub const READABLE: u8 = 1;
/// Readiness bit: the socket may be written.
pub const WRITABLE: u8 = 2;

/// What became of one operation.
pub enum Step {
    /// So many bytes, or a finished handshake. `all`: the socket had no more just now.
    Done { count: usize, all: bool },
    /// Try again when the socket has this readiness. Under TLS a read may wait for writing and the reverse.
    Wait(u8),
    /// The peer closed its end.
    Eof,
    /// The connection is of no more use.
    Failed,
}

/// A socket with or without TLS.
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
    /// Between the two; never seen outside.
    Gone,
}

impl Transport {
    /// Puts TLS over a plain socket; the handshake follows with [`Transport::handshake`].
    pub fn start_tls(&mut self, context: &SslContext) -> bool {
        let Transport::Plain(socket) = std::mem::replace(self, Transport::Gone) else { return false };
        let Ok(stream) = Ssl::new(context).and_then(|ssl| SslStream::new(ssl, socket)) else { return false };
        *self = Transport::Tls(Box::new(stream));
        true
    }

    /// One step of the handshake.
    pub fn handshake(&mut self) -> Step {
        match self {
            Transport::Tls(stream) => from_tls(stream.accept().map(|()| 1)),
            _ => Step::Failed,
        }
    }

    /// What was agreed upon in the handshake.
    pub fn tls_state(&self) -> TlsState {
        let Transport::Tls(stream) = self else { return TlsState::Unavailable };
        let ssl = stream.ssl();
        let cipher = ssl.current_cipher();
        TlsState::Active {
            protocol: ssl.version_str(),
            cipher: cipher.map(|cipher| cipher.name().to_owned()).unwrap_or_default(),
            bits: cipher.and_then(|cipher| u32::try_from(cipher.bits().secret).ok()).unwrap_or(0),
        }
    }

    /// What log-ins can be bound to.
    pub fn channel_bindings(&self) -> Option<Box<ChannelBindings>> {
        match self {
            Transport::Tls(stream) => ChannelBindings::of(stream.ssl()),
            _ => None,
        }
    }

    /// Who the client is by its certificate.
    pub fn client_certificate(&self) -> Option<Box<ClientCertificate>> {
        match self {
            Transport::Tls(stream) => ClientCertificate::of(stream.ssl()),
            _ => None,
        }
    }

    /// Reads once.
    pub fn read(&mut self, room: &mut [u8]) -> Step {
        match self {
            Transport::Plain(socket) => loop {
                return match socket.read(room) {
                    Ok(0) => Step::Eof,
                    Ok(count) => Step::Done { count, all: count < room.len() },
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => from_io(&error, READABLE),
                };
            },
            Transport::Tls(stream) => from_tls(stream.ssl_read(room)),
            Transport::Gone => Step::Failed,
        }
    }

    /// Writes once.
    pub fn write(&mut self, bytes: &[u8]) -> Step {
        match self {
            Transport::Plain(socket) => loop {
                return match socket.write(bytes) {
                    Ok(count) => Step::Done { count, all: count < bytes.len() },
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => from_io(&error, WRITABLE),
                };
            },
            Transport::Tls(stream) => from_tls(stream.ssl_write(bytes)),
            Transport::Gone => Step::Failed,
        }
    }

    /// Says that nothing more will be sent: close_notify, once, and FIN.
    pub fn shutdown(&mut self, fin: bool) {
        let socket = match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => {
                let _ = stream.shutdown(); // best effort; the peer may be gone
                stream.get_mut()
            }
            Transport::Gone => return,
        };
        if fin {
            let _ = os::net::shutdown_write(socket);
        }
    }

    /// Reads and forgets what the peer sent after we were done with it.
    pub fn read_raw(&mut self, room: &mut [u8]) -> Step {
        let socket = match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => stream.get_mut(),
            Transport::Gone => return Step::Failed,
        };
        match socket.read(room) {
            Ok(0) => Step::Eof,
            Ok(count) => Step::Done { count, all: false },
            Err(error) => from_io(&error, READABLE),
        }
    }
}

fn from_io(error: &io::Error, wanted: u8) -> Step {
    match error.kind() {
        ErrorKind::WouldBlock => Step::Wait(wanted),
        _ => Step::Failed,
    }
}

fn from_tls(result: Result<usize, openssl::ssl::Error>) -> Step {
    match result {
        Ok(0) => Step::Eof,
        Ok(count) => Step::Done { count, all: false },
        Err(error) => match error.code() {
            ErrorCode::WANT_READ => Step::Wait(READABLE),
            ErrorCode::WANT_WRITE => Step::Wait(WRITABLE),
            ErrorCode::ZERO_RETURN => Step::Eof,
            ErrorCode::SYSCALL if error.io_error().is_none() => Step::Eof, // cut off without close_notify
            _ => Step::Failed,
        },
    }
}
