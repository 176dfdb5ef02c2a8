//! Packets with descriptors between two processes of one program.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg,
    socketpair,
};

/// Descriptors in one packet at most.
const DESCRIPTORS_MAX: usize = 4;

/// Two connected sockets on which each packet arrives whole.
///
/// # Errors
/// The system's.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one packet and copies of descriptors with it.
///
/// # Errors
/// The system's; `BrokenPipe` when the other side has ended.
pub fn send(socket: impl AsFd, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let with = if raw.is_empty() { &[][..] } else { &rights[..] };
    sendmsg::<()>(socket.as_fd().as_raw_fd(), &[IoSlice::new(packet)], with, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// The next packet, of at most `most` bytes, and its descriptors; nothing when the other side has ended.
///
/// # Errors
/// The system's; `InvalidData` when the packet or its descriptors are more than fits.
pub fn receive(socket: impl AsFd, most: usize) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut packet = vec![0; most];
    let mut room = cmsg_space!([RawFd; DESCRIPTORS_MAX]);
    let mut parts = [IoSliceMut::new(&mut packet)];
    let received = loop {
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut parts, Some(&mut room), flags) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let mut descriptors = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = message {
            // SAFETY: the kernel has just made these descriptors for us, and nobody else knows them.
            descriptors.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    let (length, flags) = (received.bytes, received.flags);
    if flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if length == 0 {
        return Ok(None);
    }
    packet.truncate(length);
    Ok(Some((packet, descriptors)))
}

/// As [`receive`], waiting no longer than `most`.
///
/// # Errors
/// As [`receive`]; `TimedOut`.
pub fn receive_within(
    socket: impl AsFd,
    most: usize,
    longest: Duration,
) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let deadline = Instant::now() + longest;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if wait(&socket, left)? {
            return receive(socket, most);
        }
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// Waits until a packet can be received or the other side has ended; false when `most` is over first.
///
/// # Errors
/// The system's.
pub fn wait(socket: impl AsFd, most: Duration) -> io::Result<bool> {
    let milliseconds = u16::try_from(most.as_millis()).unwrap_or(u16::MAX);
    match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::from(milliseconds)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn packets_arrive_whole_and_descriptors_with_them() {
        let (ours, theirs) = pair().unwrap();
        assert!(!wait(&ours, Duration::ZERO).unwrap());
        let (reading, writing) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap(); // children of other tests
        let (mut reading, mut writing) = (File::from(reading), File::from(writing));
        send(&theirs, b"first", &[reading.as_fd()]).unwrap();
        send(&theirs, b"second", &[]).unwrap();
        assert!(wait(&ours, Duration::from_secs(60)).unwrap());
        let (packet, descriptors) = receive(&ours, 100).unwrap().unwrap();
        assert_eq!((&packet[..], descriptors.len()), (&b"first"[..], 1));
        writing.write_all(b"through").unwrap();
        drop(writing);
        let mut through = String::new();
        File::from(descriptors.into_iter().next().unwrap()).read_to_string(&mut through).unwrap();
        assert_eq!(through, "through");
        assert_eq!(reading.read(&mut [0; 4]).unwrap(), 0);
        assert_eq!(receive(&ours, 3).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let late = receive_within(&ours, 100, Duration::from_millis(1)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        assert!(wait(&ours, Duration::from_secs(60)).unwrap());
        assert!(receive_within(&ours, 100, Duration::from_secs(60)).unwrap().is_none());
        assert!(receive(&ours, 100).unwrap().is_none());
    }
}
