//! Opening what somebody else may change meanwhile: below a folder that the administrator named, no symbolic link is followed,
//! and nothing but folders and plain files is opened. The tool may read more than the owner of the files may.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use os::file::{How, open_in};

/// A folder that is open: it stays the same, wherever it is moved.
pub struct Folder {
    file: File,
}

fn folder(file: File) -> io::Result<Folder> {
    if file.metadata()?.is_dir() { Ok(Folder { file }) } else { Err(io::Error::other("it is no folder")) }
}

fn plain(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

impl Folder {
    /// The one that the administrator names; links are followed.
    ///
    /// # Errors
    /// The system's; it is no folder.
    pub fn named(path: &Path) -> io::Result<Folder> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::Error::other("it is no folder")); // a pipe would block
        }
        folder(File::open(path)?)
    }

    /// The same folder once more.
    ///
    /// # Errors
    /// The system's.
    pub fn again(&self) -> io::Result<Folder> {
        Ok(Folder { file: self.file.try_clone()? })
    }

    /// # Errors
    /// The system's; it is no folder, or a link.
    pub fn folder(&self, name: &OsStr) -> io::Result<Folder> {
        folder(open_in(&self.file, name, How::Read)?)
    }

    /// A plain file.
    ///
    /// # Errors
    /// The system's; it is no plain file, or a link.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        plain(open_in(&self.file, name, How::Read)?)
    }

    /// What a plain file is.
    ///
    /// # Errors
    /// As [`Folder::file`].
    pub fn look(&self, name: &OsStr) -> io::Result<Metadata> {
        let meta = open_in(&self.file, name, How::Look)?.metadata()?;
        if meta.is_file() { Ok(meta) } else { Err(io::Error::other("it is no plain file")) }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        os::file::remove_in(&self.file, name)
    }

    /// What is in it, in no order.
    ///
    /// # Errors
    /// The system's.
    pub fn entries(&self) -> io::Result<fs::ReadDir> {
        fs::read_dir(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

/// The plain file that the administrator names; links are followed.
///
/// # Errors
/// The system's; it is no plain file.
pub fn named_file(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    plain(File::open(path)?)
}
