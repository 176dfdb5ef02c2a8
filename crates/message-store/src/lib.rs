//! Mailboxes on disk, addressed by UID.
