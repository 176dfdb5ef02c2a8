//! Files: making them durable, reserving their space, renaming without replacing.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Mutex;

use nix::fcntl::{FallocateFlags, OFlag, PosixFadviseAdvice};
use nix::sys::stat::Mode;

fn io_error(error: nix::errno::Errno) -> io::Error {
    io::Error::from_raw_os_error(error as i32)
}

/// Data and what is needed to read it back.
///
/// # Errors
/// The system's.
pub fn fdatasync(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Data and all metadata.
///
/// # Errors
/// The system's.
pub fn fsync(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// The names in the folder.
///
/// # Errors
/// The system's.
pub fn sync_dir(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Everything that was written so far to the file system on which `folder` is: for changes to many files, which one by
/// one would take a sync each.
///
/// # Errors
/// The system's.
pub fn sync_file_system(folder: &Path) -> io::Result<()> {
    sync_file_system_of(&File::open(folder)?)
}

/// As [`sync_file_system`], by a file of it that is kept open: then it also fails when something was lost since that was
/// opened and before this was called.
///
/// # Errors
/// The system's.
pub fn sync_file_system_of(file: &File) -> io::Result<()> {
    nix::unistd::syncfs(file.as_fd()).map_err(io_error)
}

/// Reserves blocks for `length` bytes from `offset` and lets the file grow to hold them, so that later writes there
/// cannot meet a full disk.
///
/// # Errors
/// `StorageFull` when there are no blocks; nothing has changed then but perhaps the length.
pub fn allocate(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let length = i64::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
    nix::fcntl::fallocate(file.as_fd(), FallocateFlags::empty(), offset, length).map_err(io_error)
}

/// All blocks of an empty file, on file systems that cannot reserve any, too.
///
/// # Errors
/// As [`allocate`].
pub fn allocate_new(file: &File, length: usize) -> io::Result<()> {
    match allocate(file, 0, length as u64) {
        Err(why) if why.kind() == io::ErrorKind::Unsupported => file.write_all_at(&vec![0; length], 0),
        done => done,
    }
}

/// How [`open_in`] opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// To look at what it is; not even its owner needs to be able to read it.
    Look,
    Read,
    /// To read and to write; made with these permission bits when it is not there.
    Write {
        mode: u32,
    },
    /// To write; `AlreadyExists` when it is there.
    New {
        mode: u32,
    },
}

/// Opens a file by its name in an opened folder, so that nobody who renames folders meanwhile is followed. A symbolic
/// link at the end is refused, and a pipe does not block.
///
/// # Errors
/// `InvalidInput` for a name that leads elsewhere; the system's.
pub fn open_in(folder: &File, name: &OsStr, how: How) -> io::Result<File> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let always = OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let (flags, mode) = match how {
        How::Look => (OFlag::O_PATH, 0),
        How::Read => (OFlag::O_RDONLY, 0),
        How::Write { mode } => (OFlag::O_RDWR | OFlag::O_CREAT, mode),
        How::New { mode } => (OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL, mode),
    };
    let opened = nix::fcntl::openat(folder.as_fd(), name, flags | always, Mode::from_bits_truncate(mode));
    opened.map(File::from).map_err(io_error)
}

/// Makes a file that appears with its content or not at all, whenever we are killed. Where the file system has no files
/// without a name, it appears empty first.
///
/// # Errors
/// `AlreadyExists`; as [`open_in`].
pub fn create_whole(folder: &File, name: &OsStr, mode: u32, content: &[u8]) -> io::Result<()> {
    let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let Ok(unnamed) = nix::fcntl::openat(folder.as_fd(), ".", flags, Mode::from_bits_truncate(mode)) else {
        let mut file = open_in(folder, name, How::New { mode })?;
        return file.write_all(content);
    };
    let mut unnamed = File::from(unnamed);
    unnamed.write_all(content)?;
    let itself = format!("/proc/self/fd/{}", unnamed.as_raw_fd());
    let follow = nix::fcntl::AtFlags::AT_SYMLINK_FOLLOW;
    nix::unistd::linkat(nix::fcntl::AT_FDCWD, itself.as_str(), folder.as_fd(), name, follow).map_err(io_error)
}

/// Removes a file by its name in an opened folder.
///
/// # Errors
/// The system's.
pub fn remove_in(folder: &File, name: &OsStr) -> io::Result<()> {
    nix::unistd::unlinkat(folder.as_fd(), name, nix::unistd::UnlinkatFlags::NoRemoveDir).map_err(io_error)
}

/// Gives an opened file to a user.
///
/// # Errors
/// The system's.
pub fn give_to(file: &File, uid: u32, gid: u32) -> io::Result<()> {
    std::os::unix::fs::fchown(file, Some(uid), Some(gid))
}

/// Reserves blocks as [`allocate`] does; the length stays. A file system that cannot is no error.
///
/// # Errors
/// `StorageFull` when there are no blocks.
pub fn reserve(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let length = i64::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
    match nix::fcntl::fallocate(file.as_fd(), FallocateFlags::FALLOC_FL_KEEP_SIZE, offset, length) {
        Err(nix::errno::Errno::EOPNOTSUPP) => Ok(()),
        other => other.map_err(io_error),
    }
}

/// Bytes that an ordinary user may still write to the file system of `path`.
///
/// # Errors
/// The system's.
pub fn free_space(path: &Path) -> io::Result<u64> {
    let status = nix::sys::statvfs::statvfs(path)?;
    Ok(status.blocks_available().saturating_mul(status.fragment_size()))
}

/// Bytes that an ordinary user may still write to the file system of `path`, and those that it has for ordinary users.
///
/// # Errors
/// The system's.
pub fn free_and_whole_space(path: &Path) -> io::Result<(u64, u64)> {
    let status = nix::sys::statvfs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(status.fragment_size());
    let kept_for_root = status.blocks_free().saturating_sub(status.blocks_available());
    Ok((bytes(status.blocks_available()), bytes(status.blocks().saturating_sub(kept_for_root))))
}

/// The file will be read from front to back once.
pub fn advise_sequential(file: &File) {
    let _ = nix::fcntl::posix_fadvise(file.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL);
}

/// Gives an opened file another name, as long as it has one.
///
/// # Errors
/// `NotFound` when all its names are gone, `AlreadyExists`, the system's.
pub fn link_open(file: &File, to: &Path) -> io::Result<()> {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let follow = nix::fcntl::AtFlags::AT_SYMLINK_FOLLOW;
    Ok(nix::unistd::linkat(nix::fcntl::AT_FDCWD, own.as_str(), nix::fcntl::AT_FDCWD, to, follow)?)
}

/// The first `length` bytes of the file will be needed: the system begins to read them. It may not.
pub fn advise_needed(file: &File, length: u64) {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let _ = nix::fcntl::posix_fadvise(file.as_fd(), 0, length, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
}

/// Renames, unless there is something at `to` already.
///
/// # Errors
/// `AlreadyExists`, or the system's.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let here = nix::fcntl::AT_FDCWD;
    match nix::fcntl::renameat2(here, from, here, to, nix::fcntl::RenameFlags::RENAME_NOREPLACE) {
        Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOSYS) => {
            std::fs::hard_link(from, to)?;
            std::fs::remove_file(from)
        }
        other => other.map_err(io_error),
    }
}

/// Whether the file system commits new names together with the next `fdatasync` of a file that grew (ext4 and XFS:
/// one journal for all). The answer is kept per device.
pub fn names_follow_data(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    static KNOWN: Mutex<Vec<(u64, bool)>> = Mutex::new(Vec::new());
    let Ok(device) = std::fs::metadata(folder).map(|data| data.dev()) else { return false };
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, answer)) = known.iter().find(|(one, _)| *one == device) {
        return *answer;
    }
    const XFS: nix::sys::statfs::FsType = nix::sys::statfs::FsType(0x5846_5342);
    let answer = nix::sys::statfs::statfs(folder).is_ok_and(|data| {
        let kind = data.filesystem_type();
        kind == nix::sys::statfs::EXT4_SUPER_MAGIC || kind == XFS || kind == nix::sys::statfs::TMPFS_MAGIC
    });
    known.push((device, answer));
    answer
}
/// Whether an open file is the one that has this name now: it may have been removed, replaced or put aside.
///
/// # Errors
/// The system's.
pub fn has_name(file: &File, path: &Path) -> io::Result<bool> {
    let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    match std::fs::metadata(path) {
        Ok(meta) => Ok(identity(meta) == identity(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether what went wrong is the file's: it ended too early, or its disk does not give it. Not that this process is short of
/// something.
pub fn is_of_the_file(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof || error.raw_os_error() == Some(libc::EIO)
}
