//! The mailbox list's errors as the store's.

use mailbox_list::ListError;

use crate::StoreError;

pub(crate) fn told(error: ListError) -> StoreError {
    match error {
        ListError::NotFound => StoreError::NotFound,
        ListError::AlreadyExists => StoreError::AlreadyExists,
        ListError::Impossible(why) => StoreError::CannotCreate(why),
        ListError::Full => StoreError::NoSpace,
        ListError::Damaged(what) => StoreError::Damaged(format!("{what}; see reconstruct -m")),
        ListError::Database(error) => StoreError::Io(std::io::Error::other(error)),
    }
}
