//! A connection as a client has it: what is read or written is done by a moment, however slowly bytes come.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Blocks until `until` at most: then `TimedOut`.
#[derive(Debug)]
pub struct TimedStream {
    pub tcp: TcpStream,
    pub until: Instant,
}

impl TimedStream {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left.max(Duration::from_millis(1)))),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// A system call that met the socket's own limit met ours.
fn timed(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        other => other,
    }
}

impl Read for TimedStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(self.left()?)?;
        timed(self.tcp.read(into))
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(self.left()?)?;
        timed(self.tcp.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
