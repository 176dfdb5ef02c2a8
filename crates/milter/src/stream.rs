//! The socket to a filter: every wait has an end, every packet a limit.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use base::endpoint::Endpoint;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::Failure;
use crate::wire::{Command, Reply, packet};

/// Bytes read at a time: memory grows by what came, not by what a packet says of its length.
const READ_BYTES: usize = 16 * 1024;
/// Bytes of commands that are gathered before they are sent, when none of them is answered.
const GATHERED_BYTES_MAX: usize = 64 * 1024;
/// How long to wait before a Unix socket is tried again whose queue is full.
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// A connection to a filter.
pub struct Stream {
    socket: Socket,
    input: Vec<u8>,
    /// Commands that are not sent yet.
    pub out: Vec<u8>,
}

impl Stream {
    /// Connects; a name with several addresses is tried in their order.
    ///
    /// # Errors
    /// Nobody took the connection by `deadline`.
    pub fn connect(endpoint: &Endpoint, deadline: Instant) -> Result<Stream, Failure> {
        let mut why = io::Error::new(ErrorKind::NotFound, "the name has no address of this kind");
        for address in addresses(endpoint).map_err(Failure::Connect)? {
            match connect_to(&address, deadline) {
                Ok(socket) => return Ok(Stream { socket, input: Vec::new(), out: Vec::new() }),
                Err(error) => why = error,
            }
        }
        Err(if why.kind() == ErrorKind::TimedOut { Failure::TimedOut } else { Failure::Connect(why) })
    }

    /// Sends what is gathered, if it is much.
    ///
    /// # Errors
    /// As [`Stream::send`].
    pub fn send_if_much(&mut self, deadline: Instant) -> Result<(), Failure> {
        if self.out.len() < GATHERED_BYTES_MAX { Ok(()) } else { self.send(deadline) }
    }

    /// Sends what is gathered.
    ///
    /// # Errors
    /// The filter does not take it by `deadline`.
    pub fn send(&mut self, deadline: Instant) -> Result<(), Failure> {
        let mut sent = 0;
        while sent < self.out.len() {
            self.socket.set_write_timeout(Some(left(deadline)?)).map_err(Failure::Io)?;
            match self.socket.write(&self.out[sent..]) {
                Ok(0) => return Err(Failure::Closed),
                Ok(count) => sent += count,
                Err(error) => check(error)?,
            }
        }
        self.out.clear();
        Ok(())
    }

    /// The next reply.
    ///
    /// # Errors
    /// None came whole by `deadline`, or what came is none.
    pub fn receive(&mut self, deadline: Instant) -> Result<Reply, Failure> {
        loop {
            if let Some(packet) = packet(&self.input)? {
                let (reply, used) = (Reply::decode(packet.code, packet.data), packet.length);
                self.input.drain(..used);
                return Ok(reply?);
            }
            self.read(deadline)?;
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<(), Failure> {
        self.socket.set_read_timeout(Some(left(deadline)?)).map_err(Failure::Io)?;
        let before = self.input.len();
        self.input.resize(before + READ_BYTES, 0);
        let read = self.socket.read(&mut self.input[before..]);
        self.input.truncate(before + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(Failure::Closed),
            Ok(_) => Ok(()),
            Err(error) => check(error),
        }
    }

    /// Sends one short command without waiting, in the place of what is gathered: the filter needs that no more. Whether
    /// it went out whole; if not, the connection is of no more use.
    pub fn send_now(&mut self, command: &Command<'_>) -> bool {
        self.out.clear();
        command.encode(&mut self.out);
        let sent = self.socket.set_nonblocking(true).and_then(|()| self.socket.write(&self.out));
        let whole = sent.is_ok_and(|count| count == self.out.len());
        self.out.clear();
        self.socket.set_nonblocking(false).is_ok() && whole
    }

    /// Whether nothing was said and nobody hung up since the last reply.
    pub fn is_quiet(&self) -> bool {
        let mut one = [std::mem::MaybeUninit::uninit()];
        let quiet = self.socket.set_nonblocking(true).is_ok()
            && matches!(self.socket.peek(&mut one), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.input.is_empty() && self.socket.set_nonblocking(false).is_ok() && quiet
    }
}

fn addresses(endpoint: &Endpoint) -> io::Result<Vec<SockAddr>> {
    let (host, port, wants): (_, _, fn(&SocketAddr) -> bool) = match endpoint {
        Endpoint::Unix(path) => return Ok(vec![SockAddr::unix(path)?]),
        Endpoint::Inet { host, port } => (host, *port, SocketAddr::is_ipv4),
        Endpoint::Inet6 { host, port } => (host, *port, SocketAddr::is_ipv6),
    };
    Ok((host.as_str(), port).to_socket_addrs()?.filter(wants).map(SockAddr::from).collect())
}

fn connect_to(address: &SockAddr, deadline: Instant) -> io::Result<Socket> {
    let socket = Socket::new(Domain::from(i32::from(address.family())), Type::STREAM, None)?;
    let left = || left(deadline).map_err(|_| io::Error::from(ErrorKind::TimedOut));
    if !address.is_unix() {
        socket.connect_timeout(address, left()?)?;
        socket.set_tcp_nodelay(true)?;
        return Ok(socket);
    }
    socket.set_nonblocking(true)?; // a blocking connect waits for a full queue without end
    loop {
        match socket.connect(address) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(left()?.min(BUSY_WAIT)),
            other => {
                other?;
                socket.set_nonblocking(false)?;
                return Ok(socket);
            }
        }
    }
}

fn left(deadline: Instant) -> Result<Duration, Failure> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Failure::TimedOut) } else { Ok(left.max(Duration::from_millis(1))) }
}

/// An error that may pass: the deadline is looked at again.
fn check(error: io::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Err(Failure::Closed),
        _ => Err(Failure::Io(error)),
    }
}
