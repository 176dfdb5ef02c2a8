//! A connection on which the user is logged in: what its owner says and hears on it is the protocol's.

use std::io::{self, Read, Write};
use std::time::Duration;

use crate::wire::Wire;

/// Bytes of IMAP or POP, to and from the server. It is closed when it is dropped.
#[derive(Debug)]
pub struct Connection {
    pub(crate) wire: Wire,
    pub(crate) timeout: Duration,
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.wire.set_timeout(self.timeout);
        self.wire.read(into)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.set_timeout(self.timeout);
        self.wire.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}
