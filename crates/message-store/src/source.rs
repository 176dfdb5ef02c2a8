//! Where the bytes of a message that is delivered are, and how they get a name in the mailbox.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use commit_journal::{SyncLevel, sync_file};

use crate::Result;
use crate::mailbox::Mailbox;

/// A message that is to be delivered.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// A durable file, to be linked; on another file system, or with too many links, it is copied.
    File(&'a Path),
    /// Bytes that have no file: the first mailbox that gets them makes one, the others link that.
    Memory(&'a InMemory<'a>),
}

/// The bytes of a message, and the file that was made of them first.
pub struct InMemory<'a> {
    bytes: &'a [u8],
    twin: RefCell<Option<File>>,
}

/// Which file has the name in the mailbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The one that the message had already.
    TheSame,
    /// One of its own.
    Another,
}

/// Inode and device.
type Identity = (u64, u64);

fn identity(meta: &fs::Metadata) -> Identity {
    (meta.ino(), meta.dev())
}

impl<'a> InMemory<'a> {
    pub fn new(bytes: &'a [u8]) -> InMemory<'a> {
        InMemory { bytes, twin: RefCell::new(None) }
    }
}

impl Source<'_> {
    /// Whether the file of this name, which no record names, is what an interrupted delivery of this very message left.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn is(&self, path: &Path, meta: &fs::Metadata) -> io::Result<bool> {
        match self {
            Source::File(own) => Ok(identity(&fs::metadata(own)?) == identity(meta)),
            Source::Memory(message) => {
                Ok(meta.len() == message.bytes.len() as u64 && fs::read(path)? == message.bytes)
            }
        }
    }

    /// Gives the message a name in the mailbox: a durable file, unless it stands in a journal.
    ///
    /// # Errors
    /// The system's; there is no file of that name then.
    pub(crate) fn place(&self, mailbox: &Mailbox, to: &Path, is_journaled: bool) -> Result<Placed> {
        let level = if is_journaled { SyncLevel::None } else { mailbox.shared.settings.sync.message };
        match self {
            Source::File(from) => Ok(link(from, to, level)?),
            Source::Memory(message) => {
                message.place(mailbox, to, level)?;
                Ok(Placed::Another)
            }
        }
    }
}

impl InMemory<'_> {
    fn place(&self, mailbox: &Mailbox, to: &Path, level: SyncLevel) -> io::Result<()> {
        if self.link_twin(to) {
            return Ok(());
        }
        // Under another name first: half a message must not be taken for one.
        let new = mailbox.incoming_path();
        let written = (|| {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(self.bytes)?;
            sync_file(&file, level)?;
            fs::rename(&new, to)?; // what is there may be our own, see `free_uid`; perhaps it was never synced
            Ok(file)
        })();
        match written {
            Ok(file) => {
                *self.twin.borrow_mut() = Some(file);
                Ok(())
            }
            Err(error) => {
                let _ = fs::remove_file(&new);
                Err(error)
            }
        }
    }

    /// Links the file that another mailbox got, if it is still in one, and can be linked from there.
    fn link_twin(&self, to: &Path) -> bool {
        self.twin.borrow().as_ref().is_some_and(|file| os::file::link_open(file, to).is_ok())
    }
}

/// Gives a durable file a name in the mailbox: a link, or a copy where a link cannot be.
pub(crate) fn link(from: &Path, to: &Path, level: SyncLevel) -> io::Result<Placed> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(Placed::TheSame),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Placed::TheSame), // our own, see free_uid
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks | io::ErrorKind::Unsupported
            ) =>
        {
            // Under another name first: half a message must not be taken for one.
            let new = to.with_extension("msg-new");
            let copied = (|| {
                let mut file =
                    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
                io::copy(&mut File::open(from)?, &mut file)?;
                sync_file(&file, level)?;
                os::file::rename_new(&new, to)
            })();
            if copied.is_err() {
                let _ = fs::remove_file(&new);
            }
            copied.map(|()| Placed::Another)
        }
        Err(error) => Err(error),
    }
}
