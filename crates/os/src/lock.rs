//! Open-file-description locks: usable between threads, freed by the kernel when the process is killed.
//!
//! A lock belongs to the open file, not to the process: two threads need two opened files to exclude each other.
//! Waiting is a bounded loop, so that a stuck holder makes an error and not a stuck server.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// How a byte is locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Shared,
    Exclusive,
}

/// A lock on one byte of a file; dropping it frees the byte.
#[derive(Debug)]
pub struct OfdLock {
    file: Arc<File>,
    byte: i64,
}

impl OfdLock {
    /// Locks `byte`, waiting at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut` when somebody else holds it all the time; the system's.
    pub fn acquire(file: &Arc<File>, byte: u32, mode: Mode, timeout: Duration) -> io::Result<OfdLock> {
        if let Some(lock) = OfdLock::try_acquire(file, byte, mode)? {
            return Ok(lock);
        }
        let start = Instant::now();
        let mut pause = Duration::from_micros(50);
        while start.elapsed() < timeout {
            thread::sleep(pause);
            if let Some(lock) = OfdLock::try_acquire(file, byte, mode)? {
                return Ok(lock);
            }
            pause = (pause * 2).min(Duration::from_millis(4));
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Locks `byte` unless somebody else holds it.
    ///
    /// # Errors
    /// The system's.
    pub fn try_acquire(file: &Arc<File>, byte: u32, mode: Mode) -> io::Result<Option<OfdLock>> {
        let kind = match mode {
            Mode::Shared => libc::F_RDLCK,
            Mode::Exclusive => libc::F_WRLCK,
        };
        match set_lock(file, i64::from(byte), kind) {
            Ok(()) => Ok(Some(OfdLock { file: Arc::clone(file), byte: i64::from(byte) })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for OfdLock {
    fn drop(&mut self) {
        let _ = set_lock(&self.file, self.byte, libc::F_UNLCK);
    }
}

fn set_lock(file: &File, byte: i64, kind: i32) -> Result<(), Errno> {
    let range = libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&range)).map(drop)
}

/// Whether somebody else holds `byte`; nobody is kept from it by the question.
///
/// # Errors
/// The system's.
pub fn is_held(file: &File, byte: u32) -> io::Result<bool> {
    let mut range = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: i64::from(byte),
        l_len: 1,
        l_pid: 0,
    };
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut range))?;
    Ok(range.l_type != libc::F_UNLCK as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_opened_files_exclude_each_other_and_bytes_are_independent() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || Arc::new(File::options().read(true).write(true).open(file.path()).unwrap());
        let (one, other) = (open(), open());
        let held = OfdLock::try_acquire(&one, 0, Mode::Exclusive).unwrap().unwrap();
        assert!(OfdLock::try_acquire(&other, 0, Mode::Shared).unwrap().is_none());
        assert!(OfdLock::try_acquire(&other, 1, Mode::Exclusive).unwrap().is_some());
        assert!(is_held(&other, 0).unwrap() && !is_held(&other, 1).unwrap());
        assert!(!is_held(&one, 0).unwrap(), "its own keeps nobody out");
        let late = OfdLock::acquire(&other, 0, Mode::Exclusive, Duration::from_millis(1)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        drop(held);
        assert!(OfdLock::try_acquire(&other, 0, Mode::Exclusive).unwrap().is_some());
    }
}
