//! Why the store did not do what it was asked. Each `Display` is one clear line.

use std::fmt;
use std::io;

use mailbox_list::NameError;

/// Refusals, transient trouble and damage, in that order.
#[derive(Debug)]
pub enum StoreError {
    /// No such mailbox, or no such message.
    NotFound,
    AlreadyExists,
    /// The name or the place does not allow it.
    CannotCreate(&'static str),
    /// A limit of the format: message of 4 GiB, 64 keywords, the last UID.
    TooBig(&'static str),
    OverQuota,
    /// Somebody else holds the lock longer than the bounded wait. Try again.
    InUse,
    /// The disk or its quota is full. Nothing was changed.
    NoSpace,
    /// stored has not finished its recovery.
    NotReady(String),
    /// Stored bytes are wrong. Which ones.
    Damaged(String),
    /// A sync failed before; the mailbox takes no changes until it is opened anew.
    Fenced,
    Io(io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::NotFound => f.write_str("it does not exist"),
            StoreError::AlreadyExists => f.write_str("it exists already"),
            StoreError::CannotCreate(reason) => write!(f, "it cannot be created: {reason}"),
            StoreError::TooBig(limit) => write!(f, "limit reached: {limit}"),
            StoreError::OverQuota => f.write_str("over quota"),
            StoreError::InUse => f.write_str("the mailbox is in use"),
            StoreError::NoSpace => f.write_str("no space left on the disk of the store"),
            StoreError::NotReady(log) => write!(f, "the store is not up in time; see {log}"),
            StoreError::Damaged(what) => write!(f, "damaged: {what}"),
            StoreError::Fenced => {
                f.write_str("a sync of this mailbox failed; it takes no changes until reopened")
            }
            StoreError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace,
            io::ErrorKind::NotFound => StoreError::NotFound,
            io::ErrorKind::TimedOut => StoreError::InUse,
            _ => StoreError::Io(error),
        }
    }
}

impl From<NameError> for StoreError {
    fn from(error: NameError) -> StoreError {
        StoreError::CannotCreate(match error {
            NameError::Empty | NameError::EmptyComponent => "empty level in the name",
            NameError::DotComponent => "a level of the name is . or ..",
            NameError::ControlByte => "control character in the name",
            NameError::ComponentTooLong => "a level of the name is too long",
            NameError::TooManyLevels => "too many levels",
        })
    }
}

pub type Result<T> = std::result::Result<T, StoreError>;
