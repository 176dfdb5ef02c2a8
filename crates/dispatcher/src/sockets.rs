//! The sockets of the sessions: one epoll instance in which resting workers wait themselves, so that a command costs one
//! wake-up. The kernel gives each event to one of them, the one who came last first.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use connection::driver::{HANGUP, READABLE, WRITABLE};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// What a worker hears.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody rang: a job is in the queue.
    Bell,
    /// `bits` of `connection::driver` happened at a socket. `number` is the low half of its session's.
    Socket { index: usize, number: u32, bits: u8 },
    /// The time is over.
    Nothing,
}

/// No socket has this: its index would be the highest there is.
const BELL: u64 = u64::MAX;

pub struct Sockets {
    epoll: Epoll,
    bell: EventFd,
}

impl Sockets {
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Sockets> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let bell = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        // edge-triggered: each ring is heard once, and nobody has to read it
        epoll.add(&bell, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, BELL))?;
        Ok(Sockets { epoll, bell })
    }

    /// Tells of `socket` from now on, edge-triggered, until it is closed. What is ready already is told, too.
    ///
    /// # Errors
    /// The system's.
    pub fn watch(&self, socket: impl AsFd, index: usize, number: u64) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        let index = u64::try_from(index).ok().filter(|index| *index < u64::from(u32::MAX));
        let name = index.ok_or(io::ErrorKind::InvalidInput)? << 32 | (number & u64::from(u32::MAX));
        Ok(self.epoll.add(socket, EpollEvent::new(flags, name))?)
    }

    /// One who waits hears the bell, or else the next who comes to wait.
    pub fn ring(&self) {
        // It fails only when the sum of all rings does not fit into 64 bits.
        let _ = self.bell.write(1);
    }

    /// Waits for one event; `None`: as long as it takes.
    pub fn wait(&self, most: Option<Duration>) -> Heard {
        let most =
            most.map_or(EpollTimeout::NONE, |most| EpollTimeout::try_from(most).unwrap_or(EpollTimeout::MAX));
        let mut events = [EpollEvent::empty()];
        match self.epoll.wait(&mut events, most) {
            Ok(1) if events[0].data() == BELL => Heard::Bell,
            Ok(1) => Heard::Socket {
                index: usize::try_from(events[0].data() >> 32).unwrap_or(usize::MAX),
                number: (events[0].data() & u64::from(u32::MAX)) as u32,
                bits: bits_of(events[0].events()),
            },
            _ => Heard::Nothing, // interrupted, too: whoever waits comes again
        }
    }
}

fn bits_of(flags: EpollFlags) -> u8 {
    let mut bits = 0;
    if flags.intersects(EpollFlags::EPOLLIN) {
        bits |= READABLE;
    }
    if flags.intersects(EpollFlags::EPOLLOUT) {
        bits |= WRITABLE;
    }
    if flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLERR) {
        bits |= HANGUP | READABLE | WRITABLE;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn each_event_is_heard_once_and_names_its_session() {
        let sockets = Sockets::new().unwrap();
        let now = Some(Duration::ZERO);
        assert_eq!(sockets.wait(now), Heard::Nothing);
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        sockets.watch(&ours, 7, (9 << 32) + 5).unwrap();
        assert_eq!(sockets.wait(now), Heard::Socket { index: 7, number: 5, bits: WRITABLE });
        assert_eq!(sockets.wait(now), Heard::Nothing);
        theirs.write_all(b"a").unwrap();
        assert_eq!(sockets.wait(now), Heard::Socket { index: 7, number: 5, bits: READABLE | WRITABLE });
        assert_eq!(sockets.wait(now), Heard::Nothing);
        drop(theirs);
        assert_eq!(
            sockets.wait(now),
            Heard::Socket { index: 7, number: 5, bits: HANGUP | READABLE | WRITABLE }
        );
        drop(ours);
        sockets.ring();
        sockets.ring();
        assert_eq!(sockets.wait(None), Heard::Bell);
        assert_eq!(sockets.wait(now), Heard::Nothing);
    }
}
