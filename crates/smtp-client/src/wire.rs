//! The connection to the peer: bytes out, replies in, in the clear or under TLS, and never past a moment.
//!
//! The limit of a step is a moment, not a duration: before every system call the socket is told what is left of it.
//! So a peer that sends one byte a minute is given up at the same moment as one that sends none.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use base::timed_stream::TimedStream;
use openssl::ssl::{HandshakeError, Ssl, SslRef, SslStream};

use crate::tls::{handshake_failure, reasons};
use crate::{Malformed, Reply, ReplyReader, TlsFault};

/// Bytes read at once.
const INPUT_BYTES: usize = 4096;
/// A limit beyond all clocks is this.
const LIMIT_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Why a session is at its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// A step took too long.
    TimedOut(&'static str),
    /// The peer closed.
    Closed(&'static str),
    /// The system's word.
    Io(&'static str, io::Error),
    /// The peer does not speak SMTP.
    Malformed(Malformed),
    /// A reply that the step does not have, or one that nothing was asked for.
    Unexpected(&'static str, Reply),
    /// 421: the peer closes (RFC 5321 §3.8).
    Ended(Reply),
    /// Our message file.
    Content(io::Error),
}

impl Broken {
    /// RFC 3463; always 4.x.x.
    pub fn status(&self) -> String {
        match self {
            Broken::TimedOut(_) | Broken::Closed(_) | Broken::Io(..) => "4.4.2".into(),
            Broken::Malformed(_) | Broken::Unexpected(..) => "4.5.0".into(),
            Broken::Ended(reply) => reply.status(),
            Broken::Content(_) => "4.3.0".into(),
        }
    }

    /// One line for `peer`.
    pub fn text(&self, peer: &str) -> String {
        match self {
            Broken::TimedOut(step) => format!("{peer}: time-out at {step}"),
            Broken::Closed(step) => format!("{peer} closed the connection at {step}"),
            Broken::Io(step, why) => format!("{peer}: {why} at {step}"),
            Broken::Malformed(why) => format!("{peer}: {why}"),
            Broken::Unexpected(step, reply) => {
                format!("{peer} said at {step}, which makes no sense: {reply}")
            }
            Broken::Ended(reply) => format!("{peer} said: {reply}"),
            Broken::Content(why) => format!("the message file cannot be read: {why}"),
        }
    }

    fn at(step: &'static str, why: io::Error) -> Broken {
        match why.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Broken::TimedOut(step),
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted => Broken::Closed(step),
            _ => Broken::Io(step, why),
        }
    }
}

/// The moment at which a step that may take `limit` is over.
pub(crate) fn moment(limit: Duration) -> Instant {
    Instant::now() + limit.min(LIMIT_MAX)
}

enum Channel {
    Plain(TimedStream),
    Tls(Box<SslStream<TimedStream>>),
    Closed,
}

impl Channel {
    fn socket(&mut self) -> Option<&mut TimedStream> {
        match self {
            Channel::Plain(socket) => Some(socket),
            Channel::Tls(stream) => Some(stream.get_mut()),
            Channel::Closed => None,
        }
    }

    /// What is read and written from now on ends at `until`.
    fn set_end(&mut self, until: Instant) {
        if let Some(socket) = self.socket() {
            socket.until = until;
        }
    }
}

impl Read for Channel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Channel::Plain(socket) => socket.read(into),
            Channel::Tls(stream) => stream.read(into),
            Channel::Closed => Ok(0),
        }
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Channel::Plain(socket) => socket.write(bytes),
            Channel::Tls(stream) => stream.write(bytes),
            Channel::Closed => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One connection.
pub(crate) struct Wire {
    channel: Channel,
    input: Box<[u8]>,
    /// What of `input` was read and not yet used.
    unread: (usize, usize),
    reader: ReplyReader,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.ssl().is_some() { "Wire(tls)" } else { "Wire(plain)" })
    }
}

impl Wire {
    /// Over a connected socket.
    pub fn new(tcp: TcpStream) -> Wire {
        let socket = TimedStream { tcp, until: Instant::now() };
        Wire {
            channel: Channel::Plain(socket),
            input: vec![0; INPUT_BYTES].into_boxed_slice(),
            unread: (0, 0),
            reader: ReplyReader::default(),
        }
    }

    /// Sends all of `bytes`.
    pub fn write(&mut self, bytes: &[u8], step: &'static str, until: Instant) -> Result<(), Broken> {
        self.channel.set_end(until);
        self.channel.write_all(bytes).map_err(|why| Broken::at(step, why))
    }

    /// Reads one reply.
    pub fn read_reply(&mut self, step: &'static str, until: Instant) -> Result<Reply, Broken> {
        self.channel.set_end(until);
        loop {
            let (start, end) = self.unread;
            let mut used = 0;
            let found = self.reader.feed(&self.input[start..end], &mut used).map_err(Broken::Malformed)?;
            self.unread = (start + used, end);
            if let Some(reply) = found {
                return Ok(reply);
            }
            match self.channel.read(&mut self.input) {
                Ok(0) => return Err(Broken::Closed(step)),
                Ok(read) => self.unread = (0, read),
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(Broken::at(step, why)),
            }
        }
    }

    /// Whether bytes were read that belong to no reply yet asked for.
    pub fn has_unread(&self) -> bool {
        self.unread.0 < self.unread.1 || !self.reader.is_empty()
    }

    /// Whether the peer neither closed nor said anything.
    pub fn is_silent(&mut self) -> bool {
        if self.has_unread() {
            return false;
        }
        let Some(TimedStream { tcp, .. }) = self.channel.socket() else { return false };
        if tcp.set_nonblocking(true).is_err() {
            return false;
        }
        let peeked = tcp.peek(&mut [0]);
        let silent = matches!(peeked, Err(why) if why.kind() == io::ErrorKind::WouldBlock);
        tcp.set_nonblocking(false).is_ok() && silent
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// Why TLS failed, one clause. The connection is closed then.
    pub fn start_tls(&mut self, ssl: Ssl, limit: Duration) -> Result<(), (TlsFault, String)> {
        let mut socket = match std::mem::replace(&mut self.channel, Channel::Closed) {
            Channel::Plain(socket) => socket,
            other => {
                self.channel = other;
                return Err((TlsFault::Other, "the connection is not in the clear".into()));
            }
        };
        socket.until = moment(limit);
        match ssl.connect(socket) {
            Ok(stream) => {
                self.channel = Channel::Tls(Box::new(stream));
                Ok(())
            }
            Err(HandshakeError::SetupFailure(why)) => Err((TlsFault::Other, reasons(&why))),
            Err(HandshakeError::Failure(failed) | HandshakeError::WouldBlock(failed)) => {
                Err(handshake_failure(&failed))
            }
        }
    }

    /// The TLS state, when TLS is on.
    pub fn ssl(&self) -> Option<&SslRef> {
        match &self.channel {
            Channel::Plain(_) | Channel::Closed => None,
            Channel::Tls(stream) => Some(stream.ssl()),
        }
    }

    /// Says good-bye in TLS, which the peer need not answer, and closes.
    pub fn close(&mut self) {
        self.channel.set_end(moment(Duration::from_secs(1)));
        if let Channel::Tls(stream) = &mut self.channel {
            let _ = stream.shutdown();
        }
        if let Some(socket) = self.channel.socket() {
            let _ = socket.tcp.shutdown(Shutdown::Both);
        }
        self.channel = Channel::Closed;
    }
}
