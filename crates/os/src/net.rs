//! Listening sockets and their options.
//!
//! Options set on a listening socket are inherited by the sockets it accepts (tcp(7)), so keepalive and no-delay cost
//! nothing per connection.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

/// First descriptor of the inherited ones (sd_listen_fds(3)).
pub const LISTEN_FDS_START: RawFd = 3;
/// Most descriptors that are taken over.
pub const INHERITED_MAX: usize = 256;
/// Marks a worker process that [`crate::process::spawn_with_listeners`] started; its value is the worker's number.
pub const WORKER_VARIABLE: &str = "MAILBOAT_WORKER";

/// A socket as [`listen`] makes it that does not listen yet: who connects is refused. [`start_listening`] begins.
///
/// # Errors
/// As [`listen`].
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    Ok(bound(address, false)?.into())
}

/// The socket listens from now on; `backlog` connections may wait.
///
/// # Errors
/// The system's.
pub fn start_listening(socket: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    SockRef::from(&socket).listen(backlog)
}

/// A non-blocking listening socket with `SO_REUSEADDR`; an IPv6 one takes IPv6 only, so that `0.0.0.0` and `[::]`
/// can be listened on side by side.
///
/// # Errors
/// Whatever the system says: address in use, no right to the port, no such address here.
pub fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    listening(address, backlog, false)
}

/// As many listening sockets on one address, among which the kernel spreads connections (`SO_REUSEPORT`). That nobody
/// else listens there is made sure of first.
///
/// # Errors
/// As [`listen`].
pub fn listen_shared(address: SocketAddr, backlog: i32, count: usize) -> io::Result<Vec<TcpListener>> {
    drop(listen(address, backlog)?);
    (0..count).map(|_| listening(address, backlog, true)).collect()
}

fn listening(address: SocketAddr, backlog: i32, shared: bool) -> io::Result<TcpListener> {
    let socket = bound(address, shared)?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A non-blocking Unix socket that listens at `path`, with these permission bits from its first moment on: nobody can connect
/// between its creation and their setting. A socket that an earlier process left there goes; anything else stays.
///
/// # Errors
/// Whatever the system says; `AlreadyExists` when something else is there.
pub fn listen_local(path: &Path, mode: u32, backlog: i32) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else is there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    socket.listen(backlog)?; // only from here on can anybody connect
    socket.set_nonblocking(true)?;
    Ok(UnixListener::from(OwnedFd::from(socket)))
}

/// The next connection of a Unix socket, non-blocking. It comes in the type that everybody knows a connection by: reading,
/// writing and shutting down are the same system calls on either; addresses and options of TCP it has none.
///
/// # Errors
/// `WouldBlock` when nobody waits, or the system's.
pub fn accept_local(listener: &UnixListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from(OwnedFd::from(stream)))
}

/// Connects within `timeout`, from `source` when it is given; the system chooses the port. Small writes leave at once.
///
/// # Errors
/// Whatever the system says; `TimedOut` when nobody answered.
pub fn connect(address: SocketAddr, source: Option<IpAddr>, timeout: Duration) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect_timeout(&address.into(), timeout)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// The addresses of this host's interfaces, as they are now; an IPv4 address in its own form.
///
/// # Errors
/// The system's.
pub fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip()).to_canonical()))
    };
    Ok(nix::ifaddrs::getifaddrs()?.filter_map(address).collect())
}

/// Turns keepalive probes on, the first after `seconds` of silence (S5).
///
/// # Errors
/// Not a TCP socket.
pub fn set_keepalive(socket: BorrowedFd<'_>, seconds: u64) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(seconds)))
}

/// Small answers leave at once.
///
/// # Errors
/// Not a TCP socket.
pub fn set_nodelay(socket: BorrowedFd<'_>) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_nodelay(true)
}

/// The number of this worker process, if it is one.
pub fn worker_number() -> Option<usize> {
    std::env::var(WORKER_VARIABLE).ok()?.parse().ok()
}

/// The listening sockets that this process was started with, in their order: by systemd (`LISTEN_PID` names this
/// process) or by our own parent. Empty when there are none. Only the first call gets them.
///
/// # Errors
/// `LISTEN_FDS` names a descriptor that is not a listening socket.
pub fn inherited_listeners() -> io::Result<Vec<TcpListener>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let for_us = match std::env::var("LISTEN_PID") {
        Ok(pid) => pid.trim().parse() == Ok(std::process::id()),
        Err(_) => worker_number().is_some(),
    };
    let count =
        std::env::var("LISTEN_FDS").ok().and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0);
    if !for_us || count == 0 || TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    if count > INHERITED_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("LISTEN_FDS={count} is too many")));
    }
    let last = LISTEN_FDS_START + RawFd::try_from(count).unwrap_or(0);
    (LISTEN_FDS_START..last).map(take_listener).collect()
}

fn take_listener(fd: RawFd) -> io::Result<TcpListener> {
    // SAFETY: fcntl on any number is harmless; an unused one answers EBADF.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("inherited descriptor {fd} is not open"),
        ));
    }
    // SAFETY: the descriptor is open, and was passed to this process to be owned by the one caller that takes it.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    if !SockRef::from(&owned).is_listener().unwrap_or(false) {
        let text = format!("inherited descriptor {fd} is not a listening socket");
        std::mem::forget(owned); // not ours after all
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let listener = TcpListener::from(owned);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Sends what is buffered and tells the peer that nothing more comes; reading goes on.
///
/// # Errors
/// The connection is already gone.
pub fn shutdown_write<S: AsFd>(socket: &S) -> io::Result<()> {
    SockRef::from(&socket.as_fd()).shutdown(std::net::Shutdown::Write)
}

/// The descriptors of listeners, for [`crate::process::spawn_with_listeners`].
pub fn raw(listeners: &[TcpListener]) -> Vec<RawFd> {
    listeners.iter().map(AsRawFd::as_raw_fd).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn accepted_sockets_inherit_keepalive_and_no_delay() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), 16).unwrap();
        set_keepalive(listener.as_fd(), 30).unwrap();
        set_nodelay(listener.as_fd()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
        assert!(socket.tcp_nodelay().unwrap());
    }

    #[test]
    fn a_connection_comes_from_the_address_that_is_asked_for() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0)), 16).unwrap();
        let source = IpAddr::from([127, 0, 0, 9]);
        let minute = Duration::from_secs(60);
        let client = connect(listener.local_addr().unwrap(), Some(source), minute).unwrap();
        assert_eq!(client.local_addr().unwrap().ip(), source);
        // A port that is kept and not listened on. One that was closed may be another's by now, or be held still by a child that
        // another test is about to start.
        let kept = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let refused = connect(kept.local_addr().unwrap(), None, minute).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_local_socket_has_its_mode_and_replaces_only_a_socket() {
        use std::io::{Read, Write};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(listen_local(&path, 0o640, 4).unwrap()); // stays behind, as after a crash
        let listener = listen_local(&path, 0o600, 4).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(accept_local(&listener).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let mut accepted = accept_local(&listener).unwrap();
        accepted.write_all(b"hello").unwrap();
        shutdown_write(&accepted).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(listen_local(&path, 0o600, 4).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_port_in_use_is_refused() {
        let first = listen(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let error = listen(first.local_addr().unwrap(), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn without_the_variables_nothing_is_inherited() {
        assert!(inherited_listeners().unwrap().is_empty());
    }
}
