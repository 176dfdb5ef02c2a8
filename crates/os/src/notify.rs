//! One inotify watch on one file or folder, as a descriptor to wait on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Becomes readable when somebody wrote to the file (with `write`; stores through a map are not seen), or put something
/// into the folder.
pub struct Notify(Inotify);

impl Notify {
    /// Watches `file`.
    ///
    /// # Errors
    /// The system's, the limit of inotify instances (128 a user) among them.
    pub fn on(file: &Path) -> io::Result<Notify> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        inotify.add_watch(file, AddWatchFlags::IN_MODIFY)?;
        Ok(Notify(inotify))
    }

    /// Watches for names that come into `folder`.
    ///
    /// # Errors
    /// As [`Notify::on`].
    pub fn on_folder(folder: &Path) -> io::Result<Notify> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        inotify.add_watch(folder, AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE)?;
        Ok(Notify(inotify))
    }

    /// As [`Notify::wait`], and returns also when `stop` can be read or its other end is gone.
    ///
    /// # Errors
    /// The system's.
    pub fn wait_beside(&self, stop: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut both = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN), PollFd::new(stop, PollFlags::POLLIN)];
        match poll(&mut both, timeout) {
            Ok(0) => Ok(false),
            Ok(_) | Err(Errno::EINTR) => self.take(),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for a write, or for ever when `timeout` is nothing. Takes all events that came so far.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let timeout =
            timeout.map_or(PollTimeout::NONE, |wait| PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX));
        let mut descriptors = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, timeout) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.take()
    }

    /// Takes the events that came so far without waiting; whether there were any.
    ///
    /// # Errors
    /// The system's.
    pub fn take(&self) -> io::Result<bool> {
        let mut any = false;
        loop {
            match self.0.read_events() {
                Ok(events) if events.is_empty() => return Ok(any),
                Ok(_) => any = true,
                Err(Errno::EAGAIN) => return Ok(any),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Notify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_write_is_noticed_once() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let notify = Notify::on(file.path()).unwrap();
        assert!(!notify.wait(Some(Duration::ZERO)).unwrap());
        file.write_all(b"x").unwrap();
        assert!(notify.wait(Some(Duration::from_secs(60))).unwrap());
        assert!(!notify.take().unwrap());
    }

    #[test]
    fn a_name_that_comes_into_a_folder_or_a_closed_socket_ends_the_wait() {
        let folder = tempfile::tempdir().unwrap();
        let notify = Notify::on_folder(folder.path()).unwrap();
        let (stop, other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(!notify.wait_beside(stop.as_fd(), Duration::ZERO).unwrap());
        std::fs::write(folder.path().join("x"), "").unwrap();
        assert!(notify.wait_beside(stop.as_fd(), Duration::from_secs(60)).unwrap());
        drop(other);
        assert!(!notify.wait_beside(stop.as_fd(), Duration::from_secs(60)).unwrap());
    }
}
